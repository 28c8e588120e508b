"""Which way a stopped process turns to its next key: by what its folder holds."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from breakglass.clock import SystemClock
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MisconfiguredError, UnprovenError
from breakglass.ledger.settings import LedgerSettings
from breakglass.ledger.stores import open_stores
from breakglass.node.key_rollover import turn_submitter
from breakglass.process.folder import held
from breakglass.process.key_store import keeping_of, read_next_key
from breakglass.process.settings import read_settings
from breakglass.tlog.checkpoint import check_log_signature, parse_checkpoint
from breakglass.tlog.note import VerifierKey

_WITHIN = timedelta(seconds=10)


def turned(folder: Path) -> None:
    """Make the next key of a stopped process its key.

    Raises:
        MisconfiguredError: it runs, or there is no next key.
        UnavailableError: ``not_finished``; see ``turn_submitter``.
        UnprovenError: ``not_both``; a ledger has not signed its newest head with both keys.
    """
    cosigner = (folder / "logs").is_file()
    ledger = (folder / "submitters").is_file()
    if not cosigner and not ledger:
        turn_submitter(folder, SystemClock(), _WITHIN)
        return
    following = read_next_key(folder)
    if following is None:
        raise MisconfiguredError(
            f"{str(folder)!r} holds no next key; nothing was changed", name=ErrorName.NO_NEXT_KEY
        )
    with held(folder):
        if ledger:
            _check_both(folder, following.verifier)
        keeping_of(folder).promote()


def _check_both(folder: Path, following: VerifierKey) -> None:
    """Check the newest head: after the turn our own witnesses' heads are believed by it alone."""
    journal = open_stores(folder, read_settings(folder, LedgerSettings)).journal
    try:
        newest = journal.newest_cosigned()
    finally:
        journal.close()
    if newest is None:
        return
    try:
        checkpoint, note = parse_checkpoint(newest.signed)
        check_log_signature(checkpoint, note, [following])
    except BreakglassError as error:
        raise UnprovenError(
            f"the newest head, of size {newest.size}, is not signed by the next key yet; nothing"
            " was changed",
            name=ErrorName.NOT_BOTH,
            hint="start the ledger, have one record written, and stop it again",
        ) from error
