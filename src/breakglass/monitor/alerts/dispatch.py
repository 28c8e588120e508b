"""All the bells of a monitor: news goes to those that must hear it, deliveries into the ledger."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from breakglass.clock import Clock
from breakglass.monitor.alerts.alert import Alert
from breakglass.monitor.alerts.channel import Channel
from breakglass.monitor.alerts.delivery import ChannelDelivery, DeliveryLimits
from breakglass.monitor.alerts.delivery_records import DeliveryRecords
from breakglass.monitor.alerts.news_class import route_of
from breakglass.monitor.alerts.outbox import ChannelView, MessageView
from breakglass.node.submitter import Submitter
from breakglass.policy.alert_routes import AlertRoutes

Heard = Collection[tuple[str, str]]
"""(channel, key) of deliveries that the ledger shows."""


class Dispatch:
    """Rings news on every channel that must hear it and has not; safe under threads.

    A policy routes news of a class, never of the rules; while the routes of the policy in force
    are not known yet every channel hears everything. A person's own channels are named
    ``PERSON.NAME``: no other channel's name has a dot, and they hear what is theirs alone.
    """

    def __init__(
        self,
        channels: Mapping[str, Channel],
        folder: Path,
        log: str,
        clock: Clock,
        stating: Submitter,
        limits: DeliveryLimits | None = None,
        people: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        """Open the outboxes, one file a channel in ``folder``.

        ``people`` gives, by channel, whom it reaches; a channel that stands for nobody of its own
        is recorded by its name.

        Raises:
            MisconfiguredError: one cannot be opened.
        """
        self._folder = folder
        self._log = log
        self._clock = clock
        self._limits = limits
        self._reaches = dict(people or {})
        self._settled = frozenset(channels)
        self._routes: AlertRoutes | None = None
        self._changing = threading.Lock()
        self._started = False
        self._records = DeliveryRecords(self._all, self._people, stating.post)
        # Replaced whole, never changed: whoever rings goes through one of them.
        self._leaving: frozenset[str] = frozenset()
        self._bells: Mapping[str, ChannelDelivery] = {}
        for name, channel in sorted(channels.items()):
            self.add(name, channel)

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of the channels that are nobody's own and hear news."""
        return tuple(name for name in self._bells if "." not in name and name not in self._leaving)

    def own(self, who: str) -> tuple[str, ...]:
        """Return the names of a person's own channels."""
        return tuple(
            name
            for name in self._bells
            if name.rpartition(".")[0] == who and name not in self._leaving
        )

    def add(self, name: str, channel: Channel, *, leaving: bool = False) -> None:
        """Add a channel, or put another way of ringing in the place of one; its outbox stays.

        ``leaving``: it rings what waits there, and hears nothing more.

        Raises:
            MisconfiguredError: the outbox cannot be opened.
        """
        with self._changing:
            self._leaving = self._leaving | {name} if leaving else self._leaving - {name}
            old = self._bells.get(name)
            if old is not None:
                old.channel = channel
                return
            path = self._folder / f"{name}.sqlite"
            bell = ChannelDelivery(
                name, channel, path, self._clock, lambda: self._records.wake(), self._limits
            )
            self._bells = dict(sorted({**self._bells, name: bell}.items()))
            if self._started:
                bell.start()

    def leave(self, name: str) -> None:
        """Let a channel ring what waits there, and hear nothing more."""
        with self._changing:
            self._leaving = self._leaving | {name}

    def come_back(self, name: str) -> None:
        """Let a channel that leaves hear news again."""
        with self._changing:
            self._leaving = self._leaving - {name}

    def remove(self, name: str, *, forget: bool = False) -> None:
        """Take a channel away.

        What waits on it stays on disk, and is rung if it comes back; or it is forgotten.
        """
        with self._changing:
            bell = self._bells.get(name)
            if bell is not None:
                self._bells = {each: b for each, b in self._bells.items() if each != name}
                if forget:
                    bell.forget()
                bell.close()
            self._leaving = self._leaving - {name}

    def route(self, routes: AlertRoutes | None) -> None:
        """Ring by these routes from now on; none: everything on every channel."""
        self._routes = routes

    def start(self) -> None:
        """Begin with what waits since last time."""
        with self._changing:
            self._started = True
            self._records.start()
            for bell in self._bells.values():
                bell.start()

    def ring(self, news: Sequence[Alert], heard: Heard = frozenset()) -> None:
        """Queue news on the channels that must hear it; on disk when this returns.

        Args:
            news: as told; what a channel's outbox has already is left alone.
            heard: what need not be rung, by the ledger's word.
        """
        bells, routes = self._bells, self._routes or AlertRoutes()
        leaving = self._leaving
        shared = [name for name in bells if "." not in name and name not in leaving]
        wanted: dict[str, list[Alert]] = {}
        for each in news:
            if each.person:
                names: Collection[str] = self.own(each.person)
            else:
                glass = each.fields.get("glass", "")
                names = routes.heard_on(route_of(each), glass, shared, self._settled)
            for name in names:
                if (name, each.key) not in heard:
                    wanted.setdefault(name, []).append(each)
        for name, found in wanted.items():
            if name in bells:
                bells[name].put(found, self._log)

    def told_of(self, subject: str, about: str) -> frozenset[str]:
        """Return the people on whose own channels such a message was queued."""
        return frozenset(
            name.rpartition(".")[0]
            for name, bell in self._bells.items()
            if "." in name and bell.told_of(subject, about)
        )

    def channel(self, name: str) -> Channel | None:
        """Return a channel, if it can be called."""
        bell = self._bells.get(name)
        return bell.channel if bell is not None else None

    def waits(self, name: str) -> bool:
        """Say whether something waits on a channel: to be heard, or to be recorded."""
        bell = self._bells.get(name)
        return bell is not None and (bell.summary().waiting > 0 or bool(bell.untold()))

    def failure(self, name: str) -> str:
        """Return why what waits on a channel was not heard yet; empty where nothing waits."""
        bell = self._bells.get(name)
        return bell.summary().failure if bell is not None else ""

    def summary(self) -> dict[str, ChannelView]:
        """Say how every channel stands that is nobody's own."""
        return {name: each.summary() for name, each in self._bells.items() if "." not in name}

    def listing(self, most: int = 200) -> list[MessageView]:
        """Return the newest messages of all channels that are nobody's own, newest first."""
        bells = [each for name, each in self._bells.items() if "." not in name]
        rows = (row for bell in bells for row in bell.listing(most))
        return sorted(rows, key=lambda row: (row.queued, row.index), reverse=True)[:most]

    def close(self) -> None:
        """Stop every bell; what waits stays on disk."""
        self._records.close()
        for bell in self._all():
            bell.close()

    def _all(self) -> Sequence[ChannelDelivery]:
        return tuple(self._bells.values())

    def _people(self, channel: str) -> tuple[str, ...]:
        owner = channel.rpartition(".")[0]
        return (owner,) if owner else self._reaches.get(channel, ())
