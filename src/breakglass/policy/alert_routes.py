"""Which ways there are to be heard, and which class of news goes to which of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from breakglass.error_names import ErrorName
from breakglass.policy import yaml_fields
from breakglass.policy.yaml_nodes import Node, wrong
from breakglass.records.encoding.text_types import Pattern

ALERT_CLASSES = (
    "glass", "contained", "broad", "severe", "catastrophic", "jit", "drill", "machine",
    "gate", "policy", "pulse",
)  # fmt: skip
CHANNELS_AT_MOST = 64
"""As many as a ``pulse`` record names."""
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}\.(log|jsonl)", re.ASCII)
ChannelName = Annotated[
    str, Pattern("a name of a-z, 0-9, '_', '-' (a dot is a person's)", r"[a-z0-9][a-z0-9_-]{0,62}")
]


class ChannelType(StrEnum):
    """Where an alert can go."""

    WEBHOOK = "webhook"
    LOG_FILE = "log_file"
    SLACK = "slack"
    PAGERDUTY = "pagerduty"
    SMTP = "smtp"


@dataclass(frozen=True)
class Channel:
    """One way to be heard. ``target`` is ``secret:NAME``, or the file of ``log_file``."""

    name: str
    type: ChannelType
    target: str
    to: tuple[str, ...] = ()

    @property
    def secret(self) -> str:
        """The name under which the monitor holds this channel's secret; empty for a file."""
        return self.target.removeprefix("secret:") if self.target.startswith("secret:") else ""


def is_log_file(target: str) -> bool:
    """Say whether a policy may name this file: one of its own, directly in the data folder.

    The monitor's other files there are its memory, and a line written into one of them breaks it.

    >>> [is_log_file(each) for each in ("alarms.log", "channels/pager.sqlite", "../x.log", ".log")]
    [True, False, False, False]
    """
    return _FILE.fullmatch(target) is not None


def parse_channels(node: Node) -> dict[str, Channel]:
    """Read ``channels:``: every way to be heard, by its name."""
    return yaml_fields.named(node, "channels", parse_channel, ChannelName, most=CHANNELS_AT_MOST)


def parse_channel(name: str, node: Node) -> Channel:
    """Read one channel: exactly one type, and for mail whom it goes to."""
    at = yaml_fields.fields(node, "a channel", may=(*ChannelType, "to"))
    types = [each for each in at if each != "to"]
    if len(types) != 1:
        raise wrong(node, f"exactly one of {', '.join(ChannelType)}", f"{len(types)}")
    kind = ChannelType(types[0])
    if (kind is ChannelType.SMTP) != ("to" in at):
        raise wrong(node, "'to' beside 'smtp', and only there")
    target = yaml_fields.word(at[types[0]])
    if kind is ChannelType.LOG_FILE:
        if not is_log_file(target):
            raise wrong(
                at[types[0]],
                "the name of a file in the monitor's data folder that ends in .log or .jsonl",
                repr(target[:60]),
            )
    elif not re.fullmatch(r"secret:[a-z0-9][a-z0-9._-]{0,62}", target, re.ASCII):
        # The bundle is signed, stored and shown; a webhook's address is a secret.
        raise wrong(
            at[types[0]],
            "'secret:NAME'",
            "something else",
            hint="put the value under that name in the monitor's secrets folder",
        )
    to = yaml_fields.items(at["to"], yaml_fields.word, least=1, most=64) if "to" in at else ()
    return Channel(name, kind, target, to)


def parse_alerts(node: Node, channels: Mapping[str, Channel]) -> dict[str, tuple[str, ...]]:
    """Read ``alerts:``: which channels each class of news goes to.

    Only a webhook may hear the sign of life and nothing else: a dead-man's switch is one, and
    whatever people read would be silenced by it.
    """
    at = yaml_fields.fields(node, "alerts", may=ALERT_CLASSES)
    found = {}
    for name, value in at.items():
        found[name] = yaml_fields.items(value, yaml_fields.handle, least=1, most=16)
        for each in found[name]:
            if each not in channels:
                raise wrong(
                    value, "channels of this bundle", repr(each), name=ErrorName.UNKNOWN_NAME
                )
    for each in sorted(_only_pulse(found)):
        if channels[each].type is not ChannelType.WEBHOOK:
            raise wrong(
                at["pulse"],
                "a webhook, as what hears the sign of life alone",
                f"{each!r} ({channels[each].type})",
                hint="give it another class too, or take it out of 'pulse'",
            )
    return found


def _only_pulse(alerts: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    others = {name for cls, names in alerts.items() if cls != "pulse" for name in names}
    return frozenset(alerts.get("pulse", ())) - others


@dataclass(frozen=True)
class AlertRoutes:
    """Where a bundle's news goes, apart from the bundle: small enough to be kept and read at once.

    Attributes:
        bundle: the SHA-256 of the bundle, in hexadecimal; empty for none.
        channels: each channel by its name.
        alerts: the channels of each class.
        glasses: the channels of each glass, by its radius.
    """

    bundle: str = ""
    channels: Mapping[str, Channel] = field(default_factory=dict)
    alerts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    glasses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def named(self, route: str, glass: str) -> tuple[str, ...]:
        """Return the channels of a class; none: the policy says nothing of it.

        What a glass does goes by its radius; of a glass that is not known, by ``glass``.
        """
        if route == "glass" and glass in self.glasses:
            return self.glasses[glass]
        return self.alerts.get(route, ())

    @property
    def pulse_only(self) -> frozenset[str]:
        """The channels that hear the sign of life and nothing else: news would look like one."""
        return _only_pulse(self.alerts)

    def heard_on(
        self, route: str, glass: str, standing: Collection[str], settled: Collection[str] = ()
    ) -> frozenset[str]:
        """Return which of the channels ``standing`` hear news; never none of them.

        Args:
            route: the class, or empty for news of the rules, which all hear.
            glass: what the news is of, or empty.
            standing: every channel that can be called. What the policy does not name is the
                settings' own and hears everything.
            settled: those of the settings. A policy may route what they hear, and silences none
                of them: it would name the monitor's pager a dead-man's switch.
        """
        hears = frozenset(standing) - (self.pulse_only - frozenset(settled))
        if not route:
            return hears or frozenset(standing)
        own = frozenset(standing) - self.channels.keys()
        found = frozenset(self.named(route, glass)) & hears
        if not found:
            # Routed to nothing, or to what cannot be called: then nobody may miss it.
            return hears or frozenset(standing)
        return found | own
