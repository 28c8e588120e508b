"""A snapshot: the whole state of a view at one place of the log, from which a start goes on.

Beside the follower's cache, which it never outlives: what is forgotten in the state is read again
from there, and the whole log is folded from there once a day. Anything that is off throws it away,
and the log is folded from its first entry. The lines of the file: what it is of, the state, the
projections by name.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from breakglass.canonical import Json, canonical, parse_canonical
from breakglass.errors import MalformedError
from breakglass.node.kept_lines import KeptLines
from breakglass.records import kind_sets
from breakglass.records.encoding.text_types import Base64, Digest, ExactBase64
from breakglass.records.encoding.whole_form import form_bytes, parse_form
from breakglass.records.fold.state import FOLD_VERSION, State
from breakglass.records.fold.state_form import STATE
from breakglass.replica.place import Place
from breakglass.strict_json import Count, read, write
from breakglass.tlog.checkpoint import parse_checkpoint
from breakglass.tlog.edge import TreeEdge
from breakglass.tlog.signer import SignerKey

HEADER = "breakglass.dev/snapshot/v1"


@dataclass(frozen=True)
class Still:
    """A view that stands still: nothing in it changes any more."""

    place: Place
    state: State
    projections: Mapping[str, Json]


@dataclass(frozen=True)
class Noted:
    """What a state was at a size: for whoever folds the same log from its first entry."""

    size: int
    root: str
    digest: str


@dataclass(frozen=True)
class _Of:
    """The first line: what the snapshot is of. Whatever differs here throws it away."""

    fold: Count
    schema: Digest
    genesis: Digest
    log: str
    process: str
    kinds: Count
    size: Count
    root: Digest
    edge: Base64
    head: Annotated[str, ExactBase64(65_536)]


class SnapshotForm:
    """Writes and reads the snapshots of one process and log.

    Args:
        key: the process's own.
        genesis: of the log.
        projections: the names of what the process keeps beside the fold.
    """

    def __init__(self, key: SignerKey, genesis: str, projections: Sequence[str]) -> None:
        self._lines = KeptLines(HEADER, key)
        self._process = key.verifier.label
        self._genesis = genesis
        self._projections = sorted(projections)

    def encoded(self, still: Still) -> tuple[bytes, Noted]:
        """Return the file, and what its state is."""
        state, place = still.state, still.place
        whole = form_bytes(STATE.of(state))
        root = place.edge.root().hex()
        of = _Of(
            FOLD_VERSION,
            STATE.schema,
            state.genesis,
            state.log,
            self._process,
            state.governance.trust.kinds if state.governance.trust else 0,
            place.size,
            root,
            _base64(place.edge.encoded()),
            _base64(place.head),
        )
        lines = [canonical(write(of)).encode(), whole, form_bytes(dict(still.projections))]
        return self._lines.encoded(lines), Noted(place.size, root, digest(whole))

    def parse(self, data: bytes) -> tuple[Still, Noted]:
        """Read a file.

        Raises:
            MalformedError: torn, of another form, fold version, log, process, or newer kinds.
            UnprovenError: altered, or of another key.
        """
        lines = self._lines.parse(data)
        if len(lines) != 3:
            raise MalformedError("it is torn")
        first, whole, kept = lines
        of = read(_Of, parse_canonical(first.decode(), "snapshot"), "snapshot")
        self._check(of)
        place = Place(TreeEdge.parse(base64.b64decode(of.edge)), base64.b64decode(of.head))
        state: State = STATE.read(parse_form(whole))
        head = parse_checkpoint(place.head)[0]
        said = {(of.size, of.root), (head.size, head.root.hex())}
        if said != {(state.size, place.edge.root().hex())} or state.genesis != of.genesis:
            raise MalformedError("it says two things of its place or log")
        projections = parse_form(kept)
        if not isinstance(projections, dict) or sorted(projections) != self._projections:
            raise MalformedError("it is of other projections than this process has")
        return Still(place, state, projections), Noted(of.size, of.root, digest(whole))

    def _check(self, of: _Of) -> None:
        if (of.fold, of.schema) != (FOLD_VERSION, STATE.schema):
            raise MalformedError("it is of another version of the fold")
        if of.genesis != self._genesis:
            raise MalformedError("it is of another log")
        if of.process != self._process:
            raise MalformedError(f"it is of process {of.process!r}")
        if of.kinds > kind_sets.NEWEST:
            raise MalformedError(f"it is of kinds {of.kinds}, which this software does not know")


def digest(whole: bytes) -> str:
    """Return the digest of a whole state by its form's bytes."""
    return hashlib.sha256(whole).hexdigest()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
