"""What a gate answers, and that nothing but its check or a token opens it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from datetime import timedelta

import pytest

from breakglass.gate.main import main
from breakglass.records.kinds.bypassed import Bypassed
from breakglass.records.kinds.passages import Passages
from breakglass.tlog.note import SignerKey
from tests.gate.conftest import FAIL, PASS, GateHome
from tests.kit.processes import no_process_left, until


def test_a_passing_check_opens_the_gate_and_leaves_the_token_unused(home: GateHome) -> None:
    token = home.token_file(home.org.token(home.org.break_glass()).encoded())
    code = home.run("run", "deploy-approval", "--token", token, "--for", "42", "--", *PASS)
    assert code == 0
    assert not [each for each in home.spooled() if isinstance(each, Bypassed)]


@pytest.mark.parametrize(
    ("exit_code", "answer"),
    [(1, 3), (2, 3), (74, 3), (75, 5), (123, 3), (124, 5), (125, 5), (126, 5), (127, 5)],
)
def test_the_exit_code_of_a_check_is_failed_or_could_not_evaluate(
    home: GateHome, exit_code: int, answer: int
) -> None:
    check = [sys.executable, "-c", f"raise SystemExit({exit_code})"]
    assert home.run("check", "deploy-approval", "--", *check) == answer


def test_a_check_ended_by_a_signal_or_that_cannot_start_shuts_the_gate(
    home: GateHome, capfd: pytest.CaptureFixture[str]
) -> None:
    killed = [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]
    assert home.run("check", "deploy-approval", "--", *killed) == 5
    assert home.run("check", "deploy-approval", "--", "/nowhere/check") == 5
    assert "could not evaluate (cannot be started" in capfd.readouterr().err


def test_a_check_that_hangs_is_ended_with_its_children_and_the_gate_is_shut(
    home: GateHome, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = home.folder / "settings.toml"
    settings.write_text(settings.read_text().replace("check_within_s = 10", "check_within_s = 1"))
    child = home.folder / "child"
    hang = ["sh", "-c", f"sleep 300 & echo $! > {child}; sleep 300"]
    assert home.run("check", "deploy-approval", "--", *hang) == 5
    assert "no answer within 1 s" in capfd.readouterr().err
    until(lambda: no_process_left(int(child.read_text())))


def test_glass_opens_a_shut_gate_and_the_bypass_lies_in_the_spool(
    home: GateHome, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = home.org.break_glass()
    token = home.token_file(home.org.token(broken).encoded())
    code = home.run("run", "deploy-approval", "--token", token, "--for", "42", "--", *FAIL)
    assert code == 0
    assert "open by glass: 'mira', 'deploy-rollback', INC-4821" in capfd.readouterr().err
    bypass, tally = home.spooled()
    assert isinstance(bypass, Bypassed)
    assert (bypass.grant, bypass.run, bypass.state) == (broken.grant, "42", "failed")
    assert isinstance(tally, Passages)
    assert (tally.blocked, tally.bypassed, tally.passed) == (1, 1, 0)


def test_the_spooled_bypass_holds_under_the_fold(home: GateHome) -> None:
    broken = home.org.break_glass()
    token = home.token_file(home.org.token(broken).encoded())
    home.run("run", "deploy-approval", "--token", token, "--for", "42", "--", *FAIL)
    bypass = home.spooled()[0]
    judged = home.org.state_that("gate:deploy-approval", bypass)  # type: ignore[arg-type]
    assert judged.holds, judged.why
    assert home.org.state.grants.by_id[broken.grant].bypasses == 1


def test_the_same_run_may_show_its_token_again_and_is_one_record(home: GateHome) -> None:
    token = home.token_file(home.org.token(home.org.break_glass()).encoded())
    for _ in range(2):
        code = home.run("run", "deploy-approval", "--token", token, "--for", "42", "--", *FAIL)
        assert code == 0
    assert sum(isinstance(each, Bypassed) for each in home.spooled()) == 1


@pytest.mark.parametrize(
    ("moved", "run", "code", "name"),
    [
        (timedelta(0), "43", 3, "wrong_run"),
        (timedelta(minutes=31), "42", 3, "expired"),
        (timedelta(minutes=-15), "42", 3, "clock_behind"),
    ],
)
def test_a_token_of_another_run_or_time_leaves_the_gate_shut(
    home: GateHome,
    capfd: pytest.CaptureFixture[str],
    moved: timedelta,
    run: str,
    code: int,
    name: str,
) -> None:
    token = home.token_file(home.org.token(home.org.break_glass()).encoded())
    home.clock.time += moved
    found = home.run("run", "deploy-approval", "--token", token, "--for", run, "--", *FAIL)
    assert found == code
    assert f"token refused ({name})" in capfd.readouterr().err
    assert not [each for each in home.spooled() if isinstance(each, Bypassed)]


def test_a_malformed_token_is_exit_2_and_an_unproven_one_exit_4(home: GateHome) -> None:
    nonsense = home.token_file(b"\xff\xfe nonsense")
    assert home.run("run", "deploy-approval", "--token", nonsense, "--for", "1", "--", *FAIL) == 2
    late = home.org.break_glass(witnessed=home.org.now + timedelta(minutes=10))
    token = home.token_file(home.org.token(late).encoded())
    home.clock.time += timedelta(minutes=10)
    assert home.run("run", "deploy-approval", "--token", token, "--for", "42", "--", *FAIL) == 4


def test_a_clock_set_back_behind_a_witness_does_not_bring_an_expired_token_back(
    home: GateHome, capfd: pytest.CaptureFixture[str]
) -> None:
    early = home.org.token(home.org.break_glass()).encoded()
    home.org.now += timedelta(minutes=40)
    later = home.org.break_glass(statement={"nonce": "44" * 16})
    home.clock.time = home.org.now
    fresh = home.token_file(home.org.token(later).encoded(), "fresh")
    assert home.run("run", "deploy-approval", "--token", fresh, "--for", "42", "--", *FAIL) == 0
    home.clock.time -= timedelta(minutes=40)
    old = home.token_file(early, "old")
    assert home.run("run", "deploy-approval", "--token", old, "--for", "42", "--", *FAIL) == 3
    assert "clock_behind" in capfd.readouterr().err


def test_without_a_place_to_write_the_bypass_the_gate_stays_shut(home: GateHome) -> None:
    token = home.token_file(home.org.token(home.org.break_glass()).encoded())
    assert home.run("check", "deploy-approval", "--", *FAIL) == 3
    spool = home.folder / "data" / "spool.sqlite"
    spool.unlink(missing_ok=True)
    for each in home.folder.glob("data/spool.sqlite-*"):
        each.unlink()
    spool.mkdir()
    assert home.run("run", "deploy-approval", "--token", token, "--for", "42", "--", *FAIL) == 5


def test_a_missing_or_broken_folder_never_opens(home: GateHome) -> None:
    assert home.run("check", "another-gate", "--", *PASS) == 6
    (home.folder / "settings.toml").write_text('gate = "deploy-approval"\nunknown = 1\n')
    assert home.run("check", "deploy-approval", "--", *PASS) == 6


def test_a_trust_file_that_goes_back_shuts_the_gate_to_tokens(home: GateHome) -> None:
    token = home.token_file(home.org.token(home.org.break_glass()).encoded())
    (home.folder / "trust").write_bytes(home.org.trust_note())
    assert home.run("verify", "deploy-approval", "--token", token, "--for", "42") == 0
    (home.folder / "trust").write_bytes(home.org.trust_note(version="2", skew="60s"))
    assert home.run("verify", "deploy-approval", "--token", token, "--for", "42") == 0
    (home.folder / "trust").write_bytes(home.org.trust_note())
    assert home.run("verify", "deploy-approval", "--token", token, "--for", "42") == 4


def test_verify_writes_nothing_and_says_what_the_token_proves(
    home: GateHome, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = home.org.break_glass()
    token = home.token_file(home.org.token(broken).encoded())
    code = home.run("verify", "deploy-approval", "--json", "--token", token, "--for", "42")
    told = json.loads(capsys.readouterr().out)
    assert code == 0
    assert (told["grant"], told["who"], told["entry"]) == (broken.grant, "mira", broken.index)
    with sqlite3.connect(home.folder / "data" / "memory.sqlite") as database:
        assert database.execute("SELECT count(*) FROM uses").fetchone() == (0,)


def test_a_flaky_check_is_noticed_by_its_input(home: GateHome) -> None:
    home.run("check", "deploy-approval", "--input", "change-9", "--", *FAIL)
    home.run("check", "deploy-approval", "--input", "change-9", "--", *PASS)
    tallies = [each for each in home.spooled() if isinstance(each, Passages)]
    assert sum(each.passed for each in tallies) == 1
    assert sum(each.blocked for each in tallies) == 1
    assert [each.flaky for each in tallies] == [(), ("change-9",)]


def test_a_gate_stays_shut_under_kinds_that_it_does_not_know_and_says_which_release_does(
    home: GateHome, capfd: pytest.CaptureFixture[str]
) -> None:
    (home.folder / "trust").write_bytes(home.org.trust_note(kinds="4"))
    token = home.token_file(home.org.token(home.org.break_glass()).encoded())
    for _ in range(2):
        given = ("--token", token, "--for", "42")
        assert home.run("run", "deploy-approval", *given, "--", *FAIL) == 6
        said = capfd.readouterr().err
        assert "puts kinds 4 in force, and this software knows kinds 3 at most" in said
        assert "hint: install a later release on this machine, one that knows kinds 4" in said


@pytest.mark.parametrize("check", [PASS, FAIL])
@pytest.mark.parametrize("act", ["run", "verify"])
def test_an_empty_run_is_refused_before_anything_is_checked(
    home: GateHome, capfd: pytest.CaptureFixture[str], act: str, check: list[str]
) -> None:
    """What ``--for "$RUN"`` is where nobody has set it."""
    token = home.token_file(home.org.token(home.org.break_glass()).encoded())
    words = ["--", *check] if act == "run" else []
    assert home.run(act, "deploy-approval", "--token", token, "--for", "", *words) == 3
    assert "the run is empty" in capfd.readouterr().err
    assert not home.spool.exists()


@pytest.mark.parametrize(
    "words", [["--help"], ["run", "--help"], ["run", "deploy-approval", "--help"], ["check", "-h"]]
)
def test_help_is_no_answer_that_opens(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--", *FAIL])
    assert ended.value.code == 2


def test_without_its_key_in_the_trust_file_no_token_opens_it(
    home: GateHome, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its bypass could never be stated."""
    token = home.token_file(home.org.token(home.org.break_glass()).encoded())
    given = ("--token", token, "--for", "42", "--", *FAIL)
    key = home.folder / "key"
    kept = key.read_bytes()
    key.unlink()
    assert home.run("run", "deploy-approval", *given) == 6
    key.touch(0o600)
    key.write_text(SignerKey.generate("gate-deploy-approval.shop.example").encoded())
    assert home.run("run", "deploy-approval", *given) == 3
    assert "(unknown_submitter)" in capfd.readouterr().err
    broker = home.org.submitters["broker"]
    key.write_text(broker.encoded())
    assert home.run("run", "deploy-approval", *given) == 3, "the key of another role"
    assert not [each for each in home.spooled() if isinstance(each, Bypassed)]
    key.write_bytes(kept)
    assert home.run("run", "deploy-approval", *given) == 0


