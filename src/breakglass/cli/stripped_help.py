"""Help without docstrings: ``PYTHONOPTIMIZE=2`` strips them, and click takes its sentences there.

The variable is often set for a whole machine. Who asks for help at 03:00 gets all of it there too.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

import click


def restored(command: click.Command) -> click.Command:
    """Give a command, and those in it, the help that their functions' source says; return it.

    Where the source is not there either, a command stays without.
    """
    if command.help is None and command.callback is not None:
        command.help = _sentences(command.callback)
    if isinstance(command, click.Group):
        for each in command.commands.values():
            restored(each)
    return command


def _sentences(function: Callable[..., Any]) -> str | None:
    try:
        source = inspect.getsource(inspect.unwrap(function))
    except OSError:
        return None
    (found,) = ast.parse(textwrap.dedent(source)).body
    assert isinstance(found, ast.FunctionDef), "a command is a function"
    return ast.get_docstring(found)
