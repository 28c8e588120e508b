"""A real PostgreSQL with a minter, an application's tables and a colleague: grants live there."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg

from breakglass.minter.platforms.platform import Account, Credential, Order
from breakglass.minter.platforms.postgres import Postgres as Platform
from breakglass.minter.platforms.postgres import PostgresSettings
from breakglass.records.grant import handle_of
from breakglass.records.kinds.dead import Dead
from breakglass.strict_json import read, write
from tests.kit.postgres import PASSWORD, Postgres, bg_roles, prepare, start_postgres

ORDERS = {"databases": ("orders",), "templates": ("breakglass_orders_repair",)}
BOTH = {
    "databases": ("billing", "orders"),
    "may": ("create",),
    "templates": ("breakglass_both",),
}
SETTINGS = "max_prepared_transactions = 10\nwal_level = logical\n"


@dataclass
class Place:
    """A server with its minter, and whoever holds a grant there."""

    server: Postgres
    platform: Platform
    dsn: str

    def mint(self, scope: dict[str, tuple[str, ...]] = BOTH) -> Credential:
        """Mint a new grant."""
        letters = "abcdefghijklmnopqrstuvwxyz234567"
        grant = "g-" + "".join(secrets.choice(letters) for _ in range(12))
        now = datetime.now(UTC)
        return self.platform.mint(
            Order(grant, handle_of(grant), "s", scope, now, now + timedelta(minutes=5))
        )

    def holder(self, made: Credential, dbname: str = "orders") -> psycopg.Connection:
        """Log in as its holder."""
        secret = made.secret
        dsn = self.server.dsn(str(secret["user"]), str(secret["password"]), dbname)
        return psycopg.connect(dsn, autocommit=True)

    def run(self, made: Credential, *statements: str, dbname: str = "orders") -> None:
        """Run statements as its holder."""
        with self.holder(made, dbname) as session:
            for each in statements:
                session.execute(each.encode())

    def ended(self, made: Credential) -> tuple[str, ...]:
        """End it, and return what stays."""
        self.platform.cut(Account(made.handle))
        self.platform.probe_dead(Account(made.handle))
        left = self.platform.tidy(Account(made.handle))
        # Whatever a holder calls their things, ``dead`` can be told.
        dead = Dead("g-" + "a" * 12, "probe", 0, 0, left)
        assert read(Dead, write(dead), "dead") == dead
        return left

    def clean(self, made: Credential) -> None:
        """Be the administrator who has read it all."""
        for database in ("orders", "billing"):
            self.server.run(f"drop owned by {made.handle} cascade", dbname=database)
        self.platform.tidy(Account(made.handle))
        assert made.handle not in bg_roles(self.server)


def started(major: int) -> Place:
    """Start a server on which a colleague ``intern`` and an application live too."""
    server = start_postgres(major=major, settings=SETTINGS)
    dsn = prepare(server)
    server.run(
        "create table salaries(eur int)",
        "insert into salaries values (7)",
        "alter table salaries owner to orders_owner",
        f"create role intern login password '{PASSWORD}'",
        "grant connect on database orders, billing to intern",
        "grant select, insert, trigger on orders to breakglass_both",
        "grant insert on orders to intern",
        "create table audit(line text)",
        "grant insert on audit to intern",
        dbname="orders",
    )
    server.run("grant create on database orders to breakglass_both")
    settings = PostgresSettings(dsn)
    return Place(server, Platform(settings, "orders-db", "ledger.example/one"), dsn)
