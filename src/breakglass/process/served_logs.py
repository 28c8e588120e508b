"""The file ``logs`` of a witness or an archiver: whom it serves, one verifier key a line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from breakglass.errors import MalformedError, MisconfiguredError, reason
from breakglass.tlog.note import ED25519, VerifierKey


def read_logs(path: Path) -> Mapping[str, tuple[VerifierKey, ...]]:
    """Read log keys by origin; two of one origin while a log changes its key. ``#`` comments.

    Raises:
        MisconfiguredError: missing, empty, or a line that is no Ed25519 key.
    """
    found: dict[str, tuple[VerifierKey, ...]] = {}
    try:
        lines = path.read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise MisconfiguredError(
            f"{str(path)!r} cannot be read: {reason(error)}; not started"
        ) from error
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            key = VerifierKey.parse(text)
        except MalformedError as error:
            raise MisconfiguredError(f"{str(path)!r} line {number}: {error}") from error
        if key.kind != ED25519:
            raise MisconfiguredError(f"{str(path)!r} line {number}: a log's key is Ed25519")
        found[key.name] = (*found.get(key.name, ()), key)
    if not found:
        raise MisconfiguredError(f"{str(path)!r} names no log; not started")
    return found
