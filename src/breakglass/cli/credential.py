"""A credential on the responder's machine: the minter's word checked, opened, put in its place.

Brokers carry credentials and are believed in nothing: the environment of a command is set from
what the grant's own minter signed, by the trust file of this client, and from nothing else.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from breakglass.cli.client import Client
from breakglass.cli.held_grants import Held
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, RefusedError, UnavailableError, UnprovenError

# What may be in a shell and would lead a command elsewhere than the grant does. By platform, so
# that each that comes names its own: AWS_, SSH_, KUBECONFIG.
_PREFIXES = {
    "postgres": ("PG",),
    "simulated": ("PG",),
    "command": ("BREAKGLASS_CREDENTIAL_",),
    "ssh": ("SSH_", "RSYNC_"),
}
# The names are ours, by platform: nobody who hands out a credential names a variable.
_POSTGRES = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "load_balance_hosts": "PGLOADBALANCEHOSTS",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "sslsni": "PGSSLSNI",
    "channel_binding": "PGCHANNELBINDING",
    "gssencmode": "PGGSSENCMODE",
    "require_auth": "PGREQUIREAUTH",
}
# A program of the organisation's own: what its credential is for is read by who types the command.
_COMMAND = {
    name: f"BREAKGLASS_CREDENTIAL_{name.upper()}"
    for name in ("host", "port", "socket", "database", "user", "password", "url")
}
_NAMES = {"postgres": _POSTGRES, "simulated": _POSTGRES, "command": _COMMAND}
_PROBE_WITHIN_S = 10


@dataclass(frozen=True)
class Opened:
    """A credential that its minter signed for this grant, opened in memory.

    ``connect`` is what stood beside it in clear, signed as well.
    """

    platform: str
    until: datetime
    values: Mapping[str, Any]
    connect: Mapping[str, Any] = field(default_factory=dict)


def opened(client: Client, held: Held, answer: Mapping[str, Any], now: datetime) -> Opened:
    """Return the credential of a grant, once its minter's signature on it holds.

    Args:
        client: whose trust file says who the minter is.
        held: the grant, with its statement and its key.
        answer: the broker's, where it holds the credential; else the broker is asked for it.
        now: by this machine.

    Raises:
        UnprovenError: the minter of the statement did not hand this out; nothing was opened.
        UnavailableError: it does not open with the holder key, or nobody answers.
    """
    minted = answer.get("minted")
    if not isinstance(minted, dict) or "sealed" not in minted:
        minted = client.broker("GET", f"/grants/{held.grant}/credential")
    found = check_minted(client, held, minted, now)
    return Opened(found.platform, found.until, held.unseal(minted["sealed"]), minted["connect"])


def check_minted(client: Client, held: Held, minted: Mapping[str, Any], now: datetime) -> Any:
    """Return the hand-out of what a broker brought, if the grant's minter signed it.

    Raises:
        UnprovenError: it did not, or not this; nothing was opened.
    """
    from breakglass.cli.own_trust import own_trust
    from breakglass.records.handout import HandedCredential, check_handout

    note, sealed, connect = (minted.get(name) for name in ("handout", "sealed", "connect"))
    try:
        if not (isinstance(note, str) and isinstance(sealed, str) and isinstance(connect, dict)):
            raise UnprovenError(
                "the credential carries no minter's signature", name=ErrorName.HANDOUT_SIGNER
            )
        given = HandedCredential(note, sealed, connect)
        said = held.statement["text"]
        return check_handout(given, said, own_trust(client), now, held.waited)
    except BreakglassError as error:
        raise UnprovenError(
            f"the credential of {held.grant!r} is not its minter's: {error}; nothing was opened",
            name=error.name,
            hint=error.hint,
        ) from error


def environment(shell: Mapping[str, str], credential: Opened | None) -> dict[str, str]:
    """Return a shell's environment with one credential in it, and nothing that leads elsewhere.

    Raises:
        RefusedError: ``not_offered``; a certificate, which 'breakglass ssh' uses.
        UnavailableError: the credential holds what this client cannot hand over.
    """
    if credential is None:
        return dict(shell)
    if credential.platform == "ssh":
        raise RefusedError(
            "a certificate for hosts goes into no environment; nothing was run",
            name=ErrorName.NOT_OFFERED,
            hint="breakglass ssh GRANT HOST -- COMMAND",
        )
    names = _NAMES.get(credential.platform, {})
    strange = sorted(set(credential.values) - set(names))
    if credential.platform not in _PREFIXES or strange:
        what = f"{strange[0]!r} of " if strange and credential.platform in _PREFIXES else ""
        raise UnavailableError(
            f"this client cannot hand over {what}a credential for {credential.platform!r};"
            " nothing was run",
            name=ErrorName.NOT_OFFERED,
            hint="install a later release on this machine",
        )
    own = {names[name]: str(value) for name, value in credential.values.items()}
    return {**cleared(shell, credential.platform), **own}


def cleared(shell: Mapping[str, str], platform: str) -> dict[str, str]:
    """Return a shell's environment without what would lead a command of that platform elsewhere."""
    prefixes = _PREFIXES[platform]
    return {name: value for name, value in shell.items() if not name.startswith(prefixes)}


def probe(credential: Opened | None, environment: Mapping[str, str]) -> None:
    """Ask the target who we are, before anything else runs there, where ``psql`` is at hand.

    Raises:
        UnprovenError: ``wrong_user``; nothing else was run.
        UnavailableError: the target did not let us in, with its own words.
    """
    psql = shutil.which("psql", path=environment.get("PATH"))
    if credential is None or credential.platform != "postgres" or psql is None:
        return
    wanted = str(credential.values.get("user", ""))
    question = [psql, "-XAtqw", "-c", "select current_user"]
    try:
        done = subprocess.run(
            question,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(
            f"the target did not say within {_PROBE_WITHIN_S} s who {wanted!r} is; nothing was run"
        ) from error
    said = done.stdout.decode("utf-8", "replace").strip()
    if done.returncode:
        why = done.stderr.decode("utf-8", "replace").strip() or "no reason given"
        raise UnavailableError(f"the target does not let {wanted!r} in: {why}; nothing was run")
    if said != wanted:
        raise UnprovenError(
            f"the target says that we are {said[:60]!r}, the grant is {wanted!r}; nothing was run",
            name=ErrorName.WRONG_USER,
        )
