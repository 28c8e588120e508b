"""What a surveyor counts rings where it grew, where a grant left it, and where nothing comes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from breakglass.monitor.alert_rules import alert_for
from breakglass.monitor.alerts.alert import Alert
from breakglass.monitor.alerts.news_class import route_of
from breakglass.monitor.app import Monitor
from breakglass.monitor.history_projection import HistoryProjection
from breakglass.monitor.reviews.prefill import _surveys
from breakglass.monitor.survey_silence import SurveySilence
from breakglass.records.encoding.text_types import ZERO_DIGEST
from breakglass.records.kinds.standing import Occasion, Standing, Tally
from tests.kit.one_surveyor import DAY, INTERN, SECOND, OneSurveyor
from tests.kit.organisation import signer
from tests.monitor.stand_ins import Shop, Sink, StandInLedger, eventually, history_of

Start = Callable[..., Monitor]


@pytest.fixture
def surveyor(tmp_path: Path) -> Any:
    found = OneSurveyor(tmp_path)
    yield found
    found.close()


def news(surveyor: OneSurveyor) -> list[Alert]:
    """Return what the surveys of the whole log tell, by folding it again as a monitor does."""
    org, history = surveyor.org, HistoryProjection()
    found: list[Alert] = []
    for entry, judged in zip(org.log.entries(), org.judged, strict=True):
        history.take(judged, entry, org.state)
        if judged.record is not None and isinstance(judged.record.body, Standing):
            found += alert_for(judged, entry, org.state, history)
    return found


def test_the_first_survey_rings_nothing_and_growth_rings(surveyor: OneSurveyor) -> None:
    surveyor.look()
    assert news(surveyor) == []
    surveyor.target.put(INTERN)
    surveyor.look(later=DAY)
    (told,) = news(surveyor)
    assert (told.subject, told.thread, route_of(told)) == (
        "standing_grew",
        "standing/orders-db",
        "",
    )
    assert "1 table-write came that no grant explains; 2 stand now" in told.text
    assert "intern" not in told.text
    surveyor.target.take(INTERN)
    surveyor.look(later=DAY)
    assert news(surveyor) == [told]


def test_what_appeared_while_a_grant_ran_and_stays_rings_in_its_thread_and_stands_in_its_review(
    surveyor: OneSurveyor,
) -> None:
    surveyor.look()
    broken = surveyor.used()
    surveyor.look()
    surveyor.target.put(INTERN)
    surveyor.over(broken)
    surveyor.look()
    (told,) = news(surveyor)
    assert (told.subject, told.about, told.thread) == (
        "left_standing",
        broken.grant,
        broken.grant,
    )
    assert told.text.startswith("LEFT BEHIND at 'orders-db', remove by hand: 1 table-write")
    assert route_of(told) == "glass"
    history = history_of(surveyor.org)
    lines = list(_surveys(history.of(broken.grant).surveys))
    assert lines == [
        "survey of orders-db at its end: 1 table-write of grants that are over stands there"
        " without one"
    ]


def test_a_clean_end_rings_nothing_and_the_review_says_that_somebody_looked(
    surveyor: OneSurveyor,
) -> None:
    surveyor.look()
    broken = surveyor.used()
    surveyor.look()
    surveyor.over(broken)
    surveyor.look()
    assert news(surveyor) == []
    lines = list(_surveys(history_of(surveyor.org).of(broken.grant).surveys))
    assert lines == ["survey of orders-db at its end: nothing of a grant stands there without one"]


def test_what_one_grant_left_is_not_told_of_the_next(surveyor: OneSurveyor) -> None:
    surveyor.look()
    first = surveyor.used()
    surveyor.target.put(INTERN)
    surveyor.over(first)
    surveyor.look()
    second = surveyor.used("b7")
    surveyor.look()
    surveyor.over(second)
    surveyor.look()
    assert [each.about for each in news(surveyor)] == [first.grant]


def test_a_surveyor_that_forgot_everything_rings(surveyor: OneSurveyor) -> None:
    surveyor.look()
    surveyor.close()
    (surveyor.folder / "surveys.sqlite").unlink()
    surveyor.restart()
    surveyor.target.put(INTERN)
    surveyor.look(later=DAY)
    (told,) = news(surveyor)
    assert told.subject == "standing_anew"
    assert "1 stood before, 2 stand now" in told.text


def test_what_is_unknown_rings_once_and_is_never_called_nothing(surveyor: OneSurveyor) -> None:
    surveyor.look()
    surveyor.target.hide("hba-trust")
    surveyor.look(later=DAY)
    surveyor.look(later=DAY)
    (told,) = news(surveyor)
    assert told.subject == "standing_unknown"
    assert "cannot read hba-trust" in told.text


def silence(surveyor: OneSurveyor) -> tuple[SurveySilence, list[Alert]]:
    rung: list[Alert] = []
    keys: set[str] = set()

    def ring(found: list[Alert], heard: object) -> None:
        rung.extend(each for each in found if each.key not in keys)
        keys.update(each.key for each in found)

    history = history_of(surveyor.org)
    following: Any = SimpleNamespace(chronicle=history)
    ringing: Any = SimpleNamespace(ring=ring)
    looking = SurveySilence(
        surveyor.view, following, ringing, surveyor.true, 26 * 3600 * SECOND, 1800 * SECOND
    )
    return looking, rung


def test_a_target_that_nobody_surveyed_for_a_day_rings_once_and_again_after_the_next(
    surveyor: OneSurveyor,
) -> None:
    surveyor.look()
    looking, rung = silence(surveyor)
    looking.look()
    surveyor.pass_time(DAY)
    looking.look()
    assert rung == []
    surveyor.pass_time(timedelta(hours=3))
    looking.look()
    looking.look()
    assert [each.subject for each in rung] == ["standing_silent"]
    assert "NO SURVEY of 'orders-db'" in rung[0].text
    surveyor.look()
    surveyor.pass_time(timedelta(hours=27))
    looking.look()
    assert [each.subject for each in rung] == ["standing_silent"] * 2


def test_a_surveyor_that_never_spoke_rings_too(surveyor: OneSurveyor) -> None:
    looking, rung = silence(surveyor)
    looking.look()
    surveyor.pass_time(timedelta(hours=27))
    looking.look()
    assert [each.about for each in rung] == ["orders-db"]


def test_a_grant_whose_end_nobody_surveyed_rings(surveyor: OneSurveyor) -> None:
    """Else a surveyor that is silent about one grant alone would be heard by nobody."""
    surveyor.look()
    broken = surveyor.used()
    surveyor.over(broken)
    surveyor.view.follow()
    looking, rung = silence(surveyor)
    looking.look()
    assert rung == []
    surveyor.pass_time(timedelta(minutes=31))
    looking.look()
    (told,) = rung
    assert (told.subject, told.about) == ("standing_missed", broken.grant)
    surveyor.look()
    assert history_of(surveyor.org).kept.surveyed == {}


def test_growth_is_heard_at_a_real_monitor(
    shop: Shop, sink: Sink, folder: Path, ledger: StandInLedger, monitor_of: Start
) -> None:
    role = "minter:orders-db.survey"
    org = shop.org
    with shop.lock:
        org.submitters[role] = signer("orders-db-survey.shop.example")
        for number in ("2", "3"):
            assert org.activate_trust(version=number, kinds=number).holds
    monitor = monitor_of(folder)
    eventually(lambda: monitor.following.live)
    counts = {"superuser": Tally(1, 0, 0, 0, 0)}
    first = Standing(
        "orders-db", Occasion.DAILY, (), (), counts, (), "a1" * 32, ZERO_DIGEST, org.now
    )
    more = {"superuser": Tally(2, 0, 0, 1, 0)}
    second = replace(
        first, counts=more, digest="a2" * 32, before="a1" * 32, taken_at=org.now + SECOND
    )
    with shop.lock:
        assert org.state_that(role, first, "standing/1").holds
        assert org.state_that(role, second, "standing/2").holds
    eventually(lambda: "standing_grew" in sink.subjects())
