"""An organisation in which every person's key is on P-256, made by OpenSSH itself."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from breakglass.records.trust import accept_trust
from breakglass.tlog.note import Note
from tests.kit.processes import until

from .isolated import Person, processes_naming, real_agent, running_up

# What ``init`` generates for others is ecdsa here, as if they had; grants' holder keys stay.
_ECDSA_PEOPLE = """#!/bin/sh
case "$*" in
  *"-t ed25519"*/keys/*)
    for path in "$@"; do :; done
    exec {real} -q -t ecdsa -N "" -C p256 -f "$path" ;;
esac
exec {real} "$@"
"""


@pytest.fixture
def mira(tmp_path: Path) -> Person:
    """Return a person whose machine makes ecdsa keys for people."""
    real = shutil.which("ssh-keygen")
    assert real is not None
    person = Person.at(tmp_path)
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "ssh-keygen").write_text(_ECDSA_PEOPLE.format(real=real))
    (programs / "ssh-keygen").chmod(0o755)
    person.extra["PATH"] = f"{programs}:{os.environ['PATH']}"
    return person


def test_p256_keys_work_from_init_to_break_and_through_the_custodians_door(mira: Person) -> None:
    """The breaker's key is in OpenSSH's agent, maintainers and custodians have files."""
    key = mira.home / "id_ecdsa"
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", key], check=True)
    with real_agent(mira.home / "agent", key):
        mira.extra["SSH_AUTH_SOCK"] = str(mira.home / "agent")
        said = mira.types("breakglass", "init", "org", "--as", "mira", "--custodians", "2")
        assert said.code == 0, said.err
        org = mira.cwd / "org"
        trust = accept_trust(Note.parse((org / "trust").read_bytes()), None)
        for people in (trust.maintainers, trust.custodians):
            assert len(people) == 2
            assert {keys[0].split()[0] for keys in people.values()} == {"ecdsa-sha2-nistp256"}
        with running_up(mira, str(org)):
            mira.cwd = org
            _break(mira)
            _door(mira)


def _break(mira: Person) -> None:
    said = mira.types("breakglass", "break", "hello", "--why", "all is red", "--json")
    assert said.code == 0, said.err
    grant = json.loads(said.out)["grant"]
    token = mira.types("breakglass", "gate", "token", grant, "--gate", "hello-gate", "--for", "7")
    assert token.code == 0, token.err
    (mira.cwd / "token").write_text(token.out)
    words = ("breakglass-gate", "run", "hello-gate", "--folder", "gates/hello-gate")
    opened = mira.types(*words, "--token", "token", "--for", "7", "--", "false")
    assert opened.code == 0, opened.err
    # Of the grant that is held here, its own key reads; nobody signed to read.
    shown = mira.types("breakglass", "status", grant, "--json")
    assert (shown.code, json.loads(shown.out)["grant"]) == (0, grant), shown.err
    ended = mira.types("breakglass", "done", grant)
    assert ended.code == 0, ended.err
    session = mira.cwd / "client" / "session.json"
    assert not session.exists()
    status = mira.types("breakglass", "status", "--json")
    assert (status.code, session.exists()) == (0, True), status.err
    assert json.loads(status.out)["grants"][0]["grant"] == grant


def _door(mira: Person) -> None:
    (ledger,) = processes_naming(f"{mira.cwd}/ledger")
    pid = int(ledger.split()[0])
    os.kill(pid, signal.SIGSTOP)
    try:
        asked = mira.types("breakglass", "door", "ask", "hello", "--why", "red", "--out", "0.door")
        assert asked.code == 0, asked.err
        for number in (1, 2):
            shutil.copy(mira.cwd / "0.door", mira.cwd / f"{number}.door")
            home = f"keys/custodians/custodian-{number}"
            said = mira.types(
                "breakglass", "door", "sign", f"{number}.door", "--yes", "--org", home
            )
            assert said.code == 0, said.err
        words = ("breakglass", "door", "use", "1.door", "2.door", "--gate", "hello-gate")
        used = mira.types(*words, "--for", "8", "--out", "door-token")
        assert used.code == 0, used.err
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: "entry" in mira.types("breakglass", "door", "list").out, 60)
