"""The archiver's doors: add-segment; for whoever watches, the last head and the doctor's word."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from pathlib import Path

from breakglass.archiver.archive import Archive
from breakglass.archiver.cosigning import ArchiveCosigning
from breakglass.archiver.doctor import examine
from breakglass.archiver.doctor_schedule import DoctorSchedule
from breakglass.archiver.final_checkpoint import FinalCheckpoint
from breakglass.archiver.object_store import ObjectStore, PosixObjectStore
from breakglass.archiver.s3_store import S3ObjectStore
from breakglass.archiver.settings import ArchiverSettings
from breakglass.archiver.tamper_evidence import EvidenceFile
from breakglass.clock import Clock
from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, RefusedError
from breakglass.http.client import Peer
from breakglass.http.edge import application
from breakglass.http.request_signer import RequestSigner
from breakglass.http.routes import (
    Nobody,
    Request,
    Response,
    StatusError,
    get,
    nobody,
    post,
    text_response,
)
from breakglass.process.folder import make_folder
from breakglass.process.key_store import read_signers
from breakglass.process.served_logs import read_logs
from breakglass.process.serving import Service
from breakglass.process.settings import read_settings
from breakglass.submit.record_header import NOTE_BYTES_AT_MOST, NOTES_AT_MOST
from breakglass.tlog.note import COSIGNATURE

_BODY_BYTES = NOTES_AT_MOST * (NOTE_BYTES_AT_MOST + 2) + 256 * 1024


@dataclass(frozen=True)
class Health:
    """How many logs are served, and how often a stored object was found changed."""

    archiver: str
    logs: int
    tampering: int


def build(folder: Path, clock: Clock) -> Service:
    """Make an archiver from its folder: ``settings.toml``, ``key``, ``logs``; ``data/`` is ours.

    Raises:
        MisconfiguredError: with what is wrong.
    """
    settings = read_settings(folder, ArchiverSettings)
    signers = read_signers(folder)
    signer = signers[0]
    if signer.kind != COSIGNATURE:
        raise MisconfiguredError(f"key of {signer.name!r} is not for cosignatures; not started")
    logs = read_logs(folder / "logs")
    make_folder(folder / "data")
    evidence = EvidenceFile(folder / "data" / "evidence.jsonl", clock)
    store: ObjectStore
    if settings.s3 is not None:
        store = S3ObjectStore(settings.s3, clock, evidence)
    else:
        files = store = PosixObjectStore(settings.store or folder / "data" / "store")
        files.sweep()
    where = settings.ledger
    address = where if where.startswith(("http://", "https://")) else folder / where

    def open_archive(origin: str) -> Archive:
        keys = "".join(f"log {key}\n" for key in logs[origin])
        genesis = f"breakglass.dev/archive/v1\n{keys}archiver {signer.verifier}\n"
        return Archive(store, origin, genesis.encode(), folder / "data")

    known = frozenset(itertools.chain.from_iterable(logs.values()))
    signing = RequestSigner("", signer, known.__contains__, clock)
    ledger = Peer(address, name="ledger", signer=signing)
    cosigning = ArchiveCosigning(signers, open_archive, logs, ledger, clock)
    # With a connection of its own: a slow checkpoint must not stand before an attachment.
    finishing = FinalCheckpoint(cosigning, Peer(address, name="ledger"))
    cosigning.stored = finishing.stored
    looking = DoctorSchedule(
        lambda: examine(folder, clock),
        folder / "data" / "doctor.json",
        settings.archive(folder),
        clock,
        settings.doctor_every,
    )
    origins = {hashlib.sha256(origin.encode()).hexdigest(): origin for origin in logs}

    def add_segment(who: Nobody, asked: Request[bytes]) -> Response:
        return cosigning.add_segment(asked.body)

    def checkpoint(who: Nobody, asked: Request[None]) -> Response:
        origin = origins.get(asked.path["origin_hash"])
        note = cosigning.checkpoint(origin) if origin else b""
        if not note:
            raise StatusError(RefusedError("nothing is archived", name=ErrorName.NOT_FOUND), 404)
        return text_response(note.decode())

    def healthz(who: Nobody, asked: Request[None]) -> Health:
        return Health(signer.name, len(logs), evidence.count)

    def start() -> None:
        finishing.start()
        looking.start()

    def closing() -> None:
        looking.close()
        finishing.close()

    app = application(
        [
            post("/add-segment", nobody, bytes, add_segment, Response, _BODY_BYTES),
            get("/{origin_hash}/checkpoint", nobody, checkpoint, Response),
            get("/doctor", nobody, lambda who, asked: looking.told(), dict),
            get("/healthz", nobody, healthz, Health),
        ]
    )
    return Service(app, settings.serving, start, closing)
