"""A verifier made by us is what libpq makes, byte for byte, and what the RFC's example proves."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import b64decode
from collections.abc import Iterator

import psycopg
import pytest

from breakglass.minter.platforms.scram_verifier import scram_verifier
from tests.kit.postgres import start_postgres


@pytest.fixture(scope="module")
def session() -> Iterator[psycopg.Connection]:
    server = start_postgres()
    with psycopg.connect(server.dsn(), autocommit=True) as found:
        yield found
    server.close()


def test_libpq_makes_the_same_of_the_same_salt(session: psycopg.Connection) -> None:
    for password in ("pencil", "x", *(secrets.token_urlsafe(24) for _ in range(20))):
        theirs = session.pgconn.encrypt_password(password.encode(), b"bg_x", b"scram-sha-256")
        salt = b64decode(theirs.decode().split("$")[1].partition(":")[2])
        assert scram_verifier(password, salt) == theirs.decode()


def test_the_server_stores_it_as_it_is_and_every_one_has_its_own_salt(
    session: psycopg.Connection,
) -> None:
    made = {scram_verifier("pencil") for _ in range(3)}
    assert len(made) == 3
    verifier = made.pop()
    session.execute(f"create role bg_stored login password '{verifier}'".encode())
    row = session.execute("select rolpassword from pg_authid where rolname = 'bg_stored'")
    assert row.fetchone() == (verifier,)
    session.execute("drop role bg_stored")


def test_the_example_of_rfc_7677_proves_itself() -> None:
    said = (
        b"n=user,r=rOprNGfwEbeRWgbNEkqO,"
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    )
    made = scram_verifier("pencil", b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="))
    stored, server = map(b64decode, made.split("$")[2].split(":"))
    proof = b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    mask = hmac.digest(stored, said, "sha256")
    client = bytes(a ^ b for a, b in zip(proof, mask, strict=True))
    assert hashlib.sha256(client).digest() == stored
    assert hmac.digest(server, said, "sha256") == b64decode(
        "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    )


@pytest.mark.parametrize("password", ["pässword", "pass\u00a0word", "two\nlines"])
def test_what_saslprep_could_change_is_refused(password: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        scram_verifier(password)
