"""A person's key as one line of text, and what makes two such lines one key.

The form is frozen: docs/spec/statement.md, S-15 and S-16.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError
from breakglass.records.encoding.text_types import SSH_KEY, Pattern
from breakglass.records.signing.key_types import SOFTWARE_TYPES
from breakglass.records.signing.passkey import PASSKEY, PasskeyKey
from breakglass.records.signing.sshsig import SshPublicKey

PersonKey = Annotated[
    str,
    Pattern(
        "an SSH key or a passkey, without a comment",
        rf"({SSH_KEY}|passkey [a-z0-9.-]{{1,253}}(:[1-9][0-9]{{0,4}})?"
        r" [A-Za-z0-9+/]{20,400}={0,2})",
    ),
]
"""Whether the base64 holds a key is for ``check_keys`` to say."""


def without_comment(text: str) -> str:
    """Return a key's line without the comment behind it, which may hold anything.

    >>> without_comment("ssh-ed25519 AAAA mira@laptop"), without_comment("passkey a.example MFkw x")
    ('ssh-ed25519 AAAA', 'passkey a.example MFkw')
    """
    words = text.split()
    return " ".join(words[: 3 if words[:1] == [PASSKEY.strip()] else 2])


def parse_person_key(text: str) -> SshPublicKey | PasskeyKey:
    """Read a person's key.

    Raises:
        MalformedError: ``bad_ssh_key`` or ``bad_passkey``; the text is no key that we read.
    """
    return PasskeyKey.parse(text) if text.startswith(PASSKEY) else SshPublicKey.parse(text)


def key_identity(text: str) -> bytes:
    """Return what makes two spellings of a key one key: its point on the curve.

    A point of P-256 is one key whether an SSH key, a security key or a passkey holds it.

    Raises:
        MalformedError: the text is no key that we read.
    """
    return parse_person_key(text).point


def is_software_key(text: str) -> bool:
    """Say whether the key is one factor, whatever its signatures say."""
    return text.partition(" ")[0] in SOFTWARE_TYPES


def check_keys(people: Mapping[str, Sequence[str]], what: str) -> None:
    """Refuse a directory where one key is two people's, or stands twice, or is none.

    Else one person could stand as breaker and approver under two names, or one maintainer as two.

    Raises:
        MalformedError: ``shared_key`` with the names, or as ``key_identity``.
    """
    owners: dict[bytes, str] = {}
    for name, keys in people.items():
        for key in keys:
            identity = key_identity(key)
            if identity in owners:
                raise MalformedError(
                    f"{what}: one key stands for {owners[identity]!r} and for {name!r}",
                    name=ErrorName.SHARED_KEY,
                )
            owners[identity] = name
