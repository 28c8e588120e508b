"""The bundle's git repository, kept apart from whatever git is told about this machine's user."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from breakglass.errors import MisconfiguredError

_NOBODY = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
}


def begin(folder: Path) -> None:
    """Make ``folder`` a repository.

    Raises:
        MisconfiguredError: git is missing or refuses.
    """
    _git(folder, "init", "--quiet", "--initial-branch=main")


def commit_all(folder: Path, message: str, who: str) -> str:
    """Commit everything in ``folder`` and return the commit's name."""
    _git(folder, "add", "--all")
    person = ["-c", f"user.name={who}", "-c", f"user.email={who}@localhost"]
    quiet = ["-c", "commit.gpgsign=false", "-c", f"core.hooksPath={os.devnull}"]
    _git(folder, *person, *quiet, "commit", "--quiet", "--allow-empty", "-m", message)
    return head(folder)


def head(folder: Path) -> str:
    """Return the commit that ``folder`` stands at; ``-`` outside a repository."""
    try:
        return _git(folder, "rev-parse", "HEAD").strip()
    except MisconfiguredError:
        return "-"


def uncommitted(folder: Path) -> list[str]:
    """Return the files of the bundle that differ from the commit; none outside a repository."""
    try:
        said = _git(folder, "status", "--porcelain", "--", "breakglass.yaml", "*.cedar")
    except MisconfiguredError:
        return []
    return [line[3:] for line in said.splitlines()]


def committed(folder: Path, name: str) -> bytes | None:
    """Return a file as it was committed last; ``None`` outside a repository, or before that."""
    try:
        return _git(folder, "show", f"HEAD:./{name}").encode()
    except MisconfiguredError:
        return None


def _git(folder: Path, *arguments: str) -> str:
    # What the surroundings say of another repository must not lead us there.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "-c", f"safe.directory={folder.resolve()}", *arguments],
            env={**clean, **_NOBODY},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except FileNotFoundError as error:
        raise MisconfiguredError(
            "there is no 'git' on this machine", hint="install it: apt-get install git"
        ) from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise MisconfiguredError(f"git {arguments[0]} in {str(folder)!r}: {lines[-1][:200]}")
    return done.stdout
