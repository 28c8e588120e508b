"""The login that must fail: judged by the server's code, in any language, over any line."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from breakglass.errors import RefusedError, UnavailableError
from breakglass.minter.platforms.platform import Account, Order
from breakglass.minter.platforms.postgres import Postgres as Platform
from breakglass.minter.platforms.postgres import PostgresSettings
from breakglass.minter.platforms.postgres_dsn import read_dsn
from breakglass.minter.platforms.postgres_login import LoginTried, try_login
from breakglass.records.grant import handle_of
from tests.kit.bad_server import BadServer
from tests.kit.postgres import PASSWORD, Postgres, prepare, ruled, start_postgres

ORDERS = {"databases": ("orders",), "templates": ("breakglass_orders_repair",)}
WITHIN = timedelta(seconds=3)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    found = start_postgres()
    prepare(found)
    yield found
    found.close()


def mint(platform: Platform) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz234567"
    grant = "g-" + "".join(secrets.choice(letters) for _ in range(12))
    now = datetime.now(UTC)
    order = Order(grant, handle_of(grant), "s", ORDERS, now, now + timedelta(minutes=5))
    return platform.mint(order).handle


def tried(server: Postgres, user: str = "nobody_such") -> LoginTried:
    return try_login(read_dsn(server.dsn()), user, "orders", WITHIN)


def test_a_refusal_is_a_refusal_in_any_language(tmp_path: Path) -> None:
    if not shutil.which("localedef") or not Path("/usr/share/i18n/locales/de_DE").exists():
        pytest.skip("no German locale can be made here; Debian's package 'locales' has it")
    if not Path("/usr/share/locale/de/LC_MESSAGES/postgres-15.mo").exists():
        pytest.skip("PostgreSQL 15 speaks no German here; make system installs it")
    locales = Path("/tmp") / f"breakglass-locale-{secrets.token_hex(4)}"
    locales.mkdir(mode=0o755)
    german = ["localedef", "-i", "de_DE", "-f", "UTF-8", str(locales / "de_DE.UTF-8")]
    subprocess.run(german, check=True, capture_output=True)
    server = start_postgres(
        major=15, settings="lc_messages = 'de_DE.UTF-8'\n", env={"LOCPATH": str(locales)}
    )
    platform = Platform(PostgresSettings(prepare(server)), "orders-db", "ledger.example/one")
    try:
        with pytest.raises(psycopg.OperationalError, match="Passwort-Authentifizierung"):
            server.connected("nobody_such", "x").__enter__()
        handle = mint(platform)
        with pytest.raises(RefusedError, match="may still log in"):
            platform.probe_dead(Account(handle))
        platform.cut(Account(handle))
        assert platform.probe_dead(Account(handle)) == (
            "login refused (SQLSTATE 28P01); the role may not log in; no session is live"
        )
        assert platform.tidy(Account(handle)) == ()
        assert "the role is gone" in platform.probe_dead(Account(handle))
    finally:
        platform.close()
        server.close()
        shutil.rmtree(locales)


@pytest.mark.parametrize(
    ("method", "wanted"),
    [
        ("scram-sha-256", LoginTried(False, "28P01", "scram-sha-256")),
        ("md5", LoginTried(False, "28P01", "scram-sha-256")),
        ("password", LoginTried(False, "28P01", "password")),
        ("reject", LoginTried(False, "28000", "")),
        ("trust", LoginTried(False, "28000", "")),
    ],
)
def test_whatever_a_server_asks_for_its_refusal_is_read_by_code(
    server: Postgres, method: str, wanted: LoginTried
) -> None:
    with ruled(server, f"host orders nobody_such 127.0.0.1/32 {method}"):
        found = tried(server)
    assert found == wanted
    assert found.refused


def test_a_server_that_lets_anybody_in_is_no_proof_of_death(server: Postgres) -> None:
    platform = Platform(
        PostgresSettings(server.dsn("breakglass_minter", PASSWORD, "orders")),
        "orders-db",
        "ledger.example/one",
    )
    handle = mint(platform)
    with ruled(server, f'host orders "{handle}" 127.0.0.1/32 trust'):
        assert tried(server, handle).let_in
        platform.cut(Account(handle))
        # Shut out is shut out, also under ``trust``: the server itself says so.
        assert "SQLSTATE 28000" in platform.probe_dead(Account(handle))
        server.run(f"alter role {handle} login")
        with pytest.raises(RefusedError) as caught:
            platform.probe_dead(Account(handle))
        assert caught.value.name == "alive"
    platform.cut(Account(handle))
    platform.tidy(Account(handle))
    platform.close()


@pytest.mark.parametrize("mood", ["hangs", "hangs up", "noise", "drips", "stops half way"])
def test_a_server_that_does_not_answer_in_the_protocol_proves_nothing(mood: str) -> None:
    bad = BadServer(mood=mood)
    try:
        place = {"host": "127.0.0.1", "port": bad.address.rpartition(":")[2].strip("/")}
        with pytest.raises(UnavailableError, match="could not be tried"):
            try_login({**place, "sslmode": "disable"}, "x", "y", timedelta(seconds=1))
    finally:
        bad.close()


def test_a_server_that_is_full_or_starting_proves_nothing(server: Postgres) -> None:
    server.run("alter role breakglass_minter connection limit 0")
    with ruled(server, "host orders breakglass_minter 127.0.0.1/32 trust"):
        found = tried(server, "breakglass_minter")
    server.run("alter role breakglass_minter connection limit -1")
    assert (found.sqlstate, found.let_in, found.refused) == ("53300", False, False)


def test_a_session_by_tls_is_proven_dead_by_tls(tmp_path: Path) -> None:
    server = start_postgres(major=15)
    place = server.place
    key, crt = place.folder / "data" / "server.key", place.folder / "data" / "server.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-days", "2", "-keyout", key, "-out", crt],
        check=True, capture_output=True,
    )  # fmt: skip
    for each in (key, crt):
        place.give(each)
    root = tmp_path / "root.crt"
    shutil.copy(crt, root)
    dsn = prepare(server).replace("127.0.0.1", "localhost")
    rules = place.folder / "data" / "pg_hba.conf"
    rules.write_text(f"hostnossl orders all all reject\n{rules.read_text()}")
    try:
        server.run("alter system set ssl = on", "select pg_reload_conf()")
        _until_tls(server)
        for how in (f"sslmode=verify-full sslrootcert={root}", "sslmode=require"):
            platform = Platform(PostgresSettings(f"{dsn} {how}"), "orders-db", "ledger/one")
            handle = mint(platform)
            platform.cut(Account(handle))
            assert "SQLSTATE 28P01" in platform.probe_dead(Account(handle))
            platform.tidy(Account(handle))
            platform.close()
        plain = try_login(read_dsn(f"{dsn} sslmode=disable"), "x", "orders", WITHIN)
        assert plain == LoginTried(False, "28000", "")
        other = str(_other_root(tmp_path))
        wrong = {**read_dsn(dsn), "sslmode": "verify-full", "sslrootcert": other}
        with pytest.raises(UnavailableError, match="certificate verify failed"):
            try_login(wrong, "x", "orders", WITHIN)
    finally:
        server.close()


def _other_root(folder: Path) -> Path:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=other",
         "-keyout", folder / "other.key", "-out", folder / "other.crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder / "other.crt"


def _until_tls(server: Postgres) -> None:
    until = time.monotonic() + 20
    while server.column("show ssl") != ["on"]:
        assert time.monotonic() < until
        time.sleep(0.05)
