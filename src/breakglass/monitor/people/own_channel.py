"""One channel of a person's own: made from their words, and shown without what could be called."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MalformedError, RefusedError, UnavailableError
from breakglass.monitor.alerts.channel import Channel, Message
from breakglass.monitor.alerts.mail import Mail, MailServer
from breakglass.monitor.alerts.outside_http import is_public
from breakglass.monitor.alerts.slack import Slack
from breakglass.monitor.alerts.webhook import Webhook
from breakglass.records.me import OwnChannel, OwnType


@dataclass(frozen=True)
class Limits:
    """What people may name: ``mail`` is the server for them, if there is one.

    ``inside`` are hosts that may lie inside: a chat server of one's own.
    """

    within: timedelta
    mail: MailServer | None = None
    inside: tuple[str, ...] = ()


class Uncallable:
    """Stands for a channel that this monitor cannot call, so that what waits there stays kept."""

    def __init__(self, why: BreakglassError) -> None:
        self._why = why.message

    def deliver(self, message: Message) -> None:
        """Make nothing heard. See ``Channel``."""
        raise UnavailableError(uncalled(self._why), name=ErrorName.UNREACHABLE)


def uncalled(why: str) -> str:
    """Say that a channel cannot be called, and why."""
    return f"it cannot be called by this monitor: {why.removesuffix('; nothing was changed')}"


def made_own(own: OwnChannel, limits: Limits) -> Channel:
    """Make a channel of a person's own.

    Raises:
        RefusedError: ``no_mail_server``: none is set here.
        MalformedError: ``bad_target``: the target is none that may be called.
    """
    if own.type is OwnType.MAIL:
        if limits.mail is None:
            raise RefusedError(
                "this monitor has no mail server for people; nothing was changed",
                name=ErrorName.NO_MAIL_SERVER,
                hint='its settings name one: mail = "secret:NAME"',
            )
        if own.target.count("@") != 1 or any(each in own.target for each in ' ,;<>"()'):
            raise _bad(own, "is no mail address")
        return Mail(limits.mail, [own.target], limits.within)
    outside = _must_lie_outside(own, limits)
    if own.type is OwnType.SLACK:
        return Slack(own.target, limits.within, outside=outside)
    return Webhook(own.target, "", limits.within, outside=outside)


def masked(own: OwnChannel) -> str:
    """Show enough to know it again, and nothing that could be called.

    >>> masked(OwnChannel("phone", OwnType.WEBHOOK, "https://ntfy.example/a-secret-path"))
    'https://ntfy.example/…'
    >>> masked(OwnChannel("post", OwnType.MAIL, "sam@shop.example"))
    's…@shop.example'
    """
    if own.type is OwnType.MAIL:
        name, _, host = own.target.partition("@")
        return f"{name[:1]}…@{host}"
    parts = urlsplit(own.target)
    return f"{parts.scheme}://{parts.hostname}/…"


def _must_lie_outside(own: OwnChannel, limits: Limits) -> bool:
    """Say whether the other end must have a public address."""
    try:
        parts = urlsplit(own.target)
        host = parts.hostname or ""
        named = f"{host}:{parts.port}" if parts.port else host
    except ValueError as error:
        raise _bad(own, "is no address") from error
    if named in limits.inside:
        return False
    if parts.scheme != "https" or not host:
        raise _bad(own, "does not begin with https://")
    try:
        inside = not is_public(host)
    except ValueError:
        inside = False  # a name; what it stands for is looked at when it is called
    if inside:
        raise _bad(own, "lies inside")
    return True


def _bad(own: OwnChannel, why: str) -> MalformedError:
    return MalformedError(
        f"the target of channel {own.name!r} {why}; nothing was changed",
        name=ErrorName.BAD_TARGET,
    )
