"""``breakglass done`` and ``breakglass kill``: a grant ends before its time."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from breakglass.cli import output
from breakglass.cli.client import find, takes_org
from breakglass.cli.completed_names import GRANT
from breakglass.errors import BreakglassError

if TYPE_CHECKING:
    from breakglass.cli.client import Client
    from breakglass.records.statement import Kill, KillAll

_SHOWN = 20
DONE_EXAMPLE = """\
\b
Example:
  breakglass done g-7kq3m2x4p5ab
"""
KILL_EXAMPLE = """\
\b
Example:
  breakglass kill g-7kq3m2x4p5ab --why "not mira"
  breakglass kill person:sam --why "laptop stolen"
  breakglass kill --all --why "the build machine is not ours any more"
"""


@click.command(epilog=DONE_EXAMPLE)
@click.argument("grant", type=GRANT)
@click.option("--why", default="done", metavar="TEXT", help="A word for the record.")
@takes_org
@output.says_json
def done(grant: str, why: str, org: str | None, as_json: bool) -> None:
    """Hand GRANT back now: its sessions are cut and its credential dies."""
    from breakglass.cli import held_grants, sign_statement
    from breakglass.clock import parse_time
    from breakglass.records.statement import Do, digest_of

    client = find(org)
    held = held_grants.held(client.state, grant)
    begun = sign_statement.now()
    said = sign_statement.answer(client, Do.DONE, digest_of(held.statement["text"]), "done", why)
    answer = client.broker("POST", "/done", {"grant": grant, "statement": said.signed})
    with contextlib.suppress(BreakglassError, OSError):
        # Only so that the next break does not speak of it as held; what counts is recorded.
        held.keep_answer({**held.answer, "ended": answer["ended"]})
    if as_json:
        output.tell_json(answer)
        return
    ended = parse_time(answer["ended"])
    if ended < begun:
        # Thanks for what was over an hour ago would hide that somebody cut it, or that it expired.
        over = output.clock_time(ended, sign_statement.now())
        output.tell_rows([("ended", f"{grant}, already over since {over}")])
    else:
        output.tell_rows([("ended", said_of_done(grant, answer.get("dead")))])


def said_of_done(grant: str, dead: object) -> str:
    """Return what a person is told who handed a grant back.

    Args:
        grant: its id.
        dead: whether its minter has seen the target refuse; anything but false where no minter
            was asked.

    >>> said_of_done("g-7kq3m2x4p5ab", True)
    'g-7kq3m2x4p5ab, handed back; thank you'
    >>> said_of_done("g-7kq3m2x4p5ab", False)
    'g-7kq3m2x4p5ab, told to end, not yet cut; watch it: breakglass status g-7kq3m2x4p5ab'
    """
    if dead is False:
        return f"{grant}, told to end, not yet cut; watch it: breakglass status {grant}"
    return f"{grant}, handed back; thank you"


@click.command(epilog=KILL_EXAMPLE)
@click.argument("target", required=False)
@click.option("--why", default="no reason given", metavar="TEXT", help="Why; it is recorded.")
@click.option(
    "--all", "everything", is_flag=True, help="Everything, with a second person within 15 min."
)
@click.option("--lift", is_flag=True, help="Let a stopped person, glass or everything go again.")
@takes_org
@output.says_json
def kill(
    target: str | None, why: str, everything: bool, lift: bool, org: str | None, as_json: bool
) -> None:
    """Stop TARGET at once: a grant (g-…), person:NAME, glass:NAME; or --all.

    What is stopped stays stopped until it is lifted; a grant is over for good. A stopped person's
    requests end, and their answers to others' count no more. With --all every grant ends and
    nothing is granted, once a second person who may kill says the same.
    """
    from breakglass.cli import sign_statement

    if everything == bool(target):
        raise click.UsageError("name what to stop: a grant (g-…), person:NAME, glass:NAME or --all")
    client = find(org)
    said = sign_statement.say(client, _word(client, target, why, lift=lift))
    answer = client.broker("POST", "/kill", {"statement": said.signed})
    if as_json:
        output.tell_json(answer)
    else:
        output.tell_rows(said_of_kill(answer, lift=lift))


def _word(client: Client, target: str | None, why: str, *, lift: bool) -> Kill | KillAll:
    from breakglass.cli import sign_statement
    from breakglass.records.statement import Do, Kill, KillAll, Target, Why

    reason, now, nonce = Why("kill", why), sign_statement.now(), sign_statement.nonce()
    if target is None:
        do = Do.LIFT_ALL if lift else Do.KILL_ALL
        return KillAll(do, client.log, client.who, reason, now, nonce)
    kind, colon, name = target.partition(":")
    if not colon:
        kind, name = "grant", target
    if kind not in list(Target) or (kind == "grant" and not name.startswith("g-")):
        raise click.UsageError(f"{target!r} is no grant (g-…), person:NAME or glass:NAME")
    if lift and kind == "grant":
        raise click.UsageError("a grant that was stopped is over; break the glass again")
    do = Do.LIFT if lift else Do.KILL
    return Kill(do, client.log, Target(kind), name, client.who, reason, now, nonce)


def said_of_kill(answer: Mapping[str, Any], *, lift: bool) -> list[tuple[str, str]]:
    """Return what a person is told who stopped something or let it go, as rows.

    Args:
        answer: of ``POST /kill``.
        lift: whether it was to be let go.

    >>> said_of_kill({"target": "glass", "name": "x", "index": 7}, lift=True)
    [('lifted', "glass 'x', entry 7")]
    """
    what = "everything" if answer["target"] == "all" else f"{answer['target']} '{answer['name']}'"
    where = "" if answer["index"] is None else f", entry {answer['index']}"
    if until := answer.get("waits_until"):
        return [("recorded", f"{what}{where}: the first of two people"), _waits(until, lift=lift)]
    if lift:
        return [("lifted", what + where)]
    unminted, asks = answer.get("unminted", ()), answer.get("asks", ())
    rows = [("stopped", what + where), ("ends", _counted(answer.get("grants", ()), "active grant"))]
    if unminted:
        rows.append(("", f"nothing was minted for {_some(unminted)}, and nothing will be"))
    if asks:
        rows.append(("", f"{_counted(asks, 'request')}; none will be granted"))
    return rows


def _waits(until: str, *, lift: bool) -> tuple[str, str]:
    from breakglass.cli import sign_statement
    from breakglass.clock import parse_time

    by = output.clock_time(parse_time(until), sign_statement.now())
    done = "lifted" if lift else "stopped"
    agree = "breakglass kill --all --lift" if lift else "breakglass kill --all"
    return (
        "waits",
        f"until {by} for a second person who may kill, nothing is {done} before: {agree}"
        " --why TEXT",
    )


def _counted(names: Sequence[str], what: str) -> str:
    if not names:
        return f"no {what}"
    return f"{len(names)} {what}{'' if len(names) == 1 else 's'}: {_some(names)}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
