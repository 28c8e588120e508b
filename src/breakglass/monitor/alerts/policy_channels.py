"""The channels and routes of the policy in force: made from its bundle, kept for the next start.

They are read off the bundle by a task of their own, under no lock: while that goes on, everything
is heard on every channel that is known. Kept is a small file without secrets, so that a monitor
that starts without a ledger rings where it rang before.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from breakglass.clock import Clock
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError
from breakglass.monitor.alerts.alert import Alert
from breakglass.monitor.alerts.channel import Channel
from breakglass.monitor.alerts.dispatch import Dispatch
from breakglass.monitor.alerts.policy_channel import made_channel
from breakglass.monitor.alerts.secret_folder import SecretFolder
from breakglass.policy.alert_routes import AlertRoutes, ChannelType
from breakglass.policy.alert_routes import Channel as PolicyChannel
from breakglass.process.folder import write_whole

log = logging.getLogger("breakglass.alarms")
ROUTES = Path("channels") / "policy.json"
"""Where the routes are kept, below the monitor's data folder."""
InForce = Callable[[], tuple[str, int, Callable[[], AlertRoutes]]]
"""Returns the digest of the bundle in force, its policy's entry, and what reads its routes."""
At = Callable[[str], None]
_HELD_AT_MOST_S = 60.0  # by then the ledger has it that the old way failed


class PolicyChannels:
    """Keeps the bells in step with the policy; ``look`` belongs to one thread.

    Args:
        file: where the routes are kept.
        folder: the monitor's data folder, for files.
        secrets: what the policy names as ``secret:NAME``.
        ringing: whose bells these are.
        within: how long a channel may take.
        clock: for news.
        in_force: see ``InForce``; quick, what it returns last need not be.
        at: told of each step; tests end the process there.

    Attributes:
        missing: why a channel of the policy cannot be called, by its name.
    """

    def __init__(
        self,
        file: Path,
        folder: Path,
        secrets: SecretFolder,
        ringing: Dispatch,
        within: timedelta,
        clock: Clock,
        in_force: InForce,
        at: At = lambda step: None,
    ) -> None:
        self._file = file
        self._folder = folder
        self._secrets = secrets
        self._ringing = ringing
        self._within = within
        self._clock = clock
        self._in_force = in_force
        self._at = at
        self._settled = frozenset(ringing.channels)  # of the settings: never made here
        self._unread = ""  # the bundle that we could not read
        self._held: float | None = None  # since when a change waits for what the old ways ring
        self.missing: dict[str, str] = {}
        self._lack: frozenset[str] = frozenset()  # those of ``missing`` that lack their secret
        self._told: dict[str, str] = {}  # what of ``missing`` was rung
        self.kept = read_routes(file)
        self._made: dict[str, PolicyChannel] = {}
        if self.kept.bundle:
            self._make(self.kept, retiring=())
            self._ringing.route(self.kept)

    def stale(self, digest: str) -> None:
        """Ring everything everywhere until ``look`` has read this policy; returns at once."""
        if digest != self.kept.bundle:
            self._ringing.route(None)

    def pulses(self) -> list[Channel]:
        """Return the channels that the policy gives the sign of life and nothing else."""
        names = self.kept.pulse_only - self._settled  # those hear news, whatever a policy says
        return [each for name in sorted(names) if (each := self._ringing.channel(name))]

    def look(self) -> None:
        """Follow the policy in force, and try again what could not be called."""
        digest, index, routes = self._in_force()
        if digest in ("", self.kept.bundle):
            self._held = None  # nothing waits for its turn
        if digest not in ("", self.kept.bundle, self._unread):
            try:
                self._follow(routes(), index)
            except BreakglassError as error:
                # Everything rings everywhere, as long as this policy is in force.
                self._unread = digest
                log.error("the routes of the policy in force cannot be read: %s", error)
        elif self.missing:
            self._make(self.kept, retiring=())
        self._tell_missing(index)
        for name in [each for each in self._made if each not in self.kept.channels]:
            if not self._ringing.waits(name):
                self._ringing.remove(name)
                del self._made[name]

    def _follow(self, routes: AlertRoutes, index: int) -> None:
        # The news of it rang on every channel of before when its record came.
        before = self.kept
        if self._held_back(before, routes):
            return
        # (1) Make the new bells, beside the old ones. A crash before (2) leaves the routes of
        #     before on disk, and the next start comes here again.
        self._make(routes, retiring=tuple(before.channels))
        self._at("made")
        # (2) Keep. From here the next start has the new bells, which ring what they have
        #     not heard of the last day: the activation too.
        write_whole(self._file, _written(routes), 0o600)
        self._at("kept")
        self._held = None
        self._told = {}
        # (3) Ring it on the new ones: a bell that has heard it leaves it out.
        self._ringing.ring([_activated(routes, index, self._clock.now())])
        # (4) What is no channel any more rings what waits there, and hears nothing of now. Until
        #     here it hears too much; a start makes none of these.
        for name in self._made:
            if name not in routes.channels:
                self._ringing.leave(name)
        self._ringing.route(routes)
        self.kept = routes
        if self._in_force()[0] != routes.bundle:
            self._ringing.route(None)  # one more came meanwhile, and is not read yet

    def _tell_missing(self, index: int) -> None:
        """Ring what cannot be called, where that is other than what was rung."""
        if self.missing == self._told:
            return
        self._told = dict(self.missing)
        if self.missing:
            self._ringing.ring([_missing(self.missing, self._lack, index, self._clock.now())])

    def _held_back(self, before: AlertRoutes, routes: AlertRoutes) -> bool:
        """Say whether to wait: another way under an old name must not swallow what waits there."""
        changed = [name for name, each in routes.channels.items() if self._made.get(name) != each]
        waits = [name for name in changed if name in self._made and self._ringing.waits(name)]
        if not waits:
            self._held = None
            return False
        self._held = self._held if self._held is not None else time.monotonic()
        return time.monotonic() - self._held < _HELD_AT_MOST_S

    def _make(self, routes: AlertRoutes, retiring: tuple[str, ...]) -> None:
        missing = {}
        lack = set()
        for name, channel in routes.channels.items():
            if name in self._settled:
                continue
            if self._made.get(name) == channel:
                self._ringing.come_back(name)
                continue
            try:
                made = made_channel(channel, self._folder, self._secrets, self._within)
                self._ringing.add(name, made)
                self._made[name] = channel
            except BreakglassError as error:
                missing[name] = error.message.removesuffix("; not started")
                if error.name == ErrorName.NO_SECRET:
                    lack.add(name)
                if name not in retiring and name in self._made:
                    del self._made[name]
        if missing != self.missing:
            for name, why in missing.items():
                log.error("channel %r of the policy cannot be called: %s", name, why)
        self.missing, self._lack = missing, frozenset(lack)


