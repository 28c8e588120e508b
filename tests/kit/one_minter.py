"""A minter of real parts in the caller's thread, over an organisation in memory.

    minter = OneMinter(folder)
    broken = minter.break_glass()        # recorded and proven in the organisation's log
    row = minter.mint(broken)            # by its token; ``Minting`` as the process runs it
    minter.pass_time(MINUTE)
    minter.reconcile()                   # ``Reconciler``, its workers in this thread

The target is the simulator, the ledger the organisation's own log. Nothing runs by itself: time
passes when it is told to. ``crash_at`` ends the minter at a numbered step, as a power cut would;
its files stay, and ``restart`` begins again from them.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyrage

from breakglass.clock import parse_time
from breakglass.errors import BreakglassError, UnavailableError
from breakglass.http.client import Peer, Reply
from breakglass.minter.door import MinterDoor
from breakglass.minter.early_end import EarlyEnd
from breakglass.minter.early_endings import EarlyEndings
from breakglass.minter.grant_store import GrantStore, Row, Stage
from breakglass.minter.idle_watch import IdleWatch
from breakglass.minter.minting import Minting, Patience
from breakglass.minter.outcome_records import OutcomeRecords
from breakglass.minter.platforms.simulated import LIMITS, Simulated, Trouble
from breakglass.minter.policy_lives import PolicyLives
from breakglass.minter.reconciler import Reconciler, ReconcilerLimits
from breakglass.minter.suspensions import Suspensions
from breakglass.minter.tidying import Tidying
from breakglass.node.catch_up import CatchingUp
from breakglass.node.door_store import DoorStore
from breakglass.node.grant_locks import GrantLocks
from breakglass.node.judged_mark import require_judged_again
from breakglass.node.submitter import Submitter
from breakglass.process.alert_channel import AlertChannel
from breakglass.records import all_kinds as kinds
from breakglass.records.fold.context import Entry
from breakglass.records.fold.fold import Judged, apply
from breakglass.records.fold.state import State
from breakglass.records.kinds.ended import EndedWhy
from breakglass.records.platforms import PlatformLimits
from breakglass.records.signing.signature import Signature
from breakglass.records.statement import Do, Target, digest_of
from breakglass.records.trust import Trust
from breakglass.submit.queue_items import Drafting, made
from breakglass.submit.record_header import numbered
from breakglass.submit.spool import Draft
from breakglass.tlog.note import sign_note

from ..records.folding import ended, pulse
from .organisation import Broken, Organisation, signer
from .processes import until

NAME = "orders-db"
ROLE = f"minter:{NAME}"
GLASS = "orders-repair"
BROKERS = ("broker", "broker-2")
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
RING_AFTER = MINUTE
_ZERO = timedelta(0)
PATIENCE = Patience(timedelta(seconds=0.05), _ZERO, 5 * MINUTE)


class Crash(BaseException):
    """The minter ends here; no handler of the minter's may catch it."""


class TwoBrokers(Organisation):
    """An organisation with a second broker, of a key of its own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.submitters["broker-2"] = signer("broker-2.shop.example")

    def trust_lines(self, **changes: str | None) -> list[str]:
        """Return the trust file's lines; the second broker's role is ``broker`` too."""
        own = "submitter broker-2 "
        return [
            line.replace(own, "submitter broker ", 1) if line.startswith(own) else line
            for line in super().trust_lines(**changes)
        ]


@dataclass
class TrueTime:
    """The one true time, in which everybody's clock is more or less wrong."""

    org: Organisation
    at: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.at = self.org.now

    def now(self) -> datetime:
        """Return it."""
        return self.at


@dataclass
class WrongClock:
    """A clock that is ahead of the true time by ``ahead``."""

    true: TrueTime
    ahead: timedelta = _ZERO

    def now(self) -> datetime:
        """Return what it shows."""
        return self.true.at + self.ahead


