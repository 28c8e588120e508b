"""People's own channels: what they sign of them, and the bells that ring there.

A person is called on their own channels alone for what concerns them: pages, receipts, answers.
A channel that is added or taken away is told on those that were there before, so that a thief of a
key cannot move the pages away in silence.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from breakglass.clock import Clock, format_time
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, RefusedError
from breakglass.monitor.alerts.alert import Alert
from breakglass.monitor.alerts.channel import Message
from breakglass.monitor.alerts.dispatch import Dispatch
from breakglass.monitor.people.own_channel import (
    Limits,
    Uncallable,
    made_own,
    masked,
    uncalled,
)
from breakglass.monitor.people.store import PeopleStore
from breakglass.node.replica import Replica
from breakglass.records.me import (
    Mine,
    MyChannels,
    MyMute,
    MyTest,
    check_me,
    parse_me,
)
from breakglass.records.signing.signature import Signed, SignedByPasskey
from breakglass.strict_json import Many

log = logging.getLogger("breakglass.alarms")
At = Callable[[str], None]


@dataclass(frozen=True)
class MeBody:
    """What a person signed of themselves."""

    text: Signed | SignedByPasskey


@dataclass(frozen=True)
class OwnChannelView:
    """One own channel; the target is shown in part.

    ``failure`` says why it cannot be called, or why what waits there was not heard yet; else it is
    empty.
    """

    name: str
    type: str
    target: str
    failure: str


@dataclass(frozen=True)
class MeView:
    """What the monitor knows of a person; ``heard`` is how a test went, or empty."""

    who: str
    channels: Annotated[tuple[OwnChannelView, ...], Many(4)]
    mutes: Mapping[str, str]
    heard: str


class OwnChannels:
    """Takes what people sign of themselves; safe under threads.

    Args:
        store: the file.
        ringing: whose bells these are.
        view: for people's keys and suspensions.
        keys: the monitor's own keys: ``to`` is one of them.
        log_name: the log's origin.
        clock: the monitor's.
        limits: see ``Limits``.
        at: told of each step; tests end the process there.
    """

    def __init__(
        self,
        store: PeopleStore,
        ringing: Dispatch,
        view: Replica,
        keys: Sequence[str],
        log_name: str,
        clock: Clock,
        limits: Limits,
        at: At = lambda step: None,
    ) -> None:
        self.store = store
        self._ringing = ringing
        self._view = view
        self._keys = tuple(keys)
        self._log = log_name
        self._clock = clock
        self._limits = limits
        self._at = at
        self._one = threading.Lock()
        self._uncalled: dict[str, str] = {}  # why a channel cannot be called, by PERSON.NAME
        self._testing: set[str] = set()  # whose channel is tested at this moment
        for who in store.everybody():
            self._follow(who)
        self._follow_leaving()

    def take(self, body: MeBody) -> MeView:
        """Do what a person signed of themselves.

        Raises:
            BreakglassError: see ``check_me``; ``unknown_person``, ``suspended``,
                ``repeated_request``, ``bad_address``. Nothing changed.
        """
        mine = self._believed(body)
        if isinstance(mine, MyTest):
            return self._taken_test(mine)
        with self._one:
            if isinstance(mine, MyChannels):
                for each in mine.channels:
                    if each.target:
                        made_own(each, self._limits)  # refused before it is kept
                self.store.check(mine)
                # (1) Tell the old ones, on their outboxes' disk. A crash behind this tells of a
                #     change that was not made: loud, and never silent the other way round.
                self._tell(mine, {each.name for each in self.store.channels(mine.who)})
                self._at("told")
                # (2) Keep, whole or not at all. From here a restart rings the new ones.
                self.store.take(mine)
                self._at("kept")
                # (3) Ring the new ones from now on.
                self._follow(mine.who)
                self._follow_leaving()
            else:
                self.store.take(mine)
                self._tell_mute(mine)
        return self.shown(mine.who)

    def look(self) -> None:
        """Let go of channels that were taken away: what waits there was rung, or is a day old."""
        with self._one:  # none of them comes back meanwhile
            overdue = self.store.overdue(self._clock.now())
            for who, each in self.store.leaving():
                name = f"{who}.{each.name}"
                late = (who, each.name) in overdue
                if self._ringing.waits(name) and not late:
                    continue
                if late:
                    log.error("own channel %r was not heard for a day: what waits is dropped", name)
                # (1) What waits must not go to another target that takes this name later. A crash
                #     behind this finds nothing that waits, and lets go of it.
                self._ringing.remove(name, forget=True)
                # (2) From here its name is free.
                self.store.left(who, each.name)

    def shown(self, who: str, heard: str = "") -> MeView:
        """Return what is known of a person, with masked targets."""
        views = tuple(
            OwnChannelView(
                each.name,
                each.type.value,
                masked(each),
                self._failure(f"{who}.{each.name}"),
            )
            for each in self.store.channels(who)
        )
        mutes = self.store.mutes(who, self._clock.now())
        return MeView(
            who, views, {each: format_time(until) for each, until in mutes.items()}, heard
        )

    def _believed(self, body: MeBody) -> Mine:
        who = parse_me(body.text.text).who
        with self._view.reading() as state:
            governance = state.governance
            keys = governance.keys_of(who)
            suspended = ("person", who) in governance.suspended
            skew = (governance.trust or self._view.trust()).skew
        if not keys:
            raise RefusedError(f"unknown person {who!r}", name=ErrorName.UNKNOWN_PERSON)
        if suspended:
            raise RefusedError(f"{who!r} is suspended", name=ErrorName.SUSPENDED)
        return check_me(body.text, keys, self._log, self._keys, self._clock.now(), skew)

    def _failure(self, name: str) -> str:
        why = self._uncalled.get(name)
        return uncalled(why) if why is not None else self._ringing.failure(name)

    def _taken_test(self, mine: MyTest) -> MeView:
        with self._one:
            if mine.who in self._testing:
                raise RefusedError(
                    f"a test of {mine.who!r} is under way; nothing was sent",
                    name=ErrorName.TOO_MANY,
                )
            self.store.take(mine)
            self._testing.add(mine.who)
        try:
            # Under no lock: a receiver that hangs must not hold up what others say of themselves.
            return self.shown(mine.who, self._tested(mine))
        finally:
            with self._one:
                self._testing.discard(mine.who)

    def _tested(self, mine: MyTest) -> str:
        name = f"{mine.who}.{mine.name}"
        if name in self._uncalled:
            return uncalled(self._uncalled[name])
        channel = self._ringing.channel(name) if name in self._ringing.own(mine.who) else None
        if channel is None:
            raise RefusedError(
                f"{mine.who!r} has no own channel {mine.name!r}", name=ErrorName.NO_OWN_CHANNEL
            )
        text = f"TEST of {mine.who}'s own channel {mine.name!r}. Nobody has to do anything."
        news = Alert("test", mine.who, 0, f"test/{mine.nonce}", mine.at, text, stated=False)
        try:
            channel.deliver(Message(f"test/{mine.nonce}", news.thread, news.body(self._log)))
        except BreakglassError as error:
            return error.message
        return "heard"

    def _tell(self, mine: MyChannels, before: set[str]) -> None:
        names = {each.name for each in mine.channels}
        parts = [
            f"{what} {', '.join(sorted(found))}"
            for what, found in (
                ("added", names - before),
                ("taken away", before - names),
            )
            if found
        ]
        if not parts:
            return
        if self._ringing.own(mine.who):
            text = (
                f"YOUR CHANNELS changed, signed with your key: {'; '.join(parts)}. Not you? Call"
                f" somebody who may stop it: breakglass kill person:{mine.who}"
            )
            self._ring(mine, text)
            return
        # Nobody is called on a channel of their own yet: a thief's would be the first, in silence.
        text = (
            f"OWN CHANNELS of {mine.who} changed, signed with their key: {'; '.join(parts)}. Pages"
            f" for {mine.who} go there. Not {mine.who}? breakglass kill person:{mine.who}"
        )
        self._ring(mine, text, to_all=True)

    def _tell_mute(self, mine: MyMute) -> None:
        text = (
            f"You are not paged for what {mine.person} asks until {mine.until:%H:%M} UTC, signed"
            f" with your key. Not you? Call somebody who may stop it: breakglass kill"
            f" person:{mine.who}"
        )
        self._ring(mine, text)

    def _ring(self, mine: MyChannels | MyMute, text: str, *, to_all: bool = False) -> None:
        news = Alert(
            "own_channels",
            mine.who,
            0,
            f"me/{mine.who}",
            mine.at,
            text,
            stated=False,
            person="" if to_all else mine.who,
            once=f"{mine.who}/{mine.nonce}",
        )
        self._ringing.ring([news])

    def _follow(self, who: str) -> None:
        """Let the bells be those of the file."""
        wanted = {f"{who}.{each.name}": each for each in self.store.channels(who)}
        for name, each in wanted.items():
            try:
                self._ringing.add(name, made_own(each, self._limits))
                self._uncalled.pop(name, None)
            except BreakglassError as error:
                self._uncalled[name] = error.message
                log.error("own channel %r cannot be called: %s", name, error)
        for name in self._ringing.own(who):
            if name not in wanted:
                self._ringing.leave(name)

    def _follow_leaving(self) -> None:
        """Let what was taken away ring what waits there; what cannot be called keeps it."""
        for who, each in self.store.leaving():
            name = f"{who}.{each.name}"
            self._uncalled.pop(name, None)
            if self._ringing.channel(name) is not None:
                continue  # it leaves already
            try:
                channel = made_own(each, self._limits)
            except BreakglassError as error:
                log.error("own channel %r, taken away, cannot be called: %s", name, error)
                channel = Uncallable(error)
            try:
                self._ringing.add(name, channel, leaving=True)
            except BreakglassError as error:
                log.error("what waits on own channel %r is not rung: %s", name, error)
