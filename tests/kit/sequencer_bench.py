"""A sequencer in this process: a real SQLite journal, real witnesses, no socket and no program.

The witnesses are the witness room's own ``Cosigning``; only the way to them is short. The journal
has switches for what a disk does: refuse, or write and not say so.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from breakglass.clock import SystemClock
from breakglass.errors import BreakglassError, UnavailableError
from breakglass.http.client import Reply
from breakglass.http.routes import Response, text_response
from breakglass.ledger.admission import Admitted, Run
from breakglass.ledger.cosigner import Cosigner, CosignTarget
from breakglass.ledger.feed import Feed, Published
from breakglass.ledger.journal import Commit, Entry, JournalError
from breakglass.ledger.sequence_check import Accepted
from breakglass.ledger.sequencing import Sequencer
from breakglass.ledger.sqlite_journal import SqliteJournal
from breakglass.ledger.witness_pool import WitnessPool
from breakglass.submit.record_header import NO_PREV, read_numbering, text_digest
from breakglass.tlog.note import COSIGNATURE, Note, SignerKey
from breakglass.tlog.policy import TlogPolicy, parse_policy
from breakglass.tlog.proof import TlogProof, verify_proof
from breakglass.witness.cosigning import Cosigning
from breakglass.witness.heads import Heads, origin_hash
from tests.kit.processes import draft, signed

ORIGIN = "ledger.example/sequenced"
SOON_S = 10  # what a test waits at most for what must come


class SwitchedJournal(SqliteJournal):
    """Refuses commits, or keeps them and says that it failed, as often as it is told to."""

    refuses = 0
    keeps_and_fails = 0
    breaks = 0

    def commit(self, commit: Commit) -> None:
        if self.refuses:
            self.refuses -= 1
            raise JournalError("journal could not be written: no space left")
        if self.breaks:
            self.breaks -= 1
            raise ZeroDivisionError
        super().commit(commit)
        if self.keeps_and_fails:
            self.keeps_and_fails -= 1
            raise JournalError("journal could not be written: the answer was lost")


class LocalWitness:
    """A witness at the other end of a call; ``away``: no answer, ``mute``: shows, cosigns not."""

    def __init__(self, folder: Path, name: str, log: SignerKey) -> None:
        self.key = SignerKey.generate(name, COSIGNATURE)
        keys = {log.name: [log.verifier]}
        self._cosigning = Cosigning([self.key], Heads(folder), keys, SystemClock())
        self.away = self.mute = False
        self.asked = 0  # for cosignatures

    def send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        content_type: str = "",
        *,
        within: timedelta | None = None,
    ) -> Reply:
        """Answer as the witness's two doors do."""
        self.asked += method == "POST"
        if self.away or (self.mute and method == "POST"):
            raise UnavailableError(f"{self.key.name!r} is away", name="unreachable")
        if method == "POST":
            answer = self._cosigning.add_checkpoint(body)
        else:
            assert path == f"/{origin_hash(ORIGIN)}/checkpoint"
            note = self._cosigning.checkpoint(ORIGIN)
            answer = text_response(note.decode()) if note else Response(b"", 404)
        return Reply(answer.status, answer.body, answer.content_type, self.key.name)


class HeardPool(WitnessPool):
    """Keeps what it was asked to have cosigned."""

    targets: list[CosignTarget]

    def gather(self, target: CosignTarget, within: timedelta) -> bytes | None:
        self.targets.append(target)
        return super().gather(target, within)


