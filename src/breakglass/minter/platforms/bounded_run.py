"""One run of another program, bounded in time and in what it may answer; nothing of it stays."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import IO

from breakglass.errors import UnavailableError
from breakglass.records.encoding.text_types import one_line

log = logging.getLogger("breakglass.minter")
ANSWER_BYTES_AT_MOST = 64 * 1024
_SPOKEN_BYTES_AT_MOST = 400


@dataclass(frozen=True)
class Ran:
    """A run that ended in time; ``spoken`` is its standard error, one line, cut short."""

    code: int
    answer: bytes
    spoken: str


def run_bounded(
    named: str,
    command: Sequence[str],
    given: bytes,
    environment: Mapping[str, str],
    within: timedelta,
) -> Ran:
    """Run a program with ``given`` on standard input, and return what came of it.

    Args:
        named: what it is called in errors.
        command: the program and its arguments; no shell reads them.
        given: its standard input.
        environment: all of it; nothing of ours is handed on.
        within: how long it may take; then it is killed with all that it started.

    Raises:
        UnavailableError: it could not be started, took too long, or answered more than 64 KiB; it
            may have done its work.
    """
    try:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env=dict(environment),
            start_new_session=True,
        )
    except OSError as error:
        raise UnavailableError(f"{named} cannot be started: {error.strerror}") from error
    deadline = time.monotonic() + within.total_seconds()
    answer, spoken = _Reading(process.stdout), _Reading(process.stderr)
    writing = threading.Thread(target=_write, args=(process.stdin, given), daemon=True)
    writing.start()
    try:
        # Its end, and the end of all that holds its answer open.
        code = process.wait(max(deadline - time.monotonic(), 0))
        whole = answer.over_by(deadline) and spoken.over_by(deadline)
    except subprocess.TimeoutExpired:
        whole = False
    finally:
        _kill(process)
    if spoken.text:
        log.info("%s: %s", named, spoken.text)
    if not whole:
        raise UnavailableError(f"{named} did not end within {within.total_seconds():g} s")
    if len(answer.data) > ANSWER_BYTES_AT_MOST:
        raise UnavailableError(f"{named} answered more than 64 KiB")
    return Ran(code, answer.data, spoken.text)


class _Reading:
    """Reads a pipe to its end, and keeps no more than an answer may have."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        assert pipe is not None
        self.data = b""
        self._pipe = pipe
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def over_by(self, deadline: float) -> bool:
        """Say whether the pipe has ended by then."""
        self._thread.join(max(deadline - time.monotonic(), 0))
        return not self._thread.is_alive()

    @property
    def text(self) -> str:
        """What was read, for our log: one line, cut short."""
        return one_line(self.data[:_SPOKEN_BYTES_AT_MOST].decode(errors="replace")).strip()

    def _read(self) -> None:
        with self._pipe, contextlib.suppress(OSError, ValueError):
            self.data = self._pipe.read(ANSWER_BYTES_AT_MOST + 1)
            while self._pipe.read(ANSWER_BYTES_AT_MOST):
                pass  # more than an answer: let it end, keep nothing


def _write(pipe: IO[bytes], given: bytes) -> None:
    with contextlib.suppress(OSError, ValueError), pipe:
        pipe.write(given)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End what still runs of it, also children that it left behind."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
