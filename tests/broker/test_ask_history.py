"""What became of an ask, as one broker shows it: also of what ends it without naming it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.broker.grants.request import BreakRequest
from breakglass.clock import format_time
from breakglass.errors import RefusedError
from breakglass.records.statement import Do, Target
from tests.kit.asking_shop import WAIT, AskingShop
from tests.kit.one_broker import OneBroker
from tests.kit.one_minter import MINUTE
from tests.kit.scheduled import put_kinds_2_in_force
from tests.records.folding import pulse

TWO = "key-deletion"


class OfSet2(AskingShop):
    """Sam and bo may stop everything, and a repair may be planned a day ahead."""

    def put(self, version: int, *changes: tuple[str, str]) -> None:
        ahead = ("    for: 20m\n", "    for: 20m\n    approvers: {from: [sam], ask_need: 1}\n")
        more = ("    for: 20m\n", "    for: 20m\n    ahead: 1d\n    wait: 1h\n")
        killers = ("kill: [sam]", "kill: [sam, bo]")
        super().put(version, killers, ahead, more, *changes)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[OneBroker]:
    made = OneBroker(tmp_path, OfSet2(killers=("sam", "bo")))
    put_kinds_2_in_force(made.org)
    pulse(made.org)
    made.view.follow()
    yield made
    made.close()


def asked(broker: OneBroker, glass: str = TWO, **said: object) -> BreakRequest:
    request = broker.request(glass, do=Do.ASK, **said)
    broker.asks.ask(request)
    return request


@pytest.mark.parametrize("how", ["asker", "glass", "all"])
def test_whoever_waits_for_news_of_an_ask_hears_that_it_was_stopped(
    broker: OneBroker, how: str
) -> None:
    request = asked(broker)
    before = broker.views.show(request.grant)
    past = before.version // 2
    heard: list[int] = []

    def wait() -> None:
        story = broker.history.wait(request.grant, past, 30)
        heard.append(story.changed if story is not None else -1)

    waiting = threading.Thread(target=wait)
    waiting.start()
    if how == "all":
        broker.minter.stop_everything()
    else:
        target, name = (Target.PERSON, "mira") if how == "asker" else (Target.GLASS, TWO)
        broker.minter.suspend(target, name)
    broker.view.follow()
    waiting.join(10)
    assert heard
    assert heard[0] > past
    view = broker.views.show(request.grant)
    assert (view.state, view.approvers) == ("ended", ())
    assert view.version > before.version
    assert broker.history.open(broker.minter.true.at) == []


def test_a_stopped_approvers_yes_is_shown_no_more(broker: OneBroker) -> None:
    request = asked(broker)
    broker.answer(Do.APPROVE, request, "teo")
    before = broker.views.show(request.grant)
    assert [each.who for each in before.answers] == ["teo"]
    broker.minter.suspend(Target.PERSON, "teo")
    broker.view.follow()
    view = broker.views.show(request.grant)
    assert (view.state, view.answers) == ("waiting", ())
    assert view.version > before.version
    assert "teo" not in view.approvers


def test_an_ask_is_found_again_by_a_clock_that_was_set_back(broker: OneBroker) -> None:
    request = asked(broker)
    now = broker.minter.true.at
    assert broker.history.open(now + WAIT + MINUTE) == []
    assert broker.history.open(now) == [request.grant]


def test_what_was_to_start_and_has_no_answer_by_then_waits_no_more(broker: OneBroker) -> None:
    start = broker.minter.true.at + timedelta(minutes=5)
    request = asked(broker, "orders-repair", starts=format_time(start))
    assert broker.views.show(request.grant).until == start
    broker.minter.true.at = start + timedelta(seconds=1)
    with pytest.raises(RefusedError, match="was to start at") as caught:
        broker.answer(Do.APPROVE, request, "sam")
    assert caught.value.name == "expired"
    assert broker.views.show(request.grant).state == "expired"
    assert broker.kinds(request) == ["asked"]
