"""Which texts may stand in a record: names, digests, and what people type."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError

# The ranges are written out, since a Unicode category changes with Python's version, and two
# parties that fold one log must agree for ever. Source: Unicode 15, «Default_Ignorable_Code_Point»
# (UAX 44), bidirectional controls (UAX 9), UTR 36 section 3; docs/spec/statement.md, «prose».
_UNSEEN_RANGES = (
    (0x0000, 0x001F),  # control
    (0x007F, 0x009F),  # control
    (0x00AD, 0x00AD),  # soft hyphen
    (0x034F, 0x034F),  # grapheme joiner
    (0x061C, 0x061C),  # bidirectional mark
    (0x115F, 0x1160),  # Hangul fillers
    (0x17B4, 0x17B5),  # Khmer inherent vowels
    (0x180B, 0x180F),  # Mongolian selectors
    (0x200B, 0x200F),  # zero width; bidirectional marks
    (0x2028, 0x202E),  # line and paragraph separators; bidirectional embeddings
    (0x2060, 0x206F),  # joiners, isolates, deprecated controls
    (0x3164, 0x3164),  # Hangul filler
    (0xD800, 0xF8FF),  # surrogates, private use
    (0xFDD0, 0xFDEF),  # never characters
    (0xFE00, 0xFE0E),  # variation selectors, but U+FE0F, which phones put behind an emoji
    (0xFEFF, 0xFEFF),  # byte order mark
    (0xFFA0, 0xFFA0),  # halfwidth filler
    (0xFFF0, 0xFFFB),  # annotation controls
    (0xFFFE, 0xFFFF),  # never characters
    (0x1BCA0, 0x1BCA3),  # shorthand controls
    (0x1D173, 0x1D17A),  # musical controls
    *((plane + 0xFFFE, plane + 0xFFFF) for plane in range(0x10000, 0xE0000, 0x10000)),
    (0xE0000, 0x10FFFF),  # tags, selectors, private use
)
_UNSEEN = re.compile(
    "[" + "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in _UNSEEN_RANGES) + "]"
)


@dataclass(frozen=True)
class Pattern:
    """A text that must match a whole regular expression."""

    says: str
    expression: str

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.expression, re.ASCII)

    def check(self, text: str, where: str) -> None:
        """Refuse ``text`` unless all of it matches.

        Raises:
            MalformedError: with the place and what was expected.
        """
        if not self._compiled.fullmatch(text):
            raise MalformedError(f"{where}: expected {self.says}, got {text[:60]!r}")


@dataclass(frozen=True)
class Prose:
    """What a person typed: one line, no character that hides or reorders others.

    Length is counted in code points. Where something is asked for, spaces alone are nothing.
    """

    most_characters: int
    least_characters: int = 0

    def check(self, text: str, where: str) -> None:
        """Refuse control, line-separating, bidirectional and invisible characters.

        Raises:
            MalformedError: with the place and the code point.
        """
        if not self.least_characters <= len(text) <= self.most_characters:
            raise MalformedError(
                f"{where}: expected {self.least_characters} to {self.most_characters} characters,"
                f" got {len(text)}"
            )
        if self.least_characters and not text.strip(" "):
            raise MalformedError(f"{where}: expected some words, got spaces alone")
        if found := _UNSEEN.search(text):
            raise MalformedError(
                f"{where}: {_named(found[0])} at position {found.start()} is not allowed",
                name=ErrorName.BAD_TEXT,
                hint="type the text again by hand; a copied one may carry invisible characters",
            )


_NAMES = {
    "\n": "a line break",
    "\r": "a carriage return",
    "\t": "a tab",
    "\x1b": "an escape character",
}


def _named(character: str) -> str:
    """Name a character that nobody can see.

    >>> _named("\\n"), _named("\\u202e"), _named("\\udcff")
    ('a line break (U+000A)', 'character U+202E', 'a byte that is not UTF-8 (0xFF)')
    """
    if 0xDC80 <= ord(character) <= 0xDCFF:  # how Python holds such a byte, PEP 383
        return f"a byte that is not UTF-8 (0x{ord(character) - 0xDC00:02X})"
    code = f"U+{ord(character):04X}"
    name = _NAMES.get(character)
    return f"{name} ({code})" if name else f"character {code}"


@dataclass(frozen=True)
class ExactBase64:
    """Bytes in the one spelling of padded base64 that RFC 4648 section 4 writes."""

    most_characters: int

    def check(self, text: str, where: str) -> None:
        """Refuse another alphabet, missing padding, stray low bits, or too many characters.

        Raises:
            MalformedError: ``bad_base64``, with the place.
        """
        try:
            fits = (
                len(text) <= self.most_characters
                and base64.b64encode(binascii.a2b_base64(text, strict_mode=True)).decode() == text
            )
        except ValueError:  # binascii.Error is one, and so is a text that is not ASCII
            fits = False
        if not fits:
            raise MalformedError(
                f"{where}: expected padded base64 of at most {self.most_characters} characters",
                name=ErrorName.BAD_BASE64,
            )


def one_line(text: str, most_characters: int = 500) -> str:
    """Make any text fit to stand as a ``Line``: unseen characters become spaces, the rest is cut.

    For what a program says (an error of a platform, a probe's answer); what a person typed is
    refused, never changed.

    >>> one_line("login refused:\\n  role does not exist\\n")
    'login refused: role does not exist'
    """
    return " ".join(_UNSEEN.sub(" ", text).split())[:most_characters]


Handle = Annotated[str, Pattern("a name of a-z, 0-9, '.', '_', '-'", r"[a-z0-9][a-z0-9._-]{0,62}")]
"""A person, group, glass, gate, minter, maintainer or custodian."""
MaybeHandle = Annotated[str, Pattern("a name or nothing", r"([a-z0-9][a-z0-9._-]{0,62})?")]
IncidentId = Annotated[
    str, Pattern("an incident id such as INC-4821", r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
]
MaybeIncidentId = Annotated[
    str, Pattern("an incident id or nothing", r"([A-Za-z0-9][A-Za-z0-9._-]{0,31})?")
]
Digest = Annotated[str, Pattern("64 lower-case hexadecimal digits", r"[0-9a-f]{64}")]
"""SHA-256 of some exact bytes."""
MaybeDigest = Annotated[
    str, Pattern("64 lower-case hexadecimal digits or nothing", r"([0-9a-f]{64})?")
]
Nonce = Annotated[str, Pattern("32 lower-case hexadecimal digits", r"[0-9a-f]{32}")]
GrantId = Annotated[str, Pattern("a grant id such as g-7kq3m2x4p5ab", r"g-[a-z2-7]{12}")]
RecordId = Annotated[str, Pattern("a record id", r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}")]
LogName = Annotated[str, Pattern("a log's origin", r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}")]
Code = Annotated[str, Pattern("a coded word", r"[a-z][a-z0-9_-]{0,62}")]
Severity = Annotated[str, Pattern("a severity such as SEV1", r"[A-Z][A-Z0-9]{0,15}")]
Base64 = Annotated[str, ExactBase64(8192)]
SSH_KEY = (
    r"(ssh-ed25519|sk-ssh-ed25519@openssh\.com|ecdsa-sha2-nistp256"
    r"|sk-ecdsa-sha2-nistp256@openssh\.com) [A-Za-z0-9+/]{20,400}={0,2}"
)
SshKey = Annotated[str, Pattern("an SSH public key without a comment", SSH_KEY)]
"""A maintainer's key; whether the base64 holds a key is for ``person_key.check_keys`` to say."""
HolderKey = Annotated[
    str,
    Pattern("an ssh-ed25519 public key without a comment", r"ssh-ed25519 [A-Za-z0-9+/]{68}"),
]
MaybeHolderKey = Annotated[
    str,
    Pattern("an ssh-ed25519 public key without a comment", r"(ssh-ed25519 [A-Za-z0-9+/]{68})?"),
]
"""A grant's holder key, which credentials are sealed to; empty for a machine."""
Line = Annotated[str, Prose(500)]
"""Free text on one line, possibly empty."""
Reason = Annotated[str, Prose(500, 1)]
Word = Annotated[str, Prose(200)]
Run = Annotated[str, Prose(200, 1)]
"""A run of a gate; an empty one would open every run of a job that forgot to name its own."""


ZERO_DIGEST = "0" * 64
"""Stands for «no earlier note» in the first record of a submitter."""
