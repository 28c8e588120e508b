"""Signed notes: a text, and signature lines under it.

Source: C2SP signed-note v1.0.0. Which key means what is the caller's to know.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, UnprovenError
from breakglass.tlog.key import (
    COSIGNATURE,
    ECDSA,
    ED25519,
    ML_DSA_44,
    OTHER,
    VerifierKey,
    check_key_name,
    check_signature,
)
from breakglass.tlog.signature_line import SignatureLine, parse_signature_lines
from breakglass.tlog.signer import Signer, SignerKey

__all__ = [
    "COSIGNATURE",
    "ECDSA",
    "ED25519",
    "MAX_LINES",
    "MAX_NOTE_BYTES",
    "ML_DSA_44",
    "OTHER",
    "Note",
    "SignatureLine",
    "Signer",
    "SignerKey",
    "VerifierKey",
    "check_key_name",
    "check_signature",
    "parse_signature_lines",
    "sign_note",
    "verified_lines",
]

MAX_NOTE_BYTES = 64 * 1024
MAX_LINES = 100  # as Go's reader has it; each line of a known key costs a verification

# Control characters but the line feed, and half characters that UTF-8 cannot hold.
_UNWRITABLE = re.compile("[\x00-\x09\x0b-\x1f\ud800-\udfff]")


@dataclass(frozen=True)
class Note:
    """A text with at least one signature line; nothing in it is checked yet.

    Attributes:
        text: what is signed, with its final line feed.
        lines: the signature lines, in order.
    """

    text: str
    lines: tuple[SignatureLine, ...]

    def __post_init__(self) -> None:
        if not self.text.endswith("\n"):
            raise MalformedError(
                "note: the text does not end in a line feed", name=ErrorName.BAD_NOTE
            )
        if unwritable := _UNWRITABLE.search(self.text):
            raise MalformedError(
                f"note: character U+{ord(unwritable[0]):04X} in the text", name=ErrorName.BAD_NOTE
            )
        if not 1 <= len(self.lines) <= MAX_LINES:
            raise MalformedError(
                f"note: {len(self.lines)} signature lines, expected 1 to {MAX_LINES}",
                name=ErrorName.BAD_NOTE,
            )

    def encoded(self) -> bytes:
        """Write the note as it is sent and stored.

        Raises:
            MalformedError: ``bad_note``; longer than 64 KiB, so that nobody would read it.
        """
        data = (self.text + "\n" + "".join(map(str, self.lines))).encode()
        _check_length(data)
        return data

    @classmethod
    def parse(cls, data: bytes) -> Note:
        """Read a note; ``encoded`` gives the same bytes back.

        Raises:
            MalformedError: ``bad_note``; longer than 64 KiB, not UTF-8, a control character, no
                signature lines or more than 100, or a line of another form.
        """
        _check_length(data)
        try:
            whole = data.decode()
        except UnicodeDecodeError as error:
            raise MalformedError(
                f"note: not UTF-8 at byte {error.start}", name=ErrorName.BAD_NOTE
            ) from error
        # The last empty line separates: the text may hold empty lines of its own.
        text, gap, lines = whole.rpartition("\n\n")
        if not gap:
            raise MalformedError("note: no empty line before signatures", name=ErrorName.BAD_NOTE)
        return cls(text + "\n", parse_signature_lines(lines))

    def check_spelling(self) -> None:
        """Refuse a note with a signature line that can be written otherwise.

        A head is kept as whoever cosigned it wrote it. In a record, card or trust file two
        spellings of one line would be two leaves and two digests of one text, and whoever carries
        the note, without any key, would choose.

        Raises:
            MalformedError: ``bad_note``; stray low bits in a line's base64.
        """
        for line in self.lines:
            if line.spelling:
                raise MalformedError(
                    f"note: the line of {line.name!r} is in a second spelling",
                    name=ErrorName.BAD_NOTE,
                )

    def with_lines(self, *lines: SignatureLine) -> Note:
        """Return this note with more lines; one that already exists is not repeated."""
        return Note(self.text, tuple(dict.fromkeys((*self.lines, *lines))))


def sign_note(text: str, *signers: Signer) -> Note:
    """Sign ``text`` with Ed25519 keys, one line each.

    Args:
        text: ends in a line feed.
        signers: keys of kind ``ED25519``.

    Raises:
        MalformedError: ``bad_note``; the text cannot stand in a note.
        MisconfiguredError: ``wrong_key_kind``; a key of another kind.
    """
    return Note(text, tuple(signer.sign(text) for signer in signers))


def verified_lines(
    note: Note, keys: Iterable[VerifierKey]
) -> tuple[tuple[VerifierKey, SignatureLine], ...]:
    """Return the lines that ``keys`` made over the note's text, in the note's order.

    Knows Ed25519 (0x01) only: keys of other kinds are passed over, as their signatures are over
    other bytes. Cosignatures are for ``cosignature.cosignatures``.

    Args:
        note: any note.
        keys: the keys to believe; a line of no such name and key id is ignored.

    Returns:
        one pair for each key that signed, however often its line stands there.

    Raises:
        UnprovenError: ``signature`` if a line of a known key does not hold, whatever the others
            say; ``unsigned`` if none is by a known key; ``ambiguous_key`` if two of ``keys`` have
            one name and key id.
    """
    known: dict[tuple[str, bytes], VerifierKey] = {}
    for key in keys:
        if known.setdefault((key.name, key.key_id), key) is not key:
            raise UnprovenError(f"two keys are named {key.label!r}", name=ErrorName.AMBIGUOUS_KEY)
    found: dict[VerifierKey, SignatureLine] = {}
    message = note.text.encode()
    for line in dict.fromkeys(note.lines):
        signer = known.get((line.name, line.key_id))
        if signer is not None and signer.kind == ED25519:
            check_signature(signer, message, line.signature)
            found.setdefault(signer, line)
    if not found:
        names = ", ".join(repr(name) for name, _ in known) or "nobody"
        raise UnprovenError(
            f"note is not signed by a known key: wanted {names}", name=ErrorName.UNSIGNED
        )
    return tuple(found.items())


def _check_length(data: bytes) -> None:
    if len(data) > MAX_NOTE_BYTES:
        raise MalformedError(
            f"note of {len(data)} bytes, at most {MAX_NOTE_BYTES} are read", name=ErrorName.BAD_NOTE
        )
