"""``breakglass join`` on one machine: what it makes, refuses and tells; and levels at a gate."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from breakglass.http.client import Peer
from breakglass.operate.fixed_address import HIGHEST, LOWEST
from breakglass.tlog.note import SignerKey
from tests.embedded.isolated import Person, running_up
from tests.kit.processes import until

LOG = str(SignerKey.generate("ledger.example/one").verifier)


@pytest.fixture
def noor(tmp_path: Path) -> Person:
    return Person.at(tmp_path)


def test_a_witness_needs_nothing_but_the_logs_key_and_serves_by_tls(noor: Person) -> None:
    said = noor.types("breakglass", "join", "witness", "--out", "w", "--log", LOG, "--json")
    assert said.code == 0, said.err
    told = json.loads(said.out)
    (line,) = told["trust_lines"]
    assert line.startswith("witness witness-1 witness-1.")
    assert re.fullmatch(r"https://127\.0\.0\.1:[0-9]+#[0-9a-f]{64}", told["url"])
    # The port is kept for every start, so it is none that systems hand out by themselves.
    assert LOWEST <= int(told["url"].rpartition(":")[2].partition("#")[0]) < HIGHEST
    folder = noor.cwd / "w"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in ("key", "certificate.key"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    process = noor.starts_module("witness", "w")
    try:
        until(lambda: (folder / "address").exists())
        assert (folder / "address").read_text().strip() == told["url"]
        with Peer(told["url"]) as witness:
            assert witness.get("/healthz").json()["logs"] == 1
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_a_trust_file_gives_the_group_line_too(noor: Person) -> None:
    key = str(noor.key)
    assert noor.types("breakglass", "init", "org", "--as", "mira", "--key", key).code == 0
    words = ("join", "witness", "--out", "w", "--log", "org/trust", "--json")
    told = json.loads(noor.types("breakglass", *words).out)
    assert told["trust_lines"][1] == "group seen 2 witness-1 witness-2 witness-3"
    lines = (noor.cwd / "w" / "lines").read_text().splitlines()
    assert lines == told["trust_lines"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--listen", "witness.example:8443"), "is not IP-ADDRESS:PORT"),
        (("--listen", "10.0.0.9"), "is not IP-ADDRESS:PORT"),
        (("--listen", "10.0.0.9:0"), "is not IP-ADDRESS:PORT"),
        (("--listen", "0.0.0.0:8443"), "say how they reach it: --known-as"),
    ],
)
def test_an_address_that_needs_a_name_or_reaches_nobody_is_refused(
    noor: Person, words: tuple[str, str], said: str
) -> None:
    done = noor.types("breakglass", "join", "witness", "--out", "w", "--log", LOG, *words)
    assert (done.code, said in done.err) == (2, True), done.err
    assert not (noor.cwd / "w").exists()


def test_a_folder_of_something_else_is_left_alone(noor: Person) -> None:
    (noor.cwd / "w").mkdir()
    (noor.cwd / "w" / "diary").write_text("mine")
    done = noor.types("breakglass", "join", "witness", "--out", "w", "--log", LOG)
    assert (done.code, "holds something else; nothing was made" in done.err) == (6, True)
    assert [path.name for path in (noor.cwd / "w").iterdir()] == ["diary"]


def test_a_run_that_was_cut_off_is_taken_up_with_the_same_key(noor: Person) -> None:
    words = ("breakglass", "join", "witness", "--out", "w", "--log", LOG, "--json")
    first = json.loads(noor.types(*words).out)
    (noor.cwd / "w" / "settings.toml").unlink()  # the last that is written
    again = json.loads(noor.types(*words).out)
    assert again["new"] is True
    assert again["trust_lines"][0].split()[2] == first["trust_lines"][0].split()[2]
    assert again["url"].rpartition("#")[2] == first["url"].rpartition("#")[2]


def test_an_archive_has_one_place_and_the_ledger_an_address(noor: Person) -> None:
    base = ("breakglass", "join", "archiver", "--out", "a", "--log", LOG, "--ledger")
    neither = noor.types(*base, "http://127.0.0.1:1")
    assert (neither.code, "give one" in neither.err) == (2, True)
    nowhere = noor.types(*base, "ledger.example", "--folder", "kept")
    assert (nowhere.code, "is no address of a ledger" in nowhere.err) == (2, True)
    assert not (noor.cwd / "a").exists()


# --- an organisation whose quorum leaves the archiver out -----------------------------------------


@pytest.fixture
def mira(noor: Person) -> Iterator[Person]:
    key = str(noor.key)
    assert noor.types("breakglass", "init", "org", "--as", "mira", "--key", key).code == 0
    with running_up(noor):
        declare = ("incident", "declare", "INC-1", "--severity", "SEV1", "--title", "x")
        assert org(noor, *declare).code == 0
        yield noor


def org(person: Person, *words: str):  # type: ignore[no-untyped-def]
    return person.types("breakglass", *words, "--org", "org")


def in_force(mira: Person, *words: str) -> None:
    """Write, sign and activate a next version."""
    assert org(mira, "trust", "next", *words, "--sign-here").code == 0
    done = org(mira, "trust", "activate", "org/trust.next")
    assert done.code == 0, done.err


def open_gate(mira: Person, run: str) -> tuple[int, str]:
    """Break the glass and show the token at the gate, which asks nobody."""
    grant = org(mira, "break", "hello", "--incident", "INC-1", "--why", run).row("grant")
    words = ("gate", "token", grant, "--gate", "hello-gate", "--for", run, "--out", "token")
    assert org(mira, *words).code == 0
    gate = ("breakglass-gate", "run", "hello-gate", "--folder", "org/gates/hello-gate")
    done = mira.types(*gate, "--token", "token", "--for", run, "--", "false")
    return done.code, done.err


def test_level_archived_is_checked_offline_by_a_gate_whose_quorum_would_do_without(
    mira: Person,
) -> None:
    in_force(mira, "group kept any seen archiver", "--level", "witnessed")
    # Frozen, so that it is not started again; its folder's lock names it.
    pid = int((mira.cwd / "org" / "archiver" / "lock").read_text())
    os.kill(pid, signal.SIGSTOP)
    assert open_gate(mira, "1")[0] == 0
    # The same proof, and a trust file that asks for more.
    gate = mira.cwd / "org" / "gates" / "hello-gate" / "trust"
    in_force(mira, "--level", "archived")
    assert b"level archived\n" in gate.read_bytes()
    code, said = open_gate(mira, "2")
    assert code == 4, said
    assert "has not cosigned in time; this trust file asks for level 'archived'" in said


def test_an_activation_that_is_cut_off_goes_on_and_meanwhile_asks_everybody(mira: Person) -> None:
    words = ("join", "witness", "--out", "w", "--log", "org/trust", "--json")
    told = json.loads(mira.types("breakglass", *words).out)
    process = mira.starts_module("witness", "w")
    try:
        until(lambda: (mira.cwd / "w" / "address").exists())
        (mira.cwd / "lines").write_text("\n".join(told["trust_lines"]))
        assert org(mira, "trust", "next", "lines", "--sign-here").code == 0
        # What a crash behind step 2 leaves: the joint policy, and no record yet.
        joint = org(mira, "trust", "policy", "--both", "org/trust.next").out
        assert "witness witness-1.next " in joint
        (mira.cwd / "org" / "ledger" / "policy").write_text(joint)
        between = org(mira, "break", "hello", "--incident", "INC-1", "--why", "between")
        assert between.code == 0, between.err
        shutil.copy(mira.cwd / "org" / "trust.next", mira.cwd / "sent")
        done = org(mira, "trust", "activate", "org/trust.next")
        assert done.code == 0, done.err
        assert not (mira.cwd / "org" / "trust.next").exists()  # nothing waits any more
        assert "everybody" not in (mira.cwd / "org" / "ledger" / "policy").read_text()
        again = org(mira, "trust", "activate", "sent")
        assert again.code == 0, again.err
        after = org(mira, "break", "hello", "--incident", "INC-1", "--why", "after")
        assert after.code == 0, after.err
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_too_few_signatures_activate_nothing(mira: Person) -> None:
    policy = (mira.cwd / "org" / "ledger" / "policy").read_bytes()
    written = org(mira, "trust", "next", "--level", "witnessed")
    assert "still to sign: second" in written.err
    done = org(mira, "trust", "activate", "org/trust.next")
    assert (done.code, "1 of 2 maintainers signed" in done.err) == (4, True)
    assert (mira.cwd / "org" / "ledger" / "policy").read_bytes() == policy
    signed = org(mira, "trust", "sign", "org/trust.next", "--sign-here")
    assert "- level archived" in signed.err
    assert org(mira, "trust", "activate", "org/trust.next").code == 0


def test_a_copy_that_went_another_way_than_the_believed_trust_file_is_refused(
    mira: Person,
) -> None:
    assert org(mira, "trust", "next", "--level", "witnessed", "--sign-here").code == 0
    (mira.cwd / "org" / "trust.next").rename(mira.cwd / "never")
    in_force(mira, "--level", "justified")
    assert org(mira, "ledger", "export", "--to", "copy").code == 0
    said = org(mira, "ledger", "verify", "copy", "--trust", "never")
    assert (said.code, "trust file 2 of this copy is another one than yours" in said.err) == (
        4,
        True,
    )
    assert org(mira, "ledger", "verify", "copy", "--trust", "org/trust").code == 0
