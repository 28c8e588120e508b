"""What ``settings.toml`` of a monitor may say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError
from breakglass.monitor.alerts.channel import Channel
from breakglass.monitor.alerts.log_file import LogFileSettings
from breakglass.monitor.alerts.mail import SmtpSettings
from breakglass.monitor.alerts.pagerduty import PagerDutySettings
from breakglass.monitor.alerts.secret_folder import SecretFolder
from breakglass.monitor.alerts.slack import SlackSettings
from breakglass.monitor.alerts.webhook import WebhookSettings
from breakglass.monitor.rosters.pagerduty_schedule import ADDRESS
from breakglass.node.following import Following
from breakglass.process.serving import Serving

# What the table [channels.NAME] may be, told apart by its ``type``. A channel is one file: what it
# is told, and how it makes itself heard.
ChannelSettings = (
    WebhookSettings | LogFileSettings | SmtpSettings | SlackSettings | PagerDutySettings
)

NEWS_KEPT = timedelta(days=3)  # a monitor may be down over a weekend


@dataclass(frozen=True)
class RosterSettings:
    """``[rosters]``: where on-call lists are read that the policy names.

    ``folder`` holds the files of ``file:NAME``, within the monitor's own folder if relative;
    ``token`` is of PagerDuty's REST API and may read only.
    """

    folder: Path = Path("rosters")
    pagerduty: str = ADDRESS
    token: str = "secret:pagerduty-api"
    every: timedelta = timedelta(seconds=60)


@dataclass(frozen=True)
class MonitorSettings:
    """A neighbour is an address, or the path of its ``address`` file or folder.

    ``trust`` is the trust file to begin with; newer versions come from the ledger.
    ``catch_up_within`` is for how long the ledger may hand out nothing new before the present is
    taken for reached; reading what it does hand out takes as long as it takes.
    """

    log: str
    ledger: str
    channels: Mapping[str, ChannelSettings]
    trust: str = "trust"
    # The archiver too; by the names that the trust file gives them.
    witnesses: Mapping[str, str] = field(default_factory=dict)
    mail: str = ""  # the server for people's own mail: ``secret:NAME``; empty: there is none
    # HOST or HOST:PORT to which people's own webhooks may go though it lies inside.
    inside_hosts: tuple[str, ...] = ()
    withheld_after: timedelta = timedelta(seconds=60)  # a copy that the ledger does not show rings
    dead_man: str = ""  # address of a dead-man's switch outside, called with each pulse
    serving: Serving = field(default_factory=Serving)
    following: Following = field(default_factory=Following)
    pulse_every: timedelta = timedelta(seconds=60)  # others worry after 3 min
    heads_every: timedelta = timedelta(seconds=10)
    rosters: RosterSettings = field(default_factory=RosterSettings)
    attest_every: timedelta = timedelta(minutes=10)  # asks the archiver whether it has looked
    # A day, and two hours in which an archiver may be restarted.
    attested_within: timedelta = timedelta(hours=26)
    surveyed_within: timedelta = timedelta(hours=26)  # a surveyor looks daily, as an archiver
    surveyed_behind_end: timedelta = timedelta(minutes=30)
    look_every: timedelta = timedelta(seconds=1)
    minted_within: timedelta = timedelta(seconds=60)
    dead_within: timedelta = timedelta(seconds=60)
    door_within: timedelta = timedelta(minutes=5)
    silent_after: timedelta = timedelta(seconds=60)
    deliver_within: timedelta = timedelta(seconds=5)  # one attempt on one channel
    retry_at_most: timedelta = timedelta(seconds=60)
    ring_back: timedelta = timedelta(days=1)
    catch_up_within: timedelta = timedelta(seconds=10)

    def __post_init__(self) -> None:
        if self.ring_back > NEWS_KEPT:
            days = NEWS_KEPT.days
            raise ValueError(f"'ring_back_s' is over {days} days: news is not kept for longer")
        for name in self.channels:
            if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
                raise ValueError(f"channel {name[:40]!r}: expected a name of a-z, 0-9, '_', '-'")

    def made_channels(self, secrets: SecretFolder) -> dict[str, Channel]:
        """Make every channel.

        Raises:
            MisconfiguredError: there is none: a monitor that nobody hears is none; or one of them
                cannot be made.
        """
        if not self.channels:
            raise MisconfiguredError(
                "the settings name no channel; not started",
                name=ErrorName.NO_CHANNEL,
                hint="add [channels.NAME]; two that do not depend on each other are the least",
            )
        made: dict[str, Channel] = {}
        for name, each in self.channels.items():
            try:
                made[name] = each.channel(self.deliver_within, secrets)
            except MisconfiguredError as error:
                error.message = f"[channels.{name}]: {error.message}"
                raise
        return made