class Bench:
    """A journal with two of three witnesses to a quorum, and as many sequencers as one wants."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = SignerKey.generate(ORIGIN)
        self.witnesses = [
            LocalWitness(folder / f"w{at}", f"w{at}.example", self.log) for at in range(3)
        ]
        self.policy = self._policy()
        self.path = folder / "journal.sqlite"
        self.journal = SwitchedJournal(self.path)
        self.feed = Feed(self.journal)
        self.suspected = 0
        self.targets: list[CosignTarget] = []  # of the newest sequencer
        self.reached: list[int] = []
        self.at_step: dict[int, Callable[[], object]] = {}  # done once, when the step is reached
        self.made: list[Sequencer] = []

    def sequencer(
        self,
        *,
        retry_at_most: float = 0.05,
        pool_notes: int = 10_000,
        hold: float = 0.5,
        held_at_most: int = 16,
    ) -> Sequencer:
        """Make a sequencer over the journal as it is; not started."""
        self.feed = Feed(self.journal)
        panel = HeardPool(
            lambda: self.policy, self._cosigners, SystemClock(), timedelta(seconds=120)
        )
        panel.targets = self.targets = []
        made = Sequencer(
            self.journal,
            [self.log],
            panel,
            self.feed,
            ask_within=timedelta(seconds=SOON_S),
            retry_at_most=timedelta(seconds=retry_at_most),
            pool_notes=pool_notes,
            hold=timedelta(seconds=hold),
            held_at_most=held_at_most,
            reached=self._reached,
        )
        made.suspect = self._suspect
        self.made.append(made)
        return made

    def started(self, **how: float) -> Sequencer:
        """Make a sequencer and start it."""
        made = self.sequencer(**how)  # type: ignore[arg-type]
        made.start()
        return made

    @contextmanager
    def no_quorum(self) -> Iterator[None]:
        """Leave one of three witnesses within reach."""
        self.switch(away=True)
        yield
        self.switch(away=False)

    def switch(self, *, away: bool = False, mute: bool = False) -> None:
        """Set two of the three witnesses."""
        for witness in self.witnesses[:2]:
            witness.away, witness.mute = away, mute

    def shown(self, start: int = 0) -> list[Published]:
        """Return what followers see from ``start`` on; waits for the first of it."""
        return self.feed.after(start, timedelta(seconds=SOON_S))

    def entries(self) -> list[bytes]:
        """Return all entries that followers see."""
        return [note for each in self.shown() for note in each.notes]

    def check(self, notes: Sequence[bytes], accepted: Accepted) -> None:
        """Check that each note's receipt proves that very note under the policy."""
        assert len(notes) == len(accepted.indices) == len(accepted.proofs)
        for note, index, proof in zip(notes, accepted.indices, accepted.proofs, strict=True):
            parsed = TlogProof.parse(proof)
            assert parsed.index == index
            verify_proof(note, parsed, self.policy)

    def copy_of_the_journal(self) -> SwitchedJournal:
        """Return a journal with the same content, as a backup would be."""
        path = self.folder / "copy.sqlite"
        with sqlite3.connect(self.path) as file:
            file.execute("pragma wal_checkpoint(truncate)")
        shutil.copyfile(self.path, path)
        return SwitchedJournal(path)

    def close(self) -> None:
        """End what was started."""
        for each in self.made:
            each.close()
        self.journal.close()

    def _reached(self, step: int) -> None:
        self.reached.append(step)
        self.at_step.pop(step, lambda: None)()

    def _suspect(self) -> None:
        self.suspected += 1

    def _cosigners(self, policy: TlogPolicy) -> dict[str, Cosigner]:
        own = [self.log.verifier]
        return {
            each.name: Cosigner({each.name: each.vkey}, self._at(each.name), own, self.journal)  # type: ignore[arg-type]
            for each in policy.witnesses
        }

    def _at(self, name: str) -> LocalWitness:
        return next(each for each in self.witnesses if each.key.name == f"{name}.example")

    def _policy(self) -> TlogPolicy:
        lines = [f"log {self.log.verifier}"]
        lines += [f"witness w{at} {each.key.verifier}" for at, each in enumerate(self.witnesses)]
        return parse_policy("\n".join([*lines, "group q 2 w0 w1 w2", "quorum q", ""]))


class Clerk:
    """One submitter, numbered and signed as an outbox does."""

    def __init__(self, name: str = "broker.example") -> None:
        self.key = SignerKey.generate(name)
        self.seq, self.prev = 0, NO_PREV

    def notes(self, count: int, *, size: int = 0) -> list[bytes]:
        """Sign the next notes, ``size`` bytes of content each."""
        made = []
        for _ in range(count):
            made.append(signed(draft(f"n-{self.seq}", size=size), self.key, self.seq, self.prev))
            self.seq, self.prev = self.seq + 1, text_digest(Note.parse(made[-1]).text)
        return made

    def changed(self, note: bytes) -> bytes:
        """Sign another text under the id and number that a note of ours has."""
        numbering = read_numbering(Note.parse(note).text)
        return signed(draft(numbering.id, size=1), self.key, numbering.seq, numbering.prev)

    def run(self, notes: Sequence[bytes], refusal: BreakglassError | None = None) -> Run:
        """Return notes as admission hands them on."""
        key = self.key.verifier.label
        admitted = []
        for note in notes:
            text = Note.parse(note).text
            numbering = read_numbering(text)
            entry = Entry(note, key, numbering.id, numbering.seq, text_digest(text))
            admitted.append(Admitted(entry, numbering.prev))
        return Run(key, tuple(admitted), refusal)


def told(done: Future[Accepted]) -> BreakglassError:
    """Return the error that a sender gets."""
    error = done.exception(SOON_S)
    assert isinstance(error, BreakglassError), error
    return error
