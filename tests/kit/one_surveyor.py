"""A surveyor of real parts in the caller's thread, over an organisation in memory.

The target is the simulator, the ledger the organisation's own log; a look happens when it is told
to. ``crash_at`` ends the surveyor at a numbered step, as a power cut would; its files stay, and
``restart`` begins again from them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from breakglass.errors import UnavailableError
from breakglass.node.submitter import Submitter
from breakglass.process.alert_channel import AlertChannel
from breakglass.records import all_kinds as kinds
from breakglass.records.kinds.ended import EndedWhy
from breakglass.records.kinds.standing import Standing
from breakglass.records.statement import digest_of
from breakglass.submit.append_batch import Receipt
from breakglass.submit.queue_items import Drafting, made
from breakglass.submit.record_header import numbered
from breakglass.surveyor.inventory_store import InventoryStore
from breakglass.surveyor.occasions import Occasions
from breakglass.surveyor.simulated_survey import SimulatedSurvey
from breakglass.surveyor.survey import Thing
from breakglass.surveyor.surveying import Surveying
from breakglass.tlog.note import sign_note

from ..records.folding import ended, orders
from .one_minter import Crash, LogInMemory, TrueTime, ViewInMemory, WrongClock
from .organisation import Broken, Organisation, signer

TARGET = "orders-db"
ROLE = f"minter:{TARGET}.survey"
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
ADMIN = Thing("superuser", "superuser", "postgres")
INTERN = Thing("table-write", "update on orders", "intern", "orders", ("repair",))


@dataclass
class Ledger:
    """The appends of one submitter. ``away``: nothing arrives; ``silent``: no answer comes back."""

    org: Organisation
    true: TrueTime
    followed: Callable[[], None]
    away: bool = False
    silent: bool = False

    def append(self, drafts: Sequence[Drafting], within: timedelta) -> list[Receipt]:
        """Number, sign and append."""
        if self.away:
            raise UnavailableError("the ledger was not reached", name="not_sent")
        chain = self.org.chains.setdefault(ROLE, type(self.org.chains["broker"])())
        for draft in map(made, drafts):
            text = numbered(draft.text, chain.seq, chain.prev)
            chain.seq, chain.prev = chain.seq + 1, digest_of(text)
            note = sign_note(text, self.org.submitters[ROLE]).encoded()
            self.org.append(note, at=self.true.at)
        if self.silent:
            raise UnavailableError("the ledger did not answer", name="unanswered")
        self.followed()
        return [Receipt(self.org.log.size - 1, note, b"")]


class OneSurveyor:
    """See the module."""

    def __init__(self, folder: Path, *, kinds: int = 3) -> None:
        self.folder = folder
        self.org = Organisation()
        self.org.submitters[ROLE] = signer("orders-db-survey.shop.example")
        self.org.begin()
        self.card = self.org.card_note("orders-repair")
        for number in range(2, kinds + 1):
            assert self.org.activate_trust(version=str(number), kinds=str(number)).holds
        self.true = TrueTime(self.org)
        self.log = LogInMemory(self.org, self.true)
        self.target = SimulatedSurvey(folder / "target.sqlite")
        self.target.put(ADMIN)
        self.ledger = Ledger(self.org, self.true, lambda: self.view.follow())
        self.step = ""
        self.restart()

    def restart(self) -> None:
        """Begin again from what is on disk."""
        self.step = ""
        clock = WrongClock(self.true)
        self.occasions = Occasions(TARGET)
        self.view: Any = ViewInMemory(self.org, self.log, self.occasions.take, 0)
        self.view.follow()
        self.store = InventoryStore(self.folder / "surveys.sqlite")
        outbox: Any = self.ledger
        key = self.org.submitters[ROLE].verifier.label
        stating = Submitter(outbox, self.org.log_name, clock, lambda: self.view.last_at(key))
        self.bell = AlertChannel(self.folder / "rings.log", "", ROLE, clock)
        current: Any = type("Current", (), {"current": True})()
        self.surveying = Surveying(
            TARGET,
            self.target,
            self.view,
            current,
            self.occasions,
            self.store,
            stating,
            self.bell,
            clock,
            DAY,
            timedelta(0),
            self._at,
        )

    def close(self) -> None:
        """Let go of files and threads."""
        self.bell.close()
        self.store.close()

    def _at(self, step: str) -> None:
        if step == self.step:
            raise Crash

    def look(self, *, later: timedelta = SECOND) -> list[Standing]:
        """Let time pass, look until nothing is due, and return the records that hold."""
        self.pass_time(later)
        before = len(self.org.judged)
        self.view.follow()
        for _ in range(4):
            self.surveying.look()
            self.pass_time(SECOND)
        return [
            each.record.body
            for each in self.org.judged[before:]
            if each.holds and each.record and isinstance(each.record.body, Standing)
        ]

    def crash_at(self, step: str) -> None:
        """End at a step of the next survey, and begin again."""
        self.step = step
        with pytest.raises(Crash):
            self.look()
        self.close()
        self.restart()

    def pass_time(self, length: timedelta) -> None:
        """Let time pass for everybody."""
        self.true.at += length
        self.org.now = self.true.at

    def used(self, nonce: str = "a9") -> Broken:
        """Have a grant minted and usable at the target."""
        broken = orders(self.org, statement={"nonce": nonce * 16}, card=self.card)
        self.target.put(Thing("login", "login", handle(broken)))
        until = broken.intent.not_after
        body = kinds.Minted(broken.grant, "postgres", "x", {}, until, 3)
        judged = self.org.state_that("minter:orders-db", body)
        assert judged.holds, (judged.why, self.org.judged[-2].why)
        assert self.org.state_that("minter:orders-db", kinds.Usable(broken.grant, "ok", 5)).holds
        return broken

    def over(self, broken: Broken, *, stays: bool = False) -> None:
        """Have it end, and be dead; ``stays``: its account is still at the target."""
        self.pass_time(broken.intent.not_after - self.true.at + SECOND)
        assert ended(self.org, broken.grant, EndedWhy.EXPIRED, role="minter:orders-db").holds
        if not stays:
            self.target.take(Thing("login", "login", handle(broken)))
        dead = kinds.Dead(broken.grant, "refused", 1, 0, ())
        assert self.org.state_that("minter:orders-db", dead).holds


def handle(broken: Broken) -> str:
    """Return the name of a grant's account."""
    return f"bg_{broken.grant.removeprefix('g-')}"
