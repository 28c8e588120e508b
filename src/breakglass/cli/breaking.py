"""``breakglass break``: the one story, told from the responder's side."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from breakglass.cli import output
from breakglass.cli.client import Client, find, takes_org
from breakglass.cli.completed_names import GLASS
from breakglass.cli.glass_request import (
    Typed,
    begins,
    check_alone,
    takes_request,
    wanted,
    wanted_after,
)
from breakglass.clock import Deadline, parse_time
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, RefusedError

if TYPE_CHECKING:
    from breakglass.cli.held_grants import Held

EXAMPLE = """\
\b
Example:
  breakglass break orders-repair --incident INC-4821 --why "orders stuck"
"""
_LAG = timedelta(seconds=3)  # by which one broker may follow the ledger behind another
_APPROVALS = {"self": "none", "two": "1", "sealed": "custodians"}


@click.command(name="break", epilog=EXAMPLE)
@click.argument("glass", required=False, type=GLASS)
@takes_request
@click.option("--after", metavar="GRANT", help="Break alone what you asked for: same glass, why.")
@click.option("--again", metavar="GRANT", help="Send a statement again whose answer never came.")
@takes_org
@output.says_json
def break_(
    glass: str | None,
    typed: Typed,
    after: str | None,
    again: str | None,
    org: str | None,
    as_json: bool,
) -> None:
    """Break GLASS: sign for it, have it recorded, and hold what it grants.

    A glass that takes people waits for them, as 'breakglass ask' does. Without GLASS, list what
    you may break.
    """
    from breakglass.cli import held_grants
    from breakglass.records.statement import Do

    if after and again:
        raise click.UsageError("give --after or --again, not both")
    if after or again:
        check_alone("--after" if after else "--again", glass, typed)
    client = find(org)
    if again:
        hand_in(client, held_grants.held(client.state, again), as_json)
        return
    if after:
        break_after(client, held_grants.held(client.state, after), as_json)
        return
    known = client.broker("GET", "/glasses")
    if glass is None:
        _list(client, known, as_json)
        return
    # What is asked for is what maintainers signed, and is shown before anybody touches a key.
    found = wanted(client, known, glass, typed)
    _say_what_is_held(client, glass)
    found.draw("sign for")
    hand_in(client, found.signed(client, Do.BREAK), as_json)


def hand_in(client: Client, held: Held, as_json: bool, *, wait: bool = True) -> None:
    """Hand in a kept statement; where people have to approve it, wait for them first.

    Args:
        client: who signed it.
        held: the statement and its holder key.
        as_json: print one object at the end, and ask nothing.
        wait: for people; without it what is waited for is said, and that is all.

    Raises:
        BreakglassError: see ``broken_glass.take`` and ``ask_waiting.wait_for_people``.
    """
    from breakglass.cli.ask_waiting import Next, wait_for_people
    from breakglass.cli.broken_glass import take
    from breakglass.cli.signed_glass import signed_card
    from breakglass.records.statement import parse_request

    if not held.asked:
        try:
            take(client, held, as_json)
            return
        except RefusedError as error:
            if error.name != ErrorName.NOT_APPROVED:
                raise
        # The card takes nobody and the policy does (a self-declared incident): people are asked.
        glass = parse_request(held.statement["text"]).glass
        held.keep_asked(signed_card(client, client.broker("GET", "/glasses"), glass, _now()))
    found, then = wait_for_people(client, held, as_json, wait=wait)
    if then is Next.BEGINS:
        _tell_start(held, found, as_json)
    elif then is Next.TAKE:
        _take_approved(client, held, as_json, found)
    elif then is Next.BREAK:
        try:
            break_after(client, held, as_json)
        except RefusedError as error:
            # An approver was faster than we were told: what was approved is taken.
            if error.name != ErrorName.GRANTED_ALREADY:
                raise
            take(client, held, as_json)


def _tell_start(held: Held, ask: dict[str, Any], as_json: bool) -> None:
    """Say that a grant stands and begins later; what it gives is fetched from then on."""
    from breakglass.records.statement import parse_request

    if as_json:
        output.tell_json(ask)
        return
    starts = parse_request(held.statement["text"]).starts
    output.tell_rows([("grant", held.grant), ("begins", begins(starts)), ("then", held.again)])


def _take_approved(client: Client, held: Held, as_json: bool, ask: dict[str, Any]) -> None:
    """Take what one broker has shown as granted; another may come to know of it a moment later."""
    from breakglass.cli.broken_glass import take

    deadline = Deadline(_LAG)
    for _ in deadline.tries(0.1):
        try:
            take(client, held, as_json, {"ask": ask})
            return
        except RefusedError as error:
            if error.name != ErrorName.NOT_APPROVED or deadline.over:
                raise


def break_after(client: Client, asked: Held, as_json: bool) -> None:
    """Break alone the glass that was asked for, with a signature and a holder key of its own.

    Raises:
        BreakglassError: as for any break.
    """
    from breakglass.records.statement import Do, digest_of

    found = wanted_after(client, asked)
    found.draw("sign for")
    after = digest_of(asked.statement["text"])
    hand_in(client, found.signed(client, Do.BREAK, after=after), as_json)


def _say_what_is_held(client: Client, glass: str) -> None:
    """Say which grants of this glass are held here and not over: one more is seldom meant.

    What cannot be read is not spoken of: a folder that a crash left half written stops no glass.
    """
    from breakglass.cli import held_grants
    from breakglass.records.statement import Break, parse_request

    for each in held_grants.all_held(client.state):
        try:
            answer, said = each.answer, parse_request(each.statement["text"])
            ends = parse_time(answer["not_after"])
        except (BreakglassError, KeyError, TypeError):
            continue
        drill = isinstance(said, Break) and said.drill
        if said.glass == glass and not drill and "ended" not in answer and ends > _now():
            left = output.time_left(ends, _now())
            output.talk(
                f"you hold {each.grant} of glass {glass!r} already, {left}; this is another"
            )


def _now() -> Any:
    from breakglass.cli.sign_statement import now

    return now()


def _own_glasses(client: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.broker("GET", "/glasses/mine")["glasses"]
    return found


def _list(client: Client, known: dict[str, Any], as_json: bool) -> None:
    people = {each["glass"]: each["people"] for each in _own_glasses(client)}
    mine = [each for each in known["glasses"] if client.who in people.get(each["glass"], ())]
    if as_json:
        output.tell_json({**known, "glasses": mine})
        return
    if not mine:
        output.talk(f"no glass of policy {known['version']} names {client.who!r}")
        return
    rows = [
        (
            each["glass"],
            _APPROVALS[each["tier"]],
            output.duration(each["for_s"]),
            " ".join(each["incident"]) or "none",
            each["does"],
        )
        for each in mine
    ]
    output.tell_table(("glass", "approvals", "for", "incident", "what it grants"), rows)
