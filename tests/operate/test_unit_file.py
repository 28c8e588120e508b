"""Units for systemd: hardened, one user each, and taken by systemd's own tools."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from breakglass.errors import MisconfiguredError
from breakglass.operate.unit_file import processes_in, unit_of, unit_text, users_script
from tests.embedded.isolated import Person

NAMES = ["witness-1", "witness-2", "witness-3", "archiver", "ledger", "broker", "monitor"]
AT_MOST = 2.0
"""Of systemd's exposure score: below it, it says OK; 9.6 is a service that asks for nothing."""


@pytest.fixture
def mira(tmp_path: Path) -> Person:
    person = Person.at(tmp_path)
    said = person.types("breakglass", "init", "org", "--as", "mira", "--key", str(person.key))
    assert said.code == 0, said.err
    return person


def types(person: Person, *words: str) -> str:
    said = person.types("breakglass", "unit", *words)
    assert said.code == 0, said.err
    return said.out


def test_each_process_has_a_unit_with_a_user_and_a_folder_of_its_own(mira: Person) -> None:
    assert types(mira).split() == NAMES
    for name in NAMES:
        text = types(mira, name)
        folder = mira.cwd / "org" / name
        assert f"User=breakglass-{name}\nGroup=breakglass-{name}\n" in text
        assert f"ReadWritePaths={folder}\n" in text
        room = name.partition("-")[0]
        assert re.search(rf"ExecStart=/\S+ -P -m breakglass\.{room} {folder}\n", text)
        for line in ("NoNewPrivileges=yes", "ProtectSystem=strict", "Restart=always", "UMask=0077"):
            assert f"{line}\n" in text


def test_systemd_takes_every_unit_and_scores_it_as_well_confined(
    mira: Person, tmp_path: Path
) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed: make system")
    for name in NAMES:
        file = tmp_path / f"breakglass-{name}.service"
        # The user is made by the script that 'unit --users' prints; here root stands for it.
        file.write_text(re.sub("(User|Group)=.*", r"\1=root", types(mira, name)))
        verify = subprocess.run(
            [analyze, "verify", file], capture_output=True, text=True, check=False
        )
        ours = [line for line in verify.stderr.splitlines() if "breakglass-" in line]
        assert (verify.returncode, ours) == (0, [])
        file.write_text(types(mira, name))
        score = subprocess.run(
            [analyze, "security", "--offline=true", "--no-pager", file],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        found = re.search(r"exposure level for \S+: ([0-9.]+)", score)
        assert found, score
        print(f"{name}: systemd-analyze security scores {found.group(1)}")
        assert float(found.group(1)) <= AT_MOST, score


def test_the_script_of_users_gives_each_folder_away_and_twice_does_no_harm(mira: Person) -> None:
    script = types(mira, "--users")
    assert script.count("useradd --system") == len(NAMES)
    folder = mira.cwd / "org" / "ledger"
    assert f"chown -R breakglass-ledger:breakglass-ledger {folder}\n" in script
    assert f"chmod 0711 {folder}\n" in script
    done = subprocess.run(["sh", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_a_unit_cannot_hold_is_refused(tmp_path: Path) -> None:
    odd = tmp_path / "an org" / "ledger"
    odd.mkdir(parents=True)
    (odd / "settings.toml").touch()
    with pytest.raises(MisconfiguredError, match="cannot stand in a unit; move it"):
        unit_of(odd)
    with pytest.raises(MisconfiguredError, match="is no folder of a process"):
        unit_of(tmp_path)


def test_a_process_alone_on_its_host_has_a_unit_too(tmp_path: Path) -> None:
    folder = tmp_path / "witness-1"
    folder.mkdir()
    (folder / "settings.toml").touch()
    found = unit_of(folder, Path("/usr/bin/python3"))
    assert f"ExecStart=/usr/bin/python3 -P -m breakglass.witness {folder}\n" in unit_text(found)
    assert processes_in(tmp_path) == []  # it has no key: its place is on another host now
    (folder / "key").touch()
    assert processes_in(tmp_path) == ["witness-1"]
    assert "breakglass-witness-1" in users_script([found])
