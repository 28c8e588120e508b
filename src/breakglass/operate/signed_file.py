"""Signed notes as they lie in files between machines: signed, or not signed by anybody yet."""

from __future__ import annotations

from pathlib import Path

from breakglass.errors import MisconfiguredError
from breakglass.records.trust import HEADER
from breakglass.tlog.note import Note


def read_proposed(file: Path) -> tuple[str, Note | None]:
    """Read what is to be signed: a note, or the text alone.

    Raises:
        MisconfiguredError: it cannot be read.
        MalformedError: it is neither.
    """
    data = _bytes(file)
    if data.startswith(HEADER.encode()) and b"\n\n" not in data:
        return data.decode("utf-8", "replace"), None
    note = Note.parse(data)
    return note.text, note


def read_note(file: Path) -> Note:
    """Read a signed note from a file.

    Raises:
        MisconfiguredError: it cannot be read.
        MalformedError: it is none.
    """
    return Note.parse(_bytes(file))


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise MisconfiguredError(f"{str(file)!r} cannot be read: {error.strerror}") from error
