"""Who states a record: the one line of its note that is by a submitter."""

from __future__ import annotations

from typing import Any

from breakglass.error_names import ErrorName
from breakglass.errors import UnprovenError
from breakglass.records.record import Record
from breakglass.records.trust import Role, Trust
from breakglass.tlog.note import VerifierKey, verified_lines


def submitter_of(record: Record[Any], trust: Trust) -> tuple[VerifierKey, Role]:
    """Check that exactly one line of the note is by a submitter, and holds; say by which.

    Raises:
        UnprovenError: ``submitter`` (nobody, or several) or ``signature``.
    """
    known = [
        found
        for line in record.note.lines
        if (found := trust.submitter(line.name, line.key_id)) is not None
    ]
    if len(known) != 1:
        raise UnprovenError(
            f"{len(known)} submitters signed this record, one must", name=ErrorName.SUBMITTER
        )
    verified_lines(record.note, [known[0][0]])
    return known[0]


def check_submitter(record: Record[Any], trust: Trust, role: str) -> Role:
    """Check that exactly one line of the note is by a submitter, of this role, and holds.

    Raises:
        UnprovenError: ``submitter``, ``signature`` or ``submitter_role``.
    """
    _, found = submitter_of(record, trust)
    if found.kind != role:
        raise UnprovenError(
            f"a record that only a {role} may state is signed by {str(found)!r}",
            name=ErrorName.SUBMITTER_ROLE,
        )
    return found


def check_single(record: Record[Any]) -> None:
    """Check that no line stands beside the submitter's; the door's intents alone have more.

    Raises:
        UnprovenError: ``extra_lines``.
    """
    if len(record.note.lines) != 1:
        raise UnprovenError("a line stands beside the submitter's", name=ErrorName.EXTRA_LINES)