def _activated(routes: AlertRoutes, index: int, now: datetime) -> Alert:
    text = (
        f"The policy in force (entry {index}) calls these channels from now on:"
        f" {', '.join(sorted(routes.channels))}. Not expected? Call the maintainers now."
    )
    return Alert("channels_changed", f"entry/{index}", index, "policy", now, text)


def _missing(missing: dict[str, str], lack: frozenset[str], index: int, now: datetime) -> Alert:
    told = "; ".join(f"{name!r}: {why}" for name, why in sorted(missing.items()))
    text = (
        f"CHANNELS MISSING: the policy in force names channels that this monitor cannot call:"
        f" {told}. What would go there alone goes to all others."
    )
    if lack:
        text += (
            f" Put the secret of {', '.join(sorted(lack))} into the monitor's folder 'secrets'; it"
            " is found within a second."
        )
    # The same trouble rings once an hour at most, over restarts too.
    state = hashlib.sha256(told.encode()).hexdigest()[:16]
    once = f"{index}/{state}/{now:%Y-%m-%dT%H}"
    return Alert("channels_missing", f"entry/{index}", index, "policy", now, text, once=once)


def _written(routes: AlertRoutes) -> bytes:
    value = {
        "bundle": routes.bundle,
        "channels": {
            name: [each.type.value, each.target, list(each.to)]
            for name, each in routes.channels.items()
        },
        "alerts": {name: list(each) for name, each in routes.alerts.items()},
        "glasses": {name: list(each) for name, each in routes.glasses.items()},
    }
    return json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"


def read_routes(file: Path) -> AlertRoutes:
    """Read what is kept; what cannot be read is made again from the ledger, in a moment."""
    try:
        value = json.loads(file.read_bytes())
        return AlertRoutes(
            value["bundle"],
            {
                name: PolicyChannel(name, ChannelType(kind), target, tuple(to))
                for name, (kind, target, to) in value["channels"].items()
            },
            {name: tuple(each) for name, each in value["alerts"].items()},
            {name: tuple(each) for name, each in value["glasses"].items()},
        )
    except FileNotFoundError:
        return AlertRoutes()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("%s cannot be read: %s; the policy is read again", file, error)
        return AlertRoutes()
