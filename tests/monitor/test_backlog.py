"""What was not rung or decided before a restart is so after it, also from a snapshot."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from breakglass.monitor.alerts.alert import Alert
from breakglass.monitor.backlog import Backlog
from breakglass.monitor.entry_handler import EntryHandler
from breakglass.monitor.history_projection import HistoryProjection
from breakglass.monitor.settings import NEWS_KEPT, MonitorSettings
from breakglass.monitor.witnessed_time import WitnessedTime
from breakglass.records import all_kinds as kinds
from breakglass.records.encoding.whole_form import form_bytes, parse_form
from breakglass.records.fold.fold import apply
from breakglass.records.fold.state import State
from breakglass.records.kinds.alert import Delivery
from tests.monitor.stand_ins import Shop


class Monitor:
    """An entry handler, and what it rang and stated."""

    def __init__(self, shop: Shop, broken: str = "") -> None:
        self.rung: list[str] = []
        self.texts: dict[str, str] = {}
        self.stated: list[str] = []
        clock: Any = SimpleNamespace(now=lambda: shop.org.now)
        ringing: Any = SimpleNamespace(ring=self._ring)
        stating: Any = SimpleNamespace(post=lambda fact: self.stated.append(fact.id))
        day = timedelta(days=1)
        time = WitnessedTime(clock)
        self.handler = EntryHandler(ringing, stating, time, day, lambda: broken)
        self.state = State(shop.org.genesis)
        self.shop = shop

    def _ring(self, news: Collection[Alert], heard: Collection[tuple[str, str]]) -> None:
        self.texts |= {each.key: each.text for each in news}
        self.rung += [each.key for each in news if ("hook", each.key) not in heard]

    def read(self) -> Monitor:
        """Take what the log has more."""
        for entry in self.shop.org.log.entries(self.state.size):
            judged = apply(self.state, entry)
            for each in self.handler.projections:
                each.take(judged, entry, self.state)
            self.handler.taking(judged, entry, self.state)
        return self

    def restarted(self) -> Monitor:
        """Return another that goes on from what this one holds."""
        again = Monitor(self.shop)
        again.state = self.state
        for old, new in zip(self.handler.projections, again.handler.projections, strict=True):
            new.restore(parse_form(form_bytes(old.form())), self.state)
        return again

    def live(self) -> Monitor:
        self.handler.go_live(self.state)
        return self


@pytest.fixture
def shop() -> Shop:
    return Shop().begin()


def test_news_and_decisions_before_a_snapshot_are_done_after_it(shop: Shop) -> None:
    good, bad = shop.breaks(), shop.breaks(ask=False)
    first = Monitor(shop).read()
    assert (first.rung, first.stated) == ([], [])
    second = first.restarted().live()
    broke = {f"broke_glass/{each.index}" for each in (good, bad)}
    assert broke | {f"unjustified/{bad.index}"} <= set(second.rung)
    assert second.stated == [f"{good.grant}/justified"]
    assert set(second.handler.unjustified) == {bad.grant}


def test_what_the_ledger_shows_as_done_is_not_done_again(shop: Shop) -> None:
    broken = shop.breaks()
    told = kinds.Alert(
        "broke_glass", broken.grant, broken.index, "hook", ("hook",), Delivery.DELIVERED, "", 1, ""
    )
    assert shop.states("monitor", told).holds
    shop.org.justify(broken)
    second = Monitor(shop).read().restarted().live()
    assert f"broke_glass/{broken.index}" not in second.rung
    assert second.stated == []


def test_an_intent_that_should_not_stand_is_decided_at_every_start_until_it_leaves(
    shop: Shop,
) -> None:
    """Its verdict stands in no record, so the status page has it from the decision alone."""
    bad = shop.breaks(ask=False)
    first = Monitor(shop).read().live()
    second = first.restarted().live()
    assert set(second.handler.unjustified) == {bad.grant}
    assert f"unjustified/{bad.index}" in second.rung


def test_what_a_new_channel_hears_of_the_past_says_how_old_it_is(shop: Shop) -> None:
    org = shop.org
    key = f"broke_glass/{shop.breaks().index}"
    at = org.now
    assert Monitor(shop).read().live().texts[key].startswith("GLASS BROKEN")
    org.now += timedelta(hours=3)
    late = Monitor(shop).read().live().texts[key]
    assert late.startswith(f"(late: {at:%Y-%m-%d %H:%M} UTC) GLASS BROKEN")


def test_old_news_leaves_the_backlog(shop: Shop) -> None:
    shop.breaks()
    org = shop.org
    org.now += NEWS_KEPT + timedelta(days=1)
    org.state_that("monitor", kinds.Pulse(0, ("hook",)))
    monitor = Monitor(shop).read()
    assert monitor.handler.backlog.kept.news == {}
    assert len(monitor.handler.backlog.kept.cases) == 1


def test_nobody_can_ask_for_news_older_than_is_kept() -> None:
    with pytest.raises(ValueError, match="over 3 days"):
        MonitorSettings("log", "ledger", {}, ring_back=NEWS_KEPT + timedelta(seconds=1))


def test_a_ledger_that_is_not_believed_makes_nothing_ring(shop: Shop) -> None:
    shop.breaks()
    monitor = Monitor(shop, broken="it forked").live().read()
    assert (monitor.rung, monitor.stated) == ([], [])
    late = Monitor(shop, broken="it forked").read().live()
    assert (late.rung, late.stated) == ([], [])


def test_an_error_inside_is_shouted_and_stops_no_fold(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr("breakglass.monitor.backlog.alert_for", fails)
    history = HistoryProjection()
    backlog, state = Backlog(history), State(shop.org.genesis)
    for entry in shop.org.log.entries():
        backlog.take(apply(state, entry), entry, state)
    assert [each.subject for each in backlog.latest] == ["monitor_error"]
