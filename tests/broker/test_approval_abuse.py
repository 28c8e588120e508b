"""Approvals abused at a real broker, and by the stolen key of a second one: no token, no role.

``tests/records/test_approval_abuse.py`` has what only a stolen broker can write; here each abuse
comes as its attacker would bring it, over HTTP or straight into the log, and a real minter is shown
what was won by it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from breakglass.clock import to_milliseconds
from breakglass.errors import BreakglassError, RefusedError
from breakglass.node.submitter import Fact
from breakglass.records.grant import Path, handle_of
from breakglass.records.kinds.answered import Answered, Reply
from breakglass.records.kinds.asked import Asked, Decided, Factors, Outcome
from breakglass.records.kinds.intent import Intent
from breakglass.records.record_reader import parse_record
from breakglass.records.signing.signature import Factor, Signed
from breakglass.records.statement import Do, Target, Why, digest_of
from breakglass.token.token import Token
from tests.broker.shop import SIMULATED, Asking, Shop, make_shop
from tests.kit.processes import until

from .test_requests import ONE, TWO, AskingShop


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Return a shop of one honest broker; the second one's key is the attacker's."""
    shop = make_shop(tmp_path_factory.mktemp("abuse"), SIMULATED, AskingShop)
    try:
        shop.start()
        yield shop
    finally:
        shop.stop()


@pytest.fixture
def shop(made: Shop) -> Shop:
    made.pulse()
    return made


@dataclass
class Abuse:
    """One ask of mira's that nobody has approved, and who tries to get it granted."""

    shop: Shop
    asking: Asking

    def says(self, do: Do = Do.APPROVE, who: str = "sam", **changes: Any) -> Any:
        """Hand in an answer at the honest broker."""
        return self.shop.post("/answers", self.shop.answering(do, self.asking, who, **changes))

    def state(self) -> str:
        return str(self.shop.get(f"/requests/{self.asking.grant}")["state"])


def moment(minutes: int) -> datetime:
    return to_milliseconds(datetime.now(UTC) + timedelta(minutes=minutes))


def own(abuse: Abuse) -> None:
    abuse.says(who="mira")


def own_by_alias(abuse: Abuse) -> None:
    abuse.says(who="mira-on-github", key=abuse.shop.people["mira"])


def own_key_under_an_approvers_name(abuse: Abuse) -> None:
    abuse.says(who="sam", key=abuse.shop.people["mira"])


def somebody_who_may_only_break(abuse: Abuse) -> None:
    abuse.says(who="bo")


def of_another_log(abuse: Abuse) -> None:
    abuse.says(log="ledger.example/other")


def signed_long_ago(abuse: Abuse) -> None:
    abuse.says(at=moment(-10))


def signed_for_later(abuse: Abuse) -> None:
    abuse.says(at=moment(10))


def to_nothing(abuse: Abuse) -> None:
    abuse.says(answers="ab" * 32)


def hand_back_as_a_yes(abuse: Abuse) -> None:
    abuse.says(do=Do.DONE)


def no_then_yes_by_another(abuse: Abuse) -> None:
    abuse.says(Do.REFUSE)
    abuse.says(who="teo")


def yes_behind_a_withdrawal(abuse: Abuse) -> None:
    abuse.says(Do.WITHDRAW, who="mira")
    abuse.says()


def taken_back_by_another(abuse: Abuse) -> None:
    abuse.says(Do.WITHDRAW, who="sam")


AT_THE_BROKER: dict[str, tuple[Callable[[Abuse], None], str]] = {
    "the asker answers themselves": (own, "same_person"),
    "the asker answers by an alias": (own_by_alias, "unknown_person"),
    "the asker's key signs for an approver": (own_key_under_an_approvers_name, "foreign_key"),
    "somebody answers who may only break": (somebody_who_may_only_break, "unknown_person"),
    "the answer is of another log": (of_another_log, "wrong_log"),
    "the answer was signed long ago": (signed_long_ago, "statement_old"),
    "the answer was signed for later": (signed_for_later, "statement_old"),
    "the answer is to nothing": (to_nothing, "no_grant"),
    "a grant is handed back as a yes": (hand_back_as_a_yes, "wrong_do"),
    "a yes comes behind a no": (no_then_yes_by_another, "refused_by_approver"),
    "a yes comes behind its withdrawal": (yes_behind_a_withdrawal, "withdrawn"),
    "somebody else takes it back": (taken_back_by_another, "mismatch"),
}


