"""The table of kinds: which rule a record is read and judged by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from breakglass.records import kind_sets
from breakglass.records.fold.kind_rule import KindRule


@dataclass(frozen=True)
class Registry:
    """The kinds that this software knows.

    Raises:
        ValueError: two kinds of one name, or one of a set that is not said to be known.
    """

    rules: tuple[KindRule, ...]

    def __post_init__(self) -> None:
        """Refuse a name that stands twice.

        Raises:
            ValueError: as the class says.
        """
        if len(self.by_name) != len(self.rules):
            raise ValueError("two kinds of one name")
        if any(each.since > kind_sets.NEWEST for each in self.rules):
            raise ValueError("a kind of a set above NEWEST")

    @cached_property
    def by_name(self) -> dict[str, KindRule]:
        """Return each rule by its kind's name."""
        return {each.form.kind: each for each in self.rules}

    def find(self, name: str, version: int) -> KindRule | None:
        """Return the rule of a kind; ``None`` for one that is unknown."""
        rule = self.by_name.get(name)
        return rule if rule is not None and rule.form.v == version else None

    def in_force(self, name: str, version: int, kinds: int) -> KindRule | None:
        """Return the rule of a kind that is in force under ``kinds N``; else ``None``."""
        rule = self.find(name, version)
        return rule if rule is not None and rule.since <= kinds else None

    def reads(self, name: str, kinds: int) -> bool:
        """Say whether a follower must hand in what records of this kind name, under ``kinds N``."""
        rule = self.by_name.get(name)
        return rule is not None and rule.reads and rule.since <= kinds
