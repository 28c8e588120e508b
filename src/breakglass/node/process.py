"""What broker, minter and monitor are alike in: built from a folder, started and closed in order.

Each writes records with one key, follows one ledger, and does nothing in mid-past. What differs
between them is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from breakglass.clock import Clock
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MisconfiguredError
from breakglass.http.client import Peer
from breakglass.http.edge import application
from breakglass.http.request_check import RequestCheck
from breakglass.http.request_signer import RequestSigner
from breakglass.http.routes import Route
from breakglass.node.catch_up import CatchingUp
from breakglass.node.following import Following
from breakglass.node.projection import Projection
from breakglass.node.readers import Readers
from breakglass.node.replica import OnJudged, Replica
from breakglass.node.submitter import Submitter, gap_draft
from breakglass.process.folder import make_folder
from breakglass.process.key_store import read_key
from breakglass.process.serving import Ending, Service, Serving
from breakglass.process.settings import neighbour_at
from breakglass.records.kind_sets import UnknownKindsError
from breakglass.records.trust import Trust, accept_trust
from breakglass.submit.outbox import Outbox, OutboxLimits
from breakglass.tlog.note import Note, VerifierKey

At = Callable[[str], None]
Ring = Callable[[str, str, str], None]  # subject, about, words; see ``AlertChannel.ring``


def go_on(step: str) -> None:
    """Do nothing at a step; tests end the process there."""


def _nothing() -> None:
    """Do nothing."""


class NodeSettings(Protocol):
    """What the settings of every such process say."""

    @property
    def log(self) -> str:
        """The log's origin."""

    @property
    def ledger(self) -> str:
        """The ledger's ``address`` file, relative to the folder, or its address."""

    @property
    def trust(self) -> str:
        """The trust file to begin with; newer versions come from the ledger."""

    @property
    def following(self) -> Following:
        """How often its view is written down, and held against the whole log."""

    @property
    def serving(self) -> Serving:
        """Where it answers."""


