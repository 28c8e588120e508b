"""The two-minute tour of the README, typed for real in a home of its own."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.embedded.isolated import Person, Typed, running_up
from tests.kit.plain_english import check_wording
from tests.scripts.readme import Step, tour

GRANT = "g-7kq3m2x4p5ab"  # the grant of the README; a real one stands in for it
# What differs from night to night: numbers, ids, times and hashes.
_CHANGING = re.compile(r"[0-9]+|g-[a-z2-7]{12}|\s+")


@dataclass
class Terminal:
    """A shell in the clone, that knows nothing but what was typed into it."""

    person: Person
    before: list[str] = field(default_factory=list)  # what changed the shell itself

    def types(self, line: str) -> Typed:
        """Type a line, behind everything that changed this shell."""
        script = "\n".join(["set -e", *self.before, f"exec {line}"])
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.person.cwd,
            env=self.person.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        check_wording(f"{done.stdout}\n{done.stderr}")
        return Typed(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[Step, Typed]]]:
    """Type every step of the tour; returns each with what it said."""
    folder = tmp_path_factory.mktemp("tour")
    person = Person.at(folder)
    person.extra["PATH"] = "/usr/bin:/bin"  # no command of ours is on it
    ssh = person.home / ".ssh"
    ssh.mkdir(mode=0o700)
    person.key.rename(ssh / "id_ed25519")  # where a person's key is
    (person.home / "key.pub").rename(ssh / "id_ed25519.pub")
    clone = folder / "clone"
    clone.mkdir()
    # What 'make demo' leaves; the interpreter of these tests was installed the same way.
    (clone / ".venv").symlink_to(Path(sys.executable).parents[1])
    person.cwd = clone
    found: list[tuple[Step, Typed]] = []
    grant, terminal = "", Terminal(person)
    with ExitStack() as open_terminals:
        for step in tour():
            words = [word.replace(GRANT, grant) if grant else word for word in step.words]
            if words[0] == ".":
                terminal = Terminal(person)  # the first line in every new one
            if words[0] in (".", "cd"):
                terminal.before.append(shlex.join(words))
                continue
            if words[:2] == ["breakglass", "up"]:
                open_terminals.enter_context(running_up(person, words[-1]))
                continue
            said = terminal.types(shlex.join(words))
            found.append((step, said))
            if words[:3] == ["breakglass", "break", "hello"]:
                grant = said.row("grant")
        assert list(clone.iterdir()) == [clone / ".venv"]  # the clone is as it was
        yield found


def test_every_step_of_the_tour_works(walked):
    # `doctor` is red from the first day: two of two maintainers are one lost key from the end.
    red = [said for step, said in walked if step.words == ("breakglass", "doctor")]
    assert [each.code for each in red] == [6]
    assert "2 of 2 maintainers sign: one lost key" in red[0].out
    assert red[0].out.count("FAIL") == 1
    failed = [f"{step}: {said.code}, {said.err}" for step, said in walked if said.code != 0]
    assert len(failed) == 1, failed
    assert len(walked) >= 14


def test_the_readme_shows_what_the_commands_say(walked):
    for step, said in walked:
        printed = _steady(said.out + said.err)
        for line in step.shows:
            assert _steady(line) in printed, f"{step}: {line!r} is not in {said.out + said.err!r}"


def test_no_home_but_the_persons_own_is_written(walked, tmp_path_factory):
    home = Path(tmp_path_factory.getbasetemp()) / "tour0" / "home"
    assert sorted(path.name for path in home.iterdir()) == [".config", ".ssh"]
    kept = [path.name for path in (home / ".config").rglob("*")]
    assert kept == ["breakglass", "used"]  # which client.toml 'init' allowed
    assert sorted(path.name for path in (home / ".ssh").iterdir()) == [
        "id_ed25519",
        "id_ed25519.pub",
    ]


def _steady(text: str) -> str:
    return _CHANGING.sub(" ", text)
