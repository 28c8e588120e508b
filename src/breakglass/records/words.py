"""Which texts may stand in a record: names, digests, and what people type."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Annotated

from breakglass.errors import MalformedError


@dataclass(frozen=True)
class Pattern:
    """A text that must match a whole regular expression."""

    says: str
    expression: str

    def check(self, text: str, where: str) -> None:
        """Refuse ``text`` unless all of it matches.

        Raises:
            MalformedError: with the place and what was expected.
        """
        if not re.fullmatch(self.expression, text, re.ASCII):
            raise MalformedError(f"{where}: expected {self.says}, got {text[:60]!r}")


@dataclass(frozen=True)
class Prose:
    """What a person typed: one line, no character that hides or reorders others.

    Source: Unicode UAX 9 (bidirectional controls), UTR 36 section 3.
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
        for position, char in enumerate(text):
            # Cf holds the bidirectional controls, joiners and tags; Zl and Zp are U+2028, U+2029.
            if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}:
                raise MalformedError(
                    f"{where}: character U+{ord(char):04X} at position {position} is not allowed",
                    name="bad_text",
                    hint="type the text again by hand; a copied one may carry invisible characters",
                )


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
Nonce = Annotated[str, Pattern("32 lower-case hexadecimal digits", r"[0-9a-f]{32}")]
GrantId = Annotated[str, Pattern("a grant id such as g-7kq3m2x4p5ab", r"g-[a-z2-7]{12}")]
RecordId = Annotated[str, Pattern("a record id", r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}")]
LogName = Annotated[str, Pattern("a log's origin", r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}")]
Code = Annotated[str, Pattern("a coded word", r"[a-z][a-z0-9_-]{0,62}")]
Severity = Annotated[str, Pattern("a severity such as SEV1", r"[A-Z][A-Z0-9]{0,15}")]
Base64 = Annotated[
    str, Pattern("padded base64", r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
]
SshKey = Annotated[
    str,
    Pattern(
        "an SSH public key without a comment",
        r"(ssh-ed25519|sk-ssh-ed25519@openssh\.com) [A-Za-z0-9+/]{20,800}={0,2}",
    ),
]
MaybeSshKey = Annotated[
    str,
    Pattern(
        "an SSH public key without a comment, or nothing",
        r"((ssh-ed25519|sk-ssh-ed25519@openssh\.com) [A-Za-z0-9+/]{20,800}={0,2})?",
    ),
]
Line = Annotated[str, Prose(500)]
"""Free text on one line, possibly empty."""
Reason = Annotated[str, Prose(500, 1)]
Word = Annotated[str, Prose(200)]


ZERO_DIGEST = "0" * 64
"""Stands for «no earlier note» in the first record of a submitter."""
