"""Asking and approving over HTTP at two real brokers: the story of one ask, to its credential."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from breakglass.errors import (
    BreakglassError,
    MalformedError,
    RefusedError,
    UnavailableError,
    UnprovenError,
)
from breakglass.http.client import Peer
from breakglass.records.people_list import parse_line
from breakglass.records.permit import PERMIT, Permit, make_permit
from breakglass.records.statement import Do, Why
from breakglass.tlog.key import ED25519
from breakglass.tlog.note import SignerKey
from breakglass.token.token import parse_person_line, parse_token
from tests.broker.readers import peer, read, reads_as
from tests.broker.shop import Asking, Shop
from tests.kit.processes import ORIGIN, until
from tests.kit.two_brokers import both_up, two_brokers

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

    def asking(self, *given: Any, **changes: Any) -> Asking:
        """Sign with a reason of its own: asks that follow a running grant take one."""
        why = Why("production", f"orders stuck in batch {secrets.token_hex(4)}")
        return super().asking(*given, **{"reason": why, **changes})


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with two_brokers(tmp_path_factory.mktemp("asking"), AskingShop) as made:
        yield made


@pytest.fixture
def shop(two: Shop) -> Shop:
    both_up(two)
    return two


def request(shop: Shop, grant: str, broker: int = 0, query: str = "") -> dict[str, Any]:
    return shop.get(f"/requests/{grant}{query}", broker)


def asked(shop: Shop, glass: str = ONE, broker: int = 0, **changes: Any) -> Asking:
    """Sign an ask, hand it in, and take it back when the next one comes."""
    do = changes.pop("do", Do.ASK)
    asking = shop.asking(glass, do=do, **changes)
    shop.hands_in(asking, broker)
    return asking


def test_an_ask_is_approved_at_one_broker_and_used_at_another(shop: Shop) -> None:
    asking = shop.asking(ONE, do=Do.ASK)
    view = shop.hands_in(asking)
    assert (view["state"], view["need"], view["silent"]) == ("waiting", 1, False)
    assert (view["who"], view["do"], view["approvers"]) == ("mira", "ask", ["sam", "teo"])
    assert view["groups"] == ["leads"]
    assert view["statement"] == asking.body["statement"]
    again = shop.hands_in(asking)
    assert again == view
    with pytest.raises(RefusedError, match="0 of 1 approver said yes") as early:
        shop.break_glass(asking, 1)
    assert early.value.name == "not_approved"
    said = shop.answer(Do.APPROVE, asking, "sam", broker=1)
    assert said["ask"]["state"] == "granted"
    assert said["ask"]["version"] > view["version"]
    (answer,) = said["ask"]["answers"]
    assert (answer["who"], answer["reply"], answer["index"]) == ("sam", "yes", said["index"])
    until(lambda: request(shop, asking.grant)["state"] == "granted")
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
    shop.answer(Do.APPROVE, asking, "teo", broker=1)
    # Where the second broker had not yet read of the first answer, one of both looks again.
    until(lambda: request(shop, asking.grant)["state"] == "granted")
    granted = shop.break_glass(asking)
    people = parse_token(granted["token"].encode()).people
    assert len(people) == 3  # the asker's line, and one for each approver
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


def test_a_waiter_is_told_the_moment_somebody_answers_elsewhere(shop: Shop) -> None:
    asking = asked(shop)
    version = request(shop, asking.grant)["version"]
    with ThreadPoolExecutor(1) as pool:
        query = f"?after={version}&wait=20"
        waiting = pool.submit(patiently, shop, asking.grant, query)
        time.sleep(0.5)
        assert not waiting.done()
        shop.answer(Do.APPROVE, asking, "sam", broker=1)
        found = waiting.result(60)
    if found["state"] == "waiting":  # woken by the yes, an entry before what it grants
        assert [each["who"] for each in found["answers"]] == ["sam"]
        found = patiently(shop, asking.grant, f"?after={found['version']}&wait=20")
    assert found["state"] == "granted"
    with pytest.raises(MalformedError, match="20 s at most"):
        request(shop, asking.grant, query="?wait=21")


def patiently(shop: Shop, grant: str, query: str) -> dict[str, Any]:
    with shop.brokers[0].neighbour(30) as neighbour:
        return neighbour.get(f"/requests/{grant}{query}").json()


def test_a_broker_that_stops_lets_its_waiters_go(shop: Shop) -> None:
    asking = asked(shop, broker=1)
    version = request(shop, asking.grant, 1)["version"]
    shop.answer(Do.WITHDRAW, asking, "mira", broker=1)
    until(lambda: request(shop, asking.grant, 1)["state"] == "withdrawn")
    version = request(shop, asking.grant, 1)["version"]
    path = f"/requests/{asking.grant}?after={version}&wait=20"

    def is_let_go() -> bool:
        both_up(shop)
        with ThreadPoolExecutor(1) as pool, shop.brokers[1].neighbour(30) as neighbour:
            waiting = pool.submit(lambda: neighbour.get(path).json())
            time.sleep(0.3)
            shop.brokers[1].stop()
            try:
                return bool(waiting.result()["state"] == "withdrawn")
            except UnavailableError as error:
                if error.name != "unreachable":  # stopped before the waiter had come to it
                    raise
                return False

    until(is_let_go)


def test_the_ask_is_shown_to_its_parties_alone(shop: Shop) -> None:
    asking = asked(shop)
    for who, shown in (("mira", True), ("sam", True), ("teo", True), ("bo", False)):
        with reads_as(shop, who) as reader:
            if shown:
                assert read(reader, f"/requests/{asking.grant}")["who"] == "mira"
                continue
            with pytest.raises(RefusedError) as caught:
                read(reader, f"/requests/{asking.grant}")
            assert caught.value.name == "not_a_reader"
    holder = SignerKey("holder", ED25519, asking.holder.seed)
    with peer(shop, holder) as reader:
        assert read(reader, f"/requests/{asking.grant}")["state"] == "waiting"
    with reads_as(shop, "sam") as reader:
        found = read(reader, "/requests")
        assert asking.grant in [each["grant"] for each in found["waiting"]]
    with reads_as(shop, "mira") as reader:
        found = read(reader, "/requests")
        assert asking.grant in [each["grant"] for each in found["mine"]]
    with pytest.raises(RefusedError):
        shop.get("/requests")  # a process has no asks
    shop.answer(Do.WITHDRAW, asking, "mira")


def test_a_monitors_permit_shows_one_ask_to_who_may_approve_it(shop: Shop) -> None:
    asking = asked(shop)
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=5)
    permit = Permit(ORIGIN, asking.grant, "sam", ends)
    shown = make_permit(permit, shop.keys["monitor"])
    with Peer(shop.brokers[0].folder, name="broker") as stranger:

        def shows(carried: str) -> dict[str, Any]:
            path = f"/requests/{asking.grant}"
            reply = stranger.send("GET", path, headers={PERMIT: carried})
            return reply.checked().json()

        assert shows(shown)["statement"] == asking.body["statement"]
        for wrong, name in (
            (replace(permit, to="bo"), "not_a_reader"),
            (replace(permit, grant="g-aaaaaaaaaaaa"), "wrong_grant"),
            (replace(permit, until=ends - timedelta(minutes=6)), "permit_over"),
        ):
            with pytest.raises(BreakglassError) as caught:
                shows(make_permit(wrong, shop.keys["monitor"]))
            assert caught.value.name == name
        with pytest.raises(UnprovenError):
            shows(make_permit(permit, shop.keys["broker"]))
    shop.answer(Do.WITHDRAW, asking, "mira")


def test_a_broker_that_dies_between_two_answers_is_no_second_grant(shop: Shop) -> None:
    asking = asked(shop, TWO, do=Do.BREAK)
    shop.answer(Do.APPROVE, asking, "sam")
    word = shop.answering(Do.APPROVE, asking, "teo")
    shop.crash_at(shop.brokers[0], "recorded")
    with pytest.raises(UnavailableError):
        shop.post("/answers", word, 0)
    assert shop.brokers[0].wait_ended() == 137
    shop.post("/answers", word, 1)
    until(lambda: request(shop, asking.grant, 1)["state"] == "granted")
    shop.restart(shop.brokers[0])
    until(lambda: shop.get("/healthz")["ok"])
    assert shop.break_glass(asking)["minted"]
    assert shop.kinds(asking.grant).count("intent") == 1
    shop.done(asking)
    assert shop.void() == []


def test_silence_is_written_by_the_witnesses_clock_with_the_pages(shop: Shop) -> None:
    asking = asked(shop)
    assert shop.get(f"/requests/{asking.grant}")["pages"] == []
    shop.page(asking.grant, "sam")
    until(lambda: request(shop, asking.grant)["silent"], 60)
    (page,) = request(shop, asking.grant)["pages"]
    assert (page["to"], page["channel"], page["delivery"]) == (["sam"], "hook", "delivered")
    # Each broker may write it; the later one is void, quietly.
    assert set(shop.kinds(asking.grant)) == {"asked", "answered"}
    shop.answer(Do.WITHDRAW, asking, "mira")
    assert shop.void() == []
