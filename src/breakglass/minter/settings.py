"""What a minter is told at its start, from ``settings.toml`` of its folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from breakglass.minter.platforms.postgres import PostgresSettings
from breakglass.minter.platforms.program import CommandSettings
from breakglass.minter.platforms.ssh_hosts import SshSettings
from breakglass.node.following import Following
from breakglass.process.alert_channel import RingSettings
from breakglass.process.serving import Serving

BUILT = ("postgres", "command", "ssh", "simulated")


@dataclass(frozen=True)
class MinterSettings:
    """``settings.toml`` of a minter.

    Attributes:
        name: as cards and statements call it; the trust file gives our key ``minter:NAME``.
        log: the log's origin.
        ledger: the ledger's ``address`` file, relative to the folder, or its address.
        trust: the trust file to begin with; newer versions come from the ledger.
        platform: ``postgres``, ``command``, ``ssh`` or ``simulated``.
        simulated: the file of the simulated target.
        usable_within: how long a new credential may take until it works.
        view_within: how long the mint waits for our own view to reach the intent.
        view_at_most_old: nothing is minted when the newest witnessed entry is older than this.
        forgo_after: a grant this old that was never minted is given up if the broker asks.
        door_within: how long the ledger may be back without the intent of a door taken here, before
            we ring and send what else waits.
        idle_every: how often the target is asked whether a grant that may lie idle was used.
        sweep_every: how often the target is searched for orphans.
        ring_after: how long past its end a grant may live before we ring.
        ending_threads: how many grants are ended at a time.
        endings_per_second: how many are begun in a second; what a person ends waits for none.
        spool_notes: so many records may wait for the ledger; beyond it nothing is minted.
        spool_for: nor when one of them has waited so long.
    """

    name: str
    log: str
    ledger: str
    trust: str = "trust"
    platform: str = "postgres"
    postgres: PostgresSettings | None = None
    command: CommandSettings | None = None
    ssh: SshSettings | None = None
    simulated: str = "data/simulated.sqlite"
    ring: RingSettings = field(default_factory=RingSettings)
    serving: Serving = field(default_factory=Serving)
    following: Following = field(default_factory=Following)
    usable_within: timedelta = timedelta(seconds=10)
    view_within: timedelta = timedelta(seconds=2)
    view_at_most_old: timedelta = timedelta(minutes=5)
    forgo_after: timedelta = timedelta(seconds=60)
    door_within: timedelta = timedelta(minutes=5)
    idle_every: timedelta = timedelta(seconds=15)
    sweep_every: timedelta = timedelta(seconds=60)
    ring_after: timedelta = timedelta(seconds=60)
    ending_threads: int = 2
    endings_per_second: int = 50  # bench/ending.py: what a mint beside them takes
    spool_notes: int = 10_000  # docs/threat-model.md: outcomes wait, new work does not begin
    spool_for: timedelta = timedelta(hours=24)

    def __post_init__(self) -> None:
        """Refuse a platform that is not here, or is not told of, and a pace that ends nothing.

        Raises:
            ValueError: with the key.
        """
        if self.platform not in BUILT:
            raise ValueError(f"'platform' is {self.platform!r}, wanted one of {', '.join(BUILT)}")
        for key in ("ending_threads", "endings_per_second"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key!r} is {getattr(self, key)}, wanted 1 or more")
        if self.platform == "postgres" and self.postgres is None:
            raise ValueError("'postgres.dsn' is missing")
        if self.platform == "command" and self.command is None:
            raise ValueError("'command.run' is missing")
        if self.platform == "ssh" and self.ssh is None:
            raise ValueError("'ssh.ca_key' is missing")
