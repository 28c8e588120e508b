"""Help is part of the product: it is compared word by word, and its examples are real.

After a change on purpose: ``python -m tests.cli.test_help`` writes the texts again; read the diff.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from breakglass.cli import main
from tests.cli.commands import every_command, examples, help_of, last_line_of
from tests.kit import man_page

TEXTS = Path(__file__).parent / "help"
ALL = list(every_command())


def _file(name: str) -> Path:
    return TEXTS / f"{name.replace(' ', '-') or 'breakglass'}.txt"


@pytest.mark.parametrize("name", [name for name, _ in ALL])
def test_the_help_reads_as_it_was_agreed(name):
    assert help_of(name) == _file(name).read_text("utf-8")


def test_the_man_page_is_the_commands_own_help():
    """After a change: ``python -m tests.kit.man_page``."""
    written = man_page.PAGE.read_text("ascii")
    assert written == man_page.page()
    for name, _ in ALL:
        shown = f".SS breakglass {name}".replace("-", "\\-") if name else ".SH RESPONDER"
        assert any(line.startswith(shown) for line in written.splitlines()), name


def test_no_help_text_is_of_a_command_that_is_gone():
    assert sorted(path.name for path in TEXTS.iterdir()) == sorted(_file(n).name for n, _ in ALL)


@pytest.mark.parametrize(("name", "command"), ALL, ids=[name or "breakglass" for name, _ in ALL])
def test_the_help_ends_in_an_example_that_parses(name, command):
    found = examples(command)
    assert found, f"'breakglass {name} --help' has no example"
    assert last_line_of(name).startswith("breakglass")
    for words in found:
        if words[0] == "breakglass":
            _parse(words[1:])


@pytest.mark.parametrize("name", ["", "break", "trust maintainer replace"])
def test_the_help_is_whole_where_docstrings_are_stripped(name):
    done = subprocess.run(
        [sys.executable, "-m", "breakglass.cli", *name.split(), "--help"],
        env={**os.environ, "PYTHONOPTIMIZE": "2", "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == _file(name).read_text("utf-8")


def test_no_command_loses_a_sentence_where_docstrings_are_stripped():
    code = (
        "import json\n"
        "from tests.cli.commands import every_command, help_of\n"
        "print(json.dumps({name: help_of(name) for name, _ in every_command() if name}))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-OO", "-c", code], cwd=root, capture_output=True, check=True
    )
    told = json.loads(done.stdout)
    assert told == {name: _file(name).read_text("utf-8") for name, _ in ALL if name}


def test_every_line_fits_a_terminal():
    for name, _ in ALL:
        for line in help_of(name).splitlines():
            assert len(line) <= 80, f"{name}: {line}"


def test_every_command_that_prints_data_has_json():
    without = {
        "",
        "demo",
        "run",
        "psql",
        "ssh",
        "scp",
        "rsync",
        "trust policy",
        "gate report",
        "gate review",
        "help",
        "completion",
        "policy schema",  # it prints JSON and nothing else
    }
    without |= {
        f"gate import {each}" for each in ("git", "csv", "github", "gitlab")
    }  # they write files
    for name, command in ALL:
        if isinstance(command, click.Group) or name in without:
            continue
        assert any(each.name == "as_json" for each in command.params), name


def _parse(words: list[str]) -> None:
    """Parse a command line without running it; a mistake in it raises."""
    command: click.Command = main.load(words[0])
    rest = words[1:]
    while isinstance(command, click.Group):
        command, rest = command.commands[rest[0]], rest[1:]
    command.make_context("example", list(rest))


if __name__ == "__main__":
    TEXTS.mkdir(exist_ok=True)
    for path in TEXTS.iterdir():
        path.unlink()
    for each, _ in ALL:
        _file(each).write_text(help_of(each), "utf-8")
