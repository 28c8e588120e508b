"""People who are stopped, at two real brokers and a minter; and everything that is."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from breakglass.clock import to_milliseconds
from breakglass.errors import BreakglassError, RefusedError
from breakglass.records.statement import Do, KillAll, Target, Why
from tests.broker.readers import read, reads_as
from tests.broker.shop import ORIGIN, Asking, Shop
from tests.kit.processes import until
from tests.kit.two_brokers import two_brokers

REPAIR = "orders-repair"
DOWN = "orders-repair.mfa-down"
WHY = Why("suspicion", "the build machine is not ours any more")


class PeopleShop(Shop):
    """The small shop under kinds 2, where two people can stop everything and one glass is asked."""

    def bundle(self) -> dict[str, bytes]:
        (name, text), *others = super().bundle().items()
        text = text.replace(b"kill: [sam]", b"kill: [sam, bo]")
        text = text.replace(
            b"    for: 20m\n", b"    for: 20m\n    approvers: {from: [sam, teo], ask_need: 2}\n"
        )
        text = text.replace(
            b"reasons:",
            b"factors: {down: {approved_by: sam, glasses: [orders-repair], for: 5m}}\nreasons:",
        )
        return {name: text, **dict(others)}

    def trust_text(self, version: int = 1) -> str:
        return super().trust_text(version).replace("kinds 1\n", "kinds 2\n")

    def everything(self, who: str, broker: int = 0, do: Do = Do.KILL_ALL) -> dict[str, Any]:
        """Sign that everything shall be stopped, or let go again, and hand it in."""
        now = to_milliseconds(datetime.now(UTC))
        said = KillAll(do, ORIGIN, who, WHY, now, secrets.token_hex(16))
        return self.post("/kill", {"statement": self.signed(said)}, broker)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PeopleShop]:
    with two_brokers(tmp_path_factory.mktemp("people"), PeopleShop) as made:
        yield made


@pytest.fixture
def shop(two: PeopleShop) -> PeopleShop:
    two.pulse()
    return two


def level(shop: Shop) -> None:
    """Wait until both brokers and the minter have folded the same."""

    def same() -> bool:
        return shop.get("/state", 0)["size"] == shop.get("/state", 1)["size"]

    until(same)


def refused(shop: Shop, asking: Asking, broker: int) -> str:
    with pytest.raises(BreakglassError) as caught:
        shop.break_glass(asking, broker)
    return str(caught.value.name)


def test_the_ask_of_a_stopped_person_is_granted_by_no_broker_lifted_or_not(
    shop: PeopleShop,
) -> None:
    asking = shop.asking(REPAIR, do=Do.ASK)
    shop.hands_in(asking)
    shop.answer(Do.APPROVE, asking, "sam", broker=1)
    told = shop.kill(Target.PERSON, "mira")
    assert asking.grant in told["asks"]
    level(shop)
    for broker in (0, 1):
        with pytest.raises(RefusedError) as caught:
            shop.answer(Do.APPROVE, asking, "teo", broker)
        assert caught.value.name == "suspended"
    shop.lift(Target.PERSON, "mira")
    level(shop)
    for broker in (0, 1):
        with pytest.raises(RefusedError) as caught:
            shop.answer(Do.APPROVE, asking, "teo", broker)
        assert caught.value.name == "suspended"
        assert refused(shop, asking, broker) == "suspended"
        assert shop.get(f"/requests/{asking.grant}", broker)["state"] == "ended"
    assert shop.void() == []


def test_a_stopped_approvers_yes_counts_no_more_at_either_broker(shop: PeopleShop) -> None:
    asking = shop.asking(REPAIR, do=Do.ASK)
    shop.hands_in(asking)
    shop.answer(Do.APPROVE, asking, "teo", broker=1)
    shop.kill(Target.PERSON, "teo")
    shop.lift(Target.PERSON, "teo")  # what teo said before comes back with nothing
    level(shop)
    said = shop.answer(Do.APPROVE, asking, "sam", broker=1)
    assert (said["ask"]["state"], len(said["ask"]["answers"])) == ("waiting", 1)
    for broker in (0, 1):
        until(lambda at=broker: len(shop.get(f"/requests/{asking.grant}", at)["answers"]) == 1)
        assert refused(shop, asking, broker) == "not_approved"
    granted = shop.answer(Do.APPROVE, asking, "teo", broker=0)  # said again, and not before
    assert granted["ask"]["state"] == "granted"
    shop.break_glass(asking, 1)
    shop.done(asking)
    assert shop.void() == []


def test_a_kill_says_what_it_ends_and_what_will_never_be_minted(shop: PeopleShop) -> None:
    minted = shop.asking(REPAIR)
    shop.break_glass(minted)
    gate = shop.asking("deploy-rollback")
    shop.break_glass(gate)
    until(lambda: "minted" in shop.kinds(minted.grant))
    level(shop)
    told = shop.kill(Target.PERSON, "mira")
    assert set(told["grants"]) >= {minted.grant, gate.grant}
    assert told["unminted"] == []
    until(lambda: "dead" in shop.kinds(minted.grant))
    until(lambda: "ended" in shop.kinds(gate.grant))
    shop.lift(Target.PERSON, "mira")
    assert shop.void() == []


def test_that_a_person_is_stopped_is_seen_by_who_may_kill_and_who_reads_all(
    shop: PeopleShop,
) -> None:
    shop.kill(Target.PERSON, "teo")
    shop.kill(Target.GLASS, DOWN)

    def seen_by(who: str) -> set[str]:
        with reads_as(shop, who) as reader:
            return {each["name"] for each in read(reader, "/suspensions")["suspended"]}

    assert seen_by("mira") == {DOWN}
    assert seen_by("sam") == {DOWN, "teo"}
    with pytest.raises(RefusedError, match="'teo' is suspended"):
        seen_by("teo")
    assert {each["name"] for each in shop.get("/suspensions")["suspended"]} == {DOWN, "teo"}
    shop.lift(Target.PERSON, "teo")
    shop.lift(Target.GLASS, DOWN)
    assert shop.get("/suspensions")["suspended"] == []


def test_mfa_is_down_by_the_word_of_the_one_whom_the_policy_names(shop: PeopleShop) -> None:
    asking = shop.asking(DOWN, do=Do.BREAK, for_s=240)
    with pytest.raises(RefusedError) as caught:
        shop.break_glass(asking)
    assert caught.value.name == "not_approved"
    view = shop.hands_in(asking)
    assert (view["state"], view["need"], view["approvers"]) == ("waiting", 1, ["sam"])
    with pytest.raises(RefusedError):
        shop.answer(Do.APPROVE, asking, "teo")  # who approves the everyday glass says nothing here
    said = shop.answer(Do.APPROVE, asking, "sam", broker=1)
    assert said["ask"]["state"] == "granted"
    granted = shop.break_glass(asking)
    assert asking.opened(granted["minted"])["password"]
    (asked,) = [
        each.body
        for each in shop.records()
        if each.body.kind == "asked" and each.body.grant == asking.grant
    ]
    assert asked.factors.mfa_down
    shop.done(asking)
    own = shop.asking(DOWN, do=Do.BREAK, who="bo", for_s=240)
    shop.hands_in(own)
    with pytest.raises(RefusedError):
        shop.answer(Do.APPROVE, own, "bo")
    shop.answer(Do.WITHDRAW, own, "bo")
    assert shop.void() == []


def test_two_people_stop_everything_and_two_let_it_go(shop: PeopleShop) -> None:
    running, gate = shop.asking(REPAIR), shop.asking("deploy-rollback")
    shop.break_glass(running)
    shop.break_glass(gate)
    more = Why("production", "the second shard is stuck too")
    waiting = shop.asking(REPAIR, do=Do.ASK, reason=more)
    shop.hands_in(waiting)
    with pytest.raises(RefusedError, match="may not kill"):
        shop.everything("mira")
    first = shop.everything("sam")
    assert first["waits_until"]
    assert (first["target"], first["name"], first["grants"]) == ("all", "everything", [])
    level(shop)
    for broker in (0, 1):
        (word,) = shop.get("/suspensions", broker)["first_word"]
        assert (word["active"], word["who"], word["why"]) == (True, "sam", WHY.text)
    with pytest.raises(RefusedError, match="nothing is stopped: the word of 'sam'"):
        shop.everything("bo", do=Do.LIFT_ALL)
    again = shop.everything("sam", broker=1)
    assert again["waits_until"] == first["waits_until"]
    second = shop.everything("bo", broker=1)
    assert second["waits_until"] == ""
    assert set(second["grants"]) >= {running.grant, gate.grant}
    assert waiting.grant in second["asks"]
    level(shop)
    for broker in (0, 1):
        told = shop.get("/suspensions", broker)
        (stop,) = [each for each in told["suspended"] if each["target"] == "all"]
        assert (stop["who"], stop["why"], told["first_word"]) == ("bo", WHY.text, [])
    for broker in (0, 1):
        assert refused(shop, shop.asking(REPAIR), broker) == "suspended"
        assert refused(shop, running, broker) == "suspended"
    until(lambda: "dead" in shop.kinds(running.grant))
    until(lambda: "ended" in shop.kinds(gate.grant))
    assert shop.everything("sam", do=Do.LIFT_ALL)["waits_until"]
    assert refused(shop, shop.asking(REPAIR), 0) == "suspended"
    assert shop.everything("bo", 1, Do.LIFT_ALL)["waits_until"] == ""
    level(shop)
    for broker in (0, 1):
        asking = shop.asking("deploy-rollback")
        shop.break_glass(asking, broker)
        level(shop)
        shop.done(asking)
        assert refused(shop, running, broker) in ("suspended", "ended")
        with pytest.raises(RefusedError) as caught:
            shop.answer(Do.APPROVE, waiting, "sam", broker)
        assert caught.value.name == "suspended"
    assert shop.void() == []
