"""A git history read while git runs: every commit once, and what is kept of it is small.

``git log -z`` of the whole graph, because the footers of a merged change stand in its own commits
and its author is not the machine that merged it. Names go through ``.mailmap``. A commit that
cannot be read is told and passed over; it never ends an import.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, MisconfiguredError

FORMAT = "%H%n%ct%n%P%n%aN <%aE>%n%B"
"""Commit, committer's time in seconds, parents, author by .mailmap, message; NUL between."""

_CHUNK = 1 << 20  # bytes read at once


@dataclass(frozen=True, slots=True)
class Change:
    """One commit: its id, when it landed, who wrote it, its message, and what it stands on."""

    commit: str
    at: datetime
    person: str
    message: str
    parents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A commit that was passed over, and why."""

    commit: str
    why: str


def read_log(repository: Path, branch: str, since: str = "") -> Iterator[Change | Unreadable]:
    """Return the commits that ``branch`` of ``repository`` stands on, newest first.

    What is wrong with the repository is told at once; git itself runs as the answer is read.

    Raises:
        MisconfiguredError: git is not there, the folder is no repository, it is empty or cut off,
            or it has no such branch.
        MalformedError: ``since`` is no day.
    """
    if not repository.is_dir():
        raise MisconfiguredError(
            f"'{repository}' is not a folder; nothing was read", name=ErrorName.NO_REPOSITORY
        )
    cut = _ask(repository, "rev-parse", "--is-shallow-repository")
    if cut is None:
        raise MisconfiguredError(
            f"'{repository}' is no git repository; nothing was read",
            name=ErrorName.NO_REPOSITORY,
            hint="name the folder that holds .git, or a bare clone",
        )
    if cut == "true":
        raise MisconfiguredError(
            f"'{repository}' is a shallow clone: its history is cut off; nothing was read",
            name=ErrorName.NO_REPOSITORY,
            hint=f"fetch the rest: git -C {repository} fetch --unshallow",
        )
    # The branch stands after --end-of-options: a name with a dash must not become an option.
    named = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{branch}^{{commit}}")
    if _ask(repository, *named) is None:
        if _ask(repository, "rev-list", "-n", "1", "--all") == "":
            raise MisconfiguredError(
                f"'{repository}' has no commit yet; nothing was read", name=ErrorName.NO_REPOSITORY
            )
        raise MisconfiguredError(
            f"git cannot read branch '{branch}' of '{repository}'; nothing was read",
            name=ErrorName.NO_REPOSITORY,
            hint="name another branch with --branch",
        )
    return _stream(repository, branch, _since(since))


def parse_log(chunks: Iterable[bytes]) -> Iterator[Change | Unreadable]:
    """Read what ``git log -z --format=FORMAT`` prints, in pieces of any size."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\0")
        yield from (_commit(record) for record in whole if record.strip())
    if rest.strip():
        yield _commit(rest)


def _commit(record: bytes) -> Change | Unreadable:
    parts = record.decode("utf-8", "replace").lstrip("\n").split("\n", 4)
    if len(parts) < 4:
        return Unreadable(parts[0][:40], f"the record has {len(parts)} of 5 lines")
    commit, seconds, parents, person = parts[:4]
    try:
        # The seconds are UTC: a zone of 518 hours, which real histories have, changes nothing.
        at = datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        return Unreadable(commit, f"its time is {seconds[:24]!r}, not a second of this era")
    message = parts[4].strip() if len(parts) > 4 else ""
    return Change(commit, at, person, message, tuple(parents.split()))


def _stream(repository: Path, branch: str, since: str) -> Iterator[Change | Unreadable]:
    words = ["log", "-z", f"--format={FORMAT}", *([since] if since else [])]
    command = ["git", "-C", str(repository), *words, "--end-of-options", branch, "--"]
    # Complaints go to a file: a pipe that nobody empties would stop git in the middle.
    with tempfile.TemporaryFile() as complaints:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints) as git:
            if git.stdout is None:
                raise MisconfiguredError("git gave nothing to read; nothing was written")
            pipe = git.stdout
            try:
                yield from parse_log(iter(lambda: pipe.read(_CHUNK), b""))
            finally:
                # Whoever stops reading early leaves no git behind.
                if git.poll() is None and pipe.read(1):
                    git.kill()
        if git.returncode not in (0, -9):
            complaints.seek(0)
            told = complaints.read(400).decode("utf-8", "replace").strip().split("\n")[0]
            raise MisconfiguredError(
                f"git stopped while reading '{repository}': {told}; nothing was written",
                name=ErrorName.NO_REPOSITORY,
            )


def _ask(repository: Path, *words: str) -> str | None:
    """Return what git answers, or nothing where it refuses."""
    try:
        done = subprocess.run(
            ["git", "-C", str(repository), *words], capture_output=True, check=False
        )
    except FileNotFoundError as error:
        raise MisconfiguredError("'git' is not installed; nothing was read") from error
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else None


def _since(text: str) -> str:
    if not text:
        return ""
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        # Git takes any word for today and says nothing.
        raise MalformedError(
            f"--since is {text[:40]!r}, wanted a day such as 2023-01-01; nothing was read"
        ) from error
    return f"--since={day}T00:00:00Z"
