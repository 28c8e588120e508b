"""A segment: one commit as the archive holds it, and as the ledger sends it.

On the wire, ``POST /add-segment`` (sizes in bytes):

```
old 812
head 221
last 547

<head: the log's signed checkpoint><last: the final form of an earlier head, or nothing>
<entries from 812 to the head's size, each u16 big-endian length and bytes>
```

In the store, ``<origin hash>/seg/<12 digits>``, gapless from 0:

```
breakglass.dev/segment/v1
previous <hex SHA-256 of the segment before, or 64 zeros>
first 812
head 221

<head><entries>
```
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from breakglass.errors import MalformedError
from breakglass.tlog.spelling import exact_decimal

HEADER = "breakglass.dev/segment/v1"
NO_PREVIOUS = "0" * 64


@dataclass(frozen=True)
class Pushed:
    """What the ledger sends; nothing is checked but the form."""

    old: int
    head: bytes
    last: bytes
    entries: tuple[bytes, ...]


@dataclass(frozen=True)
class Segment:
    """What the archive holds of one commit."""

    previous: str
    first: int
    head: bytes
    entries: tuple[bytes, ...]

    def encoded(self) -> bytes:
        """Write it as it is stored."""
        lines = [HEADER, f"previous {self.previous}", f"first {self.first}"]
        lines += [f"head {len(self.head)}", "", ""]
        return "\n".join(lines).encode() + self.head + frame(self.entries)

    @classmethod
    def parse(cls, data: bytes) -> Segment:
        """Read a stored segment.

        Raises:
            MalformedError: another form.
        """
        lines, rest = _header(data, 4)
        if lines[0] != HEADER or not lines[1].startswith("previous "):
            raise MalformedError(f"segment: expected {HEADER!r} and what precedes it")
        first, head = _number(lines[2], "first"), _number(lines[3], "head")
        previous = lines[1].removeprefix("previous ")
        return cls(previous, first, rest[:head], unframe(rest[head:]))


def parse_pushed(body: bytes) -> Pushed:
    """Read the body of add-segment.

    Raises:
        MalformedError: another form.
    """
    lines, rest = _header(body, 3)
    old, head, last = (
        _number(line, name) for line, name in zip(lines, ("old", "head", "last"), strict=True)
    )
    if len(rest) < head + last:
        raise MalformedError("segment is cut short")
    entries = unframe(rest[head + last :])
    return Pushed(old, rest[:head], rest[head : head + last], entries)


def segment_digest(data: bytes) -> str:
    """Return what the next segment's ``previous`` says."""
    return hashlib.sha256(data).hexdigest()


def frame(entries: tuple[bytes, ...]) -> bytes:
    """Write entries each with its length before it, as tlog-tiles bundles do."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def unframe(data: bytes) -> tuple[bytes, ...]:
    """Read what ``frame`` wrote.

    Raises:
        MalformedError: cut short.
    """
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        if at > len(data):
            raise MalformedError(f"segment is cut short in entry {len(entries)}")
        entries.append(data[start:at])
    return tuple(entries)


def _header(data: bytes, count: int) -> tuple[list[str], bytes]:
    head, gap, rest = data.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise MalformedError("segment: header is not ASCII") from error
    if not gap or len(lines) != count:
        raise MalformedError(f"segment: expected {count} header lines and an empty one")
    return lines, rest


def _number(line: str, name: str) -> int:
    word, _, digits = line.partition(" ")
    if word != name:
        raise MalformedError(f"segment: expected a line '{name} NUMBER'")
    return exact_decimal(digits, f"segment: {name}")
