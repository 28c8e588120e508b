"""A webhook receiver of our own, on loopback: so that somebody hears the alarms of the demo."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BODY_BYTES_AT_MOST = 256 * 1024


@dataclass(frozen=True)
class Heard:
    """One alarm as it arrived; ``at`` is by the monotonic clock, in seconds."""

    body: dict[str, Any]
    at: float


class WebhookSink:
    """Listens until closed, and remembers what rang; a repeated message is heard once.

    A message that is not signed with ``secret`` is refused and counted in ``forged``.

    Args:
        tell: called for each new alarm, from a thread of ours.
        port: 0 takes a free one.
    """

    def __init__(self, tell: Callable[[Heard], None] = lambda heard: None, port: int = 0) -> None:
        self.secret = secrets.token_urlsafe(18)
        self.forged = 0
        self._keys: set[str] = set()
        self._changed = threading.Condition()
        self._tell = tell
        self.heard: list[Heard] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        """Where to POST."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/alarm"

    def wait_for(self, wanted: Callable[[Heard], bool], within: float) -> Heard | None:
        """Wait for an alarm, bounded by ``within`` seconds; one that rang already counts."""
        until = time.monotonic() + within
        with self._changed:
            while True:
                found = next((each for each in self.heard if wanted(each)), None)
                left = until - time.monotonic()
                if found is not None or left <= 0:
                    return found
                self._changed.wait(left)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def _take(self, key: str, signature: str, data: bytes) -> bool:
        wanted = f"sha256={hmac.new(self.secret.encode(), data, hashlib.sha256).hexdigest()}"
        if not hmac.compare_digest(signature, wanted):
            self.forged += 1
            return False
        try:
            body = json.loads(data)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            body = {"unreadable": len(data)}
        heard = Heard(body, time.monotonic())
        with self._changed:
            if key and key in self._keys:
                return True
            self._keys.add(key)
            self.heard.append(heard)
            self._changed.notify_all()
        self._tell(heard)
        return True

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hook = self

        class Handler(BaseHTTPRequestHandler):
            """Takes one POST."""

            def do_POST(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                if not 0 <= size <= BODY_BYTES_AT_MOST:
                    self.send_error(413)
                    return
                key = self.headers.get("Idempotency-Key", "")
                signature = self.headers.get("Breakglass-Signature", "")
                taken = hook._take(key, signature, self.rfile.read(size))
                self.send_response(204 if taken else 403)
                self.end_headers()

            def log_message(self, *unused: object) -> None:
                """Say nothing; the terminal belongs to somebody else."""

        return Handler
