"""How a grant is told to the person who just got it: recorded, granted, reviewed when."""

from __future__ import annotations

from typing import Any

from breakglass.cli import output
from breakglass.cli.client import Client

# Dimensions that say how the platform grants it; people ask where. `status` shows them all.
_HOW = {"may", "roles", "templates"}
_LABELS = {
    "self_declared": "self-declared incident; this is flagged for review",
    "monitor_silent": "the monitor is silent: the broker alerted on its own channel",
    "drill": "this is a drill",
}


def tell_grant(
    client: Client,
    glass: dict[str, Any],
    mint: dict[str, Any] | None,
    answer: dict[str, Any],
    grant: str,
    as_json: bool,
) -> None:
    """Print what came of breaking a glass.

    Args:
        client: whose trust file names the witnesses.
        glass: as the broker lists it.
        mint: what of it was minted, if anything.
        answer: of the broker.
        grant: its id.
        as_json: print the answer as it is.
    """
    if as_json:
        output.tell_json(answer)
        return
    output.tell_rows(
        [
            ("recorded", f"entry {answer['index']}, {_seen(client, answer['cosigned'])}"),
            ("granted", _granted(glass, mint, answer)),
            ("review", f"due {answer['review_by'][:10]}, opened as review {grant}"),
            ("grant", grant),
        ]
    )
    for label in answer.get("labels", []):
        output.talk(_LABELS.get(label, f"labelled '{label}'"))
    if mint and mint["platform"] == "postgres":
        output.talk(f"next: breakglass psql {grant}")
    elif glass["gates"]:
        gate = glass["gates"][0]
        output.talk(f"next: breakglass gate token {grant} --gate {gate} --for RUN")


def _seen(client: Client, cosigned: dict[str, str]) -> str:
    """Say who has seen the record, by the names of the trust file."""
    witnesses, archiver = [], ""
    for line in client.trust.read_text("utf-8").splitlines():
        words = line.split(" ")
        if words[0] == "witness":
            witnesses.append(words[1])
        elif words[0] == "archiver":
            archiver = words[1]
    others = [name for name in witnesses if name != archiver]
    seen = f"seen by {sum(name in cosigned for name in others)} of {len(others)} witnesses"
    return f"{seen}, {'archived' if archiver in cosigned else 'not archived yet'}"


def _granted(glass: dict[str, Any], mint: dict[str, Any] | None, answer: dict[str, Any]) -> str:
    from breakglass.clock import parse_time

    until = parse_time(answer["not_after"])
    left = output.duration(max(0, (until - _now()).total_seconds()))
    if mint:
        scope = ", ".join(
            _dimension(name, values) for name, values in mint["scope"].items() if name not in _HOW
        )
        what = f"{glass['glass']} on {scope} ({mint['minter']})"
    else:
        gates = ", ".join(map(repr, glass["gates"]))
        what = f"{glass['glass']}, to open gate {gates}" if gates else glass["glass"]
    return f"{what} until {output.clock_time(until, _now())} ({left})"


def _dimension(name: str, values: list[str]) -> str:
    """Write one dimension of a scope: ``database 'orders'``."""
    named = name.removesuffix("s") if len(values) == 1 else name
    return f"{named} {', '.join(map(repr, values))}"


def _now() -> Any:
    from breakglass.cli.sign_statement import now

    return now()
