"""Examines journal and attachments of a ledger's folder, and mends them if told to."""

from __future__ import annotations

import contextlib
from pathlib import Path

from breakglass.ledger.attachment_check import examine_attachments, mend_attachments
from breakglass.ledger.journal_check import Examined, Progress, examine, mend
from breakglass.ledger.settings import LedgerSettings
from breakglass.ledger.stores import open_stores
from breakglass.process.folder import held
from breakglass.process.key_store import KEY, NEXT, keeping_of
from breakglass.process.settings import read_settings


def check_folder(
    folder: Path, *, mending: bool = False, progress: Progress = lambda done, of: None
) -> Examined:
    """Examine the ledger in ``folder``; returns what was found before mending.

    Attachments are looked at once the journal's history is known to be whole.

    Args:
        folder: of a ledger, which may run while it is only examined.
        mending: write derived parts anew; the ledger must be stopped.
        progress: told entries done, and entries in all.

    Raises:
        MisconfiguredError: no ledger's folder; or it runs, and should be mended.
        RefusedError: history is damaged, so nothing was mended.
        JournalError: the journal could not be read, or written.
    """
    settings = read_settings(folder, LedgerSettings)
    keeping = keeping_of(folder)
    own = [keeping.verifier(each) for each in (KEY, NEXT) if keeping.stands(each)]
    own += keeping.past()
    with held(folder) if mending else contextlib.nullcontext():
        opened = open_stores(folder, settings)
        journal = opened.journal
        try:
            found = examine(journal, own, progress)
            if mending:
                mend(journal, found)
            if found.sound:
                below = folder / "data" / "attachments"
                unfinished = examine_attachments(below, opened.attachments, found)
                if mending:
                    mend_attachments(opened.attachments, found, unfinished)
            return found
        finally:
            journal.close()
