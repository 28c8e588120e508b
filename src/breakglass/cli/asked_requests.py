"""``breakglass requests``: what I asked for, and what waits for my answer."""

from __future__ import annotations

import click

from breakglass.cli import output
from breakglass.cli.ask_view import AskState, AskView, ask_view
from breakglass.cli.client import find, takes_org
from breakglass.cli.sign_statement import now

EXAMPLE = """\
\b
Example:
  breakglass requests
  breakglass requests --json
"""


@click.command(epilog=EXAMPLE)
@takes_org
@output.says_json
def requests(org: str | None, as_json: bool) -> None:
    """List what you asked for, and what others ask that you may approve."""
    client = find(org)
    found = client.broker("GET", "/requests")
    if as_json:
        output.tell_json(found)
        return
    waiting = [ask_view(each) for each in found["waiting"]]
    mine = [ask_view(each) for each in found["mine"]]
    if waiting:
        output.tell_table(
            ("for you", "who", "glass", "incident", "left"),
            [
                (each.grant, each.who, each.glass, each.incident or "none", left(each))
                for each in waiting
            ],
        )
        output.talk(f"read one and decide: breakglass approve {waiting[0].grant}")
    if mine:
        output.tell_table(
            ("yours", "glass", "incident", "state", "left"),
            [
                (each.grant, each.glass, each.incident or "none", state_of(each), left(each))
                for each in mine
            ],
        )
    if not waiting and not mine:
        output.talk("nothing was asked for, and nothing waits for you")


def state_of(view: AskView) -> str:
    """Say in a few words how an ask stands: ``waiting, 1 of 2``, ``refused by sam``."""
    if view.state is AskState.WAITING:
        return f"waiting, {len(view.yes)} of {view.need}{', silent' * view.silent}"
    if view.state is AskState.REFUSED:
        by = [each.who for each in view.answers if not each.yes]
        return f"refused by {', '.join(by)}" if by else "refused"
    return "stopped, never granted" if view.stopped else view.state.value


def left(view: AskView) -> str:
    """Say how long an ask can still be approved."""
    if view.state is not AskState.WAITING:
        return "-"
    return output.duration(max(0, (view.until - now()).total_seconds()))
