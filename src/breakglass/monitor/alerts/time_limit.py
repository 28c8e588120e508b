"""A bound for a whole exchange: a socket's own timeout lets the other side drip for ever."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def cut_off(
    connection: Callable[[], socket.socket | None], seconds: float
) -> Iterator[threading.Event]:
    """Shut a connection when ``seconds`` are over; the event yielded says that this was done.

    Args:
        connection: returns the socket at that time, or nothing while there is none.
        seconds: from now.
    """
    late = threading.Event()

    def cut() -> None:
        late.set()
        with contextlib.suppress(OSError, AttributeError):
            found = connection()
            if found is not None:
                found.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
