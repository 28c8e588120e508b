"""Small rules of the broker that need no process: allowance, and who was never rung for."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import timedelta
from typing import Any

from breakglass.broker.grants.open_grants import OpenGrants
from breakglass.broker.grants.reaper import ALARM_WITHIN, Reaper
from breakglass.broker.incidents.closing_grants import ClosingGrants
from breakglass.broker.policies import Policies
from breakglass.broker.rate_limit import RateLimit
from breakglass.records.kinds.alert import Alert, Delivery
from tests.kit.organisation import Organisation


def test_an_allowance_is_used_up_by_one_person_and_comes_back() -> None:
    now = [0.0]
    allowance = RateLimit(2, timedelta(seconds=60), lambda: now[0])
    assert [allowance.take("mira") for _ in range(3)] == [True, True, False]
    assert allowance.take("teo")
    now[0] = 31.0
    assert [allowance.take("mira") for _ in range(2)] == [True, False]


class Rung:
    def __init__(self) -> None:
        self.rings: list[str] = []

    def ring(self, subject: str, about: str, words: str) -> None:
        self.rings.append(f"{subject} {about}")


class Still:
    """A recording whose view is an organisation's state."""

    def __init__(self, organisation: Organisation) -> None:
        self.organisation = organisation
        self.view = self
        self.key = organisation.submitters["broker"]

    def reading(self) -> Any:
        return contextlib.nullcontext(self.organisation.state)


def closing(organisation: Organisation, rung: Rung) -> Reaper:
    opened = OpenGrants()
    for entry, judged in zip(organisation.log.entries(), organisation.judged, strict=True):
        opened.take(judged, entry, organisation.state)

    class Now:
        def now(self) -> Any:
            return organisation.now

    still: Any = Still(organisation)
    nobody: Any = None
    bell: Any = rung
    return Reaper(
        still, nobody, Now(), timedelta(hours=1), nobody, opened, bell, ClosingGrants(Policies())
    )


def test_a_grant_that_no_alarm_was_delivered_for_is_rung_once() -> None:
    organisation, rung = Organisation(), Rung()
    organisation.begin()
    broken = organisation.break_glass()
    looking = closing(organisation, rung)
    looking.look()
    assert rung.rings == []
    organisation.now += ALARM_WITHIN + timedelta(seconds=1)
    for _ in range(2):
        looking.look()
    assert rung.rings == [f"unheard {broken.grant}"]


def test_a_grant_that_the_monitor_rang_for_is_left_alone() -> None:
    organisation, rung = Organisation(), Rung()
    organisation.begin()
    broken = organisation.break_glass()
    alarm = Alert(
        "glass", broken.grant, broken.index, "hook", ("hook",), Delivery.DELIVERED, "", 1, ""
    )
    assert organisation.state_that("monitor", replace(alarm)).holds
    organisation.now += timedelta(minutes=1)
    looking = closing(organisation, rung)
    looking.look()
    assert rung.rings == []
