"""Asking and approving over HTTP at two real brokers: the story of one ask, to its credential."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from breakglass.errors import RefusedError
from breakglass.records.people_list import parse_line
from breakglass.records.statement import Do
from breakglass.token.token import parse_person_line, parse_token
from tests.broker.shop import SIMULATED, Asking, Shop, make_shop
from tests.kit.processes import until

TWO = "key-deletion"  # severe: two of three others
ONE = "orders-repair"  # anybody on call may break it, and may ask first


class AskingShop(Shop):
    """The small shop, where one glass takes two approvers and another may be asked for."""

    def bundle(self) -> dict[str, bytes]:
        (name, text), *others = super().bundle().items()
        text = text.replace(
            b"approvers: {from: [group:leads], need: 1}",
            b"approvers: {from: [sam, teo, bo, mira], need: 2}",
        )
        text = text.replace(
            b"    for: 20m\n",
            b"    for: 20m\n    approvers: {from: [group:leads, teo], ask_need: 1}\n"
            b"    silence: 3s\n",
        )
        return {name: text, **dict(others)}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Return a shop with two brokers."""
    made = make_shop(tmp_path_factory.mktemp("asking"), SIMULATED, AskingShop)
    try:
        made.start()
        made.brokers[1].start()
        until(lambda: made.get("/healthz", 1)["ok"])
        yield made
    finally:
        made.stop()


@pytest.fixture
def shop(two: Shop) -> Shop:
    """Return it with both brokers up and a monitor that has just pulsed."""
    for each in two.brokers:
        if each.popen is None or each.ended() is not None:
            each.start()
    until(lambda: two.get("/healthz", 1)["ok"] and two.get("/healthz")["ok"])
    two.pulse()
    return two


def request(shop: Shop, grant: str, broker: int = 0, query: str = "") -> dict[str, Any]:
    return shop.get(f"/requests/{grant}{query}", broker)


def asked(shop: Shop, glass: str = ONE, broker: int = 0, **changes: Any) -> Asking:
    """Sign an ask, hand it in, and take it back when the next one comes."""
    do = changes.pop("do", Do.ASK)
    asking = shop.asking(glass, do=do, **changes)
    shop.ask(asking, broker)
    return asking


def test_an_ask_is_approved_at_one_broker_and_used_at_another(shop: Shop) -> None:
    asking = shop.asking(ONE, do=Do.ASK)
    view = shop.ask(asking)
    assert (view["state"], view["need"], view["silent"]) == ("waiting", 1, False)
    assert (view["who"], view["do"], view["approvers"]) == ("mira", "ask", ["sam", "teo"])
    assert view["statement"] == asking.body["statement"]
    again = shop.ask(asking)
    assert again == view
    with pytest.raises(RefusedError, match="0 of 1 approver said yes") as early:
        shop.break_glass(asking, 1)
    assert early.value.name == "not_approved"
    said = shop.answer(Do.APPROVE, asking, "sam", broker=1)
    assert said["ask"]["state"] == "granted"
    assert said["ask"]["version"] > view["version"]
    (answer,) = said["ask"]["answers"]
    assert (answer["who"], answer["reply"], answer["index"]) == ("sam", "yes", said["index"])
    granted = shop.break_glass(asking, 0)
    assert asking.opened(granted["minted"])["password"]
    assert granted["index"] == said["ask"]["granted_index"]
    until(lambda: shop.kinds(asking.grant)[:3] == ["asked", "answered", "intent"])
    assert request(shop, asking.grant)["state"] == "granted"
    shop.done(asking)
    until(lambda: request(shop, asking.grant)["state"] == "ended")
    assert shop.void() == []


def test_a_refusal_ends_the_ask_at_once(shop: Shop) -> None:
    asking = asked(shop)
    said = shop.answer(Do.REFUSE, asking, "sam", broker=1)
    assert said["ask"]["state"] == "refused"
    assert said["ask"]["answers"][0]["reply"] == "no"
    until(lambda: request(shop, asking.grant)["state"] == "refused")
    with pytest.raises(RefusedError) as caught:
        shop.break_glass(asking)
    assert caught.value.name == "refused_by_approver"
    with pytest.raises(RefusedError) as late:
        shop.answer(Do.APPROVE, asking, "teo")
    assert late.value.name == "refused_by_approver"


def test_the_asker_alone_takes_an_ask_back(shop: Shop) -> None:
    asking = asked(shop)
    with pytest.raises(RefusedError) as caught:
        shop.answer(Do.WITHDRAW, asking, "sam")
    assert caught.value.name == "mismatch"
    said = shop.answer(Do.WITHDRAW, asking, "mira")
    assert said["ask"]["state"] == "withdrawn"
    assert shop.answer(Do.WITHDRAW, asking, "mira")["index"] == said["index"]
    with pytest.raises(RefusedError) as late:
        shop.answer(Do.APPROVE, asking, "sam")
    assert late.value.name == "withdrawn"


def test_two_answers_through_two_brokers_are_one_grant(shop: Shop) -> None:
    asking = asked(shop, TWO, do=Do.BREAK)
    first = shop.answer(Do.APPROVE, asking, "sam", broker=0)
    assert (first["ask"]["state"], first["ask"]["need"]) == ("waiting", 2)
    second = shop.answer(Do.APPROVE, asking, "teo", broker=1)
    assert second["ask"]["state"] == "granted"
    granted = shop.break_glass(asking)
    intent = parse_token(granted["token"].encode())
    assert intent is not None
    shop.done(asking)
    assert shop.void() == []


def test_an_approver_is_shown_whose_ask_it_is_and_who_refused_it_before(shop: Shop) -> None:
    first = asked(shop)
    before = request(shop, first.grant)["refused_before"]
    (line,) = request(shop, first.grant)["people"]
    assert parse_line(parse_person_line(line).line).who == "mira"
    assert request(shop, first.grant)["self_declared"] is True
    shop.answer(Do.REFUSE, first, "sam")
    second = asked(shop)
    *same, newest = request(shop, second.grant, 1)["refused_before"]
    assert same == before
    assert (newest["who"], newest["reply"]) == ("sam", "no")
    shop.answer(Do.WITHDRAW, second, "mira")
