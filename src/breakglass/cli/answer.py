"""``breakglass approve``, ``refuse`` and ``withdraw``: a person's word on what was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from breakglass.cli import output
from breakglass.cli.ask_view import AskState, AskView, ask_view
from breakglass.cli.client import Client, find, takes_org
from breakglass.cli.completed_names import ASK, GRANT
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MisconfiguredError, RefusedError, UnavailableError
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
    if as_json and not yes:
        raise click.UsageError("--json shows nothing to decide by; add --yes, or leave --json out")
    if not yes and not output.somebody_is_there():
        raise click.UsageError("nobody is at a terminal to be asked; --yes approves without asking")
    found = _read(client, grant, permit, as_json)
    if not yes and not click.confirm("breakglass: approve this", err=True):
        output.talk(f'nothing was signed, and it waits on; or: breakglass refuse {grant} --why "…"')
        raise click.exceptions.Exit(130)
    word = _hand_in(client, Do.APPROVE, grant, found.digest, why)
    _tell(word, "approved", f"{grant}, {word.as_told(found.said.who)}", as_json)


@click.command(epilog=REFUSE_EXAMPLE)
@click.argument("grant", type=ASK)
@_PERMIT
@click.option("--why", default="", metavar="TEXT", help="Why not; the asker reads it.")
@click.option("--mute", default="", metavar="TIME", help="Page me no more about this person: 1h.")
@takes_org
@output.says_json
def refuse(grant: str, permit: str, why: str, mute: str, org: str | None, as_json: bool) -> None:
    """Read what GRANT asks for, and refuse it: the ask is over, whoever else approves."""
    from breakglass.cli import me
    from breakglass.records.statement import Do

    client = find(org)
    if not why:
        raise click.UsageError("say why: --why TEXT (the asker and the review read it)")
    quiet = me.mute_length("--mute", mute) if mute else None
    found = _read(client, grant, permit, as_json)
    word = _hand_in(client, Do.REFUSE, grant, found.digest, why)
    _tell(word, "refused", f"{grant}, {word.as_told(found.said.who)}", as_json)
    if quiet is not None:
        _mute(client, found.said.who, quiet)


@click.command(epilog=WITHDRAW_EXAMPLE)
@click.argument("grant", type=GRANT)
@click.option("--why", default="no longer needed", metavar="TEXT", help="A word for the record.")
@takes_org
@output.says_json
def withdraw(grant: str, why: str, org: str | None, as_json: bool) -> None:
    """Take back your own ask GRANT: nobody can approve it any more."""
    from breakglass.records.statement import Do

    client = find(org)
    word = _hand_in(client, Do.WITHDRAW, grant, _own_digest(client, grant), why)
    _tell(word, "withdrawn", f"{grant}, {word.as_told(client.who)}", as_json)


def _mute(client: Client, who: str, quiet: timedelta) -> None:
    """Page no more about ``who``; last, since the no stands with or without it."""
    from breakglass.cli import me, sign_statement

    try:
        until = me.mute(client, who, quiet)
    except BreakglassError as error:
        output.talk(f"{who} is not muted: {error}; your no stands")
        return
    when = output.clock_time(until, sign_statement.now())
    output.talk(f"no page about {who} until {when}; others are still paged")


def _read(client: Client, grant: str, permit: str, as_json: bool) -> ProvenAsk:
    """Read an ask at a broker, prove it here, and show it.

    Raises:
        BreakglassError: it does not prove itself, or is one's own; nothing was signed.
    """
    from breakglass.cli.ask_proof import in_words, of_broker, proven_ask
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


@dataclass(frozen=True)
class _Word:
    """What somebody signed of an ask, and what a broker says came of it: ``kept`` is no broker's.

    ``answer`` is the broker's, for machines; ``view`` how it says that the ask stands.
    """

    answer: dict[str, Any]
    view: AskView
    kept: bool

    def as_told(self, asker: str) -> str:
        """Say what came of it; all behind the word of it is the broker's, and marked so."""
        return f"handed in as entry {self.answer['index']}; the broker says: {self._state(asker)}"

    def _state(self, asker: str) -> str:
        view = self.view
        match view.state:
            case AskState.WAITING:
                more = max(0, view.need - len(view.yes))
                return f"{more} more needed" if more else "enough approved"
            case AskState.GRANTED:
                return f"granted to {asker}"
            case AskState.REFUSED:
                return "the ask is over"
            case AskState.WITHDRAWN:
                return "nothing is granted"
            case AskState.ENDED if not view.stopped:
                return "it was granted, and the grant is over"
            case AskState.ENDED:
                return "the ask was stopped"
            case state:
                return f"the ask is {state.value}"


def _hand_in(client: Client, do: Do, grant: str, digest: str, why: str) -> _Word:
    """Sign a word over the digest of the very text that was checked, and hand it in.

    A copy goes to the monitor whatever came back: that it is recorded is the broker's word alone.
    """
    from breakglass.cli import sign_statement
    from breakglass.cli.statement_copy import leave_copy
    from breakglass.records.statement import Do

    said = sign_statement.answer(client, do, digest, do.value, why)
    try:
        answer = client.broker("POST", "/answers", {"statement": said.signed})
        view = ask_view(answer["ask"])
    except UnavailableError as error:
        # It may be recorded, or lost: the monitor alerts if it is lost.
        kept = leave_copy(client, said.signed)
        at = "the monitor has a copy and alerts if it is not recorded"
        error.hint = f"not recorded as far as we know; {at if kept else 'the monitor has no copy'}"
        error.hint += f"; retry: {_typed(do, grant)}"
        raise
    except RefusedError as error:
        if do is Do.WITHDRAW and error.name == ErrorName.GRANTED_ALREADY:
            error.hint = "; ".join(filter(None, ("nothing was withdrawn", error.hint)))
        raise
    return _Word(answer, view, leave_copy(client, said.signed))


def _typed(do: Do, grant: str) -> str:
    from breakglass.records.statement import Do

    if do is Do.APPROVE:
        return f"breakglass approve {grant}"
    if do is Do.REFUSE:
        return f'breakglass refuse {grant} --why "…"'
    return f"breakglass withdraw {grant}"


def _tell(word: _Word, label: str, told: str, as_json: bool) -> None:
    if as_json:
        output.tell_json({**word.answer, "copy_kept": word.kept})
        return
    output.tell_rows([(label, told)])
    if word.kept:
        output.talk("the monitor has a copy; it alerts if this is not recorded in 60 s")
    else:
        output.talk("the monitor has no copy; that it is recorded is the broker's word alone")
