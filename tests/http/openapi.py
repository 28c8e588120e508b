"""The OpenAPI document of each process, made from the rows of its own table.

.venv/bin/python -m tests.http.openapi    write docs/openapi/ again
"""

from __future__ import annotations

import json
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from types import NoneType
from typing import Any

from breakglass.http.request_signature import Shape
from breakglass.http.routes import Response, Route, Streamed
from breakglass.records.encoding.text_types import ExactBase64, Pattern, Prose
from breakglass.strict_json import Between, Many, TimeOrNothing
from tests.http.reader_table import rule, tables

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "openapi"
_TEXT, _BYTES, _JSON = "text/plain", "application/octet-stream", "application/json"
# What a handler that chooses its bytes itself answers; by path.
KINDS = {
    "/proof/{index}": _TEXT,
    "/checkpoint": _TEXT,
    "/{origin_hash}/checkpoint": _TEXT,
    "/add-checkpoint": _TEXT,
    "/add-segment": _TEXT,
    "/tile/entries/{rest}": _BYTES,
    "/tile/{rest}": _BYTES,
    "/attachment/{digest}": _BYTES,
    "/reviews/{grant}/yaml": _TEXT,
}
# C2SP tlog-witness has words and types of its own for what it refuses.
TLOG = ("/add-checkpoint", "/add-segment")
_SIZE = "text/x.tlog.size"
WHOLE = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
QUERIES: dict[str, dict[str, bool]] = {  # name: whether it must be given
    "/entries": {"from": True, "wait": False},
    "/trust": {"after": False},
    "/alarms": {"most": False},
}
ERRORS = {
    400: "malformed: not in the form that its specification gives",
    401: "nobody signed the request",
    403: "refused: understood, and the answer is no",
    404: "refused: there is no such thing here",
    409: "refused: the number or place is another one by now; what it is stands beside",
    413: "malformed: too large",
    422: "unproven: a signature or a proof does not hold",
    429: "unavailable: too many at work; nothing was done",
    500: "misconfigured, or an error inside; it stayed shut",
    503: "unavailable: a neighbour did not answer, or this process is behind",
}
_ERROR = {
    "type": "object",
    "required": ["error", "message", "hint"],
    "properties": {name: {"type": "string"} for name in ("error", "message", "hint")},
}
_TIME = {"type": "string", "format": "date-time"}


class Schemas:
    """The named forms of one document."""

    def __init__(self) -> None:
        self.named: dict[str, Any] = {"Error": _ERROR}

    def of(self, hint: Any) -> dict[str, Any]:
        """Return the schema of an annotation."""
        base, rules = hint, ()
        if typing.get_origin(hint) is typing.Annotated:
            base, *rules = typing.get_args(hint)
        found = self._plain(base)
        for each in rules:
            found = {**found, **_ruled(each, found)}
        return found

    def _plain(self, base: Any) -> dict[str, Any]:
        origin, given = typing.get_origin(base), typing.get_args(base)
        if origin in (types.UnionType, typing.Union):
            return {"anyOf": [self.of(each) for each in given]}
        if origin is tuple:
            return {"type": "array", "items": self.of(given[0])}
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return {"type": "object", "additionalProperties": self.of(given[1])}
        if is_dataclass(base) and isinstance(base, type):
            return self._named(base)
        if isinstance(base, type) and issubclass(base, StrEnum):
            return {"type": "string", "enum": [each.value for each in base]}
        return {
            str: {"type": "string"}, bool: {"type": "boolean"}, int: {"type": "integer"},
            float: {"type": "number"}, datetime: _TIME, NoneType: {"type": "null"},
            dict: {"type": "object"}, object: {}, Any: {},
        }[base]  # fmt: skip

    def _named(self, form: type) -> dict[str, Any]:
        name = form.__name__
        if name not in self.named:
            self.named[name] = {}  # a form may hold itself
            hints = typing.get_type_hints(form, include_extras=True)
            names = [each.name for each in fields(form)]
            self.named[name] = {
                "type": "object",
                "description": (form.__doc__ or "").strip().split("\n")[0],
                "required": [each.rstrip("_") for each in names],
                "properties": {each.rstrip("_"): self.of(hints[each]) for each in names},
                "additionalProperties": False,
            }
        return {"$ref": f"#/components/schemas/{name}"}


