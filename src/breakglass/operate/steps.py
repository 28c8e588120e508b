"""A change in steps: each looks whether it was done, so the whole may be cut off and run again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One step of a change.

    Attributes:
        name: a word for the row that tells of it.
        do: does it, and returns what was done in words; finds it done already, and returns
            nothing. A crash inside it leaves what the next call of it finds and completes.
    """

    name: str
    do: Callable[[], str]

    def take(self) -> str:
        """Do it."""
        return self.do()


def run(steps: Iterable[Step]) -> list[tuple[str, str]]:
    """Take each step in turn; returns what was done now, without what was done before.

    Raises:
        BreakglassError: of the step that could not be taken; those before it stay done, and the
            same call goes on from there.
    """
    done = []
    for step in steps:
        said = step.take()
        if said:
            done.append((step.name, said))
    return done