def asked(shop: Shop, glass: str = ONE, who: str = "mira") -> Asking:
    """Ask, each time for a reason of its own: nobody asks twice for the same one in a row."""
    why = Why("production", f"orders stuck in 'new', {secrets.token_hex(4)}")
    asking = shop.asking(glass, do=Do.ASK, who=who, reason=why)
    shop.hands_in(asking)
    return asking


def ended(shop: Shop, asking: Asking) -> None:
    """Take an ask back that still waits, so that the next one may be asked."""
    if shop.get(f"/requests/{asking.grant}")["state"] == "waiting":
        shop.answer(Do.WITHDRAW, asking, asking.said.who)


_waits: list[Asking] = []


@pytest.fixture
def waiting(shop: Shop) -> Asking:
    """Return an ask that waits, the last test's if it still does: ten a minute are taken."""
    state = shop.get(f"/requests/{_waits[-1].grant}")["state"] if _waits else ""
    if state != "waiting":
        _waits.append(asked(shop))
    return _waits[-1]


@pytest.mark.parametrize("case", AT_THE_BROKER)
def test_an_answer_that_nobody_may_give_is_refused_by_name_and_grants_nothing(
    shop: Shop, waiting: Asking, case: str
) -> None:
    act, name = AT_THE_BROKER[case]
    asking = waiting
    with pytest.raises(BreakglassError) as caught:
        act(Abuse(shop, asking))
    assert caught.value.name == name
    with pytest.raises(BreakglassError) as none:
        shop.break_glass(asking)
    assert none.value.exit_code == 3
    assert "intent" not in shop.kinds(asking.grant)
    assert handle_of(asking.grant) not in shop.target().handles()


def test_one_approver_counts_once_however_often_they_say_yes(shop: Shop) -> None:
    """Twice the same bytes, and a second statement of the same person: one of two is there."""
    asking = asked(shop, TWO)
    word = shop.answering(Do.APPROVE, asking, "sam")
    first = shop.post("/answers", word)
    assert shop.post("/answers", word)["index"] == first["index"]
    with pytest.raises(RefusedError) as again:
        shop.answer(Do.APPROVE, asking, "sam")
    assert again.value.name == "answered_already"
    assert shop.get(f"/requests/{asking.grant}")["state"] == "waiting"
    with pytest.raises(BreakglassError, match="1 of 2 approvers"):
        shop.break_glass(asking)
    ended(shop, asking)


def test_an_approver_who_was_suspended_counts_no_more(shop: Shop) -> None:
    asking = asked(shop, TWO)
    shop.answer(Do.APPROVE, asking, "teo")
    shop.kill(Target.PERSON, "teo")
    try:
        said = shop.answer(Do.APPROVE, asking, "sam")
        assert said["ask"]["state"] == "waiting"
        with pytest.raises(BreakglassError):
            shop.break_glass(asking)
    finally:
        shop.lift(Target.PERSON, "teo")
        ended(shop, asking)


def test_a_yes_to_an_ask_serves_neither_the_break_behind_it_nor_another_ask(shop: Shop) -> None:
    asking = asked(shop, who="teo")
    word = shop.answering(Do.APPROVE, asking, "sam")
    shop.answer(Do.WITHDRAW, asking, "teo")
    other = asked(shop, who="teo")
    with pytest.raises(BreakglassError) as caught:
        shop.post("/answers", word)
    assert caught.value.name == "withdrawn"
    breaking = shop.asking(TWO, who="teo", after=digest_of(other.body["statement"]["text"]))
    with pytest.raises(BreakglassError):
        shop.break_glass(breaking)
    assert shop.get(f"/requests/{other.grant}")["state"] == "waiting"
    ended(shop, other)


def test_an_answer_behind_the_grant_makes_no_second_one(shop: Shop) -> None:
    asking = asked(shop, "orders-repair", "mira") if not _waits else _waits.pop()
    shop.answer(Do.APPROVE, asking, "sam")
    until(lambda: "intent" in shop.kinds(asking.grant))
    with pytest.raises(BreakglassError) as caught:
        shop.answer(Do.APPROVE, asking, "teo")
    assert caught.value.name == "granted_already"
    shop.break_glass(asking)
    shop.done(asking)
    until(lambda: "ended" in shop.kinds(asking.grant))
    with pytest.raises(BreakglassError) as spent:
        shop.break_glass(asking)
    assert spent.value.name == "ended"