class LogInMemory(Peer):
    """The organisation's log as a neighbour: it shows its head, or is away."""

    def __init__(self, org: Organisation, true: TrueTime) -> None:
        super().__init__("http://127.0.0.1:1", name="ledger")
        self._org = org
        self._true = true
        self.gone = False

    def send(self, method: str, path: str, *unused: Any, **how: Any) -> Reply:
        """Answer for the head and for proofs; anything else is nobody's business here."""
        if self.gone:
            raise UnavailableError("'ledger' cannot be reached", name="unreachable")
        if path.startswith("/proof/"):
            proof = self._org.log.proof(int(path.removeprefix("/proof/")), self._true.at)
            return Reply(200, proof, "", "'ledger'")
        assert (method, path) == ("GET", "/checkpoint")
        return Reply(200, self._org.log.head(self._true.at), "", "'ledger'")


class ViewInMemory:
    """What a minter asks of its ``Replica``: a fold of its own over the organisation's log.

    ``cached`` entries are known from an earlier start, also while the ledger is away.
    ``judged_before``: how much an earlier start had judged, which an old cache does not hold.
    ``kept``: how many of the newest judgements are kept for those who wait for them. ``held``:
    nothing more is followed until that is false again.
    """

    def __init__(
        self,
        org: Organisation,
        ledger: LogInMemory,
        judged: Callable[[Judged, Entry, State], None],
        cached: int,
    ) -> None:
        self._org = org
        self._ledger = ledger
        self._on_judged = judged
        self._judged: list[Judged] = []
        self._state = State(org.genesis)
        self.kept = 4096
        self.held = False
        self.judged_before = 0
        self._fold(cached)

    def follow(self) -> None:
        """Fold what the log has more than we."""
        if not self.held and not self._ledger.gone:
            self._fold(self._org.log.size)

    def _fold(self, size: int) -> None:
        for entry in self._org.log.entries(self._state.size)[: size - self._state.size]:
            judged = apply(self._state, entry)
            self._judged.append(judged)
            self._on_judged(judged, entry, self._state)

    @property
    def size(self) -> int:
        """How many entries are folded."""
        return self._state.size

    @property
    def away(self) -> UnavailableError | None:
        """Why the ledger cannot be followed."""
        return UnavailableError("'ledger' cannot be reached") if self._ledger.gone else None

    @contextmanager
    def reading(self) -> Iterator[State]:
        """Hold the state still; here nothing else runs."""
        yield self._state

    def wait_for(self, index: int, within: timedelta) -> Judged:
        """Return what the fold made of an entry; nothing comes by waiting."""
        if index >= self.size:
            raise UnavailableError(f"entry {index} was not seen", name="not_followed")
        if index < self.size - self.kept:
            raise UnavailableError(f"entry {index} was judged too long ago", name="not_followed")
        return self._judged[index]

    def heard(self, size: int) -> None:
        """Take no note of the ledger's size: nobody watches how far this view is."""

    def wait_current(self, within: timedelta) -> bool:
        """Say that the cache is folded: there is none."""
        return True

    def require_newest(self, withheld: str) -> None:
        """Refuse while less is folded than was judged before."""
        require_judged_again(self.judged_before, self.size, withheld)

    def trust(self) -> Trust:
        """Return the trust file in force."""
        assert self._state.governance.trust is not None
        return self._state.governance.trust

    def last_at(self, submitter: str) -> datetime | None:
        """Return the time of a submitter's last record."""
        chain = self._state.submitters.by_key.get(submitter)
        return chain.last_at if chain else None


@dataclass
class OutboxInMemory:
    """A spool that outlives the minter, and the sending of it; the ledger takes an id once."""

    org: Organisation
    true: TrueTime
    full: bool = False
    waiting: dict[str, Draft] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def post(self, *draftings: Drafting) -> None:
        """Keep drafts, unless one of its id waits already."""
        with self.lock:
            for draft in map(made, draftings):
                self.waiting.setdefault(draft.id, draft)

    def send(self) -> None:
        """Number, sign and append what waits."""
        with self.lock:
            chain = self.org.chains.setdefault(ROLE, type(self.org.chains["broker"])())
            for draft in self.waiting.values():
                if draft.id not in self.taken:
                    text = numbered(draft.text, chain.seq, chain.prev)
                    chain.seq, chain.prev = chain.seq + 1, digest_of(text)
                    note = sign_note(text, self.org.submitters[ROLE]).encoded()
                    self.org.append(note, at=self.true.at)
                    self.taken.add(draft.id)
            self.waiting.clear()


