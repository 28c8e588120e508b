"""An ask and brokers that lag or lie: nothing is dropped, rolled back or made up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from breakglass.records.statement import Do
from tests.kit.lying_broker import Responder, responder
from tests.kit.pty_terminal import at_terminal


@pytest.fixture
def mira(tmp_path: Path) -> Iterator[Responder]:
    with responder(tmp_path) as found:
        yield found


ASK = ("breakglass", "ask", "orders-repair", "--incident", "INC-4821", "--why", "orders stuck")


def again(mira: Responder, *more: str) -> Any:
    return mira.types("breakglass", "ask", "--again", mira.grant, *more)


@pytest.mark.parametrize(
    ("command", "option", "beside"),
    [
        ("break", "--after", ("--drill",)),
        ("break", "--after", ("orders-repair",)),
        ("break", "--again", ("--for", "5m")),
        ("break", "--again", ("--incident", "INC-1")),
        ("ask", "--again", ("--drill",)),
        ("ask", "--again", ("--start", "+2h")),
        ("ask", "--again", ("orders-repair",)),
    ],
)
def test_what_would_change_nothing_beside_an_earlier_statement_is_refused(
    mira: Responder, command: str, option: str, beside: tuple[str, ...]
) -> None:
    """`break --after G --drill` broke the glass for real."""
    mira.types(*ASK, "--no-wait")
    mira.broker.asked.clear()
    said = mira.types("breakglass", command, option, mira.grant, *beside)
    assert said.code == 2, said.err
    assert f"{option} goes on with what you signed" in said.err
    assert beside[0] in said.err
    assert (mira.broker.asked, mira.broker.broken) == ([], {})


def test_after_and_again_together_are_refused(mira: Responder) -> None:
    mira.types(*ASK, "--no-wait")
    grant = mira.grant
    said = mira.types("breakglass", "break", "--after", grant, "--again", grant)
    assert (said.code, mira.broker.broken) == (2, {})


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_grant_that_was_ended_before_its_start_is_not_told_as_one_to_come(
    mira: Responder, more: tuple[str, ...]
) -> None:
    asks = mira.broker.asks
    mira.types(*ASK, "--start", "+2h", "--no-wait")
    asks.say(mira.grant, Do.APPROVE, "sam")
    assert again(mira).row("begins")
    asks.end(mira.grant)  # a kill, its asker's withdrawal, a rule at its start
    said = again(mira, *more)
    assert said.code == 3, said.out
    assert "begins" not in said.out
    assert "has ended" in said.err


def test_an_ask_whose_asker_was_suspended_says_that_it_was_stopped(mira: Responder) -> None:
    mira.types(*ASK, "--no-wait")
    mira.broker.asks.end(mira.grant)
    said = again(mira)
    assert said.code == 3, said.out
    assert f"ask '{mira.grant}' was stopped before it was granted" in said.err
    assert "POST /break" not in mira.broker.asked
    assert "stopped, never granted" in mira.types("breakglass", "requests").row(mira.grant)


def test_what_is_granted_is_not_told_as_withdrawn_but_how_to_hand_it_back(mira: Responder) -> None:
    mira.types(*ASK, "--start", "+2h", "--no-wait")
    mira.broker.asks.say(mira.grant, Do.APPROVE, "sam")
    said = mira.types("breakglass", "withdraw", mira.grant)
    assert (said.code, said.out) == (3, ""), said.err
    told = " ".join(said.err.split())
    assert f"request '{mira.grant}' is granted already" in told
    assert f"nothing was withdrawn; hand it back: breakglass done {mira.grant}" in told


@pytest.mark.parametrize(
    ("granted", "told"),
    [(9, "it was granted, and the grant is over"), (None, "the ask was stopped")],
)
def test_what_has_ended_meanwhile_is_told_by_how_it_ended(
    mira: Responder, granted: int | None, told: str
) -> None:
    mira.types(*ASK, "--no-wait")
    ended = {"state": "ended", "granted_index": granted}
    mira.broker.lie["/answers"] = lambda said: {**said, "ask": {**said["ask"], **ended}}
    said = mira.types("breakglass", "withdraw", mira.grant)
    assert said.row("withdrawn").endswith(f"the broker says: {told}"), said.err


@pytest.mark.parametrize("lie", ["nothing of use", {}, {"nothing": "of use"}])
def test_an_ask_that_a_broker_answers_with_nonsense_leaves_a_copy(
    mira: Responder, lie: Any
) -> None:
    mira.broker.lie["/asks"] = lambda view: lie
    said = mira.types(*ASK)
    assert said.code == 5, said.err
    (copy,) = mira.broker.asks.copies
    assert copy["text"] == mira.broker.asks.asks[mira.grant].signed.text


def test_an_ask_that_a_broker_answers_with_another_leaves_a_copy_and_is_not_shown(
    mira: Responder,
) -> None:
    mira.types(*ASK, "--no-wait")
    asks, first = mira.broker.asks, mira.grant
    asks.copies.clear()
    mira.broker.lie["/asks"] = lambda view: asks.view(first)
    said = mira.types(*ASK, "--no-wait")
    assert (said.code, said.out) == (4, ""), said.err
    (copy,) = asks.copies
    assert copy["text"] == asks.asks[mira.grant].signed.text


def test_that_the_time_is_over_is_believed_of_our_own_clock_alone(mira: Responder) -> None:
    asks = mira.broker.asks
    mira.broker.lie["/asks"] = lambda view: {**view, "state": "expired"}
    left = mira.types(*ASK, "--no-wait")
    assert left.code == 0, left.err
    assert "not waiting" in left.err
    mira.broker.lie["/requests/…"] = lambda view: {
        **view, "state": "expired" if view["state"] == "waiting" else view["state"]
    }  # fmt: skip
    with at_terminal(mira, "breakglass", "ask", "--again", mira.grant) as screen:
        screen.shows("waiting; Ctrl-C")
        asks.page(mira.grant, "sam")
        screen.shows("(delivered)")
        asks.say(mira.grant, Do.APPROVE, "sam")
        assert screen.ends() == 0, screen.seen
    assert screen.row("granted")


def test_a_broker_that_lags_rolls_nothing_back(mira: Responder) -> None:
    """A yes was heard; a broker that has not read it yet must not make it a silence."""
    asks = mira.broker.asks
    with at_terminal(mira, "breakglass", "break", "key-deletion", *ASK[3:]) as screen:
        screen.shows("waiting; Ctrl-C")
        grant = mira.grant
        before = asks.view(grant)
        asks.page(grant, "sam")
        screen.shows("(delivered)")
        mira.broker.lie["/requests/…"] = lambda view: {**before, "silent": True}
        asks.page(grant, "noor")  # the reading that waits ends, and brings the older view
        asks.page(grant, "noor", "mail")
        with pytest.raises(AssertionError, match="nobody can do it alone"):
            screen.shows("nobody can do it alone", 4)
        mira.broker.lie.clear()
        asks.say(grant, Do.APPROVE, "sam")
        assert screen.ends() == 0, screen.seen


def test_one_lie_of_a_high_number_makes_nobody_deaf(mira: Responder) -> None:
    asks = mira.broker.asks
    mira.broker.lie["/asks"] = lambda view: {**view, "version": 2**60}
    with at_terminal(mira, *ASK) as screen:
        screen.shows("waiting; Ctrl-C")
        asks.say(mira.grant, Do.APPROVE, "sam")
        assert screen.ends() == 0, screen.seen
    assert screen.row("granted")


def test_who_waited_as_long_as_it_takes_is_told_that_it_is_not_recorded_yet(
    mira: Responder,
) -> None:
    mira.types(*ASK, "--no-wait")
    mira.broker.asks.page(mira.grant, "sam")
    folder = mira.home / "state/breakglass/grants" / mira.grant / "asked.json"
    folder.write_text(json.dumps({**json.loads(folder.read_text()), "silence_s": 0}))
    said = again(mira)
    assert said.code == 8, said.err
    assert "you waited, and the broker has not recorded it yet; wait on" in said.err