def forged(shop: Shop, asking: Asking, *approvals: Any) -> Token:
    """Have the stolen broker grant an ask, with whatever it has for approvals."""
    breaking = shop.asking(ONE)
    honest = shop.recorded(breaking)
    shop.done(breaking)
    body = parse_record(honest.intent).body
    assert isinstance(body, Intent)
    signed = [Signed(**each["statement"]) for each in (asking.body, *approvals)]
    intent = replace(
        body,
        grant=asking.grant,
        handle=handle_of(asking.grant),
        path=Path.JIT,
        holder=asking.said.holder,
        statements=tuple(signed),
    )
    receipt = shop.state_as("broker-2", Fact(f"{asking.grant}/intent", intent))[0]
    shown = shop.shown(asking)
    return Token(honest.card, receipt.note, honest.people, receipt.proof, None, shown)


BY_A_STOLEN_BROKER: dict[str, tuple[Callable[[Shop, Asking], tuple[Any, ...]], str]] = {
    "nobody has answered": (lambda shop, asking: (), "too_few_people"),
    "the asker has answered": (
        lambda shop, asking: (shop.answering(Do.APPROVE, asking, "mira"),),
        "unknown_person",
    ),
    "the answer is a no": (
        lambda shop, asking: (shop.answering(Do.REFUSE, asking, "sam"),),
        "wrong_do",
    ),
    "the answer is to another ask": (
        lambda shop, asking: (shop.answering(Do.APPROVE, shop.asking(ONE, do=Do.ASK), "sam"),),
        "wrong_answer",
    ),
    "the attacker signs for an approver": (
        lambda shop, asking: (shop.answering(Do.APPROVE, asking, "sam", key=shop.people["mira"]),),
        "foreign_key",
    ),
}


@pytest.mark.parametrize("case", BY_A_STOLEN_BROKER)
def test_what_a_stolen_broker_grants_by_itself_mints_nothing(shop: Shop, case: str) -> None:
    found, name = BY_A_STOLEN_BROKER[case]
    asking = shop.asking(ONE, do=Do.ASK)
    token = forged(shop, asking, *found(shop, asking))
    with pytest.raises(BreakglassError) as caught:
        shop.mint(token.encoded())
    assert caught.value.exit_code in (3, 4)
    assert name in {void for _, void in shop.void()}
    assert handle_of(asking.grant) not in shop.target().handles()


def test_a_no_that_a_stolen_broker_leaves_out_still_ends_the_ask(shop: Shop) -> None:
    """The no went through the honest broker; the stolen one has a yes of before."""
    asking = asked(shop, who="teo")
    shop.answer(Do.REFUSE, asking, "sam")
    token = forged(shop, asking, shop.answering(Do.APPROVE, asking, "sam"))
    with pytest.raises(BreakglassError):
        shop.mint(token.encoded())
    assert handle_of(asking.grant) not in shop.target().handles()


def test_a_yes_that_a_stolen_broker_invents_counts_at_no_honest_one(shop: Shop) -> None:
    asking = asked(shop, who="teo")
    false = Signed(**shop.answering(Do.APPROVE, asking, "sam", key=shop.people["bo"])["statement"])
    body = Answered(asking.grant, Reply.YES, false, ())
    shop.state_as("broker-2", Fact(f"{asking.grant}/answer", body))
    with pytest.raises(BreakglassError, match="0 of 1"):
        shop.break_glass(asking)
    assert shop.get(f"/requests/{asking.grant}")["answers"] == []
    ended(shop, asking)


def test_an_ask_that_a_stolen_broker_calls_allowed_is_granted_by_nobody(shop: Shop) -> None:
    asking = shop.asking(ONE, do=Do.ASK)
    signed = Signed(**asking.body["statement"])
    decided = Decided(Outcome.ALLOWED, 0, (), ())
    factors = Factors(Factor.ONE, 0, False)
    body = Asked(asking.grant, Path.JIT, signed, "", factors, decided)
    shop.state_as("broker-2", Fact(f"{asking.grant}/asked", body))
    with pytest.raises(BreakglassError):
        shop.break_glass(asking)
    assert "intent" not in shop.kinds(asking.grant)
