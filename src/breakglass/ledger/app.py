"""The ledger's doors: append, follow, prove, and the C2SP tlog-tiles layout for everybody."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

from breakglass.clock import Clock
from breakglass.error_names import ErrorName
from breakglass.errors import (
    MalformedError,
    MisconfiguredError,
    RefusedError,
    UnavailableError,
)
from breakglass.http.client import Peer
from breakglass.http.edge import application
from breakglass.http.request_check import RequestCheck
from breakglass.http.routes import (
    Crowd,
    Nobody,
    Request,
    Response,
    StatusError,
    Streamed,
    error_json,
    get,
    nobody,
    post,
)
from breakglass.http.streaming import upload_route
from breakglass.ledger.admission import Admission
from breakglass.ledger.attachments import Attachments
from breakglass.ledger.cosigner import ArchivingCosigner, Cosigner
from breakglass.ledger.failover import Failover
from breakglass.ledger.feed import Feed, Published
from breakglass.ledger.journal import Journal
from breakglass.ledger.journal_tiles import JournalTiles
from breakglass.ledger.readers import LedgerReader, Readers
from breakglass.ledger.sequence_check import Accepted
from breakglass.ledger.sequencing import Sequencer, proof_of
from breakglass.ledger.settings import LedgerSettings, Watched, parse_quorum, parse_submitters
from breakglass.ledger.stores import open_stores
from breakglass.ledger.uploads import Upload, Uploads
from breakglass.ledger.witness_pool import WitnessPool
from breakglass.process.folder import make_folder
from breakglass.process.key_store import read_signers
from breakglass.process.serving import Service
from breakglass.process.settings import read_settings
from breakglass.submit.blob_upload import transfer_within
from breakglass.submit.record_header import COMMIT, NOTE_BYTES_AT_MOST, NOTES_AT_MOST, POSTED
from breakglass.tlog.note import Signer, VerifierKey
from breakglass.tlog.policy import NEXT, TlogPolicy, Witness
from breakglass.tlog.tiles import TILE_WIDTH, TileName, encode_bundle, parse_tile_path

log = logging.getLogger("breakglass.ledger")
_APPEND_BYTES = NOTES_AT_MOST * (NOTE_BYTES_AT_MOST + 2)
_ANSWER_WITHIN = timedelta(seconds=5)  # above a commit's own bounds; then the sender repeats
_COMMIT_BYTES = 64 * 1024  # notes of a commit that an answer to an append takes along, at most
_LABEL = re.compile(r"[^\s+]{1,200}\+[0-9a-f]{8}")
_IMMUTABLE = {"cache-control": "public, max-age=31536000, immutable"}


def build(
    folder: Path, clock: Clock, reached: Callable[[int], None] = lambda step: None
) -> Service:
    """Make a ledger from its folder.

    Args:
        folder: holds ``settings.toml``, ``key``, ``policy`` and ``submitters``; ``data/`` is ours.
        clock: only tells which cosignatures are of another time.
        reached: told each numbered step of a commit; tests crash there.

    Raises:
        MisconfiguredError: with what is wrong.
    """
    settings = read_settings(folder, LedgerSettings)
    signers = read_signers(folder)
    signer = signers[0]
    make_folder(folder / "data")
    policy = Watched(folder / "policy", parse_quorum, log.warning)
    submitters = Watched(folder / "submitters", parse_submitters, log.warning)
    cosigners = _Cosigners(folder, settings, signers)
    cosigners.check(policy())
    opened = open_stores(folder, settings)
    journal, attachments = opened.journal, opened.attachments
    feed = Feed(journal)
    panel = WitnessPool(policy, lambda each: cosigners.made(each, journal), clock, settings.skew)
    sequencer = Sequencer(
        journal,
        signers,
        panel,
        feed,
        ask_within=settings.ask_within,
        retry_at_most=settings.retry_at_most,
        pool_notes=settings.pool_notes,
        # A run that is held holds a thread: a quarter of the appends' share, none of a small one.
        held_at_most=_appends(settings) // 4,
        reached=reached,
    )
    standing = opened.stand_by(feed, sequencer.start) if opened.stand_by else None
    if standing is not None:
        sequencer.suspect = standing.check
    admission = Admission(signer.name, submitters, attachments)
    uploads = Uploads(
        folder / "data" / "attachments" / ".unfinished",
        attachments,
        submitters,
        unnamed_for=settings.unnamed_for,
    )
    check = RequestCheck(
        signer.name, [str(each.verifier) for each in signers], clock, lambda: settings.skew
    )
    readers = Readers(check, submitters, policy, settings.archives)
    doors = _Doors(
        check,
        readers,
        settings,
        signer,
        journal,
        attachments,
        uploads,
        feed,
        sequencer,
        admission,
        panel,
        standing,
    )

    def close() -> None:
        sequencer.close()
        if standing is not None:
            standing.close()
        journal.close()

    return Service(
        doors.app(),
        settings.serving,
        start=standing.start if standing else sequencer.start,
        closing=feed.release,
        close=close,
    )


@dataclass(frozen=True)
class CommitView:
    """The entries of one commit, and the head that a quorum saw behind them."""

    first: int
    head: str
    entries: tuple[str, ...]


@dataclass(frozen=True)
class Appended:
    """Where a run came to stand; ``refused`` is the error of the note that ended it, and where.

    ``commit`` is that of the run's last note, if it was asked for, is among the newest and short.
    """

    first: int
    count: int
    proofs: tuple[str, ...]
    refused: Mapping[str, Any] | None
    commit: CommitView | None


@dataclass(frozen=True)
class Entries:
    """The commits after a size."""

    commits: tuple[CommitView, ...]


@dataclass(frozen=True)
class GenesisView:
    """Entries 0 and 1 as they were signed: the genesis, and the record of the first trust file."""

    entries: tuple[str, ...]


@dataclass(frozen=True)
class ChainView:
    """Where a submitter's chain stands; ``seq`` is ``None`` before its first record."""

    seq: int | None
    prev: str
    next: int