class SameThread:
    """Runs what it is given at once, in the caller's thread."""

    def submit(self, doing: Callable[..., Any], *values: Any) -> Future[Any]:
        """Do it; what it raises comes out here, so that a crash ends the caller."""
        done: Future[Any] = Future()
        done.set_result(doing(*values))
        return done

    def shutdown(self, **how: Any) -> None:
        """Nothing runs."""


class SteppedReconciler(Reconciler):
    """The reconciler, with its workers in the caller's thread."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self._workers.shutdown()
        self._sweeper.shutdown()
        self._workers = self._sweeper = SameThread()  # type: ignore[assignment]

    def close(self) -> None:
        """Nothing was started."""


class SteppedTidying(Tidying):
    """Tidying in the caller's thread."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self._workers.shutdown()
        self._again_worker.shutdown()
        self._workers = self._again_worker = SameThread()  # type: ignore[assignment]


class OneMinter:
    """See the module.

    Args:
        folder: for the grants, the target's accounts and the rings.
        org: whose log it follows; one of its own if none is given.
        ahead: of the true time, by which each party's clock is wrong; who is not named is right.
            Parties: ``broker``, ``broker-2``, ``minter``, ``target`` and each person.
        limits: the target's.
        patience: the mint's.
    """

    def __init__(
        self,
        folder: Path,
        *,
        org: Organisation | None = None,
        ahead: dict[str, timedelta] | None = None,
        limits: PlatformLimits = LIMITS,
        patience: Patience = PATIENCE,
    ) -> None:
        self.folder = folder
        self.ahead = ahead or {}
        self.limits = limits
        self.patience = patience
        self.org = org or TwoBrokers()
        self.org.begin()
        self.card = self.org.card_note(GLASS)
        self.true = TrueTime(self.org)
        self.ledger = LogInMemory(self.org, self.true)
        self.outbox = OutboxInMemory(self.org, self.true)
        self.at: Callable[[str], None] = lambda step: None
        self.current = True  # false: the view has not reached the ledger's size
        self._nonces = 0
        self._cached = 0
        self._target_file = folder / "target.sqlite"
        self._start()
        self.trouble()

    def _start(self) -> None:
        clock = WrongClock(self.true, self.ahead.get("minter", _ZERO))
        at = self._step
        self.clock = clock
        self.watch = Suspensions(NAME, lambda: None)
        self.view: Any = ViewInMemory(self.org, self.ledger, self.watch.take, self._cached)
        self.view.follow()
        self.platform = Simulated(self._target_file, NAME, self.true, self.limits)
        self.table = GrantStore(self.folder / "grants.sqlite")
        self.bell = AlertChannel(self.folder / "rings.log", "", ROLE, clock)
        key = self.org.submitters[ROLE].verifier.label
        outbox: Any = self.outbox
        stating = Submitter(outbox, self.org.log_name, clock, lambda: self.view.last_at(key))
        self.catching_up = CatchingUp(self.view, self.ledger, "minted")
        self.catching_up.start()
        if not self.ledger.gone:
            self.catching_up.require(timedelta(seconds=30))
        self.locks = GrantLocks()
        self.lives = PolicyLives(NAME, self.view, self.bell)
        self.saying = OutcomeRecords(stating, self.table, self.limits.platform)
        doors = MinterDoor(
            NAME,
            self.view,
            self.ledger,
            DoorStore(self.folder / "doors.sqlite"),
            stating,
            self.bell,
            clock,
            at,
        )
        self.minting = Minting(
            NAME,
            self.view,
            self.catching_up,
            self.watch,
            self.table,
            self.platform,
            self.locks,
            stating,
            clock,
            self.patience,
            doors,
            lambda grant: self.reconciler.end_now(grant),
            at,
        )
        self.reconciler = SteppedReconciler(
            self.view,
            self.watch,
            self.table,
            self.platform,
            self.locks,
            self.saying,
            self.bell,
            clock,
            ReconcilerLimits(MINUTE, RING_AFTER, 1, 100_000),  # no pace: time stands still
            at,
            SteppedTidying(self.table, self.platform, self.locks, self.saying, at),
            lambda: self.current and self.catching_up.current,
            EarlyEndings(self.view, self.watch, self.table, self.lives),
        )
        self.idle = IdleWatch(self.table, self.platform, self.lives, clock, lambda: None)
        self.early_end = EarlyEnd(
            NAME,
            self.view,
            self.catching_up,
            self.table,
            self.platform,
            self.locks,
            self.reconciler,
            clock,
            _ZERO,
            MINUTE,
            doors,
        )

    def close(self) -> None:
        """Let go of files and threads."""
        self.catching_up.close()
        self.reconciler.close()
        self.bell.close()
        self.platform.close()
        self.table.close()

    # --- the minter -------------------------------------------------------------------------

    def mint(self, broken: Broken, token: bytes = b"") -> Row:
        """Show a grant's token, and let its records go out, as the process does."""
        self.view.follow()
        row = self.minting.mint(token or self.token(broken), _ZERO)
        self._step("answered")
        with self.locks.of(row.grant):
            self.saying.say(row.grant)
        self._step("stated")
        self.send()
        return row

    def end(self, broken: Broken, signed: Signature) -> Row:
        """Show a person's word that ends a grant."""
        self.view.follow()
        row = self.early_end.end(broken.grant, signed)
        self.send()
        return row

    def reconcile(self) -> None:
        """Look once at everything that may have to end."""
        self.view.follow()
        self.reconciler.reconcile()
        self.send()

    def sweep(self) -> None:
        """Search the target once for what should not stand there."""
        self.view.follow()
        self.reconciler.sweep()
        self.send()

    def send(self) -> None:
        """Let the outbox send what waits, if the ledger is there."""
        if not self.ledger.gone:
            self.outbox.send()
            self.view.follow()

    def crash_at(self, step: str) -> None:
        """End the minter when it next comes to this step: ``Crash`` is raised."""

        def at(reached: str) -> None:
            if reached == step:
                self.at = lambda step: None
                raise Crash(step)

        self.at = at

    def end_at(self, step: str, broken: Broken, word: Signature) -> Callable[[], bool]:
        """Have another thread end a grant when the minter next comes to this step.

        The minter goes on once the end is told on disk, or was refused. What is returned waits for
        the thread, and says whether the grant was ended.
        """
        told: list[Row] = []

        def end() -> None:
            with suppress(BreakglassError):
                told.append(self.early_end.end(broken.grant, word))

        ending = threading.Thread(target=end, daemon=True)

        def at(reached: str) -> None:
            if reached == step:
                self.at = lambda step: None
                ending.start()
                until(lambda: not ending.is_alive() or self.stage(broken) is Stage.ENDED)

        def ended_then() -> bool:
            self.at = lambda step: None
            if ending.ident is not None:
                ending.join(30)
            return bool(told)

        self.at = at
        return ended_then

    def restart(self) -> None:
        """Begin again from what is on disk; everything else is forgotten."""
        self.at = lambda step: None
        self._cached = self.view.size
        self.close()
        self._start()

    def ledger_is_away(self, away: bool) -> None:
        """Let the ledger go away or come back; back, what waits is sent and followed."""
        self.ledger.gone = away
        self.send()
        if not away:
            self.catching_up.require(timedelta(seconds=30))

    def _step(self, step: str) -> None:
        self.at(step)

    # --- people, brokers, time --------------------------------------------------------------

    def pass_time(self, time: timedelta) -> None:
        """Let true time pass; the monitor lives, so the log is witnessed at its end."""
        self.send()  # what waits for a ledger that is there has not waited long
        self.true.at += time
        with self._clock_of("monitor"):
            pulse(self.org)
        self.view.follow()

    def break_glass(
        self,
        who: str = "mira",
        broker: str = "broker",
        for_s: int = 1200,
        *,
        of: Broken | None = None,
    ) -> Broken:
        """Have a person ask and a broker write the intent; ``of``: the same word once more."""
        if of is None:
            self._nonces += 1
            with self._clock_of(who):
                said = self.org.statement(
                    glass=GLASS, who=who, for_s=for_s, nonce=f"{self._nonces:032x}"
                )
                signed = self.org.sign(said)
        else:
            said, signed = of.statement, of.signed
        with self._clock_of(broker):
            return self.org.break_glass(
                said=said, signed=signed, role=broker, card=self.card, witnessed=self.true.at
            )

    def token(self, broken: Broken) -> bytes:
        """Return the grant's token, shown to this minter by its holder now."""
        with self._clock_of(broken.intent.who):
            token = self.org.token(broken, run=broken.grant, to=ROLE)
        return token.encoded().encode()

    def done(self, broken: Broken) -> Signature:
        """Return the holder's word that hands a grant back."""
        with self._clock_of(broken.intent.who):
            said = self.org.answer(digest_of(broken.signed.text), do=Do.DONE, who=broken.intent.who)
            return self.org.sign(said)

    def kill(self, target: Target, name: str) -> Signature:
        """Return sam's word that stops a grant, a person or a glass."""
        self._nonces += 1
        with self._clock_of("sam"):
            return self.org.sign(self.org.kill(target, name, nonce=f"{self._nonces:032x}"))

    def suspend(self, target: Target, name: str) -> None:
        """Have the broker record sam's word that stops a person, a glass or a grant."""
        word = self.kill(target, name)
        with self._clock_of("broker"):
            self.org.state_that("broker", kinds.Suspended(target, name, True, word))

    def stop_everything(self, *, lift: bool = False) -> None:
        """Have the broker record two people's words that stop everything, or let it go."""
        do = Do.LIFT_ALL if lift else Do.KILL_ALL
        for who in self.org.killers[:2]:
            self._nonces += 1
            with self._clock_of("sam"):
                word = self.org.sign(self.org.kill_all(who, do=do, nonce=f"{self._nonces:032x}"))
            with self._clock_of("broker"):
                body = kinds.AllSuspended(not lift, word)
                assert self.org.state_that("broker", body, f"all/{self._nonces}").holds

    def give_up(self, grant: str) -> None:
        """Have the broker record that nothing was minted, without asking the minter."""
        with self._clock_of("broker"):
            ended(self.org, grant, EndedWhy.NOT_MINTED)

    @contextmanager
    def _clock_of(self, party: str) -> Iterator[None]:
        self.org.now = self.true.at + self.ahead.get(party, _ZERO)
        try:
            yield
        finally:
            self.org.now = self.true.at

    # --- what stands ------------------------------------------------------------------------

    def trouble(self, **switches: Any) -> None:
        """Set the target's switches; those that are not named are off."""
        behind = self.ahead.get("target", _ZERO).total_seconds()
        self.platform.trouble = Trouble(clock_ahead_s=behind, **switches)

    def opened(self, row: Row) -> dict[str, Any]:
        """Open a sealed credential, as its holder."""
        assert row.made is not None
        identity = pyrage.ssh.Identity.from_buffer(self.org.holder.private_file())
        found: dict[str, Any] = json.loads(pyrage.decrypt(row.made.sealed, [identity]))
        return found

    def log_in(self, row: Row) -> int:
        """Log in at the target, as the holder; returns the session."""
        secret = self.opened(row)
        return self.platform.log_in(secret["user"], secret["password"])

    def accounts(self) -> dict[str, datetime]:
        """Return every account at the target that may log in, and when the target ends it."""
        found = self._at_target("select handle, expires from accounts where password is not null")
        return {handle: parse_time(expires) for handle, expires in found}

    def sessions(self) -> set[str]:
        """Return whose sessions are live at the target."""
        return {handle for (handle,) in self._at_target("select handle from sessions")}

    def _at_target(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self._target_file)) as file:
            return file.execute(query).fetchall()

    def rings(self) -> list[tuple[str, str]]:
        """Return what was rung: subject and what it was about."""
        file = self.folder / "rings.log"
        lines = file.read_text().splitlines() if file.exists() else []
        return [(each["subject"], each["about"]) for each in map(json.loads, lines)]

    def said(self, broken: Broken) -> list[str]:
        """Return the kinds of the records about a grant that hold, in order."""
        return [
            each.record.body.kind
            for each in self.org.judged
            if each.holds and each.record and getattr(each.record.body, "grant", "") == broken.grant
        ]

    def stage(self, broken: Broken) -> Stage | None:
        """Return how far a grant has come here."""
        row = self.table.find(broken.grant)
        return row.stage if row else None
