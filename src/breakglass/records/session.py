"""A person's session: what they signed once so that a key made for it reads in their name.

It reads and does nothing else: no statement is taken in its namespace, and every request is signed
by its key for one process (``http/request_signature.py``). Source: docs/spec/request.md.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from breakglass.canonical import canonical, parse_lines, parse_strict, utf8
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MalformedError, RefusedError
from breakglass.records.encoding.text_types import Digest, Handle, LogName, Nonce
from breakglass.records.signing.signature import (
    SESSION_NAMESPACE,
    Signature,
    Signed,
    SignedByPasskey,
    verify_signature,
)
from breakglass.strict_json import read, write, written

HEADER = "breakglass.dev/session/v1"
LONGEST = timedelta(hours=12)
USUAL = timedelta(hours=1)
_BYTES_AT_MOST = 2048
_CHARACTERS_AT_MOST = 8192  # of the header that shows it, with the longest signature


@dataclass(frozen=True)
class Session:
    """Who reads with which key, and until when.

    Attributes:
        log: the log's origin.
        who: the person.
        key: the raw Ed25519 key that was made for this session, in hex.
        at: when it was signed.
        until: when it ends, 12 h later at most.
        nonce: 16 random bytes.
    """

    log: LogName
    who: Handle
    key: Digest
    at: datetime
    until: datetime
    nonce: Nonce


@dataclass(frozen=True)
class _Carried:
    session: Signed | SignedByPasskey


def session_text(session: Session) -> str:
    """Write a session as the exact text that a person signs.

    Raises:
        MalformedError: nobody would read it.
    """
    return f"{HEADER}\n{canonical(written(session, 'session'))}\n"


def carried(signed: Signature) -> str:
    """Return the value of the header that shows a session."""
    text = canonical({"session": write(signed)})
    return base64.b64encode(text.encode()).decode()


def read_carried(value: str) -> tuple[Session, Signature]:
    """Read the header's value; nothing of it is believed yet.

    Raises:
        MalformedError: ``bad_session``; another form.
    """
    try:
        if len(value) > _CHARACTERS_AT_MOST:
            raise ValueError(f"more than {_CHARACTERS_AT_MOST} characters")
        data = base64.b64decode(value, validate=True)
        signed = read(_Carried, parse_strict(data, "session"), "header").session
        if len(utf8(signed.text)) > _BYTES_AT_MOST:
            raise ValueError(f"more than {_BYTES_AT_MOST} bytes")
        return read(Session, parse_lines(signed.text, HEADER, "session"), "session"), signed
    except (binascii.Error, ValueError, BreakglassError) as error:
        raise MalformedError(
            f"the session cannot be read: {str(error)[:300]}", name=ErrorName.BAD_SESSION
        ) from error


def check_session(
    session: Session,
    signed: Signature,
    keys: Sequence[str],
    log: str,
    now: datetime,
    skew: timedelta,
) -> None:
    """Believe that ``session.who`` lets the session's key read in their name, now.

    Args:
        session: as read.
        signed: the text of it, with its signature.
        keys: this person's keys in force.
        log: the log whose process is asked.
        now: the process's clock.
        skew: how far two clocks may lie apart.

    Raises:
        RefusedError: ``wrong_log``, ``session_over``.
        MalformedError: the signature or a key is not in a form that we read.
        UnprovenError: ``foreign_key``, ``namespace``, ``presence`` or ``signature``.
    """
    if session.log != log:
        raise RefusedError(
            f"the session is of log {session.log!r}, this is {log!r}", name=ErrorName.WRONG_LOG
        )
    if not session.at <= session.until <= session.at + LONGEST:
        raise _over(f"a session lasts {LONGEST} at most, this one {session.until - session.at}")
    if now < session.at - skew:
        raise _over(f"the session begins {session.at:%Y-%m-%d %H:%M:%S} UTC, it is {now:%H:%M:%S}")
    # No skew here: who reads with it sees its end, and signs for another.
    if now >= session.until:
        raise _over(f"the session ended {session.until:%Y-%m-%d %H:%M:%S} UTC")
    verify_signature(signed, keys, SESSION_NAMESPACE)


def _over(why: str) -> RefusedError:
    return RefusedError(
        why, name=ErrorName.SESSION_OVER, hint="the next read asks for your signature again"
    )
