"""People's own channels: what they sign of them, and the bells that ring there.

A person is called on their own channels alone for what concerns them: pages, receipts, answers.
A channel that is added or taken away is told on those that were there before, so that a thief of a
key cannot move the pages away in silence.
"""

from __future__ import annotations

import ipaddress
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from breakglass.clock import Clock, format_time
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MalformedError, RefusedError
from breakglass.monitor.alerts.alert import Alert
from breakglass.monitor.alerts.channel import Channel, Message
from breakglass.monitor.alerts.dispatch import Dispatch
from breakglass.monitor.alerts.mail import Mail, MailServer
from breakglass.monitor.alerts.slack import Slack
from breakglass.monitor.alerts.webhook import Webhook
from breakglass.monitor.people.store import PeopleStore
from breakglass.node.replica import Replica
from breakglass.records.me import (
    Mine,
    MyChannels,
    MyMute,
    MyTest,
    OwnChannel,
    OwnType,
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
    """One own channel; the target is shown in part. ``failure`` is empty where nothing waits."""

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


@dataclass(frozen=True)
class Limits:
    """What people may name: ``mail`` is the server for them, if there is one.

    ``inside`` are hosts that may lie inside: a chat server of one's own.
    """

    within: timedelta
    mail: MailServer | None = None
    inside: tuple[str, ...] = ()


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
        for who in store.everybody():
            self._follow(who)
        for who, each in store.leaving():
            ringing.add(f"{who}.{each.name}", self._channel(each))
            ringing.leave(f"{who}.{each.name}")

    def take(self, body: MeBody) -> MeView:
        """Do what a person signed of themselves.

        Raises:
            BreakglassError: see ``check_me``; ``unknown_person``, ``suspended``,
                ``repeated_request``, ``bad_address``. Nothing changed.
        """
        mine = self._believed(body)
        with self._one:
            if isinstance(mine, MyTest):
                self.store.take(mine)
                return self.shown(mine.who, self._tested(mine))
            if isinstance(mine, MyChannels):
                for each in mine.channels:
                    if each.target:
                        self._channel(each)  # what cannot be called is refused before it is kept
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
            else:
                self.store.take(mine)
                self._tell_mute(mine)
        return self.shown(mine.who)

    def look(self) -> None:
        """Let go of channels that were taken away and have rung what waited there."""
        for who, each in self.store.leaving():
            name = f"{who}.{each.name}"
            if not self._ringing.waits(name):
                with self._one:
                    self._ringing.remove(name)
                    self.store.left(who, each.name)

    def shown(self, who: str, heard: str = "") -> MeView:
        """Return what is known of a person, with masked targets."""
        views = tuple(
            OwnChannelView(
                each.name,
                each.type.value,
                _masked(each),
                self._ringing.failure(f"{who}.{each.name}"),
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

    def _tested(self, mine: MyTest) -> str:
        channel = self._ringing.channel(f"{mine.who}.{mine.name}")
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
        if not parts or not before:
            return
        text = (
            f"YOUR CHANNELS changed, signed with your key: {'; '.join(parts)}. Not you? Call"
            f" somebody who may stop it: breakglass kill person:{mine.who}"
        )
        self._ring(mine, text)

    def _tell_mute(self, mine: MyMute) -> None:
        text = (
            f"You are not paged for what {mine.person} asks until {mine.until:%H:%M} UTC, signed"
            f" with your key. Not you? Call somebody who may stop it: breakglass kill"
            f" person:{mine.who}"
        )
        self._ring(mine, text)

    def _ring(self, mine: MyChannels | MyMute, text: str) -> None:
        news = Alert(
            "own_channels",
            mine.who,
            0,
            f"me/{mine.who}",
            mine.at,
            text,
            stated=False,
            person=mine.who,
            once=f"{mine.who}/{mine.nonce}",
        )
        self._ringing.ring([news])

    def _follow(self, who: str) -> None:
        """Let the bells be those of the file."""
        wanted = {f"{who}.{each.name}": each for each in self.store.channels(who)}
        for name, each in wanted.items():
            try:
                self._ringing.add(name, self._channel(each))
            except BreakglassError as error:
                log.error("own channel %r cannot be called: %s", name, error)
        for name in self._ringing.own(who):
            if name not in wanted:
                self._ringing.leave(name)

    def _channel(self, own: OwnChannel) -> Channel:
        """Make a channel of a person's own.

        Raises:
            RefusedError: no mail server is set here.
            MalformedError: the target is none that may be called.
        """
        if own.type is OwnType.MAIL:
            if self._limits.mail is None:
                raise RefusedError(
                    "this monitor has no mail server for people; nothing was changed",
                    name=ErrorName.NO_MAIL_SERVER,
                    hint='its settings name one: mail = "secret:NAME"',
                )
            if own.target.count("@") != 1 or any(each in own.target for each in ' ,;<>"()'):
                raise _bad(own, "is no mail address")
            return Mail(self._limits.mail, [own.target], self._limits.within)
        outside = self._check_address(own)
        if own.type is OwnType.SLACK:
            return Slack(own.target, self._limits.within, outside=outside)
        return Webhook(own.target, "", self._limits.within, outside=outside)

    def _check_address(self, own: OwnChannel) -> bool:
        """Say whether the other end must have a public address."""
        try:
            parts = urlsplit(own.target)
            host = parts.hostname or ""
            named = f"{host}:{parts.port}" if parts.port else host
        except ValueError as error:
            raise _bad(own, "is no address") from error
        if named in self._limits.inside:
            return False
        if parts.scheme != "https" or not host:
            raise _bad(own, "does not begin with https://")
        try:
            if not ipaddress.ip_address(host).is_global:
                raise _bad(own, "lies inside")
        except ValueError:
            pass  # a name; what it stands for is looked at when it is called
        return True


def _bad(own: OwnChannel, why: str) -> MalformedError:
    return MalformedError(
        f"the target of channel {own.name!r} {why}; nothing was changed",
        name=ErrorName.BAD_TARGET,
    )


def _masked(own: OwnChannel) -> str:
    """Show enough to know it again, and nothing that could be called.

    >>> _masked(OwnChannel("phone", OwnType.WEBHOOK, "https://ntfy.example/a-secret-path"))
    'https://ntfy.example/…'
    >>> _masked(OwnChannel("post", OwnType.MAIL, "sam@shop.example"))
    's…@shop.example'
    """
    if own.type is OwnType.MAIL:
        name, _, host = own.target.partition("@")
        return f"{name[:1]}…@{host}"
    parts = urlsplit(own.target)
    return f"{parts.scheme}://{parts.hostname}/…"