@pytest.mark.parametrize("name", ["settings.toml", "trust", "key", "data", "."])
def test_a_folder_that_others_can_write_leaves_the_gate_shut(
    home: GateHome, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    token = home.token_file(home.org.token(home.org.break_glass()).encoded())
    given = ("--token", token, "--for", "42", "--", *FAIL)
    assert home.run("run", "deploy-approval", *given) == 0
    path = home.folder / name
    path.chmod(path.stat().st_mode | 0o020)
    assert home.run("run", "deploy-approval", *given) == 6
    assert "hint: chmod go-w" in capfd.readouterr().err


@pytest.mark.parametrize("name", ["settings.toml", "trust", "key"])
def test_a_pipe_in_a_files_place_does_not_hang_the_gate(home: GateHome, name: str) -> None:
    token = home.token_file(home.org.token(home.org.break_glass()).encoded())
    path = home.folder / name
    path.unlink()
    os.mkfifo(path, 0o600)
    assert home.run("run", "deploy-approval", "--token", token, "--for", "42", "--", *FAIL) == 6


def test_the_links_of_a_mounted_secret_are_followed(home: GateHome) -> None:
    """``key`` to ``..data/key`` to ``..v1/key``, in a folder that is open to all and sticky."""
    token = home.token_file(home.org.token(home.org.break_glass()).encoded())
    (home.folder / "..v1").mkdir(0o755)
    (home.folder / "..data").symlink_to("..v1")
    for name in ("key", "trust", "settings.toml"):
        (home.folder / name).rename(home.folder / "..v1" / name)
        (home.folder / name).symlink_to(f"..data/{name}")
    home.folder.chmod(0o1777)
    assert home.run("run", "deploy-approval", "--token", token, "--for", "42", "--", *FAIL) == 0


def test_a_gate_on_a_read_only_file_system_stays_shut_and_says_why(home: GateHome) -> None:
    script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0"'
    alone = ("unshare", "-m", "sh", "-c")
    if subprocess.run([*alone, script, str(home.folder)], check=False).returncode != 0:
        pytest.skip("nothing may be mounted here")
    gate = [sys.executable, "-m", "breakglass.gate", "check", "deploy-approval", "--folder"]
    words = [*gate, str(home.folder), "--", *PASS]
    done = subprocess.run(
        [*alone, f'{script} && exec "$@"', str(home.folder), *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 5, done.stderr
    assert "the gate stays shut" in done.stderr
