"""Types of arguments whose names a shell can complete: grants, glasses, incidents.

What cannot be known within half a second is not offered, and nothing is said: a shell would write
it into the line that somebody types.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta

import click
from click.shell_completion import CompletionItem

from breakglass.cli.client import Client, find
from breakglass.shown_text import shown

_WITHIN = timedelta(seconds=0.5)


class Completed(click.ParamType[str]):
    """A text; ``names`` returns what it could be, each with a line on it."""

    name = "text"

    def __init__(self, names: Callable[[Client], list[tuple[str, str]]]) -> None:
        self._names = names

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Take any text: whether there is such a name is for the broker to say."""
        return value

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the names that begin so."""
        org = ctx.params.get("org") or os.environ.get("BREAKGLASS_ORG")
        try:
            found = self._names(find(org))
        except Exception:  # noqa: BLE001  the edge of a shell's line: nothing is offered
            return []
        # A name with a blank or a control character would be another word in the shell.
        plain = [(name, says) for name, says in found if shown(name) == name and " " not in name]
        return [
            CompletionItem(name, help=shown(says))
            for name, says in plain
            if name.startswith(incomplete)
        ]


def _grants(client: Client) -> list[tuple[str, str]]:
    from breakglass.cli import held_grants

    return [(each.grant, "held here") for each in held_grants.all_held(client.state)]


def _glasses(client: Client) -> list[tuple[str, str]]:
    answer = client.broker("GET", "/glasses", within=_WITHIN)
    return [(each["glass"], each["does"]) for each in answer["glasses"]]


def _asks(client: Client) -> list[tuple[str, str]]:
    from breakglass.cli.reader_key import session_stands

    if not session_stands(client):
        return []  # a new one asks for a touch, in the middle of somebody's line
    answer = client.broker("GET", "/requests", within=_WITHIN)
    return [(each["grant"], f"{each['who']}: {each['glass']}") for each in answer["waiting"]]


def _incidents(client: Client) -> list[tuple[str, str]]:
    from breakglass.cli.reader_key import session_stands

    if not session_stands(client):
        return []  # a new one asks for a touch, in the middle of somebody's line
    answer = client.broker("GET", "/incidents", within=_WITHIN)
    return [(each["incident"], each["title"]) for each in answer["incidents"] if each["open"]]


GRANT = Completed(_grants)
ASK = Completed(_asks)
GLASS = Completed(_glasses)
INCIDENT = Completed(_incidents)
