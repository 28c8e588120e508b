"""Every way in which the custodians' door stays shut, each by its name and by the party's own try.

One shop for all: a test that leaves a door in the chain has the broker forget it, as a day would.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from breakglass.errors import BreakglassError
from breakglass.records.record import record_text
from breakglass.records.record_reader import parse_record
from breakglass.records.signing.signature import DOOR_NAMESPACE, person_line
from breakglass.records.statement import Target
from breakglass.tlog.note import Note, sign_note
from tests.broker.shop import SIMULATED, Asking
from tests.doors.door_shop import DoorShop, make_door_shop
from tests.kit.people import SoftKey
from tests.kit.processes import until

pytestmark = pytest.mark.xdist_group("door-refusals")


@functools.cache
def shared() -> DoorShop:
    folder = Path(tempfile.mkdtemp(prefix="breakglass-doors-"))
    shop = make_door_shop(folder, SIMULATED)
    shop.make_gate("shut", "no")  # the same gate elsewhere, whose own trust file refuses the door

    def end() -> None:
        shop.stop()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    shop.start()
    return shop


@pytest.fixture
def shop() -> Iterator[DoorShop]:
    """Return the shop with its ledger away, and no door asked for or taken anywhere."""
    found = shared()
    found.pulse()
    broker, minter = found.brokers[0], found.minters[0]
    broker.kill()
    minter.kill()
    for each in (broker.folder / "kept", minter.folder / "data"):
        for path in each.glob("doors.sqlite*"):
            path.unlink()
    for path in (found.folder / "gates").glob("*/data/doors.sqlite*"):
        path.unlink()
    broker.start()
    minter.start()
    current(found)
    found.ledger_goes()
    yield found
    found.ledger_returns()


def current(shop: DoorShop) -> None:
    until(lambda: shop.get("/healthz")["ok"])
    size = shop.get("/healthz")["size"]
    until(lambda: shop.minter_size() >= size)


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(BreakglassError) as error:
        call()
    return error.value.name


def test_who_reaches_the_ledger_has_no_door(shop: DoorShop) -> None:
    asking, minting = shop.asking_door(), shop.asking_door("orders-repair")
    told, note = shop.opened_door(asking)
    token = shop.gate_token(asking, told, note)
    shop.ledger_returns()
    assert refused(lambda: shop.ask(shop.asking_door())) == "ledger_reachable"
    said = shop.gate(token)
    assert (said.returncode, "token refused (ledger_reachable)" in said.stderr) == (3, True)
    assert shop.rings(shop.folder / "gates" / "deploy-approval") == []
    shop.ledger_goes()
    forget(shop)
    told, note = shop.opened_door(minting)
    token = shop.minter_token(minting, told, note)
    shop.ledger_returns()
    assert refused(lambda: shop.mint(token)) == "ledger_reachable"
    assert shop.target().handles() == []
    shop.ledger_goes()


def forget(shop: DoorShop) -> None:
    shop.brokers[0].kill()
    for path in (shop.brokers[0].folder / "kept").glob("doors.sqlite*"):
        path.unlink()
    shop.brokers[0].start()


def test_a_gate_whose_own_trust_file_says_no_stays_shut(shop: DoorShop) -> None:
    asking = shop.asking_door()
    told, note = shop.opened_door(asking)
    said = shop.gate(shop.gate_token(asking, told, note), name="shut")
    assert (said.returncode, "token refused (door)" in said.stderr) == (3, True)


@pytest.mark.parametrize(
    "names",
    [(), ("ines",), ("ines", "ines"), ("ines", "mira"), ("mira",)],
    ids=["nobody", "one", "one-twice", "one-and-the-holder", "the-holder"],
)
def test_too_few_custodians_open_nothing(shop: DoorShop, names: tuple[str, ...]) -> None:
    asking, minting = shop.asking_door(), shop.asking_door("orders-repair")
    told = shop.ask(asking)
    note = shop.signed_by(told["note"], *names) if names else told["note"]
    said = shop.gate(shop.gate_token(asking, told, note))
    assert (said.returncode, "token refused (custodians)" in said.stderr) == (4, True)
    forget(shop)
    told = shop.ask(minting)
    note = shop.signed_by(told["note"], *names) if names else told["note"]
    assert refused(lambda: shop.mint(shop.minter_token(minting, told, note))) == "custodians"
    assert shop.target().handles() == []


def test_lines_of_strangers_and_spoiled_lines_are_not_kept_and_open_nothing(
    shop: DoorShop,
) -> None:
    asking = shop.asking_door()
    told = shop.ask(asking)
    good = shop.signed_by(told["note"], "ines", "ravi")
    stranger = SoftKey.of("nobody")
    text = Note.parse(told["note"].encode()).text
    wrong_purpose = person_line("ines", shop.custodians["ines"].sshsig(text, "breakglass-card@v1"))
    other_text = person_line("ravi", shop.custodians["ravi"].sshsig("x\n", DOOR_NAMESPACE))
    cases = {
        "stranger": shop.signed_by(good, "zoe", key=stranger),
        "foreign": shop.signed_by(told["note"], "ines", "escrow", key=stranger),
        "purpose": Note.parse(told["note"].encode()).with_lines(wrong_purpose).encoded().decode(),
        "text": Note.parse(good.encode()).with_lines(other_text).encoded().decode(),
    }
    for name, note in cases.items():
        names = {"extra_lines", "signature", "namespace"}
        assert refused(lambda n=note: shop.post(f"/doors/{asking.grant}", {"note": n})) in names
        said = shop.gate(shop.gate_token(asking, told, note))
        assert said.returncode == 4, (name, said.stderr)
    assert shop.get(f"/doors/{asking.grant}")["signed"] == []
    # What is spoiled does not hinder those who sign truly.
    assert shop.post(f"/doors/{asking.grant}", {"note": good})["signed"] == ["ines", "ravi"]


def test_the_same_custodian_joined_twice_counts_once_and_lines_from_apart_are_joined(
    shop: DoorShop,
) -> None:
    asking = shop.asking_door()
    told = shop.ask(asking)
    one = shop.signed_by(told["note"], "ravi")
    other = shop.signed_by(told["note"], "ines")
    assert shop.post(f"/doors/{asking.grant}", {"note": one})["signed"] == ["ravi"]
    assert shop.post(f"/doors/{asking.grant}", {"note": one})["signed"] == ["ravi"]
    kept = shop.post(f"/doors/{asking.grant}", {"note": other})
    assert kept["signed"] == ["ines", "ravi"]
    assert [line.name for line in Note.parse(kept["note"].encode()).lines[1:]] == ["ines", "ravi"]


def test_an_altered_intent_opens_nothing_whoever_signs_it(shop: DoorShop) -> None:
    asking = shop.asking_door()
    told = shop.ask(asking)
    record = parse_record(told["note"].encode())
    longer = replace(record.body, not_after=record.envelope.at + timedelta(minutes=59))
    text = record_text(record.envelope, longer)
    # By custodians alone: the broker's line is of another text.
    plain = Note(text, Note.parse(told["note"].encode()).lines)
    note = shop.signed_by(plain.encoded().decode(), "ines", "ravi")
    assert refused(lambda: shop.post(f"/doors/{asking.grant}", {"note": note})) == "intent_altered"
    said = shop.gate(shop.gate_token(asking, told, note))
    assert (said.returncode, "token refused (signature)" in said.stderr) == (4, True)
    # With the stolen door key too: the person asked for ten minutes.
    stolen = sign_note(text, shop.keys["broker-door"]).encoded().decode()
    note = shop.signed_by(stolen, "ines", "ravi")
    said = shop.gate(shop.gate_token(asking, told, note))
    assert (said.returncode, "token refused (life_lengthened)" in said.stderr) == (4, True)


def test_a_door_is_over_after_its_time(shop: DoorShop) -> None:
    asking = shop.asking_door(for_s=1)
    told, note = shop.opened_door(asking)
    token = shop.gate_token(asking, told, note)
    time.sleep(1.2)
    said = shop.gate(token)
    assert (said.returncode, "token refused (expired)" in said.stderr) == (3, True)


def test_a_second_door_waits_at_every_party_until_the_first_is_in_the_log(shop: DoorShop) -> None:
    first, second = shop.asking_door("orders-repair"), shop.asking_door("orders-repair")
    told, note = shop.opened_door(first)
    shop.mint(shop.minter_token(first, told, note))
    assert refused(lambda: shop.ask(second)) == "door_standing"
    # A broker that forgets, or lies, does not open a second door: the minter remembers, on disk.
    forget(shop)
    told, note = shop.opened_door(second)
    token = shop.minter_token(second, told, note)
    assert refused(lambda: shop.mint(token)) == "second_door"
    shop.restart(shop.minters[0])
    assert refused(lambda: shop.mint(token)) == "second_door"
    # The first one itself may be shown again.
    with shop.minters[0].neighbour() as minter:
        summary = minter.get("/state").json()["summary"]
    assert summary["unappended_doors"] == [first.grant]


def test_a_gate_lets_no_second_door_in_before_the_first_is_shown(shop: DoorShop) -> None:
    first, second = shop.asking_door(), shop.asking_door()
    told, note = shop.opened_door(first)
    assert shop.gate(shop.gate_token(first, told, note)).returncode == 0
    forget(shop)
    told, note = shop.opened_door(second)
    token = shop.gate_token(second, told, note)
    said = shop.gate(token)
    assert (said.returncode, "token refused (second_door)" in said.stderr) == (3, True)
    assert first.grant in shop.gate_says("doors").stdout
    assert shop.gate_says("doors").returncode == 5
    # A token that carries no proof shows nothing.
    file = shop.folder / "no-proof"
    file.write_text(token)
    assert shop.gate_says("doors", "--proof", str(file)).returncode == 4
    assert shop.gate_says("doors").returncode == 5


def test_the_broker_refuses_what_policy_refuses(shop: DoorShop) -> None:
    def asks(**changes: Any) -> Asking:
        return shop.asking_door("orders-repair", **changes)

    assert refused(lambda: shop.ask(asks(incident="INC-404"))) in ("incident", "no_incident")
    assert refused(lambda: shop.ask(asks(who="bo"))) in ("factor", "mfa", "weak_factor", "mfa_age")
    assert refused(lambda: shop.ask(shop.asking("orders-repair"))) == "not_offered"
    old = asks(at=shop.asking().said.at - timedelta(minutes=5))
    assert refused(lambda: shop.ask(old)) == "statement_old"
    with pytest.raises(BreakglassError):
        shop.post("/break", {**shop.asking_door().body, "presentation": None})
    assert shop.get("/doors")["doors"] == []


def test_a_broker_without_a_door_key_makes_no_door(shop: DoorShop) -> None:
    key = shop.brokers[0].folder / "door-key"
    away = key.with_name("away")
    key.rename(away)
    shop.restart(shop.brokers[0])
    try:
        assert refused(lambda: shop.ask(shop.asking_door())) == "no_door"
    finally:
        away.rename(key)
        shop.restart(shop.brokers[0])


@pytest.mark.parametrize("name", ["rings.log", "doors.sqlite"], ids=["bell", "memory"])
def test_a_gate_that_cannot_ring_or_remember_stays_shut(shop: DoorShop, name: str) -> None:
    data = shop.folder / "gates" / "deploy-approval" / "data"
    kept = data / f"{name}.kept"
    if (data / name).exists():
        (data / name).rename(kept)
    (data / name).mkdir()
    try:
        asking = shop.asking_door()
        told, note = shop.opened_door(asking)
        said = shop.gate(shop.gate_token(asking, told, note))
        assert said.returncode == 5, said.stderr
        assert "open by glass" not in said.stderr
    finally:
        (data / name).rmdir()
        if kept.exists():
            kept.rename(data / name)


def test_nobody_who_was_stopped_gets_anything_by_the_door(shop: DoorShop) -> None:
    signed_before = shop.asking_door("orders-repair")
    told, note = shop.opened_door(signed_before)
    forget(shop)
    shop.ledger_returns()
    current(shop)
    until(lambda: _kill(shop), 20)
    size = shop.get("/state")["size"]
    until(lambda: shop.minter_size() >= size, 30)
    shop.ledger_goes()
    try:
        assert refused(lambda: shop.ask(shop.asking_door("orders-repair"))) == "suspended"
        # Nor by what custodians had signed before, though the broker handed it out.
        token = shop.minter_token(signed_before, told, note)
        assert refused(lambda: shop.mint(token)) == "suspended"
        assert shop.target().handles() == []
        assert shop.ask(shop.asking_door("orders-repair", who="teo"))["signed"] == []
    finally:
        shop.ledger_returns()
        until(lambda: _lift(shop), 20)
        shop.ledger_goes()


def _kill(shop: DoorShop) -> bool:
    try:
        shop.kill(Target.PERSON, "mira")
    except BreakglassError:
        return False
    return True


def _lift(shop: DoorShop) -> bool:
    try:
        shop.lift(Target.PERSON, "mira")
    except BreakglassError:
        return False
    return True
