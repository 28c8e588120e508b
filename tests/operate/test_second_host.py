"""A second host, typed from docs/how-to/second-host.md: who can do what, and a cable that is cut.

Two network namespaces stand for two hosts. Needs root and iproute2.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from breakglass.embedded.alert_log import ALARMS
from breakglass.tlog.note import COSIGNATURE, SignerKey
from breakglass.witness.heads import Heads
from tests.embedded.isolated import Person, Typed, gone_within, running_up
from tests.kit.processes import until
from tests.kit.two_hosts import TwoHosts, two_hosts, why_not

PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/second-host.md"
_BLOCK = re.compile(r"```sh (one|two)\n(.*?)```", re.DOTALL)
ROOMS = ("witness-1", "archiver")
GATE = ("breakglass-gate", "run", "hello-gate", "--folder", "org/gates/hello-gate")
FLUSH = ("breakglass-gate", "flush", "hello-gate", "--folder", "org/gates/hello-gate")


def typed_in_the_page() -> list[tuple[str, str]]:
    """Return every line that the page has somebody type, with the host."""
    return [
        (host, line)
        for host, text in _BLOCK.findall(PAGE.read_text())
        for line in text.splitlines()
    ]


@dataclass
class Moved:
    """Two people on two hosts after the whole page was typed."""

    hosts: TwoHosts
    mira: Person
    noor: Person
    up: subprocess.Popen[str]
    rooms: dict[str, subprocess.Popen[str]]
    said: dict[str, Typed] = field(default_factory=dict)

    def mira_types(self, *words: str) -> Typed:
        """Type on the first host, in the organisation's folder."""
        return self.mira.types("breakglass", *words, "--org", "org")

    def breaks(self, why: str, *more: str) -> Typed:
        """Break the glass."""
        return self.mira_types("break", "hello", "--incident", "INC-1", "--why", why, *more)

    def alarms(self) -> list[str]:
        """Return the subjects of what the monitor rang."""
        text = (self.mira.cwd / "org" / "monitor" / ALARMS).read_text()
        return [json.loads(line)["subject"] for line in text.splitlines()]


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moved]:
    """Type the page."""
    if why := why_not():
        pytest.skip(f"no second host: {why}")
    folder = tmp_path_factory.mktemp("second")
    with ExitStack() as stack:
        hosts = stack.enter_context(two_hosts())
        (folder / "two").mkdir()
        mira, noor = Person.at(folder), Person.at(folder / "two")
        mira.prefix, noor.prefix = hosts.on(hosts.one), hosts.on(hosts.two)
        init = ("breakglass", "init", "org", "--as", "mira", "--key", str(mira.key))
        assert mira.types(*init).code == 0
        page = _Typing(stack, mira, noor)
        for host, line in typed_in_the_page():
            page.type(host, line)
        assert page.up is not None
        made = Moved(hosts, mira, noor, page.up, page.rooms, page.said)
        declare = ("incident", "declare", "INC-1", "--severity", "SEV1", "--title", "checkout 5xx")
        assert made.mira_types(*declare).code == 0
        yield made


