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

from breakglass.canonical import canonical, parse_lines
from breakglass.records.encoding.text_types import Digest, Handle, LogName, Word
from breakglass.records.signing.person_key import PersonKey, check_keys
from breakglass.strict_json import Between, Many, read, written
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
    """Write a policy note as the exact text that maintainers sign.

    Raises:
        MalformedError: nobody would read it.
    """
    text = f"{HEADER}\n{canonical(written(policy, 'policy note'))}\n"
    check_keys(policy.people, "policy note")
    return text


def parse_policy_note(note: Note) -> PolicyNote:
    """Read a policy note; the maintainers' signatures are still to be checked.

    Raises:
        MalformedError: another form, or one key belongs to two people.
    """
    policy = read(PolicyNote, parse_lines(note.text, HEADER, "policy note"), "policy note")
    check_keys(policy.people, "policy note")
    return policy
