"""Every way in which the custodians' door stays shut, each by its name and by the party's own try.

One shop for all: a test that leaves a door in the chain has the broker forget it, as a day would.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from breakglass.clock import SystemClock
from breakglass.errors import BreakglassError
from breakglass.records.grant import handle_of
from breakglass.records.record import record_text
from breakglass.records.record_reader import parse_record
from breakglass.records.signing.signature import Signed
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
    gate = shop.folder / "gates" / "deploy-approval"
    rung = shop.rings(gate)
    told = shop.opened_door(asking)
    token = shop.gate_token(asking, told)
    shop.ledger_returns()
    assert refused(lambda: shop.ask(shop.asking_door())) == "ledger_reachable"
    said = shop.gate(token)
    assert (said.returncode, "token refused (ledger_reachable)" in said.stderr) == (3, True)
    assert shop.rings(gate) == rung
    shop.ledger_goes()
    forget(shop)
    told = shop.opened_door(minting)
    token = shop.minter_token(minting, told)
    shop.ledger_returns()
    assert refused(lambda: shop.mint(token)) == "ledger_reachable"
    assert handle_of(minting.grant) not in shop.target().handles()
    shop.ledger_goes()


def forget(shop: DoorShop) -> None:
    shop.brokers[0].kill()
    for path in (shop.brokers[0].folder / "kept").glob("doors.sqlite*"):
        path.unlink()
    shop.brokers[0].start()


def test_a_gate_whose_own_trust_file_says_no_stays_shut(shop: DoorShop) -> None:
    asking = shop.asking_door()
    told = shop.opened_door(asking)
    said = shop.gate(shop.gate_token(asking, told), name="shut")
    assert (said.returncode, "token refused (door)" in said.stderr) == (3, True)


@pytest.mark.parametrize(
    ("names", "name"),
    [
        (("ines",), "custodians"),
        (("ines", "ines"), "same_person"),
        (("ines", "mira"), "same_person"),
        (("mira",), "same_person"),
        (("ines", "zoe"), "unknown_person"),
    ],
    ids=["one", "one-twice", "one-and-the-holder", "the-holder", "one-and-a-stranger"],
)
def test_too_few_custodians_open_nothing(shop: DoorShop, names: tuple[str, ...], name: str) -> None:
    asking = shop.asking_door("orders-repair")
    shop.ask(asking)
    words = [
        shop.word(asking, each, SoftKey.of("nobody") if each == "zoe" else None) for each in names
    ]
    assert refused(lambda: shop.complete(asking, words)) == name
    assert shop.get("/doors")["doors"] == []
    # Nor with a stolen door key, which writes what the broker would not.
    token = stolen(shop, asking, words)
    assert refused(lambda: shop.mint(token)) == name
    assert handle_of(asking.grant) not in shop.target().handles()


def stolen(shop: DoorShop, asking: Asking, words: list[Any], **changes: Any) -> str:
    """Return the token of an intent that a thief wrote with the broker's door key."""
    other = shop.asking_door("orders-repair")
    shop.ask(other)
    told = shop.complete(other, shop.words(other, "ines", "ravi"))
    forget(shop)
    record = parse_record(told["note"].encode())
    statements = tuple(Signed(each["text"], each["sshsig"]) for each in words)
    first = Signed(**asking.body["statement"])
    body = replace(
        record.body,
        grant=asking.grant,
        handle=handle_of(asking.grant),
        holder=asking.said.holder,
        statements=(first, *statements),
        **changes,
    )
    envelope = replace(record.envelope, id=f"{asking.grant}/intent")
    note = sign_note(record_text(envelope, body), shop.keys["broker-door"]).encoded().decode()
    return shop.minter_token(asking, {**told, "note": note})


def test_custodians_who_let_something_else_through_open_nothing(shop: DoorShop) -> None:
    asking, stranger = shop.asking_door(), SoftKey.of("nobody")
    shop.ask(asking)
    good = shop.word(asking, "ines")
    cases: dict[str, Any] = {
        "foreign_key": shop.word(asking, "ravi", stranger),
        "wrong_answer": shop.word(asking, "ravi", answers="ab" * 32),
        "wrong_card": shop.word(asking, "ravi", card="ab" * 32),
        "wrong_log": shop.word(asking, "ravi", log="ledger.example/staging"),
        "signature": {**good, "text": good["text"].replace(" me ", " us ")},
    }
    for name, word in cases.items():
        words = [word] if name == "signature" else [good, word]
        assert refused(lambda w=words: shop.complete(asking, w)) == name
    assert shop.get("/doors")["doors"] == []
    # What is spoiled does not hinder those who sign truly, and the same again is the same.
    words = shop.words(asking, "ines", "ravi")
    kept = shop.complete(asking, words)
    assert kept["signed"] == ["ines", "ravi"]
    assert shop.complete(asking, shop.words(asking, "escrow", "ravi"))["note"] == kept["note"]
    assert shop.ask(asking)["grant"] == asking.grant


