"""``minter conform``: a program is asked everything, and each answer is a row."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from breakglass.cli.main import breakglass
from tests.kit.command_minter import argv, environment


def conform(folder: Path, *options: str) -> Result:
    told = [f"--env={name}={value}" for name, value in environment().items()]
    words = ["minter", "conform", "--role", "all", *told, *options, "--", *argv(folder, "x")]
    return CliRunner().invoke(breakglass, words)


def test_a_program_that_keeps_the_contract_is_ok_in_every_row(tmp_path: Path) -> None:
    said = conform(tmp_path)
    assert said.exit_code == 0, said.output
    first, *rows = said.output.splitlines()
    assert first.split() == ["target", "simulated:target"]
    assert len(rows) == 9
    assert all(row.startswith("OK ") for row in rows)


def test_a_program_that_breaks_it_is_told_in_its_row_and_by_the_exit_code(tmp_path: Path) -> None:
    (tmp_path / "target.trouble").write_text("nonsense")
    said = conform(tmp_path, "--json")
    assert said.exit_code == 6
    answers = json.loads(said.output)["answers"]
    assert len(answers) == 9
    assert "answered nonsense" in answers[0]["wrong"]
    assert "hunter2" not in said.output


def test_a_role_that_the_program_does_not_know_fails_and_leaves_nothing(tmp_path: Path) -> None:
    said = conform(tmp_path, "--role", "none-such")
    assert said.exit_code == 6
    assert "no such role" in said.output
