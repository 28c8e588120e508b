"""Asking for the custodians' door: the one story, in numbered steps, while the ledger is away.

Each comment says what a crash just before or after the step leaves behind. The broker opens
nothing here: without the custodians' lines what it hands out is void.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, assert_never

from breakglass.broker.door.door_chain import DoorChain, KeptDoor
from breakglass.broker.grants import authorization
from breakglass.broker.grants.breaking import At, make_intent
from breakglass.broker.grants.request import BreakRequest
from breakglass.broker.minters import Minters
from breakglass.broker.policies import Policies
from breakglass.clock import Clock, format_time, to_milliseconds
from breakglass.errors import RefusedError, UnavailableError, UnprovenError
from breakglass.http.client import Peer
from breakglass.node.ledger_probe import unreached
from breakglass.node.replica import Replica
from breakglass.policy.decide import Allowed, Refused
from breakglass.process.alert_channel import AlertChannel
from breakglass.records.authority import check_statements, eligible_custodians
from breakglass.records.fold.slices.submitters import SubmitterState
from breakglass.records.intent_limits import DOOR_LIFE, check_terms
from breakglass.records.kinds.intent import Intent
from breakglass.records.record import Envelope, record_text
from breakglass.records.record_reader import parse_record
from breakglass.records.signing.signature import DOOR_NAMESPACE, people_who_signed
from breakglass.records.statement import Do
from breakglass.records.trust import Trust
from breakglass.strict_json import view
from breakglass.tlog.note import Note, SignatureLine, SignerKey, sign_note

_VIEW_WITHIN = timedelta(seconds=2)


@dataclass(frozen=True)
class SignedNote:
    """``POST /doors/GRANT``: the intent's note, with the lines of custodians under it."""

    note: str


@dataclass(frozen=True)
class TokenBody:
    """``POST /doors/GRANT/mint``: the door's token, shown to its minter by the holder."""

    token: str


