"""``breakglass channel test``: a channel is tried before the night on which it counts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from breakglass.demo.webhook_sink import WebhookSink
from tests.embedded.isolated import Person


@pytest.fixture
def mira(tmp_path: Path) -> Person:
    person = Person.at(tmp_path)
    said = person.types("breakglass", "init", "org", "--as", "mira", "--key", str(person.key))
    assert said.code == 0, said.err
    return person


def add_channel(person: Person, name: str, address: str, secret: str = "s3cret") -> None:
    settings = person.cwd / "org" / "monitor" / "settings.toml"
    table = f'\n[channels.{name}]\ntype = "webhook"\naddress = "{address}"\nsecret = "{secret}"\n'
    settings.write_text(settings.read_text() + table)


def test_a_message_marked_test_is_heard_once_each_time(mira: Person) -> None:
    for _ in range(2):
        said = mira.types("breakglass", "channel", "test", "file")
        assert said.code == 0, said.err
        assert said.row("heard") == "'file' took the message; it is marked TEST"
    lines = (mira.cwd / "org" / "monitor" / "data" / "alarms.log").read_text().splitlines()
    told = [json.loads(each) for each in lines]
    assert [each["subject"] for each in told] == ["test", "test"]
    assert all(each["text"].startswith("TEST of this channel") for each in told)
    assert told[0]["thread"] != told[1]["thread"]


def test_a_webhook_is_rung_with_the_signature_of_a_real_alert(mira: Person) -> None:
    with closing(WebhookSink()) as sink:
        add_channel(mira, "pager", sink.address, sink.secret)
        said = mira.types("breakglass", "channel", "test", "pager")
        assert said.code == 0, said.err
    (heard,) = sink.heard
    assert (heard.body["subject"], sink.forged) == ("test", 0)


def test_it_says_why_a_channel_was_not_heard(mira: Person) -> None:
    add_channel(mira, "pager", "http://127.0.0.1:1/hook")
    said = mira.types("breakglass", "channel", "test", "pager")
    assert said.code == 5
    assert "'pager': the receiver cannot be reached: ConnectionRefusedError" in said.out
    assert "s3cret" not in said.out + said.err
    shown = mira.types("breakglass", "channel", "test", "pager", "--json")
    assert (shown.code, json.loads(shown.out)["heard"]) == (5, False)


def test_an_unknown_channel_lists_those_that_there_are(mira: Person) -> None:
    said = mira.types("breakglass", "channel", "test", "hook")
    assert (said.code, "no channel 'hook'; there are: file, file-2" in said.err) == (6, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_as_root_it_is_sent_as_the_monitors_own_user(mira: Person) -> None:
    monitor = mira.cwd / "org" / "monitor"
    for path in (monitor, *monitor.rglob("*")):
        os.chown(path, 12345, 12345)
    for path in (mira.cwd / "org", *mira.cwd.parents, mira.cwd):
        if path.stat().st_uid == 0 and path != Path("/") and "pytest" in str(path):
            path.chmod(0o711)
    done = subprocess.run(
        [sys.executable, "-m", "breakglass.cli", "channel", "test", "file"],
        env={**mira.environment, "BREAKGLASS_ORG": "org"},
        cwd=mira.cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (monitor / "data" / "alarms.log").stat().st_uid == 12345


def test_a_channel_that_the_policy_alone_names_is_tried_with_its_secret(mira: Person) -> None:
    monitor = mira.cwd / "org" / "monitor"
    kept = {"bundle": "b", "channels": {"pager": ["webhook", "secret:pager", []]}, "alerts": {},
            "glasses": {}}  # fmt: skip
    (monitor / "data" / "channels").mkdir(parents=True)
    (monitor / "data" / "channels" / "policy.json").write_text(json.dumps(kept))
    missing = mira.types("breakglass", "channel", "test", "pager")
    assert missing.code == 5
    assert "secret 'pager' cannot be read" in missing.out
    with closing(WebhookSink()) as sink:
        (monitor / "secrets").mkdir()
        (monitor / "secrets" / "pager").write_text(f"{sink.address} {sink.secret}\n")
        (monitor / "secrets" / "pager").chmod(0o600)
        said = mira.types("breakglass", "channel", "test", "pager")
        assert said.code == 0, said.err
    (heard,) = sink.heard
    assert (heard.body["subject"], sink.forged) == ("test", 0)
