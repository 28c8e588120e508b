"""What stands between a minter and its first grant: settings, target, trust, and its own answer."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from breakglass.errors import BreakglassError, MisconfiguredError
from breakglass.http.client import Peer
from breakglass.minter.platforms.command import Command
from breakglass.minter.platforms.platform import Finding, Platform
from breakglass.minter.platforms.postgres_check import Scope, check_target
from breakglass.minter.platforms.ssh import Ssh
from breakglass.minter.settings import MinterSettings
from breakglass.process.folder import SETTINGS
from breakglass.process.key_store import keeping_of
from breakglass.process.settings import read_settings
from breakglass.records.platforms import PLATFORMS
from breakglass.records.trust import Trust

_WITHIN = timedelta(seconds=5)


def check_minter(
    folder: Path,
    name: str,
    scopes: Sequence[Scope],
    trust: Trust,
    now: datetime,
    unasked: str = "",
) -> list[Finding]:
    """Try everything that a first grant will need; empty if it can mint.

    Args:
        folder: the minter's, on this host.
        name: as policies call it.
        scopes: what the policy in force has it mint.
        trust: the newest trust file at hand.
        now: our clock.
        unasked: why the policy in force is not known, or empty.

    Raises:
        MisconfiguredError: there is no such minter here, or its settings cannot be read.
    """
    if not (folder / SETTINGS).is_file():
        raise MisconfiguredError(
            f"no minter {name!r} here: {str(folder)!r} is missing",
            hint=f"make it: breakglass minter add {name} --platform postgres --dsn DSN --server 18",
        )
    settings = read_settings(folder, MinterSettings)
    found = list(_beside(folder, name, trust))
    if settings.postgres is not None and settings.platform == "postgres":
        given = settings.postgres
        found += check_target(given.dsn, given.host, given.port, scopes, now)
    if settings.command is not None and settings.platform == "command":
        found += _tried(partial(Command, settings.command), scopes, now)
    if settings.ssh is not None and settings.platform == "ssh":
        found += _tried(partial(Ssh, settings.ssh, name, folder / "data"), scopes, now)
    if unasked:
        found.append(Finding(f"the policy in force is not known: {unasked}", "start the broker"))
    elif not scopes:
        found.append(
            Finding(
                f"no glass of the policy in force mints at {name!r}",
                f"in the bundle: mint: {_mint(settings.platform, name)}",
            )
        )
    return found


def _mint(platform: str, name: str) -> str:
    fields = PLATFORMS[platform].dimensions if platform in PLATFORMS else {}
    written = ", ".join((f"minter: {name}", *(f"{each}: …" for each in fields)))
    return f"{{{platform}: {{{written}}}}}"


def _tried(
    start: Callable[[], Platform], scopes: Sequence[Scope], now: datetime
) -> Iterator[Finding]:
    try:
        platform = start()
    except MisconfiguredError as error:
        yield Finding(error.message, error.hint)
    else:
        yield from platform.examine(scopes, now)
        platform.close()


def _beside(folder: Path, name: str, trust: Trust) -> Iterator[Finding]:
    vkey = keeping_of(folder).verifier()
    role = trust.submitters.get(vkey)
    if role is None or str(role) != f"minter:{name}":
        yield Finding(
            f"trust file {trust.version} does not name this minter's key",
            f"a maintainer: breakglass trust next 'submitter minter:{name} {vkey}'",
        )
    org = folder.parent
    submitters = org / "ledger" / "submitters"
    again = "type 'breakglass minter add' again, as before"
    if submitters.is_file() and str(vkey) not in submitters.read_text("utf-8").split():
        yield Finding("the ledger does not take this minter's records", again)
    broker = org / "broker" / SETTINGS
    if broker.is_file() and name not in tomllib.loads(broker.read_text("utf-8")).get("minters", {}):
        yield Finding("the broker does not know this minter", again)
    try:
        with Peer(folder, name=f"minter '{name}'", within=_WITHIN) as peer:
            peer.get("/healthz")
    except BreakglassError as error:
        yield Finding(
            f"the minter does not answer: {error.message}",
            f"start it, and look at its log: {folder / 'log'}, or journalctl",
        )
