"""``breakglass run`` and ``breakglass psql``: a credential in one process, gone with the grant."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from breakglass.cli import output
from breakglass.cli.client import Client, find, takes_org
from breakglass.cli.completed_names import GRANT
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MisconfiguredError, RefusedError

if TYPE_CHECKING:
    from datetime import datetime

RUN_EXAMPLE = """\
\b
Example:
  breakglass run g-7kq3m2x4p5ab -- pg_dump --schema-only
"""
PSQL_EXAMPLE = """\
\b
Example:
  breakglass psql g-7kq3m2x4p5ab -c "select count(*) from orders"
"""
_ASK_EVERY_S = 2.0  # how soon a kill from elsewhere reaches a command that runs here
_GRACE_S = 2.0
_EVERYTHING: dict[str, Any] = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.command(epilog=RUN_EXAMPLE, context_settings=_EVERYTHING)
@click.argument("grant", type=GRANT)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@takes_org
def run(grant: str, command: tuple[str, ...], org: str | None) -> None:
    """Run COMMAND with the credential of GRANT in its environment, and nowhere else.

    It ends when the grant ends, whether expired, handed back or killed. Of this shell nothing is
    handed on that could lead it elsewhere: each PG… of yours is dropped.
    """
    _run(find(org), grant, _own(command))


@click.command(epilog=PSQL_EXAMPLE, context_settings=_EVERYTHING)
@click.argument("grant", type=GRANT)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@takes_org
def psql(grant: str, arguments: tuple[str, ...], org: str | None) -> None:
    """Open psql with the credential of GRANT; further ARGUMENTS go to psql."""
    from breakglass.cli import held_grants

    client = find(org)
    if not _has_credential(held_grants.held(client.state, grant)):
        raise RefusedError(
            f"grant {grant!r} opens gates only: it has a token and no credential",
            name=ErrorName.NO_CREDENTIAL,
            hint=f"open its gate: breakglass gate token {grant} --gate GATE --for RUN",
        )
    _run(client, grant, ["psql", *_own(arguments)])


def _own(arguments: tuple[str, ...]) -> list[str]:
    """Drop the ``--`` that parts our words from the command's."""
    return list(arguments[1:] if arguments[:1] == ("--",) else arguments)


def _run(client: Client, grant: str, command: list[str]) -> None:
    from breakglass.cli import credential

    begun = begin(client, grant)
    environment = {
        **credential.environment(os.environ, begun.opened),
        "BREAKGLASS_GRANT": grant,
    }
    credential.probe(begun.opened, environment)
    sys.exit(run_until_end(client, begun, command, environment))


@dataclass(frozen=True)
class Begun:
    """A grant that lives, its credential opened in memory; a grant for gates alone has none."""

    grant: str
    held: Any
    opened: Any
    until: datetime


def begin(client: Client, grant: str) -> Begun:
    """Open the credential of a grant of this machine, while it lives.

    Raises:
        RefusedError: ``expired``.
        BreakglassError: the key is not here, or its minter did not hand this credential out.
    """
    from breakglass.cli import credential, held_grants
    from breakglass.clock import parse_time

    held = held_grants.held(client.state, grant)
    answer = held.answer or client.broker("GET", f"/grants/{grant}")
    until = min(parse_time(answer["not_after"]), held.longest)
    if until <= _now():
        raise RefusedError(
            f"grant {grant!r} ended {output.clock_time(until, _now())}",
            name=ErrorName.EXPIRED,
            hint="break the glass again: a grant is never extended",
        )
    found = credential.opened(client, held, answer, _now()) if _has_credential(held) else None
    return Begun(grant, held, found, found.until if found else until)


def run_until_end(
    client: Client, begun: Begun, command: list[str], environment: Mapping[str, str]
) -> int:
    """Run a command until it or the grant ends, and return its exit code.

    Raises:
        RefusedError: ``ended``: the grant did, and the command with it.
        MisconfiguredError: it cannot be started.
    """
    if sys.stderr.isatty():
        output.talk(f"ends with the grant at {output.clock_time(begun.until, _now())}")
    try:
        child = subprocess.Popen(command, env=environment)
    except OSError as error:
        raise MisconfiguredError(
            f"{command[0]!r} cannot be started: {error.strerror or error}",
            hint=f"is {command[0]!r} installed and on the PATH",
        ) from error
    ended = _wait(client, begun.grant, child, begun.until)
    if ended:
        raise RefusedError(
            f"grant {begun.grant!r} {ended}; {command[0]!r} was ended with it",
            name=ErrorName.ENDED,
        )
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _has_credential(held: Any) -> bool:
    from breakglass.records.statement import parse_request

    return bool(parse_request(held.statement["text"]).minter)


def _wait(client: Client, grant: str, child: subprocess.Popen[bytes], until: Any) -> str:
    """Wait for the command or for the end of the grant; returns how the grant ended, or ''."""
    # Ctrl-C belongs to the command: in psql it cancels a query and must not end us.
    before = {signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN)}
    # Whoever ends us means the command: alone it would keep the credential for the grant's life.
    for each in (signal.SIGTERM, signal.SIGHUP):
        before[each] = signal.signal(each, lambda *_: _end_soon(child))
    try:
        while True:
            left = (until - _now()).total_seconds()
            try:
                child.wait(timeout=max(0.0, min(_ASK_EVERY_S, left)))
                return ""
            except subprocess.TimeoutExpired:
                ended = (
                    "expired" if left <= _ASK_EVERY_S and until <= _now() else _over(client, grant)
                )
            if ended:
                _end(child)
                return ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _over(client: Client, grant: str) -> str:
    try:
        found = client.broker("GET", f"/grants/{grant}")
    except BreakglassError:
        return ""  # the broker is away; the target and the clock end the grant all the same
    return f"was ended ({found['state']})" if found["state"] in ("ended", "dead") else ""


def _end_soon(child: subprocess.Popen[bytes]) -> None:
    """Ask the command to end, and make it after its grace; returns at once."""
    child.terminate()
    last = threading.Timer(_GRACE_S, child.kill)
    last.daemon = True
    last.start()


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _now() -> Any:
    from breakglass.cli.sign_statement import now

    return now()