def _ruled(rule_: Any, found: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(rule_, Pattern | Shape):
        return {"pattern": f"^(?:{rule_.expression})$"}
    if isinstance(rule_, Between):
        return {"minimum": rule_.least, "maximum": rule_.most}
    if isinstance(rule_, Prose):
        return {"minLength": rule_.least_characters, "maxLength": rule_.most_characters}
    if isinstance(rule_, ExactBase64):
        return {"format": "byte", "maxLength": rule_.most_characters}
    if isinstance(rule_, Many):
        ends = ("minItems", "maxItems") if found.get("type") == "array" else (
            "minProperties", "maxProperties"
        )  # fmt: skip
        return dict(zip(ends, (rule_.least, rule_.most), strict=True))
    assert isinstance(rule_, TimeOrNothing), rule_
    return {}


def plain_path(row: Route) -> str:
    """Return a row's path as OpenAPI writes it."""
    return re.sub(r"\{(\w+):path\}", r"{\1}", row.path)


def document(process: str, rows: Sequence[Route]) -> dict[str, Any]:
    """Return one process's document."""
    schemas = Schemas()
    paths: dict[str, Any] = {}
    for row in rows:
        paths.setdefault(plain_path(row), {})[row.method.lower()] = _operation(row, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"breakglass {process}",
            "version": "1",
            "description": "Made from the process's own routes: docs/reference/processes.md says"
            " more, and to whom what is shown.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas.named,
            "securitySchemes": {
                "signed": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Breakglass-Request",
                    "description": "signed for this process, target and body: docs/spec/request.md",
                }
            },
        },
    }


def _operation(row: Route, schemas: Schemas) -> dict[str, Any]:
    path, closed = plain_path(row), rule(row) != "nobody"
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _part(name)}
        for name in re.findall(r"\{(\w+)\}", path)
    ]
    parameters += [
        {"name": name, "in": "query", "required": must, "schema": WHOLE}
        for name, must in QUERIES.get(path, {}).items()
    ]
    made: dict[str, Any] = {"operationId": f"{row.method.lower()} {path}"}
    if closed:
        made["security"] = [{"signed": []}]
    if parameters:
        made["parameters"] = parameters
    if row.takes is not NoneType:
        made["requestBody"] = {"required": True, "content": _taken(row, schemas)}
    answers = {"200": {"description": "done", "content": _given(row, schemas)}}
    for status in _statuses(row, closed):
        said = {_JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}
        if path in TLOG:
            said |= {_SIZE if status == 409 else _TEXT: {"schema": {"type": "string"}}}
        answers[str(status)] = {"description": ERRORS[status], "content": said}
    if path == "/healthz" and row.gives is Response:
        answers["503"] = answers["200"] | {"description": "the ledger is not trusted any more"}
    return {**made, "responses": answers}


def _part(name: str) -> dict[str, Any]:
    return WHOLE if name == "index" else {"type": "string", "minLength": 1}


def _taken(row: Route, schemas: Schemas) -> dict[str, Any]:
    if row.takes is bytes:
        return {_BYTES: {"schema": {"type": "string", "format": "binary"}}}
    return {_JSON: {"schema": schemas.of(row.takes)}}


def _given(row: Route, schemas: Schemas) -> dict[str, Any]:
    kind = KINDS.get(plain_path(row), _JSON)
    if row.gives in (Response, Streamed):
        return {kind: {"schema": {"type": "object"} if kind == _JSON else {"type": "string"}}}
    return {_JSON: {"schema": schemas.of(row.gives)}}


def _statuses(row: Route, closed: bool) -> list[int]:
    """Return the statuses that a row may answer with an error; 500 is promised of none."""
    part, posts = "{" in row.path, row.method == "POST"
    found: set[int] = set()
    if closed or posts or part or row.path in QUERIES:
        found |= {400, 403, 422, 503}
    if closed:
        found |= {401}
    if part or row.gives in (Response, Streamed):
        found |= {404}
    if posts:
        found |= {409, 413}
    if closed or posts or row.crowd is not None:
        found |= {429}
    return sorted(found)


def written() -> dict[str, str]:
    """Return every document's text, by its file's name."""
    return {
        f"{process}.json": json.dumps(document(process, rows), indent=1) + "\n"
        for process, rows in tables().items()
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file, text in written().items():
        (FOLDER / file).write_text(text)
