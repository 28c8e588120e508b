"""The monitor put together from its folder: what follows, what rings, what answers.

```
monitor/
  settings.toml  key  trust
  data/ledger/       the followed log: a cache
  data/channels/     what every channel still has to ring, and what it rang
  kept/              heads, evidence, and the spool of our own records: cannot be made again
```
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import timedelta
from pathlib import Path

from breakglass.clock import Clock
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MisconfiguredError, UnavailableError
from breakglass.http.client import Peer
from breakglass.http.edge import application
from breakglass.monitor.alerts.alert import Alert
from breakglass.monitor.alerts.delivery import DeliveryLimits
from breakglass.monitor.alerts.dispatch import Dispatch
from breakglass.monitor.alerts.webhook import Webhook
from breakglass.monitor.archive_health import ArchiveHealth
from breakglass.monitor.checkpoint_store import CheckpointStore
from breakglass.monitor.cosigner_directory import CosignerDirectory
from breakglass.monitor.deadline_monitor import DeadlineMonitor
from breakglass.monitor.entry_handler import EntryHandler
from breakglass.monitor.fork_latch import ForkLatch
from breakglass.monitor.gates.gate_reviews import GateReviews
from breakglass.monitor.gates.gate_status import Gates
from breakglass.monitor.overdue_records import Patience
from breakglass.monitor.pulse import Pulsing
from breakglass.monitor.reviews.open_reviews import Reviews
from breakglass.monitor.routes import routes
from breakglass.monitor.settings import MonitorSettings
from breakglass.monitor.split_view import SplitViewCheck, read_head
from breakglass.monitor.tile_audit import TileAudit
from breakglass.monitor.witnessed_time import WitnessedTime
from breakglass.node.replica import Replica
from breakglass.node.submitter import Submitter, gap_draft
from breakglass.process.folder import make_folder
from breakglass.process.key_store import read_key
from breakglass.process.periodic import PeriodicTask
from breakglass.process.serving import Ending, Service
from breakglass.process.settings import read_settings
from breakglass.records.kind_sets import UnknownKindsError
from breakglass.records.trust import Trust, accept_trust
from breakglass.submit.outbox import Outbox
from breakglass.tlog.note import Note

log = logging.getLogger("breakglass.monitor")
_ANSWER_WITHIN = timedelta(seconds=2)


class Monitor:
    """Everything that one monitor is made of, and how it starts and stops."""

    def __init__(self, folder: Path, settings: MonitorSettings, clock: Clock) -> None:
        self._settings = settings
        self._closing = threading.Event()
        trust = read_trust(folder / "trust")
        if not trust.names_log(settings.log):
            raise MisconfiguredError(
                f"the trust file names no log {settings.log!r}; not started",
                name=ErrorName.UNKNOWN_LOG,
            )
        ledger_folder, channel_folder = folder / "data" / "ledger", folder / "data" / "channels"
        kept_folder = folder / "kept"
        for each in (ledger_folder, channel_folder, kept_folder):
            make_folder(each)
        where = settings.neighbour(folder, settings.ledger)
        # Each has connections of its own: a long poll must not stand before an append.
        self._ledger = Peer(where, name="ledger", within=_ANSWER_WITHIN)
        writing = Peer(where, name="ledger", within=_ANSWER_WITHIN)
        key = read_key(folder)
        self._outbox = Outbox(writing, key, kept_folder, clock, gap=gap_draft(settings.log))
        ours = key.verifier.label
        stating = Submitter(self._outbox, settings.log, clock, lambda: self.view.last_at(ours))
        self.time = WitnessedTime(clock)
        limits = DeliveryLimits(settings.retry_at_most)
        channels = settings.made_channels()
        people = {name: each.to for name, each in settings.channels.items()}
        self.ringing = Dispatch(
            channels, channel_folder, settings.log, clock, stating, limits, people
        )
        self.kept = CheckpointStore(kept_folder)
        self.belief = ForkLatch(self.kept, self.ringing, clock)
        self.following = EntryHandler(
            self.ringing, stating, self.time, settings.ring_back, lambda: self.belief.broken
        )
        self._stopped = ""
        self._ledger_folder = ledger_folder
        self._clock = clock
        self.process = Ending()
        self.view = Replica(
            Peer(where, name="ledger"),
            trust,
            ledger_folder,
            on_judged=self.following.taking,
            trouble=self._trouble,
        )
        parties = CosignerDirectory(folder, settings, self.view, self._ledger)
        self.comparing = SplitViewCheck(
            parties,
            self.view,
            self.following.roots,
            self.kept,
            self.belief,
            self.ringing,
            clock,
        )
        self._tiles = Peer(where, name="ledger", within=_ANSWER_WITHIN)
        self.rereading = TileAudit(
            self._tiles,
            self.view,
            self.following.roots,
            self.ringing,
            clock,
            settings.silent_after,
        )
        patience = Patience(settings.minted_within, settings.dead_within, settings.door_within)
        self.looking = DeadlineMonitor(
            self.view, self.following, self.ringing, self.time, patience, settings.silent_after
        )
        switch = (
            Webhook(settings.dead_man, "", settings.deliver_within) if settings.dead_man else None
        )
        self.pulsing = Pulsing(
            stating,
            lambda: self.view.size,
            self.ringing.channels,
            lambda: self.broken,
            switch,
            clock,
        )
        self.reviews = Reviews(
            self.view,
            self.following.chronicle,
            self.following.roots,
            self.time,
            lambda: self.broken,
        )
        self.gates = Gates(self.view, self.following.chronicle, self.time)
        self.gate_reviewing = GateReviews(self.view, self.gates, stating, key, clock, self._not_yet)
        self.attesting = ArchiveHealth(
            CosignerDirectory(folder, settings, self.view, self._ledger).one,
            self.view,
            stating,
            self.ringing,
            self.time,
            lambda: self.broken,
            settings.attested_within,
        )
        self._loops = [
            PeriodicTask("pulse", settings.pulse_every, self.pulsing.beat),
            PeriodicTask("look", settings.look_every, self.looking.look),
            PeriodicTask("heads", settings.heads_every, self.comparing.compare),
            PeriodicTask("reread", settings.heads_every, self.rereading.look),
            PeriodicTask("attest", settings.attest_every, self.attesting.look),
        ]
        self._catching_up = threading.Thread(target=self._catch_up, name="catch up", daemon=True)

    @property
    def broken(self) -> str:
        """Why this monitor believes nothing any more; empty while all is well."""
        return self.belief.broken or self._stopped

    def _not_yet(self) -> str:
        if self.broken:
            return f"the ledger is not trusted: {self.broken}"
        return "" if self.following.live else "the monitor still reads what the ledger holds"

    def start(self) -> None:
        """Begin, in the order in which a restart repairs what a crash left."""
        # (1) Ring what waits on disk. Nothing else is needed for that, no ledger either.
        self.ringing.start()
        # (2) Read the past, then follow.
        self.view.start()
        # (3) When the present is reached, do what the past left undone, and keep looking.
        self._catching_up.start()

    def closing(self) -> None:
        """Ask every thread to end."""
        self._closing.set()

    def close(self) -> None:
        """End. What waits, waits on disk."""
        self._closing.set()
        for loop in self._loops:
            loop.close()
        self.view.close()
        self.ringing.close()
        self._outbox.close()
        self.kept.close()
        self._ledger.close()
        self._tiles.close()

    def _catch_up(self) -> None:
        # A lying ledger must not keep us waiting for the present: late and twice beats never.
        until = time.monotonic() + self._settings.catch_up_within.total_seconds()
        self._present(timedelta())  # only so that whoever watches sees how far it has to go
        while not self._closing.is_set() and not self.view.wait_current(timedelta(seconds=0.5)):
            if self.broken:
                break
        while not self._closing.is_set() and not self.broken:
            left = until - time.monotonic()
            if left <= 0 or self._present(timedelta(seconds=min(left, 1.0))):
                break
            self._closing.wait(0.1)
        if self._closing.is_set():
            return
        with self.view.reading() as state:
            self.following.go_live(state)
        for loop in self._loops:
            loop.start()

    def _present(self, within: timedelta) -> bool:
        """Say whether everything that the ledger has now is folded; waits a little for it."""
        try:
            keys = [each.vkey for each in self.view.trust().tlog.logs]
            size = read_head("ledger", self._ledger.get("/checkpoint").body, keys).checkpoint.size
        except BreakglassError:
            return False
        self.view.heard(size)
        end = time.monotonic() + within.total_seconds()
        while self.view.size < size and time.monotonic() < end and not self._closing.is_set():
            self._closing.wait(0.02)
        return self.view.size >= size

    def _trouble(self, error: Exception) -> None:
        """Hear that following has stopped for good."""
        self._stopped = f"following stopped: {error}"
        if isinstance(error, BreakglassError) and error.name == ErrorName.INCONSISTENT_HEAD:
            try:
                name = self.kept.accuse_follower(self._ledger_folder, str(error), self._clock.now())
            except UnavailableError as unkept:
                error.message += f"; {unkept}"
                name = ""
            self.belief.end(str(error), name, self.view.size)
            return
        text = (
            f"THE MONITOR HAS STOPPED reading the ledger, at {self.view.size} entries: {error}."
            " From here on nothing raises an alert. Fix the cause and restart the monitor."
        )
        size = self.view.size
        news = Alert(
            "not_following", "ledger", size, "ledger", self._clock.now(), text, stated=False
        )
        self.ringing.ring([news])
        if isinstance(error, UnknownKindsError):
            self.process.end(error)


def read_trust(path: Path) -> Trust:
    """Read the monitor's own trust file; its later versions come from the ledger.

    Raises:
        MisconfiguredError: no file, or not one that its own maintainers signed.
    """
    try:
        return accept_trust(Note.parse(path.read_bytes()), None)
    except (OSError, BreakglassError) as error:
        raise MisconfiguredError(f"{str(path)!r} cannot be used: {error}; not started") from error


def build(folder: Path, clock: Clock) -> Service:
    """Build the monitor of a folder; see ``Service``."""
    settings = read_settings(folder, MonitorSettings)
    monitor = Monitor(folder, settings, clock)
    return Service(
        application(routes(monitor)),
        settings.serving,
        monitor.start,
        monitor.closing,
        monitor.close,
        monitor.process,
    )
