"""A public key as somebody sends it: a ``.pub`` file, or its line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from breakglass.errors import MisconfiguredError


def read_public_keys(given: Iterable[str]) -> tuple[str, ...]:
    """Read public keys of people, without their comments.

    Args:
        given: each a file, or a line with a space in it.

    Raises:
        MisconfiguredError: a file cannot be read.
        MalformedError: a key of no kind that is verified.
    """
    from breakglass.records.signing.person_key import parse_person_key, without_comment

    found = []
    for each in given:
        try:
            text = each if " " in each.strip() else Path(each).read_text("ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise MisconfiguredError(f"public key {each!r} cannot be read: {error}") from error
        found.append(str(parse_person_key(without_comment(text))))
    return tuple(found)
