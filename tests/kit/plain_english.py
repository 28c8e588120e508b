"""Wordings that were replaced since a reader who is not a native speaker must translate them."""

from __future__ import annotations

BANNED = (
    "that nobody may believe",
    "can say how it came about",
    "ends in an example that works",
    "rests on your own word",
    "is no length of time",
    "is nobody of",
    "may lie between",
    "stands so already",
    "nobody could be rung",
    "the minter straight",
    "it said nothing",
    "a mistake of our own",
    "checks held",
    "all signatures hold",
    "nobody elsewhere",
    "mend: ",
    "goes : ",
    "comes: ",
    "nobody knows yet",
    "send the same again",
    "send the same statement again",
    "has no credential",
    "its token is all of it",
    "stands already",
    " rings on",
    "the door, loudly",
    "a second door stays shut",
    "gone by itself",
    "heard by everyone",
    "whom this client believes",
    "convinces nobody",
    "own word, and none is past",
    "settings' word",
    "Set apart and not judged",
    "gone round",
    "Heard by the early warning",
)


def check_wording(printed: str) -> None:
    """Check what a command printed.

    Raises:
        AssertionError: it holds a wording that was replaced.
    """
    plain = " ".join(printed.split())
    found = [each for each in BANNED if each in plain]
    assert not found, f"a wording that was replaced is back: {found} in {plain!r}"
