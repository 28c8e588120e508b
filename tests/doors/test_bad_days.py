"""Crashes at each step of the door, a broker that is gone, and doors that nobody can record."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from breakglass.errors import BreakglassError, UnavailableError
from breakglass.monitor.history_projection import HistoryProjection
from breakglass.monitor.overdue_records import Patience, missing
from breakglass.policy.cards import card_people
from breakglass.policy.compile import compile_policy
from breakglass.records.card import card_digest, parse_card
from breakglass.records.grant import handle_of
from breakglass.records.kinds.intent import Intent
from breakglass.records.record import record_text
from breakglass.records.record_reader import parse_record
from breakglass.records.signing.signature import Signed
from breakglass.tlog.note import Note, SignatureLine, sign_note
from breakglass.tlog.tiles import encode_bundle
from breakglass.token.token import person_line
from tests.broker.shop import SIMULATED, Asking
from tests.doors.door_shop import GATE, DoorShop, running_door_shop
from tests.kit.processes import until

QUICK = SIMULATED + "door_within_s = 0.2\n"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[DoorShop]:
    with running_door_shop(tmp_path, QUICK) as found:
        yield found


def healthy(shop: DoorShop, asking: Asking) -> None:
    """Be sure that the ledger tells the whole story, and nothing of it is void."""
    shop.wait_in_log(asking.grant)
    until(lambda: shop.get("/doors")["unappended"] == [], 30)
    assert shop.void() == []


@pytest.mark.parametrize("step", ["door_tried", "door_kept", "door_appended"])
def test_a_broker_killed_at_a_step_of_the_door_loses_nothing(shop: DoorShop, step: str) -> None:
    asking = shop.asking_door("orders-repair")
    broker = shop.brokers[0]
    with shop.without_ledger():
        shop.crash_at(broker, step)
        for _ in range(2):
            try:
                told = shop.opened_door(asking)
                break
            except UnavailableError:
                assert broker.wait_ended() == 137
                broker.start()
        assert told["signed"] == ["ines", "ravi"]
        if step != "door_appended":  # the minter would bring it in first
            shop.mint(shop.minter_token(asking, told))
    if step == "door_appended":
        assert broker.wait_ended(20) == 137
        broker.start()
        until(lambda: shop.get("/healthz")["ok"], 20)
    healthy(shop, asking)
    assert [type(each.body) for each in shop.records()].count(Intent) == 1
    until(lambda: shop.get(f"/doors/{asking.grant}")["index"] is not None, 20)


@pytest.mark.parametrize(
    "step", ["door_taken", "door_rung", "door_spooled", "claimed", "minted", "kept"]
)
def test_a_minter_killed_at_a_step_of_the_door_gives_one_credential(
    shop: DoorShop, step: str
) -> None:
    asking = shop.asking_door("orders-repair")
    minter = shop.minters[0]
    with shop.without_ledger():
        told = shop.opened_door(asking)
        token = shop.minter_token(asking, told)
        shop.crash_at(minter, step)
        with pytest.raises(UnavailableError):
            shop.mint(token)
        assert minter.wait_ended() == 137
        minter.start()
        # Whatever the step, this door was taken, and another one waits for it.
        login = asking.opened(shop.mint(token))
        assert shop.target().log_in(login["user"], login["password"])
        assert len(shop.target().handles()) == 1
        rings = [each["subject"] for each in shop.rings(minter.folder)]
        assert "door" in rings
    healthy(shop, asking)
    until(lambda: shop.kinds(asking.grant)[:2] == ["intent", "door"], 20)
    until(lambda: shop.get(f"/grants/{asking.grant}")["state"] == "usable", 20)


@pytest.mark.parametrize(
    ("after", "opened_doors", "rings"),
    [
        ("node.door_store.DoorStore.take", 1, 0),
        ("process.alert_channel.AlertChannel.ring_first", 1, 1),
        ("gate.record_spool._spool", 1, 1),
    ],
    ids=["remembered", "rung", "spooled"],
)
def test_a_gate_killed_at_a_step_of_the_door_has_not_opened_and_opens_again(
    shop: DoorShop, after: str, opened_doors: int, rings: int
) -> None:
    asking = shop.asking_door()
    folder = shop.folder / "gates" / GATE
    with shop.without_ledger():
        told = shop.opened_door(asking)
        token = shop.gate_token(asking, told)
        (folder / "shown-token").write_text(token)
        said = killed_gate(folder, after)
        assert said.returncode == 137, said.stderr
        assert "open by glass" not in said.stderr
        assert len(shop.gate_says("doors").stdout.splitlines()) == opened_doors
        assert len(shop.rings(folder)) == rings
        assert shop.gate(token).returncode == 0
    until(lambda: shop.gate_says("flush").returncode == 0, 30)
    healthy(shop, asking)
    until(lambda: shop.get(f"/grants/{asking.grant}")["bypasses"] == 1, 20)
    assert shop.kinds(asking.grant) == ["intent", "door", "bypassed"]


def killed_gate(folder: Path, after: str) -> subprocess.CompletedProcess[str]:
    """Run the gate in a process that ends, as by a power cut, when ``after`` has returned."""
    module, _, name = after.rpartition(".")
    owner = f"importlib.import_module('breakglass.{module}')"
    if name in ("take", "ring_first"):
        module, _, kind = module.rpartition(".")
        owner = f"importlib.import_module('breakglass.{module}').{kind}"
    code = (
        "import importlib, os, sys\n"
        f"owner = {owner}\n"
        f"real = owner.{name}\n"
        "def ending(*given, **named):\n"
        "    real(*given, **named)\n"
        "    os._exit(137)\n"
        f"owner.{name} = ending\n"
        "from breakglass.gate.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    words = ["run", GATE, "--folder", str(folder), "--token", str(folder / "shown-token")]
    return subprocess.run(
        [sys.executable, "-c", code, *words, "--for", "812", "--", "false"],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_broker_that_died_for_good_costs_no_record_of_the_door(shop: DoorShop) -> None:
    asking = shop.asking_door("orders-repair")
    with shop.without_ledger():
        told = shop.opened_door(asking)
        shop.brokers[0].kill()
        # Straight to the minter, which brings the intent in by itself.
        assert asking.opened(shop.mint(shop.minter_token(asking, told)))["user"]
    until(lambda: shop.in_log(asking.grant), 30)
    until(lambda: shop.kinds(asking.grant)[:4] == ["intent", "door", "minted", "usable"], 30)
    # The proof that it got is what lets the next door in.
    until(lambda: unappended(shop) == [], 20)
    shop.brokers[0].start()
    healthy(shop, asking)
    until(lambda: shop.get(f"/doors/{asking.grant}")["index"] is not None, 20)


def unappended(shop: DoorShop) -> list[str]:
    with shop.minters[0].neighbour() as minter:
        found: list[str] = minter.get("/state").json()["summary"]["unappended_doors"]
    return found


def test_another_door_opens_once_the_first_is_in_the_log(shop: DoorShop) -> None:
    first, second = shop.asking_door("orders-repair"), shop.asking_door("orders-repair")
    with shop.without_ledger():
        told = shop.opened_door(first)
        shop.mint(shop.minter_token(first, told))
    healthy(shop, first)
    until(lambda: unappended(shop) == [], 20)
    until(lambda: shop.get(f"/doors/{first.grant}")["index"] is not None, 20)
    size = shop.get("/state")["size"]
    until(lambda: shop.minter_size() >= size, 30)
    with shop.without_ledger():
        told = shop.opened_door(second)
        shop.mint(shop.minter_token(second, told))
    healthy(shop, second)


def test_a_gate_that_never_reaches_the_ledger_is_shown_the_proof_by_hand(shop: DoorShop) -> None:
    asking = shop.asking_door()
    folder = shop.folder / "gates" / GATE
    with shop.without_ledger():
        told = shop.opened_door(asking)
        assert shop.gate(shop.gate_token(asking, told)).returncode == 0
        assert shop.gate_says("doors").returncode == 5
    healthy(shop, asking)
    settings = (folder / "settings.toml").read_text()
    (folder / "settings.toml").write_text(settings.replace("../../ledger", "../../nowhere"))
    assert shop.gate_says("flush").returncode == 5
    assert shop.gate_says("doors").returncode == 5
    file = shop.folder / "proof"
    file.write_text(shop.get(f"/grants/{asking.grant}/token")["token"])
    said = shop.gate_says("doors", "--proof", str(file))
    assert (said.returncode, "another door may come" in said.stdout) == (0, True)


def test_a_door_that_cannot_be_recorded_rings_at_minter_and_monitor(shop: DoorShop) -> None:
    gated, minted = shop.asking_door(), shop.asking_door("orders-repair")
    with shop.without_ledger():
        told = shop.opened_door(gated)
        assert shop.gate(shop.gate_token(gated, told)).returncode == 0
        # The door key in two hands: two intents under one number, of which one can stand.
        other = _same_place(shop, told["note"], minted)
        shop.mint(shop.minter_token(minted, {**told, "card": _card(shop), **other}))
        shop.minters[0].kill()
    until(lambda: shop.in_log(gated.grant), 30)
    shop.minters[0].start()
    minter = shop.minters[0].folder
    until(lambda: "door_unappended" in [each["subject"] for each in shop.rings(minter)], 60)
    # What else happened is not held back for ever, and nothing of it is an alarm of its own.
    until(
        lambda: [each["grant"] for each in shop.get("/doors")["unappended"]] == [minted.grant], 60
    )
    until(lambda: {name for _, name in shop.void()} == {"door_unappended"}, 30)
    view = shop.view()
    until(lambda: view.size >= shop.get("/state")["size"], 20)
    with view.reading() as state:
        (door,) = state.unappended_doors()
        assert door.uses[0].by == "minter:orders-db"
        patience = Patience(door=timedelta(minutes=5))
        soon, late = door.seen + timedelta(minutes=4), door.seen + timedelta(minutes=6)
        assert missing(state, HistoryProjection(), soon, patience) == ()
        (news,) = missing(state, HistoryProjection(), late, patience)
        assert (news.subject, news.about) == ("door_unappended", minted.grant)
        assert "UNRECORDED DOOR: mira used the custodians' door" in news.text
        (again,) = missing(state, HistoryProjection(), late + timedelta(hours=2), patience)
        assert again.subject == "door_unappended_2h"


def test_a_door_that_cannot_be_recorded_rings_at_its_gate(shop: DoorShop) -> None:
    honest, used = shop.asking_door(), shop.asking_door()
    folder = shop.folder / "gates" / GATE
    with shop.without_ledger():
        told = shop.opened_door(honest)
        other = _same_place(shop, told["note"], used)
        assert shop.gate(shop.gate_token(used, {**told, **other})).returncode == 0
    shop.wait_in_log(honest.grant)
    until(lambda: _flushed_and_rung(shop, folder), 60)
    assert shop.gate_says("doors").returncode == 5
    until(lambda: [each["grant"] for each in shop.get("/doors")["unappended"]] == [used.grant], 60)
    until(lambda: {name for _, name in shop.void()} == {"door_unappended"}, 30)


def _flushed_and_rung(shop: DoorShop, folder: Path) -> bool:
    shop.gate_says("flush")
    return [each["subject"] for each in shop.rings(folder)] == ["door", "door_unappended"]


def _card(shop: DoorShop, glass: str = "orders-repair") -> str:
    card: str = shop.active["cards"][glass]
    return card


def _same_place(shop: DoorShop, note: str, asking: Asking) -> dict[str, Any]:
    """Write the intent of ``asking`` under the number of the intent in ``note``."""
    found = parse_record(note.encode())
    said, card = asking.said, _card(shop, asking.said.glass)
    at = found.envelope.at
    words = [asking.body["statement"], *shop.words(asking, "ines", "ravi")]
    body = replace(
        found.body,
        grant=asking.grant,
        card=card_digest(Note.parse(card.encode())),
        glass=said.glass,
        minter=said.minter,
        scope=said.scope,
        gates=(GATE,) if not said.minter else (),
        holder=said.holder,
        not_before=at,
        not_after=at + timedelta(minutes=5),
        handle=handle_of(asking.grant),
        statements=tuple(Signed(each["text"], each["sshsig"]) for each in words),
    )
    envelope = replace(found.envelope, id=f"{asking.grant}/intent")
    text = record_text(envelope, body)
    policy = compile_policy(shop.bundle())
    people = card_people(policy, said.glass, parse_card(Note.parse(card.encode())).issued)
    return {
        "note": sign_note(text, shop.keys["broker-door"]).encoded().decode(),
        "people": [person_line(each) for each in people.carried([said.who])],
    }


def test_a_variant_that_its_holder_appends_first_is_not_taken(shop: DoorShop) -> None:
    """With a line more it would take the number of the honest one."""
    asking = shop.asking_door()
    with shop.without_ledger():
        told = shop.opened_door(asking)
        assert shop.gate(shop.gate_token(asking, told)).returncode == 0
        shop.brokers[0].kill()
    line = SignatureLine("x", b"\0\0\0\1", b"y" * 64)
    variant = Note.parse(told["note"].encode()).with_lines(line).encoded()
    with shop.logs.ledger.neighbour() as ledger, pytest.raises(BreakglassError) as refused:
        ledger.post("/append", encode_bundle([variant]))
    assert refused.value.name == "extra_lines"
    shop.brokers[0].start()
    healthy(shop, asking)
    until(lambda: shop.gate_says("flush").returncode == 0, 30)
    assert shop.gate_says("doors").returncode == 0
    until(lambda: shop.get(f"/grants/{asking.grant}")["bypasses"] == 1, 20)
    assert shop.void() == []
