"""The control group (v2) of a grant: whatever it starts stays in, and ends at once.

``<mount>/<cgroup>/<handle>/<pid of the session's sshd>``. A process without root's rights cannot
leave it: not by ``setsid``, a second fork, or another session. Source: cgroups(7), «cgroup.kill»
(Linux 5.14): it ends the whole tree, processes that are being forked included.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from breakglass.clock import Deadline
from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, UnavailableError, reason

EMPTY_WITHIN = timedelta(seconds=4)


class SessionCgroups:
    """The groups of all grants on this host.

    Args:
        name: of the group that holds them all.

    Raises:
        MisconfiguredError: there is no cgroup v2 here, or it cannot be written.
    """

    def __init__(self, name: str) -> None:
        self.top = _mount() / name
        try:
            self.top.mkdir(mode=0o755, exist_ok=True)
        except OSError as error:
            raise MisconfiguredError(
                f"the control group {str(self.top)!r} cannot be made: {reason(error)}; nobody of"
                " a grant is let in"
            ) from error
        if not (self.top / "cgroup.kill").exists():
            raise MisconfiguredError(
                "this kernel has no 'cgroup.kill' (Linux 5.14 has); nobody of a grant is let in"
            )

    def admit(self, handle: str, pid: int) -> None:
        """Move a process, and what it will start, into the grant's group.

        Raises:
            UnavailableError: it was not moved; its login must be refused.
        """
        place = self.top / handle / str(pid)
        try:
            place.mkdir(parents=True, exist_ok=True)
            (place / "cgroup.procs").write_text(str(pid))
        except OSError as error:
            raise UnavailableError(
                f"process {pid} cannot be put into the group of {handle!r}: {reason(error)}"
            ) from error

    def sessions(self, handle: str) -> dict[int, list[int]]:
        """Return the processes of each session that still has some, by the session's first."""
        found = {}
        for place in self._places(handle):
            if pids := _pids(place):
                found[int(place.name)] = pids
        return found

    def end(self, handle: str) -> int:
        """Kill everything of a grant and return how many sessions there were.

        Raises:
            UnavailableError: ``alive``; something runs still: a process the kernel cannot end now.
        """
        top = self.top / handle
        if not top.is_dir():
            return 0
        count = len(self.sessions(handle))
        try:
            (top / "cgroup.kill").write_text("1")
        except OSError as error:
            raise UnavailableError(f"{handle!r} cannot be killed: {reason(error)}") from error
        for _ in Deadline(EMPTY_WITHIN).tries():
            if not self.populated(handle):
                break
        else:
            raise UnavailableError(
                f"processes of {handle!r} run still, {EMPTY_WITHIN.total_seconds():.0f} s after"
                " their end",
                name=ErrorName.UNANSWERED,
                hint="a process that waits for a dead disk cannot be ended before the disk answers",
            )
        for place in self._places(handle):
            _forget(place)
        _forget(top)
        return count

    def populated(self, handle: str) -> bool:
        """Say whether anything of the grant runs."""
        try:
            return "populated 1" in (self.top / handle / "cgroup.events").read_text()
        except FileNotFoundError:
            return False

    def handles(self) -> list[str]:
        """Return the handles that have a group here."""
        return sorted(each.name for each in self.top.iterdir() if each.is_dir())

    def _places(self, handle: str) -> Iterator[Path]:
        with contextlib.suppress(FileNotFoundError):
            for each in (self.top / handle).iterdir():
                if each.name.isdecimal():
                    yield each


def _forget(place: Path) -> None:
    with contextlib.suppress(OSError):  # the kernel may need a moment; the next end forgets it
        place.rmdir()


def _pids(place: Path) -> list[int]:
    try:
        return [int(each) for each in (place / "cgroup.procs").read_text().split()]
    except OSError:  # gone meanwhile
        return []


def _mount() -> Path:
    """Return where cgroup v2 is mounted: on its own, or beside the groups of version 1."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, behind = line.partition(" - ")
        if behind.split()[0] == "cgroup2":
            return Path(before.split()[4])
    raise MisconfiguredError(
        "cgroup v2 is not mounted here; nobody of a grant is let in",
        hint="mount -t cgroup2 none /sys/fs/cgroup/unified",
    )
