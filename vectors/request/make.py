"""Writes ``cases.json``: signed requests as one process sees them, most of them broken.

.venv/bin/python -m vectors.request.make
"""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.kit.reading import PROCESS, READER, REQUEST_TEXT

from breakglass.clock import format_time
from breakglass.http.request_signature import body_digest, request_text
from breakglass.tlog.note import SignerKey

HERE = Path(__file__).resolve().parent
SKEW_S = 120
_GOOD, _BODY = REQUEST_TEXT, b'{"grant":"g-7kq3m2x4p5ab"}'


def header(text: str, key: SignerKey = READER) -> str:
    """Return a header over any text."""
    raw = text.encode()
    return " ".join(base64.b64encode(each).decode() for each in (raw, key.sign_bytes(raw)))


def case(
    name: str, want: str, value: str, target: str = _GOOD.target, **more: str
) -> dict[str, Any]:
    """Return one case: a request as it came, and the name of what is wrong with it."""
    return {"name": name, "want": want, "header": value, "method": "GET", "target": target,
            "body": "", **more}  # fmt: skip


def of(**changes: Any) -> str:
    """Return a header over the good text, changed."""
    return header(request_text(replace(_GOOD, **changes)))


def cases() -> list[dict[str, Any]]:
    """Return all of them."""
    good, text = of(), request_text(_GOOD)
    line = text.split("\n")[1]
    shifted = base64.b64encode(text.replace("g-7", "g-8").encode()).decode()
    other = str(SignerKey("other.example", 1, bytes(32)).verifier)
    late, soon = (_GOOD.at + timedelta(seconds=each) for each in (-SKEW_S, SKEW_S))
    posted = {"method": "POST", "body": _BODY.decode()}
    post = of(method="POST", target="/forgo", body=body_digest(_BODY))
    return [
        case("good", "", good),
        case("good-with-a-body", "", post, "/forgo", **posted),
        case("as-old-as-may-be", "", of(at=late)),
        case("as-new-as-may-be", "", of(at=soon)),
        case("no-header", "unsigned_request", ""),
        case("text-alone", "bad_request", good.split(" ")[0]),
        case("two-spaces", "bad_request", good.replace(" ", "  ")),
        case("no-base64", "bad_request", f"!{good}"),
        case("signature-cut", "bad_request", good.split(" ")[0] + " AAAA"),
        case("other-first-line", "bad_request", header(text.replace("request", "session", 1))),
        case("field-more", "bad_request", header(text.replace('"at"', '"as":"root","at"'))),
        case("field-less", "bad_request", header(text.replace('"method":"GET",', ""))),
        case("not-canonical", "bad_request", header(text.replace('":"', '": "', 1))),
        case("no-line-end", "bad_request", header(text[:-1])),
        case("line-more", "bad_request", header(f"{text}{line}\n")),
        case("nonce-short", "bad_request", header(text.replace("0001020304", "00"))),
        case("target-with-a-space", "bad_request", header(text.replace("/grants/", "/grants /"))),
        case("too-long", "bad_request", header(text + "x" * 7000)),
        case("signed-by-another", "signature", header(text, PROCESS)),
        case("text-changed", "signature", f"{shifted} {good.split(' ')[1]}"),
        case("another-log", "wrong_log", of(log="ledger.example/two")),
        case("another-process", "wrong_process", of(to=other)),
        case("same-key-other-name", "wrong_process",
             of(to=str(SignerKey("monitor.example", 1, PROCESS.seed).verifier))),
        case("another-target", "other_request", good, "/grants/g-aaaaaaaaaaaa"),
        case("query-more", "other_request", good, f"{_GOOD.target}?x=1"),
        case("target-decoded-otherwise", "other_request", good, "/grants/g%2D7kq3m2x4p5ab"),
        case("another-method", "other_request", good, method="POST"),
        case("another-body", "other_request", post, "/forgo", **{**posted, "body": "{}"}),
        case("too-old", "stale_request", of(at=late - timedelta(milliseconds=1))),
        case("too-new", "stale_request", of(at=soon + timedelta(milliseconds=1))),
    ]  # fmt: skip


def made() -> dict[str, Any]:
    """Return what the file holds."""
    process = {"log": _GOOD.log, "keys": [str(PROCESS.verifier)], "skew_s": SKEW_S}
    return {"process": {**process, "now": format_time(_GOOD.at)}, "cases": cases()}


if __name__ == "__main__":
    (HERE / "cases.json").write_text(json.dumps(made(), indent=1) + "\n")