class NodeProcess:
    """The common parts, and the order of all of them.

    Parts are started in the order in which they were added and closed in reverse, so a part may
    use every part that was added before it. ``__init__`` adds the outbox, ``follow`` the view and
    the catching up: what is added before ``follow`` must live without the ledger, and what is
    added behind it may still read and write while it closes.

    Args:
        folder: with ``settings.toml``, ``key`` and the trust file.
        settings: as read.
        clock: for every time that is written or compared.
        kept: the folder of the spool; made if missing.
        ring: told when the ledger cannot be followed for good, or holds what we did not write.
        writing: makes the caller to which the outbox sends, from the ledger's address.
        limits: the outbox's.
        commits: the outbox's too: whether it brings the commits that hold what it appended.

    Raises:
        MisconfiguredError: something in the folder cannot be used; nothing was started.
    """

    view: Replica
    catching_up: CatchingUp

    def __init__(
        self,
        folder: Path,
        settings: NodeSettings,
        clock: Clock,
        kept: Path,
        *,
        ring: Ring = lambda subject, about, words: None,
        writing: Callable[[str | Path], Peer] = lambda where: Peer(where, name="ledger"),
        limits: OutboxLimits | None = None,
        commits: bool = False,
    ) -> None:
        self._settings = settings
        self._ring = ring
        self._ledger = neighbour_at(folder, settings.ledger)
        self._starts: list[Callable[[], object]] = []
        self._closes = ExitStack()
        self._lets_go: list[Callable[[], None]] = []
        self.ending = Ending()
        self.trust = read_trust(folder / settings.trust, settings.log)
        self.key = read_key(folder)
        self.clock = clock
        self.check = RequestCheck(
            settings.log, [str(self.key.verifier)], clock, lambda: self.view.trust().skew
        )
        make_folder(kept)
        self.outbox = Outbox(
            writing(self._ledger),
            self.key,
            kept,
            clock,
            gap=gap_draft(settings.log),
            stranger=lambda words: ring("stolen_key", "ledger", words),
            limits=limits,
            commits=commits,
        )
        self.add(close=self.outbox.close)
        ours = self.key.verifier.label
        self.stating = Submitter(self.outbox, settings.log, clock, lambda: self.view.last_at(ours))

    def follow(
        self,
        cache: Path,
        projections: Sequence[Projection],
        withheld: str,
        *,
        on_judged: OnJudged | None = None,
        trouble: Callable[[Exception], None] | None = None,
        patience: timedelta | None = None,
        broken: Callable[[], str] = lambda: "",
        then: Callable[[], None] = _nothing,
    ) -> None:
        """Add the view of the ledger; see ``Replica`` and ``CatchingUp``.

        ``trouble`` is told in place of ``ring`` that following has stopped for good.
        """

        def stopped(error: Exception) -> None:
            if trouble is not None:
                trouble(error)
            else:
                self._ring("ledger", "ledger", str(error))
            if isinstance(error, UnknownKindsError):
                # What we cannot judge we do not work on. What lives on a target ends by itself.
                self.ending.end(error)

        self.view = Replica(
            Peer(self._ledger, name="ledger", signer=self.signer(self._is_ledger)),
            self.trust,
            cache,
            key=self.key,
            projections=projections,
            on_judged=on_judged,
            trouble=stopped,
            snapshot_every=self._settings.following.snapshot_every,
            whole_fold_every=self._settings.following.whole_fold_every,
        )
        self.catching_up = CatchingUp(
            self.view, self.peer(), withheld, patience=patience, broken=broken, then=then
        )
        self.add(self.view.start, self.view.close)
        self.add(self.catching_up.start, self.catching_up.close)

    def peer(self) -> Peer:
        """Return a caller of the ledger with connections of its own, closed with the process.

        A long poll, or an append that waits for witnesses, must not stand before another call.
        """
        peer = Peer(self._ledger, name="ledger", signer=self.signer(self._is_ledger))
        self.add(close=peer.close)
        return peer

    def signer(self, believes: Callable[[VerifierKey], bool]) -> RequestSigner:
        """Return what signs our requests to the processes that ``believes`` knows."""
        return RequestSigner(self._settings.log, self.key, believes, self.clock)

    def role_signer(self, role: str) -> RequestSigner:
        """Return what signs our requests to who has this role in the trust file in force."""
        return self.signer(lambda key: str(self.view.trust().submitters.get(key, "")) == role)

    def readers(self, **given: Any) -> Readers:
        """Return who reads here; see ``Readers`` for what may be given. After ``follow``."""
        return Readers(self.check, self.view, self.catching_up, **given)

    def _is_ledger(self, key: VerifierKey) -> bool:
        return any(log.vkey == key for log in self.view.trust().tlog.logs)

    def lets_go(self, release: Callable[[], None]) -> None:
        """Add what lets waiting requests go when the process is to end; it returns at once."""
        self._lets_go.append(release)

    def add(
        self, start: Callable[[], object] = _nothing, close: Callable[[], object] = _nothing
    ) -> None:
        """Add a part; see the class for the order."""
        self._starts.append(start)
        self._closes.callback(close)

    def service(self, routes: Sequence[Route]) -> Service:
        """Return what to serve and what to do around it."""
        return Service(
            application(routes),
            self._settings.serving,
            start=self.start,
            closing=self.closing,
            close=self.close,
            ending=self.ending,
        )

    def start(self) -> None:
        """Start every part. A crash at any point leaves what a crash later leaves: the disk."""
        for start in self._starts:
            start()

    def closing(self) -> None:
        """Let go of whoever waits; returns at once."""
        self.catching_up.close()
        for release in self._lets_go:
            release()

    def close(self) -> None:
        """Close every part, also where another could not be. What waits, waits on disk."""
        self._closes.close()


def read_trust(path: Path, log: str) -> Trust:
    """Read the trust file that a process begins with.

    Raises:
        MisconfiguredError: it cannot be read, or its maintainers did not sign it; ``unknown_log``
            if it does not name this log.
    """
    try:
        trust = accept_trust(Note.parse(path.read_bytes()), None)
    except (OSError, BreakglassError) as error:
        raise MisconfiguredError(f"{str(path)!r} cannot be used: {error}; not started") from error
    if not trust.names_log(log):
        raise MisconfiguredError(
            f"the trust file names no log {log!r}; not started", name=ErrorName.UNKNOWN_LOG
        )
    return trust
