"""A survey of PostgreSQL, by a role that reads catalogs and can change nothing.

What a login may read by itself is enough for all but two: ``pg_hba_file_rules``, which a superuser
grants, and the jobs of a scheduler, which their owners alone see. What cannot be read is unknown.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from breakglass.errors import MisconfiguredError, UnavailableError
from breakglass.records.encoding.text_types import one_line
from breakglass.surveyor.postgres_queries import CLUSTER, COULD_WRITE, DATABASE, SCHEDULERS, TRUST
from breakglass.surveyor.settings import PostgresSettings
from breakglass.surveyor.survey import Inventory, Part, Thing

THINGS_AT_MOST = 20_000  # of one category in one database; beyond it the count is a least
_PINNED = {
    "search_path": "pg_catalog,pg_temp",
    "default_transaction_read_only": "on",
    "statement_timeout": "30s",
    "lock_timeout": "3s",
    "idle_in_transaction_session_timeout": "60s",
    "client_min_messages": "warning",
    "DateStyle": "ISO",
}
_DATABASES = """
select d.datname from pg_catalog.pg_database d where d.datallowconn order by d.datname
"""
_TRUST_PART = "hba-trust"
_JOBS_PART = "scheduled-job"


@dataclass
class _Found:
    things: set[Thing] = field(default_factory=set)
    unread: dict[Part, str] = field(default_factory=dict)


class PostgresSurvey:
    """See the module and ``Survey``.

    Raises:
        MisconfiguredError: the DSN is none, or leaves to the environment who we are and where.
    """

    def __init__(self, settings: PostgresSettings) -> None:
        self._settings = settings
        try:
            parts = conninfo_to_dict(settings.dsn)
        except psycopg.ProgrammingError as error:
            raise MisconfiguredError("'postgres.dsn' is no connection string") from error
        for each in ("user", "dbname"):
            if not parts.get(each):
                raise MisconfiguredError(f"'postgres.dsn' names no {each}", hint=f"add {each}=…")
        if parts.get("service") or not (parts.get("host") or parts.get("hostaddr")):
            raise MisconfiguredError("'postgres.dsn' names no host", hint="add host=…")
        self._first = str(parts["dbname"])

    def survey(self, templates: Sequence[str]) -> Inventory:
        """Look once, at the cluster and then at each database; see ``Survey.survey``."""
        found = _Found()
        with self._session(self._first) as session:
            self._read(session, "", {**CLUSTER, _TRUST_PART: TRUST}, templates, found)
            named = [str(name) for (name,) in session.execute(_DATABASES.encode()).fetchall()]
        for database in self._settings.databases or named:
            try:
                with self._session(database) as session:
                    self._read(session, database, DATABASE, templates, found)
                    self._schedulers(session, database, found)
            except UnavailableError as error:
                # The cluster answers, so this one database does not let us in: unknown, all of it.
                for category in (*DATABASE, _JOBS_PART):
                    found.unread[category, database] = one_line(str(error), 200)
        return Inventory(tuple(sorted(found.things)), found.unread)

    def close(self) -> None:
        """Do nothing: each look has sessions of its own."""

    def _read(
        self,
        session: psycopg.Connection,
        database: str,
        queries: Mapping[str, str],
        templates: Sequence[str],
        found: _Found,
    ) -> None:
        given = {"templates": list(templates), "most": THINGS_AT_MOST}
        for category, query in queries.items():
            try:
                with session.transaction():
                    rows = session.execute(query.encode(), given).fetchall()
            except psycopg.Error as error:
                if session.closed:
                    raise UnavailableError(f"the target went away: {_said(error)}") from error
                found.unread[category, database] = _said(error)
                continue
            if len(rows) == THINGS_AT_MOST:
                found.unread[category, database] = f"over {THINGS_AT_MOST} things"
            for name, holder, same in rows:
                found.things.add(Thing(category, str(name), str(holder), database, tuple(same)))

    def _schedulers(self, session: psycopg.Connection, database: str, found: _Found) -> None:
        names = [str(name) for (name,) in session.execute(SCHEDULERS.encode()).fetchall()]
        if names:
            why = f"jobs of {', '.join(names)} are shown to their owners alone"
            found.unread[_JOBS_PART, database] = why

    @contextlib.contextmanager
    def _session(self, database: str) -> Iterator[psycopg.Connection]:
        """Open a session that cannot write, of a role that could not, and close it.

        Raises:
            UnavailableError: it lets us not in, or is a standby.
            MisconfiguredError: the role could change something.
        """
        words = [word for key, value in _PINNED.items() for word in ("-c", f"{key}={value}")]
        try:
            session = psycopg.connect(
                make_conninfo(
                    self._settings.dsn,
                    dbname=database,
                    options=" ".join(words),
                    application_name="breakglass-surveyor",
                    connect_timeout="5",
                ),
                autocommit=True,
            )
        except psycopg.Error as error:
            raise UnavailableError(
                f"cannot log in to database {database!r}: {_said(error)}"
            ) from error
        with contextlib.closing(session):
            try:
                _check_harmless(session, database)
                yield session
            except psycopg.Error as error:
                raise UnavailableError(f"the target went away: {_said(error)}") from error


def _check_harmless(session: psycopg.Connection, database: str) -> None:
    row = session.execute(
        b"select pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('search_path'),"
        b" pg_catalog.current_setting('transaction_read_only'), current_user::pg_catalog.text"
    ).fetchone()
    assert row is not None
    standby, path, read_only, role = row
    if standby:
        raise UnavailableError("the target is a standby, which shows what was")
    if (path, read_only) != (_PINNED["search_path"], "on"):
        raise MisconfiguredError(
            "the target does not take the surveyor's own session settings; a pooler stands between",
            hint="give the surveyor a dsn that reaches the server itself",
        )
    whys = [str(why) for (why,) in session.execute(COULD_WRITE.encode()).fetchall() if why]
    if whys:
        raise MisconfiguredError(
            f"the surveyor's role {role!r} could change something in database {database!r}:"
            f" {'; '.join(whys[:3])}; nothing was surveyed",
            hint="give it a role of its own that may log in and nothing else:"
            " breakglass standing add TARGET --dsn DSN",
        )


def _said(error: psycopg.Error) -> str:
    return one_line(error.diag.message_primary or str(error), 200)
