"""What a ledger is told at its start, and the two files beside it that may change later.

``policy`` is a plain C2SP tlog-policy: whose cosignatures make a quorum. ``submitters`` names who
may append, one a line: ``VKEY [ROLE] [note-bytes=N] [notes-per-hour=N] [attachments=no]
[attach-mib-per-day=N]``. The role ``reader`` reads and appends nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Generic, TypeVar

from breakglass.errors import BreakglassError, MalformedError, MisconfiguredError
from breakglass.ledger.postgres_calls import PostgresSettings
from breakglass.process.serving import Serving
from breakglass.submit.blob_upload import ATTACHMENT_BYTES_AT_MOST
from breakglass.submit.record_header import NOTE_BYTES_AT_MOST
from breakglass.tlog.note import COSIGNATURE, ED25519, VerifierKey
from breakglass.tlog.policy import NEXT, NO_QUORUM, TlogPolicy, parse_policy

T = TypeVar("T")
_MIB = 1024 * 1024
READER = "reader"


@dataclass(frozen=True)
class LedgerSettings:
    """``settings.toml`` of a ledger. Its origin is the name of its key."""

    journal: str = ""  # ``postgres://…`` without a password; a SQLite file in ``data/`` if empty
    postgres: PostgresSettings | None = None
    archiver: str = ""  # which of the policy's witnesses is sent the entries too
    # A witness's name: its address, or its folder; where the policy gives no address.
    neighbours: Mapping[str, str] = field(default_factory=dict)
    serving: Serving = field(default_factory=Serving)
    ask_within: timedelta = timedelta(seconds=1)  # for all witnesses and the archiver, in parallel
    retry_at_most: timedelta = timedelta(seconds=2)  # between tries for a missing quorum
    skew: timedelta = timedelta(seconds=120)  # cosignatures of other times are not hurried for
    pool_notes: int = 4096  # waiting to be committed; beyond it, 429
    attachment_bytes: int = ATTACHMENT_BYTES_AT_MOST  # and less, if you like
    unnamed_for: timedelta = timedelta(hours=24)  # an attachment that no record names is kept
    poll_at_most: timedelta = timedelta(seconds=30)

    def __post_init__(self) -> None:
        if not 1 <= self.attachment_bytes <= ATTACHMENT_BYTES_AT_MOST:
            raise ValueError(f"'attachment_bytes' is 1 to {ATTACHMENT_BYTES_AT_MOST}")
        if self.unnamed_for < timedelta(hours=2):  # a sender believes for an hour that it is there
            raise ValueError("'unnamed_for_s' is two hours at least")

    def archives(self, name: str) -> bool:
        """Say whether a witness of the policy is sent the entries too."""
        return bool(self.archiver) and name.removesuffix(NEXT) == self.archiver


@dataclass(frozen=True)
class KnownSubmitter:
    """Who may append, and how much."""

    vkey: VerifierKey
    role: str = ""
    note_bytes: int = NOTE_BYTES_AT_MOST
    notes_per_hour: int | None = None
    attachments: bool = True
    attach_bytes_per_day: int = 4096 * _MIB

    @property
    def appends(self) -> bool:
        """Whether it may bring anything into the log."""
        return self.role != READER


KnownSubmitters = Mapping[tuple[str, bytes], KnownSubmitter]


def parse_submitters(text: str) -> KnownSubmitters:
    """Read a ``submitters`` file.

    Raises:
        MalformedError: with the line: another form, or a key that already exists.
    """
    found: dict[tuple[str, bytes], KnownSubmitter] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            submitter = _submitter(words)
        except (MalformedError, ValueError, KeyError) as error:
            raise MalformedError(f"submitters line {number}: {error}") from error
        # By raw key too: one key under two names would have two chains of seq.
        if any(submitter.vkey.public == other.vkey.public for other in found.values()):
            raise MalformedError(f"submitters line {number}: this key already exists")
        # Four bytes of a hash: a name can be found that gives any key the id of another.
        if any(submitter.vkey.key_id == other.vkey.key_id for other in found.values()):
            raise MalformedError(f"submitters line {number}: this key id already exists")
        found[submitter.vkey.name, submitter.vkey.key_id] = submitter
    return found


def _submitter(words: list[str]) -> KnownSubmitter:
    vkey = VerifierKey.parse(words[0])
    roles = [word for word in words[1:] if "=" not in word]
    if vkey.kind != ED25519 and (vkey.kind, roles) != (COSIGNATURE, [READER]):
        raise MalformedError("a submitter's key is Ed25519, a reader's may be a cosigner's")
    options = dict(word.split("=", 1) for word in words[1:] if "=" in word)
    submitter = KnownSubmitter(
        vkey,
        roles[0] if roles else "",
        min(int(options.pop("note-bytes", NOTE_BYTES_AT_MOST)), NOTE_BYTES_AT_MOST),
        int(options.pop("notes-per-hour")) if "notes-per-hour" in options else None,
        {"yes": True, "no": False}[options.pop("attachments", "yes")],
        int(options.pop("attach-mib-per-day", 4096)) * _MIB,
    )
    if options or len(roles) > 1:
        raise MalformedError(f"unknown {' '.join([*options, *roles[1:]])[:60]!r}")
    return submitter


def parse_quorum(text: str) -> TlogPolicy:
    """Read a ``policy`` file.

    Raises:
        MalformedError: see ``parse_policy``; or it asks for no quorum.
    """
    policy = parse_policy(text)
    if policy.quorum == NO_QUORUM:
        raise MalformedError("'quorum none' is refused; a receipt must be witnessed")
    return policy


class Watched(Generic[T]):
    """A file that is read again when it changes; a broken new text leaves the old one in force.

    Looks at the file's times at most every 50 ms; a new submitter waits that long.
    """

    def __init__(self, path: Path, parse: Callable[[str], T], log: Callable[[str], None]) -> None:
        """Read the file for the first time.

        Raises:
            MisconfiguredError: missing, or it cannot be parsed.
        """
        self._path, self._parse, self._log = path, parse, log
        self._seen = self._look()
        self._looked = time.monotonic()
        try:
            self._value = parse(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, BreakglassError) as error:
            raise MisconfiguredError(
                f"{str(path)!r} cannot be used: {error}; not started"
            ) from error

    def __call__(self) -> T:
        """Return what the file says now."""
        now = time.monotonic()
        if now - self._looked < 0.05:
            return self._value
        self._looked = now
        look = self._look()
        if look != self._seen:
            self._seen = look
            try:
                self._value = self._parse(self._path.read_text("utf-8"))
            except (OSError, UnicodeDecodeError, BreakglassError) as error:
                self._log(f"{str(self._path)!r} is broken, the old one stays in force: {error}")
        return self._value

    def _look(self) -> tuple[int, int, int]:
        try:
            stat = self._path.stat()
        except OSError:
            return (0, 0, 0)
        return (stat.st_mtime_ns, stat.st_size, stat.st_ino)
