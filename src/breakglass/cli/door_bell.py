"""A custodian's own look at the ledger, and their own bell: both before their key is touched."""

from __future__ import annotations

import json
import shlex
import subprocess
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from breakglass.cli.client import Client
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, RefusedError, UnavailableError
from breakglass.http.client import Peer

_TRIED_WITHIN = timedelta(seconds=3)
_COMMAND_S = 20


def ledger_unreached(client: Client) -> str:
    """Try the ledger from here, once; return how it did not answer.

    Raises:
        RefusedError: ``ledger_reachable``: something at its address serves this log's head. No
            signature is checked: here a doubt keeps the door shut.
    """
    with Peer(client.ledger, name="ledger", within=_TRIED_WITHIN) as ledger:
        try:
            reply = ledger.send("GET", "/checkpoint")
        except UnavailableError as error:
            return str(error)
    if reply.body.startswith(f"{client.log}\n".encode()):
        raise RefusedError(
            f"the ledger {client.log!r} answers from here: the custodians' door stays shut, and"
            " nothing was signed",
            name=ErrorName.LEDGER_REACHABLE,
            hint="the ordinary way: breakglass break GLASS --incident INCIDENT --why REASON",
        )
    return f"the ledger answered {reply.status}, without a head of {client.log!r}"


def ring(client: Client, told: dict[str, Any]) -> list[str]:
    """Ring the channels of ``client.toml``; returns those that took it.

    Raises:
        UnavailableError: ``not_heard``: none took it, or there is none.
    """
    body = json.dumps(told, ensure_ascii=False).encode()
    heard, troubles = [], []
    for name, where, send in (
        ("door_webhook", client.door_webhook, _webhook),
        ("door_command", client.door_command, _command),
    ):
        if not where:
            continue
        try:
            send(client, where, body)
            heard.append(name)
        except (BreakglassError, OSError, ValueError, subprocess.SubprocessError) as error:
            troubles.append(f"{name}: {error}")
    if not heard:
        why = (
            "; ".join(troubles) or f"{str(client.file)!r} names no door_webhook and no door_command"
        )
        raise UnavailableError(
            f"no alert channel accepted the message: {why}; nothing was signed",
            name=ErrorName.NOT_HEARD,
            hint="a custodian signs only when somebody hears it; set one of them and sign again",
        )
    return heard


def _webhook(client: Client, where: str, body: bytes) -> None:
    with Peer(where, name="door_webhook", within=timedelta(seconds=5)) as webhook:
        webhook.post("" if urlsplit(where).path else "/", body, "application/json")


def _command(client: Client, where: str, body: bytes) -> None:
    done = subprocess.run(
        shlex.split(where),
        input=body,
        capture_output=True,
        timeout=_COMMAND_S,
        check=False,
        cwd=client.file.absolute().parent,
    )
    if done.returncode:
        raise UnavailableError(f"exit {done.returncode}")
