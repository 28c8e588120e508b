"""A bound for a whole exchange: a socket's own timeout lets the other side drip for ever."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

_AGAIN_S = 0.05


@contextlib.contextmanager
def cut_off(
    connection: Callable[[], socket.socket | None], seconds: float
) -> Iterator[threading.Event]:
    """Shut a connection when ``seconds`` are over; the event yielded says that this was done.

    It is shut again and again until the exchange is given up: a socket that is only being made, or
    just handed over to TLS, is not there the first time.

    Args:
        connection: returns the socket at that time, or nothing while there is none.
        seconds: from now.
    """
    late, over = threading.Event(), threading.Event()

    def cut() -> None:
        rest = seconds
        while not over.wait(rest):
            late.set()
            with contextlib.suppress(OSError, AttributeError):
                found = connection()
                if found is not None:
                    found.shutdown(socket.SHUT_RDWR)
            rest = _AGAIN_S

    threading.Thread(target=cut, name="time limit", daemon=True).start()
    try:
        yield late
    finally:
        over.set()
