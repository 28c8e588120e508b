"""The archiver's doors: add-segment, and the last archived head for whoever watches."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from starlette.applications import Starlette

from breakglass.archiver.archive import Archive
from breakglass.archiver.cosigning import ArchiveCosigning
from breakglass.archiver.object_store import ObjectStore, PosixObjectStore
from breakglass.archiver.s3_settings import S3Settings
from breakglass.archiver.s3_store import S3ObjectStore
from breakglass.archiver.tampering import EvidenceFile
from breakglass.clock import Clock
from breakglass.errors import MisconfiguredError, RefusedError
from breakglass.tlog.note import COSIGNATURE
from breakglass.wire.answering import Answer, Asked, StatusError, json_answer, route, text_answer
from breakglass.wire.calling import Neighbour
from breakglass.wire.folder import make_folder
from breakglass.wire.keeping import read_key
from breakglass.wire.logs import read_logs
from breakglass.wire.numbering import NOTE_BYTES_AT_MOST, NOTES_AT_MOST
from breakglass.wire.serving import Room, Serving
from breakglass.wire.settings import read_settings

_BODY_BYTES = NOTES_AT_MOST * (NOTE_BYTES_AT_MOST + 2) + 256 * 1024


@dataclass(frozen=True)
class ArchiverSettings:
    """``settings.toml`` of an archiver; the file ``logs`` beside it holds one log key a line."""

    ledger: str  # the address, or the folder, from which attachments are fetched
    store: Path | None = None  # where objects go; ``data/store`` if not given
    s3: S3Settings | None = None  # a bucket with object lock, instead of ``store``
    serving: Serving = field(default_factory=Serving)

    def __post_init__(self) -> None:
        if self.store is not None and self.s3 is not None:
            raise ValueError("'store' and 's3' are two places; name one")


def build(folder: Path, clock: Clock) -> Room:
    """Make an archiver from its folder: ``settings.toml``, ``key``, ``logs``; ``data/`` is ours.

    Raises:
        MisconfiguredError: with what is wrong.
    """
    settings = read_settings(folder, ArchiverSettings)
    signer = read_key(folder)
    if signer.kind != COSIGNATURE:
        raise MisconfiguredError(f"key of {signer.name!r} is not for cosignatures; not started")
    logs = read_logs(folder / "logs")
    make_folder(folder / "data")
    evidence = EvidenceFile(folder / "data" / "evidence.jsonl", clock)
    store: ObjectStore
    if settings.s3 is not None:
        store = S3ObjectStore(settings.s3, clock, evidence)
    else:
        store = PosixObjectStore(settings.store or folder / "data" / "store")
    where = settings.ledger
    address = where if where.startswith(("http://", "https://")) else folder / where

    def open_archive(origin: str) -> Archive:
        keys = "".join(f"log {key}\n" for key in logs[origin])
        genesis = f"breakglass.dev/archive/v1\n{keys}archiver {signer.verifier}\n"
        return Archive(store, origin, genesis.encode())

    cosigning = ArchiveCosigning(
        signer, open_archive, logs, Neighbour(address, name="ledger"), clock
    )
    origins = {hashlib.sha256(origin.encode()).hexdigest(): origin for origin in logs}

    def add_segment(asked: Asked) -> Answer:
        return cosigning.add_segment(asked.body)

    def checkpoint(asked: Asked) -> Answer:
        origin = origins.get(asked.path["origin_hash"])
        note = cosigning.checkpoint(origin) if origin else b""
        if not note:
            raise StatusError(RefusedError("nothing is archived", name="not_found"), 404)
        return text_answer(note.decode())

    def healthz(asked: Asked) -> Answer:
        told = {"archiver": signer.name, "logs": len(logs), "tampering": evidence.count}
        return json_answer(told)

    app = Starlette(
        routes=[
            route("POST", "/add-segment", add_segment, body_at_most=_BODY_BYTES),
            route("GET", "/{origin_hash}/checkpoint", checkpoint),
            route("GET", "/healthz", healthz),
        ]
    )
    return Room(app, settings.serving)
