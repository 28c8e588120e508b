"""What an ask would follow, or be followed by, without a gap: grants of one person and glass.

A grant is never extended. Whoever still holds one and asks for another asks for an extension, which
takes its approvers anew, a reason of its own, and an end. Broker and monitor derive this from the
fold alike.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta

from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.fold.state import State
from breakglass.records.grant import Path
from breakglass.records.statement import AccessRequest, Do, parse_request

_APART = timedelta(minutes=1)  # ends so long before the next: lives are asked for in minutes


@dataclass(frozen=True)
class EarlierGrants:
    """Uninterrupted access around what is asked for.

    ``begins`` is when that would begin, ``since`` when the first of these grants did, ``reasons``
    what was typed for those that still run. ``then`` is when the next one begins that is set for
    later and that it would reach, and ``until`` when the last of those ends.
    """

    begins: datetime
    since: datetime
    reasons: tuple[str, ...]
    then: datetime | None = None
    until: datetime | None = None

    def gave(self, reason: str) -> bool:
        """Say whether one of them had this reason, but for case, spaces and punctuation."""
        return plain(reason) in {plain(each) for each in self.reasons}

    def together(self, lasts: timedelta) -> timedelta:
        """Return how long access would last in all, with ``lasts`` more."""
        end = self.begins + lasts
        return (end if self.until is None else max(end, self.until)) - self.since

    def left(self, most: timedelta) -> timedelta:
        """Return how long it may last so that all of it lasts ``most``; none is zero or less."""
        left = most - (self.begins - self.since)
        return left if self.then is None else min(left, self.then - self.begins - _APART)


def earlier_grants(
    state: State, said: AccessRequest, begins: datetime, own: str = ""
) -> EarlierGrants | None:
    """Return what an ask would follow or reach; ``None`` for nothing of both, and for a break.

    Args:
        state: as folded; a record that came behind ``begins`` changes nothing here.
        said: the statement.
        begins: when its grant would begin.
        own: the ask's own grant, where it is in the log.
    """
    if said.do is not Do.ASK or said.drill:
        return None
    found = sorted(
        (
            each
            for each in state.grants.by_id.of(said.who, said.glass)
            if each.grant != own and each.path is not Path.DRILL
        ),
        key=lambda each: each.not_before,
        reverse=True,
    )
    running = [each for each in found if each.not_before <= begins <= _end(each)]
    end = begins + timedelta(seconds=said.for_s)
    reached = [each.not_before for each in found if _reached(each, begins, end)]
    if not running and not reached:
        return None
    since = until = begins
    while joined := [each.not_before for each in found if _joins(each, since)]:
        since = min(joined)
    while ends := [_end(each) for each in found if _reached(each, begins, max(end, until), until)]:
        until = max(ends)
    then = min(reached, default=None)
    reasons = tuple(_reason(each) for each in running)
    return EarlierGrants(begins, since, reasons, then, until if reached else None)


def plain(reason: str) -> str:
    """Return a reason as it is compared: small letters and digits, one space between words.

    >>> plain("Still  repairing, shard 3!") == plain("still repairing shard 3")
    True
    """
    folded = unicodedata.normalize("NFKC", reason).casefold()
    return " ".join("".join(char if char.isalnum() else " " for char in folded).split())


def _joins(grant: GrantState, since: datetime) -> bool:
    return grant.not_before < since <= _end(grant)


def _reached(
    grant: GrantState, begins: datetime, end: datetime, until: datetime | None = None
) -> bool:
    """Say whether a grant that was set for later begins by ``end``, and ends behind ``until``.

    One that was set behind ``begins`` is no fact of a decision that was made before it.
    """
    ends = _end(grant)  # what was withdrawn before its start gives nothing
    beyond = until is None or ends > until
    set_before = grant.at <= begins < grant.not_before
    return set_before and grant.not_before <= end and grant.not_before < ends and beyond


def _end(grant: GrantState) -> datetime:
    """Return when a grant ended, or will."""
    ends = (grant.ended_at, grant.stopped_at, grant.not_after)
    return min(each for each in ends if each is not None)


def _reason(grant: GrantState) -> str:
    assert grant.intent is not None, "what runs keeps its intent"
    return parse_request(grant.intent.statements[0].text).reason.text