class _Cosigners:
    """Finds where the policy's witnesses are."""

    def __init__(self, folder: Path, settings: LedgerSettings, signers: Sequence[Signer]) -> None:
        self._folder = folder
        self._settings = settings
        self._own = tuple(signer.verifier for signer in signers)

    def check(self, policy: TlogPolicy) -> None:
        names = {witness.name for witness in policy.witnesses}
        lost = {each.name for each in policy.witnesses if not self._where(each)}
        if lost:
            raise MisconfiguredError(f"witness {min(lost)!r} has no address; not started")
        if self._settings.archiver and self._settings.archiver not in names:
            raise MisconfiguredError(
                f"archiver {self._settings.archiver!r} is no witness of the policy; not started"
            )

    def made(self, policy: TlogPolicy, journal: Journal) -> Mapping[str, Cosigner]:
        # Two names at one address are the two keys of a witness that changes its key: asked once,
        # it answers with both lines.
        at: dict[str, dict[str, VerifierKey]] = {}
        for witness in policy.witnesses:
            given = self._where(witness)
            if not given:
                log.warning("witness %r has no address and is not asked", witness.name)
                continue
            at.setdefault(given, {})[witness.name] = witness.vkey
        found: dict[str, Cosigner] = {}
        for given, vkeys in at.items():
            name = next(iter(vkeys))
            where = given if given.startswith(("http://", "https://")) else self._folder / given
            neighbour = Peer(where, name=name, within=self._settings.ask_within)
            kind = ArchivingCosigner if any(map(self._settings.archives, vkeys)) else Cosigner
            found[name] = kind(vkeys, neighbour, self._own, journal)
        return found

    def _where(self, witness: Witness) -> str:
        """Return where a witness is; a next key is where the key is that it follows."""
        given = self._settings.neighbours
        before = witness.name.removesuffix(NEXT)
        # The policy's own address first: it can change while we run, the settings cannot.
        return witness.url or given.get(witness.name) or given.get(before) or ""


