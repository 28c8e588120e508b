"""The port of a survey: who looks at one target, and what a look finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

Part = tuple[str, str]
"""A category in one database; the second is empty for what is of the whole target."""


@dataclass(frozen=True, order=True)
class Thing:
    """One piece of privileged access.

    Attributes:
        category: what sort, a coded word; docs/reference/standing.md lists them.
        name: what it is at its target: ``insert, update on orders``.
        holder: the account that has it; a grant's account has the grant's handle.
        database: where; empty for the whole target.
        templates: those of the asked templates that give the same: a glass that grants one of
            them could take its place.
    """

    category: str
    name: str
    holder: str
    database: str = ""
    templates: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes it the same thing at the next look."""
        return (self.category, self.name, self.holder, self.database)


@dataclass(frozen=True)
class Inventory:
    """What one look found, sorted, each once; ``unread`` says which parts it could not, and why.

    A part that is unread is unknown, never empty: what stood there is taken to stand there still.
    """

    things: tuple[Thing, ...]
    unread: Mapping[Part, str]


class Survey(Protocol):
    """Looks at one target, by an identity of its own that reads and can change nothing there.

    A look leaves nothing at the target. It may be made at any time, by one thread at a time, and
    twice: without a change in between it finds the same. After an error nothing may be assumed.
    """

    def survey(self, templates: Sequence[str]) -> Inventory:
        """Look once.

        Args:
            templates: what the glasses of the policy in force grant there.

        Raises:
            MisconfiguredError: our identity could change something there: nothing was looked at.
            UnavailableError: the target does not answer, or is a copy that lags.
        """
        ...

    def close(self) -> None:
        """Let go of the target."""
        ...
