"""No interleaving of answers, brokers and clocks makes an intent without enough approvers."""

from __future__ import annotations

import contextlib
import tempfile
from datetime import timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from breakglass.errors import BreakglassError
from breakglass.monitor.decision_replay import case_of, replay_decision
from breakglass.records.kinds.intent import Intent
from breakglass.records.kinds.justified import Justified
from breakglass.records.statement import Do, Target, digest_of, parse_statement
from tests.kit.asking_shop import SPARE, AskingShop
from tests.kit.one_broker import OneBroker
from tests.kit.one_minter import Crash
from tests.monitor.stand_ins import history_of
from tests.records.folding import pulse

TWO = "key-deletion"
SIGNERS = ("sam", "sam's spare", "teo", "kim", "bo", "mira", "mira.k")
BROKERS = st.integers(0, 1)
YES = st.tuples(st.just("answer"), BROKERS, st.sampled_from(("sam", "teo", "kim")), st.just("y"))
STEPS = st.one_of(
    YES,
    YES,
    YES,
    st.tuples(st.just("answer"), BROKERS, st.sampled_from(SIGNERS), st.sampled_from("yyyyn")),
    st.tuples(st.just("again"), BROKERS, st.integers(0, 9)),
    st.tuples(st.just("look"), BROKERS),
    st.tuples(st.just("use"), BROKERS),
    st.tuples(st.just("hold"), BROKERS, st.booleans()),
    st.tuples(st.just("crash"), BROKERS, st.sampled_from(("answer_decided", "recorded", "judged"))),
    st.tuples(st.just("let_pass"), st.sampled_from((1, 60, 150, 400))),
    st.tuples(st.just("suspend"), st.sampled_from(("sam", "kim", "mira"))),
    st.tuples(st.just("withdraw"), BROKERS),
)


class Story:
    """Two brokers over one log, whose views may stand still and whose processes may end."""

    def __init__(self, folder: Path) -> None:
        first = OneBroker(folder, AskingShop())
        pulse(first.org)
        first.view.follow()
        self.brokers = [first, OneBroker(folder, beside=first)]
        self.request = first.request(TWO, do=Do.ASK)
        first.asks.ask(self.request)
        self.brokers[1].view.follow()
        self.words = []

    def do(self, step: tuple) -> None:
        """Do one step; whatever is refused is refused."""
        what, *given = step
        with contextlib.suppress(BreakglassError, Crash):
            getattr(self, what)(*given)
        for each in self.brokers:
            each.view.follow()

    def answer(self, broker: int, who: str, reply: str) -> None:
        """Sign an answer and hand it in."""
        key = SPARE if who == "sam's spare" else self.brokers[0].org.people[who.partition(".")[0]]
        do = Do.APPROVE if reply == "y" else Do.REFUSE
        word = self.brokers[0].word(do, self.request, who.partition("'")[0], key=key)
        self.words.append(word)
        self.brokers[broker].answers.answer(word)

    def again(self, broker: int, which: int) -> None:
        """Hand in a word that was handed in before."""
        if self.words:
            self.brokers[broker].answers.answer(self.words[which % len(self.words)])

    def look(self, broker: int) -> None:
        """Have a broker look at what waits."""
        self.brokers[broker].reconciler.look()

    def use(self, broker: int) -> None:
        """Hand the ask's own statement in to have it granted."""
        self.brokers[broker].breaking.break_glass(self.request)

    def hold(self, broker: int, held: bool) -> None:
        """Let a view stand still, or go on."""
        self.brokers[broker].view.held = held

    def crash(self, broker: int, step: str) -> None:
        """End a broker in the middle of the last answer, and start it again."""
        found = self.brokers[broker]
        found.crash_at(step)
        try:
            self.again(broker, -1)
        finally:
            found.restart()

    def let_pass(self, seconds: int) -> None:
        """Let time pass."""
        self.brokers[0].minter.true.at += timedelta(seconds=seconds)

    def suspend(self, who: str) -> None:
        """Have somebody suspended, once."""
        suspended = self.brokers[0].org.state.governance.suspended
        # Sam alone may do it, whose own word counts no more once he is suspended.
        if not {("person", who), ("person", "sam")} & suspended.keys():
            self.brokers[0].minter.suspend(Target.PERSON, who)

    def withdraw(self, broker: int) -> None:
        """Have the asker take it back."""
        self.brokers[broker].answer(Do.WITHDRAW, self.request, "mira")

    def check(self) -> None:
        """Whatever intent holds has two approvers who count, and the monitor agrees."""
        org = self.brokers[0].org
        for each in org.judged:
            body = each.record.body if each.record else None
            if not isinstance(body, Intent) or not each.holds:
                continue
            first, *others = body.statements
            said = [parse_statement(other.text) for other in others]
            assert len({word.who for word in said} - {"mira", "mira.k", "bo"}) >= 2
            assert len({word.who for word in said}) == len(said)
            assert {word.answers for word in said} == {digest_of(first.text)}
        # A broker whose view stands still cannot know of a suspension; the fold does, and says so.
        loud = [
            (each.void, each.why)
            for each in org.judged
            if each.void and not each.quiet and each.void != "suspended"
        ]
        assert loud == []
        if self.request.grant in org.state.grants.by_id:
            case = case_of(self.request.grant, org.state, history_of(org))
            if not any(target == "person" for target, _ in org.state.governance.suspended):
                assert isinstance(replay_decision(case), Justified)


@settings(max_examples=25, deadline=None)
@given(st.lists(STEPS, min_size=3, max_size=14))
def test_no_order_of_answers_brokers_and_clocks_grants_without_enough_approvers(steps) -> None:
    with tempfile.TemporaryDirectory() as folder:
        story = Story(Path(folder))
        try:
            for step in steps:
                story.do(step)
            story.check()
        finally:
            for each in reversed(story.brokers):
                each.close()
