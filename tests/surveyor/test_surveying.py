"""The story of a survey: when it looks, what it tells, and what a crash at each step leaves."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.records.kinds.standing import Occasion
from breakglass.surveyor.inventory_record import InventoryRecord, Look, recorded
from breakglass.surveyor.survey import Inventory, Thing
from tests.kit.one_surveyor import ADMIN, DAY, INTERN, SECOND, OneSurveyor, handle


@pytest.fixture
def surveyor(tmp_path: Path) -> Iterator[OneSurveyor]:
    found = OneSurveyor(tmp_path)
    yield found
    found.close()


def names(surveyor: OneSurveyor) -> dict[str, tuple[str, ...]]:
    newest = surveyor.store.newest()
    assert newest is not None
    return {each.thing.holder: each.glasses for each in newest.things}


def test_the_first_survey_is_where_growth_begins(surveyor: OneSurveyor) -> None:
    (first,) = surveyor.look()
    assert (first.occasion, first.begins_anew) == (Occasion.DAILY, True)
    assert (first.total("standing"), first.total("new")) == (1, 0)
    assert surveyor.look() == []


def test_a_day_later_what_came_is_new_and_has_the_glass_that_could_replace_it(
    surveyor: OneSurveyor,
) -> None:
    surveyor.look()
    surveyor.target.put(INTERN)
    (second,) = surveyor.look(later=DAY)
    assert second.counts["table-write"].new == 1
    assert names(surveyor) == {"postgres": (), "intern": ("key-deletion", "orders-repair")}
    surveyor.target.take(INTERN)
    (third,) = surveyor.look(later=DAY)
    assert (third.counts["table-write"].gone, third.total("standing")) == (1, 1)


def test_no_record_holds_a_name_and_the_names_are_the_owners_alone(surveyor: OneSurveyor) -> None:
    surveyor.target.put(INTERN)
    surveyor.look()
    assert not any(b"intern" in note for note in surveyor.org.log.notes)
    mode = (surveyor.folder / "surveys.sqlite").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_the_same_inventory_never_has_the_same_digest(surveyor: OneSurveyor) -> None:
    """Else whoever guesses the names could try them against the ledger."""
    (first,) = surveyor.look()
    (second,) = surveyor.look(later=DAY)
    assert first.digest != second.digest
    newest = surveyor.store.newest()
    assert newest is not None
    assert InventoryRecord.parse(newest.text()) == newest


def test_a_running_grant_explains_its_own_account_and_what_it_left_is_told(
    surveyor: OneSurveyor,
) -> None:
    surveyor.look()
    broken = surveyor.used()
    (at_usable,) = surveyor.look()
    assert (at_usable.occasion, at_usable.grant) == (Occasion.USABLE, (broken.grant,))
    assert (at_usable.total("granted"), at_usable.total("new")) == (1, 0)
    assert at_usable.grants == (broken.grant,)
    surveyor.target.put(INTERN)
    surveyor.over(broken)
    (at_end,) = surveyor.look()
    assert (at_end.occasion, at_end.grant) == (Occasion.ENDED, (broken.grant,))
    assert (at_end.counts["table-write"].left, at_end.total("left")) == (1, 1)
    newest = surveyor.store.newest()
    assert newest is not None
    assert [each.during for each in newest.things if each.thing == INTERN] == [broken.grant]
    (later,) = surveyor.look(later=DAY)
    assert (later.total("left"), later.total("new")) == (1, 0)


def test_what_a_fast_holder_made_before_the_first_look_is_left_behind_too(
    surveyor: OneSurveyor,
) -> None:
    surveyor.look()
    surveyor.pass_time(SECOND)
    broken = surveyor.used()
    surveyor.target.put(INTERN)
    (at_usable,) = surveyor.look()
    assert at_usable.total("new") == 1
    surveyor.over(broken, stays=True)
    (at_end,) = surveyor.look()
    assert at_end.total("left") == 2
    assert handle(broken) in names(surveyor)


def test_a_grant_is_looked_at_when_the_surveyor_comes_back_after_its_end(
    surveyor: OneSurveyor,
) -> None:
    surveyor.look()
    broken = surveyor.used()
    surveyor.target.put(INTERN)
    surveyor.over(broken)
    surveyor.close()
    surveyor.restart()
    (only,) = surveyor.look()
    assert (only.occasion, only.total("left")) == (Occasion.ENDED, 1)


def test_no_grant_is_blamed_for_what_stood_before_the_first_survey(surveyor: OneSurveyor) -> None:
    broken = surveyor.used()
    (first,) = surveyor.look()
    assert first.total("granted") == 1
    surveyor.over(broken)
    assert surveyor.look() == []


def test_what_cannot_be_read_is_carried_over_and_told_as_unknown(surveyor: OneSurveyor) -> None:
    surveyor.target.put(INTERN)
    surveyor.look()
    surveyor.target.hide("table-write", "orders")
    (second,) = surveyor.look(later=DAY)
    assert second.unknown == ("table-write",)
    assert (second.total("standing"), second.total("gone")) == (2, 0)


def test_who_asks_has_a_survey_now(surveyor: OneSurveyor) -> None:
    surveyor.look()
    surveyor.store.ask(surveyor.true.at)
    (asked,) = surveyor.look()
    assert asked.occasion is Occasion.ASKED
    assert surveyor.store.asked() is None


@pytest.mark.parametrize("step", ["surveyed", "kept", "told"])
def test_a_surveyor_killed_at_a_step_goes_on_and_loses_no_growth(
    surveyor: OneSurveyor, step: str
) -> None:
    surveyor.look()
    surveyor.target.put(INTERN)
    surveyor.pass_time(DAY)
    surveyor.crash_at(step)
    surveyor.look()
    told = [
        each.record.body
        for each in surveyor.org.judged
        if each.record and each.record.body.kind == "standing"
    ]
    assert all(each.holds for each in surveyor.org.judged)
    assert sum(each.total("new") for each in told) == 1
    assert surveyor.org.state.surveys.newest["orders-db"].total == 2


def test_a_survey_whose_answer_was_lost_is_found_by_its_digest(surveyor: OneSurveyor) -> None:
    surveyor.look()
    surveyor.target.put(INTERN)
    surveyor.ledger.silent = True
    surveyor.look(later=DAY)
    surveyor.ledger.silent = False
    (after,) = surveyor.look(later=DAY)
    assert not after.begins_anew
    assert (after.total("new"), after.total("standing")) == (0, 2)


def test_without_the_ledger_nothing_is_told_and_the_growth_comes_when_it_is_back(
    surveyor: OneSurveyor,
) -> None:
    surveyor.look()
    surveyor.ledger.away = True
    surveyor.target.put(INTERN)
    assert surveyor.look(later=DAY) == []
    assert "not reached" in surveyor.surveying.trouble
    surveyor.ledger.away = False
    (after,) = surveyor.look()
    assert after.total("new") == 1
    assert surveyor.surveying.trouble == ""


def test_a_surveyor_without_its_disk_begins_anew(surveyor: OneSurveyor) -> None:
    surveyor.look()
    surveyor.close()
    (surveyor.folder / "surveys.sqlite").unlink()
    surveyor.restart()
    (after,) = surveyor.look(later=DAY)
    assert after.begins_anew
    assert after.total("standing") == 1


def test_an_identity_that_could_write_rings_and_tells_nothing(surveyor: OneSurveyor) -> None:
    surveyor.target.trouble(may_write=True)
    assert surveyor.look() == []
    assert "not_surveyed" in (surveyor.folder / "rings.log").read_text()
    surveyor.target.trouble()
    assert len(surveyor.look()) == 1


def test_under_kinds_2_nothing_is_surveyed_and_the_hint_says_how(tmp_path: Path) -> None:
    surveyor = OneSurveyor(tmp_path, kinds=2)
    assert surveyor.look() == []
    assert "kinds 3" in surveyor.surveying.trouble
    surveyor.close()


def test_names_are_forgotten_and_the_counts_stay(surveyor: OneSurveyor) -> None:
    (first,) = surveyor.look()
    surveyor.look(later=36 * DAY)
    assert surveyor.store.find(first.digest) is None
    assert surveyor.store.newest() is not None
    assert len(surveyor.store.trend(surveyor.true.at - timedelta(days=60))) == 2


def test_who_hides_between_two_surveys_is_not_seen(surveyor: OneSurveyor) -> None:
    """Said plainly in docs/threat-model.md: a look sees what stands, not what stood."""
    surveyor.look()
    hidden = Thing("superuser", "superuser", "ghost")
    surveyor.target.put(hidden)
    surveyor.target.take(hidden)
    (second,) = surveyor.look(later=DAY)
    assert (second.total("new"), second.total("standing")) == (0, 1)
    assert ADMIN.holder in names(surveyor)


class Slow:
    """A target that is read for two hours: by then a survey is too old to be told."""

    def __init__(self, surveyor: OneSurveyor) -> None:
        self.surveyor, self.inner = surveyor, surveyor.target

    def survey(self, templates: Sequence[str]) -> Inventory:
        found = self.inner.survey(templates)
        self.surveyor.pass_time(timedelta(hours=2))
        return found

    def close(self) -> None:
        self.inner.close()


def test_a_survey_that_counts_for_nothing_is_no_survey_and_is_not_made_again_at_once(
    surveyor: OneSurveyor,
) -> None:
    surveyor.surveying._platform = Slow(surveyor)
    surveyor.surveying._retry = 600.0
    size = surveyor.org.log.size
    assert surveyor.look() == []
    assert surveyor.org.log.size == size + 1
    assert "counts for nothing" in surveyor.surveying.trouble
    assert surveyor.store.newest() is None
    assert "not_surveyed" in (surveyor.folder / "rings.log").read_text()


def test_what_no_record_ever_told_of_goes_once_none_may(surveyor: OneSurveyor) -> None:
    surveyor.ledger.away = True
    for _ in range(5):
        surveyor.look(later=timedelta(hours=3))
    with sqlite3.connect(surveyor.folder / "surveys.sqlite") as file:
        ((kept,),) = file.execute("select count(*) from surveys").fetchall()
    assert kept == 4  # of the last look: it tries four times


def test_a_grant_that_was_forgotten_holds_no_survey_up(surveyor: OneSurveyor) -> None:
    surveyor.look()
    broken = surveyor.used()
    surveyor.view.follow()
    assert surveyor.occasions.due() == (Occasion.USABLE, broken.grant)
    with surveyor.view.reading() as state:
        del state.grants.by_id[broken.grant]
    surveyor.surveying.look()
    assert (surveyor.surveying.trouble, surveyor.occasions.due()) == ("", None)


def test_hostile_names_never_make_an_inventory_unreadable(surveyor: OneSurveyor) -> None:
    bell = "or\x07ders\u202e"
    found = Inventory((Thing("table-write", bell, bell, bell),), {("table-write", bell): bell})
    look = Look(None, None, "", frozenset(), {})
    made = recorded("orders-db", surveyor.true.at, "0" * 64, found, look)
    assert InventoryRecord.parse(made.text()) == made


def test_more_than_is_kept_is_refused_and_rings_without_a_name(
    surveyor: OneSurveyor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("breakglass.surveyor.inventory_record.THINGS_AT_MOST", 0)
    assert surveyor.look() == []
    rung = (surveyor.folder / "rings.log").read_text()
    assert "'orders-db' is not surveyed" in rung
