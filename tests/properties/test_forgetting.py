"""Months of a log in which people are late, brokers repeat themselves and keys are stolen.

At every entry: the fold that forgets judges as one that never drops anything, names of void
included, and nothing holds that would be void if time excused nothing (``tests/kit/twins.py``).
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from breakglass.records import all_kinds as kinds
from breakglass.records.fold.fold import Judged
from breakglass.records.grant import EndedWhy
from breakglass.records.kinds.alert import PAGE, Delivery
from breakglass.records.kinds.answered import Reply
from breakglass.records.kinds.bypassed import GateState
from breakglass.records.kinds.incident import IncidentChange
from breakglass.records.record import Kind
from breakglass.records.record_reader import parse_record
from breakglass.records.signing.signature import Factor, Signature
from breakglass.records.statement import Do, Target, digest_of, grant_id, parse_request
from tests.kit.organisation import Broken, Organisation, signer
from tests.kit.twins import Twins

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
MINTER, GATE = "minter:orders-db", "gate:deploy-approval"
WAITS = (
    MINUTE,
    20 * MINUTE,
    HOUR,
    13 * HOUR,
    2 * DAY,
    2 * DAY + MINUTE,
    4 * DAY,
    29 * DAY,
    31 * DAY,
)


class Watched(Organisation):
    """An organisation whose every entry is folded three ways."""

    def watch(self) -> None:
        """Fold what stands so far, and go on from there."""
        self.twins = Twins(self.genesis)
        for entry in self.log.entries():
            self.twins.take(entry)
        self.state = self.twins.forgetter

    def countersign(
        self, answers: str, who: str = "ines", card: bytes | None = None, /, **changes: Any
    ) -> Signature:
        # Two days later a person's nonce may stand for another word of theirs; nobody's does here.
        fresh = hashlib.sha256(f"{answers} {who}".encode()).hexdigest()[:32]
        return super().countersign(answers, who, card, **{"nonce": fresh, **changes})

    def append(
        self, note: bytes, *, at: datetime | None = None, by: Iterable[str] | None = None
    ) -> Judged:
        if not hasattr(self, "twins"):
            return super().append(note, at=at, by=by)
        index = self.log.append(note, at or self.now, by=by)
        judged = self.twins.take(self.log.entries(index)[0])
        self.judged.append(judged)
        return judged


class Months:
    """What may happen, one method a step; ``pick`` chooses whom it happens to."""

    def __init__(self, pick: random.Random) -> None:
        self.org = org = Watched(door="yes")
        org.begin()
        self.pick = pick
        second = signer("broker-b.shop.example")
        text = org.trust_text(version="2") + f"submitter broker {second.verifier}\n"
        file = org.people_sign(text, "breakglass-trust@v1")
        body = kinds.TrustActivated(2, digest_of(text))
        assert org.state_that("broker", body, attachments=[file]).holds
        org.submitters["broker-b"] = second
        org.watch()
        self.nonces = 0
        self.asks: list[Signature] = []
        self.broken: list[Broken] = []
        self.shown: list[tuple[datetime, Broken, Signature]] = []
        self.words: list[tuple[datetime, Kind]] = []
        self.doors: list[bytes] = []
        self.missing = 0

    # --- people -----------------------------------------------------------------------------

    def wait(self) -> None:
        self.org.now += self.pick.choice(WAITS)
        self.org.state_that("monitor", kinds.Pulse(0, ("sink",)))

    def renew_cards(self) -> None:
        self.org.activate_cards()

    def ask(self) -> None:
        who, glass = (
            self.pick.choice(("mira", "teo")),
            self.pick.choice(("deploy-rollback", "orders-repair")),
        )
        signed = self._sign(do=Do.ASK, who=who, glass=glass)
        self.asks.append(signed)
        self._state(self._asked(signed))
        if self.pick.random() < 0.5:
            self._page(grant_id(signed.text))

    def answer(self) -> None:
        if not self.asks:
            return
        ask, do = self.pick.choice(self.asks), self.pick.choice((Do.APPROVE, Do.REFUSE))
        said = self.org.answer(digest_of(ask.text), do=do, nonce=self._nonce(), who="sam")
        reply = Reply.YES if do is Do.APPROVE else Reply.NO
        self._state(kinds.Answered(grant_id(ask.text), reply, self.org.sign(said), ()))

    def say_nobody(self) -> None:
        if self.asks:
            grant = grant_id(self.pick.choice(self.asks).text)
            pages = [each for each in self.org.judged if each.holds and self._is_page(each, grant)]
            cited = tuple(each.record.envelope.id for each in pages if each.record)
            self._state(kinds.Answered(grant, Reply.NOBODY, None, cited))

    def withdraw(self) -> None:
        if self.asks:
            ask = self.pick.choice(self.asks)
            back = self.pick.choice((timedelta(0), HOUR, 2 * DAY, 3 * DAY, -HOUR))
            who = "mira" if '"who":"mira"' in ask.text else "teo"
            said = self.org.answer(
                digest_of(ask.text),
                do=Do.WITHDRAW,
                who=who,
                nonce=self._nonce(),
                at=self.org.now - back,
            )
            self._state(kinds.Withdrawn(grant_id(ask.text), self.org.sign(said)))

    def break_glass(self) -> None:
        glass = self.pick.choice(("deploy-rollback", "orders-repair"))
        after = (
            digest_of(self.pick.choice(self.asks).text)
            if self.asks and self.pick.random() < 0.3
            else ""
        )
        self._intent(self._sign(who=self.pick.choice(("mira", "teo")), glass=glass, after=after))

    def grant_an_ask(self) -> None:
        if self.asks:
            ask = self.pick.choice(self.asks)
            said = self.org.answer(digest_of(ask.text), nonce=self._nonce(), who="sam")
            self._intent(ask, self.org.sign(said))

    def refuse(self) -> None:
        signed = (
            self._sign()
            if self.pick.random() < 0.5 or not self.asks
            else self.pick.choice(self.asks)
        )
        asked = self._asked(signed)
        self._state(
            kinds.Refused(
                asked.grant, asked.path, signed, asked.factors, asked.decision, "no_incident"
            )
        )

    def stop(self) -> None:
        target = self.pick.choice((Target.PERSON, Target.GLASS, Target.GRANT))
        names = {
            Target.PERSON: ["mira", "teo"],
            Target.GLASS: ["orders-repair"],
            Target.GRANT: [each.grant for each in self.broken] or ["g-aaaaaaaaaaaa"],
        }
        do = Do.KILL if target is Target.GRANT else self.pick.choice((Do.KILL, Do.LIFT))
        name = self.pick.choice(names[target])
        said = self.org.sign(self.org.kill(target, name, do=do, nonce=self._nonce()))
        self._state(kinds.Suspended(target, name, do is Do.KILL, said))

    def change_incident(self) -> None:
        change = self.pick.choice(tuple(IncidentChange))
        do = Do.CLOSE if change is IncidentChange.CLOSED else Do.DECLARE
        name = self.pick.choice(("INC-4821", "INC-2"))
        said = self.org.declare(do=do, incident=name, nonce=self._nonce())
        word = self.org.sign(said)
        body = kinds.Incident(name, change, said.severity, said.title, "breakglass", True, word)
        self._state(body)

    # --- outcomes ---------------------------------------------------------------------------

    def mint(self) -> None:
        if grant := self._grant():
            body = kinds.Minted(grant.grant, "postgres", "x", {}, grant.intent.not_after, 3)
            self.org.state_that(MINTER, body)
            self.org.state_that(MINTER, kinds.Usable(grant.grant, "select 1", 30))

    def end(self) -> None:
        if grant := self._grant():
            why = self.pick.choice(
                (EndedWhy.EXPIRED, EndedWhy.NOT_MINTED, EndedWhy.INCIDENT_CLOSED)
            )
            role = MINTER if grant.intent.minter else "broker"
            self.org.state_that(role, kinds.Ended(grant.grant, why, "", None))
            if grant.intent.minter:
                self.org.state_that(MINTER, kinds.Dead(grant.grant, "", 1, 0, ()))

    def show(self) -> None:
        if grant := self._grant():
            shown = self.org.token(grant, str(len(self.shown))).presentation
            assert shown is not None
            self.shown.append((self.org.now, grant, shown))

    def tell_bypass(self) -> None:
        if self.shown:
            _, grant, shown = self.pick.choice(self.shown)
            self.org.state_that(GATE, self._bypass(grant, shown))

    def tell_bypass_late(self) -> None:
        if self.shown:
            then, grant, shown = self.pick.choice(self.shown)
            self._gap(GATE, then, 1)
            self.org.state_that(GATE, self._bypass(grant, shown), envelope={"at": then})

    def justify(self) -> None:
        if grant := self._grant():
            leaf = self.org.log.leaves[grant.index].hex()
            body = kinds.Justified(grant.grant, leaf, grant.index, grant.intent.policy)
            self.org.state_that("monitor", body)

    def ring(self) -> None:
        if grant := self._grant():
            self._alert("broke_glass", grant.grant)

    def use_door(self) -> None:
        card = self._card("deploy-rollback")
        words = {"nonce": self._nonce(), "at": self.org.now}
        note = self.org.door_intent(card=card, **words)
        self.org.chains["broker"].seq -= 1  # nobody could bring it in yet; somebody may later
        self.org.chains["broker"].prev = parse_record(note).envelope.prev
        self.doors.append(note)
        self.tell_door(note)
        if self.pick.random() < 0.5:
            self.org.append(note)
            self._follow(note)

    def tell_door(self, note: bytes = b"") -> None:
        if not note and not self.doors:
            return
        found = parse_record(note or self.pick.choice(self.doors))
        self.missing += 1
        grants = [found.body.grant, *(each.grant for each in self.broken)]
        body = kinds.Door(
            found.body.grant if note else self.pick.choice(grants),
            found.text_digest,
            found.body.who,
            found.body.glass,
            str(self.missing),
            min(found.body.not_after, self.org.now + HOUR),
            ("ines", "ravi"),
            "away",
        )
        self.org.state_that(self.pick.choice((GATE, MINTER)), body)

    # --- thieves and the absent-minded --------------------------------------------------------

    def append_again(self) -> None:
        self.org.append(self.pick.choice(self.org.log.notes[5:] or self.org.log.notes))

    def say_again(self) -> None:
        if self.words:
            _, body = self.pick.choice(self.words)
            self.org.state_that(self.pick.choice(("broker", "broker-b")), body)

    def say_again_late(self) -> None:
        if self.words:
            then, body = self.pick.choice(self.words)
            self._gap("broker-b", then, 1)
            self.org.state_that("broker-b", body, envelope={"at": then})

    def say_again_while_clocks_are_back(self) -> None:
        if self.words:
            then, body = self.pick.choice(self.words)
            now, self.org.now = self.org.now, then
            self.org.state_that("broker-b", body)
            self.org.now = now

    def second_intent(self) -> None:
        if grant := self._grant():
            wider = self.pick.random() < 0.3
            changes: dict[str, Any] = {"gates": ("other-gate",)} if wider else {}
            times = {
                name: getattr(grant.intent, name)
                for name in ("not_before", "not_after", "review_by")
            }
            body = replace(grant.intent, **times, **changes)
            self.org.state_that("broker-b", body, f"{grant.grant}/intent")

    def forge_an_id(self) -> None:
        if self.broken:
            of = self.pick.choice(self.broken).intent
            body = replace(of, grant=self.pick.choice(self.broken).grant)
            self.org.state_that("broker-b", body, f"{body.grant}/intent")
        self.org.state_that(MINTER, kinds.Dead("g-aaaaaaaaaaaa", "", 1, 0, ()))

    # --- making -----------------------------------------------------------------------------

    def _nonce(self) -> str:
        self.nonces += 1
        return f"{self.nonces:032x}"

    def _sign(self, **said: Any) -> Signature:
        incident = self.pick.choice(("INC-4821", "INC-2"))
        said = {"nonce": self._nonce(), "incident": incident, **said}
        return self.org.sign(self.org.statement(**said))

    def _card(self, glass: str) -> bytes:
        return self.org.state.governance.cards[glass].note

    def _asked(self, signed: Signature) -> kinds.Asked:
        asked = self.org.asked(signed)
        return replace(asked, factors=replace(asked.factors, factor=Factor.TWO))

    def _intent(self, signed: Signature, *approvals: Signature) -> None:
        said = parse_request(signed.text)
        broken = self.org.break_glass(
            said=said, signed=signed, approvals=approvals, card=self._card(said.glass)
        )
        self.words.append((self.org.now, broken.intent))
        self.broken.append(broken)

    def _grant(self) -> Broken | None:
        return self.pick.choice(self.broken) if self.broken else None

    def _state(self, body: Kind) -> None:
        self.words.append((self.org.now, body))
        self.org.state_that("broker", body)

    def _bypass(self, grant: Broken, shown: Signature) -> kinds.Bypassed:
        run = str(next(n for n, each in enumerate(self.shown) if each[2] == shown))
        digest = digest_of(grant.signed.text)
        return kinds.Bypassed(
            "deploy-approval", grant.grant, digest, run, GateState.FAILED, "", shown
        )

    def _gap(self, role: str, then: datetime, records: int) -> None:
        seq = self.org.chains[role].seq if role in self.org.chains else 0
        body = kinds.Gap(then, self.org.now, "away", seq + 1, seq + records)
        self.org.state_that(role, body, envelope={"at": then})

    def _alert(self, subject: str, about: str) -> None:
        delivered = Delivery.DELIVERED
        body = kinds.Alert(subject, about, 0, "sink", ("sam",), delivered, "", 1, "")
        self.org.state_that("monitor", body)

    def _page(self, grant: str) -> None:
        self._alert(PAGE, grant)

    def _is_page(self, judged: Judged, grant: str) -> bool:
        body = judged.record.body if judged.record else None
        return isinstance(body, kinds.Alert) and (body.subject, body.about) == (PAGE, grant)

    def _follow(self, note: bytes) -> None:
        record = parse_record(note)
        chain = self.org.chains["broker"]
        if record.envelope.seq == chain.seq:
            chain.seq, chain.prev = record.envelope.seq + 1, record.text_digest


STEPS: tuple[Callable[[Months], None], ...] = (
    Months.wait,
    Months.wait,
    Months.wait,
    Months.ask,
    Months.answer,
    Months.say_nobody,
    Months.withdraw,
    Months.break_glass,
    Months.break_glass,
    Months.grant_an_ask,
    Months.refuse,
    Months.stop,
    Months.change_incident,
    Months.mint,
    Months.end,
    Months.end,
    Months.show,
    Months.tell_bypass,
    Months.tell_bypass_late,
    Months.justify,
    Months.ring,
    Months.use_door,
    Months.tell_door,
    Months.append_again,
    Months.say_again,
    Months.say_again_late,
    Months.say_again_while_clocks_are_back,
    Months.second_intent,
    Months.forge_an_id,
    Months.renew_cards,
)
NO_SHRINK = (Phase.explicit, Phase.reuse, Phase.generate)  # a life takes a second
LIVES = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 2**16)), min_size=20, max_size=60)


def live(steps: list[tuple[Callable[[Months], None], int]]) -> Months:
    """Let it all happen; the twins compare at every entry."""
    months = Months(random.Random(0))
    for step, chosen in steps:
        months.pick.seed(chosen)
        step(months)
    return months


@settings(
    max_examples=30,
    deadline=None,
    phases=NO_SHRINK,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(LIVES)
def test_the_fold_that_forgets_judges_as_one_that_does_not(steps: list[Any]) -> None:
    live(steps)


@pytest.mark.long
@settings(
    max_examples=1500,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(LIVES)
def test_the_fold_that_forgets_judges_as_one_that_does_not_at_length(steps: list[Any]) -> None:
    live(steps)


def test_a_long_life_forgets_something_of_everything() -> None:
    """The steps reach what they are there to try: else the properties would say nothing."""
    seen: set[str] = set()
    closed = 0
    for seed in range(3):
        pick = random.Random(seed)
        months = live([(pick.choice(STEPS), pick.randrange(2**16)) for _ in range(200)])
        seen |= {str(each.void) for each in months.org.judged}
        closed += len(months.org.state.grants.closed)
    assert closed > 0
    wanted = {"", "closed", "statement_old", "late", "lost_race", "id_taken", "replayed"}
    assert wanted <= seen, wanted - seen
