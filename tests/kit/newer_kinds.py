"""A later release of breakglass, as a start module: it knows one kind more, in force by kinds 2.

    python -m tests.kit.newer_kinds broker FOLDER

Importing this module makes this process the later release; nothing else can ask for it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import import_module
from typing import ClassVar

from breakglass.records import all_kinds, kind_sets
from breakglass.records.encoding.text_types import Word
from breakglass.records.fold.context import Submission
from breakglass.records.fold.kind_registry import Registry
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.fold.state import State
from breakglass.records.record import Kind


@dataclass(frozen=True)
class Weather(Kind):
    """A kind that no release of today knows."""

    kind: ClassVar[str] = "weather"
    sky: Word


def judge(state: State, stated: Submission) -> None:
    """Count it, so that the state shows who judged it."""
    state.monitor.alerts["weather"] = state.monitor.alerts.get("weather", 0) + 1


kind_sets.NEWEST = 2
RULE = KindRule(Weather, by=frozenset({"monitor"}), judge=judge, since=2)
all_kinds.KINDS = Registry((*all_kinds.KINDS.rules, RULE))


if __name__ == "__main__":
    from breakglass.process.serving import process_main

    room = sys.argv[1]
    sys.exit(process_main(sys.argv[2:], import_module(f"breakglass.{room}.app").build, room))
