"""``breakglass break``: the one story, told from the responder's side."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from breakglass.cli import output
from breakglass.cli.client import Client, find, takes_org
from breakglass.cli.completed_names import GLASS, INCIDENT
from breakglass.cli.grant_output import tell_grant
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MisconfiguredError, UnavailableError

if TYPE_CHECKING:
    from breakglass.cli.held_grants import Held
    from breakglass.records.card import Card, CardMint
    from breakglass.records.statement import Why

EXAMPLE = """\
\b
Example:
  breakglass break orders-repair --incident INC-4821 --why "orders stuck"
"""
DRILL_AT_MOST = timedelta(minutes=20)
_APPROVALS = {"self": "none", "two": "1", "sealed": "custodians"}


@click.command(name="break", epilog=EXAMPLE)
@click.argument("glass", required=False, type=GLASS)
@click.option(
    "--incident",
    default="",
    metavar="ID",
    type=INCIDENT,
    help="The open incident that this is for.",
)
@click.option(
    "--why",
    default="",
    metavar="TEXT",
    help="Why, in your words; it is recorded. Asked for with GLASS.",
)
@click.option("--code", default="", metavar="CODE", help="The coded reason.  [default: other]")
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
    from breakglass.cli import signed_glass
    from breakglass.records.statement import Why

    client = find(org)
    if again:
        from breakglass.cli import held_grants

        _send(client, held_grants.held(client.state, again), as_json)
        return
    known = client.broker("GET", "/glasses")
    if glass is None:
        _list(client, known, as_json)
        return
    if not why:
        raise click.UsageError(f"say why: --why TEXT (it is recorded with your name: {client.who})")
    # What is asked for is what maintainers signed, and is shown before anybody touches a key.
    card = signed_glass.signed_card(client, known, glass, _now())
    mint = signed_glass.choose_mint(card, minter)
    life = signed_glass.life_of(card, for_)
    life = min(life, DRILL_AT_MOST) if drill else life
    said = Why(signed_glass.check_code(known, code), why)
    _say_what_is_held(client, glass)
    if drill:
        output.talk("DRILL: all of it is tried, people are alerted, and nothing opens")
    output.talk(f"you sign for {glass}: {signed_glass.what_it_grants(card, mint, life)}")
    _send(client, _signed(client, card, mint, life, incident, said, ticket, drill), as_json)


def _say_what_is_held(client: Client, glass: str) -> None:
    """Say which grants of this glass are held here and not over: one more is seldom meant.

    What cannot be read is not spoken of: a folder that a crash left half written stops no glass.
    """
    from breakglass.cli import held_grants
    from breakglass.clock import parse_time
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


def _signed(
    client: Client,
    card: Card,
    mint: CardMint | None,
    life: timedelta,
    incident: str,
    why: Why,
    ticket: str,
    drill: bool,
) -> Held:
    from breakglass.cli import held_grants, sign_statement, signed_glass
    from breakglass.records.statement import Break, Do, grant_id

    # (1) One key for this grant alone; what is minted will be sealed to it.
    folder, holder = held_grants.begin(client.state)
    try:
        statement = Break(
            do=Do.BREAK,
            log=client.log,
            policy=card.policy,
            glass=card.glass,
            minter=mint.minter if mint else "",
            scope=mint.scope if mint else {},
            act=signed_glass.act_of(mint),
            drill=drill,
            who=client.who,
            incident=incident,
            ticket=ticket,
            reason=why,
            for_s=int(life.total_seconds()),
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
    return held_grants.settle(folder, grant_id(said.text), said.signed)


def _send(client: Client, held: Held, as_json: bool) -> None:
    from breakglass.cli.credential import check_minted
    from breakglass.cli.grant_proof import proven_grant
    from breakglass.records.statement import parse_request

    client.announce()  # a statement that is sent again was signed by an earlier command
    said = parse_request(held.statement["text"])
    minter = said.minter
    shown = held.present(client.log, f"minter:{minter}", held.grant) if minter else None
    try:
        answer = client.broker(
            "POST", "/break", {"statement": held.statement, "presentation": shown}
        )
    except UnavailableError as error:
        again = f"retry: breakglass break --again {held.grant}"
        if again in error.hint:
            pass  # the broker's own word, which knows of a way round too
        elif error.name in (ErrorName.UNANSWERED, ErrorName.NONSENSE):
            error.hint = f"result unknown; {again}"
        elif error.name == ErrorName.UNREACHABLE or not error.hint:
            error.hint = again
        raise
    # (4) The broker is believed in nothing: what is told is what its answer proves to us.
    grant, trust = proven_grant(client, held, answer, _now())
    if minter and not said.drill:
        check_minted(client, held, answer.get("minted") or {}, _now())
    # (5) Told first and kept second: somebody who needs it now can do without the file.
    try:
        tell_grant(grant, trust, answer, as_json)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UnavailableError(
            f"standard output cannot be written: {error.strerror or error}; grant {held.grant!r}"
            " stands",
            hint=f"see: breakglass status {held.grant}",
        ) from error
    finally:
        _keep(held, answer)


def _keep(held: Held, answer: dict[str, Any]) -> None:
    try:
        held.keep_answer(answer)
    except MisconfiguredError as error:
        # The broker gives token and credential again for as long as the grant lives.
        output.talk(f"{error}; the grant stands: breakglass status {held.grant}")


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
