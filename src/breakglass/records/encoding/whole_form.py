"""A form for whole states: typed values as JSON, from their own annotations, and back.

Not for what anybody signs: the form follows the dataclasses, positions in place of names, and
``Form.schema`` tells when they changed. What it writes, its own process alone reads again.

A dataclass is a list of its fields in order. Dictionaries keep their order, since rules and screens
go through some of them; whoever applied the same entries has the same order, so equal folds give
equal bytes. Sets are sorted. A value of several possible classes is tagged with its class. Bytes
that are UTF-8 are their text, others base64 in a list of one.

Two kinds of classes are written once, however often their values stand: those marked by
``written_once``, and those with hooks of their own, which have exact bytes already and are read
again by their own reader:

    def form(self) -> Json: ...
    @classmethod
    def read_form(cls, form: Json, *arguments) -> Self: ...     # raises MalformedError
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar, cast

from breakglass.canonical import Json, parse_strict
from breakglass.errors import MalformedError
from breakglass.records.encoding.whole_parts import Read, Written, part_of, written_once

__all__ = [
    "Form",
    "form_bytes",
    "form_of",
    "parse_form",
    "read_form",
    "text_form",
    "written_once",
]

T = TypeVar("T")


def form_of(value: object) -> Json:
    """Return the form of a value of a dataclass; nothing in it may change meanwhile.

    Raises:
        TypeError: its annotations name something that has no form.
    """
    return Form(type(value)).of(value)


def read_form(kind: type[T], form: Json) -> T:
    """Read what ``form_of`` made of a ``kind``.

    Raises:
        MalformedError: the form is not one of ``kind``.
    """
    return cast("T", Form(kind).read(form))


def form_bytes(form: Json) -> bytes:
    """Write a form: equal forms give equal bytes.

    Raises:
        MalformedError: a text holds half characters.
    """
    text = json.dumps(form, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise MalformedError("a text holds a lone surrogate") from error


def parse_form(data: bytes) -> Json:
    """Read what ``form_bytes`` wrote.

    Raises:
        MalformedError: no JSON in UTF-8.
    """
    return parse_strict(data, "form")


def text_form(form: Json) -> str:
    """Return a form that must be a text; for hooks.

    Raises:
        MalformedError: it is none.
    """
    if type(form) is not str:
        raise MalformedError(f"form: expected a text, got {type(form).__name__}")
    return form


class Form:
    """The form of one class.

    Args:
        kind: a dataclass.
        names: what its annotations name and their modules import for the type checker alone.

    Raises:
        TypeError: see ``form_of``.
    """

    def __init__(self, kind: type, names: Mapping[str, Any] = MappingProxyType({})) -> None:
        self._part = part_of(kind, tuple(names.items()))

    @property
    def schema(self) -> str:
        """Return the SHA-256 of all that the form depends on: classes, fields, annotations."""
        return hashlib.sha256(self._part.says.encode()).hexdigest()

    def of(self, value: object) -> Json:
        """Return the form of a value."""
        once = Written()
        form = self._part.write(value, once)
        return [once.forms, form]

    def read(self, form: Json) -> Any:
        """Read a value.

        Raises:
            MalformedError: the form is not one of the class.
        """
        try:
            once, whole = cast("Any", form)
            return self._part.read(whole, Read(once))
        except (TypeError, ValueError, LookupError, OverflowError, RecursionError) as error:
            raise MalformedError(f"form: not one of this schema: {error}") from error
