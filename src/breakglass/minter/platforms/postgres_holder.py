"""How holders get in: by their own address, and perhaps by a pooler that stands there.

A pooler is told by what it does, since nothing of its console is ours to ask, and its mode may
differ from database to database. In session pooling a login has a session of the target to itself,
from its beginning to its end. In the other modes logins share them: what one holder sets is then
seen in another's session, and the target cannot say whether a session of a grant is in use.
Source: pgbouncer's documentation, «Features» and ``pool_mode``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial

import psycopg
from psycopg.conninfo import make_conninfo

from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError, UnavailableError
from breakglass.minter.platforms.platform import Finding, SecretValue
from breakglass.minter.platforms.postgres_dsn import holders_address, read_dsn
from breakglass.minter.platforms.postgres_login import try_login
from breakglass.minter.platforms.postgres_sessions import cut_off_after, said

_CONNECT_WITHIN_S = 2  # libpq's own minimum
_ANSWERED_WITHIN = timedelta(seconds=4)
_OURS_ALONE = ("options", "hostaddr", "passfile", "sslcert", "sslkey", "sslpassword")
_MEND = "pool_mode = session in pgbouncer.ini, or a host and port that lead to the server itself"


def log_in(dsn: str, secret: Mapping[str, SecretValue]) -> psycopg.Connection:
    """Open a session as a holder would; each statement is committed.

    Args:
        dsn: the minter's own, whose TLS parameters hold for the holder too.
        secret: what a holder has; host and port among it.

    Raises:
        psycopg.Error: it does not let us in.
    """
    theirs = {key: str(value) for key, value in secret.items()}
    own = {key: each for key, each in read_dsn(dsn).items() if key not in _OURS_ALONE}
    more = {"connect_timeout": str(_CONNECT_WITHIN_S), "application_name": "breakglass-probe"}
    return psycopg.connect(make_conninfo("", **{**own, **theirs, **more}), autocommit=True)


def logged_in_as(login: Callable[[], psycopg.Connection]) -> str:
    """Log in twice, and return as whom; nothing of the target is shared between the two.

    Raises:
        RefusedError: ``pool_mode``: a pooler shares the target's sessions between logins.
        UnavailableError: a pooler has no second session to give.
        psycopg.Error: it does not let us in, or does not answer.
    """
    with login() as session, cut_off_after(session, _ANSWERED_WITHIN):
        place = f"{session.info.host}:{session.info.port}"
        row = session.execute(b"select current_user").fetchone()
        mode = _pool_mode(session, login)
    if mode not in ("", "session"):
        raise RefusedError(
            f"the pooler at {place} shares the target's sessions between logins (pool_mode {mode})",
            name=ErrorName.POOL_MODE,
            hint=_MEND,
        )
    return str(row[0]) if row else ""


def holders_findings(dsn: str, host: str, port: int, databases: Sequence[str]) -> Iterator[Finding]:
    """Try the address that holders are sent to, by the minter's own login.

    Args:
        dsn, host, port: as of ``holders_address``.
        databases: of the cards; each may have a mode of its own.
    """
    own = read_dsn(dsn)
    where, ports = holders_address(own, host, port)
    for database in databases:
        here = f"database {database!r} at {where}:{ports}, where holders connect"
        secret: dict[str, SecretValue] = {"host": where, "port": ports, "dbname": database}
        try:
            name = logged_in_as(partial(log_in, dsn, secret))
        except RefusedError as error:
            yield Finding(f"{here}: {error.message}; its grants are refused", error.hint)
            continue
        except (psycopg.Error, UnavailableError) as error:
            words = said(error) if isinstance(error, psycopg.Error) else error.message
            if not _answers(own, where, ports, database):
                hint = "start it, or mend host and port under [postgres]"
                yield Finding(f"cannot reach {here}: {words}", hint)
                return
            yield Finding(
                f"how {here} gives sessions could not be tried: {words}; each mint tries it",
                "let the minter's own role log in there too",
                stops=False,
            )
            continue
        if name != own["user"]:
            yield Finding(
                f"{here}: a pooler logs {own['user']!r} in as {name!r}, so no session there would"
                " be the grant's own; its grants are refused",
                "leave user= out of that database's line in pgbouncer.ini",
            )


def _answers(own: Mapping[str, str], where: str, ports: int | str, database: str) -> bool:
    """Say whether anything at that address speaks PostgreSQL's protocol."""
    hosts, each_port = where.split(","), str(ports).split(",")
    for host, port in zip(hosts, each_port * len(hosts), strict=False):
        server = {key: each for key, each in own.items() if key.startswith("ssl")}
        try:
            try_login(
                {**server, "host": host, "port": port}, own["user"], database, _ANSWERED_WITHIN
            )
        except UnavailableError:
            continue
        return True
    return False


def _pool_mode(session: psycopg.Connection, login: Callable[[], psycopg.Connection]) -> str:
    """Return how a session of the target was got; empty where no pooler gave it."""
    first = _pid(session)
    if first == session.info.backend_pid:
        return ""
    # Asked twice, since a pooler that gives its sessions in turn gives another each time.
    seen = {first, _pid(session)}
    try:
        with login() as other, cut_off_after(other, _ANSWERED_WITHIN / 2):
            seen_there = _pid(other)
    except psycopg.Error as error:
        raise UnavailableError(
            f"the pooler at {session.info.host}:{session.info.port} gives no second session:"
            f" {said(error)}",
            hint="pool_size from 2 up to connections_each",
        ) from error
    if len(seen) == 1 and seen_there not in seen:
        return "session"
    try:
        session.execute(b"begin")
        session.execute(b"rollback")
    except psycopg.Error:
        return "statement"
    return "transaction"


def _pid(session: psycopg.Connection) -> int:
    row = session.execute(b"select pg_catalog.pg_backend_pid()").fetchone()
    assert row is not None
    return int(row[0])