class _Typing:
    """Types one line after the other; what stays is started."""

    def __init__(self, stack: ExitStack, mira: Person, noor: Person) -> None:
        self.stack, self.people = stack, {"one": mira, "two": noor}
        self.said: dict[str, Typed] = {}
        self.rooms: dict[str, subprocess.Popen[str]] = {}
        self.up: subprocess.Popen[str] | None = None
        self.variables: dict[str, str] = {}

    def type(self, host: str, line: str) -> None:
        person = self.people[host]
        assigned = re.fullmatch(r"(LEDGER|LOG)='(.*)…'", line)
        if assigned is not None:
            row = self.said["join ledger"].row(assigned[1].lower())
            assert row.startswith(assigned[2].rpartition("#")[0].rpartition("+")[0].split("+")[0])
            self.variables[assigned[1]] = row
            return
        words = shlex.split(line)
        words = [self.variables.get(word.removeprefix("$"), word) for word in words]
        if words[:2] == ["breakglass", "up"]:
            self.up = self.stack.enter_context(running_up(person))
        elif words[0] == "python":
            self._starts(person, words)
        elif words[0] == "cat":
            (self.people["one"].cwd / "lines").write_text(
                "".join((person.cwd / each).read_text() for each in words[1:])
            )
        else:
            said = person.types(*words)
            self.said[" ".join(words[1:3])] = said
            assert said.code in ((0, 6) if words[1] == "doctor" else (0,)), (line, said)

    def _starts(self, person: Person, words: list[str]) -> None:
        room, folder = words[2].removeprefix("breakglass."), words[3]
        process = person.starts_module(room, folder)
        self.stack.callback(_stop, process)
        self.rooms[folder] = process
        until(lambda: (person.cwd / folder / "address").exists())


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.communicate(timeout=60)


def test_a_break_works_over_both_hosts_and_its_proof_carries_the_new_keys(moved: Moved) -> None:
    said = moved.breaks("both hosts")
    assert said.code == 0, said.err
    assert said.row("recorded").endswith("of 3 witnesses, archived")
    lines = (moved.mira.cwd / "lines").read_text()
    for name in ROOMS:
        assert str(key_of(moved.noor.cwd / name).verifier) in lines
    # No head counts without the new archiver; two of three witnesses are enough for the rest.
    head = exported_head(moved, "first")
    assert f"— {key_of(moved.noor.cwd / 'archiver').name} " in head
    assert "— archiver.try-out.example " not in head
    until(lambda: witnessed_size(moved) >= int(head.splitlines()[1]))


def test_the_old_keys_are_gone_and_their_processes_stopped(moved: Moved) -> None:
    org = moved.mira.cwd / "org"
    assert moved.said["trust activate"].out.count("dropped") == 2
    for name in ROOMS:
        assert not (org / name / "key").exists()
        assert gone_within(f"{org / name} ", 10) == []
    assert (org / "archiver" / "data" / "store").is_dir()  # what was archived here stays


def test_a_key_never_leaves_its_folder(moved: Moved) -> None:
    for name in ROOMS:
        folder = moved.noor.cwd / name
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "key").stat().st_mode) == 0o600
        secret = (folder / "key").read_text().strip().split("+", 4)[4]
        said = "".join(each.out + each.err for each in moved.said.values())
        assert secret not in said
        assert secret not in (moved.mira.cwd / "lines").read_text()


def test_no_single_host_can_forge_a_quorum_any_more_and_doctor_says_so(moved: Moved) -> None:
    told = json.loads(moved.mira_types("doctor", "--json").out)
    hosts = {each["name"]: each["host"] for each in told["keys"] if each["room"] != "maintainer"}
    assert (hosts["witness-1"], hosts["archiver"]) == ("10.77.0.2", "10.77.0.2")
    assert (hosts["witness-2"], hosts["witness-3"]) == ("this host", "this host")
    powers = {each["name"]: each for each in told["powers"]}
    assert powers["rewrite"]["by"] == []
    assert powers["rewrite"]["said"] == "no one host; this host and 10.77.0.2 together"
    assert powers["lose_all"]["by"] == []
    assert powers["erase"]["by"] == ["10.77.0.2"]
    assert powers["edit"]["noticed"].startswith("witness-1, archiver")
    assert told["next"]["name"] == "second_maintainer"
    findings = {each["name"]: each["weight"] for each in told["findings"]}
    assert (findings["one_host"], findings["alive"]) == ("OK", "OK")


def test_the_table_fits_a_terminal_of_80_columns(moved: Moved) -> None:
    said = moved.mira_types("doctor")
    table = said.out.partition("\n\nOK")[0]
    assert "what could be done" in table
    assert max(map(len, table.splitlines())) <= 80


