"""Kill -9 at random moments under load, each followed by a look at everything.

    python -m tests.faults.crash --rounds 1000                     (make crash N=1000)
    python -m tests.faults.crash --rounds 20 --postgres-every 1    always two ledgers over one
                                                                   PostgreSQL

A round: clients append, one process (or all of them, as when a host loses power) is killed at a
random moment or at a numbered step of a commit, is started again, the clients get their answers,
and then ``audit.py`` compares log, archive, witnesses and followers with what each client was told.
Prints progress to standard error and one JSON object to standard output. Ends with 1 if anything
was lost, doubled or contradicted, or anybody cried wolf; the folder of that round is kept.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from breakglass.http.client import Peer
from breakglass.ledger.journal import Journal
from breakglass.ledger.settings import LedgerSettings
from breakglass.ledger.sqlite_journal import SqliteJournal
from breakglass.ledger.stores import open_stores
from breakglass.process.settings import read_settings
from breakglass.replica.follower import FollowedEntry, Follower
from breakglass.tlog.checkpoint import parse_checkpoint
from tests.faults.acknowledged import Book, Client, OutboxClient, PlainClient
from tests.faults.audit import Auditor, Found
from tests.kit.postgres import Postgres, start_postgres
from tests.kit.processes import Process, make_log_set, until
from tests.kit.standby import Pair, make_pair, role

DOOMED = (sys.executable, str(Path(__file__).with_name("doomed_ledger.py")))
STEPS = range(1, 7)
SETTLED_WITHIN_S = 60  # on a machine that does much else; usually well under 1 s


@dataclass
class Summary:
    """What a run has come to."""

    seed: int
    rounds: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    entries: int = 0
    signatures: int = 0
    seconds: float = 0
    kept: str = ""
    why: list[str] = field(default_factory=list)

    @property
    def bad(self) -> bool:
        """Whether anything was wrong."""
        return bool(self.why)

    def printed(self) -> str:
        """Return it as JSON."""
        return json.dumps(
            {
                "rounds": self.rounds,
                "seed": self.seed,
                "kills": dict(sorted(self.kills.items())),
                "acknowledged": self.told["acknowledged"],
                "posted": self.told["posted"],
                "in_batches": self.told["batches"],
                "attachments": self.told["attachments"],
                "unanswered": self.told["unanswered"],
                "not_sent": self.told["not_sent"],
                "refused": self.told["refused"],
                "lost": self.wrong["lost"],
                "doubled": self.wrong["doubled"],
                "false_alarms": self.wrong["false_alarm"],
                "contradictions": self.wrong["contradiction"],
                "entries": self.entries,
                "signatures_checked": self.signatures,
                "seconds": round(self.seconds, 1),
                "kept": self.kept,
                "why": self.why[:20],
            }
        )


class Town:
    """One log set with its clients and a follower; lives for some rounds.

    Args:
        folder: made here.
        seed: of everything random in it.
        server: with a PostgreSQL, two ledgers share a journal on it.
    """

    def __init__(self, folder: Path, seed: str, server: Postgres | None) -> None:
        self.folder = folder
        self.dice = random.Random(seed)
        self.book = Book()
        self.pair = make_pair(folder, server, submitters=4) if server else None
        self.log_set = (
            self.pair.log_set
            if self.pair
            else make_log_set(folder, submitters=4, ledger_command=DOOMED)
        )
        if self.pair:
            self.log_set.ledger.command = self.pair.second.command = DOOMED
        self.auditor = Auditor(self.log_set, self.journal, self.book)
        self.heads: dict[int, bytes] = {}
        self.stopped: list[Exception] = []
        self.clients: list[Client] = [
            PlainClient(
                self.neighbour(), self.log_set.submitters[place], self.book, f"{seed}p{place}"
            )
            for place in (0, 1)
        ]
        self.clients += [
            OutboxClient(self.neighbour(), self.log_set.submitters[place], folder / f"out-{place}",
                         self.book, f"{seed}o{place}")
            for place in (2, 3)
        ]  # fmt: skip
        self.follower = Follower(
            self.neighbour(),
            lambda: self.log_set.policy,
            folder / "follower",
            self._followed,
            trouble=self.stopped.append,
        )

    def start(self) -> None:
        """Start all."""
        self.pair.start() if self.pair else self.log_set.start()
        self.follower.start()
        for each in self.clients:
            each.start()

    def close(self) -> None:
        """End all."""
        for each in self.clients:
            each.close()
        self.follower.close()
        self.pair.kill() if self.pair else self.log_set.kill()

    def neighbour(self) -> Peer:
        """Speak to the ledger, or to whichever is active."""
        return self.pair.neighbour() if self.pair else self.log_set.ledger.neighbour()

    def journal(self) -> Journal:
        """Open the journal beside the running ledger."""
        folder = self.log_set.ledger.folder
        if self.pair is None:
            return SqliteJournal(folder / "data" / "journal.sqlite")
        return open_stores(folder, read_settings(folder, LedgerSettings)).journal

    def round(self) -> tuple[str, Found]:
        """Load, kill, start again, settle, look; returns who was killed and what is wrong."""
        for each in self.clients:
            each.go_on()
        time.sleep(self.dice.uniform(0.03, 0.25))
        victim = self._killed()
        for each in self.clients:
            each.rest(SETTLED_WITHIN_S)
        found = self.auditor.look()
        self._followers(found)
        return victim, found

    def _killed(self) -> str:
        ledgers = list(self.pair.both) if self.pair else [self.log_set.ledger]
        ledger = self.dice.choice(ledgers)
        others = [*self.log_set.witnesses, self.log_set.archiver]
        what = self.dice.choices(
            ["ledger", "ledger at a step", "archiver", "witness", "all at once"],
            [35, 25, 20, 12, 8],
        )[0]
        if what == "ledger at a step":
            step = self.dice.choice(STEPS)
            what = f"ledger at step {step}" if self._doomed(ledgers, step) else "ledger"
            victims = [each for each in ledgers if each.ended() is not None]
        elif what == "all at once":
            victims = [*others, *ledgers]
        else:
            one = {"ledger": ledger, "archiver": self.log_set.archiver}
            victims = [one.get(what) or self.dice.choice(self.log_set.witnesses)]
        if not victims:  # no commit came to that step
            victims = [ledger]
        for each in victims:
            assert each.popen is not None
            each.popen.send_signal(signal.SIGKILL)
        for each in victims:
            each.kill()
            each.start(wait=False)
        for each in victims:
            each.wait_started()
        if self.pair:
            pair = self.pair
            until(lambda: self._both_serve(pair), SETTLED_WITHIN_S)
        return what

    def _doomed(self, ledgers: list[Process], step: int) -> bool:
        """Have a ledger die at a step; false if no commit came so far in time."""
        for each in ledgers:
            (each.folder / "doom").write_text(str(step))
        end = time.monotonic() + 2
        while all(each.ended() is None for each in ledgers) and time.monotonic() < end:
            time.sleep(0.002)
        for each in ledgers:
            (each.folder / "doom").unlink(missing_ok=True)
        return any(each.ended() is not None for each in ledgers)

    def _both_serve(self, pair: Pair) -> bool:
        for each in pair.both:
            pair.revive(each)
        return {role(each) for each in pair.both} == {"active", "standby"}

    def _followed(self, entry: FollowedEntry) -> None:
        self.heads[entry.index] = entry.head

    def _followers(self, found: Found) -> None:
        """Every head that a follower was ever shown is the final form in the journal."""
        until(lambda: bool(self.stopped) or self.follower.size >= found.entries, SETTLED_WITHIN_S)
        for error in self.stopped:
            found.add("false_alarm", f"the follower stopped: {error}")
        journal = self.journal()
        for note in set(self.heads.values()):
            head = journal.head_at(parse_checkpoint(note)[0].size)
            if head is None or head.cosigned != note:
                found.add("contradiction", "a follower was shown a head that the journal lacks")
        journal.close()


@contextlib.contextmanager
def _postgres(wanted: bool) -> Iterator[Postgres | None]:
    server = start_postgres(durable=True) if wanted else None
    try:
        yield server
    finally:
        if server is not None:
            server.close()


def run(
    folder: Path, rounds: int, seed: int, *, postgres_every: int = 0, rounds_each: int = 20
) -> Summary:
    """Do so many rounds in ``folder``, with a new log every ``rounds_each``.

    Every so many logs (never, if 0) are of two ledgers over one PostgreSQL. Stops after the first
    round with anything wrong; its folder stays and is named.
    """
    summary = Summary(seed)
    began = time.monotonic()
    with _postgres(bool(postgres_every)) as server:
        for number, first in enumerate(range(0, rounds, rounds_each), start=1):
            shared = server if postgres_every and number % postgres_every == 0 else None
            town = Town(folder / f"from-round-{first}", f"{seed}/{first}", shared)
            try:
                town.start()
                for _ in range(min(rounds_each, rounds - first)):
                    _one(town, summary)
                    summary.seconds = time.monotonic() - began
                    if summary.bad:
                        return summary
            finally:
                town.close()
                _count(town, summary)
            shutil.rmtree(town.folder)
    return summary


def _one(town: Town, summary: Summary) -> None:
    try:
        victim, found = town.round()
    except Exception as error:  # noqa: BLE001  a round that cannot be finished is a failed one
        victim, found = "unknown", Found()
        found.add("contradiction", f"{type(error).__name__}: {error}")
    summary.rounds += 1
    summary.kills[victim] += 1
    summary.wrong += found.wrong
    summary.signatures += found.signatures
    if found.told:
        summary.why, summary.kept = found.told, str(town.folder)
    if summary.rounds % 10 == 0 or found.told:
        told = f"round {summary.rounds}: {victim} killed, {found.entries} entries in this log"
        print(f"{told}, {summary.seconds:.0f} s", file=sys.stderr, flush=True)


def _count(town: Town, summary: Summary) -> None:
    book = town.book
    summary.told += book.counted
    summary.told["acknowledged"] += len(book.acknowledged)
    summary.told["posted"] += len(book.posted)
    summary.entries += town.follower.size


def main() -> int:
    """Run, print the summary, and say by the exit code whether all was well."""
    given = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    given.add_argument("--rounds", type=int, default=1000)
    given.add_argument("--seed", type=int, default=int(time.time()))
    given.add_argument(
        "--postgres-every",
        type=int,
        default=5,
        help="of so many logs one has two ledgers over one PostgreSQL; 0: none",
    )
    options = given.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="breakglass-crash-"))
    summary = run(folder, options.rounds, options.seed, postgres_every=options.postgres_every)
    print(summary.printed(), flush=True)
    if not summary.bad:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if summary.bad else 0


if __name__ == "__main__":
    sys.exit(main())