def test_an_altered_intent_opens_nothing_whoever_countersigned(shop: DoorShop) -> None:
    asking = shop.asking_door()
    told = shop.opened_door(asking)
    record = parse_record(told["note"].encode())
    longer = replace(record.body, not_after=record.envelope.at + timedelta(minutes=59))
    text = record_text(record.envelope, longer)
    # The broker's line is of another text.
    plain = Note(text, Note.parse(told["note"].encode()).lines).encoded().decode()
    said = shop.gate(shop.gate_token(asking, {**told, "note": plain}))
    assert (said.returncode, "token refused (signature)" in said.stderr) == (4, True)
    # With the stolen door key too: the person asked for ten minutes.
    forged = sign_note(text, shop.keys["broker-door"]).encoded().decode()
    said = shop.gate(shop.gate_token(asking, {**told, "note": forged}))
    assert (said.returncode, "token refused (life_lengthened)" in said.stderr) == (4, True)


def test_a_door_is_over_after_its_time(shop: DoorShop) -> None:
    asking = shop.asking_door(for_s=5)
    told = shop.opened_door(asking)
    token = shop.gate_token(asking, told)
    ends = parse_record(told["note"].encode()).body.not_after
    until(lambda: SystemClock().now() > ends)
    said = shop.gate(token)
    assert (said.returncode, "token refused (expired)" in said.stderr) == (3, True)


def test_a_second_door_waits_at_every_party_until_the_first_is_in_the_log(shop: DoorShop) -> None:
    first, second = shop.asking_door("orders-repair"), shop.asking_door("orders-repair")
    told = shop.opened_door(first)
    shop.mint(shop.minter_token(first, told))
    assert refused(lambda: shop.ask(second)) == "door_standing"
    words = shop.words(second, "ines", "ravi")
    assert refused(lambda: shop.complete(second, words)) == "door_standing"
    # A broker that forgets, or lies, does not open a second door: the minter remembers, on disk.
    forget(shop)
    told = shop.opened_door(second)
    token = shop.minter_token(second, told)
    assert refused(lambda: shop.mint(token)) == "second_door"
    shop.restart(shop.minters[0])
    assert refused(lambda: shop.mint(token)) == "second_door"
    # The first one itself may be shown again.
    with shop.minters[0].neighbour() as minter:
        summary = minter.get("/state").json()["summary"]
    assert summary["unappended_doors"] == [first.grant]


def test_a_gate_lets_no_second_door_in_before_the_first_is_shown(shop: DoorShop) -> None:
    first, second = shop.asking_door(), shop.asking_door()
    told = shop.opened_door(first)
    assert shop.gate(shop.gate_token(first, told)).returncode == 0
    forget(shop)
    told = shop.opened_door(second)
    token = shop.gate_token(second, told)
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
    old = asks(at=shop.asking().said.at - timedelta(minutes=61))
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
        told = shop.opened_door(asking)
        said = shop.gate(shop.gate_token(asking, told))
        assert said.returncode == 5, said.stderr
        assert "open by glass" not in said.stderr
    finally:
        (data / name).rmdir()
        if kept.exists():
            kept.rename(data / name)


def test_a_broker_that_cannot_read_its_doors_does_not_start(shop: DoorShop) -> None:
    broker = shop.brokers[0]
    shop.ask(shop.asking_door())
    broker.kill()
    kept = broker.folder / "kept" / "doors.sqlite"
    kept.unlink(missing_ok=True)
    kept.mkdir()
    try:
        assert broker.start(wait=False).wait_ended(30) == 5
        assert "memory of doors" in broker.said()
    finally:
        kept.rmdir()
        broker.start()


def test_nobody_who_was_stopped_gets_anything_by_the_door(shop: DoorShop) -> None:
    signed_before = shop.asking_door("orders-repair")
    told = shop.opened_door(signed_before)
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
        token = shop.minter_token(signed_before, told)
        assert refused(lambda: shop.mint(token)) == "suspended"
        assert handle_of(signed_before.grant) not in shop.target().handles()
        assert shop.ask(shop.asking_door("orders-repair", who="teo"))["countersigned"] == []
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
