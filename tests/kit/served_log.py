"""The reading side of a ledger in memory: what followers ask of an organisation's log."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from breakglass.errors import UnavailableError
from breakglass.http.client import Incoming, Outgoing, Peer, Reply

from .organisation import Organisation


@dataclass
class Shown:
    """What every caller of one ledger sees.

    ``gone``: nobody can be reached. ``withheld``: so many of the newest entries are not shown.
    """

    org: Organisation
    gone: bool = False
    withheld: int = 0

    @property
    def size(self) -> int:
        """How many entries are shown."""
        return self.org.log.size - self.withheld


class ServedLog(Peer):
    """One caller's connection; each entry is a commit of its own, cosigned when it was appended."""

    def __init__(self, shown: Shown) -> None:
        super().__init__("http://127.0.0.1:1", name="ledger")
        self._shown = shown

    def send(
        self,
        method: str,
        path: str,
        body: bytes | Outgoing = b"",
        content_type: str = "",
        *,
        within: timedelta | None = None,
        headers: Mapping[str, str] | None = None,
        into: Incoming | None = None,
        signed: bool = False,
    ) -> Reply:
        """Answer as the ledger does."""
        if self._shown.gone:
            raise UnavailableError("'ledger' cannot be reached", name="unreachable")
        log = self._shown.org.log
        if path.startswith("/attachment/"):
            return Reply(200, log.attachments[path.rpartition("/")[2]], "", "'ledger'")
        if path == "/checkpoint":
            return Reply(200, self._head(self._shown.size - 1), "", "'ledger'")
        start = int(path.partition("from=")[2].partition("&")[0])
        if start >= self._shown.size:
            time.sleep(0.01)
        commits = [
            {
                "first": index,
                "head": self._head(index).decode(),
                "entries": [log.notes[index].decode()],
            }
            for index in range(start, self._shown.size)
        ]
        return Reply(200, json.dumps({"commits": commits}).encode(), "", "'ledger'")

    def _head(self, index: int) -> bytes:
        log = self._shown.org.log
        return log.head(log.covered[index], size=index + 1)
