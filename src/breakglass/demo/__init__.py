"""One emergency from start to end, on a real database, attacks included; each beat is a check."""

from __future__ import annotations


def play(*, keep: bool = False) -> int:
    """Play the demo; returns the exit code, 0 when every check held."""
    from breakglass.demo.story import play as whole_story

    return whole_story(keep=keep)
