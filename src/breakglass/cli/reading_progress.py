"""How far processes have read the ledger, on standard error: in place on a terminal."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from breakglass.embedded.readiness import Reading

_QUIET_S = 1.0  # what is read sooner needs no line
_LINE_EVERY_S = 5.0
_REDRAW_EVERY_S = 0.2


class ReadingProgress:
    """One line a process: redrawn on a terminal, elsewhere a further one every few seconds."""

    def __init__(self) -> None:
        self._began: dict[str, float] = {}
        self._on_terminal = sys.stderr.isatty()
        self._every = _REDRAW_EVERY_S if self._on_terminal else _LINE_EVERY_S
        self._next = 0.0
        self._drawn = 0

    def show(self, readings: list[Reading]) -> None:
        """Show how far these are, if they take long."""
        now = time.monotonic()
        slow = [
            each for each in readings if now - self._began.setdefault(each.name, now) >= _QUIET_S
        ]
        if not slow or now < self._next:
            return
        self._next = now + self._every
        self.clear()
        columns = shutil.get_terminal_size().columns - 1  # a wrapped line could not be cleared
        for each in slow:
            text = f"{each.name:<12} reads the ledger: {each.size:,} of {each.of:,} entries"
            click.echo(text[:columns] if self._on_terminal else text, err=True)
        self._drawn = len(slow) if self._on_terminal else 0

    def clear(self) -> None:
        """Take the lines away, before something else is printed or when all is read."""
        if self._drawn:
            click.echo(f"\x1b[{self._drawn}A\x1b[J", nl=False, err=True)
            self._drawn = 0
