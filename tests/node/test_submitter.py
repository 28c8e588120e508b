"""Facts become records of ours: in order, once, and excused when they come late."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from breakglass.node.submitter import Fact, Submitter, gap_draft
from breakglass.records.kinds.alert import Alert, Delivery
from breakglass.records.kinds.pulse import Pulse
from breakglass.records.record_reader import parse_record
from breakglass.submit.outbox import Outbox, OutboxLimits
from tests.node.conftest import WITHIN, Followed


@dataclass
class Wandering:
    """A clock that a test sets back and forth."""

    offset: timedelta = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset


def _stating(followed: Followed, clock: Wandering, **limits: timedelta) -> tuple[Outbox, Submitter]:
    outbox = Outbox(
        followed.parties.ledger.neighbour(),
        followed.org.submitters["monitor"],
        followed.folder,
        clock,
        gap=gap_draft(followed.org.log_name),
        limits=OutboxLimits(**limits),  # type: ignore[arg-type]
    )
    return outbox, Submitter(outbox, followed.org.log_name, clock)


def test_facts_of_many_threads_hold_in_the_order_of_their_times(followed: Followed) -> None:
    followed.send()
    outbox, stating = _stating(followed, Wandering())
    view = followed.view()

    def say(thread: int) -> None:
        for number in range(5):
            stating.append([Fact(f"pulse/{thread}/{number}", Pulse(number, ()))], WITHIN)

    threads = [threading.Thread(target=say, args=(each,)) for each in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    try:
        size = followed.sent + 30
        view.wait_for(size - 1, WITHIN)
        assert all(view.wait_for(each, WITHIN).holds for each in range(followed.sent, size))
    finally:
        view.close()
        outbox.close()


def test_a_clock_that_is_set_back_does_not_void_what_comes_after(followed: Followed) -> None:
    size = followed.send()
    clock = Wandering()
    outbox, stating = _stating(followed, clock)
    view = followed.view()
    try:
        stating.append([Fact("pulse/a", Pulse(1, ()))], WITHIN)
        clock.offset = timedelta(seconds=-30)
        receipt = stating.append([Fact("pulse/b", Pulse(2, ()))], WITHIN)[0]
        assert view.wait_for(size + 1, WITHIN).holds
        assert parse_record(receipt.note).envelope.id == "pulse/b"
    finally:
        view.close()
        outbox.close()


def test_nor_does_a_restart_with_the_clock_set_back(followed: Followed) -> None:
    size = followed.send()
    outbox, stating = _stating(followed, Wandering())
    stating.append([Fact("pulse/a", Pulse(1, ()))], WITHIN)
    outbox.close()
    view = followed.view()
    view.wait_for(size, WITHIN)
    ours = followed.org.submitters["monitor"].verifier.label
    back = Wandering(timedelta(seconds=-30))
    outbox, _ = _stating(followed, back)
    stating = Submitter(outbox, followed.org.log_name, back, lambda: view.last_at(ours))
    try:
        stating.append([Fact("pulse/b", Pulse(2, ()))], WITHIN)
        stating.post(Fact("pulse/c", Pulse(3, ())))
        assert outbox.flush(WITHIN)
        assert view.wait_for(size + 1, WITHIN).holds
        assert view.wait_for(size + 2, WITHIN).holds
    finally:
        view.close()
        outbox.close()


def test_what_comes_late_after_an_outage_is_excused_by_a_gap(followed: Followed) -> None:
    size = followed.send()
    followed.parties.ledger.kill()
    clock = Wandering(timedelta(minutes=-10))  # said ten minutes ago, while the ledger was away
    outbox, stating = _stating(followed, clock, late_after=timedelta(seconds=100))
    for number in range(3):
        rung = Alert("x", "y", number, "sink", ("sink",), Delivery.DELIVERED, "", 1, "")
        stating.post(Fact(f"alert/{number}", rung))
    clock.offset = timedelta(0)
    followed.parties.ledger.start()
    view = followed.view()
    try:
        assert outbox.flush(WITHIN)
        assert view.wait_for(size + 3, WITHIN).holds
        assert all(view.wait_for(each, WITHIN).holds for each in range(size, size + 4))
    finally:
        view.close()
        outbox.close()
