"""What still works without a party: seen in a twin that has really lost it, for every glass."""

from __future__ import annotations

import json
import shlex
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from breakglass.cli.doctor import doctor
from breakglass.cli.doctor_without import LOST
from breakglass.errors import UnavailableError
from breakglass.records.trust import Level, accept_trust
from breakglass.rehearsal.cells import WHAT, Works
from breakglass.rehearsal.twin import differences
from breakglass.rehearsal.without import Lost, _check_refused
from breakglass.tlog.note import Note

from .isolated import Person, processes_naming

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "what-still-works.md").read_text("utf-8")
GLASSES = """\
  orders-repair:
    does: repair rows of the table orders
    blast_radius: contained
    opens_gates: [hello-gate]
    mint: {postgres: {minter: orders-db, database: orders, template: breakglass_orders}}
    for: 30m
    who: [group:oncall]
    when: {incident: [SEV1], mfa_age: 5m}
    review: {due: 3 business days, by: [second]}
  outside-only:
    does: open hello-gate, in an incident that the pager knows of
    blast_radius: contained
    opens_gates: [hello-gate]
    for: 30m
    who: [group:oncall]
    when: {incident: [SEV1], incident_source: outside}
    review: {due: 3 business days, by: [second]}

channels:"""


@pytest.fixture(scope="module")
def mira(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    with tempfile.TemporaryDirectory(prefix="twin-") as short:  # a socket's path is 100 bytes long
        person = Person.at(tmp_path_factory.mktemp("without"))
        person.extra["TMPDIR"] = short
        yield with_glasses(person)


def with_glasses(person: Person) -> Person:
    words = ("init", "org", "--as", "mira", "--key", str(person.key), "--custodians", "2")
    said = person.types("breakglass", *words)
    assert said.code == 0, said.err
    policy = person.cwd / "org" / "bundle" / "breakglass.yaml"
    text = policy.read_text()
    assert text.count("\nchannels:") == 1
    policy.write_text(text.replace("\nchannels:", f"\n{GLASSES}", 1))
    return person


def without(person: Person, lost: str, *only: str) -> tuple[int, dict[str, Any]]:
    words = ("doctor", "--org", "org", "--without", lost, *(f"--glass={each}" for each in only))
    said = person.types("breakglass", *words, "--json", within_s=600)
    assert said.out, said.err
    left = Path(person.extra["TMPDIR"])
    assert (processes_naming(f"{left}/"), list(left.iterdir())) == ([], [])  # of the twin
    found = json.loads(said.out)
    glasses = only or ("hello", "orders-repair", "outside-only")
    assert (found["without"], tuple(found["glasses"])) == (lost, glasses)
    return said.code, found["glasses"]


def ways(cells: dict[str, Any]) -> dict[str, str]:
    return {what: cell["works"] for what, cell in cells.items()}


def on_the_page(lost: str) -> dict[str, str]:
    """Return the row of the how-to page."""
    (line,) = [each for each in PAGE.splitlines() if each.startswith(f"| {lost} |")]
    _, *cells = [each.strip() for each in line.strip("|").split("|")]
    return dict(zip(WHAT, cells, strict=True))


def test_without_the_ledger_custodians_open_and_what_was_granted_still_ends(mira: Person) -> None:
    code, glasses = without(mira, "ledger")
    cells = glasses["orders-repair"]
    assert (code, ways(cells)) == (5, on_the_page("ledger")), cells
    assert "recorded once it was back" in cells["break"]["says"]
    assert "Connection refused" in cells["kill"]["says"]
    assert "minter-orders-db" in cells["alert"]["says"]
    # Another glass, by another door: the one before is in the log by then.
    wanted = {**on_the_page("ledger"), "mint": "-", "end": "at end"}
    assert ways(glasses["hello"]) == wanted, glasses["hello"]
    assert set(ways(glasses["outside-only"]).values()) == {"not tried"}


def test_without_the_monitor_everything_works_and_the_alert_comes_later(mira: Person) -> None:
    code, glasses = without(mira, "monitor", "orders-repair")
    cells = glasses["orders-repair"]
    assert (code, ways(cells)) == (0, on_the_page("monitor")), cells
    assert cells["alert"]["says"] == "by monitor, once it was back"


def test_without_the_archiver_nothing_new_is_granted(mira: Person) -> None:
    code, glasses = without(mira, "archiver", "orders-repair")
    cells = glasses["orders-repair"]
    assert (code, ways(cells)) == (5, on_the_page("archiver")), cells
    assert "the ledger waits for 'archiver'" in cells["break"]["says"]
    assert "the custodians' door stays shut" in cells["break"]["says"]


def test_without_the_broker_tokens_and_ends_work(mira: Person) -> None:
    code, glasses = without(mira, "broker", "orders-repair")
    cells = glasses["orders-repair"]
    assert (code, ways(cells)) == (5, on_the_page("broker")), cells
    assert "Connection refused" in cells["break"]["says"]


def test_the_page_types_what_is_there() -> None:
    """Its commands parse, its words are those that are printed, and its loss is not chosen."""
    typed = [line for line in PAGE.splitlines() if line.startswith("breakglass doctor")]
    assert len(typed) == 2
    for line in typed:
        doctor.make_context("doctor", shlex.split(line)[2:])
    assert set(LOST) == set(Lost)
    for lost in LOST:
        assert set(on_the_page(lost).values()) <= set(Works)
    assert all(f"| `{each.value}` |" in PAGE for each in Works)


def test_a_glass_that_is_refused_anyway_is_not_tried(mira: Person) -> None:
    code, glasses = without(mira, "monitor", "outside-only")
    cells = glasses["outside-only"]
    assert (code, set(ways(cells).values())) == (5, {"not tried"})
    assert "refused with everything there" in cells["break"]["says"]


def test_a_gate_asks_nobody_and_the_table_says_so(mira: Person) -> None:
    words = ("doctor", "--org", "org", "--without", "monitor", "--glass", "hello")
    said = mira.types("breakglass", *words, within_s=600)
    assert said.code == 0, said.err
    head, row = said.out.splitlines()[:2]
    assert head.split() == ["glass", "break", "mint", "gate", "kill", "end", "alert"]
    assert row.split() == ["hello", "yes", "-", "yes", "yes", "yes", "late"]
    assert "a token signed before opens its gate until its end" in " ".join(said.out.split())
    assert max(map(len, said.out.splitlines())) <= 90


def test_nothing_of_the_real_organisation_is_touched(mira: Person) -> None:
    org = mira.cwd / "org"
    before = {path: path.stat().st_mtime_ns for path in sorted(org.rglob("*"))}
    said = mira.types("breakglass", "doctor", "--org", "org", "--without", "broker", "--glass", "x")
    assert (said.code, "unknown glass 'x'; there are: hello" in said.err) == (2, True)
    assert {path: path.stat().st_mtime_ns for path in sorted(org.rglob("*"))} == before
    said = mira.types("breakglass", "doctor", "--org", "org", "--glass", "hello")
    assert (said.code, "--glass belongs to --without" in said.err) == (2, True)


def test_what_still_answers_is_not_lost() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        _check_refused(address, Lost.LEDGER)
        listening.listen()
        with pytest.raises(UnavailableError, match=r"something answers .* nothing was proven"):
            _check_refused(address, Lost.LEDGER)


def test_it_says_in_what_the_twin_differs(mira: Person) -> None:
    trust = accept_trust(Note.parse((mira.cwd / "org" / "trust").read_bytes()), None)
    assert len(differences(trust)) == 1  # targets and keys
    other = replace(trust, level=Level.JUSTIFIED, custodians_needed=3)
    one = replace(trust.tlog, quorum="archiver")
    assert len(differences(replace(other, tlog=one))) == 4
