"""``breakglass done`` and ``breakglass kill``: a grant ends before its time."""

from __future__ import annotations

import contextlib

import click

from breakglass.cli import output
from breakglass.cli.client import find, takes_org
from breakglass.cli.completed_names import GRANT
from breakglass.errors import BreakglassError

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
@click.argument("target")
@click.option("--why", default="no reason given", metavar="TEXT", help="Why; it is recorded.")
@click.option("--lift", is_flag=True, help="Let a stopped person or glass go again.")
@takes_org
@output.says_json
def kill(target: str, why: str, lift: bool, org: str | None, as_json: bool) -> None:
    """Stop TARGET at once: a grant (g-…), person:NAME or glass:NAME.

    A stopped person or glass stays stopped until it is lifted; a grant is over for good.
    """
    from breakglass.cli import sign_statement
    from breakglass.records.statement import Do, Kill, Target, Why

    client = find(org)
    kind, colon, name = target.partition(":")
    if not colon:
        kind, name = "grant", target
    if kind not in list(Target) or (kind == "grant" and not name.startswith("g-")):
        raise click.UsageError(f"{target!r} is no grant (g-…), person:NAME or glass:NAME")
    if lift and kind == "grant":
        raise click.UsageError("a grant that was stopped is over; break the glass again")
    statement = Kill(
        Do.LIFT if lift else Do.KILL,
        client.log,
        Target(kind),
        name,
        client.who,
        Why("kill", why),
        sign_statement.now(),
        sign_statement.nonce(),
    )
    said = sign_statement.say(client, statement)
    answer = client.broker("POST", "/kill", {"statement": said.signed})
    if as_json:
        output.tell_json(answer)
        return
    verb = "lifted" if lift else "stopped"
    rows = [(verb, f"{kind} '{name}', entry {answer['index']}")]
    if not lift:
        grants = answer.get("grants", [])
        count = f"{len(grants)} active grant{'' if len(grants) == 1 else 's'}"
        rows.append(("ends", f"{count}: {', '.join(grants)}" if grants else "no active grant"))
    output.tell_rows(rows)
