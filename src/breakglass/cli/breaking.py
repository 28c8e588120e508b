"""``breakglass break``: the one story, told from the responder's side."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import click

from breakglass.cli import output
from breakglass.cli.client import Client, find, takes_org
from breakglass.cli.grant_output import tell_grant
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, RefusedError, UnavailableError

EXAMPLE = """\
\b
Example:
  breakglass break orders-repair --incident INC-4821 --why "orders stuck"
"""
_SPAN = re.compile(r"([1-9][0-9]{0,5})(s|m|h)", re.ASCII)
DRILL_AT_MOST = timedelta(minutes=20)
_APPROVALS = {"self": "none", "two": "1", "sealed": "custodians"}
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours"}


@click.command(name="break", epilog=EXAMPLE)
@click.argument("glass", required=False)
@click.option("--incident", default="", metavar="ID", help="The open incident that this is for.")
@click.option("--why", default="", metavar="TEXT", help="Why, in your words; it is recorded.")
@click.option("--code", default="other", metavar="CODE", help="The coded reason.  [default: other]")
@click.option(
    "--for", "for_", default="", metavar="TIME", help="Shorter than the glass allows: 10m."
)
@click.option(
    "--minter", default="", metavar="NAME", help="Which minter, if the glass has several."
)
@click.option("--ticket", default="", metavar="ID", help="Where the work is planned.")
@click.option("--drill", is_flag=True, help="Rehearse: all of it is tried, nothing opens.")
@click.option("--again", metavar="GRANT", help="Send a statement again whose answer never came.")
@takes_org
@output.says_json
def break_(
    glass: str | None,
    incident: str,
    why: str,
    code: str,
    for_: str,
    minter: str,
    ticket: str,
    drill: bool,
    again: str | None,
    org: str | None,
    as_json: bool,
) -> None:
    """Break GLASS: sign for it, have it recorded, and hold what it grants.

    Without GLASS, list what you may break.
    """
    client = find(org)
    if again:
        _send_again(client, again, as_json)
        return
    known = client.broker("GET", "/glasses")
    if glass is None:
        _list(client, known, as_json)
        return
    if not why:
        raise click.UsageError(f"say why: --why TEXT (it is recorded with your name: {client.who})")
    chosen = choose(known, glass)
    mint = choose_mint(chosen, minter)
    terms = terms_of(chosen, for_)
    answer, grant = _break(client, known, chosen, mint, terms, incident, code, why, ticket, drill)
    tell_grant(client, chosen, mint, answer, grant, as_json)


def _break(
    client: Client,
    known: dict[str, Any],
    glass: dict[str, Any],
    mint: dict[str, Any] | None,
    terms: timedelta,
    incident: str,
    code: str,
    why: str,
    ticket: str,
    drill: bool,
) -> tuple[dict[str, Any], str]:
    from breakglass.cli import held_grants, sign_statement
    from breakglass.records.statement import Break, Do, Why, grant_id

    # (1) One key for this grant alone; what is minted will be sealed to it.
    folder, holder = held_grants.begin(client.state)
    try:
        statement = Break(
            do=Do.BREAK,
            log=client.log,
            policy=known["policy"],
            glass=glass["glass"],
            minter=mint["minter"] if mint else "",
            scope={name: tuple(values) for name, values in mint["scope"].items()} if mint else {},
            act=act_of(mint),
            drill=drill,
            who=client.who,
            incident=incident,
            ticket=ticket,
            reason=Why(code, why),
            for_s=int(min(terms, DRILL_AT_MOST if drill else terms).total_seconds()),
            after="",
            holder=holder,
            at=sign_statement.now(),
            nonce=sign_statement.nonce(),
        )
        # (2) The person signs; from here the grant has its id.
        said = sign_statement.say(client, statement)
    except BaseException:
        held_grants.abandon(folder)
        raise
    # (3) Kept before it is sent: a lost answer is asked for again, with the same bytes.
    held = held_grants.settle(folder, grant_id(said.text), said.signed)
    return _send(client, held, mint["minter"] if mint else ""), held.grant


def _send(client: Client, held: Any, minter: str) -> dict[str, Any]:
    client.announce()  # a statement that is sent again was signed by an earlier command
    shown = held.present(client.log, f"minter:{minter}", held.grant) if minter else None
    try:
        answer = client.broker(
            "POST", "/break", {"statement": held.statement, "presentation": shown}
        )
    except UnavailableError as error:
        again = f"retry: breakglass break --again {held.grant}"
        if error.name in (ErrorName.UNANSWERED, ErrorName.NONSENSE):
            error.hint = f"result unknown; {again}"
        elif error.name == ErrorName.UNREACHABLE or not error.hint:
            error.hint = again
        raise
    held.keep_answer(answer)
    return answer


def _send_again(client: Client, grant: str, as_json: bool) -> None:
    from breakglass.cli import held_grants
    from breakglass.records.statement import parse_request

    held = held_grants.held(client.state, grant)
    said = parse_request(held.statement["text"])
    known = client.broker("GET", "/glasses")
    glass = choose(known, said.glass)
    mint = choose_mint(glass, said.minter) if said.minter else None
    tell_grant(client, glass, mint, _send(client, held, said.minter), grant, as_json)


def choose(known: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the glass of this name.

    Raises:
        RefusedError: ``no_glass``, with the names that there are.
    """
    for glass in known["glasses"]:
        if glass["glass"] == name:
            found: dict[str, Any] = glass
            return found
    names = ", ".join(sorted(each["glass"] for each in known["glasses"]))
    raise RefusedError(
        f"there is no glass {name!r} in policy {known['version']}",
        name=ErrorName.NO_GLASS,
        hint=f"there are: {names}" if names else "no policy is active: breakglass policy activate",
    )


