"""Compares a ledger's attachments with what its entries name, and sweeps what broke off.

An attachment is no part of the log's history, and follows from nothing either: one that is gone is
told, never made up. What a crash leaves is explained.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from breakglass.errors import BreakglassError, RefusedError, reason
from breakglass.ledger.attachments import Attachments
from breakglass.ledger.journal_check import Examined


def examine_attachments(folder: Path, store: Attachments, found: Examined) -> list[Path]:
    """Read every attachment that an entry names; returns uploads under way or broken off.

    Args:
        folder: ``data/attachments`` of the ledger.
        store: its attachments.
        found: of a journal whose history is whole; takes the findings.

    Raises:
        UnavailableError: the store could not be read at all.
    """
    kept = set(store.named())
    for digest, (size, at) in sorted(found.named.items()):
        what = f"attachment {digest}, which entry {at} names,"
        if (why := _wrong(store, digest, size)) is not None:
            found.add("attachment_lost", f"{what} {why}", history=False, label="lost")
        elif digest not in kept:
            found.derived.waiting.append(digest)
            found.add("attachment_waiting", f"{what} is kept for a day only", history=False)
    for digest in sorted(kept - set(found.named)):
        # Named by a note that was admitted and never committed: its sender may yet repeat it.
        what = f"attachment {digest} is named by no entry yet; a crash or a refused note left it"
        found.add("attachment_unnamed", what, history=False, label="left")
    unfinished = sorted(path for path in folder.rglob(".*") if path.is_file())
    for path in unfinished:
        what = f"{str(path.relative_to(folder))!r} is an upload, under way or broken off"
        found.add("attachment_unfinished", what, history=False, label="left")
    return unfinished


def mend_attachments(store: Attachments, found: Examined, unfinished: Sequence[Path]) -> None:
    """Keep for good what entries name, and remove what broke off; again is harmless.

    The ledger is stopped: nothing is under way.
    """
    store.keep(found.derived.waiting)
    for path in unfinished:
        path.unlink(missing_ok=True)


def _wrong(store: Attachments, digest: str, size: int) -> str | None:
    try:
        stored = store.read(digest)
    except RefusedError:
        return "is not here"
    except BreakglassError as error:
        return f"cannot be read: {reason(error)}"
    return None if stored.size == size else f"has {stored.size} bytes, and not {size}"
