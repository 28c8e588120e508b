"""Trying a login that must fail, down to the server's own code for its refusal.

libpq tells a refusal in words, and the words are in the server's language: no proof can hang on
them. So we speak the beginning of the protocol ourselves, offer a password that is none, and read
the SQLSTATE. Source: PostgreSQL's documentation, chapter «Frontend/Backend Protocol», sections
«Start-up», «SASL Authentication» and «SSL Session Encryption»; RFC 5802, section 7.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import ssl
import struct
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from breakglass.clock import Deadline
from breakglass.errors import UnavailableError

REFUSED_CLASS = "28"  # invalid authorization specification; PostgreSQL's appendix A
_PROTOCOL, _SSL_REQUEST = 0x00030000, 80877103
_MESSAGE_AT_MOST = 64 * 1024
_OK, _CLEARTEXT, _MD5, _SASL, _SASL_CONTINUE, _SASL_FINAL = 0, 3, 5, 10, 11, 12
_BESIDE = (b"v", b"S", b"K", b"N")  # version, parameters, key of a cancel, notices
_ASKED = {_CLEARTEXT: "password", _MD5: "md5", _SASL: "scram-sha-256"}


@dataclass(frozen=True)
class LoginTried:
    """What became of a login with a password that is none.

    Attributes:
        let_in: the server said yes.
        sqlstate: of its refusal; empty if it let us in.
        asked: the method by which it asked for the password; empty where it asked for none.
    """

    let_in: bool
    sqlstate: str
    asked: str

    @property
    def refused(self) -> bool:
        """Whether the server itself refused this user, in whatever language."""
        return not self.let_in and self.sqlstate.startswith(REFUSED_CLASS)


def try_login(server: Mapping[str, str], user: str, database: str, within: timedelta) -> LoginTried:
    """Offer a random password for ``user`` at one server; return what it said.

    Args:
        server: ``host``, ``hostaddr``, ``port`` and TLS as of libpq, one host alone.
        user, database: of the login.
        within: for all of it.

    Raises:
        UnavailableError: it did not answer, or not in the protocol; nothing is known of it.
    """
    deadline = Deadline(within)
    name = server.get("host", "")
    place, port = server.get("hostaddr") or name, int(server.get("port") or 5432)
    pairs = ("user", user, "database", database, "application_name", "breakglass-probe", "")
    text = "\0".join(pairs).encode() + b"\0"
    try:
        with contextlib.ExitStack() as stack:
            line = stack.enter_context(_connected(place, port, deadline))
            if not place.startswith("/"):
                line = stack.enter_context(_encrypted(line, server, name, deadline))
            line.sendall(struct.pack("!II", len(text) + 8, _PROTOCOL) + text)
            return _refusal(line, deadline)
    except (OSError, ValueError, struct.error) as error:
        raise UnavailableError(
            f"the login of {user!r} at {place}:{port} could not be tried: {error}"
        ) from error


def _refusal(line: socket.socket, deadline: Deadline) -> LoginTried:
    asked = ""
    while True:
        kind, body = _message(line, deadline)
        if kind == b"E":
            return LoginTried(False, _sqlstate(body), asked)
        if kind == b"Z":  # ready for a query: only now is anybody in
            return LoginTried(True, "", asked)
        if kind in _BESIDE:
            continue
        if kind != b"R":
            raise ValueError(f"unexpected message {kind!r}")
        (code,) = struct.unpack("!I", body[:4])
        if code in (_OK, _SASL_FINAL):
            continue  # whether the role may log in is looked at behind the password
        asked = _ASKED.get(code, asked)
        line.sendall(_answer(code, body[4:]))


def _answer(code: int, rest: bytes) -> bytes:
    """Answer a question for the password with one that is right in form and nobody's."""
    wrong = secrets.token_hex(16)
    if code == _CLEARTEXT:
        return _packed(wrong.encode() + b"\0")
    if code == _MD5:
        return _packed(b"md5" + wrong.encode() + b"\0")
    if code == _SASL and b"SCRAM-SHA-256\0" in rest:
        first = f"n,,n=,r={wrong}".encode()
        return _packed(b"SCRAM-SHA-256\0" + struct.pack("!I", len(first)) + first)
    if code == _SASL_CONTINUE:
        nonce = rest.split(b",", 1)[0]  # r=, ours and the server's
        return _packed(b"c=biws," + nonce + b",p=" + b64encode(secrets.token_bytes(32)))
    raise ValueError(f"the server asks for a proof of another sort ({code})")


def _packed(body: bytes) -> bytes:
    return b"p" + struct.pack("!I", len(body) + 4) + body


def _message(line: socket.socket, deadline: Deadline) -> tuple[bytes, bytes]:
    kind = _exactly(line, 1, deadline)
    (length,) = struct.unpack("!I", _exactly(line, 4, deadline))
    if not 4 <= length <= _MESSAGE_AT_MOST:
        raise ValueError(f"a message of {length} bytes")
    return kind, _exactly(line, length - 4, deadline)


def _exactly(line: socket.socket, count: int, deadline: Deadline) -> bytes:
    found = b""
    while len(found) < count:
        if deadline.over:
            raise TimeoutError("timed out")
        line.settimeout(deadline.left)
        more = line.recv(count - len(found))
        if not more:
            raise ValueError("the server closed the line without a word")
        found += more
    return found


def _sqlstate(body: bytes) -> str:
    for each in body.split(b"\0"):
        if each[:1] == b"C":
            return each[1:].decode("ascii", "replace")
    raise ValueError("a refusal without a code")


def _connected(place: str, port: int, deadline: Deadline) -> socket.socket:
    if not place.startswith("/"):
        return socket.create_connection((place, port), max(deadline.left, 0.01))
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(max(deadline.left, 0.01))
    try:
        line.connect(f"{place}/.s.PGSQL.{port}")
    except OSError:
        line.close()
        raise
    return line


@contextlib.contextmanager
def _encrypted(
    line: socket.socket, server: Mapping[str, str], name: str, deadline: Deadline
) -> Iterator[socket.socket]:
    """Speak TLS as libpq would with the same ``sslmode``."""
    mode = server.get("sslmode", "prefer")
    if mode in ("disable", "allow"):
        yield line
        return
    line.sendall(struct.pack("!II", 8, _SSL_REQUEST))
    if _exactly(line, 1, deadline) == b"S":
        with _context(server, mode).wrap_socket(line, server_hostname=name) as encrypted:
            yield encrypted
    elif mode == "prefer":
        yield line
    else:
        raise ValueError(f"the server speaks no TLS, and sslmode is {mode}")


def _context(server: Mapping[str, str], mode: str) -> ssl.SSLContext:
    root = server.get("sslrootcert", "")
    context = ssl.create_default_context(cafile=root if root and root != "system" else None)
    context.check_hostname = mode == "verify-full"
    if mode in ("prefer", "require") and not root:
        context.verify_mode = ssl.CERT_NONE  # so does libpq: encrypted, to whomever
    if server.get("sslcert"):
        context.load_cert_chain(server["sslcert"], server.get("sslkey"), server.get("sslpassword"))
    return context
