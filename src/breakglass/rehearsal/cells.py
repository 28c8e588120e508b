"""What a rehearsal finds: how each thing went that people do with a glass."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

WHAT = ("break", "mint", "gate", "kill", "end", "alert")


class Works(StrEnum):
    """How a thing went."""

    YES = "yes"
    DOOR = "door"
    AT_END = "at end"
    LATE = "late"
    NO = "NO"
    NOT_TRIED = "not tried"
    NOTHING = "-"

    @property
    def proven(self) -> bool:
        """Whether it was seen to work, in whatever way; or there is nothing that could."""
        return self not in (Works.NO, Works.NOT_TRIED)


@dataclass(frozen=True)
class Cell:
    """How one thing went for one glass, and in which words it was said."""

    works: Works
    says: str = ""


NOTHING = Cell(Works.NOTHING)
