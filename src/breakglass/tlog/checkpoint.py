"""Checkpoints: the signed head of a log.

Source: C2SP tlog-checkpoint v1.0.0. Stricter than it in two ways: no extension lines, since
witnesses do not vouch for them; and the log's key is named as its origin, always.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, MisconfiguredError, UnprovenError
from breakglass.tlog.merkle import HASH_BYTES
from breakglass.tlog.note import Note, Signer, VerifierKey, sign_note, verified_lines
from breakglass.tlog.spelling import MAX_NUMBER, exact_base64, exact_decimal, print_base64

# One line: no control characters, and no half characters that UTF-8 cannot hold.
_ORIGIN = re.compile("[^\x00-\x1f\ud800-\udfff]+")


@dataclass(frozen=True)
class Checkpoint:
    """What a log says of itself: its name, how many entries it has, and their root.

    >>> from breakglass.tlog.merkle import EMPTY_ROOT
    >>> print(Checkpoint("ledger.example/a", 0, EMPTY_ROOT).text, end="")
    ledger.example/a
    0
    47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=

    Attributes:
        origin: the log's name, unique and for ever; one line, not empty.
        size: entries in the tree, up to 2^63-1.
        root: root hash of that tree, 32 bytes.
    """

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        if not _ORIGIN.fullmatch(self.origin):
            raise MalformedError(
                f"checkpoint: {self.origin[:60]!r} is not an origin", name=ErrorName.BAD_CHECKPOINT
            )
        if not 0 <= self.size <= MAX_NUMBER:
            raise MalformedError(
                f"checkpoint: no tree of size {self.size}", name=ErrorName.BAD_CHECKPOINT
            )
        if len(self.root) != HASH_BYTES:
            raise MalformedError(
                f"checkpoint: the root has {HASH_BYTES} bytes, got {len(self.root)}",
                name=ErrorName.BAD_CHECKPOINT,
            )

    @property
    def text(self) -> str:
        """The text that is signed; there is one for each checkpoint."""
        return f"{self.origin}\n{self.size}\n{print_base64(self.root)}\n"

    @classmethod
    def parse_text(cls, text: str) -> Checkpoint:
        """Read the text of a head's note; ``text`` gives it back unchanged.

        Raises:
            MalformedError: ``bad_checkpoint``; not three lines, or a second spelling of a number
                or a root.
        """
        lines = text.split("\n")
        if len(lines) != 4 or lines[3]:
            what = "extension lines" if len(lines) > 4 and not lines[-1] else "another form"
            raise MalformedError(
                f"checkpoint of {what}: expected origin, size and root, each with a line feed",
                name=ErrorName.BAD_CHECKPOINT,
            )
        size = exact_decimal(lines[1], "checkpoint: tree size", ErrorName.BAD_CHECKPOINT)
        return cls(
            lines[0], size, exact_base64(lines[2], "checkpoint: root", ErrorName.BAD_CHECKPOINT)
        )


def sign_checkpoint(checkpoint: Checkpoint, *signers: Signer) -> Note:
    """Sign a head as its log. Whether the log may sign it (never two histories) is the caller's.

    Args:
        checkpoint: the head.
        signers: the log's key; and the one that is to follow it, while both are believed.

    Raises:
        MisconfiguredError: ``wrong_origin``; the key is named otherwise than the log.
    """
    for signer in signers:
        if signer.name != checkpoint.origin:
            raise MisconfiguredError(
                f"key {signer.name!r} cannot sign heads of {checkpoint.origin!r}",
                name=ErrorName.WRONG_ORIGIN,
            )
    return sign_note(checkpoint.text, *signers)


def parse_checkpoint(data: bytes) -> tuple[Checkpoint, Note]:
    """Read a head as served; no signature is checked.

    Raises:
        MalformedError: ``bad_note`` or ``bad_checkpoint``.
    """
    note = Note.parse(data)
    return Checkpoint.parse_text(note.text), note


def check_log_signature(checkpoint: Checkpoint, note: Note, keys: Iterable[VerifierKey]) -> None:
    """Check that a head is signed by one of its own log's keys.

    Args:
        checkpoint: read from ``note``.
        note: the head's note.
        keys: keys of logs that are believed. During a change of keys two have one name; either
            will do, but a line of either that does not hold rejects the head.

    Raises:
        UnprovenError: ``unknown_log`` if no key is named as the origin; ``log_signature`` if none
            of those signed, or the line of one does not hold.
    """
    own = [key for key in keys if key.name == checkpoint.origin]
    if not own:
        raise UnprovenError(
            f"no key of a log {checkpoint.origin!r} is known", name=ErrorName.UNKNOWN_LOG
        )
    try:
        verified_lines(note, own)
    except UnprovenError as error:
        raise UnprovenError(
            f"head of {checkpoint.origin!r} at size {checkpoint.size}: {error}",
            name=ErrorName.LOG_SIGNATURE,
        ) from error
