"""A record: one fact, in a signed note of the party that states it.

```
breakglass.dev/record/v1
attach sha256:<hex> <bytes>          (0 to 8 lines)
{"kind":"intent","v":1, …}           (RFC 8785 JSON, one line)

— <submitter> <signature>
```

The bytes are stored verbatim; nothing is ever written again from the parsed form. Lines are split
on 0x0A alone. Source: docs/spec/record.md; C2SP signed-note.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, ClassVar, Generic, TypeVar

from breakglass.canonical import Json, canonical, parse_canonical
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError
from breakglass.records.encoding.text_types import Digest, LogName, RecordId
from breakglass.records.encoding.whole_form import text_form
from breakglass.strict_json import Count, read, written
from breakglass.tlog.note import Note

HEADER = "breakglass.dev/record/v1"
NOTE_BYTES_AT_MOST = 16 * 1024
GATE_NOTE_BYTES_AT_MOST = 2 * 1024
ATTACHMENTS_AT_MOST = 8
ATTACHMENT_BYTES_AT_MOST = 64 * 1024 * 1024
_ATTACH = re.compile(r"attach sha256:([0-9a-f]{64}) (0|[1-9][0-9]{0,8})", re.ASCII)


@dataclass(frozen=True)
class Kind:
    """A kind of record: the fields of its own, beside the envelope's."""

    kind: ClassVar[str]
    v: ClassVar[int] = 1


R = TypeVar("R", bound=Kind)


@dataclass(frozen=True)
class Envelope:
    """What every record says of itself.

    ``seq`` counts from 0 per submitter and log; ``prev`` is the SHA-256 of the submitter's note
    text before, and 64 zeros in the first.
    """

    log: LogName
    id: RecordId
    at: datetime
    seq: Count
    prev: Digest


ENVELOPE = ("kind", "v", "log", "id", "at", "seq", "prev")


@dataclass(frozen=True)
class Attachment:
    """Names bytes that lie beside the log: their SHA-256 and their number."""

    digest: str
    size: int

    @classmethod
    def of(cls, data: bytes) -> Attachment:
        """Name ``data``."""
        return cls(hashlib.sha256(data).hexdigest(), len(data))

    def __str__(self) -> str:
        return f"attach sha256:{self.digest} {self.size}"


@dataclass(frozen=True)
class Unknown(Kind):
    """A record of a kind that this version does not know: kept, and not judged."""

    kind: ClassVar[str] = ""
    name: str
    value: Mapping[str, Json]


@dataclass(frozen=True)
class Record(Generic[R]):
    """A record as read from its note; the signatures are still to be checked.

    ``submitter`` is the key name on the note's one submitter line, ``text_digest`` the SHA-256 of
    the note's text, which is the record's identity.
    """

    envelope: Envelope
    body: R
    attachments: tuple[Attachment, ...]
    note: Note

    @property
    def text_digest(self) -> str:
        """Return the SHA-256 of the note's text, in hexadecimal."""
        return hashlib.sha256(self.note.text.encode()).hexdigest()

    def form(self) -> Json:
        """Return the note's text, for whole states."""
        return self.note.encoded().decode()

    @classmethod
    def read_form(cls, form: Json, kind: type[Kind]) -> Record[Any]:
        """Read what ``form`` returned of a record of one kind.

        Raises:
            MalformedError: no record of that kind.
        """
        record = parse_as_kind(kind, text_form(form).encode())
        if not isinstance(record.body, kind):
            raise MalformedError(f"form: expected a record of kind {kind.kind!r}")
        return record


def record_text(envelope: Envelope, body: Kind, attachments: tuple[Attachment, ...] = ()) -> str:
    """Write the text that a submitter signs.

    Raises:
        MalformedError: nobody would read it.
    """
    value: dict[str, Json] = {
        "kind": body.kind,
        "v": body.v,
        **written(envelope, "record"),
        **written(body, body.kind),
    }
    return "\n".join([HEADER, *map(str, attachments), canonical(value)]) + "\n"


def parse_attachments(text: str) -> tuple[Attachment, ...]:
    """Read the ``attach`` lines of a record's text; what ledger and archiver need, and no more.

    Raises:
        MalformedError: no record, or more than 8 lines, or a line of another form.
    """
    return _split(text)[0]


@dataclass(frozen=True)
class Outer:
    """A record whose envelope was read and whose own fields were not; ``read_as`` reads them.

    A record that breaks its kind's form still takes its place in its submitter's chain.
    """

    envelope: Envelope
    name: str
    version: int
    own: Mapping[str, Json]
    attachments: tuple[Attachment, ...]
    note: Note

    def unread(self) -> Record[Unknown]:
        """Return the record with its own fields as they stand."""
        return Record(self.envelope, Unknown(self.name, self.own), self.attachments, self.note)

    def read_as(self, form: type[Kind]) -> Record[Any]:
        """Return the record with its own fields read; a record of another kind stays unread.

        Raises:
            MalformedError: the fields are not what the kind has.
        """
        if (self.name, self.version) != (form.kind, form.v):
            return self.unread()
        body = read(form, self.own, self.name)
        return Record(self.envelope, body, self.attachments, self.note)


def parse_as_kind(form: type[Kind], data: bytes) -> Record[Any]:
    """Read a record of one kind, for whoever needs no other; another's body is ``Unknown``.

    Raises:
        MalformedError: not the form of docs/spec/record.md, with the place.
    """
    return parse_outer(data).read_as(form)


def parse_outer(data: bytes) -> Outer:
    """Read a record's envelope, whatever its own fields are.

    Raises:
        MalformedError: no note, no canonical JSON, or not the envelope of docs/spec/record.md.
    """
    if len(data) > NOTE_BYTES_AT_MOST:
        raise MalformedError(
            f"record: {len(data)} bytes, {NOTE_BYTES_AT_MOST} at most", name=ErrorName.TOO_LARGE
        )
    note = Note.parse(data)
    note.check_spelling()
    attachments, line = _split(note.text)
    value = parse_canonical(line, "record")
    if not isinstance(value, Mapping):
        raise MalformedError("record: expected an object")
    missing = [name for name in ENVELOPE if name not in value]
    if missing:
        raise MalformedError(f"record.{missing[0]}: missing", name=ErrorName.MISSING_FIELD)
    envelope = read(
        Envelope, {key: value[key] for key in ENVELOPE if key not in ("kind", "v")}, "record"
    )
    name, version = value["kind"], value["v"]
    if not isinstance(name, str) or type(version) is not int:  # true is an int to isinstance
        raise MalformedError("record.kind: expected a text and a version number")
    own = {key: item for key, item in value.items() if key not in ENVELOPE}
    return Outer(envelope, name, version, MappingProxyType(own), attachments, note)


def _split(text: str) -> tuple[tuple[Attachment, ...], str]:
    lines = text.split("\n")
    if len(lines) < 3 or lines[0] != HEADER or lines[-1]:
        raise MalformedError(f"record: expected {HEADER!r}, attach lines, one line of JSON")
    *named, line = lines[1:-1]
    if len(named) > ATTACHMENTS_AT_MOST:
        raise MalformedError(f"record: more than {ATTACHMENTS_AT_MOST} attach lines")
    attachments = []
    for number, each in enumerate(named, start=2):
        match = _ATTACH.fullmatch(each)
        if not match or int(match[2]) > ATTACHMENT_BYTES_AT_MOST:
            raise MalformedError(
                f"record line {number}: expected 'attach sha256:HEX BYTES', 64 MiB at most"
            )
        attachments.append(Attachment(match[1], int(match[2])))
    return tuple(attachments), line
