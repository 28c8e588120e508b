"""Bring a new witness or archiver to the log's present head, before anything depends on it.

Done from outside by the ledger's public doors, as the ledger itself would: a long past reaches the
new archive while everybody still works with the old one, and what comes back proves that the key in
the line is the one that cosigns there.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, UnavailableError, UnprovenError
from breakglass.http.client import Peer, Reply
from breakglass.tlog.checkpoint import Checkpoint, check_log_signature, parse_checkpoint
from breakglass.tlog.cosignature import verify_cosignature
from breakglass.tlog.hashing import HASH_BYTES
from breakglass.tlog.note import Note, VerifierKey, parse_signature_lines
from breakglass.tlog.policy import Witness
from breakglass.tlog.spelling import print_base64
from breakglass.tlog.tiles import TILE_WIDTH, consistency_from_tiles, tile_path

Progress = Callable[[int, int], None]
_WITHIN = timedelta(seconds=20)
_TRIES = 10
_REST_S = 0.1


@dataclass(frozen=True)
class Newcomer:
    """Who is brought up: the line of a trust file, and whether it archives."""

    line: Witness
    archives: bool


def bring_up(
    newcomer: Newcomer, ledger: Peer, keys: Sequence[VerifierKey], progress: Progress
) -> int:
    """Bring it to the head that the ledger shows now; returns that head's size.

    Doing so twice is harmless. A crash in between leaves it further than it was.

    Args:
        newcomer: who.
        ledger: where the log is.
        keys: the log's.
        progress: told entries brought so far, and how many there are.

    Raises:
        UnavailableError: it does not answer, or does not cosign.
        UnprovenError: it cosigns with another key than the line's, or knows another history.
    """
    line = newcomer.line
    if line.url is None:
        raise UnavailableError(
            f"the line of {line.name!r} gives no address", name=ErrorName.NO_ADDRESS
        )
    with Peer(line.url, name=line.name, within=_WITHIN) as there:
        for left in reversed(range(_TRIES)):
            answer = ledger.send("GET", "/checkpoint")
            if answer.status == 404:
                return 0  # a log that has not begun
            head = _Head.read(answer.checked().body, keys)
            size = head.checkpoint.size
            known = _known(there, head.checkpoint.origin, keys)
            # Where the ledger asks it already (an activation that was cut off), it may run ahead
            # of what we have just read: look again.
            if known > size and left:
                time.sleep(_REST_S)
                continue
            if newcomer.archives:
                cosigned = _archived(there, ledger, keys, known, head, progress)
            else:
                cosigned = _witnessed(there, ledger, known, head)
            if cosigned.status in (400, 409) and left:
                continue
            _check(cosigned, line, head)
            progress(size, size)
            return size
    raise AssertionError("unreachable")


def _known(there: Peer, origin: str, keys: Sequence[VerifierKey]) -> int:
    """Return the size that it cosigned last."""
    path = f"/{hashlib.sha256(origin.encode()).hexdigest()}/checkpoint"
    reply = there.send("GET", path)
    return 0 if reply.status == 404 else _Head.read(reply.checked().body, keys).checkpoint.size


@dataclass(frozen=True)
class _Head:
    """A head, with its note as the log alone signed it."""

    checkpoint: Checkpoint
    signed: bytes
    note: bytes

    @classmethod
    def read(cls, data: bytes, keys: Sequence[VerifierKey]) -> _Head:
        checkpoint, note = parse_checkpoint(data)
        check_log_signature(checkpoint, note, keys)
        own = {(key.name, key.key_id) for key in keys}
        lines = tuple(line for line in note.lines if (line.name, line.key_id) in own)
        return cls(checkpoint, Note(note.text, lines).encoded(), data)


def _witnessed(there: Peer, ledger: Peer, known: int, head: _Head) -> Reply:
    size = head.checkpoint.size
    proof = consistency_from_tiles(_Tiles(ledger, size), known, size) if known < size else []
    lines = "".join(f"{print_base64(each)}\n" for each in proof)
    body = f"old {known}\n{lines}\n".encode() + head.signed
    return there.send("POST", "/add-checkpoint", body, "text/plain")


def _archived(
    there: Peer,
    ledger: Peer,
    keys: Sequence[VerifierKey],
    known: int,
    head: _Head,
    progress: Progress,
) -> Reply:
    size, last = known, b""
    for first, note, entries in _commits(ledger, max(0, known - 1), head.checkpoint.size):
        commit = _Head.read(note, keys)
        if commit.checkpoint.size > size:
            if first != size:
                raise UnavailableError(
                    f"the archive ends at {size}, within a commit; the ledger will bring it on",
                    name=ErrorName.WITHIN_A_COMMIT,
                )
            reply = _push(there, size, commit.signed, last, entries)
            if reply.status != 200:
                return reply
            size = commit.checkpoint.size
            progress(size, head.checkpoint.size)
        last = note
    return _push(there, size, head.signed, b"", ())


def _push(there: Peer, old: int, head: bytes, last: bytes, entries: Sequence[bytes]) -> Reply:
    sizes = f"old {old}\nhead {len(head)}\nlast {len(last)}\n\n".encode()
    framed = b"".join(len(each).to_bytes(2, "big") + each for each in entries)
    return there.send("POST", "/add-segment", sizes + head + last + framed)


def _commits(ledger: Peer, start: int, stop: int) -> Iterator[tuple[int, bytes, Sequence[bytes]]]:
    while start < stop:
        for each in _some_commits(ledger, start):
            entries = [note.encode() for note in each["entries"]]
            yield int(each["first"]), each["head"].encode(), entries
            start = int(each["first"]) + len(entries)
            if start >= stop:
                return


def _some_commits(ledger: Peer, start: int) -> list[dict[str, Any]]:
    found = ledger.read(f"/entries?from={start}&wait=0", within=_WITHIN).json()["commits"]
    if not found:
        raise UnavailableError(f"the ledger shows no entry {start}", name=ErrorName.NONSENSE)
    return list(found)


def _check(reply: Reply, line: Witness, head: _Head) -> None:
    if reply.status != 200:
        said = reply.body[:200].decode("utf-8", "replace").strip()
        kind = UnprovenError if reply.status == 422 else UnavailableError
        raise kind(
            f"{line.name!r} at {line.url} does not cosign: it answered {reply.status}: {said};"
            " nothing was changed",
            name=ErrorName.NOT_COSIGNED,
            hint="does its file 'logs' name this log, and is it of the room that the line is for",
        )
    try:
        for each in parse_signature_lines(reply.body.decode()):
            if (each.name, each.key_id) == (line.vkey.name, line.vkey.key_id):
                verify_cosignature(head.checkpoint.text, each, line.vkey)
                return
    except (UnicodeDecodeError, BreakglassError) as error:
        raise UnprovenError(f"{line.name!r} gave no cosignature that holds: {error}") from error
    raise UnprovenError(
        f"{line.name!r} at {line.url} cosigns with another key than its line says; nothing was"
        " changed",
        name=ErrorName.OTHER_KEY,
        hint="take the line again that 'breakglass join' prints there",
    )


class _Tiles:
    """The ledger's hashes over HTTP (``HashReader``)."""

    def __init__(self, ledger: Peer, size: int) -> None:
        self._ledger = ledger
        self._size = size

    def hashes(self, level: int, start: int, stop: int) -> Sequence[bytes]:
        n = start // TILE_WIDTH
        width = min(TILE_WIDTH, (self._size >> (8 * level)) - n * TILE_WIDTH)
        data = self._ledger.get(f"/{tile_path(level, n, width)}").body
        row = [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]
        return row[start - n * TILE_WIDTH : stop - n * TILE_WIDTH]
