"""A copy of what was handed in: it rings where the log does not show it used in time."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from breakglass.clock import OffsetClock, SystemClock
from breakglass.errors import BreakglassError, RefusedError
from breakglass.monitor.app import Monitor
from breakglass.monitor.people.copies import CopyBody
from breakglass.monitor.people.store import COPIES_OF_A_PERSON
from breakglass.records.statement import Do, digest_of
from tests.monitor.people_kit import Start, Story, with_approvers
from tests.monitor.stand_ins import Shop, Sink, StandInLedger, eventually, moment


@pytest.fixture
def shop() -> Shop:
    return with_approvers()


def live(start: Start, folder: Path, after_s: float = 0.5) -> Monitor:
    monitor = start(folder, withheld_after=timedelta(seconds=after_s))
    eventually(lambda: monitor.following.live)
    return monitor


def yes(shop: Shop, story: Story, number: int = 1, **changes: Any) -> Any:
    """Return an approval that no broker has recorded."""
    at = changes.pop("at", moment())
    said = shop.org.answer(
        story.digest, who="sam", do=Do.APPROVE, nonce=f"{number + 1000:032x}", at=at, **changes
    )
    return shop.org.sign(said)


def test_a_yes_that_a_broker_keeps_back_rings_for_everybody(
    shop: Shop, sink: Sink, folder: Path, monitor_of: Start
) -> None:
    monitor = live(monitor_of, folder)
    signed = yes(shop, Story(shop))
    assert monitor.copies.take(CopyBody(signed)).kept
    assert monitor.copies.take(CopyBody(signed)).kept  # again is the same
    eventually(lambda: "statement_withheld" in sink.subjects())
    message = sink.message("statement_withheld")
    assert "sam handed in a signed 'approve'" in message["text"]
    assert message["key"] == f"statement_withheld/{digest_of(signed.text)}"


def test_what_comes_into_the_log_in_time_is_forgotten_and_rings_nobody(
    shop: Shop, sink: Sink, folder: Path, monitor_of: Start
) -> None:
    monitor = live(monitor_of, folder, 2.0)
    story = Story(shop)
    story.answers("sam")
    monitor.copies.take(CopyBody(story.word))
    eventually(lambda: monitor.people.copies() == [])
    shop.breaks()
    eventually(lambda: "broke_glass" in sink.subjects())
    assert "statement_withheld" not in sink.subjects()


def test_a_copy_waits_over_a_restart_and_rings_once(
    shop: Shop, sink: Sink, folder: Path, monitor_of: Start
) -> None:
    first = live(monitor_of, folder, 3600)
    first.copies.take(CopyBody(yes(shop, Story(shop))))
    first.process.close()
    second = live(monitor_of, folder)

    def cut(step: str) -> None:
        raise RuntimeError(f"cut off at {step}")

    second.copies._at = cut
    eventually(lambda: "statement_withheld" in sink.subjects())
    second.process.close()
    third = live(monitor_of, folder)
    eventually(lambda: [each.rung for each in third.people.copies()] == [True])
    assert sink.subjects().count("statement_withheld") == 1


def test_nobody_is_accused_while_the_ledger_cannot_be_read(
    shop: Shop, sink: Sink, ledger: StandInLedger, folder: Path, monitor_of: Start
) -> None:
    monitor = live(monitor_of, folder)
    signed = yes(shop, Story(shop))
    ledger.kill()
    eventually(lambda: monitor.view.away is not None)
    monitor.copies.take(CopyBody(signed))
    monitor.copies.look()
    assert monitor.people.copies()[0].rung is False
    assert "statement_withheld" not in sink.subjects()


def test_a_broker_gets_its_time_again_when_the_ledger_is_back(
    shop: Shop, sink: Sink, ledger: StandInLedger, folder: Path, monitor_of: Start
) -> None:
    """Honest brokers wrote nothing while the ledger was away, and are not accused for it."""
    monitor = live(monitor_of, folder, 3600)
    signed = yes(shop, Story(shop))
    ledger.kill()
    eventually(lambda: monitor.view.away is not None)
    monitor.copies.take(CopyBody(signed))
    (copy,) = monitor.people.copies()
    monitor.copies.look()
    clock = monitor.copies._clock = OffsetClock(SystemClock(), timedelta(hours=2))
    ledger.start()
    eventually(lambda: monitor.view.away is None)
    monitor.copies.look()
    assert clock.now() - copy.since > timedelta(hours=2)
    assert monitor.people.copies()[0].rung is False
    monitor.copies._clock = OffsetClock(SystemClock(), timedelta(hours=3, minutes=1))
    eventually(lambda: "statement_withheld" in sink.subjects())


def test_what_was_withheld_for_days_rings_before_it_is_forgotten(
    shop: Shop, sink: Sink, folder: Path, monitor_of: Start
) -> None:
    first = live(monitor_of, folder, 3600)
    first.copies.take(CopyBody(yes(shop, Story(shop))))
    first.process.close()
    second = live(monitor_of, folder, 3600)
    second.copies.look()  # the ledger is there from now on
    second.copies._clock = OffsetClock(SystemClock(), timedelta(hours=50))
    eventually(lambda: "statement_withheld" in sink.subjects())
    assert "only the entries of that time can tell" in sink.message("statement_withheld")["text"]
    eventually(lambda: second.people.copies() == [])


@pytest.mark.parametrize("wrong", ["log", "key", "old"])
def test_a_copy_is_checked_before_it_is_kept(
    shop: Shop, folder: Path, monitor_of: Start, wrong: str
) -> None:
    monitor = live(monitor_of, folder, 3600)
    story = Story(shop)
    changes: dict[str, Any] = {
        "log": {"log": "ledger.example/two"},
        "old": {"at": moment() - timedelta(hours=2)},
        "key": {},
    }[wrong]
    signed = yes(shop, story, **changes)
    if wrong == "key":
        said = shop.org.answer(story.digest, who="sam", nonce="9" * 32, at=moment())
        signed = shop.org.sign(said, shop.org.people["teo"])
    with pytest.raises(BreakglassError) as caught:
        monitor.copies.take(CopyBody(signed))
    named = {"log": "wrong_log", "old": "stale_request", "key": "foreign_key"}
    assert caught.value.name == named[wrong]
    assert monitor.people.copies() == []


def test_one_person_fills_nobody_elses_place(shop: Shop, folder: Path, monitor_of: Start) -> None:
    monitor = live(monitor_of, folder, 3600)
    story = Story(shop)
    for number in range(COPIES_OF_A_PERSON):
        monitor.copies.take(CopyBody(yes(shop, story, number)))
    with pytest.raises(RefusedError, match="16 copies of 'sam' wait") as caught:
        monitor.copies.take(CopyBody(yes(shop, story, 99)))
    assert caught.value.name == "too_many"
    other = shop.org.answer(story.digest, who="noor", nonce="8" * 32, at=moment())
    assert monitor.copies.take(CopyBody(shop.org.sign(other))).kept
