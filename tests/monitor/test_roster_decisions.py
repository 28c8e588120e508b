"""Broker and monitor decide alike on one log, whoever is on call."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from breakglass.broker.grants import authorization
from breakglass.broker.grants.request import BreakRequest
from breakglass.monitor.decision_replay import Unjustified, case_of, compiled, replay_decision
from breakglass.policy.bundle import pack_bundle, unpack_bundle
from breakglass.policy.decide import Allowed
from breakglass.records import all_kinds as kinds
from breakglass.records.statement import parse_request
from tests.kit.organisation import Broken
from tests.monitor.stand_ins import Shop, bundle, history_of, moment

MEMBERS = "oncall: {members: [mira, teo, bo]}"
ROSTERED = (
    'oncall: {roster: "file:oncall.json", members: [mira, teo, bo], at_most_old: 12h, else: [teo]}'
)


@pytest.fixture
def shop() -> Shop:
    text = unpack_bundle(bundle())["breakglass.yaml"].decode().replace(MEMBERS, ROSTERED)
    shop = Shop()
    shop.org.bundle = pack_bundle({"breakglass.yaml": text.encode()})
    shop.begin()
    assert shop.org.activate_trust(version="2", kinds="2").holds
    return shop


def states(shop: Shop, *people: str, age: timedelta = timedelta(0)) -> None:
    """State a roster through the fold."""
    number = shop.org.log.size
    body = kinds.Roster("oncall", tuple(sorted(people)), "file:oncall.json", moment() - age)
    assert shop.states("monitor", body, f"roster/{number}").holds


def brokers(shop: Shop, broken: Broken) -> Any:
    """Return what a broker decides of the same statement on the state as it stands."""
    request = BreakRequest(broken.signed, parse_request(broken.signed.text), broken.grant, None)
    state, now = shop.org.state, broken.statement.at
    who = authorization.known(request, state, now)
    policy = compiled(state.governance.bundle)
    held = authorization.moment_of(request.said, "g-aaaaaaaaaaaa", state, now)
    return authorization.decide(request, who, held, policy, now)


@pytest.mark.parametrize(
    ("people", "age", "allowed"),
    [
        (None, 0, False),
        (("mira",), 0, True),
        (("mira",), 11, True),
        (("mira",), 13, False),
        (("teo",), 0, False),
        ((), 0, False),
    ],
    ids=["none", "on call", "old", "too old", "off call", "nobody"],
)
def test_the_broker_and_the_monitor_say_the_same_of_who_is_on_call(
    shop: Shop, people: tuple[str, ...] | None, age: int, allowed: bool
) -> None:
    if people is not None:
        states(shop, *people, age=timedelta(hours=age))
    broken = shop.breaks()
    said = brokers(shop, broken)
    found = replay_decision(case_of(broken.grant, shop.org.state, history_of(shop.org)))
    assert isinstance(said, Allowed) == (not isinstance(found, Unjustified)) == allowed, (
        said,
        found,
    )
    if not allowed:
        assert isinstance(found, Unjustified)
        assert found.name == said.name == "not_listed"
        assert ("has no roster of at most 12h" in found.why) == (people in (None, ()) or age > 12)


def test_a_roster_that_came_in_between_accuses_no_broker(shop: Shop) -> None:
    states(shop, "mira", age=timedelta(hours=1))
    shop.org.now = moment()
    signed = shop.org.sign(shop.asks())
    states(shop, "teo")
    shop.org.now = moment()
    asked = shop.org.asked(signed)
    shop.org.state_that("broker", asked, f"{asked.grant}/asked")
    card = shop.org.state.governance.cards["deploy-rollback"].note
    broken = shop.org.break_glass(said=parse_request(signed.text), signed=signed, card=card)
    case = case_of(broken.grant, shop.org.state, history_of(shop.org))
    assert not isinstance(replay_decision(case), Unjustified)


def test_a_false_roster_of_a_stolen_monitor_lets_in_nobody_whom_no_card_names(shop: Shop) -> None:
    states(shop, "sam", "noor", "ghost")
    broken = shop.breaks(statement={"who": "sam"})
    said = brokers(shop, broken)
    assert not isinstance(said, Allowed)
    assert said.name == "not_listed"
