"""The on-call part of PagerDuty's REST API v2 over real HTTP, in its documented form.

``GET /oncalls`` with ``schedule_ids[]``, ``include[]=users``, ``limit`` and ``offset``: a page with
``limit``, ``offset``, ``more``; without the token 401, for a schedule that is none 404.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "u+NoSuchToken"


class PagerDutyApi:
    """``schedules`` gives each schedule's (name, e-mail) of now; ``broken`` is said instead."""

    def __init__(self) -> None:
        self.schedules: dict[str, list[tuple[str, str]]] = {}
        self.broken: tuple[int, bytes] | None = None
        self.asked: list[str] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = api._answer(self.path, dict(self.headers))
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *said: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
        self.asked.append(path)
        if self.broken is not None:
            return self.broken
        if headers.get("Authorization") != f"Token token={TOKEN}":
            return 401, b'{"error": {"message": "Unauthorized", "code": 2006}}'
        if headers.get("Accept") != "application/vnd.pagerduty+json;version=2":
            return 406, b"{}"
        asked = parse_qs(urlsplit(path).query)
        which = asked["schedule_ids[]"][0]
        if urlsplit(path).path != "/oncalls" or which not in self.schedules:
            return 404, b'{"error": {"message": "Not Found", "code": 2100}}'
        limit, offset = int(asked["limit"][0]), int(asked["offset"][0])
        people = self.schedules[which]
        listed = [
            _entry(which, name, mail, asked) for name, mail in people[offset : offset + limit]
        ]
        more = offset + limit < len(people)
        said = {"oncalls": listed, "limit": limit, "offset": offset, "more": more, "total": None}
        return 200, json.dumps(said).encode()


def _entry(which: str, name: str, mail: str, asked: dict[str, list[str]]) -> dict[str, Any]:
    user: dict[str, Any] = {"id": f"P{name.upper()}", "summary": name, "html_url": None}
    if asked.get("include[]") == ["users"]:
        user |= {"type": "user", "name": name, "email": mail, "role": "user"}
    else:
        user["type"] = "user_reference"
    return {
        "user": user,
        "schedule": {"id": which, "type": "schedule_reference", "summary": "primary"},
        "escalation_policy": {"id": "PT20YPA", "type": "escalation_policy_reference"},
        "escalation_level": 1,
        "start": "2026-11-30T08:00:00Z",
        "end": "2026-12-07T08:00:00Z",
    }
