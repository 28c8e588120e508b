"""Clients that append all the time, and a book of what each of them was told.

Two kinds: one that speaks HTTP and keeps every answer to the letter, and the outbox that all our
processes use. Each is asked to rest before a look at everything; then nothing of theirs is open.
"""

from __future__ import annotations

import hashlib
import random
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path

from breakglass.clock import SystemClock
from breakglass.errors import BreakglassError, UnavailableError
from breakglass.http.client import Peer
from breakglass.submit.outbox import Outbox, Receipt
from breakglass.submit.record_header import NO_PREV, numbered, text_digest
from breakglass.tlog.note import SignerKey
from breakglass.tlog.tiles import encode_bundle
from tests.kit.processes import draft, permit, signed

_CALL = timedelta(seconds=3)
Id = tuple[str, str]
"""A submitter's key name and one of its ids."""


@dataclass
class Book:
    """What clients were told; safe under threads, as each line is one write of a dict or set."""

    acknowledged: dict[Id, Receipt] = field(default_factory=dict)
    posted: set[Id] = field(default_factory=set)  # kept by an outbox, to be sent some time
    refused: set[bytes] = field(default_factory=set)  # these very bytes: they are not recorded
    never: set[Id] = field(default_factory=set)  # told that nothing of this will be recorded
    unanswered: set[Id] = field(default_factory=set)  # told that nobody knows
    counted: Counter[str] = field(default_factory=Counter)


class Client(ABC):
    """One submitter on a thread of its own; ``rest`` and ``go on`` from the thread that made it."""

    def __init__(self, signer: SignerKey, book: Book, seed: str) -> None:
        self.signer = signer
        self.book = book
        self.dice = random.Random(seed)
        self.failure: Exception | None = None
        self.count = 0
        self._may_work = threading.Event()
        self._resting = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        """Begin, resting."""
        self._thread.start()

    def go_on(self) -> None:
        """Append from now on."""
        self._resting.clear()
        self._may_work.set()

    def rest(self, within_s: float) -> None:
        """Settle what is open, then stop appending; fails if that takes longer."""
        self._may_work.clear()
        settled = self._resting.wait(within_s)
        if self.failure is not None:
            raise self.failure
        assert settled, f"{self.signer.name} got no answer for {within_s} s"

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        self._may_work.set()
        self._thread.join(10)

    @abstractmethod
    def append_once(self) -> None:
        """Append something, and note what was told."""

    @abstractmethod
    def settle(self) -> None:
        """Get an answer to what is still open."""

    def named(self) -> str:
        self.count += 1
        return f"{self.signer.name.split('.')[0]}-{self.count}"

    def attachments(self) -> tuple[bytes, ...]:
        if self.dice.random() > 0.08:
            return ()
        self.book.counted["attachments"] += 1
        return (self.dice.randbytes(self.dice.choice([1, 100, 70_000])),)

    def _work(self) -> None:
        try:
            while not self._closed:
                if not self._may_work.is_set():
                    self.settle()
                    self._resting.set()
                    self._may_work.wait()
                    continue
                self.append_once()
        except Exception as error:  # noqa: BLE001  told by whoever asks it to rest
            self.failure = error
            self._resting.set()


