"""``breakglass approve``, ``refuse`` and ``withdraw``: a person's word on what was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from breakglass.cli import output
from breakglass.cli.client import Client, find, takes_org
from breakglass.cli.completed_names import ASK, GRANT
from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, RefusedError, UnavailableError
from breakglass.shown_text import shown

if TYPE_CHECKING:
    from breakglass.cli.ask_proof import ProvenAsk
    from breakglass.records.statement import Do

APPROVE_EXAMPLE = """\
\b
Example:
  breakglass approve g-7kq3m2x4p5ab
"""
REFUSE_EXAMPLE = """\
\b
Example:
  breakglass refuse g-7kq3m2x4p5ab --why "not during the freeze"
  breakglass refuse g-7kq3m2x4p5ab --why "not mira" --mute 1h
"""
WITHDRAW_EXAMPLE = """\
\b
Example:
  breakglass withdraw g-7kq3m2x4p5ab
"""
_PERMIT = click.option(
    "--permit", default="", metavar="TEXT", help="From the page: reads it without a session."
)


@click.command(epilog=APPROVE_EXAMPLE)
@click.argument("grant", type=ASK)
@_PERMIT
@click.option("--why", default="approved", metavar="TEXT", help="A word for the record.")
@click.option("--yes", is_flag=True, help="Do not ask again before your key is used.")
@takes_org
@output.says_json
def approve(grant: str, permit: str, why: str, yes: bool, org: str | None, as_json: bool) -> None:
    """Read what GRANT asks for, checked on this machine, and approve it with your own key."""
    from breakglass.records.statement import Do

    client = find(org)
    if not yes and not output.somebody_is_there():
        raise click.UsageError("nobody is at a terminal to be asked; --yes approves without asking")
    found = _read(client, grant, permit, as_json)
    if not yes and not click.confirm("breakglass: approve this", err=True):
        output.talk(f'nothing was signed, and it waits on; or: breakglass refuse {grant} --why "…"')
        raise click.exceptions.Exit(130)
    answer = _hand_in(client, Do.APPROVE, grant, found.digest, why)
    if not as_json:
        output.tell_rows([("approved", f"{grant}, entry {answer['index']}; {_so(answer, found)}")])
    _end(client, answer, as_json)


@click.command(epilog=REFUSE_EXAMPLE)
@click.argument("grant", type=ASK)
@_PERMIT
@click.option("--why", default="", metavar="TEXT", help="Why not; the asker reads it.")
@click.option("--mute", default="", metavar="TIME", help="Page me no more about this person: 1h.")
@takes_org
@output.says_json
def refuse(grant: str, permit: str, why: str, mute: str, org: str | None, as_json: bool) -> None:
    """Read what GRANT asks for, and refuse it: the ask is over, whoever else approves."""
    from breakglass.cli import me, sign_statement
    from breakglass.records.statement import Do

    client = find(org)
    if not why:
        raise click.UsageError("say why: --why TEXT (the asker and the review read it)")
    quiet = me.length(mute) if mute else None
    found = _read(client, grant, permit, as_json)
    answer = _hand_in(client, Do.REFUSE, grant, found.digest, why)
    if not as_json:
        output.tell_rows([("refused", f"{grant}, entry {answer['index']}; the ask is over")])
    _end(client, answer, as_json)
    if quiet is not None:
        # Last: a monitor that is away keeps nobody from refusing.
        until = me.mute(client, found.said.who, quiet)
        when = output.clock_time(until, sign_statement.now())
        output.talk(f"no page about {found.said.who} until {when}; others are still paged")


@click.command(epilog=WITHDRAW_EXAMPLE)
@click.argument("grant", type=GRANT)
@click.option("--why", default="no longer needed", metavar="TEXT", help="A word for the record.")
@takes_org
@output.says_json
def withdraw(grant: str, why: str, org: str | None, as_json: bool) -> None:
    """Take back your own ask GRANT: nobody can approve it any more."""
    from breakglass.records.statement import Do

    client = find(org)
    answer = _hand_in(client, Do.WITHDRAW, grant, _own_digest(client, grant), why)
    if not as_json:
        output.tell_rows([("withdrawn", f"{grant}, entry {answer['index']}; nothing is granted")])
    _end(client, answer, as_json)


def _read(client: Client, grant: str, permit: str, as_json: bool) -> ProvenAsk:
    """Read an ask at a broker, prove it here, and show it.

    Raises:
        BreakglassError: it does not prove itself, or is one's own; nothing was signed.
    """
    from breakglass.cli.ask_proof import in_words, of_broker, proven_ask
    from breakglass.cli.ask_view import AskState, ask_view
    from breakglass.cli.sign_statement import now

    client.announce()
    view = ask_view(client.broker("GET", f"/requests/{_named(grant)}", permit=permit))
    found = proven_ask(client, view, grant, now())
    if found.said.who == client.who:
        raise RefusedError(
            f"{grant!r} is your own ask, and nobody approves their own; nothing was signed",
            name=ErrorName.OWN_REQUEST,
            hint=f"take it back: breakglass withdraw {grant}",
        )
    if not as_json:
        output.tell_rows(in_words(found, grant, now()))
        for line in of_broker(view.value, found.said.who):
            output.talk(line)
        if view.state is not AskState.WAITING:
            output.talk(f"the broker says: it waits no more ({view.state.value})")
    return found


def _named(grant: str) -> str:
    from breakglass.errors import MalformedError

    if not grant.startswith("g-") or not grant[2:].isalnum():
        raise MalformedError(
            f"{shown(grant, 40)!r} is not a grant (g- and twelve characters)",
            hint="see: breakglass requests",
        )
    return grant


def _own_digest(client: Client, grant: str) -> str:
    """Return what is taken back: as this machine keeps it, else as a broker shows it."""
    from breakglass.cli import held_grants
    from breakglass.cli.ask_view import ask_view
    from breakglass.errors import UnprovenError
    from breakglass.records.statement import digest_of, grant_id, parse_request

    try:
        return digest_of(held_grants.held(client.state, grant).statement["text"])
    except MisconfiguredError:
        text = ask_view(client.broker("GET", f"/requests/{_named(grant)}")).text
    said = parse_request(text)
    if grant_id(text) != grant or said.log != client.log:
        raise UnprovenError(
            f"the broker shows another ask than {grant!r}; nothing was signed",
            name=ErrorName.WRONG_GRANT,
        )
    if said.who != client.who:
        raise RefusedError(
            f"{grant!r} is an ask of {said.who!r}, and only they take it back; nothing was signed",
            name=ErrorName.MISMATCH,
            hint=f'refuse it: breakglass refuse {grant} --why "…"',
        )
    return digest_of(text)


def _hand_in(client: Client, do: Do, grant: str, digest: str, why: str) -> dict[str, Any]:
    """Sign a word over the digest of the very text that was checked, and hand it in."""
    from breakglass.cli import sign_statement
    from breakglass.cli.statement_copy import leave_copy

    said = sign_statement.answer(client, do, digest, do.value, why)
    try:
        answer = client.broker("POST", "/answers", {"statement": said.signed})
    except UnavailableError as error:
        # It may be recorded, or lost: the monitor alerts if it is lost.
        kept = leave_copy(client, said.signed)
        at = "the monitor has a copy and alerts if it is not recorded"
        error.hint = f"not recorded as far as we know; {at if kept else 'the monitor has no copy'}"
        error.hint += f"; retry: {_typed(do, grant)}"
        raise
    return {**answer, "signed": said.signed}


def _typed(do: Do, grant: str) -> str:
    from breakglass.records.statement import Do

    if do is Do.APPROVE:
        return f"breakglass approve {grant}"
    if do is Do.REFUSE:
        return f'breakglass refuse {grant} --why "…"'
    return f"breakglass withdraw {grant}"


def _end(client: Client, answer: dict[str, Any], as_json: bool) -> None:
    """Leave a copy with the monitor: that it is recorded is the broker's word alone."""
    from breakglass.cli.statement_copy import leave_copy

    kept = leave_copy(client, answer.pop("signed"))
    if as_json:
        output.tell_json({**answer, "copy_kept": kept})
    elif kept:
        output.talk("the monitor has a copy; it alerts if this is not recorded in 60 s")
    else:
        output.talk("the monitor has no copy; that it is recorded is the broker's word alone")


def _so(answer: dict[str, Any], found: ProvenAsk) -> str:
    from breakglass.cli.ask_view import AskState, ask_view

    view = ask_view(answer["ask"])
    if view.state is AskState.GRANTED:
        return f"granted to {found.said.who}"
    more = max(0, view.need - len(view.yes))
    return f"{more} more needed" if more else "enough approved"
