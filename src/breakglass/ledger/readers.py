"""Who reads entries and attachments: whoever appends, but gates; the archiver; who is named for it.

The ledger knows no people and no policy. People read by a process that follows it
(docs/decisions/http-3-who-reads.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError
from breakglass.http.request_check import RequestCheck
from breakglass.http.routes import Request
from breakglass.ledger.settings import READER, KnownSubmitters
from breakglass.tlog.policy import TlogPolicy, Witness

_GATE = "gate"


@dataclass(frozen=True)
class LedgerReader:
    """Somebody who may read all that the ledger holds; ``name`` is that of their key."""

    name: str


class Readers:
    """Decides who reads; safe under threads.

    Args:
        check: the ledger's.
        submitters: who may append, at this moment.
        policy: whose cosignatures are asked for, at this moment.
        archives: whether one of them is sent the entries too.
    """

    def __init__(
        self,
        check: RequestCheck,
        submitters: Callable[[], KnownSubmitters],
        policy: Callable[[], TlogPolicy],
        archives: Callable[[str], bool],
    ) -> None:
        self._check = check
        self._submitters = submitters
        self._policy = policy
        self._archives = archives

    def known(self, asked: Request[bytes]) -> LedgerReader:
        """Say who reads entries.

        Raises:
            BreakglassError: see ``RequestCheck``; ``not_a_reader`` for a gate or a stranger.
        """
        found = self._check.signed(asked)
        reader = self._reader(found.key)
        if reader is None:
            raise RefusedError(
                f"key {found.text.by[:16]}… is none that reads this log's entries",
                name=ErrorName.NOT_A_READER,
                hint=f"the ledger's file 'submitters' names it: KEY {READER}; a gate reads nothing",
            )
        self._check.once(found)
        return reader

    def _reader(self, key: bytes) -> LedgerReader | None:
        for each in self._submitters().values():
            if each.vkey.public == key:
                gate = each.role.partition(":")[0] == _GATE
                return None if gate else LedgerReader(each.vkey.name)
        for cosigner in self._policy().witnesses:
            if cosigner.vkey.public == key and self._keeps_entries(cosigner):
                return LedgerReader(cosigner.vkey.name)
        return None

    def _keeps_entries(self, cosigner: Witness) -> bool:
        return self._archives(cosigner.name)
