"""A power cut before and behind every step of a change, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest

from breakglass.operate.steps import Step

T = TypeVar("T")


class CutOffError(Exception):
    """Stands for a power cut."""


def cut_everywhere(patch: pytest.MonkeyPatch, act: Callable[[], T]) -> tuple[T, set[str]]:
    """Run ``act`` again and again, each time into another cut, until it comes through.

    Returns:
        what it returned at last, and the names of the steps that it was cut at.
    """
    cuts: set[tuple[str, bool]] = set()
    real = Step.take

    def cutting(step: Step) -> str:
        if (step.name, False) not in cuts:
            cuts.add((step.name, False))
            raise CutOffError
        said = real(step)
        if (step.name, True) not in cuts:
            cuts.add((step.name, True))
            raise CutOffError
        return said

    for _ in range(100):
        with patch.context() as patched:
            patched.setattr(Step, "take", cutting)
            try:
                found = act()
            except CutOffError:
                continue
            return found, {name for name, _ in cuts}
    raise AssertionError("it never came through")
