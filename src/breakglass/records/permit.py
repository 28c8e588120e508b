"""A monitor's permit: one person whom it paged reads one ask at a broker, and nothing else.

It travels in the page, which may come by mail or chat: so it is a bearer, it opens one reading, and
it is over when the ask is. It answers nothing: an answer is a statement, signed by a person's own
key. Source: docs/spec/permit.md.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime, timedelta

from breakglass.canonical import canonical, parse_lines
from breakglass.clock import format_time
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MalformedError, RefusedError, UnprovenError
from breakglass.records.encoding.text_types import GrantId, Handle, LogName
from breakglass.records.trust import Trust
from breakglass.strict_json import read, written
from breakglass.tlog.note import Note, Signer, sign_note, verified_lines

HEADER = "breakglass.dev/permit/v1"
PERMIT = "Breakglass-Permit"
"""The header that shows a permit to a broker."""
LONGEST = timedelta(hours=1)  # as long as a card may let an ask wait
_CHARACTERS_AT_MOST = 2048


@dataclass(frozen=True)
class Permit:
    """Who may read which ask, and until when.

    Attributes:
        log: the log's origin.
        grant: the ask, by the id of the grant that it asks for.
        to: the person who was paged.
        until: when the ask is over, and this with it.
    """

    log: LogName
    grant: GrantId
    to: Handle
    until: datetime


def make_permit(permit: Permit, key: Signer) -> str:
    """Sign a permit with the monitor's record key; the text fits a header and a command line.

    Raises:
        MalformedError: nobody would read it.
        MisconfiguredError: ``wrong_key_kind``; the key is none that signs records.
    """
    note = sign_note(permit_text(permit), key)
    return base64.b64encode(note.encoded()).decode()


def permit_text(permit: Permit) -> str:
    """Write a permit as the exact text that the monitor signs.

    Raises:
        MalformedError: nobody would read it.
    """
    return f"{HEADER}\n{canonical(written(permit, 'permit'))}\n"


def parse_permit(carried: str) -> tuple[Permit, Note]:
    """Read a permit as it is carried; nothing of it is believed yet.

    Raises:
        MalformedError: ``bad_permit``; another form. The error repeats nothing of the permit.
    """
    try:
        if len(carried) > _CHARACTERS_AT_MOST:
            raise ValueError(f"more than {_CHARACTERS_AT_MOST} characters")
        note = Note.parse(base64.b64decode(carried, validate=True))
        note.check_spelling()
        return read(Permit, parse_lines(note.text, HEADER, "permit"), "permit"), note
    except (binascii.Error, ValueError, BreakglassError) as error:
        why = error.name if isinstance(error, BreakglassError) else "no base64 of a note"
        raise MalformedError(
            f"the permit cannot be read ({why})",
            name=ErrorName.BAD_PERMIT,
            hint="copy the whole command from the page",
        ) from error


def check_permit(carried: str, grant: str, trust: Trust, now: datetime) -> Permit:
    """Believe that a monitor lets ``to`` read the ask ``grant``, now.

    Whether that person may answer this ask, and is not suspended, is for the caller to say.

    Args:
        carried: the header's value.
        grant: the ask that is to be read.
        trust: the trust file in force; its monitors may give permits for its logs.
        now: the broker's clock.

    Raises:
        MalformedError: ``bad_permit``.
        UnprovenError: ``permit_signer``, ``signature`` or ``wrong_grant``.
        RefusedError: ``wrong_log`` or ``permit_over``.
    """
    permit, note = parse_permit(carried)
    _check_signer(note, trust)
    if not trust.names_log(permit.log):
        raise RefusedError(
            f"the permit is of log {permit.log!r}, which is none of this trust file",
            name=ErrorName.WRONG_LOG,
        )
    if permit.grant != grant:
        raise UnprovenError(
            f"the permit opens ask {permit.grant!r}, this is {grant!r}", name=ErrorName.WRONG_GRANT
        )
    if now >= permit.until:
        raise _over(f"the permit ended at {format_time(permit.until)}, it is {format_time(now)}")
    # A monitor's key cannot give what outlives every ask.
    if permit.until > now + LONGEST + trust.skew:
        raise _over(f"a permit lasts {LONGEST} at most, this one until {format_time(permit.until)}")
    return permit


def _check_signer(note: Note, trust: Trust) -> None:
    known = [trust.submitter(line.name, line.key_id) for line in note.lines]
    monitors = [found[0] for found in known if found is not None and found[1].kind == "monitor"]
    if len(note.lines) != 1 or not monitors:
        raise UnprovenError(
            "the permit is not signed by one monitor of this trust file alone",
            name=ErrorName.PERMIT_SIGNER,
        )
    verified_lines(note, monitors)


def _over(why: str) -> RefusedError:
    return RefusedError(
        why, name=ErrorName.PERMIT_OVER, hint="without it your own session reads: --permit left out"
    )
