"""An ssh agent of one key and one certificate, in this process: it signs, and gives nothing away.

The key is in memory alone and ends with the process; there is nothing to add, list by name, lock or
forward. Source: draft-miller-ssh-agent, sections 4.4 and 4.5; OpenSSH, ``PROTOCOL.agent``.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from breakglass.errors import UnavailableError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_FAILURE, _LIST, _LISTED, _SIGN, _SIGNED = 5, 11, 12, 13, 14
_BYTES_AT_MOST = 256 * 1024  # as OpenSSH's own agent
_KIND = b"ssh-ed25519"


class CertificateAgent:
    """A socket that answers ``ssh`` until it is closed.

    Args:
        path: where; its folder must be this user's alone.
        private: the holder key, as OpenSSH keeps it.
        certificate: as one line.

    Raises:
        UnavailableError: the key is not of type ``ssh-ed25519``, or no certificate.
    """

    def __init__(self, path: Path, private: bytes, certificate: str) -> None:
        self._key = _read(private)
        words = certificate.split()
        if len(words) != 2:
            raise UnavailableError("the credential holds no certificate; nothing was run")
        self._blob = base64.b64decode(words[1])
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        threading.Thread(target=self._serve, name="agent", daemon=True).start()

    def close(self) -> None:
        """Answer nobody any more."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes who waits in ``accept``
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                found, _ = self._socket.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._talk, args=(found,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as stream:
            try:
                while len(head := stream.read(4)) == 4:
                    length = int.from_bytes(head)
                    if not 1 <= length <= _BYTES_AT_MOST:
                        return
                    stream.write(_string(self._answer(stream.read(length))))
                    stream.flush()
            except OSError:
                return  # whoever asked has gone

    def _answer(self, asked: bytes) -> bytes:
        if asked[0] == _LIST:
            return bytes([_LISTED]) + (1).to_bytes(4) + _string(self._blob) + _string(b"")
        if asked[0] == _SIGN:
            blob, rest = _cut(asked[1:])
            if blob == self._blob:
                signature = self._key.sign(_cut(rest)[0])
                return bytes([_SIGNED]) + _string(_string(_KIND) + _string(signature))
        return bytes([_FAILURE])  # as for every request that an agent does not know


def _read(private: bytes) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    try:
        key = load_ssh_private_key(private, None)
    except (ValueError, TypeError):
        key = None  # raised below, outside: the cause could quote what was read
    if not isinstance(key, Ed25519PrivateKey):
        raise UnavailableError("the holder key of this grant cannot be read; nothing was run")
    return key


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4) + data


def _cut(data: bytes) -> tuple[bytes, bytes]:
    length = int.from_bytes(data[:4])
    return data[4 : 4 + length], data[4 + length :]
