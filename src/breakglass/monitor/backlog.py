"""What the records ask of the monitor and the ledger does not show as done: news, and decisions.

Both are kept until the ledger shows them or they are too old, whether they were done meanwhile or
not: so what a crash left undone is found again, from a snapshot as from the whole log.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

from breakglass.monitor.alert_rules import alert_for
from breakglass.monitor.alerts.alert import Alert
from breakglass.monitor.decision_replay import Case, case_of
from breakglass.monitor.history_projection import HistoryProjection
from breakglass.monitor.people.ask_news import ask_news
from breakglass.monitor.people.receipts import receipts
from breakglass.monitor.settings import NEWS_KEPT
from breakglass.node.memory_projection import MemoryProjection
from breakglass.records import all_kinds as kinds
from breakglass.records.fold.context import Entry
from breakglass.records.fold.fold import Judged
from breakglass.records.fold.slices.governance import ActiveCard
from breakglass.records.fold.state import State

log = logging.getLogger("breakglass.monitor")
_FORBIDDEN = 100
_OLD = timedelta(minutes=5)
_NEVER_OLD = datetime.max.replace(tzinfo=UTC)  # of an entry that nobody cosigned


@dataclass(frozen=True)
class News:
    """One alert, and when its entry was witnessed."""

    alert: Alert
    witnessed: datetime


@dataclass
class Undone:
    """News by its key, and cases by grant, until a ``justified`` record; ``forbidden``: newest."""

    news: dict[str, News] = field(default_factory=dict)
    cases: dict[str, Case] = field(default_factory=dict)
    forbidden: list[str] = field(default_factory=list)
    day: date | None = None


class Backlog(MemoryProjection[Undone]):
    """A projection, behind that of the history; read under the view's lock.

    Attributes:
        latest: the news of the entry that was taken last.
    """

    def __init__(self, history: HistoryProjection) -> None:
        names = {"ActiveCard": ActiveCard, "Intent": kinds.Intent}
        super().__init__("backlog", Undone, names)
        self._history = history
        self.latest: tuple[Alert, ...] = ()

    def take(self, judged: Judged, entry: Entry, state: State) -> None:
        """Take the next entry."""
        kept = self.kept
        witnessed = max(entry.cosigned.values(), default=_NEVER_OLD)
        if judged.void and not judged.quiet:
            kept.forbidden.append(f"{judged.index} {judged.void}: {judged.why}")
            del kept.forbidden[:-_FORBIDDEN]
        self.latest = self._news(judged, entry, state, witnessed)
        kept.news |= {each.news: News(each, witnessed) for each in self.latest}
        if judged.holds and judged.record is not None:
            match judged.record.body:
                case kinds.Intent(grant=grant):
                    kept.cases[grant] = case_of(grant, state, self._history)
                case kinds.Justified(grant=grant):
                    kept.cases.pop(grant, None)
                case _:
                    pass
        self._let_go(state)

    def since(self, start: datetime, now: datetime) -> Iterator[Alert]:
        """Yield the news that was witnessed after a time, oldest first; what is old says so.

        A channel that was added today hears of the whole past day, and people would act on it.
        """
        for each in self.kept.news.values():
            if each.witnessed > start:
                old = now - each.witnessed > _OLD and each.witnessed != _NEVER_OLD
                yield _late(each) if old else each.alert

    def _news(
        self, judged: Judged, entry: Entry, state: State, witnessed: datetime
    ) -> tuple[Alert, ...]:
        try:
            told = alert_for(judged, entry, state, self._history)
            return (*told, *ask_news(judged, state), *receipts(judged, state))
        except Exception:
            # Stays shut: the record is folded, and what could not be said of it is shouted.
            log.exception("entry %d: an error inside", judged.index)
            return (error_inside(judged, witnessed),)

    def _let_go(self, state: State) -> None:
        now, kept = state.witnessed, self.kept
        if now is None or now.date() == kept.day:
            return
        kept.day = now.date()
        kept.news = {
            key: each for key, each in kept.news.items() if each.witnessed > now - NEWS_KEPT
        }
        here = state.grants.by_id
        kept.cases = {grant: each for grant, each in kept.cases.items() if grant in here}


def _late(news: News) -> Alert:
    said = f"(late: {news.witnessed:%Y-%m-%d %H:%M} UTC) {news.alert.text}"
    return replace(news.alert, text=said)


def error_inside(judged: Judged, at: datetime) -> Alert:
    """Return the news that an entry could not be looked at."""
    text = (
        f"THE MONITOR FAILED at entry {judged.index} of the ledger: an internal error. That entry"
        " raised no alert: look at it by hand, and at the monitor's log."
    )
    about = f"entry/{judged.index}"
    return Alert("monitor_error", about, judged.index, about, at, text)
