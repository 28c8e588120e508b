"""Asks: one at a time, answered, taken back, overtaken; and what the log says of them later."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from breakglass.records import all_kinds as kinds
from breakglass.records.fold.fold import fold
from breakglass.records.grant import Path
from breakglass.records.kinds.alert import PAGE, Delivery
from breakglass.records.kinds.answered import Reply
from breakglass.records.statement import Do, Target, digest_of

from ..kit.organisation import SECOND, SKEW, Organisation
from .folding import MINUTE, begun, holds, last, void
from .test_fold_wishes import two_brokers

GLASS = "deploy-rollback"


class Ask:
    """One ask of mira's, and what is done about it."""

    def __init__(self, org: Organisation, nonce: str = "a5", **said: Any) -> None:
        self.org = org
        self.said = org.statement(do=Do.ASK, nonce=nonce * 16, **said)
        self.signed = org.sign(self.said)
        self.digest = digest_of(self.signed.text)
        self.judged = org.state_that("broker", org.asked(self.signed, path=Path.JIT))
        self.grant = org.asked(self.signed).grant

    def answers(self, who: str = "sam", do: Do = Do.APPROVE, nonce: str = "b1", **how: Any) -> Any:
        self.word = self.org.sign(
            self.org.answer(self.digest, who=who, do=do, nonce=nonce * 16, at=self.org.now)
        )
        reply = Reply.NO if do is Do.REFUSE else Reply.YES
        body = kinds.Answered(self.grant, reply, self.word, ())
        return self.org.state_that("broker", body, **how)

    def withdrawn(self, who: str = "mira", nonce: str = "c1", **changes: Any) -> Any:
        word = self.org.answer(
            self.digest, who=who, do=Do.WITHDRAW, nonce=nonce * 16, at=self.org.now
        )
        signed = self.org.sign(replace(word, **changes))
        return self.org.state_that("broker", kinds.Withdrawn(self.grant, signed))

    def granted(self, **how: Any) -> Any:
        """Write the intent, with sam's approval whatever was recorded of it."""
        yes = self.org.sign(self.org.answer(self.digest, nonce="d1" * 16, at=self.org.now))
        card = Organisation().card_note()
        self.org.break_glass(said=self.said, signed=self.signed, approvals=(yes,), card=card, **how)
        return last(self.org)

    def paged(self, record_id: str = "page/1", **changes: Any) -> str:
        page = kinds.Alert(PAGE, self.grant, 5, "phone", ("sam",), Delivery.DELIVERED, "", 1, "")
        holds(self.org.state_that("monitor", replace(page, **changes), record_id))
        return record_id

    def nobody(self, *pages: str) -> Any:
        body = kinds.Answered(self.grant, Reply.NOBODY, None, pages)
        return self.org.state_that("broker", body)


def test_one_ask_of_a_person_and_glass_waits_at_a_time() -> None:
    """(F-80) A stolen broker cannot page everybody without end either."""
    org = begun()
    holds(Ask(org).judged)
    void(Ask(org, "a6").judged, "asked_already", quiet=True)
    org.now += SKEW + SECOND
    void(Ask(org, "a7").judged, "asked_already")
    holds(Ask(org, "a8", glass="orders-repair").judged)
    holds(Ask(org, "a9", who="sam").judged)
    org.now += 10 * MINUTE
    holds(Ask(org, "aa").judged)


def test_the_asker_alone_takes_an_ask_back() -> None:
    """(F-81)"""
    org, two = two_brokers()
    ask = Ask(org)
    void(ask.withdrawn(who="sam"), "mismatch")
    void(ask.withdrawn(answers="ab" * 32), "mismatch")
    void(ask.withdrawn(do=Do.REFUSE), "mismatch")
    holds(ask.withdrawn())
    void(ask.withdrawn(nonce="c2"), "lost_race", quiet=True)
    void(ask.answers(), "withdrawn", quiet=True)
    void(ask.granted(), "withdrawn", quiet=True)
    org.now += SKEW + SECOND
    void(ask.granted(role=two), "withdrawn")
    again = Ask(org, "a6")
    holds(again.judged)
    holds(again.granted())


def test_an_ask_that_an_approver_refused_is_granted_by_nobody() -> None:
    """(F-82) A broker that leaves the no out and takes another's yes."""
    org, two = two_brokers()
    ask = Ask(org)
    void(ask.answers("teo", Do.REFUSE), "unknown_person")
    holds(ask.answers("sam", Do.REFUSE))
    void(ask.answers("noor", nonce="b2"), "refused_by_approver", quiet=True)
    void(ask.granted(), "refused_by_approver", quiet=True)
    org.now += SKEW + SECOND
    void(ask.granted(role=two), "refused_by_approver")


