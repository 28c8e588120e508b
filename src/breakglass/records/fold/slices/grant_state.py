"""One grant as the fold keeps it: what its intent says, and what came after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from breakglass.canonical import Json
from breakglass.clock import format_maybe, format_time
from breakglass.records.card import Tier
from breakglass.records.grant import EndedWhy, Path, handle_of
from breakglass.records.statement import digest_of, parse_request, parse_statement
from breakglass.tlog.merkle import leaf_hash

if TYPE_CHECKING:
    from breakglass.records.fold.slices.governance import ActiveCard
    from breakglass.records.kinds.intent import Intent
    from breakglass.records.record import Record

DEATH_WITHIN = timedelta(seconds=60)  # after this the monitor rings; DESIGN.md section 4


@dataclass(frozen=True)
class GrantState:
    """One grant; a change makes another one.

    ``index`` is the intent's place in the log, ``said_at`` the time of its first statement and
    ``statement`` that text's digest, ``text_digest`` the intent's identity, ``leaf`` its note's
    leaf hash, ``platform`` what the card calls the minter's. ``rung_at`` is the first delivered
    alert about it, ``runs`` the gates and runs that it opened, ``labels`` what the log says of
    asking before breaking, ``finished_at`` when it was witnessed that nothing of it can be used,
    ``justified_at`` when the newest ``justified`` of what starts later was witnessed.

    ``intent``, ``note`` and ``card`` are there until a finished grant shrinks, within a day.
    """

    grant: str
    index: int
    at: datetime
    glass: str
    who: str
    incident: str
    ticket: str
    minter: str
    platform: str
    act: str
    holder: str
    path: Path
    tier: Tier
    policy: str
    scope: Mapping[str, tuple[str, ...]]
    gates: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    review_by: datetime
    said_at: datetime
    statement: str
    text_digest: str
    leaf: str
    labels: tuple[str, ...] = ()
    intent: Intent | None = None
    note: bytes = b""
    card: ActiveCard | None = None
    minted_at: datetime | None = None
    usable_at: datetime | None = None
    since_asked_ms: int | None = None
    ended: EndedWhy | None = None
    ended_at: datetime | None = None
    dead_at: datetime | None = None
    tail_ms: int | None = None
    finished_at: datetime | None = None
    justified: bool = False
    rung_at: datetime | None = None
    stopped_at: datetime | None = None
    justified_at: datetime | None = None
    runs: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def of(
        cls,
        record: Record[Intent],
        index: int,
        note: bytes,
        card: ActiveCard,
        labels: tuple[str, ...] = (),
    ) -> GrantState:
        """Return the grant that an intent makes.

        Raises:
            MalformedError: its first statement is none.
        """
        body, first = record.body, record.body.statements[0].text
        mint = card.card.mint(body.minter) if body.minter else None
        return cls(
            grant=body.grant,
            index=index,
            at=record.envelope.at,
            glass=body.glass,
            who=body.who,
            incident=body.incident,
            ticket=body.ticket,
            minter=body.minter,
            platform=mint.platform if mint else "",
            act=body.act,
            holder=body.holder,
            path=body.path,
            tier=body.tier,
            policy=body.policy,
            scope=body.scope,
            gates=body.gates,
            not_before=body.not_before,
            not_after=body.not_after,
            review_by=body.review_by,
            said_at=parse_statement(first).at,
            statement=digest_of(first),
            text_digest=record.text_digest,
            leaf=leaf_hash(note).hex(),
            labels=labels,
            intent=body,
            note=note,
            card=card,
        )

    @property
    def handle(self) -> str:
        """Return the name of the grant's credential on its platform."""
        return handle_of(self.grant)

    @property
    def scheduled(self) -> bool:
        """Whether its asker put its start off; of one that has shrunk nobody asks any more."""
        return bool(self.intent and parse_request(self.intent.statements[0].text).starts)

    @property
    def bypasses(self) -> int:
        """Return how many runs of gates it opened."""
        return len(self.runs)

    @property
    def over_at(self) -> datetime | None:
        """Return the later of its end and its review's due date; ``None`` until it is finished."""
        return None if self.finished_at is None else max(self.finished_at, self.review_by)

    def live(self, now: datetime) -> bool:
        """Say whether the grant may still be used; the one rule for every path."""
        return self.ended is None and self.stopped_at is None and now <= self.not_after

    def deadline(self) -> datetime | None:
        """Return by when the next record of this grant must be there; ``None`` when it is over.

        Without ``ended``: soon after its expiry, or after it was stopped. With ``ended`` but, if
        a credential was minted, without ``dead``: soon after the end.
        """
        if self.ended is None:
            return min(self.not_after, self.stopped_at or self.not_after) + DEATH_WITHIN
        if self.dead_at is None and self.minted_at is not None and self.ended_at is not None:
            return self.ended_at + DEATH_WITHIN
        return None

    def summary(self) -> Mapping[str, Json]:
        """Return the grant as plain JSON; the same before and after it shrinks."""
        return {
            "index": self.index,
            "leaf": self.leaf,
            "text": self.text_digest,
            "statement": self.statement,
            "said": format_time(self.said_at),
            "at": format_time(self.at),
            "who": self.who,
            "glass": self.glass,
            "until": format_time(self.not_after),
            "review": format_time(self.review_by),
            "minted": format_maybe(self.minted_at),
            "usable": format_maybe(self.usable_at),
            "since_asked_ms": self.since_asked_ms,
            "ended": self.ended.value if self.ended else "",
            "ended_at": format_maybe(self.ended_at),
            "dead": format_maybe(self.dead_at),
            "tail_ms": self.tail_ms,
            "finished": format_maybe(self.finished_at),
            "rung": format_maybe(self.rung_at),
            "stopped": format_maybe(self.stopped_at),
            "justified": self.justified,
            "justified_at": format_maybe(self.justified_at),
            "runs": [f"{gate} {run}" for gate, run in sorted(self.runs)],
            "labels": list(self.labels),
        }