class PlainClient(Client):
    """Speaks HTTP itself: signs, sends, repeats the same bytes, and sometimes gives up or errs."""

    def __init__(self, ledger: Peer, signer: SignerKey, book: Book, seed: str) -> None:
        super().__init__(signer, book, seed)
        self._ledger = ledger
        self._next, self._prev = 0, NO_PREV

    def append_once(self) -> None:
        """Sign 1 to 40 notes and send them until that is settled."""
        size = self.dice.choice([1, 1, 1, 2, 5, 40])
        notes: list[tuple[str, bytes]] = []
        seq, prev = self._next, self._prev
        wrong = self.dice.random() < 0.05
        for _ in range(size):
            made = draft(self.named(), attachments=self.attachments())
            if not self._put(made.attachments):
                return
            note = signed(made, self.signer, seq + wrong, prev)
            notes.append((made.id, note))
            seq, prev = seq + 1, text_digest(numbered(made.text, seq, prev))
        self.book.counted["batches"] += size > 1
        self._send(notes, prev)

    def _put(self, attachments: tuple[bytes, ...]) -> bool:
        return all(self._until(partial(self._is_put, data)) for data in attachments)

    def _is_put(self, data: bytes) -> bool:
        path = f"/attachment/{hashlib.sha256(data).hexdigest()}"
        headers = permit(data, self.signer)
        return self._ledger.send("PUT", path, data, headers=headers).status == 200

    def _send(self, notes: list[tuple[str, bytes]], prev: str) -> None:
        body = encode_bundle([note for _, note in notes])
        left = False  # whether any of it ever left us
        while True:
            try:
                reply = self._ledger.send("POST", "/append", body, within=_CALL)
            except UnavailableError as error:
                left = left or error.name != "unreachable"
                reply = None
            if reply is not None and reply.status == 200:
                self._accepted(notes, prev, reply.json())
                return
            if reply is not None and 400 <= reply.status < 500 and reply.status != 429:
                self._refused(notes, left, reply.json())
                return
            # 503: nobody knows. 429 says that nothing was taken, of this sending of it.
            left = left or (reply is not None and reply.status != 429)
            if self.dice.random() < 0.15:
                self._given_up(notes, left)
                return
            time.sleep(0.02)

    def _accepted(self, notes: list[tuple[str, bytes]], prev: str, told: dict[str, object]) -> None:
        proofs = told["proofs"]
        assert isinstance(proofs, list)
        for place, proof in enumerate(proofs):
            ident, note = notes[place]
            receipt = Receipt(int(str(told["first"])) + place, note, proof.encode())
            self.book.acknowledged[self.signer.name, ident] = receipt
        assert len(proofs) == len(notes), "nothing of a good run is refused"
        self._next, self._prev = self._next + len(notes), prev

    def _refused(self, notes: list[tuple[str, bytes]], left: bool, told: dict[str, object]) -> None:
        assert told["error"] in ("bad_seq", "bad_prev"), told
        for ident, note in notes:
            if left:
                # An earlier sending of the same bytes may have been taken before it.
                self.book.unanswered.add((self.signer.name, ident))
            else:
                self.book.refused.add(note)
                self.book.counted["refused"] += 1
        self._next, self._prev = int(str(told["next"])), str(told["prev"])

    def _given_up(self, notes: list[tuple[str, bytes]], left: bool) -> None:
        for ident, note in notes:
            if left:
                self.book.unanswered.add((self.signer.name, ident))
                self.book.counted["unanswered"] += 1
            else:
                self.book.refused.add(note)
                self.book.counted["not_sent"] += 1
        # Half of the time go on as if nothing of it had been recorded: another note of that seq.
        if not left or self.dice.random() < 0.5:
            self._learn()

    def _learn(self) -> None:
        path = f"/submitter/{self.signer.verifier.label}"

        def learnt() -> bool:
            told = self._ledger.get(path).json()
            self._next, self._prev = told["next"], told["prev"]
            return True

        while not self._until(learnt):
            pass

    def _until(self, done: Callable[[], bool]) -> bool:
        """Try until it works; false: gave up, which happens."""
        while True:
            try:
                if done():
                    return True
            except BreakglassError:
                pass
            if self.dice.random() < 0.02:
                return False
            time.sleep(0.02)

    def settle(self) -> None:
        """Do nothing: each append has had its answer, or was given up."""


class OutboxClient(Client):
    """Uses the outbox as our processes do: waits for receipts, or posts and goes on."""

    def __init__(
        self, ledger: Peer, signer: SignerKey, folder: Path, book: Book, seed: str
    ) -> None:
        super().__init__(signer, book, seed)
        folder.mkdir()
        self._outbox = Outbox(ledger, signer, folder, SystemClock())

    def append_once(self) -> None:
        """Append 1 to 8 notes, or post one."""
        if self.dice.random() < 0.2:
            made = draft(self.named(), attachments=self.attachments())
            self._outbox.post(made)
            self.book.posted.add((self.signer.name, made.id))
            time.sleep(0.002)
            return
        drafts = [
            draft(self.named(), attachments=self.attachments())
            for _ in range(self.dice.choice([1, 1, 1, 8]))
        ]
        try:
            receipts = self._outbox.append(
                drafts, timedelta(seconds=self.dice.choice([0.05, 0.1, 3]))
            )
        except UnavailableError as error:
            told = self.book.never if error.name == "not_sent" else self.book.unanswered
            told.update((self.signer.name, made.id) for made in drafts)
            self.book.counted[error.name] += len(drafts)
            return
        for made, receipt in zip(drafts, receipts, strict=True):
            self.book.acknowledged[self.signer.name, made.id] = receipt

    def settle(self) -> None:
        """Send what waits."""
        assert self._outbox.flush(timedelta(seconds=20)), "the outbox does not get rid of its notes"

    def close(self) -> None:
        """End the thread, and the outbox."""
        super().close()
        self._outbox.close()
