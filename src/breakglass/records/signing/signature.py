"""Who signed a text, with what: how a person's signature stands inside records and notes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from breakglass.canonical import utf8
from breakglass.error_names import ErrorName
from breakglass.errors import UnprovenError
from breakglass.records.encoding.text_types import Base64
from breakglass.records.signing.passkey import Assertion, PasskeyKey, PasskeySignature
from breakglass.records.signing.person_key import parse_person_key
from breakglass.records.signing.sshsig import SshPublicKey, SshSignature
from breakglass.tlog.note import Note, SignatureLine
from breakglass.tlog.spelling import exact_base64

STATEMENT_NAMESPACE = "breakglass-statement@v1"
CARD_NAMESPACE = "breakglass-card@v1"
TRUST_NAMESPACE = "breakglass-trust@v1"
POLICY_NAMESPACE = "breakglass-policy@v1"
PRESENTATION_NAMESPACE = "breakglass-token@v1"
SESSION_NAMESPACE = "breakglass-session@v1"
ME_NAMESPACE = "breakglass-me@v1"

_LINE_TYPE = b"\xffsshsig@breakglass.dev\n"

_HEADERS = {
    STATEMENT_NAMESPACE: "breakglass.dev/statement/v1\n",
    CARD_NAMESPACE: "breakglass.dev/card/v1\n",
    TRUST_NAMESPACE: "breakglass.dev/trust/v1\n",
    POLICY_NAMESPACE: "breakglass.dev/policy/v1\n",
    PRESENTATION_NAMESPACE: "breakglass.dev/presentation/v1\n",
    SESSION_NAMESPACE: "breakglass.dev/session/v1\n",
    ME_NAMESPACE: "breakglass.dev/me/v1\n",
}
"""How a text signed in each namespace begins: a passkey has no namespace but the text's own."""


class Factor(StrEnum):
    """How strongly a person was there (DESIGN.md section 3, factor classes)."""

    ONE = "one"  # a software key: one factor
    TWO = "two"  # a security key that was touched; a passkey that lives in a cloud account
    PHISHING_RESISTANT = "phishing_resistant"  # hardware that verified its user

    def meets(self, least: Factor) -> bool:
        """Say whether this factor is at least as strong as ``least``."""
        order = list(Factor)
        return order.index(self) >= order.index(least)


@dataclass(frozen=True)
class Signed:
    """A text that a person signed with an SSH key; ``sshsig`` is the blob, in base64."""

    text: str
    sshsig: Base64


@dataclass(frozen=True)
class SignedByPasskey:
    """A text that a person signed with a passkey."""

    text: str
    passkey: Assertion


Signature = Signed | SignedByPasskey


def verify_signature(signed: Signature, keys: Iterable[str], namespace: str) -> Factor:
    """Check that one of ``keys`` signed the text for this purpose, and say how strongly.

    Args:
        signed: the text with its signature.
        keys: the person's keys, one line each: of an SSH type, or ``passkey HOST[:PORT] KEY``.
        namespace: one of the namespaces above; the text must begin as texts of it do.

    Raises:
        MalformedError: the signature or a key is not in a form that we read.
        UnprovenError: ``foreign_key`` if none of the keys made it, ``namespace``, ``presence`` or
            ``signature``; of several passkeys, what the last one gave.

    Source: docs/spec/statement.md, S-11 to S-16, in the order given there.
    """
    message = utf8(signed.text)
    if not signed.text.startswith(_HEADERS[namespace]):
        raise UnprovenError(
            f"a text signed for {namespace!r} begins {_HEADERS[namespace].strip()!r}",
            name=ErrorName.NAMESPACE,
        )
    if isinstance(signed, Signed):
        return _verify_ssh(signed, message, keys, namespace)
    return _verify_passkey(signed, message, keys)


def _verify_ssh(signed: Signed, message: bytes, keys: Iterable[str], namespace: str) -> Factor:
    blob = exact_base64(signed.sshsig, "SSH signature", ErrorName.BAD_SSHSIG)
    signature = SshSignature.parse(blob)
    if signature.key not in _ssh_keys(keys):
        raise UnprovenError("signed by a key that is not this person's", name=ErrorName.FOREIGN_KEY)
    signature.verify(message, namespace)
    return factor_of(signature)


def _verify_passkey(signed: SignedByPasskey, message: bytes, keys: Iterable[str]) -> Factor:
    assertion = PasskeySignature.parse(signed.passkey)
    refusal = UnprovenError("signed by a passkey; this person has none", name=ErrorName.FOREIGN_KEY)
    read = [parse_person_key(key) for key in keys]
    for key in [key for key in read if isinstance(key, PasskeyKey)]:
        try:
            assertion.verify(message, key)
        except UnprovenError as error:
            refusal = error
        else:
            return Factor.TWO if assertion.backup_eligible else Factor.PHISHING_RESISTANT
    raise refusal


def factor_of(signature: SshSignature) -> Factor:
    """Class a checked SSH signature by its key and by what the key says of the person."""
    if not signature.key.hardware:
        return Factor.ONE
    return Factor.PHISHING_RESISTANT if signature.verified else Factor.TWO


def person_line(name: str, blob: bytes) -> SignatureLine:
    """Make the note signature line (type 0xff) that holds a person's SSHSIG.

    Args:
        name: the person's handle, as the trust file or bundle gives it.
        blob: an SSHSIG over the note's text.

    Raises:
        MalformedError: ``bad_sshsig`` or ``bad_ssh_key``; no verifier would read it.
    """
    return SignatureLine(name, line_key_id(name, SshSignature.parse(blob).key), blob)


def line_key_id(name: str, key: SshPublicKey) -> bytes:
    """Return the key id of a person's note line.

    Source: C2SP signed-note, «key ID»: type 0xff is followed by an identifier of our own.
    """
    return hashlib.sha256(name.encode() + b"\n" + _LINE_TYPE + key.blob).digest()[:4]


def people_who_signed(
    note: Note, people: Mapping[str, Iterable[str]], namespace: str
) -> dict[str, Factor]:
    """Return who of ``people`` signed ``note``, each with their strongest factor.

    Lines of unknown names and keys are passed over, as in every signed note. A name counts once:
    a line that stands twice, and one by a second key, add nothing. Two names that hold one key
    count as one person: the first in the note. One key is one point on the curve, whatever the
    line around it says.

    Args:
        note: any signed note.
        people: name to keys.
        namespace: what the signatures must be for.

    Raises:
        UnprovenError: a line of a known name and key that does not hold.
        MalformedError: such a line holds no SSHSIG, or any line is in a second spelling
            (``bad_note``).
    """
    note.check_spelling()
    found: dict[str, Factor] = {}
    used: set[bytes] = set()
    for line in dict.fromkeys(note.lines):
        theirs = _ssh_keys(people.get(line.name, ()))
        keys = [key for key in theirs if line.key_id == line_key_id(line.name, key)]
        if not keys:
            continue
        signature = SshSignature.parse(line.signature)
        if signature.key not in keys:
            raise UnprovenError(
                f"the line of {line.name!r} is by another key", name=ErrorName.SIGNATURE
            )
        signature.verify(note.text.encode(), namespace)
        factor = factor_of(signature)
        if signature.key.point in used and line.name not in found:
            continue
        used.add(signature.key.point)
        if line.name not in found or factor.meets(found[line.name]):
            found[line.name] = factor
    return found


def _ssh_keys(keys: Iterable[str]) -> list[SshPublicKey]:
    return [key for key in map(parse_person_key, keys) if isinstance(key, SshPublicKey)]