def choose_mint(glass: dict[str, Any], minter: str) -> dict[str, Any] | None:
    """Return the glass's mint by this minter, or its only one; ``None`` if it mints nothing.

    Raises:
        MalformedError: it has several, or none of that name.
    """
    mints: list[dict[str, Any]] = glass["mints"]
    if not minter and len(mints) < 2:
        return mints[0] if mints else None
    for mint in mints:
        if mint["minter"] == minter:
            return mint
    names = ", ".join(mint["minter"] for mint in mints) or "none"
    raise MalformedError(
        f"glass {glass['glass']!r} has no minter {minter!r}"
        if minter
        else f"glass {glass['glass']!r} has several minters",
        hint=f"say which: --minter NAME (there are: {names})",
    )


def act_of(mint: dict[str, Any] | None) -> str:
    """Return the act that a mint runs in place of a credential, if it has exactly one.

    Raises:
        MalformedError: it has several.
    """
    acts: list[str] = mint["acts"] if mint else []
    if len(acts) > 1:
        raise MalformedError(f"minter {mint['minter']!r} runs several acts: {', '.join(acts)}")  # type: ignore[index]
    return acts[0] if acts else ""


def terms_of(glass: dict[str, Any], given: str) -> timedelta:
    """Read ``--for``, or return the longest that the glass allows.

    Raises:
        MalformedError: no length of time.
        RefusedError: ``too_long``.
    """
    longest = timedelta(seconds=glass["for_s"])
    if not given:
        return longest
    match = _SPAN.fullmatch(given)
    if match is None:
        raise MalformedError(f"invalid duration --for {given[:20]!r}", hint="use 90s, 10m or 1h")
    asked = timedelta(**{_UNITS[match[2]]: int(match[1])})
    if asked > longest:
        raise RefusedError(
            f"glass {glass['glass']!r} is for {output.duration(longest.total_seconds())} at most,"
            f" asked {output.duration(asked.total_seconds())}",
            name=ErrorName.TOO_LONG,
        )
    return asked


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
