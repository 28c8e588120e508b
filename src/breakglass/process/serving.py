"""Runs one process from its folder: lock, key, port, address file, and an end that is prompt."""

from __future__ import annotations

import argparse
import contextlib
import errno
import hashlib
import ipaddress
import logging
import os
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import anyio.to_thread
import uvicorn
from starlette.applications import Starlette

from breakglass.clock import Clock, SystemClock
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MisconfiguredError
from breakglass.http.bounded_protocol import protocol_class
from breakglass.http.connection_table import ConnectionLimits, ConnectionTable
from breakglass.http.edge import dressed
from breakglass.process.folder import held, write_whole
from breakglass.process.open_files import raise_file_limit
from breakglass.process.parent import die_with_parent
from breakglass.process.port_holder import port_holder
from breakglass.shown_text import shown_lines

ADDRESS = "address"
STOP_WITHIN = timedelta(seconds=2)
_LISTEN = 1024  # calls that wait in the kernel's queue


@dataclass(frozen=True)
class Serving:
    """Where a process listens: the table ``[serving]`` of its settings."""

    host: str = "127.0.0.1"
    port: int = 0  # 0: a free one, written to the file ``address``
    certificate: Path | None = None  # PEM; needed off loopback
    certificate_key: Path | None = None
    threads: int = 256  # each request, and each long poll, holds one
    limits: ConnectionLimits = field(default_factory=ConnectionLimits)

    def __post_init__(self) -> None:
        """Refuse what could only fail later.

        Raises:
            ValueError: with the key.
        """
        if not 0 <= self.port < 65536:
            raise ValueError(f"'serving.port' is {self.port}, wanted 0 to 65535")
        if self.threads < 1:
            raise ValueError(f"'serving.threads' is {self.threads}, wanted 1 or more")
        for key in ("certificate", "certificate_key"):
            file = getattr(self, key)
            if file is not None and not file.is_file():
                raise ValueError(f"'serving.{key}' names {str(file)!r}, which is no file")


def _nothing() -> None:
    """Do nothing."""


class Ending:
    """Lets a process's own thread end it with an error; safe under threads, the first one counts.

    For what nobody may go on after: ``run`` stops serving and raises the error.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stop: Callable[[], None] = _nothing
        self.error: BreakglassError | None = None

    def end(self, error: BreakglassError) -> None:
        """End the process with this error; returns at once."""
        with self._lock:
            self.error = self.error or error
            self._stop()

    def on_end(self, stop: Callable[[], None]) -> None:
        """Say how serving is stopped; called at once if the end was asked for already."""
        with self._lock:
            self._stop = stop
            if self.error is not None:
                stop()


@dataclass(frozen=True)
class Service:
    """A process as built from its folder: what to serve, and what to do around it.

    ``start`` runs before the address is written; ``closing`` must return at once and let every
    waiting handler go; ``close`` runs when the last answer is out. ``ending`` is what the
    process's own threads end it by.
    """

    app: Starlette
    serving: Serving = Serving()
    start: Callable[[], None] = _nothing
    closing: Callable[[], None] = _nothing
    close: Callable[[], None] = _nothing
    ending: Ending = field(default_factory=Ending)


Build = Callable[[Path, Clock], Service]


def run(folder: Path, build: Build, clock: Clock | None = None) -> None:
    """Serve ``folder`` until SIGTERM or SIGINT, then stop within 2 s, long polls or not.

    Raises:
        MisconfiguredError: the folder is in use, or its settings cannot be kept.
        BreakglassError: what one of the process's own threads ended it with.
    """
    with held(folder):
        # (1) Read everything; a mistake ends here and no port was opened.
        room = build(folder, clock or SystemClock())
        config = _config(room)
        # (2) Bind. From here a neighbour's call waits in the backlog.
        listener = _bound(room.serving)
        server = _Server(config, room)
        try:
            # (3) Recover and start the room's own threads.
            room.start()
            with _signals(server):
                # (4) Accept; only then is the address told. A crash leaves an address that
                #     refuses connections, which callers bear as they bear a dead neighbour.
                server.on_started = lambda: _tell(folder, listener, room.serving)
                room.ending.on_end(server.stop)
                server.run(sockets=[listener])
            if room.ending.error is not None:
                raise room.ending.error
        finally:
            room.closing()
            room.close()
            listener.close()
            with contextlib.suppress(OSError):
                (folder / ADDRESS).unlink()


def process_main(argv: Sequence[str], build: Build, name: str, clock: Clock | None = None) -> int:
    """Be the ``main`` of a process: ``python -m breakglass.<name> FOLDER [--die-with-parent PID]``.

    Args:
        argv: without the program's name.
        build: makes the room from the folder and the clock.
        name: for help and messages.
        clock: the machine's if not given; no setting and no argument names another.

    Returns:
        the exit code; one line for people is on standard error if it is not 0.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m breakglass.{name}",
        description=f"Serve the {name} whose folder this is, until SIGTERM.",
        epilog=f"example: python -m breakglass.{name} org/{name}",
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--die-with-parent", type=int, metavar="PID", help="stop when that process, ours, ends"
    )
    given = parser.parse_args(argv)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(ShownFormatter(f"{name}: %(levelname)s %(message)s"))
    logging.basicConfig(handlers=[handler])
    if given.die_with_parent is not None:
        die_with_parent(given.die_with_parent)
    try:
        _run_said(given.folder, build, clock)
    except BreakglassError as error:
        print(f"{name}: error: {shown_lines(str(error))}", file=sys.stderr)
        if error.hint:
            print(f"{name}: hint: {shown_lines(error.hint)}", file=sys.stderr)
        return error.exit_code
    return 0


