"""What stands around the glasses: gates, machines, channels, alarms and reviews."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from breakglass.policy import reading
from breakglass.policy.people import Directory, key, ref
from breakglass.policy.reading import BusinessDays, Due
from breakglass.policy.tree import Items, Node, wrong


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
    at = reading.fields(
        node, "a gate", need=("protects", "owner", "fail"),
        may=("reason", "could_not_evaluate_after", "siblings", "sanctioned"),
    )  # fmt: skip
    after = at.get("could_not_evaluate_after")
    return Gate(
        name,
        reading.text(at["protects"]),
        ref(at["owner"], directory),
        reading.choice(at["fail"], Fail),
        reading.text(at["reason"]) if "reason" in at else "",
        reading.span(after, timedelta(seconds=1), timedelta(hours=1)) if after else None,
        reading.items(at["siblings"], reading.handle, most=64) if "siblings" in at else (),
        reading.items(at["sanctioned"], _sanctioned, most=16) if "sanctioned" in at else (),
    )


def _sanctioned(node: Node) -> Sanctioned:
    at = reading.fields(node, "a sanctioned way", need=("when", "cedar"))
    file = reading.word(at["cedar"])
    if not file.endswith(".cedar"):
        raise wrong(at["cedar"], "a file of this bundle such as 'fast-path.cedar'")
    return Sanctioned(reading.text(at["when"]), file)


def parse_machine(name: str, node: Node, glasses: Collection[str]) -> Machine:
    """Read one machine."""
    at = reading.fields(
        node, "a machine",
        need=("glass", "condition", "prometheus", "sustained", "cool_down", "at_most", "act"),
        may=("key", "minter"),
    )  # fmt: skip
    if reading.handle(at["glass"]) not in glasses:
        raise wrong(at["glass"], "a glass of this bundle", name="unknown_name")
    rate = _RATE.fullmatch(reading.scalar(at["at_most"], "a cap such as '3 per day'"))
    if rate is None:
        raise wrong(at["at_most"], "a cap such as '3 per day'")
    return Machine(
        name,
        reading.handle(at["glass"]),
        reading.text(at["condition"]),
        _address(at["prometheus"]),
        reading.span(at["sustained"], timedelta(seconds=1), timedelta(hours=6)),
        reading.span(at["cool_down"], timedelta(seconds=1), timedelta(days=7)),
        int(rate[1]),
        _PER[rate[2]],
        reading.items(at["act"], reading.word, least=1, most=64),
        key(at["key"]) if "key" in at else "",
        reading.handle(at["minter"]) if "minter" in at else "",
    )


def _address(node: Node) -> str:
    found = reading.word(node)
    if not found.startswith(("http://", "https://")):
        raise wrong(node, "an address such as https://prometheus.example")
    return found


def parse_channel(name: str, node: Node) -> Channel:
    """Read one channel: exactly one type, and for mail whom it goes to."""
    at = reading.fields(node, "a channel", may=(*ChannelType, "to"))
    types = [each for each in at if each != "to"]
    if len(types) != 1:
        raise wrong(node, f"exactly one of {', '.join(ChannelType)}", f"{len(types)}")
    kind = ChannelType(types[0])
    if (kind is ChannelType.SMTP) != ("to" in at):
        raise wrong(node, "'to' beside 'smtp', and only there")
    target = reading.word(at[types[0]])
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
    to = reading.items(at["to"], reading.word, least=1, most=64) if "to" in at else ()
    return Channel(name, kind, target, to)


def parse_alarms(node: Node, channels: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Read ``alarms:``: which channels each class of news goes to."""
    at = reading.fields(node, "alarms", may=ALARM_CLASSES)
    found = {}
    for name, value in at.items():
        found[name] = reading.items(value, reading.handle, least=1, most=16)
        for each in found[name]:
            if each not in channels:
                raise wrong(value, "channels of this bundle", repr(each), name="unknown_name")
    return found


def parse_reviews(node: Node | None) -> Reviews:
    """Read ``reviews:``; left out, every review is due in 5 business days."""
    if node is None:
        return REVIEWS
    at = reading.fields(node, "reviews", may=("default", "holidays", "overdue"))
    default: dict[str, Due] = dict(REVIEWS.default)
    if "default" in at:
        rule = reading.CODE_OR_SEVERITY
        default |= reading.named(
            at["default"], "deadlines", lambda _, each: reading.due(each), rule
        )
    holidays: tuple[date, ...] = ()
    calendar = ""
    if "holidays" in at:
        if isinstance(at["holidays"], Items):
            holidays = reading.items(at["holidays"], reading.day)
        else:
            calendar = reading.word(at["holidays"])
    overdue = reading.choice(at["overdue"], Overdue) if "overdue" in at else Overdue.REMIND
    return Reviews(default, holidays, calendar, overdue)
