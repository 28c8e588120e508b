"""Asks as a broker of somebody's own has them: honest, in memory, and ready to be lied about.

asks = SimulatedAsks(org)
asks.page("g-…", "sam")                    # the monitor has called sam
asks.say("g-…", Do.APPROVE, "sam")         # sam approves, by another broker
asks.fall_silent("g-…")                    # it is recorded that nobody answered
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from breakglass.clock import format_time, to_milliseconds
from breakglass.error_names import ErrorName
from breakglass.records.people_list import May
from breakglass.records.signing.signature import Signed
from breakglass.records.statement import (
    AccessRequest,
    Answer,
    Do,
    digest_of,
    grant_id,
    parse_as,
    parse_request,
)
from breakglass.token.token import person_line
from tests.kit.organisation import Organisation

_ENDED = {Do.REFUSE: "refused", Do.WITHDRAW: "withdrawn"}


@dataclass
class SimulatedAsk:
    """One ask; ``version`` rises with each change."""

    signed: Signed
    version: int = 2
    said: list[Signed] = field(default_factory=list)
    pages: list[dict[str, Any]] = field(default_factory=list)
    silent: bool = False
    state: str = "waiting"
    granted: bool = False  # and over since
    until: datetime | None = None

    @property
    def request(self) -> AccessRequest:
        """Return what was signed."""
        return parse_request(self.signed.text)

    @property
    def answers(self) -> list[Answer]:
        """Return what people said."""
        return [parse_as(Answer, each.text) for each in self.said]

    @property
    def approvals(self) -> tuple[Signed, ...]:
        """Return who approved, as an intent carries them."""
        pairs = zip(self.said, self.answers, strict=True)
        return tuple(signed for signed, said in pairs if said.do is Do.APPROVE)


@dataclass
class SimulatedAsks:
    """See the module; safe under threads."""

    org: Organisation
    asks: dict[str, SimulatedAsk] = field(default_factory=dict)
    copies: list[dict[str, Any]] = field(default_factory=list)
    mine: list[str] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)

    def answer(self, method: str, path: str, body: Any) -> Any:
        """Return what a broker or monitor says at these paths, or ``None``."""
        plain, _, query = path.partition("?")
        if plain == "/copies":
            self.copies.append(body["statement"])
            return {"kept": True}
        if plain == "/me":
            self.mine.append(body["text"]["text"])
            return {"channels": []}
        if plain == "/asks":
            return self._ask(body)
        if plain == "/answers":
            return self._answer(Signed(**body["statement"]))
        if plain == "/requests":
            mine = [self.view(each) for each in reversed(self.asks)]
            return {"mine": mine, "waiting": []}
        grant = plain.rpartition("/")[2]
        if grant not in self.asks:
            return None
        asked = {name: int(values[0]) for name, values in parse_qs(query).items()}
        with self.news:
            ask = self.asks[grant]
            self.news.wait_for(lambda: ask.version > asked.get("after", 0), asked.get("wait", 0))
        return self.view(grant)

    def page(
        self, grant: str, who: str, channel: str = "chat", delivery: str = "delivered"
    ) -> None:
        """Let the monitor have called somebody."""
        page = {"to": [who], "channel": channel, "at": format_time(_now()), "delivery": delivery}
        with self._change(grant) as ask:
            ask.pages.append(page)

    def fall_silent(self, grant: str) -> None:
        """Let it be recorded that nobody answered."""
        with self._change(grant) as ask:
            ask.silent = True

    def end(self, grant: str) -> None:
        """Let somebody have stopped it: its grant, where it was granted, is over."""
        with self._change(grant) as ask:
            ask.granted |= ask.state == "granted"
            ask.state = "ended"

    def say(self, grant: str, do: Do, who: str, why: str = "go ahead") -> None:
        """Let somebody answer from elsewhere."""
        from breakglass.records.statement import Why

        digest = digest_of(self.asks[grant].signed.text)
        nonce = f"{len(self.asks[grant].said):032x}"
        said = self.org.answer(
            digest, do=do, who=who, reason=Why("other", why), at=_now(), nonce=nonce
        )
        signed = self.org.sign(said)
        assert isinstance(signed, Signed)
        self._answer(signed)

    def view(self, grant: str) -> dict[str, Any]:
        """Return one ask as an honest broker shows it."""
        ask = self.asks[grant]
        said = ask.request
        card, people = self.org.card(said.glass), self.org.card_people(said.glass)
        need = card.ask_need if said.do is Do.ASK else card.need
        names = {said.who, *(each.who for each in ask.answers)}
        return {
            "grant": grant,
            "version": ask.version,
            "state": ask.state,
            "do": said.do.value,
            "who": said.who,
            "glass": said.glass,
            "incident": said.incident,
            "code": said.reason.code,
            "why": said.reason.text,
            "at": format_time(said.at),
            "until": format_time(ask.until or said.at + timedelta(seconds=card.wait_s)),
            "need": need,
            "silent": ask.silent,
            "approvers": sorted(people.who_may(May.APPROVE) - {said.who}),
            "groups": ["shop-leads"],
            "answers": [
                {
                    "who": each.who,
                    "reply": "yes" if each.do is Do.APPROVE else "no",
                    "at": format_time(each.at),
                    "index": 7,
                    "why": each.reason.text,
                }
                for each in ask.answers
                if each.do is not Do.WITHDRAW
            ],
            "pages": ask.pages,
            "people": [person_line(each) for each in people.carried(names)],
            "self_declared": True,
            "refused_before": [],
            "statement": {"text": ask.signed.text, "sshsig": ask.signed.sshsig},
            "granted_index": 9 if ask.granted or ask.state == "granted" else None,
        }

    def _ask(self, body: Any) -> Any:
        signed = Signed(**body["statement"])
        with self.news:
            self.asks.setdefault(grant_id(signed.text), SimulatedAsk(signed))
        return self.view(grant_id(signed.text))

    def _answer(self, signed: Signed) -> Any:
        said = parse_as(Answer, signed.text)
        found = [
            name for name, each in self.asks.items() if digest_of(each.signed.text) == said.answers
        ]
        if not found:
            return None
        if said.do is Do.WITHDRAW and self.asks[found[0]].state == "granted":
            return {
                "error": ErrorName.GRANTED_ALREADY,
                "message": f"request {found[0]!r} is granted already",
                "hint": f"hand it back: breakglass done {found[0]}",
            }
        with self._change(found[0]) as ask:
            ask.said.append(signed)
            card = self.org.card(ask.request.glass)
            need = card.ask_need if ask.request.do is Do.ASK else card.need
            if said.do in _ENDED:
                ask.state = _ENDED[said.do]
            elif len(ask.approvals) >= need:
                ask.state = "granted"
        return {"grant": found[0], "index": 7, "ask": self.view(found[0])}

    def _change(self, grant: str) -> _Change:
        return _Change(self, self.asks[grant])


@dataclass
class _Change:
    asks: SimulatedAsks
    ask: SimulatedAsk

    def __enter__(self) -> SimulatedAsk:
        self.asks.news.acquire()
        return self.ask

    def __exit__(self, *_: object) -> None:
        self.ask.version += 2
        self.asks.news.notify_all()
        self.asks.news.release()


def _now() -> datetime:
    return to_milliseconds(datetime.now(UTC))
