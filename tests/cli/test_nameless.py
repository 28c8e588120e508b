"""R13: a uid without a name and no HOME, as containers give it: no traceback, and a way out."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.embedded.isolated import Person, command
from tests.kit.lying_broker import responder

AS_NOBODY = ["unshare", "--user", "--map-user=12345", "--map-group=12345"]
pytestmark = pytest.mark.skipif(
    subprocess.run([*AS_NOBODY, "true"], capture_output=True, check=False).returncode != 0,
    reason="no user namespaces here",
)


def types(person: Person, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Type a command as uid 12345, which has no name, without HOME."""
    kept = {name: value for name, value in person.environment.items() if name != "HOME"}
    kept.pop("XDG_STATE_HOME")
    return subprocess.run(
        [*AS_NOBODY, *command(words)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        env={**kept, **more}, cwd=person.cwd,
    )  # fmt: skip


def test_every_first_command_says_what_is_missing(tmp_path: Path) -> None:
    person = Person.at(tmp_path)
    for words in (("status",), ("init", "org"), ("break", "hello", "--why", "x"), ("use", ".")):
        said = types(person, "breakglass", *words)
        assert said.returncode == 6, said.stderr
        assert "Traceback" not in said.stderr
        assert "internal error" not in said.stderr
        assert "hint: " in said.stderr


def test_a_break_that_ssh_keygen_cannot_sign_names_the_way_out(tmp_path: Path) -> None:
    with responder(tmp_path) as mira:
        words = ("break", "orders-repair", "--incident", "INC-4821", "--why", "x")
        said = types(mira, "breakglass", *words, XDG_STATE_HOME=str(tmp_path / "state"))
        assert said.returncode == 5, said.stderr
        assert "No user exists for uid 12345" in said.stderr
        assert "hint: ssh-keygen needs a name for this uid" in said.stderr
        assert mira.broker.asked == ["GET /glasses"]