class ShownFormatter(logging.Formatter):
    """Writes log lines that quote records, tokens and answers so that none moves a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of one record of the log; a traceback has many."""
        return shown_lines(super().format(record))


def _run_said(folder: Path, build: Build, clock: Clock | None) -> None:
    try:
        run(folder, build, clock)
    except OSError as error:
        # Lock, address and data folders are written at the start, before anything is served.
        raise MisconfiguredError(
            f"{str(folder)!r} cannot be used: {error}; not started",
            hint="is its disk full, or read-only",
        ) from error


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, room: Service) -> None:
        super().__init__(config)
        self._room = room
        serving = room.serving
        limits = serving.limits.fitted(raise_file_limit())
        self._table = ConnectionTable(limits, time.monotonic)
        # A quarter of the threads is left to those whose signature was accepted.
        strangers = max(1, serving.threads * 3 // 4)
        config.http_protocol_class = protocol_class(self._table, config.ssl, strangers)
        config.ssl = None  # ``Entrance`` shakes hands itself
        # So many are taken in before one of them has a place: more would need their files at once.
        config.backlog = max(1, limits.connections // 10)
        self.on_started: Callable[[], None] = _nothing

    def stop(self) -> None:
        """Stop serving soon; from any thread."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        limiter = anyio.to_thread.current_default_thread_limiter()
        limiter.total_tokens = self._room.serving.threads
        await super().startup(sockets=sockets)
        for each in sockets or []:
            each.listen(_LISTEN)  # uvicorn has set it to what is taken in at once
        self.on_started()

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:  # every second
            self._table.sweep()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Let the long polls answer first; else each would hold its connection until its time.
        self._room.closing()
        await super().shutdown(sockets=sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # ours are set in ``run``: a SIGTERM that was heeded is exit 0


@contextlib.contextmanager
def _signals(server: uvicorn.Server) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        server.should_exit = True
        # What hangs past the bound is cut off; every room bears a crash at any point.
        bound = threading.Timer(STOP_WITHIN.total_seconds() * 0.9, os._exit, (0,))
        bound.daemon = True
        bound.start()

    before = {each: signal.signal(each, stop) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _config(room: Service) -> uvicorn.Config:
    serving = room.serving
    if not _loopback(serving.host) and not (serving.certificate and serving.certificate_key):
        raise MisconfiguredError(
            f"'serving.host' is {serving.host!r} and there is no certificate; not started",
            name=ErrorName.NO_TLS,
            hint="off loopback give serving.certificate and serving.certificate_key",
        )
    try:
        config = uvicorn.Config(
            dressed(room.app),
            lifespan="off",
            http="h11",
            ws="none",
            log_config=None,
            log_level=logging.WARNING,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=75,  # above the 30 s that our callers keep a connection
            timeout_graceful_shutdown=1,
            ssl_certfile=serving.certificate,
            ssl_keyfile=serving.certificate_key,
        )
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise MisconfiguredError(
            f"'serving.certificate' cannot be used: {error}; not started"
        ) from error
    return config


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bound(serving: Serving) -> socket.socket:
    family = socket.AF_INET6 if ":" in serving.host else socket.AF_INET
    # Named as TCP, or asyncio leaves Nagle's algorithm on and every answer waits 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((serving.host, serving.port))
        listener.listen(_LISTEN)
    except OSError as error:
        listener.close()
        raise _not_bound(serving, error) from error
    listener.setblocking(False)
    return listener


def _not_bound(serving: Serving, error: OSError) -> MisconfiguredError:
    where = f"{serving.host}:{serving.port}"
    if error.errno != errno.EADDRINUSE:
        # A machine with IPv6 alone, or a container without this interface.
        away = error.errno == errno.EADDRNOTAVAIL
        other = "127.0.0.1" if ":" in serving.host else "::1"
        return MisconfiguredError(
            f"cannot listen on {where}: {error.strerror}; not started",
            hint=f'name an address of this machine: [serving] host = "{other}"' if away else "",
        )
    holder = port_holder(serving.port) or "another process"
    return MisconfiguredError(
        f"cannot listen on {where}: {holder} listens there; not started",
        name=ErrorName.PORT_TAKEN,
        hint="stop that one, or change 'port' under [serving] in settings.toml and tell whoever"
        " calls this process by its address",
    )


def _tell(folder: Path, listener: socket.socket, serving: Serving) -> None:
    host, port = listener.getsockname()[:2]
    host = f"[{host}]" if ":" in host else host
    if serving.certificate is None:
        address = f"http://{host}:{port}"
    else:
        # The first certificate of the file is the one that is shown; callers pin it.
        pem = serving.certificate.read_text("ascii")
        begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
        first = begin + pem.partition(begin)[2].partition(end)[0] + end
        pin = hashlib.sha256(ssl.PEM_cert_to_DER_cert(first)).hexdigest()
        address = f"https://{host}:{port}#{pin}"
    write_whole(folder / ADDRESS, address.encode() + b"\n", 0o644)
