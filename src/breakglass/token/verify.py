"""The verification order: nine steps, each failure with a name of its own.

``verify_token`` reads like docs/spec/token.md, section «Verification». It returns what the token
proves, or raises; nothing that it does depends on what the token asks for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from breakglass.clock import format_time
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, RefusedError, UnprovenError
from breakglass.records.authority import (
    Asking,
    check_card,
    check_custodians,
    check_door,
    check_intent_names,
    check_people,
    check_people_signed,
    check_statements,
)
from breakglass.records.card import Card
from breakglass.records.intent_limits import check_terms
from breakglass.records.kinds.intent import Intent
from breakglass.records.kinds.justified import Justified
from breakglass.records.presentation import Presentation, parse_presentation
from breakglass.records.proven import prove_entry
from breakglass.records.record import Record, parse_as_kind
from breakglass.records.signing.signature import PRESENTATION_NAMESPACE, verify_signature
from breakglass.records.statement import Do
from breakglass.records.submitter_line import check_single, check_submitter
from breakglass.records.trust import Level, Trust
from breakglass.tlog.merkle import leaf_hash
from breakglass.tlog.note import Note
from breakglass.token.token import Token


@dataclass(frozen=True)
class VerifiedToken:
    """What a token proves to the verifier that it was shown to.

    ``index`` is the intent's place in the log and ``cosigned`` the witnesses' times; both are
    empty (-1, no times) for a token of the custodians' door, whose ``custodians`` countersigned.
    ``run`` is empty where nobody asked for one.
    """

    intent: Intent
    card: Card
    asking: Asking
    log: str
    at: datetime
    run: str
    index: int
    cosigned: Mapping[str, datetime]
    custodians: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verifier:
    """Who verifies: ``door`` is ``gate:NAME`` or ``minter:NAME``.

    ``newest_seen`` is the latest cosignature time that this verifier has ever seen, which it
    keeps; a clock far behind it must not bring expired tokens back.
    """

    trust: Trust
    door: str
    newest_seen: datetime | None = None


def verify_token(token: Token, verifier: Verifier, run: str, now: datetime) -> VerifiedToken:
    """Check a token in the order of the specification and return what it proves.

    Args:
        token: as parsed.
        verifier: the trust file (1), the door, and what was seen before.
        run: the run of the gate, or the grant id at a minter.
        now: the verifier's own time.

    Raises:
        MalformedError: a part is not in its form.
        UnprovenError: a signature or proof does not hold, or parts do not belong together.
        RefusedError: all holds, and the answer is still no: expired, another gate, another run.

    Source: DESIGN.md section 3, «verified in this order»; docs/spec/token.md.
    """
    # (1) The trust file: signed by its maintainers when this verifier accepted it.
    trust = verifier.trust
    _check_clock(verifier, now)
    # (2) to (6): the grant, and that this door is meant.
    found = _granted(token, trust, now, verifier.door)
    _check_clock(replace(verifier, newest_seen=max(found.cosigned.values(), default=None)), now)
    # (7) Now.
    intent, asking = found.intent, found.asking
    check_life(intent, trust.skew, now)
    # (8) The holder shows it here, for this run.
    shown = _check_holder(token, intent, asking, run)
    if shown is not None:
        _check_presentation(shown, asking, found.log, verifier.door, run)
        _check_presented_in_time(shown, intent, asking, trust.skew, now)
    # (9) A drill shows that all of this works, and opens nothing.
    if asking.statement.drill and verifier.door.startswith("gate:"):
        raise RefusedError(
            f"would open {verifier.door!r}: this is a drill, and the gate stays shut",
            name=ErrorName.WRONG_GATE,
        )
    return replace(found, run=run)


def prove_grant(token: Token, trust: Trust, now: datetime) -> VerifiedToken:
    """Check all of a token but who shows it where, and return what it proves of its grant.

    What its own holder may know of it: steps (2) to (6) of ``verify_token`` without a door. The
    level is asked by gates and minters alone: ``cosigned`` says what is there.

    Args:
        token: as parsed; a presentation is not looked at.
        trust: the holder's own trust file.
        now: the holder's own time, for the card's.

    Raises:
        MalformedError, UnprovenError, RefusedError: as ``verify_token``.
    """
    return _granted(token, trust, now, None)


def _granted(token: Token, trust: Trust, now: datetime, door: str | None) -> VerifiedToken:
    # (2) The card: threshold of maintainers, in force.
    card_note = Note.parse(token.card)
    card = check_card(card_note, trust, now)
    # (3) The intent: by a broker, of this card and log, for this door.
    record, intent = _intent(token.intent)
    check_submitter(record, trust, "broker")
    check_intent_names(intent, record.envelope, card, card_note)
    if door is not None:
        check_door(intent, card, door)
    # (4) The statements: people, keys, factors, enough of them.
    people = check_people(token.people, card)
    asking = check_statements(intent, card, people)
    check_people_signed(people, asking)
    # (5) The intent is what was asked, within the card, in time.
    envelope = record.envelope
    check_terms(intent, envelope.at, asking, card, trust.skew)
    # (6) The proof: recorded, witnessed at the time, beyond reach as this verifier demands.
    check_single(record)
    custodians: tuple[str, ...] = ()
    if token.proof is None:
        custodians = check_custodians(intent, envelope.at, asking, people, trust)
        index, cosigned = -1, dict[str, datetime]()
    else:
        index, cosigned = _check_proof(token, record, asking, trust)
        if door is not None:
            _check_level(token, record, index, cosigned, trust)
    return VerifiedToken(
        intent, card, asking, envelope.log, envelope.at, "", index, cosigned, custodians
    )


def check_life(intent: Intent, skew: timedelta, now: datetime) -> None:
    """Refuse outside [not-before, not-after]; the skew is given before, never after.

    Raises:
        RefusedError: ``not_yet_valid`` or ``expired``, with both clocks.
    """
    if now < intent.not_before - skew:
        raise RefusedError(
            f"grant {intent.grant!r} begins {format_time(intent.not_before)}; this clock says"
            f" {format_time(now)}",
            name=ErrorName.NOT_YET_VALID,
        )
    if now > intent.not_after:
        ago = (now - intent.not_after).total_seconds()
        raise RefusedError(
            f"grant {intent.grant!r} ended {format_time(intent.not_after)}, {ago:.0f} s ago by"
            f" this clock, which says {format_time(now)}",
            name=ErrorName.EXPIRED,
            hint="break the glass again: a grant is never extended",
        )


def _check_clock(verifier: Verifier, now: datetime) -> None:
    seen, skew = verifier.newest_seen, verifier.trust.skew
    if seen is not None and now < seen - skew:
        raise RefusedError(
            f"this clock says {format_time(now)}, but a witness signed at {format_time(seen)}:"
            f" it is more than {skew.total_seconds():.0f} s behind",
            name=ErrorName.CLOCK_BEHIND,
            hint="set this machine's clock",
        )


def _intent(data: bytes) -> tuple[Record[Intent], Intent]:
    record = parse_as_kind(Intent, data)
    if not isinstance(record.body, Intent):
        raise MalformedError("the token's record is no intent", name=ErrorName.NOT_AN_INTENT)
    return record, record.body


def _check_proof(
    token: Token, record: Record[Intent], asking: Asking, trust: Trust
) -> tuple[int, dict[str, datetime]]:
    if asking.statement.do is Do.DOOR:
        raise UnprovenError(
            "a door statement with a proof in place of custodians", name=ErrorName.WRONG_DO
        )
    assert token.proof is not None
    entry = prove_entry(token.intent, token.proof, trust, record.envelope)
    return entry.index, entry.cosigners


def _check_level(
    token: Token,
    record: Record[Intent],
    index: int,
    cosigned: Mapping[str, datetime],
    trust: Trust,
) -> None:
    if trust.level in (Level.ARCHIVED, Level.JUSTIFIED) and trust.archiver not in cosigned:
        raise UnprovenError(
            f"archiver {trust.archiver!r} has not cosigned in time; this trust file asks for level"
            f" {trust.level.value!r}",
            name=ErrorName.LEVEL,
        )
    if trust.level is Level.JUSTIFIED:
        _check_justified(token, record, index, trust)


def _check_justified(token: Token, record: Record[Intent], index: int, trust: Trust) -> None:
    if token.justified is None:
        raise UnprovenError(
            "no 'justified' record; this trust file asks for level 'justified'",
            name=ErrorName.LEVEL,
            hint="wait a moment and get the token again; the monitor decides within seconds",
        )
    data, proof = token.justified
    note = parse_as_kind(Justified, data)
    check_submitter(note, trust, "monitor")
    check_single(note)
    prove_entry(data, proof, trust, note.envelope)
    leaf = leaf_hash(token.intent).hex()
    wanted = Justified(record.body.grant, leaf, index, record.body.policy)
    if note.body != wanted or note.envelope.log != record.envelope.log:
        raise UnprovenError("the 'justified' record is of another intent", name=ErrorName.JUSTIFIED)


def _check_holder(token: Token, intent: Intent, asking: Asking, run: str) -> Presentation | None:
    if asking.statement.do is Do.MACHINE:
        # No credential leaves and no gate opens: the minter runs the card's act, once per grant.
        if token.presentation is not None or run != intent.grant:
            raise RefusedError("a machine's intent is held by nobody", name=ErrorName.HOLDER)
        return None
    if token.presentation is None:
        raise UnprovenError(
            "the token is not signed for any door by its holder",
            name=ErrorName.HOLDER,
            hint="get one with: breakglass gate token GRANT --gate GATE --for RUN",
        )
    try:
        verify_signature(token.presentation, [intent.holder], PRESENTATION_NAMESPACE)
    except UnprovenError as error:
        raise UnprovenError(
            f"the token is shown by another than its holder: {error}", name=ErrorName.HOLDER
        ) from error
    return parse_presentation(token.presentation.text)


def _check_presentation(shown: Presentation, asking: Asking, log: str, door: str, run: str) -> None:
    if shown.log != log or shown.statement != asking.digest:
        raise UnprovenError("the presentation is of another grant", name=ErrorName.HOLDER)
    if shown.to != door:
        raise RefusedError(
            f"the token is shown to {shown.to!r}, this is {door!r}", name=ErrorName.WRONG_DOOR
        )
    if shown.run != run or not run:
        raise RefusedError(
            f"the token is for run {shown.run!r}, this is run {run!r}",
            name=ErrorName.WRONG_RUN,
            hint="a token opens one run; sign one for this run",
        )


def _check_presented_in_time(
    shown: Presentation, intent: Intent, asking: Asking, skew: timedelta, now: datetime
) -> None:
    if not asking.statement.at - skew <= shown.at <= min(intent.not_after, now + skew):
        raise RefusedError(
            f"the token was shown at {format_time(shown.at)} by its holder's clock, this one says"
            f" {format_time(now)}",
            name=ErrorName.PRESENTATION_TIME,
            hint="set the clock of the machine that shows the token",
        )


def token_digest(token: Token) -> str:
    """Return the SHA-256 of the token's text: a name for it in logs that holds no secret."""
    return hashlib.sha256(token.encoded().encode()).hexdigest()
