"""What stands around the glasses: gates, machines, channels, alarms and reviews."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from breakglass.policy import yaml_fields
from breakglass.policy.people import Directory, key, ref
from breakglass.policy.yaml_fields import BusinessDays, Due
from breakglass.policy.yaml_nodes import Items, Node, wrong


class Fail(StrEnum):
    """What a gate does when its check cannot be evaluated."""

    CLOSED = "closed"
    OPEN = "open"


@dataclass(frozen=True)
class Sanctioned:
    """A way past a gate that the policy wants: in words, and the Cedar file that says it."""

    when: str
    cedar: str


@dataclass(frozen=True)
class Gate:
    """A control that stays shut; ``siblings`` are other doors to the same room."""

    name: str
    protects: str
    owner: str
    fail: Fail = Fail.CLOSED
    reason: str = ""
    could_not_evaluate_after: timedelta | None = None
    siblings: tuple[str, ...] = ()
    sanctioned: tuple[Sanctioned, ...] = ()


@dataclass(frozen=True)
class Machine:
    """Auto-remediation: the reviewed policy is the approver. Without ``key`` it cannot act yet."""

    name: str
    glass: str
    condition: str
    prometheus: str
    sustained: timedelta
    cool_down: timedelta
    at_most: int
    per: timedelta
    act: tuple[str, ...]
    key: str = ""
    minter: str = ""


class ChannelType(StrEnum):
    """Where an alarm can go."""

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


class Overdue(StrEnum):
    """What an overdue review does to its glass."""

    ONE_MORE_PERSON = "one-more-person"
    REMIND = "remind"


@dataclass(frozen=True)
class Reviews:
    """Deadlines by severity (``other`` for the rest), and which days are no working days."""

    default: Mapping[str, Due]
    holidays: tuple[date, ...] = ()
    calendar: str = ""
    overdue: Overdue = Overdue.REMIND


REVIEWS = Reviews({"other": BusinessDays(5)})
ALARM_CLASSES = (
    "glass", "contained", "broad", "severe", "catastrophic", "jit", "drill", "machine",
    "gate", "policy", "pulse",
)  # fmt: skip
_RATE = re.compile(r"([1-9][0-9]{0,3}) per (hour|day|week)", re.ASCII)
_PER = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}


def parse_gate(name: str, node: Node, directory: Directory) -> Gate:
    """Read one gate. Whether ``fail: open`` has a reason is for ``lint``."""
    at = yaml_fields.fields(
        node, "a gate", need=("protects", "owner", "fail"),
        may=("reason", "could_not_evaluate_after", "siblings", "sanctioned"),
    )  # fmt: skip
    after = at.get("could_not_evaluate_after")
    return Gate(
        name,
        yaml_fields.text(at["protects"]),
        ref(at["owner"], directory),
        yaml_fields.choice(at["fail"], Fail),
        yaml_fields.text(at["reason"]) if "reason" in at else "",
        yaml_fields.span(after, timedelta(seconds=1), timedelta(hours=1)) if after else None,
        yaml_fields.items(at["siblings"], yaml_fields.handle, most=64) if "siblings" in at else (),
        yaml_fields.items(at["sanctioned"], _sanctioned, most=16) if "sanctioned" in at else (),
    )


def _sanctioned(node: Node) -> Sanctioned:
    at = yaml_fields.fields(node, "a sanctioned way", need=("when", "cedar"))
    file = yaml_fields.word(at["cedar"])
    if not file.endswith(".cedar"):
        raise wrong(at["cedar"], "a file of this bundle such as 'fast-path.cedar'")
    return Sanctioned(yaml_fields.text(at["when"]), file)


def parse_machine(name: str, node: Node, glasses: Collection[str]) -> Machine:
    """Read one machine."""
    at = yaml_fields.fields(
        node, "a machine",
        need=("glass", "condition", "prometheus", "sustained", "cool_down", "at_most", "act"),
        may=("key", "minter"),
    )  # fmt: skip
    if yaml_fields.handle(at["glass"]) not in glasses:
        raise wrong(at["glass"], "a glass of this bundle", name="unknown_name")
    rate = _RATE.fullmatch(yaml_fields.scalar(at["at_most"], "a cap such as '3 per day'"))
    if rate is None:
        raise wrong(at["at_most"], "a cap such as '3 per day'")
    return Machine(
        name,
        yaml_fields.handle(at["glass"]),
        yaml_fields.text(at["condition"]),
        _address(at["prometheus"]),
        yaml_fields.span(at["sustained"], timedelta(seconds=1), timedelta(hours=6)),
        yaml_fields.span(at["cool_down"], timedelta(seconds=1), timedelta(days=7)),
        int(rate[1]),
        _PER[rate[2]],
        yaml_fields.items(at["act"], yaml_fields.word, least=1, most=64),
        key(at["key"]) if "key" in at else "",
        yaml_fields.handle(at["minter"]) if "minter" in at else "",
    )


def _address(node: Node) -> str:
    found = yaml_fields.word(node)
    if not found.startswith(("http://", "https://")):
        raise wrong(node, "an address such as https://prometheus.example")
    return found


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
        if target.startswith("secret:") or "\0" in target:
            raise wrong(at[types[0]], "a file, relative to the monitor's data folder")
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


def parse_alarms(node: Node, channels: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Read ``alarms:``: which channels each class of news goes to."""
    at = yaml_fields.fields(node, "alarms", may=ALARM_CLASSES)
    found = {}
    for name, value in at.items():
        found[name] = yaml_fields.items(value, yaml_fields.handle, least=1, most=16)
        for each in found[name]:
            if each not in channels:
                raise wrong(value, "channels of this bundle", repr(each), name="unknown_name")
    return found


def parse_reviews(node: Node | None) -> Reviews:
    """Read ``reviews:``; left out, every review is due in 5 business days."""
    if node is None:
        return REVIEWS
    at = yaml_fields.fields(node, "reviews", may=("default", "holidays", "overdue"))
    default: dict[str, Due] = dict(REVIEWS.default)
    if "default" in at:
        rule = yaml_fields.CODE_OR_SEVERITY
        default |= yaml_fields.named(
            at["default"], "deadlines", lambda _, each: yaml_fields.due(each), rule
        )
    holidays: tuple[date, ...] = ()
    calendar = ""
    if "holidays" in at:
        if isinstance(at["holidays"], Items):
            holidays = yaml_fields.items(at["holidays"], yaml_fields.day)
        else:
            calendar = yaml_fields.word(at["holidays"])
    overdue = yaml_fields.choice(at["overdue"], Overdue) if "overdue" in at else Overdue.REMIND
    return Reviews(default, holidays, calendar, overdue)
