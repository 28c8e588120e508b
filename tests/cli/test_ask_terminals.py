"""Three people at three terminals, two brokers, one ledger: asking as it is at night."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from breakglass.clock import parse_time
from breakglass.records.permit import Permit, make_permit
from tests.broker.shop import Person as ShopPerson
from tests.broker.shop import Shop
from tests.embedded.isolated import Person
from tests.kit.people import SoftSecurityKey
from tests.kit.processes import ORIGIN, until
from tests.kit.pty_terminal import Screen, at_terminal
from tests.kit.soft_agent import SoftAgent
from tests.kit.two_brokers import both_up, two_brokers

ONE, TWO = "orders-repair", "key-deletion"


def words() -> tuple[str, ...]:
    """Return incident and a reason of its own: nobody gets more of a glass for the same one."""
    return ("--incident", "INC-4821", "--why", f"checkout 5xx after {secrets.token_hex(3)}")


NIGHT_S = 120  # as long as a person waits in a test; nothing is asserted of time


@dataclass
class NightShop(Shop):
    """The small shop with security keys in an agent, so that ssh-keygen signs; a short silence."""

    people: dict[str, ShopPerson] = field(
        default_factory=lambda: {
            name: SoftSecurityKey.of(name) for name in ("mira", "teo", "sam", "bo")
        }
    )

    def bundle(self) -> dict[str, bytes]:
        (name, text), *others = super().bundle().items()
        for old, new in (
            (
                b"approvers: {from: [group:leads], need: 1}",
                b"approvers: {from: [sam, bo, teo, mira], need: 2}",
            ),
            (
                b"    for: 20m\n",
                b"    for: 20m\n    approvers: {from: [sam, bo], ask_need: 1}\n    silence: 3s\n",
            ),
        ):
            assert old in text
            text = text.replace(old, new)
        return {name: text, **dict(others)}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with two_brokers(tmp_path_factory.mktemp("night"), NightShop) as made:
        keys = [each for each in made.people.values() if isinstance(each, SoftSecurityKey)]
        with SoftAgent(made.folder / "agent", keys):
            yield made


@pytest.fixture
def shop(two: Shop) -> Shop:
    both_up(two)
    return two


def place(shop: Shop, folder: Path, who: str) -> Person:
    """Give one of the shop's people a home with a client.toml that names both brokers."""
    folder = folder / who
    folder.mkdir()
    person = Person.at(folder)
    (person.home / "key.pub").write_text(f"{shop.people[who].public}\n")
    (folder / "trust").write_bytes(shop.trust_note().encoded())
    brokers = ", ".join(f'"{each.folder / "address"}"' for each in shop.brokers)
    (folder / "client.toml").write_text(
        f'who = "{who}"\nkey = "{person.home / "key.pub"}"\nlog = "{ORIGIN}"\ntrust = "trust"\n'
        f'broker = [{brokers}]\nmonitor = "http://127.0.0.1:1"\n'
        f'ledger = "{shop.logs.ledger.folder / "address"}"\n'
    )
    person.extra |= {"BREAKGLASS_ORG": str(folder), "SSH_AUTH_SOCK": str(shop.folder / "agent")}
    return person


@pytest.fixture
def mira(shop: Shop, tmp_path: Path) -> Person:
    return place(shop, tmp_path, "mira")


@pytest.fixture
def sam(shop: Shop, tmp_path: Path) -> Person:
    return place(shop, tmp_path, "sam")


@pytest.fixture
def bo(shop: Shop, tmp_path: Path) -> Person:
    return place(shop, tmp_path, "bo")


def grant_on(screen: Screen) -> str:
    """Wait until the ask stands; returns its grant as the asker reads it."""
    screen.shows("waiting; Ctrl-C", NIGHT_S)
    return screen.row("asked").split(",")[0]


def approves(person: Person, grant: str) -> str:
    """Approve at a terminal; returns what was seen."""
    with at_terminal(person, "breakglass", "approve", grant) as screen:
        screen.shows("approve this [y/N]", NIGHT_S)
        assert screen.row("who").startswith("mira ")
        assert screen.row("why").startswith('"checkout 5xx after ')
        screen.types("y")
        assert screen.ends(NIGHT_S) == 0, screen.seen
    return screen.row("approved")


def test_two_approvers_at_their_terminals_let_the_third_in(
    shop: Shop, mira: Person, sam: Person, bo: Person
) -> None:
    with at_terminal(mira, "breakglass", "break", TWO, *words()) as screen:
        grant = grant_on(screen)
        shop.page(grant, "sam")
        screen.shows("(delivered)", NIGHT_S)
        assert "1 more needed" in approves(sam, grant)
        screen.shows("approved", NIGHT_S)
        assert "granted to mira" in approves(bo, grant)
        assert screen.ends(NIGHT_S) == 0, screen.seen
    assert screen.row("granted").startswith(f"{TWO} on database 'orders' (orders-db)")
    assert shop.kinds(grant)[:5] == ["asked", "alert", "answered", "answered", "intent"] or (
        shop.kinds(grant)[:4] == ["asked", "answered", "answered", "intent"]
    )
    assert mira.types("breakglass", "done", grant).code == 0
    assert shop.void() == []


