"""A bounded wait tries once more when the time is up; a periodic task goes on after an error."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

import pytest

from breakglass.clock import Deadline
from breakglass.errors import UnavailableError
from breakglass.process.periodic import PeriodicTask
from tests.kit.processes import until


def test_a_deadline_of_no_time_is_over_and_still_tries_once() -> None:
    deadline = Deadline(timedelta(0))
    assert (deadline.left, deadline.over) == (0.0, True)
    assert len(list(deadline.tries())) == 1


def test_tries_come_until_the_time_is_up_and_once_more() -> None:
    deadline = Deadline(timedelta(seconds=0.05))
    assert 0 < deadline.left <= 0.05
    count = sum(1 for _ in deadline.tries(0.01))
    assert (deadline.over, count >= 2) == (True, True)


def test_a_periodic_task_begins_at_once_and_goes_on_after_errors(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls: list[int] = []
    done = threading.Event()

    def work() -> None:
        calls.append(len(calls))
        if len(calls) == 1:
            raise UnavailableError("the ledger is away")
        if len(calls) == 2:
            raise RuntimeError("a mistake")
        done.set()

    task = PeriodicTask("look", timedelta(milliseconds=1), work)
    with caplog.at_level(logging.WARNING):
        task.start()
        until(done.is_set)
    task.close()
    assert task.closing
    told = [(each.levelname, each.message) for each in caplog.records]
    assert ("WARNING", "look: the ledger is away") in told
    assert ("ERROR", "look: an error inside; going on") in told
    count = len(calls)
    assert calls == list(range(count))
