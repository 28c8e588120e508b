"""Write docs/man/breakglass.1 from the commands themselves: python -m tests.kit.man_page."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from breakglass.cli.command_table import TABLE
from breakglass.cli.help import TOPICS
from breakglass.cli.main import breakglass

PAGE = Path(__file__).resolve().parents[2] / "docs" / "man" / "breakglass.1"


def page() -> str:
    """Return the page, as man(7) has it."""
    top = click.Context(breakglass, info_name="breakglass")
    lines = [
        '.TH BREAKGLASS 1 "" "breakglass" "User Commands"',
        ".SH NAME",
        r"breakglass \- emergency access with a record that cannot be quietly changed",
        ".SH SYNOPSIS",
        ".B breakglass",
        r"[\-\-org PATH] [\-\-json] COMMAND [ARGS]...",
        ".SH DESCRIPTION",
        *_plain(inspect.cleandoc(breakglass.help or "")),
    ]
    for who, rows in TABLE.items():
        lines.append(f".SH {_text(who.upper())}")
        for name, _, line in rows:
            command = breakglass.get_command(top, name)
            assert command is not None
            lines += _command(command, click.Context(command, top, name), line)
    for topic, text in TOPICS.items():
        lines += [f".SH {_text(topic.upper().replace('-', ' '))}", ".nf"]
        lines += [*map(_text, text.splitlines()), ".fi"]
    return "\n".join([*lines, ""])


def _command(command: click.Command, context: click.Context, line: str) -> Iterator[str]:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield f".SS {_text(usage)}"
    yield from _plain(inspect.cleandoc(command.help or line).partition("\f")[0])
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        helps = "--help" in parameter.opts  # every command has it
        if isinstance(parameter, click.Option) and record is not None and not helps:
            yield ".TP"
            yield f".B {_text(record[0])}"
            yield _text(record[1])
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None and not inner.hidden:
                below = click.Context(inner, context, name)
                yield from _command(inner, below, inner.get_short_help_str())


def _plain(text: str) -> Iterator[str]:
    for part in text.split("\n\n"):
        yield ".PP"
        yield _text(" ".join(part.split()))


def _text(text: str) -> str:
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace("\b", "").replace("…", "...")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
