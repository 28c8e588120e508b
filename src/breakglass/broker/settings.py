"""What a broker is told at its start, from ``settings.toml`` of its folder."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from breakglass.node.following import Following
from breakglass.process.alert_channel import RingSettings
from breakglass.process.serving import Serving


@dataclass(frozen=True)
class BrokerSettings:
    """``settings.toml`` of a broker.

    Attributes:
        log: the log's origin.
        ledger: the ledger's ``address`` file, relative to the folder, or its address.
        monitor: likewise; told to who joins, never called.
        trust: the trust file to begin with; newer versions come from the ledger.
        minters: minter to its ``address`` file or address.
        receipt_within: how long a responder waits for the proof of an intent; then nothing was
            minted.
        follow_within: how long our own view may take to reach what we wrote.
        mint_within: how long a minter may take until its credential is usable.
        recovery: how old an intent that was never minted gets before we give it up.
        refusals_per_minute: how many of one person's refusals are recorded.
        proxies: addresses of the reverse proxies before this broker, whose ``X-Forwarded-For`` is
            believed; from anywhere else that header says nothing.
    """

    log: str
    ledger: str
    monitor: str = ""
    trust: str = "trust"
    minters: Mapping[str, str] = field(default_factory=dict)
    ring: RingSettings = field(default_factory=RingSettings)
    serving: Serving = field(default_factory=Serving)
    following: Following = field(default_factory=Following)
    receipt_within: timedelta = timedelta(seconds=2)
    follow_within: timedelta = timedelta(seconds=2)
    mint_within: timedelta = timedelta(seconds=15)
    recovery: timedelta = timedelta(minutes=5)
    refusals_per_minute: int = 10
    proxies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is no address.

        Raises:
            ValueError: with the key.
        """
        for each in self.proxies:
            ipaddress.ip_address(each)
