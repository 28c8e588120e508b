"""The little of a record's text that those who are blind to its content may read.

```
breakglass.dev/record/v1
attach sha256:<hex> <bytes>          (0 to 8 lines)
{"id":…,"log":…,"prev":…,"seq":…, …}
```

Outbox, ledger and archiver look at ``log``, ``id``, ``seq``, ``prev`` and the attach lines, and at
nothing else. Source: docs/spec/record.md.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError

HEADER = "breakglass.dev/record/v1"
NOTE_BYTES_AT_MOST = 16 * 1024
NOTES_AT_MOST = 256  # in one append: one row of tiles
POSTED = "Breakglass-Posted"  # header of an append that nobody waits for: its ledger may hold it
COMMIT = "Breakglass-Commit"  # header of an append whose sender wants its whole commit answered
ATTACHMENTS_AT_MOST = 8
NO_PREV = "0" * 64
_ATTACH = re.compile(r"attach sha256:([0-9a-f]{64}) (0|[1-9][0-9]{0,8})", re.ASCII)
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
_decode = json.JSONDecoder().raw_decode


@dataclass(frozen=True)
class Numbering:
    """Where a note stands among its submitter's notes; ``attachments`` are (SHA-256 hex, bytes)."""

    log: str
    id: str
    seq: int
    prev: str
    attachments: tuple[tuple[str, int], ...]


def text_digest(text: str) -> str:
    """Return a note's identity, what the next note's ``prev`` says: SHA-256 in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def read_numbering(text: str) -> Numbering:
    """Read the numbering of a record's text.

    Raises:
        MalformedError: another header, a bad attach line, or one of the four fields is missing,
            given twice or of another type.
    """
    attachments, line = _split(text)
    found: dict[str, Any] = {}
    for key, start, end in _members(line):
        if key in ("log", "id", "seq", "prev"):
            if key in found:
                raise MalformedError(f"record: {key!r} stands twice")
            found[key] = line[start:end]
    try:
        log, ident, prev = (_text(found[key]) for key in ("log", "id", "prev"))
        seq = found["seq"]
    except KeyError as error:
        raise MalformedError(
            f"record: {error.args[0]!r} is missing", name=ErrorName.MISSING_FIELD
        ) from error
    if not _NUMBER.fullmatch(seq) or not _HEX.fullmatch(prev):
        raise MalformedError("record: 'seq' is no whole number, or 'prev' is not 64 hex digits")
    if not 1 <= len(ident) <= 256 or not log:
        raise MalformedError("record: 'id' takes 1 to 256 characters, and 'log' at least one")
    return Numbering(log, ident, int(seq), prev, attachments)


def numbered(text: str, seq: int, prev: str) -> str:
    """Return the text with these ``seq`` and ``prev`` in it, every other byte as it was.

    Raises:
        MalformedError: the text has no such fields.
    """
    line = _split(text)[1]
    spans = {key: (start, end) for key, start, end in _members(line) if key in ("seq", "prev")}
    if len(spans) != 2:
        raise MalformedError("record: 'seq' or 'prev' is missing", name=ErrorName.MISSING_FIELD)
    new = {"seq": str(seq), "prev": f'"{prev}"'}
    for key, (start, end) in sorted(spans.items(), key=lambda each: -each[1][0]):
        line = line[:start] + new[key] + line[end:]
    return text[: -len(_split(text)[1]) - 1] + line + "\n"


def _split(text: str) -> tuple[tuple[tuple[str, int], ...], str]:
    lines = text.split("\n")
    if len(lines) < 3 or lines[0] != HEADER or lines[-1]:
        raise MalformedError(f"record: expected {HEADER!r}, attach lines, one line of JSON")
    *named, line = lines[1:-1]
    if len(named) > ATTACHMENTS_AT_MOST:
        raise MalformedError(f"record: more than {ATTACHMENTS_AT_MOST} attach lines")
    attachments = []
    for number, each in enumerate(named, start=2):
        match = _ATTACH.fullmatch(each)
        if match is None:
            raise MalformedError(f"record line {number}: expected 'attach sha256:HEX BYTES'")
        attachments.append((match[1], int(match[2])))
    return tuple(attachments), line


def _members(line: str) -> Iterator[tuple[str, int, int]]:
    """Walk the members of a JSON object: key, and where its value starts and ends."""
    if line[:2] == "{}" or line[:1] != "{":
        raise MalformedError("record: expected an object")
    at = 0
    try:
        while line[at] in "{,":
            key, at = _decode(line, at + 1)
            if not isinstance(key, str) or line[at] != ":":
                raise ValueError
            _, end = _decode(line, at + 1)
            yield key, at + 1, end
            at = end
        if line[at:] != "}":
            raise ValueError
    except (ValueError, IndexError, RecursionError) as error:
        raise MalformedError(f"record: JSON ends or breaks near character {at}") from error


def _text(raw: str) -> str:
    value = json.loads(raw)
    if not isinstance(value, str):
        raise MalformedError("record: 'log', 'id' and 'prev' are texts")
    return value
