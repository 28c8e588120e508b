"""What a surveyor is told at its start, from ``settings.toml`` of its folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from breakglass.node.following import Following
from breakglass.process.alert_channel import RingSettings
from breakglass.process.serving import Serving

BUILT = ("postgres", "simulated")
EVERY_AT_MOST = timedelta(hours=24)  # the monitor rings after 26 h of silence


@dataclass(frozen=True)
class PostgresSettings:
    """``[postgres]``: ``dsn`` logs in as the surveyor's own role, which reads and no more.

    ``databases`` are those that are looked at; none named: every one that the cluster has.
    """

    dsn: str
    databases: tuple[str, ...] = ()


@dataclass(frozen=True)
class SurveyorSettings:
    """``settings.toml`` of a surveyor.

    Attributes:
        target: the minter's name at whose target it looks; our key is ``minter:TARGET.survey``.
        log: the log's origin.
        ledger: the ledger's ``address`` file, relative to the folder, or its address.
        trust: the trust file to begin with; newer versions come from the ledger.
        platform: ``postgres`` or ``simulated``.
        simulated: the file of the simulated target.
        every: the longest time between two surveys, a day at most.
        retry: how long after a survey that failed.
        look_every: how often it is asked whether one is due.
    """

    target: str
    log: str
    ledger: str
    trust: str = "trust"
    platform: str = "postgres"
    postgres: PostgresSettings | None = None
    simulated: str = "data/simulated.sqlite"
    ring: RingSettings = field(default_factory=RingSettings)
    serving: Serving = field(default_factory=Serving)
    following: Following = field(default_factory=Following)
    every: timedelta = EVERY_AT_MOST
    retry: timedelta = timedelta(seconds=60)
    look_every: timedelta = timedelta(seconds=0.5)

    def __post_init__(self) -> None:
        """Refuse a platform that is not here, or is not told of, and surveys too seldom.

        Raises:
            ValueError: with the key.
        """
        if self.platform not in BUILT:
            raise ValueError(f"'platform' is {self.platform!r}, wanted one of {', '.join(BUILT)}")
        if self.platform == "postgres" and self.postgres is None:
            raise ValueError("'postgres.dsn' is missing")
        if not timedelta(0) < self.every <= EVERY_AT_MOST:
            raise ValueError("'every_s' is over a day, or not above zero")
