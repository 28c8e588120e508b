"""What somebody wants of one glass: read from the command line, drawn from the card, signed, kept.

``break`` and ``ask`` take the same words and differ in what is signed: to take it and answer for
that afterwards, or to have others approve it first.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click

from breakglass.cli import output
from breakglass.cli.client import Client
from breakglass.cli.completed_names import INCIDENT
from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError

if TYPE_CHECKING:
    from breakglass.cli.held_grants import Held
    from breakglass.records.card import Card, CardMint
    from breakglass.records.statement import Do, Why

F = TypeVar("F", bound=Callable[..., Any])
DRILL_AT_MOST = timedelta(minutes=20)
_OPTIONS = (
    click.option(
        "--incident",
        default="",
        metavar="ID",
        type=INCIDENT,
        help="The open incident that this is for.",
    ),
    click.option(
        "--why",
        default="",
        metavar="TEXT",
        help="Why, in your words; it is recorded. Asked for with GLASS.",
    ),
    click.option("--code", default="", metavar="CODE", help="The coded reason.  [default: other]"),
    click.option(
        "--for", "for_", default="", metavar="TIME", help="Shorter than the glass allows: 10m."
    ),
    click.option(
        "--minter", default="", metavar="NAME", help="Which minter, if the glass has several."
    ),
    click.option("--ticket", default="", metavar="ID", help="Where the work is planned."),
    click.option("--drill", is_flag=True, help="Rehearse: all of it is tried, nothing opens."),
)


@dataclass(frozen=True)
class Typed:
    """What was typed beside the glass, as it was typed."""

    incident: str = ""
    why: str = ""
    code: str = ""
    for_: str = ""
    minter: str = ""
    ticket: str = ""
    drill: bool = False


def takes_request(command: F) -> F:
    """Give a command the options that say what is wanted; it gets them as ``typed``."""

    @functools.wraps(command)
    def taking(
        *args: Any,
        incident: str,
        why: str,
        code: str,
        for_: str,
        minter: str,
        ticket: str,
        drill: bool,
        **rest: Any,
    ) -> Any:
        typed = Typed(incident, why, code, for_, minter, ticket, drill)
        return command(*args, typed=typed, **rest)

    for option in reversed(_OPTIONS):
        taking = option(taking)
    return taking  # type: ignore[return-value]


def check_alone(option: str, glass: str | None, typed: Typed, start: str = "") -> None:
    """Check that nothing stands beside an option that goes on with what was signed before.

    Raises:
        click.UsageError: something does, and would count for nothing: ``--drill`` among it would
            break the glass for real.
    """
    beside = [] if glass is None else [repr(glass)]
    beside += [f"--{name.rstrip('_')}" for name, value in vars(typed).items() if value]
    beside += ["--start"] if start else []
    if beside:
        raise click.UsageError(
            f"{option} goes on with what you signed, and {', '.join(beside)} would change nothing:"
            " leave it out"
        )


@dataclass(frozen=True)
class GlassRequest:
    """One use of one glass as somebody is about to sign for it, within its signed card."""

    card: Card
    mint: CardMint | None
    life: timedelta
    incident: str
    ticket: str
    reason: Why
    drill: bool

    def draw(self, verb: str, starts: str = "") -> None:
        """Say what is about to be signed, before a key is touched; ``starts``: when it begins."""
        from breakglass.cli.signed_glass import what_it_grants

        if self.drill:
            output.talk("DRILL: all of it is tried, people are alerted, and nothing opens")
        terms = what_it_grants(self.card, self.mint, self.life, later=bool(starts))
        later = f", from {begins(starts)} on" if starts else ""
        output.talk(f"you {verb} {self.card.glass}: {terms}{later}")

    def signed(self, client: Client, do: Do, *, after: str = "", starts: str = "") -> Held:
        """Have the person sign, and keep statement and key before anything is sent.

        Args:
            client: who signs.
            do: ``break`` or ``ask``.
            after: of a break, the SHA-256 of the ask that nobody answered, or empty.
            starts: of an ask, when it is to begin, or empty.

        Raises:
            BreakglassError: not signed, or not kept; nothing was sent.
        """
        from breakglass.cli import held_grants, sign_statement, signed_glass
        from breakglass.records.statement import Ask, Break, Do, grant_id

        # (1) One key for this grant alone; what is minted will be sealed to it.
        folder, holder = held_grants.begin(client.state)
        try:
            same: dict[str, Any] = {
                "do": do,
                "log": client.log,
                "policy": self.card.policy,
                "glass": self.card.glass,
                "minter": self.mint.minter if self.mint else "",
                "scope": self.mint.scope if self.mint else {},
                "act": signed_glass.act_of(self.mint),
                "drill": self.drill,
                "who": client.who,
                "incident": self.incident,
                "ticket": self.ticket,
                "reason": self.reason,
                "for_s": int(self.life.total_seconds()),
                "holder": holder,
                "at": sign_statement.now(),
                "nonce": sign_statement.nonce(),
            }
            wanted = Ask(**same, starts=starts) if do is Do.ASK else Break(**same, after=after)
            # (2) The person signs; from here the grant has its id.
            said = sign_statement.say(client, wanted)
        except BaseException:
            held_grants.abandon(folder)
            raise
        # (3) Kept before it is sent: a lost answer is asked for again, with the same bytes.
        asked = self.card if do is Do.ASK or self.card.need else None
        return held_grants.settle(folder, grant_id(said.text), said.signed, asked)


def later_start(wanted: GlassRequest, typed: str) -> str:
    """Return when an ask begins, as its statement says it, within what the card lets it wait.

    Raises:
        MalformedError: ``typed`` is no time to come.
        RefusedError: ``not_offered``; the glass begins at once, or not so late. ``wrong_start``;
            it gives gates alone.
    """
    from breakglass.cli.sign_statement import now
    from breakglass.cli.start_time import parse_start
    from breakglass.clock import format_time

    card = wanted.card
    found, most = parse_start(typed, now()), timedelta(seconds=card.ahead_s)
    if wanted.mint is None:
        raise RefusedError(
            f"what begins later opens no gate, and glass {card.glass!r} gives nothing else; nothing"
            " was asked",
            name=ErrorName.WRONG_START,
            hint="leave --start out, and ask when it begins",
        )
    if found > now() + most:
        longest = f"{output.duration(card.ahead_s)} ahead at most" if most else "at once alone"
        raise RefusedError(
            f"glass {card.glass!r} is asked for {longest}; nothing was asked",
            name=ErrorName.NOT_OFFERED,
            hint="the policy says how far: 'ahead' of the glass",
        )
    return format_time(found)


def begins(starts: str) -> str:
    """Write a start for people: in their own zone, and in UTC."""
    from breakglass.clock import parse_time

    return output.day_and_time(parse_time(starts))


def wanted(client: Client, known: dict[str, Any], glass: str, typed: Typed) -> GlassRequest:
    """Return what was typed, once it fits the card that maintainers signed.

    Args:
        client: whose trust file says who the maintainers are.
        known: what a broker lists, of ``GET /glasses``.
        glass: its name.
        typed: beside it.

    Raises:
        BreakglassError: see ``signed_glass``; nothing was signed.
    """
    from breakglass.cli import signed_glass
    from breakglass.cli.sign_statement import now
    from breakglass.records.statement import Why

    if not typed.why:
        raise click.UsageError(f"say why: --why TEXT (it is recorded with your name: {client.who})")
    card = signed_glass.signed_card(client, known, glass, now())
    mint = signed_glass.choose_mint(card, typed.minter)
    life = signed_glass.life_of(card, typed.for_)
    return GlassRequest(
        card=card,
        mint=mint,
        life=min(life, DRILL_AT_MOST) if typed.drill else life,
        incident=typed.incident,
        ticket=typed.ticket,
        reason=Why(signed_glass.check_code(known, typed.code), typed.why),
        drill=typed.drill,
    )


def wanted_after(client: Client, asked: Held) -> GlassRequest:
    """Return the very same wish as an ask of before, by the card in force now.

    Raises:
        BreakglassError: see ``wanted``.
    """
    from breakglass.cli.signed_glass import OTHER
    from breakglass.records.statement import Ask, parse_as

    said = parse_as(Ask, asked.statement["text"])
    known = client.broker("GET", "/glasses")
    typed = Typed(
        incident=said.incident,
        why=said.reason.text,
        code="" if said.reason.code == OTHER else said.reason.code,
        minter=said.minter,
        ticket=said.ticket,
        drill=said.drill,
    )
    found = wanted(client, known, said.glass, typed)
    return replace(found, life=min(found.life, timedelta(seconds=said.for_s)))
