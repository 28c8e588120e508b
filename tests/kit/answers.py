"""What routes answered when they were recorded, and what they answer now, byte for byte.

What differs from run to run (times, names of grants, keys, counts) is masked in the bytes; the
order of fields, spaces, kinds of values, statuses and content types are not.
"""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from breakglass.http.request_signer import RequestSigner

_MASKS = (
    (r'"(?:[^"\\\n]|\\.){100,}"', '"LONG"'),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z", "TIME"),
    (r"\b\d\d:\d\d:\d\dZ", "TIME"),
    (r"\+[0-9a-f]{8}\b", "+KEY"),
    (r'"channel":"(?:file|hook)"', '"channel":"NAME"'),
    (r'"summary":\{"size":.*\}\}', '"summary":{STATE}}'),
    (r"\b(g-|bg_)[a-z2-7]{12}\b", r"\1GRANT"),
    (r'"keys":\["[^"]*"\]', '"keys":[KEY]'),
    (r"[0-9a-f]{12,}", "HEX"),
    (r"(?:[A-Za-z0-9+/]{43,}={0,2})", "BASE64"),
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r'"cosigned":\{[^}]*\}', '"cosigned":{NAME:TIME}'),
    (r'"LONG"(?:,"LONG")+', '"LONG"'),
    (r"(?:— [^\n]*\n)+", "— LINES\n"),
    (r"(?:BASE64\n)+", "BASE64\n"),
    # A rate is whole or not by the day on which it is counted.
    (r"(?<![\w.])-?\d+(?:\.\d+)?(?:e-\d+)?(?![\w.])", "NUMBER"),
)
_BETWEEN = "\n----\n"


class Recorded:
    """Asks routes at one address and holds their answers to the file of recorded ones.

    A file that is missing is written, and the test fails once: look at it, then keep it.
    """

    def __init__(self, file: Path, readers: Mapping[str, RequestSigner] | None = None) -> None:
        self._file = file
        self._readers = readers or {}
        self._found: list[str] = []

    def ask(
        self,
        address: str,
        method: str,
        path: str,
        value: Mapping[str, Any] | bytes | None = None,
        shown: str = "",
    ) -> Any:
        """Send one request, keep the masked answer, and return its JSON if it is JSON.

        Args:
            address: ``http://127.0.0.1:PORT``.
            method: of HTTP.
            path: with its query.
            value: the body: JSON, or bytes as they are.
            shown: how the answer is called in the file; the path if not given.
        """
        parts = urlsplit(address)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        body = value if isinstance(value, bytes) else json.dumps(value) if value is not None else ""
        data = body if isinstance(body, bytes) else body.encode()
        connection.request(
            method, path, body, self._signed(connection, address, method, path, data)
        )
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        text = data.decode()
        for pattern, mask in _MASKS:
            text = re.sub(pattern, mask, text)
        kind = answer.headers["content-type"]
        self._found.append(f"{shown or f'{method} {path}'} {answer.status} {kind}\n{text}\n")
        return json.loads(data) if kind == "application/json" else data

    def _signed(
        self,
        connection: http.client.HTTPConnection,
        address: str,
        method: str,
        path: str,
        body: bytes,
    ) -> Mapping[str, str]:
        signer = self._readers.get(address)
        if signer is None or path == "/healthz" or method == "PUT":
            return {}
        connection.request("GET", "/healthz")
        to = json.loads(connection.getresponse().read())["keys"][0]
        return signer.headers(to, method, path, body)

    def compare(self) -> None:
        """Fail on the first answer that is not as recorded."""
        if not self._file.exists():
            self._file.write_text(_BETWEEN.join(self._found))
            raise AssertionError(f"recorded in {self._file}")
        for found, kept in zip(self._found, self._file.read_text().split(_BETWEEN), strict=True):
            assert found == kept
