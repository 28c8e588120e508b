"""A small ssh-agent that holds software people, so that ``ssh-keygen -Y sign`` works unchanged.

Only for trying out, for the demo and for tests: it signs whatever it is asked, as a security key
that is touched each time would, and nobody touches anything. Run as

    python -m breakglass.demo.software_agent [--die-with-parent] SOCKET KEYFILE…

It prints ``ready`` when it accepts and ends on SIGTERM. A key file is what ``SoftKey.encoded`` or
``SoftSecurityKey.encoded`` writes, or an OpenSSH private key of Ed25519 or P-256.

Source: draft-ietf-sshm-ssh-agent; OpenSSH PROTOCOL.agent.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from breakglass.demo.software_keys import SshPerson, parse_soft_key
from breakglass.errors import BreakglassError, MisconfiguredError

_FAILURE, _REQUEST_IDENTITIES, _IDENTITIES = 5, 11, 12
_SIGN_REQUEST, _SIGN_RESPONSE = 13, 14
_MESSAGE_BYTES_AT_MOST = 256 * 1024
_PR_SET_PDEATHSIG = 1  # Linux, <sys/prctl.h>


class SoftAgent:
    """Answers the agent protocol on a Unix socket, in threads of this process.

    A use as ``with SoftAgent(path, keys):`` ends it; keys may be added while it runs.
    """

    def __init__(self, path: Path, keys: Iterable[SshPerson] = ()) -> None:
        self.path = path
        self._keys = {key.blob: key for key in keys}
        self._socket: socket.socket | None = None

    def add(self, key: SshPerson) -> None:
        """Hold one key more; the same public key replaces, so that flags can be changed."""
        self._keys[key.blob] = key

    def remove_all(self) -> None:
        """Forget every key, as a person does who pulls the security key."""
        self._keys.clear()

    def start(self) -> None:
        """Listen; returns when a client may connect.

        Raises:
            MisconfiguredError: the path cannot be bound; Unix sockets take about 100 bytes.
        """
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            listening.bind(str(self.path))
        except OSError as error:
            listening.close()
            raise MisconfiguredError(f"cannot listen at {str(self.path)!r}: {error}") from error
        finally:
            os.umask(before)
        listening.listen()
        self._socket = listening
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()

    def stop(self) -> None:
        """Stop listening and take the socket away."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._socket = None
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> SoftAgent:
        self.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self.stop()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return  # stopped
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            for message in _messages(connection):
                answer = self.answer(message)
                connection.sendall(struct.pack(">I", len(answer)) + answer)

    def answer(self, message: bytes) -> bytes:
        """Answer one agent message; whatever is not understood fails, as the protocol says."""
        if message[:1] == bytes([_REQUEST_IDENTITIES]):
            held = [_string(blob) + _string(b"soft") for blob in self._keys]
            return bytes([_IDENTITIES]) + struct.pack(">I", len(held)) + b"".join(held)
        if message[:1] == bytes([_SIGN_REQUEST]):
            blob, rest = _take(message[1:])
            data, _ = _take(rest)
            key = self._keys.get(blob)
            if key is not None:
                return bytes([_SIGN_RESPONSE]) + _string(key.sign_wire(data))
        return bytes([_FAILURE])


def _messages(connection: socket.socket) -> Iterator[bytes]:
    with connection.makefile("rb") as stream:
        while len(head := stream.read(4)) == 4:
            size = int.from_bytes(head, "big")
            if size > _MESSAGE_BYTES_AT_MOST or len(message := stream.read(size)) != size:
                return
            yield message


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _take(data: bytes) -> tuple[bytes, bytes]:
    end = 4 + int.from_bytes(data[:4], "big")
    return data[4:end], data[end:]


def die_with_parent() -> None:
    """Ask the kernel to end this process when its parent ends, however that happens (Linux).

    Raises:
        MisconfiguredError: the parent has gone already.
    """
    parent = os.getppid()
    with contextlib.suppress(OSError, AttributeError):  # elsewhere than on Linux: no such call
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if parent == 1 or os.getppid() != parent:
        raise MisconfiguredError("the parent process has ended already")


def main(arguments: list[str]) -> int:
    """Run the agent until it is told to stop."""
    words = [word for word in arguments if word != "--die-with-parent"]
    if len(words) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        if len(words) != len(arguments):
            die_with_parent()
        keys = [parse_soft_key(Path(name).read_bytes()) for name in words[1:]]
        done = threading.Event()
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, lambda *_: done.set())
        with SoftAgent(Path(words[0]), keys):
            print("ready", flush=True)
            done.wait()
    except BreakglassError as error:
        print(f"breakglass: error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"breakglass: error: {error}", file=sys.stderr)
        return MisconfiguredError.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
