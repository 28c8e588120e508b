"""Who is out of the policy: their asks, answers and sessions are dead, and live grants ring."""

from __future__ import annotations

from typing import Any

import pytest

from breakglass.monitor.alert_rules import alert_for
from breakglass.monitor.alerts.alert import Alert
from breakglass.records import all_kinds as kinds
from breakglass.records.grant import EndedWhy
from breakglass.records.statement import Target
from tests.kit.organisation import Organisation
from tests.kit.plain_english import check_wording
from tests.monitor.stand_ins import history_of
from tests.records.folding import begun, ended, holds, void
from tests.records.test_fold_asks import Ask


def heard(org: Organisation, since: int) -> list[Alert]:
    """Return what rings for the records from ``since`` on, each judged on the state of now."""
    found: list[Alert] = []
    for judged in org.judged[since:]:
        entry = org.log.entries(judged.index)[0]
        found += alert_for(judged, entry, org.state, history_of(org))
    return found


def leaves(org: Organisation, *who: str, cards: bool = True) -> list[Alert]:
    """Put a policy in force that these people are not in; return what rings of it."""
    org.policy_version, org.bundle = org.policy_version + 1, b"the next version"
    for each in who:
        org.people.pop(each)
    size = len(org.judged)
    org.activate_policy()
    return [each for each in heard(org, size) if each.subject == "left_with_grant"]


def test_a_leaver_with_a_live_grant_rings_with_the_command_that_stops_it() -> None:
    org = begun()
    broken = org.break_glass()
    over = org.break_glass(statement={"nonce": "0b" * 16})
    holds(ended(org, over.grant, EndedWhy.NOT_MINTED))
    other = org.break_glass(statement={"who": "teo", "nonce": "0c" * 16})
    (alert,) = leaves(org, "mira")
    check_wording(alert.text)
    assert f"mira: 'deploy-rollback' until 03:44 UTC, stop it: breakglass kill {broken.grant}" in (
        alert.text
    )
    assert other.grant not in alert.text
    assert over.grant not in alert.text


def test_who_stays_and_is_off_the_card_rings_with_the_cards() -> None:
    org = begun()
    broken = org.break_glass()
    rest = {name: line for name, line in org.card_people().by_name.items() if name != "mira"}
    org.lists["deploy-rollback"] = type(org.card_people())(rest.values())
    (alert,) = leaves(org)
    assert f"breakglass kill {broken.grant}" in alert.text


def test_nobody_rings_where_nobody_left_or_the_grant_is_over() -> None:
    org = begun()
    org.break_glass()
    assert leaves(org) == []
    assert leaves(org, "bo") == []


@pytest.mark.parametrize("gone", ["mira", "sam"])
def test_the_asks_and_answers_of_a_leaver_are_dead_at_the_activation(gone: str) -> None:
    """Of the asker, and of the approver whose yes was there already."""
    org = begun()
    ask = Ask(org)
    holds(ask.answers())
    leaves(org, gone)
    late: Any = ask.answers(nonce="b7")
    if gone == "sam":
        void(late, "unknown_person")
    assert not ask.granted().holds
    assert ask.grant not in org.state.grants.by_id


def test_a_leaver_asks_breaks_and_stops_nothing_any_more() -> None:
    org = begun(killers=("sam", "mira"))
    said = org.statement()
    signed, kill = org.sign(said), org.sign(org.kill(Target.GLASS, "deploy-rollback", who="mira"))
    leaves(org, "mira")
    void(org.state_that("broker", org.asked(signed)), "unknown_person")
    stop = kinds.Suspended(Target.GLASS, "deploy-rollback", True, kill)
    void(org.state_that("broker", stop), "unknown_person")
