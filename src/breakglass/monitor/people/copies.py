"""Copies of statements that were handed in at a broker: what never comes into the log rings.

A broker that drops an approver's yes and writes «nobody» would frame two people. So the client
leaves a copy here, and one that is not used in the log in time is told to everybody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from breakglass.clock import Clock, format_time
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, RefusedError
from breakglass.monitor.alerts.alert import Alert
from breakglass.monitor.alerts.dispatch import Dispatch
from breakglass.monitor.people.store import COPY_KEPT, Copy, PeopleStore
from breakglass.node.replica import Replica
from breakglass.records.fold.forgetting import STATEMENT_KEPT, used_by
from breakglass.records.signing.signature import (
    STATEMENT_NAMESPACE,
    Signed,
    SignedByPasskey,
    verify_signature,
)
from breakglass.records.statement import Machine, digest_of, parse_statement

_OLD = timedelta(hours=1)  # as long as a card may let an ask wait
At = Callable[[str], None]


@dataclass(frozen=True)
class CopyBody:
    """A statement as it was handed in."""

    statement: Signed | SignedByPasskey


@dataclass(frozen=True)
class KeptView:
    """It is kept, until the log shows it."""

    kept: bool


class Copies:
    """Takes copies, and looks for each in the log; ``look`` belongs to one thread.

    Args:
        store: where they wait.
        view: the log.
        ringing: where a missing one is told.
        log_name: the log's origin.
        clock: the monitor's.
        within: how long a broker may take.
        at: told of each step; tests end the process there.
    """

    def __init__(
        self,
        store: PeopleStore,
        view: Replica,
        ringing: Dispatch,
        log_name: str,
        clock: Clock,
        within: timedelta = timedelta(seconds=60),
        at: At = lambda step: None,
    ) -> None:
        self._store = store
        self._view = view
        self._ringing = ringing
        self._log = log_name
        self._clock = clock
        self._within = within
        self._at = at
        self._current_since: datetime | None = None  # since when the log is read

    def take(self, body: CopyBody) -> KeptView:
        """Keep a copy, on disk when this returns; the same again is the same.

        Raises:
            MalformedError: no statement of a person.
            RefusedError: ``wrong_log``, ``unknown_person``, ``stale_request``, ``too_many``.
            UnprovenError: its signature does not hold under the keys in force.
        """
        said, now = parse_statement(body.statement.text), self._clock.now()
        if isinstance(said, Machine):
            raise MalformedError("a machine leaves no copy", name=ErrorName.WRONG_DO)
        if said.log != self._log:
            raise RefusedError(f"this is of log {said.log!r}", name=ErrorName.WRONG_LOG)
        with self._view.reading() as state:
            keys = state.governance.keys_of(said.who)
            trust = state.governance.trust or self._view.trust()
            digest = digest_of(body.statement.text)
            seen = used_by(state, said) == digest
        if not keys:
            raise RefusedError(f"unknown person {said.who!r}", name=ErrorName.UNKNOWN_PERSON)
        if not now - _OLD <= said.at <= now + trust.skew:
            raise RefusedError(
                f"signed at {format_time(said.at)}, which is not of this hour",
                name=ErrorName.STALE_REQUEST,
            )
        verify_signature(body.statement, keys, STATEMENT_NAMESPACE)
        if not seen:
            self._store.keep_copy(digest, said.who, body.statement.text, now)
        return KeptView(kept=True)

    def look(self) -> None:
        """Let go of what the log shows, and ring what it does not show in time."""
        waiting, now = self._store.copies(), self._clock.now()
        if self._view.away is not None:
            # A log that cannot be read is told otherwise, and withholds nothing. Brokers could not
            # write meanwhile either: their time begins when it is back.
            self._current_since = None
            return
        self._current_since = self._current_since or now
        if not waiting:
            return
        with self._view.reading() as state:
            used = {
                each.digest
                for each in waiting
                if used_by(state, parse_statement(each.text)) == each.digest
            }
            size = state.size
        for each in waiting:
            if each.digest in used or (each.rung and now - each.since > COPY_KEPT):
                self._store.forget_copy(each.digest)
            elif not each.rung and now - max(each.since, self._current_since) > self._within:
                # (1) Ring. A crash behind this rings again under the same key, which is known.
                self._ringing.ring([_withheld(each, size, self._within, now)])
                self._at("rung")
                # (2) Mark it; it waits on, to be forgotten when it is seen after all.
                self._store.rang(each.digest)


def _withheld(copy: Copy, size: int, within: timedelta, now: datetime) -> Alert:
    said = parse_statement(copy.text)
    text = (
        f"WITHHELD: {copy.who} handed in a signed '{said.do.value}' at"
        f" {copy.since:%Y-%m-%d %H:%M:%S} UTC, and {within.total_seconds():.0f} s later it is not"
        " in the ledger. A broker may be down, or keep it back: do not blame anybody for silence"
        f" before you have asked {copy.who}. SHA-256 {copy.digest[:16]}…"
    )
    if now - copy.since > STATEMENT_KEPT:
        text += " It is so old that only the entries of that time can tell: it may be there."
    fields = {"who": copy.who}
    return Alert(
        "statement_withheld",
        copy.who,
        size,
        f"copy/{copy.digest[:16]}",
        copy.since,
        text,
        fields,
        once=copy.digest,
    )
