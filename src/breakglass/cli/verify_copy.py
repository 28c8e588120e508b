"""Check a copy of the ledger with nothing but a trust file: every hash, head, signature and rule.

The ledger's own verifier knows entries as bytes; here each is read as a record, and folded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, UnprovenError
from breakglass.ledger.verifier import entries, verify_attachments, verify_heads, verify_tree
from breakglass.node.first_trust import first_trust, later_trusts
from breakglass.records.fold.context import Entry
from breakglass.records.fold.fold import Judged, apply, attachments_read
from breakglass.records.fold.state import State
from breakglass.records.record import Attachment, Outer, parse_outer
from breakglass.records.trust import Trust, accept_trust
from breakglass.tlog.note import Note
from breakglass.tlog.tiles import TILE_WIDTH, decode_bundle, entries_path

Progress = Callable[[str, int, int], None]
Watch = Callable[[State, Judged], None]


@dataclass
class Audited:
    """A copy that holds. ``forbidden`` are records that the rules reject: each rang an alarm."""

    state: State
    heads: int = 0
    attachments: int = 0
    races: int = 0
    forbidden: list[Judged] = field(default_factory=list)


def audit(folder: Path, trust: bytes, progress: Progress, watch: Watch | None = None) -> Audited:
    """Check a whole copy.

    Args:
        folder: as ``breakglass ledger export`` wrote it.
        trust: a trust file that came to us on another way than the copy.
        progress: told a step, how much of it is done, and how much there is.
        watch: shown the state behind each record, with what was made of the record.

    Raises:
        UnprovenError: what does not fit, with the record that it stands in.
        MalformedError: a part is not in its form.
        UnknownKindsError: a trust file of the copy puts kinds in force that we do not know.
    """
    believed = accept_trust(Note.parse(trust), None)
    # (0) Whose cosignatures prove what: the chain of trust files, each signed by the maintainers of
    #     the one before, from the genesis that ours pins to the version that the copy ends with.
    chain = _chain(folder, believed)
    try:
        # (1) Every entry has the hash that stands in the tiles; the tiles lead to the head.
        newest = verify_tree(folder, chain[-1].tlog, lambda done, of: progress("entries", done, of))
    except UnprovenError as error:
        raise _named(folder, error) from error
    size = newest.checkpoint.size
    audited = Audited(State(believed.genesis))
    # (2) Attachments are what the records name.
    audited.attachments = verify_attachments(folder, size)
    # (3) Each commit's own head, under the trust file of its time; and each record, judged.
    state, head = audited.state, b""
    for each in verify_heads(
        folder, lambda: (state.governance.trust or chain[0]).tlog, newest.checkpoint
    ):
        outer = _outer(each.note)
        attached = _attached(folder, attachments_read(state, outer)) if outer else {}
        judged = apply(state, Entry(each.index, each.note, each.cosigned, attached), outer)
        if watch is not None:
            watch(state, judged)
        audited.heads += each.head != head
        head = each.head
        if judged.void and judged.quiet:
            audited.races += 1
        elif judged.void:
            audited.forbidden.append(judged)
        if state.size % 100 == 0 or state.size == size:
            progress("records", state.size, size)
    return audited


def _chain(folder: Path, believed: Trust) -> list[Trust]:
    """Return the trust files of the copy in order.

    Where the copy is so altered that they cannot be read, ours alone: what is wrong is then found
    and named by the checks that follow.

    Raises:
        UnprovenError: ``trust_order``: the copy goes another way than the file that we believe.
    """

    def attached(digest: str) -> bytes:
        return (folder / "attachment" / digest).read_bytes()

    try:
        notes = list(entries(folder))
        first = first_trust(believed.genesis, notes[:2], attached)
        chain = [first, *later_trusts(first, iter(notes[2:]), attached)]
    except (BreakglassError, OSError):
        return [believed]
    if believed.version <= chain[-1].version and believed.text not in {each.text for each in chain}:
        raise UnprovenError(
            f"trust file {believed.version} of this copy is another one than yours",
            name=ErrorName.TRUST_ORDER,
            hint="one of the two was never in force; find out which before you trust either",
        )
    return chain


def _outer(note: bytes) -> Outer | None:
    try:
        return parse_outer(note)
    except BreakglassError:
        return None  # the fold says what is wrong with it


def _attached(folder: Path, named: Sequence[Attachment]) -> dict[str, bytes]:
    return {each.digest: (folder / "attachment" / each.digest).read_bytes() for each in named}


def _named(folder: Path, error: UnprovenError) -> UnprovenError:
    """Say which record it is, where that can still be read from the altered bytes."""
    found = re.match(r"entry ([0-9]+) ", error.message)
    if error.name != ErrorName.ALTERED_ENTRY or found is None:
        return error
    index = int(found[1])
    return UnprovenError(
        f"record {index}{_id(folder, index)} is not the one that was logged",
        name=error.name,
        hint="this copy was changed after it was made; compare it with another one",
    )


def _id(folder: Path, index: int) -> str:
    n, place = divmod(index, TILE_WIDTH)
    whole = folder / entries_path(n)
    parts = sorted((folder / f"{entries_path(n)}.p").glob("*"))
    try:
        data = (whole if whole.is_file() else parts[-1]).read_bytes()
        # Read leniently: the bytes are known to be altered, and this is only to name them.
        known = re.search(rb'"id":"([A-Za-z0-9._:/-]{1,200})"', decode_bundle(data)[place])
    except (OSError, IndexError, BreakglassError):
        return ""
    return f" ('{known[1].decode()}')" if known else ""
