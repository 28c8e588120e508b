"""The beginning of a log: the prepared genesis and the first trust file are appended once.

``bootstrap/genesis`` holds the signed note of entry 0, whose digest the trust file pins, and
``bootstrap/trust`` the signed trust file. What the genesis of a log that follows another one names
lies beside it, under its SHA-256. A broker without that folder waits for another's.
"""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from pathlib import Path

from breakglass.broker.governance.activation import trust_fact
from breakglass.error_names import ErrorName
from breakglass.errors import (
    BreakglassError,
    MalformedError,
    MisconfiguredError,
    RefusedError,
)
from breakglass.node.replica import Replica
from breakglass.node.submitter import Submitter
from breakglass.records.encoding.text_types import ZERO_DIGEST
from breakglass.records.record import Attachment, Envelope, record_text
from breakglass.records.record_reader import parse_record
from breakglass.records.trust import Trust, accept_trust
from breakglass.submit.outbox import Draft, Outbox
from breakglass.tlog.note import Note

log = logging.getLogger("breakglass.broker")
_WITHIN = timedelta(seconds=5)
_LOOK_EVERY_S = 0.2


class Beginning:
    """Brings an empty log to its first trust file, however often it is interrupted.

    Args:
        folder: ``bootstrap`` of the broker's folder.
        view: ours.
        outbox: ours; the genesis is appended as the very text that was prepared.
        stating: ours.

    Raises:
        MisconfiguredError: the folder is there and does not hold what it should.
    """

    def __init__(self, folder: Path, view: Replica, outbox: Outbox, stating: Submitter) -> None:
        self._view = view
        self._outbox = outbox
        self._stating = stating
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        if folder.is_dir():
            self._genesis, self._attached, self._trust_note = _read(folder)
            self._trust: Trust = accept_trust(self._trust_note, None)
            self._thread = threading.Thread(target=self._begin, name="beginning", daemon=True)

    def start(self) -> None:
        """Begin, on a thread of its own: the ledger may come up later than we do."""
        if self._thread is not None:
            self._thread.start()

    def close(self) -> None:
        """Stop trying."""
        self._closed.set()

    def _begin(self) -> None:
        self._view.wait_current(timedelta(seconds=60))
        while not self._closed.is_set():
            with self._view.reading() as state:
                size, trusted = state.size, state.governance.trust is not None
            if trusted:
                return
            if size > 1:
                log.error("entry 1 of this log put no trust file in force; it can never begin")
                return
            try:
                self._take_one_step(size)
            except RefusedError as error:
                if error.name != ErrorName.ID_TAKEN:  # an earlier start got this far
                    log.error("the log cannot begin: %s", error)
            except BreakglassError as error:
                log.info("the log has not begun yet: %s", error)
            self._closed.wait(_LOOK_EVERY_S)

    def _take_one_step(self, size: int) -> None:
        # One append: the first trust file must be entry 1, or this log never begins. A crash
        # behind it finds both; a ledger that took the genesis alone gets the trust file next.
        drafts = [self._first_trust()]
        if size == 0:
            ident = parse_record(self._genesis.encoded()).envelope.id
            drafts.insert(0, Draft(ident, self._genesis.text, self._attached))
        receipt = self._outbox.append(drafts, _WITHIN)[-1]
        judged = self._view.wait_for(receipt.index, _WITHIN)
        if judged.void:
            log.error("the first trust file does not hold: %s", judged.why or judged.void)

    def _first_trust(self) -> Draft:
        fact = trust_fact(self._trust, self._trust_note)
        begun = parse_record(self._genesis.encoded()).envelope
        at = max(self._stating.now(), begun.at)
        envelope = Envelope(begun.log, fact.id, at, 0, ZERO_DIGEST)
        named = tuple(map(Attachment.of, fact.attachments))
        return Draft(fact.id, record_text(envelope, fact.body, named), fact.attachments)


def _read(folder: Path) -> tuple[Note, tuple[bytes, ...], Note]:
    try:
        genesis = Note.parse((folder / "genesis").read_bytes())
        named = parse_record(genesis.encoded()).attachments
        attached = tuple((folder / each.digest).read_bytes() for each in named)
        if tuple(map(Attachment.of, attached)) != named:
            raise MalformedError("an attachment of the genesis has other bytes")
        return genesis, attached, Note.parse((folder / "trust").read_bytes())
    except (OSError, BreakglassError) as error:
        raise MisconfiguredError(f"{str(folder)!r} cannot be used: {error}; not started") from error
