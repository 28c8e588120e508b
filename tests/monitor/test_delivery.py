"""One bell: its patience with a channel, and what is written down of all of them."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.clock import SystemClock
from breakglass.errors import MalformedError, UnavailableError
from breakglass.monitor.alerts.alert import Alert as News
from breakglass.monitor.alerts.channel import Message
from breakglass.monitor.alerts.delivery import ChannelDelivery, DeliveryLimits
from breakglass.monitor.alerts.delivery_records import DeliveryRecords
from breakglass.node.submitter import Fact
from breakglass.records.kinds.alert import Alert
from tests.monitor.stand_ins import eventually, moment


class Moody:
    """A channel that works when it likes, and a ledger that does."""

    def __init__(self) -> None:
        self.works = False
        self.bug = False
        self.ledger_takes = True
        self.unwritable: list[str] = []
        self.heard: list[str] = []
        self.tried: list[str] = []
        self.kept: list[list[Alert]] = []

    def deliver(self, message: Message) -> None:
        self.tried.append(message.key)
        if self.bug:
            raise KeyError("a bug of the channel's own")
        if not self.works:
            raise UnavailableError("not in the mood")
        self.heard.append(message.key)

    def keep(self, *facts: Fact) -> None:
        if not self.ledger_takes:
            raise UnavailableError("the disk is full")
        if (len(facts) > 1 and self.unwritable) or [each.id for each in facts] == self.unwritable:
            raise MalformedError("too long")
        self.kept.append([fact.body for fact in facts])  # type: ignore[misc]

    @property
    def stated(self) -> list[tuple[str, str, int]]:
        return [
            (f"{each.subject}/{each.index}", each.delivery.value, each.attempts)
            for batch in self.kept
            for each in batch
        ]


@pytest.fixture
def moody() -> Moody:
    return Moody()


class Bells:
    """Some bells of one mood, with their records."""

    def __init__(
        self, folder: Path, moody: Moody, limits: DeliveryLimits, gather: timedelta, names: str
    ) -> None:
        self.all = [
            ChannelDelivery(
                name, moody, folder / f"{name}.sqlite", SystemClock(), self._wake, limits
            )
            for name in names.split()
        ]
        self.records = DeliveryRecords(lambda: self.all, lambda name: (), moody.keep, gather)

    def _wake(self) -> None:
        self.records.wake()

    def start(self) -> Bells:
        self.records.start()
        for each in self.all:
            each.start()
        return self

    def put(self, *news: News) -> None:
        for each in self.all:
            each.put(news, "log")

    def close(self) -> None:
        self.records.close()
        for each in self.all:
            each.close()


Make = Callable[..., Bells]


@pytest.fixture
def make(tmp_path: Path, moody: Moody) -> Iterator[Make]:
    made: list[Bells] = []

    def bells(
        names: str = "hook",
        limits: DeliveryLimits | None = None,
        gather: timedelta = timedelta(milliseconds=1),
    ) -> Bells:
        limits = limits or DeliveryLimits(timedelta(seconds=60))
        made.append(Bells(tmp_path, moody, limits, gather, names))
        return made[-1]

    yield bells
    for each in made:
        each.close()


@pytest.fixture
def bell(make: Make) -> Bells:
    return make().start()


def news(number: int, *, stated: bool = True) -> News:
    grant = f"g-{number}"
    return News("broke_glass", grant, number, grant, moment(), "text", stated=stated)


def test_when_a_channel_is_back_nothing_rests_any_longer(make: Make, moody: Moody) -> None:
    hour = timedelta(hours=1)
    bell = make(limits=DeliveryLimits(hour, hour)).start()
    bell.put(news(1), news(2))
    eventually(lambda: len(moody.tried) == 2)  # and each rests for an hour
    moody.works = True
    bell.put(news(3))
    eventually(lambda: len(moody.heard) == 3)
    assert moody.heard[0] == "broke_glass/3"  # what is new does not wait behind what failed


def test_the_first_failure_and_the_delivery_are_stated_and_nothing_between(
    bell: Bells, moody: Moody
) -> None:
    bell.put(news(1))
    eventually(lambda: len(moody.tried) >= 3)
    moody.works = True
    eventually(lambda: len(moody.stated) == 2)
    assert moody.stated[0] == ("broke_glass/1", "failed", 1)
    assert moody.stated[1] == ("broke_glass/1", "delivered", len(moody.tried))


def test_a_delivery_that_could_not_be_stated_is_stated_later(bell: Bells, moody: Moody) -> None:
    moody.works, moody.ledger_takes = True, False
    bell.put(news(1))
    eventually(lambda: moody.heard)
    moody.ledger_takes = True
    bell.put(news(2))
    eventually(lambda: len(moody.stated) == 2)
    assert {key for key, _, _ in moody.stated} == {"broke_glass/1", "broke_glass/2"}


@contextmanager
def refuses(outbox: Path, change: str) -> Iterator[None]:
    """Have a bell's file refuse a kind of change, as a disk does that has room for others."""
    with closing(sqlite3.connect(outbox, isolation_level=None)) as file:
        file.execute(
            f"create trigger refuses before {change} begin"
            " select raise(abort, 'database or disk is full'); end"
        )
        yield
        file.execute("drop trigger refuses")


