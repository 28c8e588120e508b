"""A message as mail over SMTP: TLS is demanded, the Message-ID follows from the key.

A client that knows a Message-ID shows the mail once; references make a thread of a thread. Source:
RFC 5321, RFC 3207 (STARTTLS), RFC 8314 (implicit TLS); docs/reference/alarms.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import logging
import smtplib
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from email.message import EmailMessage
from typing import ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, UnavailableError
from breakglass.monitor.alerts.channel import Message, fields_of, text_of
from breakglass.monitor.alerts.secret_folder import SecretFolder
from breakglass.monitor.alerts.time_limit import cut_off

log = logging.getLogger("breakglass.alarms")
_SUBJECT_AT_MOST = 120
_PORTS = {"smtps": 465, "smtp": 587}


@dataclass(frozen=True)
class SmtpSettings:
    """``[channels.NAME]`` with ``type = "smtp"``: ``server`` is ``secret:NAME``.

    ``mail_to`` are addresses; ``to`` names the people whose own channel it is.
    """

    type: ClassVar[str] = "smtp"
    server: str
    mail_to: tuple[str, ...]
    to: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.mail_to:
            raise ValueError("'mail_to' of a channel of type 'smtp' is empty: nobody is told")

    def channel(self, within: timedelta, secrets: SecretFolder) -> Mail:
        """Make the channel.

        Raises:
            MisconfiguredError: the server is none, or the secret is not there.
        """
        return Mail(MailServer.parse(secrets.value(self.server)), self.mail_to, within)


@dataclass(frozen=True)
class MailServer:
    """Where mail is handed in.

    Attributes:
        host: name or address.
        port: 465 or 587 if nothing is said.
        implicit_tls: ``smtps``; else STARTTLS is demanded, but of a relay on this host.
        user: empty logs nobody in.
        password: of ``user``.
        sender: whose mail it is.
        ca: file of the authority to believe; empty takes those of the system.
    """

    host: str
    port: int
    implicit_tls: bool
    user: str
    password: str
    sender: str
    ca: str

    @classmethod
    def parse(cls, text: str) -> MailServer:
        """Read ``smtps://USER:PASSWORD@HOST:PORT?from=ADDRESS``, or ``smtp://…`` for STARTTLS.

        ``ca=FILE`` may stand behind it; user and password are percent-encoded.

        Raises:
            MisconfiguredError: ``bad_address``; the message quotes nothing of it.
        """
        try:
            parts = urlsplit(text)
            more = parse_qs(parts.query, strict_parsing=True)
            sender = more.pop("from")[0]
            ca = more.pop("ca", [""])[0]
            if parts.scheme not in _PORTS or not parts.hostname or more or "@" not in sender:
                raise ValueError
            port = parts.port or _PORTS[parts.scheme]
        except (ValueError, KeyError) as error:
            raise MisconfiguredError(
                "a mail server is not written as one; not started",
                name=ErrorName.BAD_ADDRESS,
                hint="smtps://USER:PASSWORD@HOST:465?from=breakglass@example.org, or smtp://HOST"
                " for STARTTLS",
            ) from error
        names = [unquote(each or "") for each in (parts.username, parts.password)]
        tls = parts.scheme == "smtps"
        return cls(parts.hostname, port, tls, names[0], names[1], sender, ca)

    @property
    def on_this_host(self) -> bool:
        """Whether nothing leaves this host on the way to it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


