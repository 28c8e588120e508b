"""Walks over every command of ours."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import click
from click.testing import CliRunner

from breakglass.cli import main

NOT_OURS = {"gates"}  # mounted here, and tested where it is made


def every_command() -> Iterator[tuple[str, click.Command]]:
    """Yield ``("incident declare", command)`` and so on, groups too."""
    yield "", main.breakglass
    for name in main.command_names():
        if name in NOT_OURS:
            continue
        command = main.load(name)
        yield name, command
        if isinstance(command, click.Group):
            for inner, each in command.commands.items():
                yield f"{name} {inner}", each


def examples(command: click.Command) -> list[list[str]]:
    """Return the command lines in a command's help, as words."""
    lines = (command.epilog or "").replace("\b", "").splitlines()
    return [
        shlex.split(line.partition(" > ")[0])
        for line in map(str.strip, lines)
        if line.startswith("breakglass")
    ]


def help_of(name: str) -> str:
    """Return the help text, as printed on 80 columns."""
    found = CliRunner().invoke(
        main.breakglass, [*name.split(), "--help"], prog_name="breakglass", terminal_width=80
    )
    assert found.exit_code == 0, found.output
    return found.output
