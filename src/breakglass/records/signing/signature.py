"""Who signed a text, with what: how a person's signature stands inside records and notes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from breakglass.canonical import utf8
from breakglass.errors import MalformedError, UnprovenError
from breakglass.records.encoding.text_types import Base64
from breakglass.records.signing.passkey import Assertion, PasskeyKey, verify_assertion
from breakglass.records.signing.sshsig import SshPublicKey, SshSignature, verify_sshsig
from breakglass.tlog.note import Note, SignatureLine
from breakglass.tlog.spelling import exact_base64

STATEMENT_NAMESPACE = "breakglass-statement@v1"
CARD_NAMESPACE = "breakglass-card@v1"
TRUST_NAMESPACE = "breakglass-trust@v1"
POLICY_NAMESPACE = "breakglass-policy@v1"
DOOR_NAMESPACE = "breakglass-door@v1"
PRESENTATION_NAMESPACE = "breakglass-token@v1"

_LINE_TYPE = b"\xffsshsig@breakglass.dev\n"

_HEADERS = {
    STATEMENT_NAMESPACE: "breakglass.dev/statement/v1\n",
    CARD_NAMESPACE: "breakglass.dev/card/v1\n",
    TRUST_NAMESPACE: "breakglass.dev/trust/v1\n",
    POLICY_NAMESPACE: "breakglass.dev/policy/v1\n",
    DOOR_NAMESPACE: "breakglass.dev/record/v1\n",
    PRESENTATION_NAMESPACE: "breakglass.dev/presentation/v1\n",
}
"""How a text signed in each namespace begins: a passkey has no namespace but the text's own."""


class Factor(StrEnum):
    """How strongly a person was there (DESIGN.md section 3, factor classes)."""

    ONE = "one"  # a software key: one factor
    TWO = "two"  # a security key that was touched
    PHISHING_RESISTANT = "phishing_resistant"  # a security key or passkey that verified its user

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
        keys: the person's keys, one line each: ``ssh-ed25519 …``, ``sk-ssh-ed25519@openssh.com …``
            or ``passkey DOMAIN KEY``.
        namespace: one of the namespaces above; the text must begin as texts of it do.

    Raises:
        MalformedError: the signature is not in a form that we read.
        UnprovenError: ``foreign_key`` if none of the keys made it, ``namespace``, ``presence`` or
            ``signature``.
    """
    message = utf8(signed.text)
    if not signed.text.startswith(_HEADERS[namespace]):
        raise UnprovenError(
            f"a text signed for {namespace!r} begins {_HEADERS[namespace].strip()!r}",
            name="namespace",
        )
    if isinstance(signed, Signed):
        blob = exact_base64(signed.sshsig, "SSH signature", "bad_sshsig")
        if sshsig_key(blob) not in _ssh_keys(keys):
            raise UnprovenError("signed by a key that is not this person's", name="foreign_key")
        return factor_of(verify_sshsig(blob, message, namespace))
    passkeys = [PasskeyKey.parse(key) for key in keys if key.startswith("passkey ")]
    if not passkeys:
        raise UnprovenError("signed by a passkey; this person has none", name="foreign_key")
    refusals = []
    for key in passkeys:
        try:
            verify_assertion(signed.passkey, message, key)
        except UnprovenError as error:
            refusals.append(error)
        else:
            return Factor.PHISHING_RESISTANT
    raise refusals[-1]


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
    """
    key = sshsig_key(blob)
    return SignatureLine(name, line_key_id(name, key), blob)


def line_key_id(name: str, key: SshPublicKey) -> bytes:
    """Return the key id of a person's note line.

    Source: C2SP signed-note, «key ID»: type 0xff is followed by an identifier of our own.
    """
    return hashlib.sha256(name.encode() + b"\n" + _LINE_TYPE + key.blob).digest()[:4]


def sshsig_key(blob: bytes) -> SshPublicKey:
    """Return the public key that a signature claims to be by; nothing is checked yet.

    Raises:
        MalformedError: not an SSHSIG.
    """
    # 6 bytes of magic, 4 of version, then the key as a length-prefixed string.
    length = int.from_bytes(blob[10:14], "big")
    if blob[:6] != b"SSHSIG" or len(blob) < 14 + length:
        raise MalformedError("not an SSH signature", name="bad_sshsig")
    return SshPublicKey.from_blob(blob[14 : 14 + length])


def people_who_signed(
    note: Note, people: Mapping[str, Iterable[str]], namespace: str
) -> dict[str, Factor]:
    """Return who of ``people`` signed ``note``, each with their strongest factor.

    Lines of unknown names and keys are passed over, as in every signed note. Two names that
    hold one key count as one person: the first in the note. One key is one point on the curve,
    whatever the line around it says.

    Args:
        note: any signed note.
        people: name to keys.
        namespace: what the signatures must be for.

    Raises:
        UnprovenError: a line of a known name and key that does not hold.
        MalformedError: such a line holds no SSHSIG.
    """
    found: dict[str, Factor] = {}
    used: set[bytes] = set()
    for line in dict.fromkeys(note.lines):
        theirs = _ssh_keys(people.get(line.name, ()))
        keys = [key for key in theirs if line.key_id == line_key_id(line.name, key)]
        if not keys:
            continue
        signature = verify_sshsig(line.signature, note.text.encode(), namespace)
        if signature.key not in keys:
            raise UnprovenError(f"the line of {line.name!r} is by another key", name="signature")
        factor = factor_of(signature)
        if signature.key.point in used and line.name not in found:
            continue
        used.add(signature.key.point)
        if line.name not in found or factor.meets(found[line.name]):
            found[line.name] = factor
    return found


def key_identity(text: str) -> bytes:
    """Return what makes two spellings of a key one key: its point on the curve.

    Raises:
        MalformedError: the text is no key that we read.
    """
    if text.startswith("passkey "):
        return PasskeyKey.parse(text).public
    return SshPublicKey.parse(text).point


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
                    name="shared_key",
                )
            owners[identity] = name


def _ssh_keys(keys: Iterable[str]) -> list[SshPublicKey]:
    return [SshPublicKey.parse(key) for key in keys if not key.startswith("passkey ")]