def test_a_second_run_tells_the_same_lines_and_changes_no_key(moved: Moved) -> None:
    before = key_of(moved.noor.cwd / "witness-1")
    log = moved.said["join ledger"].row("log")
    words = ("join", "witness", "--out", "witness-1", "--listen", "10.77.0.2:9999", "--log", log)
    again = moved.noor.types("breakglass", *words, "--json")
    told = json.loads(again.out)
    assert told["new"] is False
    assert told["trust_lines"][0] in (moved.mira.cwd / "lines").read_text().splitlines()
    assert key_of(moved.noor.cwd / "witness-1") == before
    other = moved.noor.types("breakglass", *words[:-1], "other.example/log+" + log.split("+", 1)[1])
    assert other.code == 2  # the key id no longer fits the name
    taken = moved.noor.types("breakglass", *words, "--name", "witness-2")
    assert (taken.code, "is witness 'witness-1' already; nothing was changed" in taken.err) == (
        6, True,
    )  # fmt: skip


def test_with_the_cable_cut_nothing_is_minted_and_healed_it_all_catches_up(moved: Moved) -> None:
    before = moved.breaks("before").row("grant")
    token = ("gate", "token", before, "--gate", "hello-gate", "--for", "1", "--out", "token")
    assert moved.mira_types(*token).code == 0
    rung = moved.alarms()
    archived = sorted((moved.noor.cwd / "archive").rglob("seg/*"))
    moved.hosts.cut()
    try:
        said = moved.breaks("while it is cut")
        assert said.code == 5
        assert "nothing was minted" in said.err
        grant = re.search(r"breakglass break --again (g-[a-z2-7]{12})", said.err)
        assert grant is not None, said.err
        # The gate asks nobody: a token from before opens it, and that outcome waits to be sent.
        shown = ("--token", "token", "--for", "1", "--", "false")
        assert moved.mira.types(*GATE, *shown).code == 0
        assert moved.mira.types(*FLUSH).out.strip() != "0 records wait"
        assert sorted((moved.noor.cwd / "archive").rglob("seg/*")) == archived
    finally:
        moved.hosts.heal()
    again = eventually_types(moved, "break", "--again", grant[1])
    assert again.row("grant") == grant[1]
    until(lambda: moved.mira.types(*FLUSH).out.strip() == "0 records wait")
    assert moved.breaks("after").code == 0
    size = int(exported_head(moved, "copy").splitlines()[1])
    until(lambda: size <= archived_size(moved))
    false = {"withheld", "two_histories", "missing_records", "forbidden", "not_following"}
    assert false.isdisjoint(moved.alarms()[len(rung) :])
    for trust in ("org/broker/trust", "org/trust"):  # the first version, and the newest
        checked = moved.mira_types("ledger", "verify", "copy", "--trust", trust, "--json")
        assert checked.code == 0, checked.err
        assert json.loads(checked.out)["forbidden"] == []


def test_another_certificate_at_the_address_is_not_spoken_to(moved: Moved) -> None:
    """A man in the middle of the cable has an address and no pinned key."""
    (moved.mira.cwd / "pinned").mkdir(exist_ok=True)
    lines = (moved.mira.cwd / "lines").read_text()
    pin = re.search(r"#([0-9a-f]{64})", lines)
    assert pin is not None
    other = pin[1][:-1] + ("0" if pin[1][-1] != "0" else "1")
    line = lines.splitlines()[0].replace(pin[1], other)
    assert moved.mira_types("trust", "next", line, "--sign-here").code == 0
    said = moved.mira_types("trust", "activate", "org/trust.next")
    assert (said.code, "is not the pinned" in said.err) == (5, True)
    assert moved.breaks("the refused file changed nothing").code == 0


