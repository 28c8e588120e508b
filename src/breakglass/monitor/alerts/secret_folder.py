"""The monitor's folder ``secrets``: one file a secret, 0600, named by settings and policy alone."""

from __future__ import annotations

import re
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, reason

PREFIX = "secret:"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
_BYTES_AT_MOST = 4096


class SecretFolder:
    """Reads secrets by name; nothing is kept, so a changed file counts at the next start."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def value(self, text: str) -> str:
        """Return ``text`` itself, or the secret that it names as ``secret:NAME``.

        Raises:
            MisconfiguredError: ``no_secret``: no such file, one that others may read, or one that
                is empty. The message has the name and the path, never the value.
        """
        if not text.startswith(PREFIX):
            return text
        name = text.removeprefix(PREFIX)
        if not _NAME.fullmatch(name):
            raise _missing("a secret's name is of a-z, 0-9, '.', '_', '-'")
        path = self._folder / name
        try:
            if path.stat().st_mode & 0o077:
                raise _missing(f"{str(path)!r} can be read by others", f"chmod 600 {path}")
            found = path.read_bytes()[:_BYTES_AT_MOST].decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise _missing(
                f"secret {name!r} cannot be read: {reason(error)}",
                f"put the value into {path}, mode 0600",
            ) from error
        if not found or "\n" in found:
            raise _missing(f"secret {name!r} is not one line", f"write it into {path} again")
        return found


def _missing(why: str, hint: str = "") -> MisconfiguredError:
    return MisconfiguredError(f"{why}; not started", name=ErrorName.NO_SECRET, hint=hint)