def test_a_no_reaches_the_asker_with_who_and_why(shop: Shop, mira: Person, sam: Person) -> None:
    with at_terminal(mira, "breakglass", "ask", ONE, *words()) as screen:
        grant = grant_on(screen)
        said = sam.types("breakglass", "refuse", grant, "--why", "7c118 is not live yet")
        assert said.code == 0, said.err
        assert "the monitor has no copy" in said.err  # there is none here, and that is said
        assert screen.ends(NIGHT_S) == 7, screen.seen
    assert screen.row("refused").endswith('"7c118 is not live yet"')
    # Whoever is asked again hears of it, marked as the broker's word.
    again = mira.types("breakglass", "ask", ONE, *words(), "--no-wait")
    assert again.code == 0, again.err
    second = again.row("asked").split(",")[0]
    with at_terminal(sam, "breakglass", "approve", second) as screen:
        screen.shows("approve this [y/N]", NIGHT_S)
        told = "the broker says: sam refused mira this glass within 24 h"
        assert told in " ".join(screen.seen.split())
        screen.types("n")
        assert screen.ends(NIGHT_S) == 130
    assert mira.types("breakglass", "withdraw", second).code == 0


def test_a_silence_is_recorded_and_the_glass_is_offered_and_broken(
    shop: Shop, mira: Person
) -> None:
    with at_terminal(mira, "breakglass", "ask", ONE, *words()) as screen:
        grant = grant_on(screen)
        shop.page(grant, "sam")
        screen.shows('recorded as "approvers silent"', NIGHT_S)
        screen.types("y")
        assert screen.ends(NIGHT_S) == 0, screen.seen
    broken = screen.row("grant")
    assert broken != grant
    assert "nobody" in screen.row("…")
    assert "recorded as: approvers silent" in screen.seen
    assert shop.get(f"/grants/{broken}")["labels"] == ["approvers_silent"]
    assert shop.get(f"/requests/{grant}")["state"] == "overtaken"
    labels = {each.body.kind for each in shop.records() if each.envelope.id.startswith(grant)}
    assert {"asked", "answered"} <= labels
    assert mira.types("breakglass", "done", broken).code == 0
    assert shop.void() == []


def test_an_ask_is_taken_up_again_at_the_other_broker(
    shop: Shop, mira: Person, sam: Person
) -> None:
    with at_terminal(mira, "breakglass", "ask", ONE, *words()) as screen:
        grant = grant_on(screen)
        screen.interrupts()
        assert screen.ends(NIGHT_S) == 130
    shop.brokers[0].kill()  # the one that took it
    with at_terminal(mira, "breakglass", "ask", "--again", grant) as screen:
        assert grant_on(screen) == grant
        assert "granted to mira" in approves(sam, grant)
        assert screen.ends(NIGHT_S) == 0, screen.seen
    assert screen.row("grant") == grant
    shop.brokers[0].start()
    until(lambda: shop.get("/healthz")["ok"])
    status = mira.types("breakglass", "status", grant)
    assert status.row("who") == "mira"
    assert mira.types("breakglass", "done", grant).code == 0
    assert shop.void() == []


def test_a_broker_that_dies_under_a_waiting_command_is_not_noticed(
    shop: Shop, mira: Person, sam: Person
) -> None:
    with at_terminal(mira, "breakglass", "ask", ONE, *words()) as screen:
        grant = grant_on(screen)
        time.sleep(1)  # it reads at the first one
        shop.brokers[0].kill()
        assert "granted to mira" in approves(sam, grant)
        assert screen.ends(NIGHT_S) == 0, screen.seen
    assert screen.row("grant") == grant
    assert mira.types("breakglass", "done", grant).code == 0


def test_what_waits_is_listed_for_the_asker_and_for_who_may_answer(
    shop: Shop, mira: Person, sam: Person
) -> None:
    asked = mira.types("breakglass", "ask", ONE, *words(), "--no-wait")
    assert asked.code == 0, asked.err
    grant = asked.row("asked").split(",")[0]
    mine = mira.types("breakglass", "requests")
    assert "waiting, 0 of 1" in mine.row(grant)
    theirs = sam.types("breakglass", "requests")
    assert theirs.row(grant).startswith("mira  orders-repair  INC-4821")
    assert f"breakglass approve {grant}" in theirs.err
    shown = mira.types("breakglass", "status")
    assert shown.row("asked").startswith(f"{grant} orders-repair: waiting, 0 of 1")
    assert "1 wait for your answer: breakglass requests" in sam.types("breakglass", "status").err
    assert mira.types("breakglass", "withdraw", grant).code == 0
    assert grant not in sam.types("breakglass", "requests").out


def test_who_asks_twice_is_led_back_to_the_first(shop: Shop, mira: Person) -> None:
    asked = mira.types("breakglass", "ask", ONE, *words(), "--no-wait")
    grant = asked.row("asked").split(",")[0]
    again = mira.types("breakglass", "ask", ONE, *words(), "--no-wait")
    assert (again.code, again.out) == (3, "")
    assert f"wait on for it: breakglass ask --again {grant}" in again.err
    assert mira.types("breakglass", "withdraw", grant).code == 0


def test_a_permit_of_the_page_reads_one_ask_without_a_session(
    shop: Shop, mira: Person, sam: Person
) -> None:
    first = mira.types("breakglass", "ask", ONE, *words(), "--no-wait")
    grant = first.row("asked").split(",")[0]
    until_ = parse_time(shop.get(f"/requests/{grant}")["until"])
    forged = make_permit(Permit(ORIGIN, grant, "sam", until_), shop.keys["broker"])
    said = sam.types("breakglass", "approve", grant, "--permit", forged, "--yes")
    assert said.code == 4, said.err
    permit = make_permit(Permit(ORIGIN, grant, "sam", until_), shop.keys["monitor"])
    said = sam.types("breakglass", "approve", grant, "--permit", permit, "--yes")
    assert said.code == 0, said.err
    assert "sign to read" not in said.err
    assert said.row("who") == "mira asks for it; signed with a security key"
    taken = mira.types("breakglass", "ask", "--again", grant)
    assert taken.code == 0, taken.err
    assert mira.types("breakglass", "done", grant).code == 0