class _Session(smtplib.SMTP):
    """A session whose socket can be cut at any time, in a handshake too."""

    def __init__(self, server: MailServer, tls: ssl.SSLContext, within: float) -> None:
        super().__init__(timeout=within)
        self._server = server
        self._tls = tls
        self.open: socket.socket | None = None

    def begin(self) -> None:
        """Connect, go over to TLS, log in. In clear we stay towards this very host alone.

        Raises:
            SMTPException: STARTTLS is not offered, or whoever is on the way took it out; or the
                login was refused.
        """
        server = self._server
        self.connect(server.host, server.port)
        self.ehlo()
        if not server.implicit_tls:
            if self.has_extn("starttls"):
                self._start_tls()
            elif server.user or not server.on_this_host:
                raise smtplib.SMTPNotSupportedError("STARTTLS is not offered")
        if server.user:
            self.login(server.user, server.password)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        self.open = socket.create_connection((host, port), timeout)
        return self._wrapped(self.open) if self._server.implicit_tls else self.open

    def _start_tls(self) -> None:
        code, _ = self.docmd("STARTTLS")
        if code != 220:
            raise smtplib.SMTPNotSupportedError("STARTTLS was refused")
        assert self.sock is not None
        self.sock = self._wrapped(self.sock)
        # What was said in clear counts for nothing (RFC 3207, section 4.2): a new greeting.
        self.file = None
        self.helo_resp = self.ehlo_resp = None
        self.esmtp_features, self.does_esmtp = {}, False
        self.ehlo()

    def _wrapped(self, plain: socket.socket) -> socket.socket:
        made = self._tls.wrap_socket(
            plain, server_hostname=self._server.host, do_handshake_on_connect=False
        )
        self.open = made
        made.do_handshake()
        return made


class Mail:
    """Sends to some addresses by one server.

    Args:
        server: where it is handed in.
        to: the addresses.
        within: for the whole exchange.

    Raises:
        MisconfiguredError: the authority's file cannot be read.
    """

    def __init__(self, server: MailServer, to: Sequence[str], within: timedelta) -> None:
        self._server = server
        self._to = tuple(to)
        self._within = within.total_seconds()
        try:
            self._tls = ssl.create_default_context(cafile=server.ca or None)
        except OSError as error:
            raise MisconfiguredError(
                "the mail server's 'ca' cannot be read; not started", name=ErrorName.BAD_ADDRESS
            ) from error

    def deliver(self, message: Message) -> None:
        """Hand one mail in; heard when the server has taken it for somebody. See ``Channel``."""
        mail = self._mail(message)
        try:
            with self._session() as session:
                refused = session.send_message(mail, self._server.sender, self._to)
        except TimeoutError as error:
            raise UnavailableError(
                f"the mail server did not answer within {self._within:g} s", name=ErrorName.TOO_SLOW
            ) from error
        except (OSError, smtplib.SMTPException, ValueError) as error:
            # What a server says may repeat an address or a name: its code alone is told.
            code = getattr(error, "smtp_code", "")
            raise UnavailableError(
                f"the mail server did not take it: {type(error).__name__} {code}".rstrip(),
                name=ErrorName.NOT_TAKEN,
            ) from error
        if refused:
            # Sent again for them it would come again to all the others, every minute.
            log.warning("mail: %d of %d recipients were refused", len(refused), len(self._to))

    @contextlib.contextmanager
    def _session(self) -> Iterator[smtplib.SMTP]:
        made = _Session(self._server, self._tls, self._within)
        with contextlib.closing(made), cut_off(lambda: made.open, self._within) as late:
            try:
                made.begin()
                yield made
            except (OSError, smtplib.SMTPException) as error:
                if late.is_set():
                    raise TimeoutError from error
                raise

    def _mail(self, message: Message) -> EmailMessage:
        text, told = text_of(message), fields_of(message)
        mail = EmailMessage()
        mail["From"] = self._server.sender
        mail["To"] = ", ".join(self._to)
        mail["Subject"] = text[:_SUBJECT_AT_MOST]
        mail["Message-ID"] = self._id(message.key, told)
        mail["References"] = self._id(f"thread {message.thread}", told)
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday note answers it
        mail.set_content(f"{text}\n\nthread {message.thread}\nkey {message.key}\n")
        return mail

    def _id(self, key: str, told: dict[str, str]) -> str:
        made = hashlib.sha256(f"{told.get('log', '')}\n{key}".encode()).hexdigest()[:32]
        return f"<{made}@{self._server.sender.rpartition('@')[2]}>"
