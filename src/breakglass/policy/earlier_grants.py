"""What an ask would follow without a gap: the grants of the same person and glass before it.

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


@dataclass(frozen=True)
class EarlierGrants:
    """Uninterrupted access until now.

    ``begins`` is when what is asked for would begin, ``since`` when the first of these grants did,
    ``reasons`` what was typed for those that still run.
    """

    begins: datetime
    since: datetime
    reasons: tuple[str, ...]

    def gave(self, reason: str) -> bool:
        """Say whether one of them had this reason, but for case, spaces and punctuation."""
        return plain(reason) in {plain(each) for each in self.reasons}

    def together(self, lasts: timedelta = timedelta(0)) -> timedelta:
        """Return how long access would last in all, with ``lasts`` more."""
        return self.begins + lasts - self.since


def earlier_grants(
    state: State, said: AccessRequest, begins: datetime, own: str = ""
) -> EarlierGrants | None:
    """Return what an ask would follow; ``None`` where it follows nothing, and for a break.

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
            if each.grant != own and each.path is not Path.DRILL and each.not_before <= begins
        ),
        key=lambda each: each.not_before,
        reverse=True,
    )
    running = [each for each in found if _end(each, begins) >= begins]
    if not running:
        return None
    since = begins
    while joined := [each.not_before for each in found if _joins(each, since, begins)]:
        since = min(joined)
    return EarlierGrants(begins, since, tuple(_reason(each) for each in running))


def plain(reason: str) -> str:
    """Return a reason as it is compared: small letters and digits, one space between words.

    >>> plain("Still  repairing, shard 3!") == plain("still repairing shard 3")
    True
    """
    folded = unicodedata.normalize("NFKC", reason).casefold()
    return " ".join("".join(char if char.isalnum() else " " for char in folded).split())


def _joins(grant: GrantState, since: datetime, begins: datetime) -> bool:
    return grant.not_before < since <= _end(grant, begins)


def _end(grant: GrantState, begins: datetime) -> datetime:
    """Return when a grant ended, as far as that was so at ``begins``."""
    ends = (grant.ended_at, grant.stopped_at, grant.not_after)
    return min(each for each in ends if each is not None)


def _reason(grant: GrantState) -> str:
    assert grant.intent is not None, "what runs keeps its intent"
    return parse_request(grant.intent.statements[0].text).reason.text
