"""The witness's two doors: add-checkpoint, and the last head for whoever watches."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from breakglass.clock import Clock
from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, RefusedError
from breakglass.http.edge import application
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
from breakglass.process.serving import Service, Serving
from breakglass.process.settings import read_settings
from breakglass.tlog.note import COSIGNATURE
from breakglass.witness.cosigning import Cosigning
from breakglass.witness.heads import Heads, origin_hash

_BODY_BYTES = 128 * 1024


@dataclass(frozen=True)
class WitnessSettings:
    """``settings.toml`` of a witness; the file ``logs`` beside it holds one log key a line."""

    serving: Serving = field(default_factory=Serving)


@dataclass(frozen=True)
class Health:
    """How many logs are served."""

    witness: str
    logs: int


def build(folder: Path, clock: Clock) -> Service:
    """Make a witness from its folder: ``settings.toml``, ``key``, ``logs``; ``data/`` is ours.

    Raises:
        MisconfiguredError: with what is wrong.
    """
    settings = read_settings(folder, WitnessSettings)
    signers = read_signers(folder)
    signer = signers[0]
    if signer.kind != COSIGNATURE:
        raise MisconfiguredError(f"key of {signer.name!r} is not for cosignatures; not started")
    logs = read_logs(folder / "logs")
    make_folder(folder / "data")
    heads = Heads(folder / "data" / "heads")
    for origin in logs:
        heads.renew(origin)  # a damaged head stops us here, not at the first request
    cosigning = Cosigning(signers, heads, logs, clock)
    origins = {origin_hash(origin): origin for origin in logs}

    def add_checkpoint(who: Nobody, asked: Request[bytes]) -> Response:
        return cosigning.add_checkpoint(asked.body)

    def checkpoint(who: Nobody, asked: Request[None]) -> Response:
        origin = origins.get(asked.path["origin_hash"])
        note = cosigning.checkpoint(origin) if origin else b""
        if not note:
            raise StatusError(RefusedError("never cosigned", name=ErrorName.NOT_FOUND), 404)
        return text_response(note.decode())

    def healthz(who: Nobody, asked: Request[None]) -> Health:
        return Health(signer.name, len(logs))

    app = application(
        [
            post("/add-checkpoint", nobody, bytes, add_checkpoint, Response, _BODY_BYTES),
            get("/{origin_hash}/checkpoint", nobody, checkpoint, Response),
            get("/healthz", nobody, healthz, Health),
        ]
    )
    return Service(app, settings.serving)
