"""Walks over every command of ours."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
from click.testing import CliRunner

from breakglass.cli import main


def every_command() -> Iterator[tuple[str, click.Command]]:
    """Yield ``("incident declare", command)`` and so on, groups too."""
    yield "", main.breakglass
    for name in main.command_names():
        yield from _within(name, main.load(name))


def _within(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for inner, each in command.commands.items():
            yield from _within(f"{name} {inner}", each)


def examples(command: click.Command) -> list[list[str]]:
    """Return the command lines in a command's help, as words."""
    lines = _unwrapped((command.epilog or "").replace("\b", "")).splitlines()
    return [
        shlex.split(line.partition(" > ")[0])
        for line in map(str.strip, lines)
        if line.startswith("breakglass")
    ]


def _unwrapped(text: str) -> str:
    """Join the lines that a backslash continues, as a shell does."""
    return re.sub(r"\\\n\s*", "", text)


def last_line_of(name: str) -> str:
    """Return the last line of a help text, whole."""
    return _unwrapped(help_of(name)).rstrip().splitlines()[-1].strip()


def help_of(name: str) -> str:
    """Return the help text, as printed on 80 columns."""
    found = CliRunner().invoke(
        main.breakglass, [*name.split(), "--help"], prog_name="breakglass", terminal_width=80
    )
    assert found.exit_code == 0, found.output
    return found.output
