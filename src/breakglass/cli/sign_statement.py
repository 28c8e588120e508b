"""What the person says, as the text that they sign: built here, signed by their own key."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from breakglass.cli import output
from breakglass.cli.client import Client
from breakglass.clock import SystemClock, to_milliseconds
from breakglass.person import ssh_keygen
from breakglass.records.statement import Answer, Do, Statement, Why, statement_text

NAMESPACE = "breakglass-statement@v1"


@dataclass(frozen=True)
class SignedStatement:
    """A statement with its signature, in the form that the broker takes."""

    text: str
    signed: dict[str, Any]


def now() -> datetime:
    """Return the time to put into a statement."""
    return to_milliseconds(SystemClock().now())


def nonce() -> str:
    """Return 16 fresh random bytes, so that no two statements are one."""
    return secrets.token_hex(16)


def say(client: Client, statement: Statement) -> SignedStatement:
    """Sign a statement with the person's own key; a security key has to be touched.

    Raises:
        MalformedError: a reason or title holds characters that may not be signed.
        UnavailableError: the key did not sign; nothing was sent.
    """
    from breakglass.records.statement import parse_statement

    client.announce()
    text = statement_text(statement)
    parse_statement(text)  # what we could not read ourselves is refused before anybody touches
    key = ssh_keygen.read_key(client.key)
    sshsig = ssh_keygen.sign(text, NAMESPACE, key, output.talk)
    return SignedStatement(text, {"text": text, "sshsig": sshsig})


def answer(client: Client, do: Do, digest: str, code: str, why: str) -> SignedStatement:
    """Sign a yes, a no or a «done» to the statement with this SHA-256."""
    return say(client, Answer(do, client.log, digest, client.who, Why(code, why), now(), nonce()))
