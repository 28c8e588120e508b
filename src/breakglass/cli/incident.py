"""``breakglass incident``: what makes breaking glass an emergency."""

from __future__ import annotations

import re
import shlex
from typing import Any

import click

from breakglass.cli import output
from breakglass.cli.client import find, takes_org
from breakglass.clock import parse_time
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, RefusedError

DECLARE_EXAMPLE = """\
\b
Example:
  breakglass incident declare INC-4821 --severity SEV1 --title "checkout 5xx"
"""
CLOSE_EXAMPLE = """\
\b
Example:
  breakglass incident close INC-4821
"""
LIST_EXAMPLE = """\
\b
Example:
  breakglass incident list --json
"""
_SEVERITY = re.compile("[A-Z][A-Z0-9]{0,15}", re.ASCII)


@click.group(epilog=DECLARE_EXAMPLE)
def incident() -> None:
    """Declare, close and list incidents."""


@incident.command(epilog=DECLARE_EXAMPLE, short_help="Declare incident ID by your own word.")
@click.argument("name", metavar="ID")
@click.option("--severity", required=True, metavar="SEV", help="How bad it is: SEV1, SEV2 …")
@click.option("--title", required=True, metavar="TEXT", help="What is happening, on one line.")
@takes_org
@output.says_json
def declare(name: str, severity: str, title: str, org: str | None, as_json: bool) -> None:
    """Declare incident ID by your own word; it satisfies contained glasses only."""
    if not _SEVERITY.fullmatch(severity):
        near = severity.upper()
        raise MalformedError(
            f"--severity {severity!r} is not a severity such as SEV1",
            hint=f"did you mean: --severity {near}" if _SEVERITY.fullmatch(near) else "",
        )
    _change("declare", name, severity, title, org, as_json)


@incident.command(epilog=CLOSE_EXAMPLE)
@click.argument("name", metavar="ID")
@takes_org
@output.says_json
def close(name: str, org: str | None, as_json: bool) -> None:
    """Close incident ID; nothing new can be broken for it."""
    known = find(org).broker("GET", "/incidents")["incidents"]
    found = next((each for each in known if each["incident"] == name), None)
    if found is None:
        raise RefusedError(f"there is no incident {name!r}", name=ErrorName.NO_INCIDENT)
    _change("close", name, found["severity"], found["title"], org, as_json)


def _change(do: str, name: str, severity: str, title: str, org: str | None, as_json: bool) -> None:
    from breakglass.cli import sign_statement
    from breakglass.records.statement import Declare, Do

    client = find(org)
    statement = Declare(
        Do(do),
        client.log,
        name,
        severity,
        title,
        client.who,
        sign_statement.now(),
        sign_statement.nonce(),
    )
    said = sign_statement.say(client, statement)
    answer = client.broker("POST", "/incidents", {"statement": said.signed})
    if as_json:
        output.tell_json(answer)
        return
    verb = "declared" if do == "declare" else "closed"
    entry = f", entry {answer['index']}" if answer["index"] is not None else ", as before"
    rows = [(verb, f"{name} ({severity}){entry}, by {client.who}")]
    ends = answer.get("ends", [])  # a broker of an older release ends nothing
    output.tell_rows([*rows, *map(_ending, ends)])
    if ends:
        output.talk(
            f"still repairing: breakglass incident declare {name} --severity {severity}"
            f" --title {shlex.quote(title)}"
        )


def _ending(end: dict[str, Any]) -> tuple[str, str]:
    from breakglass.cli.sign_statement import now

    at, moment = parse_time(end["at"]), now()
    when = "now" if at <= moment else f"at {output.clock_time(at, moment)}"
    return ("ends", f"{end['glass']} of {end['who']} {when}: {end['grant']}")


@incident.command(name="list", epilog=LIST_EXAMPLE)
@takes_org
@output.says_json
def list_(org: str | None, as_json: bool) -> None:
    """List the incidents, open ones first."""
    answer = find(org).broker("GET", "/incidents")
    if as_json:
        output.tell_json(answer)
        return
    known = sorted(answer["incidents"], key=lambda each: (not each["open"], each["opened_at"]))
    if not known:
        output.talk("no incident was ever declared")
        return
    rows = [
        (
            each["incident"],
            each["severity"],
            "open" if each["open"] else "closed",
            "own word" if each["self_declared"] else "source",
            each["title"],
        )
        for each in known
    ]
    output.tell_table(("incident", "severity", "state", "declared", "title"), rows)