def test_a_line_whose_key_does_not_cosign_there_changes_nothing(moved: Moved) -> None:
    stranger = SignerKey.generate("stranger.example", COSIGNATURE).verifier
    first = (moved.mira.cwd / "lines").read_text().splitlines()[0].split()
    line = " ".join([*first[:2], str(stranger), first[3]])
    policy = (moved.mira.cwd / "org" / "ledger" / "policy").read_bytes()
    assert moved.mira_types("trust", "next", line, "--sign-here").code == 0
    said = moved.mira_types("trust", "activate", "org/trust.next")
    assert (said.code, "cosigns with another key than its line says" in said.err) == (4, True)
    assert (moved.mira.cwd / "org" / "ledger" / "policy").read_bytes() == policy


def test_started_again_without_the_old_two_a_newcomer_folds_the_same_from_the_newest_trust_file(
    moved: Moved,
) -> None:
    org = moved.mira.cwd / "org"
    before = int(told_by(moved, "broker")["size"])
    moved.up.send_signal(signal.SIGTERM)
    moved.up.wait(60)
    # A monitor that begins today, with the trust file of today and nothing else.
    (org / "monitor" / "trust").write_bytes((org / "trust").read_bytes())
    shutil.rmtree(org / "monitor" / "data" / "ledger")
    with running_up(moved.mira):
        assert not (org / "archiver" / "address").exists()
        until(lambda: told_by(moved, "broker") == told_by(moved, "monitor"))
        assert moved.breaks("after the restart").code == 0
        # It asks the archiver where the trust file says that it is now, and states what it heard.
        until(lambda: archive_looked_at(moved, since=before) == "held")


# --- what the tests look at ---------------------------------------------------------------------


def key_of(folder: Path) -> SignerKey:
    """Read the private key of a folder."""
    return SignerKey.parse((folder / "key").read_text().strip())


def exported_head(moved: Moved, folder: str) -> str:
    """Copy the ledger and return the newest head with its cosignatures."""
    said = moved.mira_types("ledger", "export", "--to", folder)
    assert said.code == 0, said.err
    return (moved.mira.cwd / folder / "checkpoint").read_text()


def told_by(moved: Moved, room: str, *more: str) -> dict[str, Any]:
    """Ask a process on the first host, from there, for its state."""
    code = (
        "import sys; from pathlib import Path; from tests.kit.reading import folder_peer;"
        "print(folder_peer(Path(sys.argv[1]), sys.argv[2]).get('/state').body.decode())"
    )
    folder = str(moved.mira.cwd / "org")
    words = [*moved.mira.prefix, sys.executable, "-c", code, folder, room]
    said = subprocess.run(words, capture_output=True, text=True, check=False)
    value = json.loads(said.stdout) if said.returncode == 0 else {"room": room}
    return {key: value[key] for key in value if key in ("size", "digest", "room", *more)}


def archive_looked_at(moved: Moved, since: int) -> str:
    """Return what the newest look at the archive found, if it was recorded behind ``since``."""
    said = told_by(moved, "broker", "summary")["summary"]["attested"]
    index, outcome, *_ = said.get("archive archiver", "-1 none").split()
    return str(outcome) if int(index) >= since else "not yet"


def archived_size(moved: Moved) -> int:
    """Return the size of the newest head that the second host holds in its final form."""
    return max(int(path.name) for path in (moved.noor.cwd / "archive").glob("*/cp/[0-9]*"))


def witnessed_size(moved: Moved) -> int:
    """Return the size of the head that the second host's witness cosigned last."""
    head = Heads(moved.noor.cwd / "witness-1" / "data" / "heads").last("try-out.example/ledger")
    assert f"— {key_of(moved.noor.cwd / 'witness-1').name} " in head.note.decode()
    return head.checkpoint.size


def eventually_types(moved: Moved, *words: str) -> Typed:
    """Type until it works; the cable has just been plugged in."""
    end = time.monotonic() + 60
    while (said := moved.mira_types(*words)).code:
        assert time.monotonic() < end, said.err
        time.sleep(0.2)
    return said
