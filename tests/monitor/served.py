"""A monitor of a test behind its own routes, on a free port."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from breakglass.http.edge import application, dressed
from breakglass.monitor.app import Monitor
from breakglass.monitor.routes import routes
from tests.monitor.stand_ins import eventually


@contextmanager
def served(monitor: Monitor) -> Iterator[str]:
    """Serve a monitor that was started; yields its address."""
    config = uvicorn.Config(
        dressed(application(routes(monitor))), port=0, log_level="error", lifespan="off"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    eventually(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
