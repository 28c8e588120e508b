"""What should have been recorded by now and is not. Pure: state and a time in, news out.

The time is the witnesses'; a monitor's own clock may be wrong by more than these bounds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from breakglass.monitor.alert_texts import span
from breakglass.monitor.alerts.alert import Alert
from breakglass.monitor.history_projection import HistoryProjection
from breakglass.monitor.people.failed_asks import failed_asks
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.fold.state import State

CARDS_NOTICE = timedelta(days=14)
RING_DOORS_AGAIN = timedelta(hours=1)


@dataclass(frozen=True)
class Patience:
    """How long each record may take before its absence is news."""

    minted: timedelta = timedelta(seconds=60)  # after the intent
    dead: timedelta = timedelta(seconds=60)  # after the grant's end
    door: timedelta = timedelta(minutes=5)  # after a use of it was told; its intent must stand
    ended: timedelta = timedelta(minutes=10)  # of a grant that minted nothing; nothing is at risk


def missing(
    state: State, chronicle: HistoryProjection, now: datetime, patience: Patience
) -> tuple[Alert, ...]:
    """Return what is overdue, each under a key that stays the same for as long as it is."""
    found = [
        news
        for grant in sorted(chronicle.kept.unfinished)
        if grant in state.grants.by_id
        for news in _of(state.grants.by_id[grant], chronicle.of(grant).witnessed, now, patience)
    ]
    found += [*_doors(state, now, patience), *_cards(state, chronicle, now)]
    return (*found, *failed_asks(state, now))


def _of(
    grant: GrantState, witnessed: datetime | None, now: datetime, patience: Patience
) -> Iterator[Alert]:
    end = grant.ended_at or min(grant.not_after, grant.stopped_at or grant.not_after)
    start = grant.at
    if witnessed is not None and witnessed - grant.at > patience.minted:
        # By the custodians' door: what followed it comes into the log behind it.
        start, end = witnessed, max(end, witnessed)
    fetched = not grant.scheduled  # else at any time until its end
    if grant.minter and grant.minted_at is None and grant.ended is None and fetched:
        if now > start + patience.minted:
            yield _news(
                "not_minted",
                grant,
                start + patience.minted,
                f"minter {grant.minter!r} has recorded neither a credential nor an end"
                f" {span(patience.minted)} after the intent",
            )
    elif grant.minted_at is not None and grant.dead_at is None and now > end + patience.dead:
        yield _news(
            "not_dead",
            grant,
            end + patience.dead,
            f"no proof that the credential is revoked, {span(patience.dead)} after its end at"
            f" {end:%H:%M:%S} UTC; it may still work on {grant.minter!r}",
        )
    if grant.minted_at is None and grant.ended is None and now > end + patience.ended:
        what = f"no end is recorded {span(patience.ended)} after it"
        yield _news("not_ended", grant, end + patience.ended, what)


def _news(subject: str, grant: GrantState, since: datetime, what: str) -> Alert:
    text = f"MISSING: {grant.glass!r} of {grant.who}, {grant.grant}: {what}."
    fields = {
        "who": grant.who,
        "glass": grant.glass,
        "incident": grant.incident,
        "kill": f"breakglass kill {grant.grant}",
    }
    return Alert(subject, grant.grant, grant.index, grant.grant, since, text, fields)


def _doors(state: State, now: datetime, patience: Patience) -> Iterator[Alert]:
    for door in state.unappended_doors():
        late = now - door.seen
        if late <= patience.door:
            continue
        # Again every hour, each under a subject of its own: a key rings once.
        hours = int((late - patience.door) / RING_DOORS_AGAIN)
        subject = "door_unappended" if not hours else f"door_unappended_{hours}h"
        used = ", ".join(f"{use.by} (run {use.run!r})" for use in door.uses)
        text = (
            f"UNRECORDED DOOR: {door.who} used the custodians' door for {door.glass!r} at {used},"
            f" grant {door.grant}, and {span(patience.door)} after the ledger's return its intent"
            " is not there. The responder or a custodian must send it: breakglass door use FILE."
            " After 24 h the ledger never accepts it."
        )
        fields = {"who": door.who, "glass": door.glass}
        yield Alert(subject, door.grant, door.index, door.grant, door.seen, text, fields)


def _cards(state: State, chronicle: HistoryProjection, now: datetime) -> Iterator[Alert]:
    soon = sorted(
        (active.card.expires, glass)
        for glass, active in state.governance.cards.items()
        if now > active.card.expires - CARDS_NOTICE
    )
    if soon:
        names = ", ".join(f"{glass!r} on {expires:%Y-%m-%d}" for expires, glass in soon)
        text = (
            f"Glass cards expire: {names}. After that these glasses cannot be broken. Renew:"
            " breakglass policy renew"
        )
        since = soon[0][0] - CARDS_NOTICE
        yield Alert("cards_expire", "cards", chronicle.kept.cards_index, "policy", since, text)
