"""The break path asks no resolver, no identity provider and no chat: seen in what it calls."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from breakglass.demo.webhook_sink import WebhookSink
from breakglass.embedded.up import activate_once, processes_of, running
from tests.kit import watched_process
from tests.kit.processes import until

from .isolated import Person, Typed

SCRIPT = watched_process.__file__
# Who calls whom between a person's key and an open gate, and nobody else.
CALLS = {
    "cli": {"broker"},
    "gate": {"ledger"},
    "broker": {"ledger"},
    "ledger": {"witness-1", "witness-2", "witness-3", "archiver"},
    "witness-1": set[str](),
    "witness-2": set[str](),
    "witness-3": set[str](),
}


@dataclass
class Watched:
    """A running organisation of whose processes and commands every call is on file."""

    person: Person
    logs: Path

    @property
    def org(self) -> Path:
        return self.person.cwd / "org"

    def types(self, room: str, *words: str) -> Typed:
        done = subprocess.run(
            [sys.executable, SCRIPT, str(self.logs / room), room, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self.person.environment,
            cwd=self.org,
            check=False,
        )
        return Typed(done.returncode, done.stdout, done.stderr)

    def opens_a_gate(self) -> None:
        said = self.types("cli", "break", "hello", "--why", "all is red", "--org", ".")
        assert said.code == 0, said.err
        grant = said.row("grant")
        words = ("--gate", "hello-gate", "--for", "7", "--out", f"{grant}.token", "--org", ".")
        said = self.types("cli", "gate", "token", grant, *words)
        assert said.code == 0, said.err
        folder = ("--folder", "gates/hello-gate", "--token", f"{grant}.token", "--for", "7")
        said = self.types("gate", "run", "hello-gate", *folder, "--", "false")
        assert said.code == 0, said.err
        said = self.types("cli", "kill", grant, "--why", "rehearsal", "--org", ".")
        assert said.code == 0, said.err

    def said(self, room: str, word: str) -> set[str]:
        lines = (self.logs / room).read_text().splitlines() if (self.logs / room).exists() else []
        return {line.partition(" ")[2] for line in lines if line.startswith(f"{word} ")}


@contextmanager
def watched(folder: Path, channel: str = "") -> Iterator[Watched]:
    person = Person.at(folder)
    said = person.types("breakglass", "init", "org", "--as", "mira", "--key", str(person.key))
    assert said.code == 0, said.err
    org, logs = folder / "org", folder / "logs"
    logs.mkdir()
    settings = org / "monitor" / "settings.toml"
    settings.write_text(settings.read_text() + channel)
    groups = [
        [replace(each, arguments=(SCRIPT, str(logs / each.name), each.room)) for each in group]
        for group in processes_of(org)
    ]
    with running(org, groups) as organisation:
        activate_once(organisation)
        yield Watched(person, logs)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with watched(tmp_path_factory.mktemp("watched")) as found:
        found.opens_a_gate()
        yield found


def test_no_name_is_resolved_between_a_key_and_an_open_gate(shop: Watched) -> None:
    rooms = [path.name for path in shop.logs.iterdir()]
    assert {"cli", "gate", "broker", "ledger", "monitor"} <= set(rooms)
    assert {room: shop.said(room, "name") for room in rooms if shop.said(room, "name")} == {}


def test_a_resolver_that_fails_is_noticed_by_this_test(shop: Watched) -> None:
    client = (shop.org / "client.toml").read_text()
    other = shop.org / "other.toml"
    other.write_text(client.replace("broker/address", "http://broker.shop.example:8443"))
    other.chmod(0o600)
    said = shop.types("cli", "break", "hello", "--why", "all is red", "--org", "other.toml")
    assert (said.code, shop.said("cli", "name")) == (5, {"broker.shop.example"})
    (shop.logs / "cli").unlink()
    shop.opens_a_gate()
    assert shop.said("cli", "name") == set()


def test_no_identity_provider_is_asked_nor_anybody_else(shop: Watched) -> None:
    """Who signs is known by the policy's keys: everybody on the way is a process of ours."""
    at = {
        path.read_text().strip().partition("://")[2]: path.parent.name
        for path in shop.org.glob("*/address")
    }
    called = {room: {at.get(each, each) for each in shop.said(room, "call")} for room in CALLS}
    assert called == CALLS


def test_while_the_chat_is_away_a_glass_breaks_and_its_alert_waits(tmp_path: Path) -> None:
    chat = WebhookSink()
    address, port = chat.address, int(chat.address.rpartition(":")[2].partition("/")[0])
    chat.close()
    hook = f'\n[channels.hook]\ntype = "webhook"\naddress = "{address}"\n'
    with watched(tmp_path, f'{hook}secret = "{chat.secret}"\n') as found:
        found.opens_a_gate()
        alarms = found.org / "monitor" / "data" / "alarms.log"
        until(lambda: alarms.exists() and "broke_glass" in alarms.read_text())
        until(lambda: f"127.0.0.1:{port}" in found.said("monitor", "call"), 60)
        back = WebhookSink(port=port)
        back.secret = chat.secret
        try:
            heard = back.wait_for(lambda each: each.body.get("subject") == "broke_glass", 150)
            assert heard is not None
        finally:
            back.close()
