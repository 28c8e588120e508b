"""``breakglass ask``: the normal way in, where there is time for somebody else's yes."""

from __future__ import annotations

import click

from breakglass.cli import output
from breakglass.cli.client import find, takes_org
from breakglass.cli.completed_names import GLASS
from breakglass.cli.glass_request import (
    Typed,
    check_alone,
    later_start,
    takes_request,
    wanted,
)
from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError

EXAMPLE = """\
\b
Example:
  breakglass ask deploy-rollback --incident INC-4821 --why "checkout 5xx"
"""


@click.command(epilog=EXAMPLE)
@click.argument("glass", required=False, type=GLASS)
@takes_request
@click.option(
    "--start", default="", metavar="TIME", help="Begin later: 22:00, +2h, 2026-12-05 22:00."
)
@click.option("--no-wait", is_flag=True, help="Ask, and end without waiting for an answer.")
@click.option("--again", metavar="GRANT", help="Wait on for an ask of before, at any broker.")
@takes_org
@output.says_json
def ask(
    glass: str | None,
    typed: Typed,
    start: str,
    no_wait: bool,
    again: str | None,
    org: str | None,
    as_json: bool,
) -> None:
    """Ask for GLASS: approvers are paged, and you get it when enough of them approve.

    Ctrl-C ends the command, not the ask. Ends with 7 when an approver says no, and with 8 when
    nobody answers; where you may break the glass alone, that is offered then.
    """
    from breakglass.cli import held_grants
    from breakglass.cli.breaking import hand_in
    from breakglass.records.statement import Do

    if again:
        check_alone("--again", glass, typed, start)
    client = find(org)
    if again:
        hand_in(client, held_grants.held(client.state, again), as_json, wait=not no_wait)
        return
    if glass is None:
        raise click.UsageError("say which glass: ask GLASS --why TEXT (a list: breakglass break)")
    known = client.broker("GET", "/glasses")
    # What is asked for is what maintainers signed, and is shown before anybody touches a key.
    found = wanted(client, known, glass, typed)
    if not found.card.ask_need:
        raise RefusedError(
            f"nobody can approve glass {glass!r}: it is broken, not asked for; nothing was asked",
            name=ErrorName.CANNOT_BE_ASKED,
            hint=f"breakglass break {glass}, with the same options",
        )
    starts = later_start(found, start) if start else ""
    found.draw("ask for", starts)
    hand_in(client, found.signed(client, Do.ASK, starts=starts), as_json, wait=not no_wait)
