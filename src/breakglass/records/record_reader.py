"""Read a whole record: its envelope, and the fields of its kind."""

from __future__ import annotations

from typing import Any

from breakglass.records.all_kinds import KINDS
from breakglass.records.record import Outer, Record, parse_outer


def parse_record(data: bytes) -> Record[Any]:
    """Read a record from the bytes that the log stores.

    Raises:
        MalformedError: not the form of docs/spec/record.md, with the place. An unknown kind is
            no error: its body is ``Unknown``.
    """
    return read_record(parse_outer(data))


def read_record(outer: Outer) -> Record[Any]:
    """Read the kind's own fields behind an envelope.

    Raises:
        MalformedError: they are not what the kind has. An unknown kind is no error.
    """
    rule = KINDS.find(outer.name, outer.version)
    return outer.unread() if rule is None else outer.read_as(rule.form)
