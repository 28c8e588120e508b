"""Ending: cut, tried, told; after every crash, with the target away, and for 50,000 at once."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from breakglass.errors import RefusedError, UnavailableError
from breakglass.minter.ending_pace import EndingPace
from breakglass.minter.platforms.platform import Order
from breakglass.minter.platforms.simulated import Trouble
from breakglass.records.statement import Target
from tests.broker.shop import Asking, Shop
from tests.kit.expired_grants import clear, fill
from tests.kit.processes import Process, until

WHOLE = ["asked", "intent", "minted", "usable", "ended", "dead"]


def handle(asking: Asking) -> str:
    return "bg_" + asking.grant.removeprefix("g-")


def logged_in(shop: Shop, asking: Asking) -> tuple[int, dict[str, str]]:
    secret = asking.opened(shop.break_glass(asking)["minted"])
    return shop.target().log_in(secret["user"], secret["password"]), secret


def test_a_session_open_at_expiry_is_cut_and_the_tail_is_told(shop: Shop) -> None:
    asking = shop.asking(for_s=5)
    session, secret = logged_in(shop, asking)
    target = shop.target()
    found = shop.wait_state(asking.grant, "dead")
    assert shop.kinds(asking.grant) == WHOLE
    assert not target.alive(session)
    with pytest.raises(RefusedError):
        target.log_in(secret["user"], secret["password"])
    assert found["ended"] == "expired"
    dead = next(each.body for each in shop.records() if each.envelope.id == f"{asking.grant}/dead")
    assert found["tail_ms"] == dead.tail_ms >= 0
    assert dead.sessions_cut == 1
    assert "refused" in dead.probe


def test_two_grants_of_one_person_end_apart(shop: Shop) -> None:
    first, second = shop.asking(), shop.asking()
    one, _ = logged_in(shop, first)
    two, secret = logged_in(shop, second)
    shop.done(first)
    target = shop.target()
    assert not target.alive(one)
    assert target.alive(two)
    target.log_in(secret["user"], secret["password"])


def test_a_target_away_at_expiry_refuses_by_itself_and_is_cleaned_on_its_return(
    shop: Shop,
) -> None:
    asking = shop.asking(for_s=5)
    _, secret = logged_in(shop, asking)
    target = shop.target()
    target.trouble = Trouble(away=True)
    try:
        # Told at once that it ended, though nobody can say yet that it is dead; and somebody rings.
        until(lambda: shop.kinds(asking.grant) == WHOLE[:-1])
        rings = shop.minters[0].folder / "data" / "rings.log"
        until(lambda: rings.exists() and asking.grant in rings.read_text())
        rung = [json.loads(line) for line in rings.read_text().splitlines()]
        assert [each["subject"] for each in rung if each["about"] == asking.grant] == ["outlived"]
        assert secret["password"] not in rings.read_text()
    finally:
        target.trouble = Trouble()
    with pytest.raises(RefusedError):  # VALID UNTIL needs nobody
        target.log_in(secret["user"], secret["password"])
    assert shop.wait_state(asking.grant, "dead")["tail_ms"] > 1000
    assert shop.kinds(asking.grant) == WHOLE
    assert handle(asking) not in target.handles()


@pytest.mark.parametrize("trouble", [Trouble(cuts_that_fail=3), Trouble(stubborn=True)])
def test_an_end_that_fails_is_tried_until_it_is_true(shop: Shop, trouble: Trouble) -> None:
    asking = shop.asking()
    logged_in(shop, asking)
    target = shop.target()
    target.trouble = trouble
    try:
        shop.done(asking)
        time.sleep(0.3)
        if trouble.stubborn:
            assert "dead" not in shop.kinds(asking.grant)
    finally:
        target.trouble = Trouble()
    until(lambda: shop.kinds(asking.grant) == WHOLE)


def test_a_credential_that_works_only_later_is_waited_for(shop: Shop) -> None:
    asking, target = shop.asking(), shop.target()
    target.trouble = Trouble(unusable_probes=3)
    answer = shop.break_glass(asking)
    assert "logged in" in answer["minted"]["probe"]


def test_a_lost_answer_of_the_target_leaves_one_working_account(shop: Shop) -> None:
    asking, target = shop.asking(), shop.target()
    target.trouble = Trouble(lose_mint_replies=True)
    try:
        with pytest.raises(UnavailableError):
            shop.break_glass(asking)
    finally:
        target.trouble = Trouble()
    secret = asking.opened(shop.break_glass(asking)["minted"])
    target.log_in(secret["user"], secret["password"])
    assert target.handles().count(handle(asking)) == 1


MINTING = ["verified", "agreed", "claimed", "minted", "usable", "kept", "answered", "stated"]
ENDING = ["told", "cut", "probed", "dead", "said"]


@pytest.mark.parametrize("step", MINTING)
def test_a_minter_killed_while_minting_leaves_one_account_and_every_record(
    shop: Shop, step: str
) -> None:
    asking, minter = shop.asking(), shop.minters[0]
    token = shop.recorded(asking).encoded()
    shop.crash_at(minter, step)
    with contextlib.suppress(UnavailableError):  # behind "kept" the answer may be out already
        shop.mint(token)
        assert step in ("answered", "stated")
    assert minter.wait_ended() == 137
    shop.restart(minter)
    if step in ("claimed", "minted", "usable"):
        # What a crash left has a secret that nobody knows: it is taken away unasked.
        until(lambda: handle(asking) not in shop.target().handles())
    secret = asking.opened(shop.mint(token))
    shop.target().log_in(secret["user"], secret["password"])
    assert shop.target().handles().count(handle(asking)) == 1
    until(lambda: shop.kinds(asking.grant) == WHOLE[:4])
    shop.done(asking)
    until(lambda: shop.kinds(asking.grant) == WHOLE)
    assert handle(asking) not in shop.target().handles()


@pytest.mark.parametrize("step", ENDING)
def test_a_minter_killed_while_ending_ends_after_its_restart(shop: Shop, step: str) -> None:
    asking, minter = shop.asking(), shop.minters[0]
    session, secret = logged_in(shop, asking)
    until(lambda: shop.kinds(asking.grant) == WHOLE[:4])
    shop.crash_at(minter, step)
    with pytest.raises(UnavailableError):
        shop.done(asking)
    assert minter.wait_ended() == 137
    shop.restart(minter)
    until(lambda: shop.kinds(asking.grant) == WHOLE)
    target = shop.target()
    assert not target.alive(session)
    assert handle(asking) not in target.handles()
    with pytest.raises(RefusedError):
        target.log_in(secret["user"], secret["password"])


def test_an_account_that_nothing_explains_is_found_and_ended(shop: Shop) -> None:
    now = datetime.now(UTC)
    target = shop.target()
    order = Order(
        "g-orphanorphan", "bg_orphanorphan", "x", {"a": ("b",)}, now, now + timedelta(hours=1)
    )
    minter = shop.minters[0]
    minter.signal(signal.SIGSTOP)  # it would end the account before anybody has logged in
    credential = target.mint(order)
    session = target.log_in(order.handle, str(credential.secret["password"]))
    minter.signal(signal.SIGCONT)
    until(lambda: order.handle not in target.handles())
    assert not target.alive(session)
    rings = (minter.folder / "data" / "rings.log").read_text()
    assert "orphan" in rings
    assert order.handle in rings


def test_a_minter_that_lost_its_table_ends_what_the_ledger_says_it_made(shop: Shop) -> None:
    asking, minter = shop.asking(for_s=8), shop.minters[0]
    session, _ = logged_in(shop, asking)
    until(lambda: shop.kinds(asking.grant) == WHOLE[:4])
    minter.stop()
    for file in (minter.folder / "data").glob("grants.sqlite*"):
        file.unlink()
    minter.start()
    until(lambda: shop.kinds(asking.grant) == WHOLE)
    assert not shop.target().alive(session)


def test_behind_thousands_of_expired_grants_nobody_waits_to_begin_or_to_end(shop: Shop) -> None:
    """What its API takes meanwhile is measured by ``bench/ending.py``: a test asserts no time."""
    minter = shop.minters[0]
    expires, killed, done = shop.asking(for_s=12), shop.asking(), shop.asking()
    for each in (expires, killed, done):
        shop.break_glass(each)
    minter.stop()
    rings = minter.folder / "data" / "rings.log"
    before = len(rings.read_text()) if rings.exists() else 0
    fill(minter.folder / "data", 10_000)
    minter.start()
    try:
        until(lambda: dead(minter) > 0)
        shop.kill(Target.GRANT, killed.grant)
        assert shop.done(done)["dead"]
        for _ in range(3):
            assert shop.break_glass(shop.asking())["minted"]
        for each in (expires, killed, done):
            shop.wait_state(each.grant, "dead")
        until(lambda: "backlog" in rings.read_text()[before:])
        assert rings.read_text()[before:].count("backlog") == 1
        with minter.neighbour() as neighbour:
            waits = neighbour.get("/state").json()["summary"]["grants"]["minted"]
        assert waits > 1_000, "the others have their turn behind them"
    finally:
        minter.kill()
        clear(minter.folder / "data")
        minter.start()


def dead(minter: Process) -> int:
    with minter.neighbour() as neighbour:
        counts: dict[str, int] = neighbour.get("/state").json()["summary"]["grants"]
    return counts.get("dead", 0)


def test_a_pace_gives_so_many_at_once_and_as_many_again_in_a_second() -> None:
    now = [0.0]
    pace = EndingPace(50, lambda: now[0])
    for _ in range(50):
        pace.begin()
    assert pace.room() == 0
    now[0] = 0.5
    assert pace.room() == 25
    now[0] = 60.0
    assert pace.room() == 50


def test_after_all_this_nothing_that_the_minter_said_is_void(shop: Shop) -> None:
    ours = {index for index, name in shop.void() if name not in ("lost_race", "nonce")}
    said = [each.envelope.id for number, each in enumerate(shop.records()) if number in ours]
    assert not [each for each in said if not each.endswith("/intent")]
    assert replace(Trouble(), away=True).away
