"""An OpenSSH user certificate of our CA: what it says, and whether that is what the intent says.

Source: PROTOCOL.certkeys of OpenSSH; docs/reference/ssh-hosts.md, «The certificate».
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, RefusedError, UnprovenError
from breakglass.records.grant import serial_of, session_name
from breakglass.records.kinds.intent import Intent
from breakglass.records.platforms import MAY, SOURCE
from breakglass.records.trust import Trust

TYPE = "ssh-ed25519-cert-v01@openssh.com"
BASE64_AT_MOST = 100_000  # an argument of a program may have 128 KiB on Linux
TOKEN = b"token@breakglass.dev"
HANDLES = "bg_"  # how principals of grants begin; nobody else's may
_SOURCE_ADDRESS = b"source-address"
_PTY = b"permit-pty"
_FORWARD = b"permit-port-forwarding"


@dataclass(frozen=True)
class GrantCertificate:
    """A certificate that our CA signed; its signature holds, all else is still to be believed."""

    holder: str
    serial: int
    key_id: str
    principals: tuple[str, ...]
    valid_after: datetime
    valid_before: datetime
    critical: Mapping[bytes, bytes]
    extensions: Mapping[bytes, bytes]

    @property
    def handle(self) -> str:
        """The grant's handle: the one principal.

        Raises:
            RefusedError: it names another number of principals, or an account.
        """
        if len(self.principals) != 1 or not self.principals[0].startswith(HANDLES):
            raise RefusedError(
                f"the certificate names {len(self.principals)} principals, wanted the handle of"
                " one grant",
                name=ErrorName.WRONG_USER,
            )
        return self.principals[0]

    @property
    def token(self) -> bytes:
        """The token that the minter saw.

        Raises:
            RefusedError: ``no_proof``; it carries none.
        """
        found = self.extensions.get(TOKEN)
        if not found:
            raise RefusedError(
                "the certificate carries no token: nothing proves that this is on record",
                name=ErrorName.NO_PROOF,
            )
        return found


def signed_by(line: str, ca: str) -> GrantCertificate | None:
    """Read a certificate; ``None`` where another key than ``ca`` is named as its signer.

    Args:
        line: ``TYPE BASE64``, as sshd has it.
        ca: ``ssh-ed25519 AAAA…``.

    Raises:
        MalformedError: it is no certificate that we read.
        UnprovenError: it names our CA, and that has not signed it.
    """
    if len(line) > BASE64_AT_MOST:
        raise MalformedError(
            f"the certificate has {len(line)} characters, {BASE64_AT_MOST} at most are read",
            name=ErrorName.TOO_LARGE,
        )
    try:
        found = load_ssh_public_identity(line.encode("ascii"))
        if not isinstance(found, SSHCertificate):
            raise MalformedError("a key, and no certificate", name=ErrorName.WRONG_KEY_KIND)
        signer = _line(found.signature_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH))
        holder = _line(found.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH))
    except MalformedError:
        raise
    except Exception as error:
        raise MalformedError(
            "no OpenSSH certificate that we read", name=ErrorName.BAD_SSH_KEY
        ) from error
    if signer != ca:
        return None
    try:
        found.verify_cert_signature()
    except InvalidSignature as error:
        raise UnprovenError(
            "the certificate names our CA, which has not signed it", name=ErrorName.SIGNATURE
        ) from error
    if found.type is not SSHCertificateType.USER:
        raise RefusedError("a host's certificate, no user's", name=ErrorName.WRONG_KIND)
    return GrantCertificate(
        holder,
        found.serial,
        found.key_id.decode("utf-8", "replace"),
        tuple(each.decode("utf-8", "replace") for each in found.valid_principals),
        _moment(found.valid_after),
        _moment(found.valid_before),
        found.critical_options,
        found.extensions,
    )


def check_says(certificate: GrantCertificate, intent: Intent, trust: Trust) -> None:
    """Check that the certificate gives what the intent gives: a stolen CA key adds nothing.

    Raises:
        RefusedError: ``mismatch`` with what differs; ``holder`` for another's key.
    """
    if certificate.holder != " ".join(intent.holder.split()[:2]):
        raise RefusedError(
            "the certificate is over another key than the grant's holder signed with",
            name=ErrorName.HOLDER,
        )
    begins = intent.not_before
    networks = ",".join(intent.scope.get(SOURCE, ()))
    critical = {_SOURCE_ADDRESS: networks.encode()} if networks else {}
    may_forward = "forward" in intent.scope.get(MAY, ())
    allowed = {_PTY, TOKEN} | ({_FORWARD} if may_forward else set())
    for what, holds in (
        ("principal", certificate.principals == (intent.handle,)),
        ("serial", certificate.serial == serial_of(intent.handle)),
        ("key id", certificate.key_id == session_name(intent.incident, intent.who)),
        ("end", certificate.valid_before == intent.not_after.replace(microsecond=0)),
        (
            "begin",
            (begins - trust.skew).replace(microsecond=0) <= certificate.valid_after <= begins,
        ),
        ("critical options", certificate.critical == critical),
        ("extensions", certificate.extensions.keys() <= allowed),
    ):
        if not holds:
            raise RefusedError(
                f"the certificate's {what} is not what intent {intent.grant!r} says",
                name=ErrorName.MISMATCH,
            )


def _line(data: bytes) -> str:
    return " ".join(data.decode("ascii").split()[:2])


def _moment(seconds: int) -> datetime:
    # What ends behind the year 9999 ends never, and is no grant's.
    return datetime.fromtimestamp(min(seconds, 253_402_300_799), UTC)
