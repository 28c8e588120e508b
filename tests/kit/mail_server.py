"""A real SMTP server on a free port, with a certificate of its own and switches for trouble."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST, USER, PASSWORD = "localhost", "monitor", "a-mail-password"


class MailServer:
    """Takes mail of who logs in over TLS; ``refuse`` answers 451 to every recipient.

    Args:
        folder: for its certificate.
        tls: ``starttls`` demands it, ``implicit`` begins with it, ``none`` offers none.
    """

    def __init__(self, folder: Path, tls: str = "starttls") -> None:
        self.refuse = False
        self.refused: set[str] = set()
        self.taken: list[tuple[list[str], Message]] = []
        self._tls = tls
        self.ca = folder / "mail-ca.pem"
        context = certificate(self.ca) if tls != "none" else None
        implicit = context if tls == "implicit" else None
        given: dict[str, Any] = {"authenticator": self._knows, "auth_required": tls != "none"}
        if tls == "starttls":
            given |= {"tls_context": context, "require_starttls": True}
        if tls == "implicit":
            given |= {"auth_require_tls": False}  # the whole session is within it
        self._controller = _OnFreePort(
            self, hostname="127.0.0.1", port=0, ssl_context=implicit, ready_timeout=20.0, **given
        )
        self._controller.start()
        self.port: int = self._controller.server.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        """How a monitor's secret names this server."""
        scheme = "smtps" if self._tls == "implicit" else "smtp"
        user = "" if self._tls == "none" else f"{USER}:{PASSWORD}@"
        ca = "" if self._tls == "none" else f"&ca={self.ca}"
        return f"{scheme}://{user}{HOST}:{self.port}?from=breakglass@shop.example{ca}"

    def _knows(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> Any:
        right = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=right)

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        """Take a recipient, or not; what is said repeats the address, as servers do."""
        if self.refuse or address in self.refused:
            return f"451 <{address}>: try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        """Keep a mail."""
        self.taken.append((list(envelope.rcpt_tos), message_from_bytes(envelope.content)))
        return "250 taken"

    def ids(self) -> list[str]:
        """Return the Message-IDs, each once, as a mail client shows them."""
        return list(dict.fromkeys(str(mail["Message-ID"]) for _, mail in self.taken))

    def close(self) -> None:
        """Stop."""
        self._controller.stop()


class _OnFreePort(Controller):
    def factory(self) -> SMTP:
        return SMTP(self.handler, **self.SMTP_kwargs)

    def _trigger_server(self) -> None:
        """Call nobody: the port that was asked for is 0, and another one listens."""
        self.smtpd = self.factory()
        self._factory_invoked.set()


def certificate(path: Path) -> ssl.SSLContext:
    """Make a certificate for ``localhost``, write it for clients, and serve with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    path.write_bytes(made.public_bytes(pem))
    secret = path.with_suffix(".key")
    secret.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, secret)
    return context