def test_an_answer_behind_the_grant_is_a_quiet_lost_race() -> None:
    """(F-27) Another broker heard somebody else; neither has done anything wrong."""
    org = begun()
    ask = Ask(org)
    holds(ask.granted())
    void(ask.answers("noor"), "lost_race", quiet=True)
    void(ask.answers("sam", Do.REFUSE, "b2"), "lost_race", quiet=True)


def test_a_broken_glass_says_who_refused_it_before() -> None:
    """(F-83)"""
    org = begun()
    ask = Ask(org)
    holds(ask.answers("sam", Do.REFUSE))
    broken = org.break_glass(statement={"after": ask.digest}, card=org.card_note())
    holds(last(org))
    assert org.state.grants.by_id[broken.grant].labels == ("refused_by:sam",)


def test_nobody_answered_only_if_approvers_were_called_and_given_time() -> None:
    """(F-84) A stolen broker writes it in the second of the ask."""
    org = begun()
    ask = Ask(org)
    org.now += 3 * MINUTE
    void(ask.nobody(), "not_paged")
    void(ask.nobody("page/0"), "not_paged")
    for number, changes in enumerate(
        [{"delivery": Delivery.FAILED}, {"to": ("teo",)}, {"subject": "refused"}, {"about": "x"}]
    ):
        page = ask.paged(record_id=f"page/{number}", **changes)
        void(ask.nobody(page), "not_paged")
    page = ask.paged(record_id="page/9")
    void(ask.nobody(page, "page/1"), "not_paged")
    holds(ask.nobody(page))
    holds(ask.answers())  # a yes counts until a break overtook it
    void(ask.nobody(page), "answered_already", quiet=True)
    early = Ask(org, "a6", glass="orders-repair")
    page = early.paged(record_id="page/10")
    void(early.nobody(page), "did_not_wait")
    org.now += timedelta(seconds=119)
    void(early.nobody(page), "did_not_wait")
    org.now += SECOND
    holds(early.nobody(page))


@pytest.mark.parametrize(
    ("done", "label"),
    [
        ((), "not_asked"),
        (("ask",), "not_paged"),
        (("ask", "page"), "did_not_wait"),
        (("ask", "page", "nobody"), "approvers_silent"),
        (("ask", "late"), "not_asked"),
    ],
)
@pytest.mark.parametrize("named", [False, True])
def test_what_is_said_of_asking_follows_from_the_log(
    done: tuple[str, ...], label: str, named: bool
) -> None:
    """(F-83) With ``after`` or without it: it buys no milder story."""
    org, after, page = begun(), "", ""
    card = org.card_note()
    ask = None
    for step in done:
        if step == "ask":
            ask = Ask(org)
            after = ask.digest
            org.now += 3 * MINUTE
        elif step == "page":
            page = ask.paged()
        elif step == "nobody":
            holds(ask.nobody(page))
        else:
            org.now += 60 * MINUTE
    if named and label != "not_asked":
        broken = org.break_glass(statement={"after": after}, card=card)
    else:
        broken = org.break_glass(card=card)
    holds(last(org))
    assert org.state.grants.by_id[broken.grant].labels == (label,)
    assert fold(org.genesis, org.log.entries()).digest() == org.state.digest()


def test_a_break_overtakes_the_ask_and_a_later_yes_counts_for_nothing() -> None:
    """(F-85)"""
    org, two = two_brokers()
    card = org.card_note()
    ask = Ask(org)
    org.now += MINUTE
    org.break_glass(card=card)
    holds(last(org))
    void(ask.answers(), "overtaken", quiet=True)
    void(ask.granted(), "overtaken", quiet=True)
    org.now += SKEW + SECOND
    void(ask.granted(role=two), "overtaken")


def test_a_break_behind_an_ask_that_was_approved_is_no_second_grant() -> None:
    """(F-91)"""
    org = begun()
    ask = Ask(org)
    holds(ask.granted())
    org.break_glass(statement={"after": ask.digest}, card=Organisation().card_note())
    void(last(org), "granted_already")


def test_answers_and_suspensions_stay_with_their_signed_word() -> None:
    """(F-86) Any broker can finish what another began."""
    org = begun()
    ask = Ask(org)
    holds(ask.answers())
    (kept,) = org.state.grants.asked[ask.grant].answers
    assert (kept.who, kept.yes, kept.statement) == ("sam", True, ask.word)
    kill = org.sign(org.kill(Target.PERSON, "mira"))
    holds(org.state_that("broker", kinds.Suspended(Target.PERSON, "mira", True, kill)))
    assert org.state.governance.suspended["person", "mira"].statement == kill
