"""Files that a process keeps for itself alone, under a code that only its own key makes.

```
breakglass.dev/snapshot/v1
<HMAC-SHA256 of all other lines, in hexadecimal>
lines, as the header says; each ends with 0x0A
```

The code keeps away what somebody else wrote: a copied volume, a restored backup, the same user's
other program. It says nothing of how old the file is.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from breakglass.errors import MalformedError, UnprovenError
from breakglass.tlog.signer import SignerKey

KEY_LABEL = "breakglass.dev/kept/v1"


class KeptLines:
    """Writes and reads files of one form.

    Args:
        header: the first line; no file of one form is ever taken for one of another.
        key: the process's own.
    """

    def __init__(self, header: str, key: SignerKey) -> None:
        self._header = header.encode()
        self._key = key.derived(KEY_LABEL)

    def encoded(self, lines: Sequence[bytes]) -> bytes:
        """Return the file of these lines, none of which holds a line end."""
        return b"\n".join([self._header, self._code(lines), *lines, b""])

    def parse(self, data: bytes) -> list[bytes]:
        """Return the lines of a file.

        Raises:
            MalformedError: another form.
            UnprovenError: not written under this key, or altered since.
        """
        header, *rest = data.split(b"\n")
        if header != self._header or len(rest) < 2 or rest[-1]:
            raise MalformedError(f"it does not begin with {self._header.decode()!r}, or is torn")
        code, lines = rest[0], rest[1:-1]
        if not hmac.compare_digest(code, self._code(lines)):
            raise UnprovenError("it was altered, or written under another key")
        return lines

    def _code(self, lines: Sequence[bytes]) -> bytes:
        code = hmac.new(self._key, self._header, "sha256")
        for each in lines:
            code.update(b"\n" + each)
        return code.hexdigest().encode()
