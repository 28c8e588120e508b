"""What should have been recorded by now and is not. Pure: state and a time in, news out.

The time is the witnesses'; a monitor's own clock may be wrong by more than these bounds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from breakglass.monitor.chronicle import Chronicle
from breakglass.monitor.news import News
from breakglass.monitor.wording import span
from breakglass.records.state import GrantState, State

CARDS_NOTICE = timedelta(days=14)


@dataclass(frozen=True)
class Patience:
    """How long each record may take before its absence is news."""

    minted: timedelta = timedelta(seconds=60)  # after the intent
    dead: timedelta = timedelta(seconds=60)  # after the grant's end
    ended: timedelta = timedelta(minutes=10)  # of a grant that minted nothing; nothing is at risk


def missing(
    state: State, chronicle: Chronicle, now: datetime, patience: Patience
) -> tuple[News, ...]:
    """Return what is overdue, each under a key that stays the same for as long as it is."""
    found = [
        news
        for grant in sorted(chronicle.unfinished)
        for news in _of(state.grants[grant], now, patience)
    ]
    return (*found, *_cards(state, chronicle, now))


def _of(grant: GrantState, now: datetime, patience: Patience) -> Iterator[News]:
    end = grant.ended_at or min(grant.intent.not_after, grant.stopped_at or grant.intent.not_after)
    if grant.intent.minter and grant.minted_at is None and grant.ended is None:
        if now > grant.at + patience.minted:
            yield _news(
                "not_minted",
                grant,
                grant.at + patience.minted,
                f"minter {grant.intent.minter!r} has recorded neither a credential nor an end"
                f" {span(patience.minted)} after the intent",
            )
    elif grant.minted_at is not None and grant.dead_at is None and now > end + patience.dead:
        yield _news(
            "not_dead",
            grant,
            end + patience.dead,
            f"nobody has shown that the credential is dead, {span(patience.dead)} after its end at"
            f" {end:%H:%M:%S} UTC; it may still work on {grant.intent.minter!r}",
        )
    if grant.minted_at is None and grant.ended is None and now > end + patience.ended:
        what = f"no end is recorded {span(patience.ended)} after it"
        yield _news("not_ended", grant, end + patience.ended, what)


def _news(subject: str, grant: GrantState, since: datetime, what: str) -> News:
    intent = grant.intent
    text = f"MISSING: {intent.glass!r} of {intent.who}, {intent.grant}: {what}."
    fields = {
        "who": intent.who,
        "glass": intent.glass,
        "incident": intent.incident,
        "kill": f"breakglass kill {intent.grant}",
    }
    return News(subject, intent.grant, grant.index, intent.grant, since, text, fields)


def _cards(state: State, chronicle: Chronicle, now: datetime) -> Iterator[News]:
    soon = sorted(
        (active.card.expires, glass)
        for glass, active in state.cards.items()
        if now > active.card.expires - CARDS_NOTICE
    )
    if soon:
        names = ", ".join(f"{glass!r} on {expires:%Y-%m-%d}" for expires, glass in soon)
        text = (
            f"Glass cards expire: {names}. After that no such glass opens. Activate the policy"
            " again: breakglass policy activate"
        )
        since = soon[0][0] - CARDS_NOTICE
        yield News("cards_expire", "cards", chronicle.cards_index, "policy", since, text)
