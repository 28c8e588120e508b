"""``policy narrow`` reads a copy of the ledger and a log, and proposes; the page is typed."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from breakglass.cli.lived_grants import lived_grants
from breakglass.cli.main import breakglass
from breakglass.cli.policy_narrow import _uses, _write
from breakglass.ledger.export import export
from breakglass.policy.folder import read_bundle
from breakglass.policy.parse import parse_bundle
from breakglass.policy.used.lived_grant import LivedGrant
from breakglass.policy.used.log_file import LogForm
from breakglass.records.trust import accept_trust
from breakglass.tlog.note import Note
from tests.kit.months_log import Life, make_months
from tests.kit.typed_page import acts_of
from tests.policy.used.kit import wide_files

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "narrow-a-glass.md"
WIDE = (
    "postgres: {minter: orders-db, database: [billing, orders], may_create: true, template: wide}"
)
UNTIL = datetime(2026, 11, 30, 12, tzinfo=UTC)
STATEMENT = "update orders set state = 'done'"


@dataclass
class Place:
    """A folder with a copy of a ledger of 100 days, the trust file, a bundle and a log."""

    folder: Path
    grants: list[LivedGrant]

    def narrow(self, *more: str, log: str = "postgres.csv") -> Result:
        words = ["policy", "narrow", "orders-repair", "--copy", "copy", "--log", log]
        words += ["--bundle", "org/bundle", "--trust", "trust", *more]
        return CliRunner().invoke(breakglass, words, terminal_width=200)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("narrow")
    org = make_months(folder / "made", Life(days=100, grants=8, gates=1, records=400), UNTIL)
    trust = (org / "broker" / "trust").read_bytes()
    policy = accept_trust(Note.parse(trust), None).tlog.text
    export(org / "ledger", folder / "copy", policy_text=policy, trust=trust)
    (folder / "trust").write_bytes(trust)
    bundle = folder / "org" / "bundle"
    bundle.mkdir(parents=True)
    for name, content in wide_files(WIDE).items():
        (bundle / name).write_bytes(content)
    shutil.rmtree(org)
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    folder = tmp_path / "here"
    shutil.copytree(made, folder)
    monkeypatch.chdir(folder)
    trust = (folder / "trust").read_bytes()
    grants, living = lived_grants(folder / "copy", trust, "orders-repair", None)
    assert living == []
    assert len(grants) == 8
    (folder / "postgres.csv").write_text("".join(log_of(grants)))
    return Place(folder, grants)


def log_of(grants: list[LivedGrant]) -> Iterator[str]:
    """Yield the csvlog of a server with pgaudit: a heartbeat, and a session of each grant."""
    for number, each in enumerate(grants):
        minutes = int((each.ends - each.begins).total_seconds()) // 60
        for minute in range(minutes + 1):
            yield row(
                each.begins + timedelta(minutes=minute), "cron", f"c.{number}", 1, "heartbeat"
            )
        audit = f"AUDIT: SESSION,1,1,WRITE,UPDATE,TABLE,public.orders,{STATEMENT},<not logged>"
        told = (
            f"connection authorized: user={each.handle} database=orders",
            f"statement: {STATEMENT}",
            audit,
            "disconnection: session time: 0:09:00.000",
        )
        for at, message in enumerate(told):
            moment = each.begins + timedelta(minutes=3 * at)
            yield row(moment, each.handle, f"s.{number}", at + 2, message)


def row(at: datetime, user: str, session: str, number: int, message: str) -> str:
    begun = "2026-12-01 01:50:48 UTC"
    return (
        f'{at:%Y-%m-%d %H:%M:%S}.000 UTC,"{user}","orders",1,"127.0.0.1:5",{session},{number},'
        f'"idle",{begun},3/22,0,LOG,00000,"{message}",,,,,,,,,"psql","client backend",,0\n'
    )


def test_what_is_written_goes_through_no_link_and_keeps_no_older_sql(
    place: Place, tmp_path: Path
) -> None:
    folder, other = tmp_path / "a folder", tmp_path / "other"
    other.write_text("somebody's")
    folder.mkdir()
    for name in ("narrow.diff", "narrow.sql"):
        (folder / name).symlink_to(other)
    done = place.narrow("--to", str(folder))
    assert done.exit_code == 0
    assert f"patch -d org/bundle -p1 < '{folder}/narrow.diff'\n" in done.stderr
    assert other.read_text() == "somebody's"
    assert (folder / "narrow.sql").read_text().startswith("\\set ON_ERROR_STOP on")
    _write(folder, "a later proposal of a glass for hosts\n", "")
    assert not (folder / "narrow.sql").exists()


def test_the_page_is_typed_and_the_next_policy_is_narrower(place: Place) -> None:
    typed = [each.text for each in acts_of(PAGE)]
    assert typed[0] == "breakglass ledger export --to copy/"  # made already, without a server
    words = typed[1].split()[1:]
    done = CliRunner().invoke(breakglass, [*words, "--trust", "trust"])
    assert done.exit_code == 0, done.output
    shown = PAGE.read_text().partition("```console\n")[2].partition("```")[0]
    began = [f"{each.begins:%Y-%m-%d}" for each in place.grants]
    wanted = shown.replace("2026-08-22", began[0]).replace("2026-11-20", began[-1])
    assert done.stdout.startswith(wanted)
    assert "-    mint: {postgres: {minter: orders-db, database: [billing, orders]," in done.stdout
    assert "select pg_temp.give('{select, update}', 'public.orders');" in done.stdout
    assert "breakglass: next: patch -d org/bundle -p1 < narrower/narrow.diff\n" in done.stderr
    patch = shutil.which("patch")
    assert patch
    assert typed[2].startswith("patch ")
    subprocess.run(typed[2], shell=True, check=True, capture_output=True)  # as a person types it
    checked = CliRunner().invoke(breakglass, typed[3].split()[1:])
    assert checked.exit_code == 0, checked.output
    after = (place.folder / "org" / "bundle" / "breakglass.yaml").read_text()
    assert "mint: {postgres: {minter: orders-db, database: orders, template: wide_used_1}}" in after
    assert "    for: 20m\n" in after
    assert "version: 2\n" in after


def test_a_machine_gets_the_same(place: Place) -> None:
    told = json.loads(place.narrow("--json").output)
    assert told["proposed"] is True
    assert told["scope"] == {"databases": ["orders"], "templates": ["wide_used_1"], "for_s": 1200}
    assert told["never_used"] == {"databases": ["billing"], "may": ["create"]}
    assert told["grants"][0]["tables"] == [
        ["orders", "public.orders", "select"], ["orders", "public.orders", "update"]
    ]  # fmt: skip
    assert told["diff"].startswith("--- a/breakglass.yaml\n+++ b/breakglass.yaml\n@@")


def test_lost_hours_are_told_and_nothing_is_proposed_until_the_grant_is_left_out(
    place: Place,
) -> None:
    lines = (place.folder / "postgres.csv").read_text().splitlines(True)
    hidden = place.grants[2]
    hour = f"{hidden.begins:%Y-%m-%d %H}"
    (place.folder / "cut.csv").write_text("".join(e for e in lines if not e.startswith(hour)))
    done = place.narrow(log="cut.csv")
    assert done.exit_code == 0
    assert f"too little {hidden.grant} was not wholly seen: the log is silent from" in done.stdout
    assert "nothing is proposed: what the log does not show was not unused" in done.stderr
    assert "# diff" not in done.stdout
    done = place.narrow("--leave-out", hidden.grant, log="cut.csv")
    assert f"left out   {hidden.grant}, as you said: the log is silent" in done.stdout
    assert "# diff" in done.stdout
    assert place.narrow("--leave-out", "g-" + "z" * 12).exit_code == 2


def test_a_grant_that_goes_on_counts_with_what_is_seen_of_it_and_as_not_seen(place: Place) -> None:
    glass = parse_bundle(read_bundle(place.folder / "org" / "bundle")).glasses["orders-repair"]
    logs = [(place.folder / "postgres.csv", LogForm.CSVLOG)]
    *_, last = _uses(glass.mints[0], logs, place.grants, place.grants[-1:])
    assert last.values == {"databases": frozenset({"orders"})}
    assert last.lost == ("it had not ended when the ledger was copied",)


def test_on_few_grants_or_days_nothing_is_proposed(place: Place) -> None:
    since = f"{place.grants[5].begins:%Y-%m-%d}"
    done = place.narrow("--since", since)
    assert "too little 3 grants were wholly seen; 5 are the least" in done.stdout
    assert "30 are the least" in done.stdout
    assert place.narrow("--since", "then").exit_code == 2


def test_a_log_of_another_form_or_target_is_refused_by_its_reason(place: Place) -> None:
    (place.folder / "plain").write_text("2026-12-01 01:50:48.300 UTC [12] LOG:  statement: x\n")
    done = place.narrow(log="plain")
    assert done.exit_code != 0
    assert "plain:1: expected a line of csvlog, jsonlog" in str(done.exception)
    (place.folder / "sshd").write_text("2026-12-01T03:14:09+00:00 web-1 sshd[12]: Server\n")
    done = place.narrow(log="sshd")
    assert done.exit_code == 2
    assert "gives no credential on ssh" in done.output
    assert place.narrow(log="missing").exit_code != 0
