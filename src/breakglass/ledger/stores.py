"""Opens what the settings name: a SQLite file of our own, or a PostgreSQL shared with a standby."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from breakglass.ledger.attachments import Attachments, AttachmentStore
from breakglass.ledger.failover import Failover
from breakglass.ledger.feed import Feed
from breakglass.ledger.lease import Lease
from breakglass.ledger.postgres_attachments import PostgresAttachments
from breakglass.ledger.postgres_calls import PostgresCalls, PostgresSettings, read_dsn
from breakglass.ledger.postgres_journal import PostgresJournal
from breakglass.ledger.settings import LedgerSettings
from breakglass.ledger.sqlite_journal import SqliteJournal
from breakglass.process.serving import ADDRESS

StandBy = Callable[[Feed, Callable[[], None]], Failover]


@dataclass(frozen=True)
class Opened:
    """A ledger's stores. ``stand_by`` makes what waits for the lease; ``None``: there is none."""

    journal: SqliteJournal | PostgresJournal
    attachments: Attachments
    stand_by: StandBy | None = None


def open_stores(folder: Path, settings: LedgerSettings) -> Opened:
    """Open journal and attachments of the ledger in ``folder``.

    Raises:
        MisconfiguredError: the store cannot be used, or the settings name two.
    """
    if not settings.journal and settings.postgres is None:
        return Opened(
            SqliteJournal(folder / "data" / "journal.sqlite"),
            AttachmentStore(folder / "data" / "attachments"),
        )
    given = settings.postgres or PostgresSettings()
    dsn = read_dsn(settings.journal, given)
    # The server shows our sessions under this name; whoever takes over ends them by it.
    name = f"breakglass-ledger {secrets.token_hex(8)}"
    calls = PostgresCalls(dsn, name, given.connections)
    journal = PostgresJournal(calls)

    def address() -> str:
        return given.known_as or _address(folder)

    def stand_by(feed: Feed, open_: Callable[[], None]) -> Failover:
        lease = Lease(
            calls, lease_for=given.lease_for, look_every=given.look_every, address=address
        )
        return Failover(lease, journal, feed, open_, look_every=given.look_every)

    # On connections of their own: a long upload must not hold up a commit.
    attachments = PostgresAttachments(PostgresCalls(dsn, name, 2))
    return Opened(journal, attachments, stand_by)


def _address(folder: Path) -> str:
    try:
        return (folder / ADDRESS).read_text("ascii").strip()
    except OSError:
        return ""  # not accepting yet
