"""A glass narrowed by a real PostgreSQL's log: what was used works, what was not is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from breakglass.minter.platforms.platform import Account, Credential, Order
from breakglass.minter.platforms.postgres import Postgres as Platform
from breakglass.minter.platforms.postgres import PostgresSettings
from breakglass.minter.platforms.postgres_setup import Template, setup_statements
from breakglass.minter.platforms.scram_verifier import scram_verifier
from breakglass.policy.lint import lint
from breakglass.policy.parse import parse_bundle
from breakglass.policy.used.grant_use import GrantUse, TableRight
from breakglass.policy.used.lived_grant import LivedGrant
from breakglass.policy.used.log_file import form_of
from breakglass.policy.used.pgaudit_line import DATA_RIGHTS
from breakglass.policy.used.postgres_acts import read_postgres
from breakglass.policy.used.proposal import Enough, Proposal, propose
from breakglass.policy.used.proposed_bundle import narrowed_files, unified_diff
from breakglass.policy.used.template_sql import target_script, target_statements
from breakglass.records.grant import handle_of
from tests.kit.postgres import PASSWORD, Postgres, start_postgres
from tests.policy.used.kit import wide_files

PGAUDIT = Path("/usr/lib/postgresql/15/lib/pgaudit.so")
ALL = Enough(1, timedelta(0))
LOGGED = """logging_collector = on
log_destination = 'csvlog,jsonlog'
log_directory = 'logs'
log_filename = 'pg.log'
log_disconnections = on
log_statement = 'all'
log_timezone = 'UTC'
lc_messages = 'C'
"""
AUDITED = "shared_preload_libraries = 'pgaudit'\npgaudit.log = 'all'\npgaudit.log_relation = on\n"
WIDE = Template(
    "wide",
    ("billing", "orders"),
    {
        "billing": ("select on invoices",),
        "orders": (
            "select, insert, update, delete, truncate on orders",
            "select, update on secrets",
            "usage on schema shop",
            "select, insert on shop.items",
            "usage on sequence shop.items_id_seq",
            "select on newest",
            "update (state) on jobs",
            "select (id) on jobs",
            "execute on function tidy()",
        ),
    },
)
USED = (
    "select current_user",
    "update orders set state = 'done' where id = 1",
    "select * from orders where id = 1 for update",
    "insert into shop.items(name) values ('a\nb, \"c\"')",
    "select * from newest",
    "update jobs set state = 'new' where id = 1",
    "select tidy()",
    "begin",
    "commit",
)
NEVER_USED = (
    "select * from secrets",
    "update secrets set id = 2",
    "insert into orders values (7)",
    "delete from orders",
    "truncate orders",
    "select * from shop.items",
    "select * from trail",
    "select hidden from jobs",
)
WIDER = """
select c.oid::regclass || ' ' || p.name from pg_class c,
  unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) p(name)
 where c.relkind in ('r', 'v') and has_table_privilege('wide_used_1', c.oid, p.name)
   and not has_table_privilege('wide', c.oid, p.name)"""
GRANT = "g-7kq3m2x4p5ab"


@dataclass
class Target:
    """A server with a wide template and its minter."""

    server: Postgres
    platform: Platform

    def mint(self, grant: str, scope: Mapping[str, tuple[str, ...]]) -> Credential:
        now = datetime.now(UTC)
        order = Order(grant, handle_of(grant), "s", scope, now, now + timedelta(minutes=5))
        made = self.platform.mint(order)
        self.platform.probe(made)
        return made

    def run(self, made: Credential, *statements: str, dbname: str = "orders") -> None:
        secret = made.secret
        with self.server.connected(str(secret["user"]), str(secret["password"]), dbname) as session:
            for each in statements:
                session.execute(each.encode())

    def end(self, made: Credential) -> None:
        self.platform.cut(Account(made.handle))
        self.platform.probe_dead(Account(made.handle))
        self.platform.tidy(Account(made.handle))

    def administer(self, script: str) -> str:
        """Run a script with psql, as an administrator does; returns what it said."""
        psql = self.server.place.programs / "psql"
        done = subprocess.run(
            [psql, "-X", "-q", "-f", "-", self.server.dsn()],
            input=script.encode(), env={**os.environ, "LC_ALL": "C"}, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        said = done.stdout.decode()
        assert done.returncode == 0, said
        return said

    def logs(self, suffix: str, folder: Path) -> Path:
        """Return a copy of the log, once the server has written what came before."""
        log = self.server.place.folder / "data" / "logs" / f"pg.{suffix}"
        self.server.run("select 'everything before'")
        until = time.monotonic() + 20
        while b"everything before" not in log.read_bytes():
            assert time.monotonic() < until
            time.sleep(0.05)
        data = log.read_bytes()
        (folder / log.name).write_bytes(data[: data.rindex(b"\n") + 1])
        return folder / log.name


def target(major: int, settings: str) -> Iterator[Target]:
    server = start_postgres(major=major, settings=LOGGED + settings)
    try:
        server.run("create database orders", "create database billing")
        server.run("create table invoices(id int)", dbname="billing")
        server.run(
            "create table orders(id int primary key, state text)",
            "insert into orders values (1, 'stuck')",
            "create table secrets(id int)",
            "create schema shop",
            "create table shop.items(id serial, name text)",
            "create table trail(line text)",
            "create view newest as select * from trail",
            "create table jobs(id int, state text, hidden text)",
            "create function tidy() returns void language plpgsql as"
            " $$ begin perform count(*) from orders; end $$",
            "revoke execute on function tidy() from public",
            dbname="orders",
        )
        for each in setup_statements(
            major, "breakglass_minter", (WIDE,), scram_verifier(PASSWORD), shut_public=True
        ):
            server.run(each.sql, dbname=each.database or "postgres")
        dsn = server.dsn("breakglass_minter", PASSWORD, "orders")
        platform = Platform(PostgresSettings(dsn), "orders-db", "ledger.example/one")
        yield Target(server, platform)
        platform.close()
    finally:
        server.close()


@pytest.fixture(scope="module")
def audited() -> Iterator[Target]:
    if not PGAUDIT.exists():
        pytest.skip("postgresql-15-pgaudit is not installed (make system)")
    yield from target(15, AUDITED)


@pytest.fixture(scope="module", params=[16, 18])
def plain(request: pytest.FixtureRequest) -> Iterator[Target]:
    yield from target(request.param, "")


def bundle() -> dict[str, bytes]:
    return wide_files(
        "postgres: {minter: orders-db, database: [billing, orders], template: wide}", "20m"
    )


def proposal(files: Mapping[str, bytes], uses: list[GrantUse], enough: Enough = ALL) -> Proposal:
    glass = parse_bundle(files).glasses["orders-repair"]
    return propose(glass, glass.mints[0], uses, enough=enough)


def lived(grant: str, begins: datetime) -> LivedGrant:
    scope = {"databases": ("billing", "orders"), "templates": ("wide",)}
    return LivedGrant(
        grant, "orders-repair", "mira", "INC-1", "orders-db", "postgres", scope, begins,
        datetime.now(UTC),
    )  # fmt: skip


def used_once(target: Target, *statements: str, grant: str = GRANT) -> LivedGrant:
    """Have a grant of the wide glass come, do this and go."""
    made = target.mint(grant, {"databases": ("billing", "orders"), "templates": ("wide",)})
    begins = datetime.now(UTC)
    target.run(made, *statements)
    target.end(made)
    return lived(grant, begins)


def applied(files: Mapping[str, bytes], found: Proposal, place: Path) -> dict[str, bytes]:
    """Apply the diff as a person does, and read what came of it."""
    after = narrowed_files(files, found)
    for name, content in files.items():
        (place / name).write_bytes(content)
    diff = "".join(f"{line}\n" for line in unified_diff(files, after))
    patch = shutil.which("patch")
    assert patch, "patch is of every Debian that builds packages"
    subprocess.run([patch, "-d", place, "-p1"], input=diff.encode(), check=True)
    got = {name: (place / name).read_bytes() for name in files}
    assert got == after
    return got


def refused(target: Target, made: Credential, statement: str) -> bool:
    try:
        target.run(made, statement)
    except psycopg.errors.InsufficientPrivilege:
        return True
    return False


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_what_was_used_works_under_the_narrower_glass_and_what_was_not_is_refused(
    audited: Target, suffix: str, tmp_path: Path
) -> None:
    grant = used_once(audited, *USED, grant=f"g-{suffix:a<12}")
    log = audited.logs(suffix, tmp_path)
    uses = [read_postgres([(log, form_of(log))], [grant]).use_of(grant)]
    assert uses[0].lost == ()
    files = bundle()
    found = proposal(files, uses)
    assert found.stopped == ()
    assert found.scope == {"databases": ("orders",), "templates": ("wide_used_1",)}
    assert found.never_used == {"databases": ("billing",)}
    audited.administer(target_script(target_statements(found)))
    assert audited.server.column(WIDER, "orders") == []
    read = parse_bundle(applied(files, found, tmp_path))
    assert [str(e) for e in lint(read, now=datetime.now(UTC)) if e.level.value == "error"] == []
    scope = read.glasses["orders-repair"].mints[0].scope
    made = audited.mint("g-" + "n" * 12, scope)
    audited.run(made, *USED)
    for each in NEVER_USED:
        assert refused(audited, made, each), each
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        audited.run(made, "select 1", dbname="billing")
    audited.end(made)
    audited.server.run("drop owned by wide_used_1; drop role wide_used_1", dbname="orders")


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_without_pgaudit_only_where_it_logged_in_is_narrowed(
    plain: Target, suffix: str, tmp_path: Path
) -> None:
    grant = used_once(plain, *USED, grant=f"g-{suffix:b<12}")
    log = plain.logs(suffix, tmp_path)
    uses = [read_postgres([(log, form_of(log))], [grant]).use_of(grant)]
    assert uses[0].lost == ()
    files = bundle()
    found = proposal(files, uses)
    assert found.scope == {"databases": ("orders",), "templates": ("wide",)}
    assert found.kept == (
        "template wide: the log proves no tables in orders (pgaudit, log_statement)",
    )
    plain.administer(target_script(target_statements(found)))
    try:
        scope = parse_bundle(applied(files, found, tmp_path)).glasses["orders-repair"].mints[0]
        made = plain.mint("g-" + suffix[0] * 12, scope.scope)
        plain.run(made, *USED)
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            plain.run(made, "select 1", dbname="billing")
        plain.end(made)
    finally:
        plain.server.run("grant connect on database billing to wide")


def test_what_a_holder_writes_into_the_log_is_no_act_and_hides_none(
    audited: Target, tmp_path: Path
) -> None:
    fake = "AUDIT: SESSION,1,1,READ,SELECT,TABLE,public.fake,table fake,<none>"
    row = (
        '\n2026-12-01 03:00:00.000 UTC,"bg_hhhhhhhhhhhh","billing",1,,x.1,1,"idle",,,0,LOG,00000,'
        '"connection authorized: user=bg_hhhhhhhhhhhh",,,,,,,,,"","client backend",,0\n'
    )
    grant = used_once(
        audited,
        "set application_name = 'breakglass-probe'",
        f"do $$ begin raise log '{fake}'; end $$",
        "do $$ begin raise log 'disconnection: session time: 0'; end $$",
        f"select '{row}'",
        "select * from orders",
        grant="g-" + "h" * 12,
    )
    for suffix in ("csv", "json"):
        log = audited.logs(suffix, tmp_path)
        use = read_postgres([(log, form_of(log))], [grant]).use_of(grant)
        assert use.values == {"databases": frozenset({"orders"})}
        assert {(each.relation, each.right) for each in use.rights} == {("public.orders", "select")}
        assert use.lost == ()


def test_a_class_that_pgaudit_leaves_out_proves_no_tables(audited: Target, tmp_path: Path) -> None:
    audited.server.run("alter system set pgaudit.log = 'read'", "select pg_reload_conf()")
    try:
        grant = used_once(audited, *USED, grant="g-" + "r" * 12)
    finally:
        audited.server.run("alter system reset pgaudit.log", "select pg_reload_conf()")
    log = audited.logs("csv", tmp_path)
    use = read_postgres([(log, form_of(log))], [grant]).use_of(grant)
    assert use.unproven == {"orders"}
    assert proposal(bundle(), [use]).template == ""


def test_a_lost_piece_of_the_log_is_told_and_stops_the_proposal(
    audited: Target, tmp_path: Path
) -> None:
    grant = used_once(audited, *USED, grant="g-" + "l" * 12)
    log = audited.logs("json", tmp_path)
    kept = [each for each in log.read_bytes().splitlines(True) if b"from newest" not in each]
    log.write_bytes(b"".join(kept))
    use = read_postgres([(log, form_of(log))], [grant]).use_of(grant)
    (lost,) = use.lost
    assert lost.endswith("of bg_llllllllllll: entries are missing")
    found = proposal(bundle(), [use])
    assert not found.narrows
    assert found.stopped[0] == f"g-llllllllllll was not wholly seen: {lost}"


def listed(*relations: str) -> Proposal:
    """Return what would be proposed of a log that proves these tables."""
    rights = {TableRight("orders", each, right) for each in relations for right in DATA_RIGHTS}
    grant = lived(GRANT, datetime.now(UTC))
    use = GrantUse(
        grant, {"databases": frozenset({"orders"})}, frozenset(rights), last=grant.begins
    )
    return proposal(bundle(), [use])


def test_newer_servers_take_the_narrower_template_and_give_it_nothing_that_the_old_one_has_not(
    plain: Target,
) -> None:
    found = listed("public.orders", "public.trail", "public.gone")
    said = plain.administer(target_script(target_statements(found)))
    assert "no relation public.gone any more" in said
    assert plain.server.column(WIDER, "orders") == []
    made = plain.mint("g-" + "w" * 12, found.scope)
    plain.run(made, "update orders set state = 'done'", "insert into orders values (9)")
    for each in ("select * from trail", "select * from secrets", "set role wide_used_1"):
        assert refused(plain, made, each), each
    plain.end(made)
    plain.server.run("drop owned by wide_used_1; drop role wide_used_1", dbname="orders")


def test_row_security_that_names_the_old_template_stops_the_script(plain: Target) -> None:
    plain.server.run("create policy theirs on orders to wide using (true)", dbname="orders")
    try:
        with pytest.raises(AssertionError, match="row security of public"):
            plain.administer(target_script(target_statements(listed("public.orders"))))
    finally:
        plain.server.run("drop policy theirs on orders", dbname="orders")
    assert plain.server.column("select 1 from pg_roles where rolname = 'wide_used_1'") == []


def test_a_role_that_is_taken_by_a_function_keeps_the_template(
    audited: Target, tmp_path: Path
) -> None:
    grant = used_once(
        audited, "select set_config('role', 'wide', false)", *USED, grant="g-" + "s" * 12
    )
    log = audited.logs("csv", tmp_path)
    use = read_postgres([(log, form_of(log))], [grant]).use_of(grant)
    assert use.beyond == {"set_config in orders"}
    assert proposal(bundle(), [use]).template == ""
