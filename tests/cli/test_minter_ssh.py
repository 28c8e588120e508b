"""The keys and hosts of an SSH minter: made once, added to, and never changed in passing."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from breakglass.cli.minter_ssh import TABLE, add_hosts, make_keys
from breakglass.errors import MisconfiguredError
from breakglass.minter.platforms.ssh_host import SshHost
from breakglass.minter.settings import MinterSettings
from breakglass.process.settings import read_settings
from tests.embedded.isolated import Person

KEY = "ssh-ed25519 " + "A" * 68
WEB_1, WEB_2 = SshHost("web-1", "10.77.0.9", KEY), SshHost("web-2", "10.77.0.10", KEY, 2222)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    head = 'name = "web"\nlog = "l.example/one"\nledger = "../ledger/address"\nplatform = "ssh"\n'
    (tmp_path / "settings.toml").write_text(f"{head}{TABLE}\n[serving]\nport = 7000\n")
    return tmp_path


def test_keys_are_made_once_and_nobody_else_reads_them(folder: Path) -> None:
    first = make_keys(folder)
    assert first == make_keys(folder)
    assert len(set(first)) == 2
    assert all((folder / each).stat().st_mode & 0o777 == 0o600 for each in ("ca", "control"))
    (folder / "control").unlink()  # a run that was cut off between the two
    (folder / "control.pub").unlink()
    ca, control = make_keys(folder)
    assert ca == first[0]
    assert control != first[1]


def test_hosts_are_added_and_the_minter_reads_them(folder: Path) -> None:
    assert add_hosts(folder, [WEB_1]) == ["web-1"]
    assert add_hosts(folder, [WEB_1, WEB_2, WEB_2]) == ["web-2"]
    assert add_hosts(folder, [WEB_2]) == []
    settings = read_settings(folder, MinterSettings)
    assert settings.ssh is not None
    assert settings.ssh.hosts == (WEB_1, WEB_2)
    assert settings.ssh.ca_key == folder / "ca"


def test_a_host_of_that_name_with_another_key_changes_nothing(folder: Path) -> None:
    add_hosts(folder, [WEB_1])
    before = (folder / "settings.toml").read_text()
    other = SshHost("web-1", "10.77.0.9", KEY.replace("AAAA", "BBBB"))
    with pytest.raises(MisconfiguredError, match="'web-1' stands there with another") as caught:
        add_hosts(folder, [WEB_2, other])
    assert caught.value.name == "not_empty"
    assert (folder / "settings.toml").read_text() == before


def test_a_minter_for_hosts_is_made_and_typed_again_it_takes_more_hosts(tmp_path: Path) -> None:
    mira = Person.at(tmp_path)
    said = mira.types("breakglass", "init", "org", "--as", "mira", "--key", str(mira.key))
    assert said.code == 0, said.err
    add = ("breakglass", "minter", "add", "web", "--platform", "ssh", "--org", "org")
    said = mira.types(*add)
    assert said.code == 0, said.err
    assert said.row("authority").startswith("ssh-ed25519 ")
    assert said.row("control").startswith("ssh-ed25519 ")
    again = mira.types(*add, "--host", f"web-1 127.0.0.1 1 {KEY}")
    assert again.code == 0, again.err
    assert again.row("authority") == said.row("authority")
    assert again.row("changed") == "host web-1"
    table = tomllib.loads((tmp_path / "org/minter-web/settings.toml").read_text())["ssh"]
    assert [each["name"] for each in table["hosts"]] == ["web-1"]
    checked = mira.types("breakglass", "minter", "check", "web", "--org", "org")
    assert checked.code == 6
    assert "web-1: host 'web-1' did not answer 'describe'" in checked.out
    wrong = mira.types(*add, "--dsn", "host=x")
    assert "an SSH minter takes --host alone" in wrong.err
