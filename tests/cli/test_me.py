"""A person says on which channels they are called: typed, signed, and heard on the old ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.cli.client import find
from breakglass.cli.me import mute, mute_length
from breakglass.errors import MalformedError
from tests.embedded.isolated import Person, running_up
from tests.monitor.people_kit import texts
from tests.monitor.stand_ins import Sink, eventually


@pytest.fixture
def sinks() -> Iterator[tuple[Sink, Sink]]:
    made = (Sink(), Sink())
    made[1].says = b"ok"
    yield made
    for each in made:
        each.close()


@pytest.fixture
def mira(tmp_path: Path, sinks: tuple[Sink, Sink]) -> Person:
    """An organisation whose monitor may call receivers of this host."""
    person = Person.at(tmp_path)
    said = person.types("breakglass", "init", "org", "--as", "mira", "--key", str(person.key))
    assert said.code == 0, said.err
    person.cwd = tmp_path / "org"
    settings = person.cwd / "monitor" / "settings.toml"
    hosts = [each.address.split("/")[2] for each in sinks]
    settings.write_text(f"inside_hosts = {json.dumps(hosts)}\n{settings.read_text()}")
    return person


def test_own_channels_are_added_tested_shown_and_removed(
    mira: Person, sinks: tuple[Sink, Sink]
) -> None:
    phone, chat = sinks
    org = ("--org", str(mira.cwd))

    def types(*words: str, code: int = 0) -> str:
        said = mira.types("breakglass", "me", *words, *org)
        assert said.code == code, (words, said.out, said.err)
        return said.out + said.err

    with running_up(mira, str(mira.cwd)):
        assert "no channel of your own" in types()
        assert "webhook  http://127.0.0.1/…" in types(
            "channel", "add", "phone", "--webhook", phone.address
        )
        assert "is marked TEST" in types("channel", "test", "phone")
        assert texts(phone, "test")
        types("channel", "add", "chat", "--slack", chat.address)
        eventually(lambda: texts(phone, "own_channels"))
        assert "added chat" in texts(phone, "own_channels")[0]
        again = types("channel", "add", "chat", "--slack", chat.address, code=3)
        assert "there is an own channel 'chat' already" in again
        assert "name exactly one of" in types("channel", "add", "x", code=2)
        # Standard input is empty here, and an empty target means «keep» of a channel that stands.
        nothing = types("channel", "add", "phone", "--webhook", "-", code=2)
        assert "no address came on standard input; nothing was changed" in nothing
        assert "https" in types("channel", "add", "x", "--webhook", "http://a.example/", code=2)
        assert "you have no channel 'x'; there are: chat, phone" in types(
            "channel", "remove", "x", code=3
        )
        phone.status = 500
        assert "the receiver answered 500" in types("channel", "test", "phone", code=5)
        phone.status = 200
        until = mute(find(str(mira.cwd)), "teo", mute_length("--mute", "1h"))
        shown = types()
        assert "what teo asks, until " in shown
        types("channel", "remove", "chat")
        shown = mira.types("breakglass", "me", *org, "--json").out
        told = json.loads(shown)
        assert [each["name"] for each in told["channels"]] == ["phone"]
        assert list(told["mutes"]) == ["teo"]
        assert told["mutes"]["teo"].startswith(f"{until:%Y-%m-%dT%H:%M}")
    for path in (mira.cwd / "ledger").rglob("*"):  # it stands in no record
        assert not path.is_file() or phone.address.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("text", ["", "1", "0h", "1d", "-1h", "1h "])
def test_a_length_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(MalformedError, match="invalid duration --mute"):
        mute_length("--mute", text)


def test_a_mute_of_more_than_12_h_is_refused_before_anybody_signs(mira: Person) -> None:
    with pytest.raises(MalformedError, match="12 h at most"):
        mute(find(str(mira.cwd)), "teo", timedelta(hours=13))
