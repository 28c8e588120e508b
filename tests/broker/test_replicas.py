"""A break ends well when the first of two brokers is dead, silent, mad, or dies on the way."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from breakglass.cli import client, held_grants
from breakglass.errors import RefusedError, UnavailableError
from tests.broker.shop import Asking, Shop
from tests.kit.bad_server import BadServer
from tests.kit.processes import ORIGIN, until


@pytest.fixture
def two(shop: Shop) -> Shop:
    """Return the shop with both brokers up, and none behind the other."""
    for each in shop.brokers:
        if each.popen is None or each.ended() is not None:
            each.start()
    until(lambda: shop.get("/healthz", 1)["ok"] and shop.get("/healthz")["ok"])
    until(lambda: shop.get("/state", 1)["size"] == shop.get("/state")["size"])
    return shop


@pytest.fixture
def bad() -> Iterator[BadServer]:
    server = BadServer()
    yield server
    server.close()


def dead() -> str:
    """Return an address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def client_of(shop: Shop, folder: Path, *brokers: str) -> client.Client:
    """Write mira's client.toml and read it."""
    (folder / "trust").write_bytes(shop.trust_note().encoded())
    listed = ", ".join(json.dumps(each) for each in brokers)
    file = folder / "client.toml"
    file.write_text(
        f'who = "mira"\nkey = "key"\nlog = "{ORIGIN}"\nbroker = [{listed}]\n'
        f'monitor = "monitor"\nledger = "{shop.logs.ledger.folder}"\ntrust = "trust"\n'
        'state = "state"\n'
    )
    return client.find(str(file))


def signed_by_mira(shop: Shop, mira: client.Client) -> Asking:
    """Keep a signed statement on mira's machine: she has not been answered yet."""
    folder, public = held_grants.begin(mira.state)
    asking = shop.asking(holder=public)
    held_grants.settle(folder, asking.grant, asking.body["statement"])
    return asking


def types(mira: client.Client, *words: str) -> subprocess.CompletedProcess[str]:
    """Type a command; a new process, as on her machine."""
    command = [sys.executable, "-m", "breakglass.cli", *words, "--org", str(mira.file)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("mood", ["dead", "hangs", "hangs up", "noise", "well"])
def test_a_break_ends_well_at_the_second_broker(two, bad, tmp_path, mood):
    bad.mood = mood  # "well" answers JSON that is not ours
    first = dead() if mood == "dead" else bad.address
    mira = client_of(two, tmp_path, first, str(two.brokers[1].folder))
    asking = signed_by_mira(two, mira)
    said = types(mira, "break", "--again", asking.grant)
    assert said.returncode == 0, said.stderr
    found = held_grants.held(mira.state, asking.grant)
    minted = two.get(f"/grants/{asking.grant}/credential", 1)
    assert found.answer["minted"]["sealed"] == minted["sealed"]
    assert found.unseal(minted["sealed"])["password"]
    assert two.kinds(asking.grant).count("intent") == 1
    if mood != "dead":
        assert asking.body["statement"]["sshsig"].encode() in b"".join(bad.asked)


@pytest.mark.parametrize("step", ["recorded", "judged"])
def test_a_broker_that_dies_after_recording_is_no_second_grant(two, tmp_path, step):
    mira = client_of(two, tmp_path, *(str(each.folder) for each in two.brokers))
    asking = signed_by_mira(two, mira)
    two.crash_at(two.brokers[0], step)
    said = types(mira, "break", "--again", asking.grant)
    assert said.returncode == 0, said.stderr
    assert two.brokers[0].wait_ended() == 137
    answer = held_grants.held(mira.state, asking.grant).answer
    again = types(mira, "break", "--again", asking.grant)  # the first is dead by now
    assert again.returncode == 0, again.stderr
    then = held_grants.held(mira.state, asking.grant).answer
    assert (then["token"], then["minted"]["sealed"]) == (
        answer["token"],
        answer["minted"]["sealed"],
    )
    assert two.kinds(asking.grant).count("intent") == 1


def test_beside_a_silent_broker_the_second_is_asked_and_one_grant_comes_of_both(two, tmp_path):
    mira = client_of(two, tmp_path, *(str(each.folder) for each in two.brokers))
    asking = two.asking()
    with two.halted_at(two.brokers[0], "decided"):
        began = time.monotonic()
        # The first is held for a minute, longer than the client waits: the second has answered.
        answer = mira.broker("POST", "/break", asking.body)
        assert time.monotonic() - began >= client.HEDGE_AFTER.total_seconds()
    assert two.break_glass(asking, 0)["index"] == answer["index"]
    assert two.kinds(asking.grant).count("intent") == 1


def test_a_silent_broker_that_speaks_at_last_is_heard(two, bad, tmp_path):
    bad.mood = "hangs"
    mira = client_of(two, tmp_path, str(two.brokers[0].folder), bad.address)
    asking = two.asking()
    with ThreadPoolExecutor(1) as pool:
        with two.halted_at(two.brokers[0], "decided"):
            waiting = pool.submit(mira.broker, "POST", "/break", asking.body)
            until(lambda: len(bad.asked) == 1)
        answer = waiting.result()
    assert answer["grant"] == asking.grant
    assert len(bad.asked) == 1


def test_a_refusal_is_an_answer(two, bad, tmp_path):
    mira = client_of(two, tmp_path, str(two.brokers[0].folder), bad.address)
    with pytest.raises(RefusedError):
        mira.broker("POST", "/break", two.asking(who="sam").body)
    assert bad.connections == 0


def test_without_an_answer_the_broker_that_may_have_acted_is_named(two, bad, tmp_path):
    bad.mood = "hangs up"
    mira = client_of(two, tmp_path, bad.address, dead())
    with pytest.raises(UnavailableError, match="hung up") as caught:
        mira.broker("GET", "/glasses")
    assert caught.value.name == "unanswered"


def test_a_lost_answer_says_how_to_send_the_same_again(two, tmp_path):
    mira = client_of(two, tmp_path, str(two.brokers[0].folder))
    asking = signed_by_mira(two, mira)
    two.crash_at(two.brokers[0], "recorded")
    said = types(mira, "break", "--again", asking.grant)
    assert said.returncode == 5, said.stderr
    assert f"result unknown; retry: breakglass break --again {asking.grant}" in (said.stderr)
    assert two.brokers[0].wait_ended() == 137
    two.brokers[0].start()
    assert types(mira, "break", "--again", asking.grant).returncode == 0
    assert two.kinds(asking.grant).count("intent") == 1
