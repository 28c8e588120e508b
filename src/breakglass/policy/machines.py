"""A machine of the bundle: what it watches, the one act that it may have run, and how often.

The reviewed policy is its approver, so it stands only where nobody's approval is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from breakglass.error_names import ErrorName
from breakglass.policy import yaml_fields
from breakglass.policy.glass import Glass
from breakglass.policy.people import key
from breakglass.policy.yaml_nodes import Node, wrong

_RATE = re.compile(r"([1-9][0-9]{0,2}|1000) per (hour|day|week)", re.ASCII)
_PER = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}
_SOFTWARE = ("ssh-ed25519 ", "ecdsa-sha2-nistp256 ")


@dataclass(frozen=True)
class Machine:
    """Who asks when nobody does. ``act`` is an act of its glass at ``minter``.

    ``at_most`` times in ``per``, with ``cool_down`` between two. Without ``key`` it cannot act yet.
    """

    name: str
    glass: str
    condition: str
    prometheus: str
    sustained: timedelta
    cool_down: timedelta
    at_most: int
    per: timedelta
    minter: str
    act: str
    key: str = ""


def parse_machine(name: str, node: Node, glasses: Mapping[str, Glass]) -> Machine:
    """Read one machine.

    Raises:
        MalformedError: with the place: a glass, minter or act that is not there, or a key that
            somebody must touch.
    """
    at = yaml_fields.fields(
        node, "a machine",
        need=("glass", "condition", "prometheus", "sustained", "cool_down", "at_most", "act"),
        may=("key", "minter"),
    )  # fmt: skip
    if yaml_fields.handle(at["glass"]) not in glasses:
        raise wrong(at["glass"], "a glass of this bundle", name=ErrorName.UNKNOWN_NAME)
    rate = _RATE.fullmatch(yaml_fields.scalar(at["at_most"], "a cap such as '3 per day'"))
    if rate is None:
        raise wrong(at["at_most"], "a cap such as '3 per day', 1000 at most")
    act = yaml_fields.handle(at["act"])
    return Machine(
        name,
        yaml_fields.handle(at["glass"]),
        yaml_fields.text(at["condition"]),
        _address(at["prometheus"]),
        yaml_fields.span(at["sustained"], timedelta(seconds=1), timedelta(hours=6)),
        yaml_fields.span(at["cool_down"], timedelta(0), timedelta(days=7)),
        int(rate[1]),
        _PER[rate[2]],
        _minter(at, glasses[yaml_fields.handle(at["glass"])], act),
        act,
        _key(at["key"]) if "key" in at else "",
    )


def _minter(at: Mapping[str, Node], glass: Glass, act: str) -> str:
    acts = {each.minter: sorted(each.acts) for each in glass.mints}
    running = [minter for minter, names in acts.items() if act in names]
    if "minter" in at:
        found = yaml_fields.handle(at["minter"])
        if found not in acts:
            raise wrong(
                at["minter"], f"a minter of glass {glass.name!r}", name=ErrorName.UNKNOWN_NAME
            )
        running = [found] if found in running else []
    if not running:
        known = ", ".join(sorted({name for names in acts.values() for name in names})) or "none"
        raise wrong(
            at["act"],
            f"an act that glass {glass.name!r} has there ({known})",
            repr(act),
            name=ErrorName.UNKNOWN_NAME,
            hint="acts stand in the glass: mint: {PLATFORM: {…, acts: {NAME: {run: […]}}}}",
        )
    if len(running) > 1:
        raise wrong(at["act"], f"'minter' beside it: {', '.join(running)} have an act {act!r}")
    return running[0]


def _key(node: Node) -> str:
    found = key(node)
    if not found.startswith(_SOFTWARE):
        raise wrong(
            node,
            "a software key: nobody is there to touch another",
            repr(found.split()[0]),
            name=ErrorName.BAD_KEY,
            hint="make one with: ssh-keygen -t ed25519",
        )
    return found


def _address(node: Node) -> str:
    found = yaml_fields.word(node)
    if not found.startswith(("http://", "https://")):
        raise wrong(node, "an address such as https://prometheus.example")
    return found
