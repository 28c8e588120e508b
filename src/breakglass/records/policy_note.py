"""What maintainers sign when a policy takes force: the bundle's digest and who is who.

The note carries the directory of people, so that anybody with the ledger can check any person's
signature without reading the bundle. Text: ``breakglass.dev/policy/v1`` and one line of RFC 8785
JSON, signed in ``breakglass-policy@v1``. Source: docs/spec/record.md, «policy note».
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from breakglass.errors import MalformedError
from breakglass.records.canonical import canonical, parse_canonical
from breakglass.records.card import PersonKey
from breakglass.records.shape import Between, Many, read, write
from breakglass.records.words import Digest, Handle, LogName, Word
from breakglass.tlog.note import Note

HEADER = "breakglass.dev/policy/v1"


@dataclass(frozen=True)
class PolicyNote:
    """See the module. ``kill`` names the people whose word stops a grant, a person or a glass."""

    log: LogName
    version: Annotated[int, Between(1, 10**9)]
    bundle: Digest
    commit: Word
    people: Annotated[Mapping[Handle, Annotated[tuple[PersonKey, ...], Many(16)]], Many(5000)]
    kill: Annotated[tuple[Handle, ...], Many(1000)]
    issued: datetime


def policy_text(policy: PolicyNote) -> str:
    """Write a policy note as the exact text that maintainers sign."""
    return f"{HEADER}\n{canonical(write(policy))}\n"


def parse_policy_note(note: Note) -> PolicyNote:
    """Read a policy note; the maintainers' signatures are still to be checked.

    Raises:
        MalformedError: another form, or one key belongs to two people.
    """
    lines = note.text.split("\n")
    if len(lines) != 3 or lines[0] != HEADER or lines[2]:
        raise MalformedError(f"policy note: expected {HEADER!r}, one line of JSON, a line end")
    policy = read(PolicyNote, parse_canonical(lines[1], "policy note"), "policy note")
    keys = [key for theirs in policy.people.values() for key in theirs]
    if len(set(keys)) != len(keys):
        raise MalformedError("policy note.people: one key belongs to two people")
    return policy