@dataclass(frozen=True)
class DoorView:
    """A door as people and clients are shown it; nothing in it is secret."""

    grant: str
    note: str
    card: str
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
    card: bytes
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

    def ask(self, request: BreakRequest) -> DoorView:
        """Make the door intent that custodians may sign; the same statement is the same intent.

        Raises:
            RefusedError: ``no_door``, ``ledger_reachable``, ``door_standing``, ``door``,
                ``too_few_custodians``, or why policy refuses; nothing was made.
            UnprovenError: a signature does not hold.
            UnavailableError: the broker knows no policy yet, or its disk refuses.
        """
        key = self._key
        if key is None:
            raise RefusedError(
                "this broker has no door key: no custodians were set up here; nothing was made",
                name="no_door",
                hint="docs/how-to/custodians-door.md says how maintainers set the door up",
            )
        # (1) Try the ledger. Who reaches it has an ordinary way; a crash leaves nothing.
        tried = unreached(self._ledger, self._view.trust())
        self._at("door_tried")
        with self._lock:
            now = to_milliseconds(self._clock.now())
            # (2) The same statement again is the same intent; else one door at a time.
            kept = self._standing(request, now)
            if kept is None:
                # (3) Decide, on what was last followed. Pure: a crash leaves nothing.
                judged = self._judged(request, key, now)
                # (4) Number, sign, keep on disk. Before it nothing was handed out; behind it, an
                #     intent that the same statement finds again.
                kept = self._kept(request, key, judged, now)
                self._at("door_kept")
        # (5) Shout, and hand it out. Custodians ring for themselves.
        said = request.said
        self._bell.ring(
            "door_asked",
            kept.grant,
            f"{said.who!r} asks custodians for {said.glass!r}; the ledger: {tried}",
        )
        return self._shown(kept)

    def sign(self, grant: str, body: SignedNote) -> DoorView:
        """Take custodians' lines and keep the fullest version; again is harmless.

        Raises:
            RefusedError: ``no_grant``: this broker made no such door.
            UnprovenError: ``intent_altered``, ``extra_lines``, or a line that does not hold.
        """
        given = Note.parse(body.note.encode("utf-8", "surrogatepass"))
        with self._lock:
            kept = self._find(grant)
            if kept.index is not None:
                return self._shown(kept)
            if given.text != kept.note.text:
                raise UnprovenError(
                    f"the note is not the door intent of {grant!r} that was handed out",
                    name="intent_altered",
                )
            fuller = self._joined(kept.note, given)
            if fuller != kept.note:
                # A crash before it loses lines that whoever sent them still holds.
                self._chain.keep(grant, fuller)
                self._at("door_signed")
                kept = replace(kept, note=fuller)
        return self._shown(kept)

    def mint(self, grant: str, token: str) -> dict[str, Any]:
        """Hand a door's token to its minter, which judges it for itself.

        Raises:
            BreakglassError: the minter's refusal, or that it did not answer.
        """
        kept = self._find(grant)
        return self._minters.mint(_minter_of(kept), token, 0)

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
        return DoorsView(tuple(map(self._shown, self._chain.all())), used)

    def _shown(self, kept: KeptDoor) -> DoorView:
        trust = self._view.trust()
        minter = _minter_of(kept)
        return view(
            DoorView,
            kept,
            note=kept.note.encoded().decode(),
            card=kept.card.decode(),
            signed=tuple(sorted(people_who_signed(kept.note, trust.custodians, DOOR_NAMESPACE))),
            needed=trust.custodians_needed,
            minter=minter,
            minter_at=self._minters.address(minter) if minter else "",
        )

    def _standing(self, request: BreakRequest, now: datetime) -> KeptDoor | None:
        with self._view.reading() as state:
            authorization.known(request, state, now)
        for kept in self._chain.standing():
            if kept.grant == request.grant:
                return kept
            if now <= kept.not_after or self._complete(kept):
                raise RefusedError(
                    f"a door was asked for already: grant {kept.grant!r}, until"
                    f" {format_time(kept.not_after)}; a second one is refused until the first is in"
                    " the log",
                    name="door_standing",
                    hint="it is shown by: breakglass door list",
                )
        return None

    def _judged(self, request: BreakRequest, key: SignerKey, now: datetime) -> Judged:
        self._require_view()
        with self._view.reading() as state:
            who = authorization.known(request, state, now)
            authorization.check_timely(request, state, now)
            policy = self._policies.in_force(state)
            moment = authorization.moment_of(request.said, request.grant, state)
            trust = self._view.trust()
            chain = state.submitters.by_key.get(key.verifier.label, SubmitterState())
            place = (chain.next_seq, chain.prev)
        times = [*(each.at for each in self._chain.standing()), chain.last_at]
        latest = max((each for each in times if each is not None), default=None)
        decision = authorization.offered(
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
            raise RefusedError("this trust file does not accept the custodians' door", name="door")
        assert moment.card is not None  # the decision looked
        intent = make_intent(request, who, moment, policy, now)
        intent = replace(
            intent,
            not_after=min(intent.not_after, now + DOOR_LIFE),
            labels=(*intent.labels, "door"),
        )
        asking = check_statements(intent, moment.card.card)
        check_terms(intent, now, asking, moment.card.card, trust.skew)
        eligible = eligible_custodians(asking, moment.card.card, trust)
        if len(eligible) < trust.custodians_needed:
            raise RefusedError(
                f"{len(eligible)} custodians may sign for {request.said.who!r},"
                f" {trust.custodians_needed} are needed: nobody signs for themselves",
                name="too_few_custodians",
            )
        return Judged(intent, moment.card.note, trust, place, latest)

    def _kept(
        self, request: BreakRequest, key: SignerKey, judged: Judged, now: datetime
    ) -> KeptDoor:
        seq, prev = self._chain.place(*judged.place)
        now = max(now, judged.latest or now)  # a chain's times do not go back
        envelope = Envelope(self._log, f"{request.grant}/intent", now, seq, prev)
        note = sign_note(record_text(envelope, judged.intent), key)
        kept = KeptDoor(seq, request.grant, note, judged.card, now, judged.intent.not_after)
        self._chain.add(kept)
        return kept

    def _require_view(self) -> None:
        if not self._view.wait_current(_VIEW_WITHIN):
            raise UnavailableError(
                "still reading what this broker knew of the ledger; nothing was made",
                name="catching_up",
                hint="try again in a moment",
            )

    def _joined(self, kept: Note, given: Note) -> Note:
        custodians = self._view.trust().custodians
        lines: dict[str, SignatureLine] = {}
        for line in (*kept.lines[1:], *given.lines):
            if line == kept.lines[0]:
                continue
            if line.name not in custodians or not people_who_signed(
                Note(kept.text, (line,)), custodians, DOOR_NAMESPACE
            ):
                raise UnprovenError(
                    f"the line of {line.name!r} is by no custodian of the trust file",
                    name="extra_lines",
                )
            lines.setdefault(line.name, line)
        return Note(kept.text, (kept.lines[0], *(lines[name] for name in sorted(lines))))

    def _complete(self, kept: KeptDoor) -> bool:
        trust = self._view.trust()
        signed = people_who_signed(kept.note, trust.custodians, DOOR_NAMESPACE)
        return len(signed) >= max(1, trust.custodians_needed)

    def _find(self, grant: str) -> KeptDoor:
        kept = self._chain.find(grant)
        if kept is None:
            raise RefusedError(f"this broker made no door intent {grant[:40]!r}", name="no_grant")
        return kept


def _minter_of(kept: KeptDoor) -> str:
    minter: str = parse_record(kept.note.encoded()).body.minter
    return minter
