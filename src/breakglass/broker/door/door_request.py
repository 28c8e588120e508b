"""Asking for the custodians' door: the one story, in numbered steps, while the ledger is away.

First somebody asks: the broker decides, and keeps nothing. Custodians then countersign what the
person signed, each on their own machine. When enough have, the broker decides again and writes the
intent, with their statements inside. Each comment says what a crash just before or after the step
leaves behind.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Any, assert_never

from breakglass.broker.door.door_chain import DoorChain, KeptDoor
from breakglass.broker.grants import authorization
from breakglass.broker.grants.granting import At
from breakglass.broker.grants.request import BreakRequest
from breakglass.broker.grants.tokens import signers
from breakglass.broker.grants.wish import make_intent, wish_of
from breakglass.broker.minters import Minters
from breakglass.broker.policies import Policies
from breakglass.clock import Clock, format_time, to_milliseconds
from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError, UnavailableError
from breakglass.http.client import Peer
from breakglass.node.ledger_probe import unreached
from breakglass.node.replica import Replica
from breakglass.policy.decide import Allowed, Refused
from breakglass.process.alert_channel import AlertChannel
from breakglass.records.authority import (
    DOOR_WAIT,
    Asking,
    check_custodians,
    check_statements,
    eligible_custodians,
)
from breakglass.records.fold.slices.governance import ActiveCard
from breakglass.records.fold.slices.submitters import SubmitterState
from breakglass.records.intent_limits import DOOR_LIFE, check_terms
from breakglass.records.kinds.intent import Intent
from breakglass.records.record import Envelope, record_text
from breakglass.records.record_reader import parse_record
from breakglass.records.signing.signature import Signature, Signed, SignedByPasskey
from breakglass.records.statement import Countersign, Do, parse_statement
from breakglass.records.trust import Trust
from breakglass.strict_json import Many, view
from breakglass.tlog.note import SignerKey, sign_note
from breakglass.token.token import person_line

_VIEW_WITHIN = timedelta(seconds=2)


@dataclass(frozen=True)
class Countersigned:
    """``POST /doors/GRANT``: the person's door statement, and custodians' statements behind it."""

    statement: Signed | SignedByPasskey
    countersigned: Annotated[tuple[Signed | SignedByPasskey, ...], Many(16, 1)]


@dataclass(frozen=True)
class TokenBody:
    """``POST /doors/GRANT/mint``: the door's token, shown to its minter by the holder."""

    token: str


@dataclass(frozen=True)
class AskedDoorView:
    """What custodians may let through: the person's statement, and the card that it is under."""

    grant: str
    statement: Signed | SignedByPasskey
    countersigned: tuple[Signed | SignedByPasskey, ...]
    card: str
    needed: int
    minter_at: str


@dataclass(frozen=True)
class DoorView:
    """A door as people and clients are shown it; nothing in it is secret.

    ``people`` are the token's person lines of those who signed.
    """

    grant: str
    note: str
    card: str
    people: tuple[str, ...]
    not_after: datetime
    signed: tuple[str, ...]
    needed: int
    minter: str
    minter_at: str
    index: int | None


@dataclass(frozen=True)
class UnappendedView:
    """A door that was used and whose intent is not in the log."""

    grant: str
    who: str
    glass: str
    used: tuple[str, ...]


@dataclass(frozen=True)
class DoorsView:
    """Every door kept here, and those used elsewhere whose intent is not in the log."""

    doors: tuple[DoorView, ...]
    unappended: tuple[UnappendedView, ...]


@dataclass(frozen=True)
class Judged:
    """What was allowed, and the trust file and card that it was judged by."""

    intent: Intent
    card: ActiveCard
    asking: Asking
    trust: Trust
    place: tuple[int, str]
    latest: datetime | None


