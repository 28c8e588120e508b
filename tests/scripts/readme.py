"""Reads the tour out of the README: what is typed, and what must be seen."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"
_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
_PROMPT = "$ "


@dataclass(frozen=True)
class Step:
    """One command of the tour; ``shows`` are the lines under it."""

    words: tuple[str, ...]
    shows: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join(self.words)


def tour() -> list[Step]:
    """Return the steps of every console block, in order."""
    steps: list[Step] = []
    for block in _BLOCK.findall(README.read_text("utf-8")):
        typed: list[str] | None = None
        shown: list[str] = []
        for line in [*block.splitlines(), _PROMPT]:
            if line.startswith(_PROMPT):
                if typed:
                    steps.append(Step(tuple(typed), tuple(shown)))
                typed, shown = shlex.split(line.removeprefix(_PROMPT)), []
            else:
                shown.append(line)
    return steps
