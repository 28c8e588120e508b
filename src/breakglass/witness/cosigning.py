"""add-checkpoint: the whole of a witness's work.

Source: C2SP tlog-witness v1.0.0; LEDGER.md section 1.8, the order of checks and their statuses.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from breakglass.clock import Clock
from breakglass.errors import MalformedError, UnprovenError
from breakglass.http.routes import Response, text_response
from breakglass.tlog.checkpoint import Checkpoint, check_log_signature, parse_checkpoint
from breakglass.tlog.cosignature import cosign
from breakglass.tlog.merkle import verify_growth
from breakglass.tlog.note import Note, SignatureLine, Signer, VerifierKey
from breakglass.tlog.spelling import exact_base64, exact_decimal
from breakglass.witness.heads import Heads, LastHead

_PROOF_LINES_AT_MOST = 63
Logs = Mapping[str, Sequence[VerifierKey]]
"""Keys of the logs that a witness serves, by origin; two while a log changes its key."""


@dataclass(frozen=True)
class Request:
    """The body of add-checkpoint."""

    old: int
    proof: tuple[bytes, ...]
    checkpoint: Checkpoint
    note: Note


def parse_request(body: bytes) -> Request:
    """Read ``old N``, proof lines, an empty line, and a checkpoint.

    Raises:
        MalformedError: any other form, or a head smaller than ``old``.
    """
    head, gap, rest = body.partition(b"\n\n")
    if not gap:
        raise MalformedError("no empty line before the checkpoint")
    try:
        first, *proof = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise MalformedError("proof lines are not ASCII") from error
    if not first.startswith("old ") or len(proof) > _PROOF_LINES_AT_MOST:
        raise MalformedError(f"expected 'old SIZE' and at most {_PROOF_LINES_AT_MOST} hashes")
    old = exact_decimal(first.removeprefix("old "), "old size")
    hashes = tuple(exact_base64(line, "proof line") for line in proof)
    checkpoint, note = parse_checkpoint(rest)
    if old > checkpoint.size:
        raise MalformedError(f"old size {old} is over the checkpoint's {checkpoint.size}")
    return Request(old, hashes, checkpoint, note)


class Cosigning:
    """Checks and cosigns, one request at a time.

    Args:
        signers: our cosigner's key; and the next one while it changes, which signs beside it.
        heads: the last head of each log.
        logs: those that we serve.
        clock: for the time on cosignatures.
    """

    def __init__(self, signers: Sequence[Signer], heads: Heads, logs: Logs, clock: Clock) -> None:
        self._signers = tuple(signers)
        self._heads = heads
        self._logs = logs
        self._clock = clock
        self._lock = threading.Lock()

    def add_checkpoint(self, body: bytes) -> Response:
        """Answer one request with the status and body that the protocol gives."""
        # (1) Form.
        try:
            request = parse_request(body)
        except MalformedError as error:
            return text_response(f"{error}\n", 400)
        # (2) A log that we serve, and its signature.
        origin = request.checkpoint.origin
        if origin not in self._logs:
            return text_response("unknown log\n", 404)
        try:
            check_log_signature(request.checkpoint, request.note, self._logs[origin])
        except UnprovenError:
            return text_response("invalid signature of the log\n", 403)
        # Check and keep are one step: two requests from one old size must not both pass.
        with self._lock:
            return self._grow(request)

    def checkpoint(self, origin: str) -> bytes:
        """Return the last head that we cosigned, with our line; empty if there is none."""
        with self._lock:
            return self._heads.last(origin).note

    def _grow(self, request: Request) -> Response:
        new = request.checkpoint
        last = self._heads.last(new.origin)
        # (3) From where we stand.
        if request.old != last.checkpoint.size:
            return text_response(f"{last.checkpoint.size}\n", 409, "text/x.tlog.size")
        # (4) The new tree begins with the old one.
        try:
            verify_growth(
                last.checkpoint.size, last.checkpoint.root, new.size, new.root, request.proof
            )
        except UnprovenError as error:
            return text_response(f"consistency proof does not hold: {error}\n", 422)
        now = self._clock.now()
        lines = [cosign(request.note.text, signer, now) for signer in self._signers]
        if new.size != last.checkpoint.size or not last.note:
            # (5) Keep. A crash before leaves the old head, and nothing was promised; after it,
            #     the log asks again from the new size and gets its cosignature.
            note = Note(request.note.text, self._log_lines(request)).with_lines(*lines)
            self._heads.keep(LastHead(new, note.encoded()))
        # (6) Answer.
        return text_response("".join(map(str, lines)))

    def _log_lines(self, request: Request) -> tuple[SignatureLine, ...]:
        keys = {(key.name, key.key_id) for key in self._logs[request.checkpoint.origin]}
        return tuple(line for line in request.note.lines if (line.name, line.key_id) in keys)
