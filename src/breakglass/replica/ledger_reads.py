"""Reads of the ledger by whoever follows it, which waits where it is not let in yet."""

from __future__ import annotations

from datetime import timedelta

from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError, UnavailableError
from breakglass.http.client import Peer, Reply

_LATER = frozenset(
    {
        ErrorName.NOT_A_READER,
        ErrorName.REPEATED_REQUEST,
        ErrorName.STALE_REQUEST,
        ErrorName.UNSIGNED_REQUEST,
        ErrorName.WRONG_PROCESS,
    }
)


def read_ledger(ledger: Peer, path: str, within: timedelta | None = None) -> Reply:
    """Read as the one that follows; not to be let in is to find the ledger away.

    A key that was just added, or a clock that is set, changes that: following must not stop.

    Raises:
        UnavailableError: the ledger is away, or does not show us anything now.
        BreakglassError: any other refusal of the ledger.
    """
    try:
        return ledger.read(path, within=within)
    except RefusedError as error:
        if error.name not in _LATER:
            raise
        raise UnavailableError(
            f"{ledger.name} shows us nothing: {error}", name=error.name, hint=error.hint
        ) from error
