"""The daemon's unix socket: one request and one answer a connection, from root and one account."""

from __future__ import annotations

import contextlib
import logging
import os
import pwd
import socket
import struct
import threading
from datetime import timedelta
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import (
    BreakglassError,
    MisconfiguredError,
    RefusedError,
    UnavailableError,
    reason,
)
from breakglass.sshd.host_daemon import HostDaemon
from breakglass.sshd.host_requests import (
    BYTES_AT_MOST,
    ROOT_ALONE,
    read_request,
    write_answer,
    write_error,
)

CALL_WITHIN = timedelta(seconds=20)  # a cut waits for the kernel, a login for a cut
_READ_WITHIN = timedelta(seconds=5)
_CALLS_AT_MOST = 32

log = logging.getLogger("breakglass.sshd")


class HostSocket:
    """Listens; a thread for each call, 32 at most, the rest waits in the kernel's queue.

    Raises:
        MisconfiguredError: the account is not there, or the socket cannot be made.
    """

    def __init__(self, path: Path, user: str, daemon: HostDaemon) -> None:
        self._daemon, self._room = daemon, threading.BoundedSemaphore(_CALLS_AT_MOST)
        try:
            self._uid = pwd.getpwnam(user).pw_uid
        except KeyError as error:
            raise MisconfiguredError(
                f"no account {user!r} on this host; not started",
                hint=f"useradd --system --shell /bin/sh --create-home {user}",
            ) from error
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            path.unlink(missing_ok=True)  # the lock says that no other daemon has it
            before = os.umask(0o177)
            try:
                self._listener.bind(str(path))
            finally:
                os.umask(before)
            os.chown(path, self._uid, -1)
            self._listener.listen(_CALLS_AT_MOST)
        except OSError as error:
            raise MisconfiguredError(
                f"socket {str(path)!r} cannot be made: {reason(error)}; not started"
            ) from error

    def serve(self) -> None:
        """Take calls until ``close``."""
        while True:
            self._room.acquire()
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            try:
                threading.Thread(target=self._call, args=(caller,), daemon=True).start()
            except RuntimeError as error:
                # A holder's loop of forks took them all: who dies of it ends no grant.
                log.error("a call is not answered: %s", error)
                caller.close()
                self._room.release()

    def close(self) -> None:
        """Take no more calls."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _call(self, caller: socket.socket) -> None:
        try:
            with caller, contextlib.suppress(OSError):
                caller.settimeout(_READ_WITHIN.total_seconds())
                caller.sendall(self._answered(caller))
        finally:
            self._room.release()

    def _answered(self, caller: socket.socket) -> bytes:
        try:
            uid = _peer(caller)
            if uid not in (0, self._uid):
                raise RefusedError(f"user {uid} asks nothing here", name=ErrorName.FORBIDDEN)
            request = read_request(_read(caller))
            if isinstance(request, ROOT_ALONE) and uid != 0:
                raise RefusedError("PAM alone says who logs in", name=ErrorName.FORBIDDEN)
            return write_answer(self._daemon.answer(request))
        except BreakglassError as error:
            return write_error(error)
        except Exception:
            log.exception("an error inside; nothing more was done")
            return write_error(
                UnavailableError("an error inside the host's daemon", name=ErrorName.INTERNAL)
            )


def call(path: Path, request: bytes, within: timedelta = CALL_WITHIN) -> bytes:
    """Ask the daemon once and return its answer.

    Raises:
        UnavailableError: it does not run, or did not answer in time.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(within.total_seconds())
            asking.connect(str(path))
            # It answers what is too large before it has read all of that.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                asking.sendall(request)
                asking.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: asking.recv(65_536), b""))
    except OSError as error:
        raise UnavailableError(
            f"the host's daemon does not answer: {reason(error)}",
            hint="start it: breakglass-sshd serve",
        ) from error
    if not answer:
        raise UnavailableError("the host's daemon ended before it answered")
    return answer


def _read(caller: socket.socket) -> bytes:
    data = b""
    while len(data) <= BYTES_AT_MOST and (part := caller.recv(65_536)):
        data += part
    return data


def _peer(caller: socket.socket) -> int:
    packed = caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", packed)[1])
