"""What maintainers sign when a policy takes force: the bundle's digest and who is who.

The note carries the root over the list of people, which is attached to the ``policy`` record, so
that anybody with the ledger can check any person's signature without reading the bundle. Text:
``breakglass.dev/policy/v1`` and one line of RFC 8785 JSON, signed in ``breakglass-policy@v1``.
Source: docs/spec/record.md, «policy note».
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from breakglass.canonical import canonical, parse_lines
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, UnprovenError
from breakglass.records.encoding.text_types import Digest, LogName, Word
from breakglass.records.people_list import May, PeopleList, PeopleRoot
from breakglass.records.signing.signature import POLICY_NAMESPACE, people_who_signed
from breakglass.records.trust import Trust
from breakglass.strict_json import Between, read, written
from breakglass.tlog.note import Note

HEADER = "breakglass.dev/policy/v1"


@dataclass(frozen=True)
class PolicyNote:
    """See the module. The list's lines say ``kill`` of those whose word stops things."""

    log: LogName
    version: Annotated[int, Between(1, 10**9)]
    bundle: Digest
    commit: Word
    people: PeopleRoot
    issued: datetime


def policy_text(policy: PolicyNote) -> str:
    """Write a policy note as the exact text that maintainers sign.

    Raises:
        MalformedError: nobody would read it.
    """
    return f"{HEADER}\n{canonical(written(policy, 'policy note'))}\n"


def parse_policy_note(note: Note) -> PolicyNote:
    """Read a policy note; the maintainers' signatures are still to be checked.

    Raises:
        MalformedError: another form.
    """
    return read(PolicyNote, parse_lines(note.text, HEADER, "policy note"), "policy note")


def check_policy_signatures(note: Note, trust: Trust) -> PolicyNote:
    """Read a policy note that the threshold of the maintainers in force signed.

    Raises:
        MalformedError: another form.
        UnprovenError: ``policy_signatures`` for too few maintainers; one's line that does not hold.
    """
    said = parse_policy_note(note)
    signed = people_who_signed(note, trust.maintainers, POLICY_NAMESPACE)
    if len(signed) < trust.maintainers_needed:
        raise UnprovenError(
            f"{len(signed)} of {trust.maintainers_needed} maintainers signed",
            name=ErrorName.POLICY_SIGNATURES,
        )
    return said


def check_policy_people(policy: PolicyNote, people: PeopleList) -> None:
    """Check that ``people`` is the list that the note names, and gives nobody a card's right.

    Raises:
        MalformedError: another list, or another right than ``kill``.
    """
    if people.root != policy.people:
        raise MalformedError("policy note: the list of people is not the one it names")
    for person in people.by_name.values():
        if not {May.KILL}.issuperset(person.may):
            raise MalformedError(f"policy note: {person.who!r} may kill here, or nothing")
