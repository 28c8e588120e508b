"""The stage: prints the story so that a tired person can follow it, and counts what held."""

from __future__ import annotations

import os
import shlex
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

from breakglass.errors import BreakglassError

COLUMNS = 80
_INDENT = "  "


class CurtainError(Exception):
    """A check failed that the whole story stands on; it was told already."""


class NotHeldError(Exception):
    """A check does not hold; the message says what was wanted and what was got."""


@dataclass
class Check:
    """One check under way. ``words`` may be made more exact once the facts are known."""

    words: str
    took: float | None = None

    def says(self, words: str) -> None:
        """Tell the outcome in these words instead."""
        self.words = words

    def require(self, holds: object, otherwise: str) -> None:
        """Fail unless ``holds``.

        Raises:
            NotHeldError: with what was got instead.
        """
        if not holds:
            raise NotHeldError(otherwise)


@dataclass
class Stage:
    """Where the story is told. Checks go on after one that failed: each says its own truth."""

    out: TextIO = field(default_factory=lambda: sys.stdout)
    held: int = 0
    failed: list[str] = field(default_factory=list)
    quiet_line: bool = False
    plain: bool = field(default_factory=lambda: bool(os.environ.get("NO_COLOR")))

    def title(self, text: str) -> None:
        """Begin."""
        self._line(self._bold(text))

    def scene(self, text: str) -> None:
        """Begin a scene."""
        self._line("")
        self._line(self._bold(text))
        self.quiet_line = True

    def tell(self, text: str) -> None:
        """Say something in plain words, wrapped."""
        for line in textwrap.wrap(text, COLUMNS - len(_INDENT)):
            self._line(_INDENT + self._dim(line))
        self.quiet_line = True

    def command(self, *words: str) -> None:
        """Show what somebody types; a long line is broken as a shell allows it, between words."""
        lines = [""]
        for word in map(_quoted, words):
            if lines[-1] and len(lines[-1]) + 1 + len(word) > COLUMNS - 8:
                lines.append("")
            lines[-1] += f" {word}" if lines[-1] else word
        if not self.quiet_line:
            self._line("")  # a beat of its own, unless the scene has only begun
        for number, line in enumerate(lines):
            more = " \\" if number + 1 < len(lines) else ""
            self._line(f"{_INDENT}{'$ ' if number == 0 else '    '}{line}{more}")

    def said(self, text: str) -> None:
        """Show what a command answered."""
        for line in text.rstrip().splitlines():
            shown = textwrap.wrap(
                line,
                COLUMNS - 6,
                subsequent_indent=" " * 11,
                break_long_words=False,
                break_on_hyphens=False,
            )
            for piece in shown or [""]:
                self._line(f"{_INDENT}  {self._dim(piece)}")

    @contextmanager
    def check(self, words: str, *, needed: bool = False) -> Iterator[Check]:
        """Run one check and say how it went and how long it took.

        Args:
            words: what should hold.
            needed: without it there is no story.

        Raises:
            CurtainError: a needed check did not hold.
        """
        began = time.monotonic()
        check = Check(words)
        try:
            yield check
        except Exception as error:
            took = time.monotonic() - began if check.took is None else check.took
            self.failed.append(check.words)
            self._verdict("FAIL", check.words, took)
            said = str(error) if isinstance(error, NotHeldError | BreakglassError) else repr(error)
            self.said(f"because: {said}")
            if needed:
                raise CurtainError from error
        else:
            self.held += 1
            took = time.monotonic() - began if check.took is None else check.took
            self._verdict("ok", check.words, took)

    def end(self) -> int:
        """Say the last line; returns the exit code."""
        all_of_them = self.held + len(self.failed)
        self._line("")
        for words in self.failed:
            self._line(f"failed: {words}")
        self._line(f"demo: {self.held} of {all_of_them} checks passed")
        return 0 if not self.failed and self.held else 1

    def answered(self, out: str, err: str) -> None:
        """Show what a command said: the call to touch a key first, then its answer."""
        asides = err.splitlines()
        self.said("\n".join(line for line in asides if "touch your" in line))
        self.said(out)
        shown = [line for line in asides if "touch your" not in line and "next: " not in line]
        self.said("\n".join(shown))

    def _verdict(self, verdict: str, words: str, took: float) -> None:
        time_text = f"{took:.2f} s" if took >= 0.1 else f"{took * 1000:.0f} ms"
        room = COLUMNS - len(_INDENT) - 6 - 9
        lines = textwrap.wrap(words, room) or [""]
        colour = self._green if verdict == "ok" else self._red
        for number, line in enumerate(lines):
            head = colour(f"{verdict:<4}") if number == 0 else " " * 4
            tail = f"{time_text:>8}" if number + 1 == len(lines) else ""
            self._line(f"{_INDENT}{head}  {line:<{room}} {tail}".rstrip())

    def _line(self, text: str) -> None:
        print(text, file=self.out, flush=True)
        self.quiet_line = False

    def _styled(self, code: str, text: str) -> str:
        return text if self.plain or not self.out.isatty() else f"\x1b[{code}m{text}\x1b[0m"

    def _bold(self, text: str) -> str:
        return self._styled("1", text)

    def _dim(self, text: str) -> str:
        return self._styled("2", text)

    def _green(self, text: str) -> str:
        return self._styled("32", text)

    def _red(self, text: str) -> str:
        return self._styled("1;31", text)


def _quoted(word: str) -> str:
    """Quote a word for a shell, the way a person would.

    >>> print(_quoted("orders stuck"), _quoted("state = 'paid'"), _quoted("--why"), _quoted(">"))
    "orders stuck" "state = 'paid'" --why >
    """
    if word in {">", "--"} or shlex.quote(word) == word:
        return word
    return shlex.quote(word) if set(word) & set('"$`\\!') else f'"{word}"'
