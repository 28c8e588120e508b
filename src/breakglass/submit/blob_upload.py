"""How attachments travel: a permit that the submitter signs, and bytes that never lie in memory.

An upload is ``PUT /attachment/<sha256>`` with the header ``Breakglass-Attach``: base64 of a note,
signed by a submitter of the log, over

```
breakglass.dev/attach/v1
sha256:<hex> <bytes>
```

so the ledger knows whose allowance it is before it reads a byte. Shown again, by whoever saw it, a
permit brings the same bytes again and nothing else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import BinaryIO

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, UnavailableError
from breakglass.http.client import Incoming, Outgoing, Peer
from breakglass.tlog.note import Note, Signer, sign_note

ATTACHMENT_BYTES_AT_MOST = 64 * 1024 * 1024  # DESIGN.md, section 3
PERMIT = "Breakglass-Attach"
PART_BYTES = 256 * 1024
_HEADER = "breakglass.dev/attach/v1"
_TEXT = re.compile(rf"{_HEADER}\nsha256:([0-9a-f]{{64}}) (0|[1-9][0-9]{{0,8}})\n", re.ASCII)
_PERMIT_CHARACTERS_AT_MOST = 2048
_BYTES_A_SECOND = 1024 * 1024  # the slowest line that an attachment is sent over


@dataclass(frozen=True)
class Permit:
    """What a submitter wants to bring; ``note`` is signed, by whom is to be checked."""

    note: Note
    digest: str
    size: int  # bytes


def transfer_within(size: int, answer: timedelta = timedelta(seconds=10)) -> timedelta:
    """Return how long ``size`` bytes may take: a second for each MiB, and the answer's time."""
    return answer + timedelta(seconds=size / _BYTES_A_SECOND)


def signed_permit(digest: str, size: int, signer: Signer) -> str:
    """Return the header's value for ``size`` bytes of SHA-256 ``digest`` (hex)."""
    note = sign_note(f"{_HEADER}\nsha256:{digest} {size}\n", signer)
    return base64.b64encode(note.encoded()).decode()


def read_permit(value: str) -> Permit:
    """Read the header's value; the signature is still to be checked.

    Raises:
        MalformedError: ``no_permit``; missing, or of another form.
    """
    try:
        if not value or len(value) > _PERMIT_CHARACTERS_AT_MOST:
            raise ValueError(f"{len(value)} characters")
        note = Note.parse(base64.b64decode(value, validate=True))
    except (ValueError, binascii.Error, MalformedError) as error:
        raise _no_permit(str(error)) from error
    found = _TEXT.fullmatch(note.text)
    if found is None:
        raise _no_permit("its text is of another form")
    return Permit(note, found[1], int(found[2]))


def file_parts(file: BinaryIO) -> Iterator[bytes]:
    """Read a file from its start, 256 KiB at a time."""
    file.seek(0)
    while part := file.read(PART_BYTES):
        yield part


def measured(file: BinaryIO) -> tuple[str, int]:
    """Return SHA-256 (hex) and number of the bytes of a file, read from its start."""
    sha256, size = hashlib.sha256(), 0
    for part in file_parts(file):
        sha256.update(part)
        size += len(part)
    return sha256.hexdigest(), size


def put_attachment(ledger: Peer, file: BinaryIO, signer: Signer) -> tuple[str, int]:
    """Bring a file into the ledger; returns what the attach line says: SHA-256 and bytes.

    When this returns the bytes are durable in the ledger; again is harmless. They are kept for a
    day, and for good once a record names them.

    Args:
        ledger: where to.
        file: can be read twice, from its start; never lies in memory whole.
        signer: the submitter's key, whose allowance it is.

    Raises:
        BreakglassError: the ledger's refusal, or it is away; nothing counts as stored.
    """
    digest, size = measured(file)
    outgoing = Outgoing(size, lambda: file_parts(file))
    headers = {PERMIT: signed_permit(digest, size, signer)}
    path = f"/attachment/{digest}"
    ledger.send("PUT", path, outgoing, headers=headers, within=transfer_within(size)).checked()
    return digest, size


def get_attachment(ledger: Peer, digest: str, size_at_most: int, into: BinaryIO) -> int:
    """Fetch an attachment into an empty file, checked; returns how many bytes it has.

    After an error the file holds nothing of use.

    Raises:
        BreakglassError: ``not_found``, ``damaged``; or the ledger is away.
        UnavailableError: ``other_bytes``; what came is not what was asked for.
    """
    incoming = Incoming(into, size_at_most)
    within = transfer_within(size_at_most)
    path = f"/attachment/{digest}"
    ledger.send("GET", path, within=within, into=incoming, signed=True).checked()
    found, size = measured(into)
    if found != digest:
        raise UnavailableError(
            f"{ledger.name} gave other bytes for attachment {digest}", name=ErrorName.OTHER_BYTES
        )
    return size


def _no_permit(why: str) -> MalformedError:
    return MalformedError(
        f"header '{PERMIT}' holds no permit: {why[:200]}; nothing was read",
        name=ErrorName.NO_PERMIT,
        hint="an upload is signed by a submitter of this log: docs/reference/ledger.md",
    )
