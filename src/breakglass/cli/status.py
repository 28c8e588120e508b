"""``breakglass status``: open incidents, and what is granted now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from breakglass.cli import output
from breakglass.cli.client import Client, find, takes_org
from breakglass.cli.completed_names import GRANT
from breakglass.errors import BreakglassError

_STATES = {"minted": "active, untested", "usable": "active", "stopped": "revoking"}

EXAMPLE = """\
\b
Example:
  breakglass status
  breakglass status g-7kq3m2x4p5ab --json
"""


@click.command(epilog=EXAMPLE)
@click.argument("grant", required=False, type=GRANT)
@takes_org
@output.says_json
def status(grant: str | None, org: str | None, as_json: bool) -> None:
    """Show open incidents, what is stopped and running grants, or everything about one GRANT."""
    client = find(org)
    if grant:
        _one(client.broker("GET", f"/grants/{grant}"), as_json)
        return
    incidents = client.broker("GET", "/incidents")["incidents"]
    grants = client.broker("GET", "/grants")["grants"]
    doors = client.broker("GET", "/doors")
    asked = _read(client, "/requests", "requests")
    stopped = _read(client, "/suspensions", "what is stopped")
    unrecorded = {each["grant"] for each in doors["unappended"]}
    unrecorded |= {each["grant"] for each in doors["doors"] if each["index"] is None}
    if as_json:
        told = {"incidents": incidents, "grants": grants, "unrecorded_doors": sorted(unrecorded)}
        output.tell_json({**told, "requests": asked, "stopped": stopped})
        return
    if stopped is not None:
        output.tell_rows(said_of_suspensions(stopped, _clock_time))
    _overview(client, incidents, grants)
    if asked is not None:
        _asks(asked)
    if unrecorded:
        names = ", ".join(sorted(unrecorded))
        output.talk(f"custodians' door, not in the ledger: {names}; see: breakglass door list")


def _read(client: Client, path: str, what: str) -> dict[str, Any] | None:
    """Return what a broker of an older release has not, or ``None``, said: the rest is shown."""
    try:
        return client.broker("GET", path)
    except BreakglassError as error:
        output.talk(f"{what} could not be read: {error}")
        return None


def said_of_suspensions(
    found: Mapping[str, Any], at: Callable[[str], str]
) -> list[tuple[str, str]]:
    """Return what a person is told of what is stopped, as rows.

    Args:
        found: of ``GET /suspensions``.
        at: says a time as a person reads it.

    >>> word = {"active": True, "who": "sam", "why": "stolen", "until": "03:27"}
    >>> said_of_suspensions({"suspended": [], "first_word": [word]}, str)[0][1]
    "everything, says sam ('stolen'); a second person may say so until 03:27:"
    """
    rows = []
    for each in found["suspended"]:
        what = "EVERYTHING" if each["target"] == "all" else f"{each['target']} {each['name']!r}"
        rows.append(("stopped", f"{what} by {each['who']} {at(each['at'])}: {each['why']!r}"))
    for each in found["first_word"]:
        label, agree = (
            ("to stop", "breakglass kill --all --why TEXT")
            if each["active"]
            else ("to lift", "breakglass kill --all --lift --why TEXT")
        )
        said = f"everything, says {each['who']} ({each['why']!r}); a second person may say so"
        rows.append((label, f"{said} until {at(each['until'])}:"))
        rows.append(("", agree))
    return rows


def _clock_time(text: str) -> str:
    from breakglass.cli.sign_statement import now
    from breakglass.clock import parse_time

    return output.clock_time(parse_time(text), now())


def _one(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        output.tell_json(found)
        return
    rows = []
    for name, value in found.items():
        if value in (None, "", [], {}):
            continue
        if isinstance(value, dict):
            value = ", ".join(f"{key} {_plain(each)}" for key, each in value.items())
        rows.append((name, _plain(value)))
    output.tell_rows(rows)


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_plain(each) for each in value)
    return str(value)


def _overview(client: Client, incidents: list[Any], grants: list[Any]) -> None:
    from breakglass.cli import held_grants
    from breakglass.cli.sign_statement import now
    from breakglass.clock import parse_time

    mine = {each.grant for each in held_grants.all_held(client.state)}
    for each in incidents:
        if each["open"]:
            output.tell_rows(
                [("incident", f"{each['incident']} {each['severity']} {each['title']}")]
            )
    live = [each for each in grants if each["state"] not in ("ended", "dead", "expired")]
    rows = [
        (
            each["grant"],
            each["glass"],
            each["who"],
            _state(each),
            output.time_left(parse_time(each["not_after"]), now()),
            "here" if each["grant"] in mine else "elsewhere",
        )
        for each in live
    ]
    if rows:
        output.tell_table(("grant", "glass", "who", "state", "ends", "its key"), rows)
    over = len(grants) - len(live)
    words = f"{len(live)} active, {over} ended" if grants else "no grants yet"
    output.talk(words)


def _asks(asked: dict[str, Any]) -> None:
    """Say what still waits: of one's own, and for one's own answer."""
    from breakglass.cli.ask_view import AskState, ask_view
    from breakglass.cli.asked_requests import left, state_of

    mine = [ask_view(each) for each in asked["mine"]]
    for each in mine:
        if each.state is AskState.WAITING:
            waits = f"{each.grant} {each.glass}: {state_of(each)}; {left(each)} left"
            output.tell_rows([("asked", waits)])
    if asked["waiting"]:
        output.talk(f"{len(asked['waiting'])} wait for your answer: breakglass requests")


def _state(grant: dict[str, Any]) -> str:
    from breakglass.clock import parse_time

    if grant["state"] == "scheduled":
        starts = parse_time(grant["not_before"])
        return f"starts {output.day_and_time(starts)}"
    if grant["state"] == "recorded":
        return "minting" if grant["minter"] else "active (gates only)"
    return _STATES[grant["state"]]
