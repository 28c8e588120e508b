"""The log's first trust file, from its own first entries: whose cosignatures prove its beginning.

Who begins with a later version could not prove the first heads by it: witnesses come and go. The
genesis is pinned by its digest in every version, and names the maintainers who signed the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, UnprovenError
from breakglass.records.kinds.genesis import Genesis
from breakglass.records.kinds.trust import TrustActivated
from breakglass.records.record import parse_attachments
from breakglass.records.record_reader import parse_record
from breakglass.records.trust import Trust, check_first_trust, check_next_trust
from breakglass.tlog.note import Note

Attachment = Callable[[str], bytes]
"""Gives the bytes of a SHA-256 in hex, checked."""


def first_trust(genesis: str, notes: Sequence[bytes], attachment: Attachment) -> Trust:
    """Return the first trust file of the log whose first entries these are.

    Args:
        genesis: SHA-256 of the text of entry 0, as any version of the trust file pins it.
        notes: entries 0 and 1, and more if at hand.
        attachment: fetches what entry 1 names.

    Raises:
        UnprovenError: ``trust_genesis``, another log; or ``trust_signatures``.
        MalformedError: an entry is not in its form.
        UnavailableError: the attachment could not be fetched.
    """
    if len(notes) < 2:
        raise UnprovenError(
            "the log has not begun: it has no trust file", name=ErrorName.TRUST_GENESIS
        )
    begun, second = parse_record(notes[0]), parse_record(notes[1])
    body = begun.body
    if not isinstance(body, Genesis) or begun.text_digest != genesis:
        raise UnprovenError(
            "entry 0 is not the genesis that was pinned", name=ErrorName.TRUST_GENESIS
        )
    if not isinstance(second.body, TrustActivated):
        raise UnprovenError("entry 1 puts no trust file in force", name=ErrorName.TRUST_GENESIS)
    note = Note.parse(attachment(_digest(notes[1])))
    return check_first_trust(note, genesis, body.maintainers, body.maintainers_needed)


def later_trusts(first: Trust, notes: Iterator[bytes], attachment: Attachment) -> Iterator[Trust]:
    """Give the versions after ``first`` that these entries put in force, in order.

    What does not follow by its maintainers' signatures is passed over, as the fold voids it. Which
    kinds they put in force plays no part: cosignatures are proven all the same.
    """
    standing = first
    for note in notes:
        if b'"kind":"trust"' not in note:
            continue
        try:
            found = check_next_trust(Note.parse(attachment(_digest(note))), standing)
        except BreakglassError:
            continue
        if found is not standing:
            standing = found
            yield found


def _digest(note: bytes) -> str:
    named = parse_attachments(Note.parse(note).text)
    if not named:
        raise UnprovenError("a trust record without its file", name=ErrorName.ATTACHMENT)
    return named[0].digest
