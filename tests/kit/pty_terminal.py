"""A person at a real terminal: what they type goes to it, what they see is read from it.

with at_terminal(mira, "breakglass", "ask", "orders-repair", …) as screen:
    screen.shows("break the glass now?")
    screen.types("y")
    assert screen.ends() == 0
"""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.embedded.isolated import Person, command
from tests.kit.plain_english import check_wording

_STYLE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


@dataclass
class Screen:
    """One command at its own terminal; ``seen`` is all that it has shown, in plain text."""

    process: subprocess.Popen[bytes]
    keyboard: int
    seen: str = ""

    def shows(self, text: str, within_s: float = 60) -> str:
        """Wait until the text stands on the screen; returns all of the screen."""
        until = time.monotonic() + within_s
        while not self._has(text):
            if not self._read(until - time.monotonic()):
                raise AssertionError(f"no {text!r} on the screen: {self.seen}")
        return self.seen

    def types(self, line: str) -> None:
        """Type a line and press Enter."""
        os.write(self.keyboard, f"{line}\n".encode())

    def interrupts(self) -> None:
        """Press Ctrl-C."""
        os.write(self.keyboard, b"\x03")

    def ends(self, within_s: float = 60) -> int:
        """Wait until the command has ended; returns its exit code."""
        until = time.monotonic() + within_s
        while self._read(until - time.monotonic()):
            pass
        code = self.process.wait(max(0.1, until - time.monotonic()))
        check_wording(self.seen)
        return code

    def row(self, label: str) -> str:
        """Return what stands behind a label, its further lines joined."""
        found: list[str] = []
        for line in self.seen.splitlines():
            if line.startswith(f"{label} "):
                found = [line.removeprefix(label).strip()]
            elif found and line.startswith("  "):
                found.append(line.strip())
            elif found:
                break
        assert found, f"no row {label!r} in {self.seen}"
        return " ".join(found)

    def _has(self, text: str) -> bool:
        return text in " ".join(self.seen.split()) or text in self.seen

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self.keyboard], [], [], max(0.0, seconds))
        if not ready:
            return False
        try:
            data = os.read(self.keyboard, 65536)
        except OSError:
            return False  # the command has ended, and the terminal with it
        self.seen += _STYLE.sub("", data.decode("utf-8", "replace")).replace("\r", "")
        return bool(data)


@contextmanager
def at_terminal(person: Person, *words: str, columns: int = 80) -> Iterator[Screen]:
    """Run a command at a terminal of its own until the end of the block."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def at_it() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    process = subprocess.Popen(
        [*person.prefix, *command(words)],
        stdin=theirs, stdout=theirs, stderr=theirs,
        env={**person.environment, "NO_COLOR": "1", "TERM": "xterm"},
        cwd=person.cwd,
        preexec_fn=at_it,
    )  # fmt: skip
    os.close(theirs)
    try:
        yield Screen(process, ours)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(ours)