@dataclass(frozen=True)
class _Doors:
    """The handlers; each is one request."""

    check: RequestCheck
    readers: Readers
    settings: LedgerSettings
    signer: Signer
    journal: Journal
    attachments: Attachments
    uploads: Uploads
    feed: Feed
    sequencer: Sequencer
    admission: Admission
    panel: WitnessPool
    standing: Failover | None

    def app(self) -> Starlette:
        most = self.settings.attachment_bytes
        threads = self.settings.serving.threads
        # What may wait for a disk or for a commit never takes all threads: proofs, tiles, the
        # head and our own health are answered meanwhile.
        appends = _crowd(_appends(self.settings), "appends", ErrorName.POOL_FULL, "recorded")
        polls = _crowd(threads * 3 // 8, "polls for entries", ErrorName.BUSY, "done")
        puts = _crowd(threads // 16, "attachments", ErrorName.BUSY, "stored")
        known = self.readers.known
        return application(
            [
                post("/append", nobody, bytes, self.append, Appended, _APPEND_BYTES, appends),
                get("/entries", known, self.entries, Entries, polls),
                get("/genesis", nobody, self.genesis, GenesisView),
                get("/submitter/{key:path}", nobody, self.submitter, ChainView),
                get("/proof/{index}", nobody, self.proof, Response),
                upload_route(
                    "/attachment/{digest}",
                    self.put_attachment,
                    body_at_most=most,
                    within=transfer_within,
                    crowd=puts,
                ),
                get("/attachment/{digest}", known, self.get_attachment, Streamed),
                get("/checkpoint", nobody, self.checkpoint, Response),
                get("/tile/entries/{rest:path}", known, self.entry_tile, Response),
                get("/tile/{rest:path}", nobody, self.tile, Response),
                get("/healthz", nobody, self.healthz, dict),
            ]
        )

    def append(self, who: Nobody, asked: Request[bytes]) -> Appended:
        if self.standing is not None:
            self.standing.refuse_unless_active()
        run = self.admission.admit(asked.body)
        waiting = self.sequencer.submit(run, posted=POSTED in asked.headers)
        try:
            accepted = waiting.done.result(_ANSWER_WITHIN.total_seconds())
        except FutureTimeoutError as error:
            raise UnavailableError(
                "no commit in time; the notes may yet be recorded",
                name=ErrorName.UNANSWERED,
                hint="repeat the same bytes",
            ) from error
        commit = self.feed.holding(accepted.indices[-1]) if COMMIT in asked.headers else None
        return _appended(accepted, commit)

    def entries(self, who: LedgerReader, asked: Request[None]) -> Entries:
        most = self.settings.poll_at_most
        wait = min(timedelta(seconds=min(asked.number("wait", 0), 3600)), most)
        commits = self.feed.after(asked.number("from"), wait)
        return Entries(tuple(map(_shown, commits)))

    def genesis(self, who: Nobody, asked: Request[None]) -> GenesisView:
        # How a log began names keys and no person's doing: whoever has its fingerprint may see it.
        notes = self.journal.notes(0, min(2, self.feed.size))
        return GenesisView(tuple(note.decode() for note in notes))

    def submitter(self, who: Nobody, asked: Request[None]) -> ChainView:
        label = asked.path["key"]
        if not _LABEL.fullmatch(label):
            raise MalformedError(f"{label[:80]!r} is no name and key id: NAME+8 hex digits")
        place = self.journal.place(label)
        return ChainView(place.next - 1 if place.next else None, place.prev, place.next)

    def proof(self, who: Nobody, asked: Request[None]) -> Response:
        index = asked.number("index")
        if index >= self.feed.size:
            raise _not_found(f"entry {index}")
        tiles = JournalTiles(self.journal)
        return Response(proof_of(self.journal, tiles, index), content_type=_TEXT)

    def put_attachment(self, asked: Request[None], size: int) -> Upload | Response:
        if self.standing is not None:
            self.standing.refuse_unless_active()
        return self.uploads.begin(asked, size)

    def get_attachment(self, who: LedgerReader, asked: Request[None]) -> Streamed:
        try:
            stored = self.attachments.read(asked.path["digest"])
        except RefusedError as error:
            raise StatusError(error, 404) from error
        return Streamed(stored.size, stored.parts, _BYTES, _IMMUTABLE)

    def checkpoint(self, who: Nobody, asked: Request[None]) -> Response:
        newest = self.feed.newest
        if newest is None or newest.cosigned is None:
            raise _not_found("a checkpoint")
        return Response(newest.cosigned, content_type=_TEXT, headers={"cache-control": "no-store"})

    def entry_tile(self, who: LedgerReader, asked: Request[None]) -> Response:
        name = self._within_head(f"tile/entries/{asked.path['rest']}")
        start = name.n * TILE_WIDTH
        data = encode_bundle(self.journal.notes(start, start + name.width))
        return Response(data, content_type=_BYTES, headers=_IMMUTABLE)

    def tile(self, who: Nobody, asked: Request[None]) -> Response:
        name = self._within_head(f"tile/{asked.path['rest']}")
        if name.level is None:  # spelled so that it came by this route: "/tile//entries/…"
            raise _not_found(name.path)
        start = name.n * TILE_WIDTH
        hashes = JournalTiles(self.journal).hashes(name.level, start, start + name.width)
        return Response(b"".join(hashes), content_type=_BYTES, headers=_IMMUTABLE)

    def _within_head(self, path: str) -> TileName:
        """Read a tile's path; nothing beyond the newest head that a quorum has seen is there."""
        name = parse_tile_path(path)
        if name.n * TILE_WIDTH + name.width > self.feed.size >> (8 * (name.level or 0)):
            raise _not_found(name.path)
        return name

    def healthz(self, who: Nobody, asked: Request[None]) -> dict[str, Any]:
        stopped = self.sequencer.stopped
        if stopped is not None:
            raise stopped
        role = self.standing.said() if self.standing is not None else {}
        told = {
            "origin": self.signer.name,
            "keys": list(self.check.keys),
            "size": self.feed.size,
            "away": self.panel.away(),
            "waits_for": self.panel.lacking(),
        }
        return {**told, "journal": self.sequencer.trouble, **role}


_TEXT = "text/plain; charset=utf-8"
_BYTES = "application/octet-stream"


def _shown(commit: Published) -> CommitView:
    return CommitView(
        commit.first,
        (commit.head.cosigned or b"").decode(),
        tuple(note.decode() for note in commit.notes),
    )


def _appended(accepted: Accepted, commit: Published | None) -> Appended:
    count, refusal = len(accepted.indices), accepted.refusal
    short = commit is not None and sum(map(len, commit.notes)) <= _COMMIT_BYTES
    return Appended(
        first=accepted.indices[0],
        count=count,
        proofs=tuple(proof.decode() for proof in accepted.proofs),
        refused=None if refusal is None else {"at": count, **error_json(refusal)},
        commit=_shown(commit) if commit is not None and short else None,
    )


def _appends(settings: LedgerSettings) -> int:
    return settings.serving.threads * 7 // 16


def _crowd(share: int, what: str, name: ErrorName, done: str) -> Crowd:
    at_most = max(share, 1)  # with few threads a share may round to nothing
    error = UnavailableError(
        f"{at_most} {what} are at work already; nothing of this was {done}",
        name=name,
        hint="send it again in a moment",
    )
    return Crowd(at_most, StatusError(error, 429))


def _not_found(what: str) -> StatusError:
    return StatusError(RefusedError(f"there is no {what} here", name=ErrorName.NOT_FOUND), 404)
