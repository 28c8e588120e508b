"""Messages as JSON lines in a file of this host: what a log shipper or a pager script tails."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

from breakglass.error_names import ErrorName
from breakglass.errors import UnavailableError
from breakglass.monitor.alerts.channel import Message
from breakglass.monitor.alerts.secret_folder import SecretFolder


@dataclass(frozen=True)
class LogFileSettings:
    """``[channels.NAME]`` with ``type = "log_file"``; ``to`` names whose own channel it is."""

    type: ClassVar[str] = "log_file"
    file: Path
    to: tuple[str, ...] = ()

    def channel(self, within: timedelta, secrets: SecretFolder) -> LogFile:
        """Make the channel; a disk keeps to no bound of ours."""
        return LogFile(self.file)


class LogFile:
    """Appends each message once, on disk when ``deliver`` returns.

    The file is opened for each message, so it may be rotated at any time. A key that stands in
    the present file is not written again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys: set[str] = set()
        self._read: tuple[int, int] = (-1, 0)  # inode and bytes that _keys speaks of

    def deliver(self, message: Message) -> None:
        """Append one line. See ``Channel``."""
        try:
            torn = self._catch_up()
            if message.key not in self._keys:
                self._append((b"\n" if torn else b"") + message.body + b"\n")
                self._keys.add(message.key)
        except OSError as error:
            raise UnavailableError(
                f"the file cannot be written: {error.strerror or type(error).__name__}",
                name=ErrorName.NOT_WRITTEN,
            ) from error

    def _catch_up(self) -> bool:
        """Read what stands in the file already; say whether its last line was torn by a crash."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self._keys, self._read = set(), (-1, 0)
            return False
        if found.st_ino != self._read[0] or found.st_size < self._read[1]:
            self._keys, self._read = set(), (found.st_ino, 0)
        with self._path.open("rb") as file:
            file.seek(self._read[1])
            for line in file:
                if line.endswith(b"\n"):
                    self._read = (found.st_ino, self._read[1] + len(line))
                    self._keys.add(_key(line))
                else:
                    return True
        return False

    def _append(self, data: bytes) -> None:
        new = not self._path.exists()
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            # One write: a line of another writer can come between two.
            if os.write(file, data) != len(data):
                raise OSError(28, "the line was written in part")
            os.fsync(file)
        finally:
            os.close(file)
        if new:
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def _key(line: bytes) -> str:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return ""
    return str(value.get("key", "")) if isinstance(value, dict) else ""
