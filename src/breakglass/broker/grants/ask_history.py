"""What became of each ask, kept up as the ledger is folded: answers, pages, and its end.

The fold keeps what decides, and lets an ask go when its grant stands; people want the whole story:
who was called by which channel, and who said what. Whoever waits for news is woken here.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from breakglass.node.memory_projection import MemoryProjection
from breakglass.records.fold.context import Entry
from breakglass.records.fold.fold import Judged
from breakglass.records.fold.forgetting import ended_ask, is_old, waiting_ask
from breakglass.records.fold.slices.grants import AnswerState, AskedState
from breakglass.records.fold.state import State
from breakglass.records.kinds.alert import PAGE, Alert, Delivery
from breakglass.records.kinds.all_suspended import AllSuspended
from breakglass.records.kinds.answered import Answered
from breakglass.records.kinds.asked import Asked, Outcome
from breakglass.records.kinds.dead import Dead
from breakglass.records.kinds.ended import Ended
from breakglass.records.kinds.intent import Intent
from breakglass.records.kinds.refused import Refused
from breakglass.records.kinds.suspended import Suspended
from breakglass.records.kinds.withdrawn import Withdrawn
from breakglass.records.signing.signature import Signature
from breakglass.records.statement import AccessRequest, digest_of

_PAGES_KEPT = 256  # of one ask


@dataclass(frozen=True)
class Page:
    """One call for approvers on one channel; ``to`` are people, or a channel that is nobody's."""

    to: tuple[str, ...]
    channel: str
    at: datetime
    delivery: Delivery


@dataclass(frozen=True)
class AskStory:
    """One ask: as it stood last, how many people it takes, and who was called.

    ``changed`` is the newest entry that changed anything about it, ``granted`` its intent's.
    """

    ask: AskedState
    need: int
    changed: int
    pages: tuple[Page, ...] = ()
    granted: int | None = None

    def answer(self, digest: str) -> AnswerState | None:
        """Return the answer whose statement has this digest, if it stands."""
        found = (each for each in self.ask.answers if digest_of(each.statement.text) == digest)
        return next(found, None)


@dataclass
class Stories:
    """Every ask of the last two days that takes people; ``open`` are those that may yet wait."""

    asks: dict[str, AskStory] = field(default_factory=dict)
    open: dict[str, datetime] = field(default_factory=dict)


class AskHistory(MemoryProjection[Stories]):
    """A projection; safe under threads. ``take`` holds the state, and waits for nobody here."""

    def __init__(self) -> None:
        names = {"AccessRequest": AccessRequest, "Signature": Signature}
        super().__init__("ask_history", Stories, names)
        self._news = threading.Condition()
        self._closed = self._changed = False

    def take(self, judged: Judged, entry: Entry, state: State) -> None:
        """Take the next entry."""
        if judged.record is None or not judged.holds:
            return
        body, index = judged.record.body, judged.index
        with self._lock:
            self._changed = False
            self._take(body, index, judged.record.envelope.at, state)
            changed = self._changed
        if changed:
            with self._news:
                self._news.notify_all()

    def _take(self, body: object, index: int, at: datetime, state: State) -> None:
        match body:
            case Asked() if body.decision.outcome is Outcome.NEEDS_APPROVAL:
                self._forget_old(state)
                ask = state.grants.asked[body.grant]
                self.kept.asks[body.grant] = AskStory(ask, body.decision.need, index)
                self.kept.open[body.grant] = ask.until
                self._changed = True
            case Alert() if body.subject == PAGE and (story := self.kept.asks.get(body.about)):
                page = Page(body.to, body.channel, at, body.delivery)
                pages = (*story.pages, page)[-_PAGES_KEPT:]
                self._look(body.about, index, state)
                self._change(body.about, changed=index, pages=pages)
            case Answered() | Withdrawn() | Refused():
                self._look(body.grant, index, state)
            case Intent():
                if body.grant in self.kept.asks:
                    self._change(body.grant, changed=index, granted=index)
                    self.kept.open.pop(body.grant, None)
                # A break of the same person and glass ends the ask that it leaves behind.
                overtaken = state.grants.last_ask.get((body.who, body.glass), "")
                if overtaken != body.grant and overtaken in self.kept.open:
                    self._look(overtaken, index, state)
            case Ended() | Dead():
                self._change(body.grant, changed=index)
            case Suspended() | AllSuspended():
                # It may end an ask, a grant, or take an approver's answer away; who waits for one
                # of them looks again.
                for name in list(self.kept.asks):
                    self._look(name, index, state)
            case _:
                pass

    def _look(self, grant: str, index: int, state: State) -> None:
        """Take over how the ask stands now."""
        if grant not in self.kept.asks:
            return
        waiting, ended = waiting_ask(state, grant), ended_ask(state, grant)
        if waiting is None:
            self.kept.open.pop(grant, None)
        ask = waiting or (ended.ask if ended is not None else None)
        self._change(grant, changed=index, **({"ask": ask} if ask is not None else {}))

    def _change(self, grant: str, **changes: Any) -> None:
        story = self.kept.asks.get(grant)
        if story is not None:
            self.kept.asks[grant] = replace(story, **changes)
            self._changed = True

    def _forget_old(self, state: State) -> None:
        asks = self.kept.asks
        for name in [name for name, each in asks.items() if is_old(state, each.ask.said.at)]:
            del asks[name]
            self.kept.open.pop(name, None)

    def find(self, grant: str) -> AskStory | None:
        """Return one ask."""
        with self._lock:
            return self.kept.asks.get(grant)

    def all(self) -> dict[str, AskStory]:
        """Return every ask, the oldest first."""
        with self._lock:
            return dict(self.kept.asks)

    def open(self, now: datetime) -> list[str]:
        """Return the asks to which an intent or a silence may still follow."""
        # Nothing is let go here: a clock that is set back finds them again.
        with self._lock:
            return [name for name, until in self.kept.open.items() if now <= until]

    def wait(self, grant: str, past: int, within: float) -> AskStory | None:
        """Return an ask once an entry behind ``past`` changed it, or as it is after ``within`` s.

        Holds no lock while it waits; ``release`` lets it go.
        """
        until = time.monotonic() + within
        with self._news:
            while True:
                story = self.find(grant)
                if story is not None and story.changed > past:
                    return story
                left = until - time.monotonic()
                if left <= 0 or self._closed:
                    return story
                self._news.wait(left)

    @property
    def released(self) -> bool:
        """Whether nobody may wait any more."""
        return self._closed

    def release(self) -> None:
        """Let everybody go who waits, now and from now on."""
        with self._news:
            self._closed = True
            self._news.notify_all()
