"""News of a grant's life that its holder and its approvers hear on their own channels as well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from breakglass.monitor.alerts.alert import Alert
from breakglass.records.grant import EndedWhy

_ALWAYS = frozenset(
    {"incident_closing", "starts_soon", "starts_now", "start_refused", "will_not_start"}
)
_UNASKED = frozenset(
    {EndedWhy.NOT_MINTED, EndedWhy.INCIDENT_CLOSED, EndedWhy.IDLE, EndedWhy.KILLED}
)
"""Ends that the holder neither chose nor knew of beforehand."""


def with_concerned(news: Alert) -> Iterator[Alert]:
    """Yield the news as it came, and once more for each person whom it concerns.

    Who has no channel of their own hears it where everybody does.
    """
    yield news
    ended = news.subject == "ended" and news.fields.get("ended") in _UNASKED
    if news.person or not (news.subject in _ALWAYS or ended):
        return
    named = ",".join(news.fields.get(each, "") for each in ("who", "approvers"))
    for who in sorted({each.strip() for each in named.split(",") if each.strip()}):
        yield replace(news, person=who)