class DoorRequests:
    """See the module; safe under threads, one request at a time.

    Args:
        key: the door's own submitter key; ``None`` where this broker has none.
    """

    def __init__(
        self,
        view: Replica,
        ledger: Peer,
        log: str,
        key: SignerKey | None,
        chain: DoorChain,
        policies: Policies,
        minters: Minters,
        bell: AlertChannel,
        clock: Clock,
        at: At,
    ) -> None:
        self._view = view
        self._ledger = ledger
        self._log = log
        self._key = key
        self._chain = chain
        self._policies = policies
        self._minters = minters
        self._bell = bell
        self._clock = clock
        self._at = at
        self._lock = threading.Lock()

    def ask(self, request: BreakRequest) -> AskedDoorView:
        """Say whether custodians may let this through, and what for; again is harmless.

        Raises:
            RefusedError: ``no_door``, ``ledger_reachable``, ``door_standing``, ``door``,
                ``too_few_custodians``, or why policy refuses; nothing was made.
            UnprovenError: a signature does not hold.
            UnavailableError: the broker knows no policy yet.
        """
        key = self._require_key()
        # (1) Try the ledger. Who reaches it has an ordinary way; a crash leaves nothing.
        tried = unreached(self._ledger, self._view.trust())
        self._at("door_tried")
        with self._lock:
            now = to_milliseconds(self._clock.now())
            # (2) One door at a time, and decide, on what was last followed. Pure.
            self._standing(request)
            judged = self._judged(request, key, now, ())
        said = request.said
        eligible = eligible_custodians(judged.asking, judged.card.people.by_name, judged.trust)
        if len(eligible) < judged.trust.custodians_needed:
            raise RefusedError(
                f"{len(eligible)} custodians may sign for {said.who!r},"
                f" {judged.trust.custodians_needed} are needed: nobody signs for themselves",
                name=ErrorName.TOO_FEW_CUSTODIANS,
            )
        # (3) Shout, and hand it out. Custodians ring for themselves.
        self._bell.ring(
            "door_asked",
            request.grant,
            f"{said.who!r} asks custodians for {said.glass!r}, without the ledger: {tried}",
        )
        return AskedDoorView(
            request.grant,
            request.signed,
            (),
            judged.card.note.decode(),
            judged.trust.custodians_needed,
            self._minters.address(said.minter) if said.minter else "",
        )

    def complete(self, request: BreakRequest, words: Sequence[Signature]) -> DoorView:
        """Write the door intent that enough custodians let through; the same again is the same.

        Raises:
            RefusedError: as ``ask``; or a custodian's statement does not count, by its name.
            UnprovenError: ``custodians``: too few of them; or a signature does not hold.
            UnavailableError: the broker's disk refuses; nothing was handed out.
        """
        key = self._require_key()
        with self._lock:
            # (1) The same statement again is the same intent, also when the ledger is back.
            kept = self._standing(request)
            if kept is None:
                # (2) Try the ledger once more, and decide again: an hour may lie between.
                tried = unreached(self._ledger, self._view.trust())
                now = to_milliseconds(self._clock.now())
                judged = self._judged(request, key, now, words)
                signed = check_custodians(
                    judged.intent, now, judged.asking, judged.card.people.by_name, judged.trust
                )
                # (3) Number, sign, keep on disk. Before it nothing was handed out; behind it, an
                #     intent that the same statement finds again.
                kept = self._kept(request, key, judged, now)
                self._at("door_kept")
                # (4) Shout, and hand it out.
                self._bell.ring(
                    "door_signed",
                    kept.grant,
                    f"CUSTODIANS' DOOR: {' and '.join(signed)} approved {request.said.glass!r} for"
                    f" {request.said.who!r}, without the ledger: {tried}",
                )
        return self._shown(kept)

    def mint(self, grant: str, token: str) -> dict[str, Any]:
        """Hand a door's token to its minter, which judges it for itself.

        Raises:
            BreakglassError: the minter's refusal, or that it did not answer.
        """
        kept = self._find(grant)
        return self._minters.mint(_intent_of(kept).minter, token, 0)

    def find(self, grant: str) -> DoorView:
        """Return one door.

        Raises:
            RefusedError: ``no_grant``.
        """
        return self._shown(self._find(grant))

    def listing(self) -> DoorsView:
        """Return every door kept here, and those used elsewhere."""
        with self._view.reading() as state:
            used = tuple(
                view(UnappendedView, each, used=tuple(f"{use.by} {use.run}" for use in each.uses))
                for each in state.unappended_doors()
            )
        return DoorsView(tuple(self._shown(each) for each in self._chain.all()), used)

    def _shown(self, kept: KeptDoor) -> DoorView:
        intent = _intent_of(kept)
        with self._view.reading() as state:
            active = state.governance.cards.get(intent.glass)
        people = active.people.carried(signers(intent)) if active else ()
        said = [parse_statement(each.text) for each in intent.statements]
        return view(
            DoorView,
            kept,
            note=kept.note.encoded().decode(),
            card=kept.card.decode(),
            people=tuple(person_line(each) for each in people),
            signed=tuple(each.who for each in said if isinstance(each, Countersign)),
            needed=self._view.trust().custodians_needed,
            minter=intent.minter,
            minter_at=self._minters.address(intent.minter) if intent.minter else "",
        )

    def _standing(self, request: BreakRequest) -> KeptDoor | None:
        now = to_milliseconds(self._clock.now())
        with self._view.reading() as state:
            authorization.known(request, state, now)
        found = self._chain.find(request.grant)
        if found is not None:
            return found
        for kept in self._chain.standing():
            raise RefusedError(
                f"an offline grant exists already: {kept.grant!r}, until"
                f" {format_time(kept.not_after)}; no second one until the first is in the ledger",
                name=ErrorName.DOOR_STANDING,
                hint="it is shown by: breakglass door list",
            )
        return None

    def _require_key(self) -> SignerKey:
        if self._key is None:
            raise RefusedError(
                "this broker has no door key: no custodians were set up here; nothing was made",
                name=ErrorName.NO_DOOR,
                hint="docs/how-to/custodians-door.md says how maintainers set the door up",
            )
        return self._key

    def _judged(
        self, request: BreakRequest, key: SignerKey, now: datetime, words: Sequence[Signature]
    ) -> Judged:
        self._require_view()
        with self._view.reading() as state:
            who = authorization.known(request, state, now)
            authorization.check_timely(request.said, request.signed.text, state, now, DOOR_WAIT)
            policy = self._policies.in_force(state)
            moment = authorization.moment_of(request.said, request.grant, state)
            trust = self._view.trust()
            chain = state.submitters.by_key.get(key.verifier.label, SubmitterState())
            place = (chain.next_seq, chain.prev)
        # How long custodians were looked for makes nobody's signature older than it was.
        who = replace(who, age=timedelta(0))
        times = [*(each.at for each in self._chain.standing()), chain.last_at]
        latest = max((each for each in times if each is not None), default=None)
        decision = authorization.alone(
            authorization.decide(request, who, moment, policy, now, Do.DOOR)
        )
        match decision:
            case Refused():
                told = "; ".join(decision.why)
                raise RefusedError(f"{request.said.who!r} may not: {told}", name=decision.name)
            case Allowed():
                pass
            case _:
                assert_never(decision)
        if not trust.door:
            raise RefusedError(
                "this trust file does not accept the custodians' door", name=ErrorName.DOOR
            )
        assert moment.card is not None  # the decision looked
        wish = replace(wish_of(request, moment, policy, now), further=tuple(words))
        intent = make_intent(wish)
        intent = replace(intent, not_after=min(intent.not_after, now + DOOR_LIFE))
        asking = check_statements(intent, moment.card.card, moment.card.people.by_name)
        check_terms(intent, now, asking, moment.card.card, trust.skew)
        return Judged(intent, moment.card, asking, trust, place, latest)

    def _kept(
        self, request: BreakRequest, key: SignerKey, judged: Judged, now: datetime
    ) -> KeptDoor:
        seq, prev = self._chain.place(*judged.place)
        now = max(now, judged.latest or now)  # a chain's times do not go back
        envelope = Envelope(self._log, f"{request.grant}/intent", now, seq, prev)
        note = sign_note(record_text(envelope, judged.intent), key)
        kept = KeptDoor(seq, request.grant, note, judged.card.note, now, judged.intent.not_after)
        self._chain.add(kept)
        return kept

    def _require_view(self) -> None:
        if not self._view.wait_current(_VIEW_WITHIN):
            raise UnavailableError(
                "still reading what this broker knew of the ledger; nothing was made",
                name=ErrorName.CATCHING_UP,
                hint="try again in a moment",
            )
        self._view.require_newest("made")

    def _find(self, grant: str) -> KeptDoor:
        kept = self._chain.find(grant)
        if kept is None:
            raise RefusedError(
                f"this broker made no door intent {grant[:40]!r}", name=ErrorName.NO_GRANT
            )
        return kept


def _intent_of(kept: KeptDoor) -> Intent:
    body = parse_record(kept.note.encoded()).body
    assert isinstance(body, Intent), "nothing else is kept"
    return body
