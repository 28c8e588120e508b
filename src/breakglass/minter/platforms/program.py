"""One call of a program of the minter's own: an argument vector, JSON in, JSON out, all bounded.

Source: docs/reference/command-minter.md, «A call».
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from breakglass.canonical import Json, parse_strict
from breakglass.error_names import ErrorName
from breakglass.errors import (
    MalformedError,
    MisconfiguredError,
    RefusedError,
    UnavailableError,
)
from breakglass.minter.platforms.bounded_run import Ran, run_bounded
from breakglass.records.encoding.text_types import one_line
from breakglass.strict_json import read

T = TypeVar("T")
_REFUSED = 3
_LINKS_AT_MOST = 40  # as Linux itself follows, path_resolution(7)
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
_NAMES = (
    ErrorName.SCOPE_UNKNOWN,
    ErrorName.LIFE,
    ErrorName.MINTER_RIGHTS,
    ErrorName.ALIVE,
)


@dataclass(frozen=True)
class CommandSettings:
    """The table ``[command]`` of a minter's settings.

    Attributes:
        run: the program and its arguments; the first is an absolute path. The verb comes behind.
        within: how long one call may take; then it is killed with all that it started.
        environment: what it gets beside ``PATH`` and ``LANG``; nothing of ours is handed on.
        minting, ending: how many calls of each sort run at a time.
    """

    run: tuple[str, ...]
    within: timedelta = timedelta(seconds=10)
    environment: Mapping[str, str] = field(default_factory=dict)
    minting: int = 8
    ending: int = 2


@dataclass(frozen=True)
class _Refusal:
    """What a program says that refuses."""

    error: str
    says: str


@dataclass(frozen=True)
class Program:
    """A program as ``settings`` name it; safe under threads."""

    settings: CommandSettings

    def check(self) -> None:
        """Refuse a program that others than root and ourselves could change.

        Raises:
            MisconfiguredError: no absolute path, not there, or writable by others.
        """
        path = Path(self.settings.run[0] if self.settings.run else "")
        if not path.is_absolute():
            raise MisconfiguredError(
                f"'command.run' begins with {str(path)!r}, wanted an absolute path; not started"
            )
        try:
            whole = path.resolve(strict=True)
            runs = os.access(whole, os.X_OK) and whole.is_file()
            # Each link on the way too: who may put another in its place chooses what we run.
            steps = [step for each in (*_links(path), whole) for step in (each, *each.parents)]
            open_to = [each for each in steps if _others_may_write(each)]
        except OSError as error:
            raise MisconfiguredError(
                f"the program {str(path)!r} cannot be run: {error.strerror}; not started"
            ) from error
        if not runs:
            raise MisconfiguredError(f"{str(path)!r} is no program; not started")
        if open_to:
            raise MisconfiguredError(
                f"{str(open_to[0])!r} can be written by others than root and this user, and the"
                f" program {str(path)!r} runs with this minter's rights; not started",
                hint=f"chown root {open_to[0]}; chmod go-w {open_to[0]}",
            )

    def call(self, verb: str, given: Mapping[str, Json], wanted: Callable[[Json], T]) -> T:
        """Call the program once, and return its answer as ``wanted`` reads it.

        Args:
            verb: what it shall do.
            given: what it gets.
            wanted: reads the answer, and raises ``MalformedError`` for one that is none.

        Raises:
            RefusedError: it refuses; by one of the names of the contract, else ``refused``.
            UnavailableError: anything else; the call may have been carried out.
        """
        ran = self._run(verb, json.dumps(given).encode())
        if ran.code not in (0, _REFUSED):
            raise UnavailableError(f"{self._named(verb)} ended with exit {ran.code}")
        try:
            answer = parse_strict(ran.answer, "answer")
            if ran.code == 0:
                return wanted(answer)
            said = read(_Refusal, answer, "answer")
        except MalformedError as error:
            raise UnavailableError(f"{self._named(verb)} answered nonsense: {error}") from error
        name = next((each for each in _NAMES if each == said.error), ErrorName.REFUSED)
        raise RefusedError(one_line(f"the target says: {said.says}"), name=name)

    def _named(self, verb: str) -> str:
        return f"'{Path(self.settings.run[0]).name} {verb}'"

    def _run(self, verb: str, given: bytes) -> Ran:
        settings = self.settings
        environment = {**_ENVIRONMENT, **settings.environment}
        command = [*settings.run, verb]
        return run_bounded(self._named(verb), command, given, environment, settings.within)


def _links(path: Path) -> Iterator[Path]:
    """Yield a path, and each that it leads to as a link; its end is resolved elsewhere."""
    for _ in range(_LINKS_AT_MOST):
        yield path
        if not path.is_symlink():
            return
        path = path.parent / os.readlink(path)


def _others_may_write(path: Path) -> bool:
    found, link = path.stat(), path.lstat()
    if not {found.st_uid, link.st_uid} <= {0, os.geteuid()}:
        return True
    # In a sticky folder nobody takes another's entry away.
    sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
    return bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)) and not sticky
