"""What responder and custodians type while the ledger is down, against everything real."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from breakglass.http.client import Peer
from tests.embedded.isolated import Person, Typed, processes_naming, running_up
from tests.kit.processes import until

pytestmark = pytest.mark.xdist_group("door-commands")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    person = Person.at(tmp_path_factory.mktemp("door"))
    org = str(person.cwd / "org")
    said = person.types(
        "breakglass", "init", org, "--as", "mira", "--key", str(person.key), "--custodians", "3"
    )
    assert said.code == 0, said.err
    assert "3 custodians were generated" in said.err
    with running_up(person, org):
        person.cwd = person.cwd / "org"
        yield person


@pytest.fixture
def mira(running: Person) -> Person:
    """Return the responder, of a broker that keeps no door from a test before."""
    if json.loads(running.types("breakglass", "door", "list", "--json").out)["doors"]:
        (broker,) = processes_naming(f"{running.cwd}/broker")
        for path in (running.cwd / "broker" / "kept").glob("doors.sqlite*"):
            path.unlink()
        # Asked to stop, it is back in half a second; killed again and again, in half a minute.
        os.kill(int(broker.split()[0]), signal.SIGTERM)
        until(lambda: processes_naming(f"{running.cwd}/broker") not in ([], [broker]), 60)
        until(lambda: running.types("breakglass", "door", "list").code == 0, 60)
    return running


@contextmanager
def frozen_ledger(person: Person) -> Iterator[None]:
    """Let the ledger hang, as a machine does whose disk is gone."""
    (process,) = processes_naming(f"{person.cwd}/ledger")
    pid = int(process.split()[0])
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
    with Peer(person.cwd / "ledger", name="ledger", within=timedelta(seconds=60)) as ledger:
        ledger.get("/healthz")  # what it has piled up meanwhile is answered


def ask(person: Person, *more: str) -> Typed:
    return person.types("breakglass", "door", "ask", "hello", "--why", "all is red", *more)


def sign(person: Person, number: int, file: str, *more: str) -> Typed:
    org = f"keys/custodians/custodian-{number}"
    return person.types("breakglass", "door", "sign", file, "--yes", "--org", org, *more)


def use(person: Person, *words: str) -> Typed:
    return person.types("breakglass", "door", "use", *words, "--gate", "hello-gate")


def gate(person: Person, act: str, *more: str) -> Typed:
    words = ("breakglass-gate", act, "hello-gate", "--folder", "gates/hello-gate")
    return person.types(*words, *more)


def rung(person: Person) -> str:
    return "".join(path.read_text() for path in (person.cwd / "monitor").rglob("alarms.log"))


def test_half_a_door_is_refused_when_the_ledger_is_back_and_the_ordinary_way_works(mira):
    said = ask(mira)
    assert said.code == 3
    assert "answers from here: the custodians' door stays shut" in said.err
    assert "breakglass break" in said.err
    with frozen_ledger(mira):
        assert ask(mira, "--out", "half.door").code == 0
        assert sign(mira, 1, "half.door").code == 0
    before = (mira.cwd / "half.door").read_bytes()
    said = sign(mira, 2, "half.door")
    assert (said.code, "nothing was signed" in said.err) == (3, True)
    assert (mira.cwd / "half.door").read_bytes() == before
    said = use(mira, "half.door", "--for", "1")
    assert (said.code, "1 of 2 custodians have signed" in said.err) == (3, True)
    until(lambda: mira.types("breakglass", "break", "hello", "--why", "as always").code == 0, 30)
    assert json.loads(mira.types("breakglass", "door", "list", "--json").out)["doors"] == []


def test_two_custodians_open_a_gate_and_everybody_hears_of_it(mira):
    with frozen_ledger(mira):
        said = ask(mira, "--out", "asked.door", "--for", "20m")
        assert said.code == 0, said.err
        grant = said.row("grant")
        # Asked again after a lost answer, it is the same request.
        again = mira.types("breakglass", "door", "ask", "--again", grant, "--out", "again.door")
        assert again.code == 0, again.err
        assert (mira.cwd / "again.door").read_bytes() == (mira.cwd / "asked.door").read_bytes()
        for number in (1, 3):
            shutil.copy(mira.cwd / "asked.door", mira.cwd / f"{number}.door")
            said = sign(mira, number, f"{number}.door")
            assert said.code == 0, said.err
            assert said.row("who").startswith("mira asks you, a custodian, to open the door")
            assert said.row("why") == "all is red [other]"
            assert said.row("alerted") == "via door_command"
        home = mira.cwd / "keys" / "custodians" / "custodian-3"
        assert f'"grant": "{grant}"' in (home / "bell.log").read_text()
        seen = json.loads((home / "client" / "doors" / f"{grant}.json").read_text())
        assert seen["alerted"] == ["door_command"]
        assert "did not answer" in seen["ledger"]
        # One of them opens nothing, nor the same one twice; two do.
        assert use(mira, "1.door", "1.door", "--for", "7").code == 3
        said = use(mira, "1.door", "3.door", "--for", "7", "--out", "token")
        assert said.code == 0, said.err
        assert said.row("signed") == "custodian-1 and custodian-3"
        opened = gate(mira, "run", "--token", "token", "--for", "7", "--", "false")
        assert opened.code == 0, opened.err
        said = ask(mira)
        assert (said.code, "no second one until the first is in the ledger" in said.err) == (
            3,
            True,
        )
    until(lambda: "entry" in mira.types("breakglass", "door", "list").out, 60)
    until(lambda: gate(mira, "flush").code == 0, 60)
    until(lambda: '"bypasses": 1' in mira.types("breakglass", "status", grant, "--json").out, 60)
    assert gate(mira, "doors").code == 0
    until(lambda: "the ledger was down custodian-1 and custodian-3 opened" in rung(mira), 60)
    until(lambda: "gate:hello-gate: mira with 'hello', run '7'" in rung(mira), 60)
    assert [
        word for word in ("NOT JUSTIFIED", "FORBIDDEN", "UNRECORDED") if word in rung(mira)
    ] == []
    until(lambda: grant in mira.types("breakglass", "review", "list").out, 30)


def test_where_nobody_sits_a_custodian_signs_only_if_told_not_to_ask(mira):
    with frozen_ledger(mira):
        assert ask(mira, "--out", "asked.door").code == 0
        before = (mira.cwd / "asked.door").read_bytes()
        home = "keys/custodians/custodian-1"
        said = mira.types("breakglass", "door", "sign", "asked.door", "--org", home)
    assert (said.code, "nobody is at a terminal to be asked" in said.err) == (2, True)
    assert (mira.cwd / "asked.door").read_bytes() == before


def test_a_custodian_whom_nobody_hears_does_not_sign(mira):
    client = mira.cwd / "keys" / "custodians" / "custodian-2" / "client.toml"
    text = client.read_text()
    with frozen_ledger(mira):
        assert ask(mira, "--out", "heard.door").code == 0
        before = (mira.cwd / "heard.door").read_bytes()
        for bell in ("", 'door_command = "false"\n', 'door_webhook = "http://127.0.0.1:1/x"\n'):
            client.write_text(text.partition("door_command")[0] + bell)
            said = sign(mira, 2, "heard.door")
            assert (said.code, "no alert channel accepted the message" in said.err) == (5, True)
        client.write_text(text)
        said = mira.types("breakglass", "door", "sign", "heard.door", "--yes")
        assert (said.code, "is no custodian of this trust file" in said.err) == (3, True)
    assert (mira.cwd / "heard.door").read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('\\"glass\\":\\"hello\\"', '\\"glass\\":\\"hallo\\"'),
        ('\\"who\\":\\"mira\\"', '\\"who\\":\\"teo\\"'),
        ('\\"for_s\\":', '\\"for_s\\":1'),
        ('"grant": "g-', '"grant": "g-a'),
    ],
    ids=["statement", "who", "life", "grant"],
)
def test_a_request_that_was_altered_is_not_signed(mira, old, new):
    with frozen_ledger(mira):
        assert ask(mira, "--out", "true.door").code == 0
        text = (mira.cwd / "true.door").read_text()
        altered = text.replace(old, new, 1)
        assert altered != text
        (mira.cwd / "altered.door").write_text(altered)
        said = sign(mira, 1, "altered.door")
        assert said.code in (2, 4), said.err
        assert (mira.cwd / "altered.door").read_text() == altered


def test_a_request_whose_gates_were_altered_shows_them_and_opens_nothing(mira):
    with frozen_ledger(mira):
        assert ask(mira, "--out", "true.door").code == 0
        text = (mira.cwd / "true.door").read_text().replace("hello-gate", "other-gate")
        (mira.cwd / "altered.door").write_text(text)
        said = sign(mira, 1, "altered.door")
        assert "opens gate other-gate" in said.row("what")
        assert sign(mira, 2, "altered.door").code == 0
        said = use(mira, "altered.door", "--for", "1")
        assert (said.code, "saw another card" in said.err) == (4, True)
