"""Which sets of kinds this software knows: what a trust file's line ``kinds N`` puts in force.

Everything that the fold accepts (kinds, what statements do, fields, tiers, levels) is a function of
the bytes and of N. Whoever does not know N cannot judge as others do, and must not go on.
"""

from __future__ import annotations

from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError

NEWEST = 3
SET_2 = 2  # a start put off is granted again; a kill ends asks; all is stopped; rosters
SET_3 = 3  # what privileged access stands at a target without a grant


class UnknownKindsError(MisconfiguredError):
    """A trust file puts kinds in force that this software does not know."""

    default_name = ErrorName.KINDS_UNKNOWN


def check_known(kinds: int, version: int) -> None:
    """Check that this software knows what a trust file puts in force.

    Args:
        kinds: the file's N.
        version: the file's own.

    Raises:
        UnknownKindsError: it does not; with the N that is needed and the newest that is known.
    """
    if kinds > NEWEST:
        raise UnknownKindsError(
            f"trust file {version} puts kinds {kinds} in force, and this software knows kinds"
            f" {NEWEST} at most; nothing is judged from there on",
            hint=f"install a later release on this machine, one that knows kinds {kinds}",
        )
