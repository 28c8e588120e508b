"""The certificate of one grant: an OpenSSH user certificate over the holder's own key.

Its principal is the handle and never an account's name, so a host lets it in only where it asks the
token inside (decision minter-8). Source: OpenSSH, ``PROTOCOL.certkeys``.
"""

from __future__ import annotations

import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificateBuilder,
    SSHCertificateType,
    load_ssh_private_key,
    load_ssh_public_key,
)

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, MisconfiguredError
from breakglass.minter.platforms.platform import Order
from breakglass.records.grant import serial_of
from breakglass.records.platforms import MAY

TOKEN = b"token@breakglass.dev"
FORWARD = "forward"
"""The word of ``may`` with which a card lets a grant forward ports."""


class CertificateAuthority:
    """The minter's own key, which hosts trust for this minter's grants and for nothing else.

    Raises:
        MisconfiguredError: no key, others may read it, or it is no ``ssh-ed25519`` key.
    """

    def __init__(self, path: Path) -> None:
        self._key = own_key(path)

    @property
    def public(self) -> str:
        """The public key as one line, as a host's ``TrustedUserCAKeys`` takes it."""
        return _line(self._key.public_key())

    def certify(self, order: Order) -> str:
        """Return the certificate of an order, as one line; the same order makes the same grant.

        It holds from the second in which the order begins, and ends with the whole second before
        its end: a second later than agreed is never given. What a holder may forward is written in
        it; agents, X11 and ``~/.ssh/rc`` never are.

        Raises:
            MalformedError: ``holder_key``; there is none, or of another type.
        """
        try:
            holder = load_ssh_public_key(order.holder.encode())
        except (ValueError, UnsupportedAlgorithm):
            holder = None
        if not isinstance(holder, Ed25519PublicKey):
            raise MalformedError(
                f"a certificate is made for an 'ssh-ed25519' key, got {order.holder[:40]!r}",
                name=ErrorName.HOLDER_KEY,
            )
        made = (
            SSHCertificateBuilder()
            .public_key(holder)
            .type(SSHCertificateType.USER)
            .serial(serial_of(order.handle))
            .key_id(order.session.encode())
            .valid_principals([order.handle.encode()])
            .valid_after(int(order.not_before.timestamp()))
            .valid_before(int(order.expires.timestamp()))
            .add_extension(b"permit-pty", b"")
            .add_extension(TOKEN, order.token)
        )
        if order.source:
            made = made.add_critical_option(b"source-address", ",".join(order.source).encode())
        if FORWARD in order.scope.get(MAY, ()):
            made = made.add_extension(b"permit-port-forwarding", b"")
        return made.sign(self._key).public_bytes().decode()


def own_key(path: Path) -> Ed25519PrivateKey:
    """Read a private key of this minter's own folder.

    Raises:
        MisconfiguredError: no key, others may read it, or it is no ``ssh-ed25519`` key.
    """
    again = "make it: breakglass minter add NAME --platform ssh"
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise MisconfiguredError(
                f"{str(path)!r} can be read by others; not started", hint=f"chmod 600 {path}"
            )
        key = load_ssh_private_key(path.read_bytes(), None)
    except OSError as error:
        raise MisconfiguredError(
            f"{str(path)!r} cannot be read: {error.strerror}; not started", hint=again
        ) from error
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None  # raised below, outside: the cause could quote what was read
    if not isinstance(key, Ed25519PrivateKey):
        raise MisconfiguredError(
            f"{str(path)!r} holds no 'ssh-ed25519' key without a passphrase; not started",
            hint=again,
        )
    return key


def public_line(path: Path) -> str:
    """Return the public half of a private key of this minter's, as one line.

    Raises:
        MisconfiguredError: as ``own_key``.
    """
    return _line(own_key(path).public_key())


def _line(key: Ed25519PublicKey) -> str:
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
