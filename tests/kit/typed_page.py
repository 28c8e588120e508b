"""Reads out of a page what it has people type, and what it has them write into files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```(sh|yaml|toml) (\S+)(?: (\S+))?\n(.*?)^```", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Act:
    """One line that ``who`` types, or the ``text`` that they write into ``file``.

    A TOML table is added to what stands in the file; anything else takes its place.
    """

    who: str
    text: str
    file: str = ""
    more: bool = False


def acts_of(page: Path) -> list[Act]:
    """Return everything that the page has somebody do, in order."""
    found: list[Act] = []
    for kind, who, file, text in _BLOCK.findall(page.read_text("utf-8")):
        if kind == "sh":
            found += [Act(who, line) for line in text.splitlines()]
        else:
            found.append(Act(who, text, file, more=kind == "toml"))
    return found
