"""The edge of the process: every error is one line, a hint and a code; nothing else gets out."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from breakglass.cli import main
from tests.embedded.isolated import Person, command
from tests.kit.plain_english import check_wording


@pytest.fixture
def mira(tmp_path: Path) -> Person:
    return Person.at(tmp_path)


def test_a_client_without_an_organisation_says_how_to_name_one(mira):
    said = mira.types("breakglass", "status")
    assert said.code == 6
    assert said.out == ""
    assert said.err.splitlines()[0].startswith("breakglass: error: no 'client.toml' is in use")
    assert "hint: name your organisation: --org PATH" in said.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("xyzzy", "x"), "no such command 'xyzzy'"),
        (("break", "--fro"), "no such option '--fro' (did you mean one of"),
        (("incident", "declare", "INC-1"), "missing option '--severity'"),
        (("gate", "token"), "missing argument 'GRANT'"),
    ],
)
def test_a_mistyped_line_is_exit_2_with_the_help_that_helps(mira, words, says):
    said = mira.types("breakglass", *words)
    assert said.code == 2
    assert says in said.err
    assert "see the example at the end of: " in said.err
    assert "Usage:" not in said.err


def test_a_folder_with_spaces_is_quoted_in_what_is_typed_next(mira):
    said = mira.types("breakglass", "init", "an org", "--as", "mira", "--key", str(mira.key))
    assert said.code == 0, said.err
    assert said.err.splitlines()[-1] == "breakglass: next: breakglass up --org 'an org'"


def test_json_asks_for_json_errors_too(mira):
    said = mira.types("breakglass", "status", "--json")
    told = json.loads(said.err)
    assert (said.code, told["error"]) == (6, "misconfigured")
    assert sorted(told) == ["error", "hint", "message"]


def test_a_mistake_of_our_own_shows_no_traceback_and_keeps_one(mira, monkeypatch, capsys, tmp_path):
    def broken(*unused: object) -> None:
        raise RuntimeError("secret words")

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("breakglass.cli.status.find", broken)
    with pytest.raises(SystemExit) as ended:
        main.main(["status"])
    err = capsys.readouterr().err
    assert ended.value.code == 1
    assert "internal error: RuntimeError; the command stopped half-way" in err
    assert "secret words" not in err
    assert "Traceback" not in err
    (kept,) = (tmp_path / "state" / "breakglass").glob("debug-*.txt")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "secret words" in kept.read_text()


def test_a_reader_that_goes_away_is_no_error(mira):
    words = " ".join(command(("breakglass", "--help")))
    done = subprocess.run(
        ["sh", "-c", f"{words} | true"], capture_output=True, text=True, env=mira.environment
    )
    assert done.stderr == ""


def test_a_broken_client_file_is_named_with_what_is_wrong(mira):
    path = mira.cwd / "client.toml"
    path.write_text('who = "mira"\ncolour = "red"\n')
    for words in (("status", "--org", "."), ("use", ".")):
        said = mira.types("breakglass", *words)
        assert said.code == 6
        assert "client.toml': 'colour' is unknown" in said.err


def test_a_process_that_does_not_run_is_named_with_the_way_to_start_it(mira):
    mira.types("breakglass", "init", "org", "--as", "mira", "--key", str(mira.key))
    said = mira.types("breakglass", "status", "--org", "org")
    assert said.code == 5
    assert "'broker' cannot be reached: no file " in said.err
    assert "hint: start it: breakglass up --org org" in said.err


def test_the_organisation_that_init_made_is_found_below_it_and_elsewhere(mira):
    mira.types("breakglass", "init", "org", "--as", "mira", "--key", str(mira.key))
    for cwd in (mira.cwd / "org" / "bundle", mira.cwd):
        said = Person(mira.home, cwd).types("breakglass", "trust", "show", "--json")
        assert json.loads(said.out)["version"] == 1


def test_the_users_own_configuration_is_found_last(mira):
    mira.types("breakglass", "init", "org", "--as", "mira", "--key", str(mira.key))
    mira.types("breakglass", "use", "--forget", "org")
    config = mira.home / ".config" / "breakglass"
    text = (mira.cwd / "org" / "client.toml").read_text()
    (config / "client.toml").write_text(text.replace('"trust"', f'"{mira.cwd}/org/trust"'))
    said = mira.types("breakglass", "trust", "show", "--json")
    assert json.loads(said.out)["maintainers"] == ["mira", "second"]


def test_a_wording_that_was_replaced_is_refused_wherever_a_command_is_typed():
    check_wording("unknown person 'mira': not in policy 3")
    with pytest.raises(AssertionError, match="may lie between"):
        check_wording("error: this clock says 03:14; 120 s may\n lie between")


def test_the_interpreter_does_not_close_under_a_call_that_is_left_behind():
    """It aborted one time in some: «exception not rethrown», in a thread that read the key."""
    code = (
        "import atexit, threading, time\n"
        "from breakglass.cli import main\n"
        "atexit.register(lambda: print('it closes', flush=True))\n"
        "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
        "main.main()\n"
    )
    words = [sys.executable, "-c", code, "help", "files"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("    client.toml")
    assert "it closes" not in done.stdout


@pytest.mark.parametrize(
    ("ends", "code", "err"),
    [("sys.exit(3)", 3, ""), ("sys.exit()", 0, ""), ("sys.exit('a word')", 1, "a word\n")],
)
def test_a_command_that_ends_itself_is_not_aborted_either(ends: str, code: int, err: str):
    """`run`, `psql` and checks end with a code of their own, by SystemExit."""
    program = (
        "import atexit, sys, threading, time\n"
        "import click\n"
        "from breakglass.cli import main\n"
        "atexit.register(lambda: print('it closes', flush=True))\n"
        "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
        f"main.breakglass.add_command(click.command()(lambda: {ends}), 'x')\n"
        "main.Commands.get_command = click.Group.get_command\n"
        "main.main()\n"
    )
    words = [sys.executable, "-c", program, "x"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", err)


def test_who_calls_it_in_their_own_process_is_not_ended_with_it(mira, capsys):
    """A daemon thread of the caller's is none of ours: only a process of our own ends at once."""
    stay = threading.Event()
    theirs = threading.Thread(target=stay.wait, daemon=True)
    theirs.start()
    try:
        with pytest.raises(SystemExit) as ended:
            main.main(["--version"])
    finally:
        stay.set()
    assert ended.value.code == 0
    assert "breakglass " in capsys.readouterr().out
