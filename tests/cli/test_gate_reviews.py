"""``breakglass gate``: what it prints, what it refuses, and that it never decides."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from breakglass.cli.main import breakglass

DATA = Path(__file__).parents[2] / "data" / "bypass"


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(breakglass, ["gate", *map(str, words)], catch_exceptions=True)


def process(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "breakglass.cli", "gate", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("history") / "skia"
    done = run(
        "import", "csv", "--events", DATA / "skia-buildbot.events.csv",
        "--weekly", DATA / "skia-buildbot.weekly.csv",
        "--people", DATA / "skia-buildbot.people.csv", "--out", out,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "of 6 gates" in done.stderr
    return out


def test_a_verdict_is_one_json_object_a_line_with_the_named_keys(history: Path) -> None:
    done = run("verdict", "--history", history, "--as-of", "2016-01-01", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 6
    wanted = {
        "gate", "verdict", "runner_up", "n", "passages", "rate", "rate_low", "rate_high", "ratio",
        "ratio_low", "ratio_high", "without_top_person", "without_top_incident", "clusters",
        "sentence",
    }  # fmt: skip
    assert all(wanted <= row.keys() for row in rows)
    by_gate = {row["gate"]: row for row in rows}
    assert by_gate["review-post-hoc"]["verdict"] == "gate_wrong"
    assert by_gate["presubmit"]["verdict"] == "healthy"
    assert run("verdict", "--history", history, "--as-of", "2016-01-01", "--json").stdout == (
        done.stdout
    )


def test_a_report_is_a_line_a_gate_and_one_page(history: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    done = run(
        "report", "--history", history, "--as-of", "2017-01-01", "--html", out, "--title", "Skia"
    )
    assert done.exit_code == 0
    assert "tryjobs" in done.stdout
    assert "▁" in done.stdout
    assert "moved      'review-post-hoc' fell" in done.stdout
    page = out.read_text()
    assert page.startswith("<!doctype html>")
    assert "<title>Skia</title>" in page


def test_a_draft_is_printed_and_nothing_is_decided(history: Path) -> None:
    before = sorted(path.name for path in history.iterdir())
    done = run("review", "review-post-hoc", "--history", history, "--as-of", "2015-07-01")
    assert done.stdout.startswith("# Gate `review-post-hoc` was bypassed")
    assert sorted(path.name for path in history.iterdir()) == before


def test_a_decision_is_appended_and_shown_on_the_page(history: Path, tmp_path: Path) -> None:
    done = run(
        "decide", "tryjobs", "--history", history, "--as-of", "2016-10-01", "--verdict",
        "bad_month", "--decision", "wait for the scheduler", "--by", "infra",
        "--look-again", "2017-01-09",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "gate_reviewed tryjobs: bad_month, by infra" in done.stdout
    line = json.loads((history / "reviews.jsonl").read_text().splitlines()[-1])
    assert line["kind"] == "gate_reviewed"
    assert line["look_again"] == "2017-01-09"
    out = tmp_path / "page.html"
    run("report", "--history", history, "--as-of", "2017-01-01", "--html", out)
    assert "review: wait for the scheduler" in out.read_text()


@pytest.mark.parametrize(
    ("words", "told", "code"),
    [
        (("verdict", "--history", "/nowhere/at/all"), "is not a folder; nothing was read", 6),
        (("import", "git", "/nowhere", "--rules", "/none", "--out", "/x"), "cannot be read", 6),
        (("verdict", "--history", ".", "--as-of", "noon"), "--as-of is 'noon', wanted a day", 2),
    ],
)
def test_a_refusal_is_two_lines_and_never_a_traceback(
    words: tuple[str, ...], told: str, code: int
) -> None:
    done = process(*words)
    assert done.returncode == code
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_decision_needs_somebody_who_decided(history: Path) -> None:
    done = process("decide", "tryjobs", "--history", history, "--decision", "close it")
    assert done.returncode == 2
    assert "needs --decision and --by; nothing was written" in done.stderr


def test_what_was_not_said_is_what_the_numbers_say(history: Path) -> None:
    done = run(
        "decide", "presubmit", "--history", history, "--as-of", "2016-01-01",
        "--decision", "leave it", "--by", "infra", "--json",
    )  # fmt: skip
    assert json.loads(done.stdout) == {
        "gate": "presubmit",
        "verdict": "healthy",
        "decision": "leave it",
        "by": "infra",
        "look_again": "2016-04-01",
    }


def test_without_a_folder_an_organisation_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    done = process("report")
    assert done.returncode == 6
    assert "no 'client.toml' is in use" in done.stderr
    assert "or read a folder: --history DIR" in done.stderr


def test_an_unknown_gate_names_those_there_are(history: Path) -> None:
    done = process("review", "nope", "--history", history)
    assert done.returncode == 6
    assert "no gate 'nope'" in done.stderr
    assert "tryjobs" in done.stderr


def test_a_salt_that_is_short_is_refused(tmp_path: Path) -> None:
    (tmp_path / "salt").write_text("short")
    done = process(
        "import", "csv", "--events", DATA / "catapult.events.csv",
        "--weekly", DATA / "catapult.weekly.csv", "--out", tmp_path / "h",
        "--salt-file", tmp_path / "salt",
    )  # fmt: skip
    assert done.returncode == 6
    assert "holds 5 bytes, wanted 16 or more" in done.stderr
    assert not (tmp_path / "h").exists()
