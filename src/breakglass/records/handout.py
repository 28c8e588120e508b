"""What a minter signs of each credential that it hands out, and how its holder checks that.

A credential is sealed to a public key that everybody on its way knows, so that it opens says
nothing of who sealed it. Source: docs/spec/handout.md.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from breakglass.canonical import canonical, parse_lines
from breakglass.clock import format_time, parse_time
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, UnprovenError
from breakglass.records.encoding.text_types import Code, Digest, GrantId, Handle, HolderKey, LogName
from breakglass.records.statement import AccessRequest, digest_of, grant_id, parse_request
from breakglass.records.trust import Trust
from breakglass.strict_json import read, written
from breakglass.tlog.note import Note, Signer, sign_note, verified_lines

HEADER = "breakglass.dev/handout/v1"
TRUST_HINT = "is this trust file the newest: breakglass trust update"


@dataclass(frozen=True)
class Handout:
    """One credential, handed out by one minter to the holder of one grant.

    ``sealed`` is the SHA-256 of the sealed bytes, ``connect`` that of the canonical JSON beside
    them; ``statement`` is the digest of the grant's first statement.
    """

    log: LogName
    grant: GrantId
    statement: Digest
    minter: Handle
    platform: Code
    holder: HolderKey
    sealed: Digest
    connect: Digest
    until: datetime


@dataclass(frozen=True)
class HandedCredential:
    """What lies on the table in front of a holder, still to be believed."""

    note: str
    sealed: str
    connect: Mapping[str, str | int]


def handout_text(handout: Handout) -> str:
    """Write a hand-out as the exact text that the minter signs.

    Raises:
        MalformedError: nobody would read it.
    """
    return f"{HEADER}\n{canonical(written(handout, 'handout'))}\n"


def parse_handout(text: str) -> Handout:
    """Read a hand-out.

    Raises:
        MalformedError: not the form of docs/spec/handout.md.
    """
    return read(Handout, parse_lines(text, HEADER, "handout"), "handout")


def sign_handout(text: str, key: Signer) -> str:
    """Return the note of a hand-out, signed with the minter's record key."""
    return sign_note(text, key).encoded().decode()


def digest_of_sealed(sealed: bytes) -> str:
    """Return the SHA-256 of sealed bytes, in hexadecimal."""
    return hashlib.sha256(sealed).hexdigest()


def digest_of_connect(connect: Mapping[str, str | int]) -> str:
    """Return the SHA-256 of what stands in clear beside a credential, as canonical JSON.

    Raises:
        MalformedError: it has no canonical JSON.
    """
    return digest_of(canonical(dict(connect)))


def longest_end(said: AccessRequest, waited: timedelta) -> datetime:
    """Return when what a statement asks for is over at the latest, by no clock but its own.

    Args:
        said: the statement. One that names its start is granted from then on, whenever it was
            approved.
        waited: how long others may have taken to approve it, by the card; nobody had to: 0.

    Source: docs/spec/handout.md, H-4.
    """
    begins = parse_time(said.starts) if said.starts else said.at + waited
    return begins + timedelta(seconds=said.for_s)


def check_handout(
    given: HandedCredential,
    statement: str,
    trust: Trust,
    now: datetime,
    waited: timedelta = timedelta(0),
) -> Handout:
    """Check that the minter of a holder's own statement handed this out, before it is opened.

    Args:
        given: as it came, by any way.
        statement: the text that the holder signed; glass, minter and holder key follow from it.
        trust: the holder's own trust file.
        now: by the holder's clock.
        waited: how long others may have taken to approve it, by the card; nobody had to: 0.

    Raises:
        MalformedError: not in its form.
        UnprovenError: ``handout_signer``, ``signature``, ``handout_mismatch`` or
            ``handout_until``.
    """
    said = parse_request(statement)
    # (1) Whose word it is. Nothing is read of what nobody that we know has signed.
    note = Note.parse(given.note.encode("utf-8", "surrogatepass"))
    _check_signer(note, said.minter, trust)
    # (2) Of this grant, for this key, and of these very bytes.
    found = parse_handout(note.text)
    wanted = {
        "log": said.log,
        "grant": grant_id(statement),
        "statement": digest_of(statement),
        "minter": said.minter,
        "holder": said.holder,
        "sealed": digest_of_sealed(_decoded(given.sealed)),
        "connect": digest_of_connect(given.connect),
    }
    for name, value in wanted.items():
        if getattr(found, name) != value:
            raise UnprovenError(
                f"minter {said.minter!r} signed a hand-out with another {name!r} than this one",
                name=ErrorName.HANDOUT_MISMATCH,
            )
    # (3) Within the life that was asked for.
    _check_until(found, said, trust, now, waited)
    return found


def _check_signer(note: Note, minter: str, trust: Trust) -> None:
    known = {
        key: str(role)
        for line in note.lines
        if (named := trust.submitter(line.name, line.key_id)) is not None
        for key, role in [named]
    }
    if len(note.lines) != 1 or not known:
        raise UnprovenError(
            "the hand-out is not signed by one submitter of this trust file alone",
            name=ErrorName.HANDOUT_SIGNER,
            hint=TRUST_HINT,
        )
    verified_lines(note, known)
    (role,) = known.values()
    if role != f"minter:{minter}":
        raise UnprovenError(
            f"the hand-out is signed by {role!r}, the statement asks 'minter:{minter}'",
            name=ErrorName.HANDOUT_SIGNER,
        )


def _check_until(
    found: Handout, said: AccessRequest, trust: Trust, now: datetime, waited: timedelta
) -> None:
    # ``not_before`` may lie one skew behind the statement's own time, ``not_after`` with it.
    if found.until > longest_end(said, waited) + trust.skew or found.until < now:
        raise UnprovenError(
            f"the hand-out lives until {format_time(found.until)}, now is {format_time(now)}, and"
            f" {said.for_s} s were asked for",
            name=ErrorName.HANDOUT_UNTIL,
        )


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedError("a sealed credential is padded base64") from error
