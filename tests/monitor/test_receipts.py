"""Whoever signed what stands in the log is told so on their own channels, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from breakglass.records import all_kinds as kinds
from breakglass.records.statement import Do, Target
from tests.monitor.people_kit import People, Start, Story, phone, starts, texts, with_approvers
from tests.monitor.stand_ins import Shop, Sink, eventually, moment


@pytest.fixture
def shop() -> Shop:
    return with_approvers()


@pytest.fixture
def own() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


def test_who_broke_a_glass_has_a_receipt_and_the_command_that_stops_a_thief(
    shop: Shop, sink: Sink, own: Sink, folder: Path, monitor_of: Start
) -> None:
    monitor = starts(monitor_of, folder)
    People(shop, monitor).sets("mira", phone(own))
    broken = shop.breaks()
    eventually(lambda: texts(own, "receipt"))
    eventually(lambda: "broke_glass" in sink.subjects())
    # The word stands in 'asked' and in 'intent': it is told once.
    (text,) = texts(own, "receipt")
    assert f"you broke 'deploy-rollback' as {broken.grant}, for 30 min, incident INC-4821" in text
    assert "Not you?" in text
    assert "breakglass kill person:mira" in text
    assert "receipt" not in sink.subjects()
    assert not [each for each in shop.bodies(kinds.Alert) if each.subject == "receipt"]


def test_an_answer_says_to_whom_and_for_what_from_what_was_signed(
    shop: Shop, own: Sink, folder: Path, monitor_of: Start
) -> None:
    monitor = starts(monitor_of, folder)
    People(shop, monitor).sets("sam", phone(own))
    story = Story(shop)
    story.answers("sam")
    eventually(lambda: texts(own, "receipt"))
    assert (
        f"you approved {story.grant}: mira, 'deploy-rollback', 30 min" in texts(own, "receipt")[0]
    )


def test_kills_and_takings_back_have_receipts_too(
    shop: Shop, own: Sink, folder: Path, monitor_of: Start
) -> None:
    monitor = starts(monitor_of, folder)
    people = People(shop, monitor)
    people.sets("sam", phone(own))
    story = Story(shop, who="sam")
    story.answers("sam", Do.WITHDRAW)
    with shop.lock:
        shop.org.now = moment()
        word = shop.org.sign(shop.org.kill(Target.PERSON, "teo"))
        shop.org.state_that("broker", kinds.Suspended(Target.PERSON, "teo", True, word))
    eventually(lambda: len(texts(own, "receipt")) == 3)
    told = " ".join(texts(own, "receipt"))
    assert "you asked for 'deploy-rollback'" in told
    assert f"you took back {story.grant}" in told
    assert "you stopped person 'teo'" in told


def test_a_receipt_for_what_was_signed_while_the_monitor_was_away_comes_late_and_once(
    shop: Shop, own: Sink, folder: Path, monitor_of: Start
) -> None:
    first = starts(monitor_of, folder)
    People(shop, first).sets("mira", phone(own))
    first.process.close()
    shop.breaks()
    second = starts(monitor_of, folder)
    eventually(lambda: texts(own, "receipt"))
    second.process.close()
    third = starts(monitor_of, folder)
    eventually(lambda: not third.ringing.waits("mira.phone"))
    told = texts(own, "receipt")
    assert len([text for text in told if "you broke" in text]) == 1
    assert len(told) == len(set(told))