def test_what_a_disk_took_is_rung_while_it_takes_nothing_more(
    bell: Bells, moody: Moody, tmp_path: Path
) -> None:
    moody.works = True
    full = "insert on messages when new.about <> 'g-1'"
    with refuses(tmp_path / "hook.sqlite", full):
        bell.put(news(2))
        eventually(lambda: news(2).key in moody.heard)  # from memory
        bell.put(news(1))
        eventually(lambda: news(1).key in moody.heard)
    eventually(lambda: len(bell.all[0].listing(9)) == 2)


def test_a_delivery_that_cannot_be_marked_is_not_rung_again_and_holds_up_nothing(
    bell: Bells, moody: Moody, tmp_path: Path
) -> None:
    moody.works = True
    first, later = news(1), replace(news(2), about="g-1", thread="g-1")
    with refuses(tmp_path / "hook.sqlite", "update on messages"):
        bell.put(first, later, news(3))
        eventually(lambda: len(moody.heard) == 3)
        bell.put(news(4))
        eventually(lambda: len(moody.heard) == 4)
        assert bell.all[0].summary().delivered == 0
    eventually(lambda: bell.all[0].summary().delivered == 4)
    assert sorted(moody.heard) == sorted(each.key for each in (first, later, news(3), news(4)))


def test_a_bug_in_a_channel_stops_no_bell(bell: Bells, moody: Moody) -> None:
    moody.bug = moody.works = True
    bell.put(news(1))
    eventually(lambda: moody.tried)
    moody.bug = False
    eventually(lambda: moody.heard == ["broke_glass/1"])


def test_what_shall_not_be_stated_is_rung_only(bell: Bells, moody: Moody) -> None:
    moody.works = True
    bell.put(news(1, stated=False), news(2))
    eventually(lambda: moody.stated)
    assert moody.heard == ["broke_glass/1", "broke_glass/2"]
    assert [key for key, _, _ in moody.stated] == ["broke_glass/2"]


def test_one_message_on_all_channels_is_kept_in_one_transaction(make: Make, moody: Moody) -> None:
    moody.works = True
    bells = make("file hook pager", gather=timedelta(seconds=1)).start()
    time.sleep(0.1)  # nothing is looked for any more
    bells.put(news(1))
    eventually(lambda: moody.kept)
    assert [(each.channel, each.index) for each in moody.kept[0]] == [
        ("file", 1),
        ("hook", 1),
        ("pager", 1),
    ]
    assert len(moody.kept) == 1


def test_what_was_delivered_before_a_crash_is_stated_after_it_and_not_rung_again(
    make: Make, moody: Moody
) -> None:
    moody.works, moody.ledger_takes = True, False
    bells = make("file hook").start()
    bells.put(news(1))
    eventually(lambda: len(moody.heard) == 2)
    bells.close()
    moody.ledger_takes = True
    make("file hook").start()
    eventually(lambda: len(moody.stated) == 2)
    assert len(moody.heard) == 2


def test_a_record_that_cannot_be_written_holds_up_no_other(make: Make, moody: Moody) -> None:
    moody.works = True
    moody.unwritable = ["alert/broke_glass/1/file/delivered"]
    bells = make("file hook").start()
    bells.put(news(1))
    eventually(lambda: [each.channel for batch in moody.kept for each in batch] == ["hook"])
