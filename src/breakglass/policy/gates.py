"""A gate of the bundle: a control that stays shut, who owns it, and what it does when unsure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from breakglass.policy import yaml_fields
from breakglass.policy.people import Directory, ref
from breakglass.policy.yaml_nodes import Node, wrong


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
