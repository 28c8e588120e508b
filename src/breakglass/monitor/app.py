"""The monitor put together from its folder: what follows, what rings, what answers.

```
monitor/
  settings.toml  key  trust
  rosters/           on-call lists that the policy names as file:NAME
  secrets/           what settings and policy name as secret:NAME, a file each, 0600
  data/ledger/       the followed log: a cache
  data/channels/     what every channel still has to ring, and what it rang
  kept/              heads, evidence, people's own channels, and the spool of our own records:
                     cannot be made again
```
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from breakglass.clock import Clock
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, UnavailableError
from breakglass.monitor.alerts.alert import Alert
from breakglass.monitor.alerts.delivery import DeliveryLimits
from breakglass.monitor.alerts.dispatch import Dispatch
from breakglass.monitor.alerts.mail import MailServer
from breakglass.monitor.alerts.policy_channels import ROUTES, PolicyChannels
from breakglass.monitor.alerts.secret_folder import SecretFolder
from breakglass.monitor.alerts.webhook import Webhook
from breakglass.monitor.archive_health import ArchiveHealth
from breakglass.monitor.checkpoint_store import CheckpointStore
from breakglass.monitor.cosigner_directory import CosignerDirectory
from breakglass.monitor.deadline_monitor import DeadlineMonitor
from breakglass.monitor.decision_replay import compiled
from breakglass.monitor.entry_handler import EntryHandler
from breakglass.monitor.fork_latch import ForkLatch
from breakglass.monitor.gates.gate_reviews import GateReviews
from breakglass.monitor.gates.gate_status import Gates
from breakglass.monitor.overdue_records import Patience
from breakglass.monitor.people.copies import Copies
from breakglass.monitor.people.own_channel import Limits
from breakglass.monitor.people.own_channels import OwnChannels
from breakglass.monitor.people.paging import Paging
from breakglass.monitor.people.store import PeopleStore
from breakglass.monitor.pulse import Pulsing
from breakglass.monitor.reviews.open_reviews import Reviews
from breakglass.monitor.rosters.pagerduty_schedule import PagerDutySchedules
from breakglass.monitor.rosters.roster_file import RosterFiles
from breakglass.monitor.rosters.roster_watch import RosterWatch
from breakglass.monitor.routes import routes
from breakglass.monitor.scheduled_starts import ScheduledStarts
from breakglass.monitor.settings import MonitorSettings
from breakglass.monitor.split_view import SplitViewCheck
from breakglass.monitor.survey_silence import SurveySilence
from breakglass.monitor.tile_audit import TileAudit
from breakglass.monitor.witnessed_time import WitnessedTime
from breakglass.node.process import NodeProcess
from breakglass.node.readers import ReadingRights
from breakglass.policy.alert_routes import AlertRoutes
from breakglass.process.folder import make_folder
from breakglass.process.periodic import PeriodicTask
from breakglass.process.serving import Service
from breakglass.process.settings import read_settings
from breakglass.records.fold.state import State


class Monitor:
    """Everything that one monitor is made of."""

    def __init__(self, folder: Path, settings: MonitorSettings, clock: Clock) -> None:
        self._ledger_folder = folder / "data" / "ledger"
        self._clock = clock
        self._stopped = ""
        self.time = WitnessedTime(clock)
        kept_folder, channel_folder = folder / "kept", folder / "data" / "channels"
        make_folder(channel_folder)
        secrets = SecretFolder(folder / "secrets")
        self.process = process = NodeProcess(folder, settings, clock, kept_folder)
        stating = process.stating
        self.kept = CheckpointStore(kept_folder)
        process.add(close=self.kept.close)
        self.people = PeopleStore(kept_folder / "people.sqlite")
        process.add(close=self.people.close)
        mail = MailServer.parse(secrets.value(settings.mail)) if settings.mail else None
        # It rings what waits on disk at once: nothing else is needed for that, no ledger either.
        self.ringing = Dispatch(
            settings.made_channels(secrets),
            channel_folder,
            settings.log,
            clock,
            stating,
            DeliveryLimits(settings.retry_at_most),
            {name: each.to for name, each in settings.channels.items()},
        )
        process.add(self.ringing.start, self.ringing.close)
        self.policy_channels = PolicyChannels(
            folder / "data" / ROUTES,
            folder / "data",
            secrets,
            self.ringing,
            settings.deliver_within,
            clock,
            self._policy_in_force,
        )
        self.belief = ForkLatch(self.kept, self.ringing, clock)
        self.following = EntryHandler(
            self.ringing,
            stating,
            self.time,
            settings.ring_back,
            lambda: self.belief.broken,
            lambda digest: self.policy_channels.stale(digest),
            lambda news, state: self.paging.addressed(news, state),
        )
        process.follow(
            self._ledger_folder,
            self.following.projections,
            "decided",
            on_judged=self.following.taking,
            trouble=self._trouble,
            patience=settings.catch_up_within,
            broken=lambda: self.broken,
            then=self._go_live,
        )
        self.view = view = process.view
        self.paging = Paging(view, self.ringing, self.people, process.key, settings.log, clock)
        self.me = OwnChannels(
            self.people,
            self.ringing,
            view,
            process.check.keys,
            settings.log,
            clock,
            Limits(settings.deliver_within, mail, settings.inside_hosts),
        )
        self.copies = Copies(
            self.people, view, self.ringing, settings.log, clock, settings.withheld_after
        )
        self.readers = process.readers(rights=_rights)
        roots, chronicle = self.following.roots, self.following.chronicle
        parties = CosignerDirectory(folder, settings, view, process.peer())
        self.comparing = SplitViewCheck(
            parties, view, roots, self.kept, self.belief, self.ringing, clock
        )
        self.rereading = TileAudit(
            process.peer(), view, roots, self.ringing, clock, settings.silent_after
        )
        patience = Patience(settings.minted_within, settings.dead_within, settings.door_within)
        self.looking = DeadlineMonitor(
            view, self.following, self.ringing, self.time, patience, settings.silent_after
        )
        self.starts = ScheduledStarts(view, self.following, self.ringing, stating, self.time)
        self.surveys = SurveySilence(
            view,
            self.following,
            self.ringing,
            self.time,
            settings.surveyed_within,
            settings.surveyed_behind_end,
        )
        switch = (
            Webhook(settings.dead_man, "", settings.deliver_within) if settings.dead_man else None
        )
        self.pulsing = Pulsing(
            stating,
            lambda: view.size,
            lambda: self.ringing.channels,
            lambda: self.broken,
            lambda: [*([switch] if switch else []), *self.policy_channels.pulses()],
            clock,
        )
        self.reviews = Reviews(view, chronicle, roots, self.time, lambda: self.broken)
        self.gates = Gates(view, chronicle, self.time)
        self.gate_reviewing = GateReviews(
            view, self.gates, stating, process.key, clock, self._not_yet
        )
        self.attesting = ArchiveHealth(
            CosignerDirectory(folder, settings, view, process.peer()).one,
            view,
            stating,
            self.ringing,
            self.time,
            lambda: self.broken,
            settings.attested_within,
        )
        asked = settings.rosters
        self.rosters = RosterWatch(
            {
                "file": RosterFiles(folder / asked.folder),
                "pagerduty": PagerDutySchedules(asked.pagerduty, asked.token, secrets, clock),
            },
            view,
            stating,
            self.ringing,
            self.time,
            lambda: self.broken,
        )
        self._tasks = [
            PeriodicTask("pulse", settings.pulse_every, self.pulsing.beat),
            PeriodicTask("look", settings.look_every, self.looking.look),
            PeriodicTask("surveys", settings.look_every, self.surveys.look),
            PeriodicTask("starts", settings.look_every, self._starts),
            PeriodicTask("channels", settings.look_every, self.policy_channels.look),
            PeriodicTask("paging", settings.look_every, self.paging.look),
            PeriodicTask("own channels", settings.look_every, self.me.look),
            PeriodicTask("copies", settings.look_every, self.copies.look),
            PeriodicTask("heads", settings.heads_every, self.comparing.compare),
            PeriodicTask("reread", settings.heads_every, self.rereading.look),
            PeriodicTask("rosters", asked.every, self.rosters.look),
            PeriodicTask("attest", settings.attest_every, self.attesting.look),
        ]
        for task in self._tasks:
            process.add(close=task.close)

    @property
    def broken(self) -> str:
        """Why this monitor believes nothing any more; empty while all is well."""
        return self.belief.broken or self._stopped

    def _policy_in_force(self) -> tuple[str, int, Callable[[], AlertRoutes]]:
        with self.view.reading() as state:
            policy, bundle = state.governance.policy, state.governance.bundle
            digest, index = policy.bundle if policy else "", state.governance.policy_index
        # Compiled here, the decisions that come find it compiled.
        return digest, index, lambda: compiled(bundle).bundle.routes(digest)

    def _not_yet(self) -> str:
        if self.broken:
            return f"the ledger is not trusted: {self.broken}"
        return "" if self.following.live else "the monitor still reads what the ledger holds"

    def _starts(self) -> None:
        if not self.broken:
            self.starts.look()

    def _go_live(self) -> None:
        """Do what the past left undone, and keep looking."""
        self.paging.look()
        with self.view.reading() as state:
            self.following.go_live(state)
        for task in self._tasks:
            task.start()

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


def _rights(state: State, who: str, now: datetime) -> ReadingRights:
    bundle = compiled(state.governance.bundle).bundle
    return ReadingRights(bundle.directory.people[who].counts_at(now), bundle.reads_all(who))


def build(folder: Path, clock: Clock) -> Service:
    """Make a monitor from its folder; nothing runs before ``Service.start``.

    Raises:
        MisconfiguredError: something in the folder cannot be used.
    """
    monitor = Monitor(folder, read_settings(folder, MonitorSettings), clock)
    return monitor.process.service(routes(monitor))
