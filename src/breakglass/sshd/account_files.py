"""What an account could leave behind to run later: looked at before its first use and at the end.

Jobs of cron and at and keys in ``authorized_keys`` are taken away again if they came meanwhile:
each would let somebody act behind the end. What else changed is told, and stays.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import pwd
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from breakglass.sshd.host_config import SshdSettings

_BYTES_AT_MOST = 4 * 1024 * 1024
_TOO_LARGE = b"\0too large, sha256 "
_LINK = b"\0a link to "  # sshd follows it, we do not: what it names stands for its content
_ENTRIES_AT_MOST = 20_000
_KEYS = ("/.ssh", "/.ssh/authorized_keys", "/.ssh/authorized_keys2")  # a folder is no content
_TOLD = (
    ".pam_environment",
    ".ssh/rc",
    ".ssh/environment",
    ".bashrc",
    ".bash_profile",
    ".profile",
    ".zshrc",
)
_TOLD_FOLDERS = (".config/systemd/user", ".config/autostart")


class AccountFiles:
    """Reads and mends the files of accounts; as root, and never through a link of theirs."""

    def __init__(self, settings: SshdSettings, kept: Path) -> None:
        self._settings, self._kept = settings, kept

    def baseline(self, account: str) -> dict[str, Any]:
        """Return what the account has now: to be kept, and compared at the end."""
        taken = {name: _encoded(data) for name, data in self._taken(account)}
        return {"taken": taken, "told": dict(self._told(account))}

    def gained_jobs(self, account: str, baseline: dict[str, Any]) -> list[str]:
        """Return the jobs of cron and at that came since, by their paths."""
        before = baseline.get("taken", {})
        return [name for name, data in self._jobs(account) if _was(before, name) != _encoded(data)]

    def take_away(self, handle: str, account: str, baseline: dict[str, Any]) -> list[str]:
        """Put jobs and keys back as they were; returns a line for each, and keeps what it took.

        Twice does no harm: what is as it was is not touched.

        Raises:
            OSError: something could not be kept or put back.
        """
        before = baseline.get("taken", {})
        told = []
        for name, data in self._taken(account):
            was = _was(before, name)
            if was == _encoded(data):
                continue
            if was is not None and base64.b64decode(was).startswith(_TOO_LARGE):
                told.append(
                    f"{name}: changed while the grant used {account!r}; too large to put back"
                )
                continue
            # A crash behind the copy takes the same away again, and keeps a second copy.
            copy = self._keep(handle, name, data)
            self._put_back(account, Path(name), None if was is None else base64.b64decode(was))
            told.append(f"{name}: changed while the grant used {account!r}; put back, kept {copy}")
        return told

    def changes(self, account: str, baseline: dict[str, Any]) -> list[str]:
        """Return a line for each other thing that came or changed since."""
        before, now = baseline.get("told", {}), dict(self._told(account))
        told = [
            f"{name}: changed while the grant used {account!r}"
            for name in sorted(now)
            if before.get(name) != now[name]
        ]
        return told + [
            f"{name}: removed while the grant used {account!r}"
            for name in sorted(before)
            if name not in now
        ]

    def _taken(self, account: str) -> Iterator[tuple[str, bytes]]:
        yield from self._jobs(account)
        with contextlib.suppress(KeyError):
            home = pwd.getpwnam(account).pw_dir
            for name in _KEYS:
                if (data := _read_inside(home + name)) is not None:
                    yield home + name, data

    def _jobs(self, account: str) -> Iterator[tuple[str, bytes]]:
        cron = self._settings.cron_spool / account
        if (data := _read(cron)) is not None:
            yield str(cron), data
        with contextlib.suppress(KeyError, OSError):
            uid = pwd.getpwnam(account).pw_uid
            for each in sorted(self._settings.at_spool.iterdir()):
                found = each.lstat()
                if found.st_uid != uid or not stat.S_ISREG(found.st_mode):
                    continue
                if (data := _read(each)) is not None:
                    yield str(each), data

    def _told(self, account: str) -> Iterator[tuple[str, str]]:
        with contextlib.suppress(OSError):
            for each in sorted(Path("/etc/sudoers.d").iterdir()):
                yield from _stamp(each)
        try:
            home = Path(pwd.getpwnam(account).pw_dir)
        except KeyError:
            return
        for name in _TOLD:
            yield from _stamp(home / name)
        for name in _TOLD_FOLDERS:
            with contextlib.suppress(OSError):
                for each in sorted((home / name).iterdir()):
                    yield from _stamp(each)
        yield from _setuid(home)

    def _keep(self, handle: str, name: str, data: bytes) -> str:
        place = self._kept / handle
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        copy = place / f"{name.strip('/').replace('/', '_')[-120:]}.{secrets.token_hex(3)}"
        copy.touch(mode=0o600)
        copy.write_bytes(data)
        return str(copy)

    def _put_back(self, account: str, path: Path, data: bytes | None) -> None:
        """Replace a file, in a folder that is opened without following a link."""
        folder = _open_folder(path.parent)
        if folder is None:
            return
        try:
            if data is None:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path.name, dir_fd=folder)
            else:
                _replace(folder, path.name, data)
            os.fsync(folder)
        finally:
            os.close(folder)
        if path.parent == self._settings.cron_spool:
            os.utime(path.parent)  # cron reads its folder again when this changes


def _was(before: dict[str, str], name: str) -> str | None:
    place, _, last = name.rpartition("/")
    if name not in before and last.startswith("="):
        # While atd runs a job, '=' stands for the letter of its queue.
        return next(
            (
                data
                for each, data in before.items()
                if each.rpartition("/")[0] == place and each.rpartition("/")[2][1:] == last[1:]
            ),
            None,
        )
    return before.get(name)


def _replace(folder: int, name: str, data: bytes) -> None:
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    new = f".{name}.{secrets.token_hex(4)}"
    if data.startswith(_LINK):
        os.symlink(data.removeprefix(_LINK), new, dir_fd=folder)
        os.chown(new, found.st_uid, found.st_gid, dir_fd=folder, follow_symlinks=False)
        os.rename(new, name, src_dir_fd=folder, dst_dir_fd=folder)
        return
    mode = 0o600 if stat.S_ISLNK(found.st_mode) else stat.S_IMODE(found.st_mode) & 0o777
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(new, flags, 0o600, dir_fd=folder)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(file, left) :]
        os.fchown(file, found.st_uid, found.st_gid)
        os.fchmod(file, mode)
        os.fsync(file)
    finally:
        os.close(file)
    os.rename(new, name, src_dir_fd=folder, dst_dir_fd=folder)


def _open_folder(path: Path) -> int | None:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags)
    except OSError:  # gone, or a link: what lies behind a link is not ours to change
        return None


def _read_inside(path: str) -> bytes | None:
    folder = _open_folder(Path(path).parent)
    if folder is None:
        return None
    try:
        return _read(Path(path).name, folder)
    finally:
        os.close(folder)


def _read(path: Path | str, folder: int | None = None) -> bytes | None:
    # Without waiting, should an account have put a pipe there.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        file = os.open(path, flags, dir_fd=folder)
    except OSError:
        with contextlib.suppress(OSError):
            return _LINK + os.fsencode(os.readlink(path, dir_fd=folder))
        return None
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return None
        with os.fdopen(file, "rb", closefd=False) as whole:
            if os.fstat(file).st_size <= _BYTES_AT_MOST:
                return whole.read(_BYTES_AT_MOST)
            return _TOO_LARGE + hashlib.file_digest(whole, "sha256").hexdigest().encode()
    finally:
        os.close(file)


def _stamp(path: Path) -> Iterator[tuple[str, str]]:
    with contextlib.suppress(OSError):
        found = path.lstat()
        yield str(path), f"{found.st_mtime_ns} {found.st_size} {found.st_mode:o}"


def _setuid(home: Path) -> Iterator[tuple[str, str]]:
    left = _ENTRIES_AT_MOST
    for place, folders, names in os.walk(home):
        left -= len(folders) + len(names)
        if left < 0:
            return  # the limit is told in docs/reference/ssh-hosts.md
        for name in names:
            with contextlib.suppress(OSError):
                mode = os.lstat(os.path.join(place, name)).st_mode
                if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
                    yield from _stamp(Path(place, name))


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
