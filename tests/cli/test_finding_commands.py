"""Whoever does not know the commands is shown the way: lists, nearest names, topics, completion."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from breakglass.cli import held_grants, main
from breakglass.cli.command_table import ALIASES, TABLE, nearest, places
from breakglass.cli.help import TOPICS
from breakglass.errors import BreakglassError
from tests.cli.commands import every_command

GROUPS = [
    name
    for name, command in every_command()
    if isinstance(command, click.Group) and not command.invoke_without_command  # 'me' shows
]


def _typed(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "breakglass.cli", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "BREAKGLASS_ORG": "", **environment},
    )


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_without_a_command_shows_its_help_and_ends_well(name: str) -> None:
    done = _typed(*name.split())
    asked = _typed(*name.split(), "--help")
    assert (done.returncode, done.stdout, done.stderr) == (0, asked.stdout, "")


def test_the_bare_command_lists_everything_by_who_uses_it() -> None:
    shown = _typed().stdout
    places_ = [shown.index(f"\n{who}:\n") for who in TABLE]
    assert places_ == sorted(places_)
    assert next(iter(TABLE)) == "Responder"
    for rows in TABLE.values():
        for name, _, line in rows:
            assert f"  {name}" in shown
            assert line in shown


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("statuss", "breakglass status"),
        ("brake", "breakglass break"),
        ("revoke", "breakglass kill"),
        ("login", "breakglass use"),
        ("policy chek", "breakglass policy check"),
        ("gate tokne", "breakglass gate token"),
    ],
)
def test_a_mistyped_command_is_met_with_the_nearest_one(typed: str, meant: str) -> None:
    done = _typed(*typed.split())
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"breakglass: hint: did you mean: {meant}"


def test_what_is_near_to_nothing_is_told_where_to_look() -> None:
    assert nearest("xyzzy", list(places())) == ""
    assert "see the example at the end of: breakglass --help" in _typed("xyzzy").stderr


def test_every_word_of_other_products_leads_to_a_command_of_ours() -> None:
    from breakglass.cli.command_table import _ELSEWHERE

    assert set(_ELSEWHERE.values()) <= set(places())
    assert not set(_ELSEWHERE) & set(places())


@pytest.mark.parametrize(
    "words",
    [
        ("--org", "{0}", "--json", "status"),
        ("--json", "status", "--org", "{0}"),
        ("incident", "--org={0}", "--json", "list"),
        ("--json", "incident", "--org", "{0}", "list"),
    ],
)
def test_org_and_json_stand_in_front_of_a_command_or_behind_it(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    done = _typed(*(word.format(tmp_path) for word in words))
    assert done.returncode == 6
    assert f"{tmp_path}" in done.stderr  # it looked there
    assert done.stderr.startswith('{"error"')


def test_what_stands_behind_two_dashes_is_never_moved() -> None:
    rest = ["run", "g-7kq3m2x4p5ab", "--", "x", "--json", "--org", "y"]
    assert main._behind(rest) == rest


def test_the_old_name_of_the_gates_noun_still_works_and_stands_in_no_list() -> None:
    assert ALIASES == {"gates": "gate"}
    assert _typed("gates", "report", "--help").stdout.startswith("Usage: breakglass gates report")
    assert "gates " not in "".join(name for rows in TABLE.values() for name, _, _ in rows)


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_is_explained_within_80_columns(topic: str) -> None:
    done = _typed("help", topic)
    assert (done.returncode, done.stdout) == (0, TOPICS[topic])
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_the_topic_of_exit_codes_names_every_class_of_error() -> None:
    ours = [each for each in BreakglassError.__subclasses__() if each.exit_code != 1]
    assert len(ours) == 5
    for each in ours:
        word = each.__name__.removesuffix("Error").lower()
        assert f"    {each.exit_code}    {word}: " in TOPICS["exit-codes"]


def test_the_help_of_a_command_is_found_by_its_words() -> None:
    assert (
        _typed("help", "incident", "declare").stdout
        == _typed("incident", "declare", "--help").stdout
    )
    wrong = _typed("help", "exit-code")
    assert wrong.returncode == 2
    assert wrong.stderr.endswith("did you mean: breakglass help exit-codes\n")


def _completed(line: str, **environment: str) -> list[str]:
    done = _typed(
        _BREAKGLASS_COMPLETE="bash_complete",
        COMP_WORDS=line,
        COMP_CWORD=str(len(line.split()) - (0 if line.endswith(" ") else 1)),
        **environment,
    )
    assert done.stderr == ""
    return [each.partition(",")[2] for each in done.stdout.splitlines() if each]


def test_a_shell_completes_commands_and_the_grants_that_are_held_here(tmp_path: Path) -> None:
    assert _completed("breakglass stat") == ["status"]
    (tmp_path / "client.toml").write_text(
        'who = "mira"\nkey = "key"\nlog = "ledger.example/one"\nbroker = "http://127.0.0.1:1"\n'
        'monitor = "http://127.0.0.1:1"\nledger = "http://127.0.0.1:1"\ntrust = "trust"\n'
        'state = "state"\n'
    )
    (tmp_path / "client.toml").chmod(0o600)
    for grant in ("g-7kq3m2x4p5ab", "g-q5robw6m5ghk"):
        held_grants.settle(
            held_grants.begin(tmp_path / "state")[0], grant, {"text": "", "sshsig": ""}
        )
    org = {"BREAKGLASS_ORG": str(tmp_path)}
    assert _completed("breakglass done g-7", **org) == ["g-7kq3m2x4p5ab"]
    assert len(_completed("breakglass psql ", **org)) == 2
    # The broker is away: nothing is offered, and nothing is written into the person's line.
    assert _completed("breakglass break ", **org) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_what_the_shell_itself_reads(shell: str, tmp_path: Path) -> None:
    script = _typed("completion", shell)
    assert script.returncode == 0
    assert "_BREAKGLASS_COMPLETE" in script.stdout
    if shell == "bash":
        (tmp_path / "script").write_text(script.stdout)
        subprocess.run(["bash", "-n", str(tmp_path / "script")], check=True)


def test_the_help_command_works_in_process_too() -> None:
    assert CliRunner().invoke(main.breakglass, ["help"]).output.startswith("Usage: breakglass")
