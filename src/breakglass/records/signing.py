"""Who signed a text, with what: how a person's signature stands inside records and notes."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from breakglass.errors import MalformedError, UnprovenError
from breakglass.records.passkey import Assertion, PasskeyKey, verify_assertion
from breakglass.records.sshsig import SshPublicKey, SshSignature, verify_sshsig
from breakglass.records.words import Base64
from breakglass.tlog.note import Note, SignatureLine

STATEMENT_NAMESPACE = "breakglass-statement@v1"
CARD_NAMESPACE = "breakglass-card@v1"
TRUST_NAMESPACE = "breakglass-trust@v1"
POLICY_NAMESPACE = "breakglass-policy@v1"
DOOR_NAMESPACE = "breakglass-door@v1"
PRESENTATION_NAMESPACE = "breakglass-token@v1"

_LINE_TYPE = b"\xffsshsig@breakglass.dev\n"


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
        namespace: one of the namespaces above. A passkey has none: every signed text begins with
            its own kind, so one cannot stand for another.

    Raises:
        MalformedError: the signature is not in a form that we read.
        UnprovenError: none of the keys made it (``foreign_key``), or it does not hold.
    """
    message = signed.text.encode()
    if isinstance(signed, Signed):
        found = verify_sshsig(_decoded(signed.sshsig), message, namespace)
        if str(found.key) not in {_plain(key) for key in keys}:
            raise UnprovenError("signed by a key that is not this person's", name="foreign_key")
        return factor_of(found)
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
    raise refusals[0]


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
    hold one key count as one person: the first in the note.

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
    for line in note.lines:
        keys = [
            key
            for key in map(_ssh_key, people.get(line.name, ()))
            if key and line.key_id == line_key_id(line.name, key)
        ]
        if not keys:
            continue
        signature = verify_sshsig(line.signature, note.text.encode(), namespace)
        if signature.key not in keys:
            raise UnprovenError(f"the line of {line.name!r} is by another key", name="signature")
        factor = factor_of(signature)
        if signature.key.blob in used and line.name not in found:
            continue
        used.add(signature.key.blob)
        if line.name not in found or factor.meets(found[line.name]):
            found[line.name] = factor
    return found


def _ssh_key(text: str) -> SshPublicKey | None:
    return None if text.startswith("passkey ") else SshPublicKey.parse(text)


def _plain(key: str) -> str:
    return " ".join(key.split()[:2])


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedError("SSH signature: base64 is broken", name="bad_base64") from error
