"""Neighbours away, hanging, or answering nonsense; the broker killed between any two steps."""

from __future__ import annotations

import contextlib
import http.server
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from breakglass.errors import RefusedError, UnavailableError
from tests.broker.shop import Asking, Shop
from tests.kit.processes import Process, until


@contextmanager
def stopped(*processes: Process) -> Iterator[None]:
    """Have processes hang within the block."""
    for each in processes:
        each.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for each in processes:
            each.signal(signal.SIGCONT)


def refused_for_now(shop: Shop, asking: Asking) -> UnavailableError:
    """Break a glass; the broker itself says no, before this client would cease to wait for it."""
    with pytest.raises(UnavailableError) as caught:
        shop.break_glass(asking)
    assert str(caught.value).startswith("'broker': ")
    return caught.value


def minted_at_last(shop: Shop, asking: Asking) -> dict[str, Any]:
    """Send the same again, as people do, until what hung has been heard from once more."""
    answers: list[dict[str, Any]] = []

    def minted() -> bool:
        with contextlib.suppress(UnavailableError):
            answers.append(shop.break_glass(asking))
        return bool(answers)

    until(minted)
    assert answers[0]["minted"]
    return answers[0]


def accounts(shop: Shop, asking: Asking) -> int:
    handle = "bg_" + asking.grant.removeprefix("g-")
    return shop.target().handles().count(handle)


def test_the_ledger_hangs_and_nothing_is_minted(shop: Shop) -> None:
    asking = shop.asking()
    with stopped(shop.logs.ledger):
        error = refused_for_now(shop, asking)
        assert "nothing was minted" in str(error)
        assert accounts(shop, asking) == 0
    minted_at_last(shop, asking)
    assert shop.kinds(asking.grant).count("intent") == 1


def test_the_ledger_is_away_and_nothing_is_minted(shop: Shop) -> None:
    asking = shop.asking()
    shop.logs.ledger.kill()
    try:
        error = refused_for_now(shop, asking)
        assert "nothing was minted" in str(error)
        assert accounts(shop, asking) == 0
    finally:
        shop.logs.ledger.start()
    until(lambda: shop.get("/healthz")["ok"])
    assert shop.break_glass(asking)["minted"]
    assert shop.kinds(asking.grant)[:2] == ["asked", "intent"]


def test_one_witness_away_changes_nothing_two_away_mint_nothing(shop: Shop) -> None:
    first, second = shop.logs.witnesses[:2]
    with stopped(first):
        assert shop.break_glass(shop.asking())["minted"]
        asking = shop.asking()
        with stopped(second):
            assert "nothing was minted" in str(refused_for_now(shop, asking))
            assert accounts(shop, asking) == 0
    minted_at_last(shop, asking)


def test_the_archiver_away_mints_nothing(shop: Shop) -> None:
    asking = shop.asking()
    with stopped(shop.logs.archiver):
        assert "nothing was minted" in str(refused_for_now(shop, asking))
    minted_at_last(shop, asking)


def test_the_minter_is_away_and_the_same_statement_gets_its_credential_later(shop: Shop) -> None:
    asking = shop.asking()
    shop.minters[0].kill()
    try:
        assert "no credential came of it" in str(refused_for_now(shop, asking))
    finally:
        shop.minters[0].start()
    assert shop.break_glass(asking)["minted"]
    until(lambda: shop.kinds(asking.grant) == ["asked", "intent", "minted", "usable"])


def test_the_minter_answers_nonsense(shop: Shop) -> None:
    class Nonsense(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>welcome</html>")

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Nonsense)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    asking, minter = shop.asking(), shop.minters[0]
    minter.kill()
    try:
        (minter.folder / "address").write_text(f"http://127.0.0.1:{server.server_port}\n")
        refused_for_now(shop, asking)
    finally:
        server.shutdown()
        server.server_close()
        minter.start()
    assert shop.break_glass(asking)["minted"]


STEPS = ["parsed", "decided", "recorded", "judged", "handed"]


@pytest.mark.parametrize("step", STEPS)
def test_a_broker_killed_at_a_step_loses_nothing_and_leaves_one_grant(
    shop: Shop, step: str
) -> None:
    asking, broker = shop.asking(), shop.brokers[0]
    shop.crash_at(broker, step)
    with pytest.raises(UnavailableError):
        shop.break_glass(asking)
    assert broker.wait_ended() == 137
    recorded = shop.kinds(asking.grant)
    assert recorded[:2] == ([] if step in ("parsed", "decided") else ["asked", "intent"])
    if step != "handed":
        assert accounts(shop, asking) == 0
    shop.restart(broker)
    until(lambda: shop.get("/healthz")["ok"])
    answer = shop.break_glass(asking)
    secret = asking.opened(answer["minted"])
    shop.target().log_in(secret["user"], secret["password"])
    until(lambda: shop.kinds(asking.grant) == ["asked", "intent", "minted", "usable"])
    assert accounts(shop, asking) == 1


def test_a_broker_killed_after_a_refusal_refuses_again(shop: Shop) -> None:
    asking, broker = shop.asking("key-deletion", who="bo"), shop.brokers[0]
    shop.crash_at(broker, "refused")
    with pytest.raises(UnavailableError):
        shop.break_glass(asking)
    shop.restart(broker)
    until(lambda: shop.get("/healthz")["ok"])
    with pytest.raises(RefusedError):
        shop.break_glass(asking)
    assert shop.kinds(asking.grant) == ["refused"]


def test_an_intent_that_nothing_came_of_is_closed_only_on_the_minters_promise(shop: Shop) -> None:
    broker, minter = shop.brokers[0], shop.minters[0]
    asking = shop.asking()
    token = shop.recorded(asking).encoded()
    settings = (broker.folder / "settings.toml").read_text()
    (broker.folder / "settings.toml").write_text(
        settings.replace("recovery_s = 3600", "recovery_s = 1")
    )
    try:
        minter.kill()
        shop.restart(broker)
        until(lambda: shop.get("/healthz")["ok"])
        time.sleep(2.5)
        assert shop.kinds(asking.grant) == ["asked", "intent"]  # nobody has promised anything yet
        minter.start()
        shop.restart(broker)
        until(lambda: shop.get("/healthz")["ok"])
        assert shop.wait_state(asking.grant, "ended")["ended"] == "not_minted"
        assert shop.kinds(asking.grant) == ["asked", "intent", "ended"]
        with pytest.raises(RefusedError) as caught:
            shop.mint(token)
        assert caught.value.name == "ended"
    finally:
        (broker.folder / "settings.toml").write_text(settings)
        if minter.ended() is not None:
            minter.start()
        shop.restart(broker)
        until(lambda: shop.get("/healthz")["ok"])


def test_after_all_this_nothing_in_the_log_is_forbidden(shop: Shop) -> None:
    assert {name for _, name in shop.void()} <= {"lost_race", "nonce", "refused_already"}
