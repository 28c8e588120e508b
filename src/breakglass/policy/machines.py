"""A machine of the bundle: what it watches, the one act that it may have run, and how often."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from breakglass.policy import yaml_fields
from breakglass.policy.people import key
from breakglass.policy.yaml_nodes import Node, wrong

_RATE = re.compile(r"([1-9][0-9]{0,3}) per (hour|day|week)", re.ASCII)
_PER = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}


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
