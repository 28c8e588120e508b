"""One signature line of a note.

Source: C2SP signed-note v1.0.0, «Format».
"""

from __future__ import annotations

from dataclasses import dataclass, field

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError
from breakglass.tlog.key import KEY_ID_BYTES, check_key_name
from breakglass.tlog.spelling import any_base64, print_base64

_DASH = "\u2014 "


@dataclass(frozen=True)
class SignatureLine:
    """Says that the key of this name and id made this signature; nothing is checked yet.

    Attributes:
        name: key name, without spaces and ``+``.
        key_id: 4 bytes that tell keys of one name apart; not a fingerprint to trust.
        signature: what the key's kind makes of the text; for a cosignature it begins with a time.
        spelling: the base64 as it was read, where we would write it otherwise, so that a note
            that is read and written keeps its bytes.
    """

    name: str
    key_id: bytes
    signature: bytes
    spelling: str = field(default="", repr=False)

    @property
    def label(self) -> str:
        """Which key it says it is of: name and key id, as ``VerifierKey.label``."""
        return f"{self.name}+{self.key_id.hex()}"

    def __post_init__(self) -> None:
        check_key_name(self.name, ErrorName.BAD_NOTE)
        if len(self.key_id) != KEY_ID_BYTES or not self.signature:
            raise MalformedError(
                f"signature line of {self.name!r}: wanted a key id of {KEY_ID_BYTES} bytes and a"
                f" signature, got {len(self.key_id)} and {len(self.signature)} bytes",
                name=ErrorName.BAD_NOTE,
            )

    def __str__(self) -> str:
        """Write the line with its line feed."""
        spelling = self.spelling or print_base64(self.key_id + self.signature)
        return f"{_DASH}{self.name} {spelling}\n"

    @classmethod
    def parse(cls, line: str) -> SignatureLine:
        """Read one line, given without its line feed.

        Raises:
            MalformedError: ``bad_note``; of another form.
        """
        name, gap, blob = line.removeprefix(_DASH).partition(" ")
        if not line.startswith(_DASH) or not gap:
            raise MalformedError(f"not a signature line: {line[:60]!r}", name=ErrorName.BAD_NOTE)
        data = any_base64(blob, f"signature line of {name[:60]!r}", ErrorName.BAD_NOTE)
        spelling = "" if print_base64(data) == blob else blob
        return cls(name, data[:KEY_ID_BYTES], data[KEY_ID_BYTES:], spelling)


def parse_signature_lines(text: str) -> tuple[SignatureLine, ...]:
    """Read the block under a note, or a witness's whole answer: lines, each with its line feed.

    Raises:
        MalformedError: ``bad_note``; no line, a last line without its line feed, or another form.
    """
    *lines, rest = text.split("\n")
    if rest or not lines:
        raise MalformedError("signature lines do not end in a line feed", name=ErrorName.BAD_NOTE)
    return tuple(SignatureLine.parse(line) for line in lines)
