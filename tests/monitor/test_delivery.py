"""One bell: its patience with a channel, and what it writes down."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.clock import SystemClock
from breakglass.errors import UnavailableError
from breakglass.monitor.alerts.alert import Alert
from breakglass.monitor.alerts.channel import Message
from breakglass.monitor.alerts.delivery import ChannelDelivery, DeliveryLimits
from breakglass.monitor.alerts.outbox import Delivered
from tests.monitor.stand_ins import eventually, moment


class Moody:
    """A channel that works when it likes, and a ledger that does."""

    def __init__(self) -> None:
        self.works = False
        self.bug = False
        self.ledger_takes = True
        self.heard: list[str] = []
        self.tried: list[str] = []
        self.stated: list[tuple[str, str, int]] = []

    def deliver(self, message: Message) -> None:
        self.tried.append(message.key)
        if self.bug:
            raise KeyError("a bug of the channel's own")
        if not self.works:
            raise UnavailableError("not in the mood")
        self.heard.append(message.key)

    def state(self, channel: str, delivered: Delivered) -> None:
        if not self.ledger_takes:
            raise UnavailableError("the disk is full")
        outcome = "failed" if delivered.failure else "delivered"
        self.stated.append((delivered.key, outcome, delivered.attempts))


@pytest.fixture
def moody() -> Moody:
    return Moody()


@pytest.fixture
def bell(tmp_path: Path, moody: Moody) -> Iterator[ChannelDelivery]:
    limits = DeliveryLimits(timedelta(seconds=60))
    path = tmp_path / "hook.sqlite"
    bell = ChannelDelivery("hook", moody, path, SystemClock(), moody.state, limits)
    bell.start()
    yield bell
    bell.close()


def news(number: int, *, stated: bool = True) -> Alert:
    grant = f"g-{number}"
    return Alert("broke_glass", grant, number, grant, moment(), "text", stated=stated)


def test_when_a_channel_is_back_nothing_rests_any_longer(tmp_path: Path, moody: Moody) -> None:
    hour = timedelta(hours=1)
    path = tmp_path / "patient.sqlite"
    bell = ChannelDelivery(
        "hook", moody, path, SystemClock(), moody.state, DeliveryLimits(hour, hour)
    )
    bell.start()
    try:
        bell.put([news(1), news(2)], "log")
        eventually(lambda: len(moody.tried) == 2)  # and each rests for an hour
        moody.works = True
        bell.put([news(3)], "log")
        eventually(lambda: len(moody.heard) == 3)
        assert moody.heard[0] == "broke_glass/3"  # what is new does not wait behind what failed
    finally:
        bell.close()


def test_the_first_failure_and_the_delivery_are_stated_and_nothing_between(
    bell: ChannelDelivery, moody: Moody
) -> None:
    bell.put([news(1)], "log")
    eventually(lambda: len(moody.tried) >= 3)
    moody.works = True
    eventually(lambda: len(moody.stated) == 2)
    assert moody.stated[0] == ("broke_glass/1", "failed", 1)
    assert moody.stated[1] == ("broke_glass/1", "delivered", len(moody.tried))


def test_a_delivery_that_could_not_be_stated_is_stated_later(
    bell: ChannelDelivery, moody: Moody
) -> None:
    moody.works, moody.ledger_takes = True, False
    bell.put([news(1)], "log")
    eventually(lambda: moody.heard)
    moody.ledger_takes = True
    bell.put([news(2)], "log")
    eventually(lambda: len(moody.stated) == 2)
    assert {key for key, _, _ in moody.stated} == {"broke_glass/1", "broke_glass/2"}


def test_a_bug_in_a_channel_stops_no_bell(bell: ChannelDelivery, moody: Moody) -> None:
    moody.bug = moody.works = True
    bell.put([news(1)], "log")
    eventually(lambda: moody.tried)
    moody.bug = False
    eventually(lambda: moody.heard == ["broke_glass/1"])


def test_what_shall_not_be_stated_is_rung_only(bell: ChannelDelivery, moody: Moody) -> None:
    moody.works = True
    bell.put([news(1, stated=False), news(2)], "log")
    eventually(lambda: moody.stated)
    assert moody.heard == ["broke_glass/1", "broke_glass/2"]
    assert [key for key, _, _ in moody.stated] == ["broke_glass/2"]
