"""With nobody acting, everything that somebody began comes to its end by its deadline.

Asks that wait, starts that lie ahead, grants whose incident was closed, grants that nobody uses:
over several clocks, with a minter that dies. Source: (F-34) of docs/spec/record.md.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from breakglass.errors import BreakglassError
from breakglass.minter.minting import Patience
from breakglass.records.fold.scheduled_start import JUSTIFIED_LATE
from breakglass.records.fold.slices.grant_state import DEATH_WITHIN
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.statement import Do, Target, digest_of
from tests.kit.lives import EndingOrganisation, changes_incident
from tests.kit.one_minter import MINUTE, SECOND, Crash, OneMinter
from tests.kit.organisation import Broken
from tests.kit.scheduled import decided_again, put_kinds_2_in_force, schedule
from tests.properties.lives import lives

T = TypeVar("T")
PEOPLE = ("mira", "teo")
AHEAD_S = (60, -60, 110, -110)
STEPS = ("claimed", "minted", "kept", "early", "told", "cut", "probed", "dead", "said")
LONGEST_REST = 75 * SECOND
grants: Bundle[Broken] = Bundle("grants")


class GrantDeadlines(RuleBasedStateMachine):
    """One organisation under a bundle that ends grants early, one target, one minter."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.count = 0

    @initialize(
        ahead=st.dictionaries(
            st.sampled_from(("broker", "minter", *PEOPLE)), st.sampled_from(AHEAD_S), max_size=3
        )
    )
    def begin(self, ahead: dict[str, int]) -> None:
        clocks = {who: each * SECOND for who, each in ahead.items()}
        patience = Patience(timedelta(0), timedelta(0), 5 * MINUTE)
        self.minter = OneMinter(
            Path(self.folder.name), org=EndingOrganisation(), ahead=clocks, patience=patience
        )
        put_kinds_2_in_force(self.minter.org)

    def nonce(self) -> str:
        self.count += 1
        return f"{self.count:02x}"

    @rule(target=grants, who=st.sampled_from(PEOPLE), for_s=st.sampled_from([1200, 300]))
    def somebody_breaks_the_glass_and_gets_it(self, who: str, for_s: int) -> Broken:
        broken = self.minter.break_glass(who, "broker", for_s)
        self.trying(lambda: self.minter.mint(broken))
        return broken

    @rule(who=st.sampled_from(PEOPLE))
    def somebody_asks_and_nobody_answers(self, who: str) -> None:
        org = self.minter.org
        said = org.statement(
            do=Do.ASK, glass="orders-repair", who=who, nonce=self.nonce() * 16, at=org.now
        )
        org.state_that("broker", org.asked(org.sign(said)))

    @rule(target=grants, who=st.sampled_from(PEOPLE), ahead=st.sampled_from([5, 20, 60]))
    def somebody_is_granted_a_start(self, who: str, ahead: int) -> Broken:
        org = self.minter.org
        broken = schedule(org, self.minter.card, self.nonce(), ahead * MINUTE, who=who)
        decided_again(org, broken)
        return broken

    @rule(broken=grants)
    def the_monitor_decides_again(self, broken: Broken) -> None:
        if broken.grant in self.minter.org.state.grants.by_id:
            decided_again(self.minter.org, broken)

    @rule(broken=grants)
    def its_holder_fetches_it(self, broken: Broken) -> None:
        self.trying(lambda: self.minter.mint(broken))

    @rule(broken=grants, do=st.sampled_from([Do.DONE, Do.WITHDRAW]))
    def its_holder_takes_it_back(self, broken: Broken, do: Do) -> None:
        org = self.minter.org
        who = broken.intent.who
        word = org.answer(digest_of(broken.signed.text), do=do, who=who, at=org.now)
        self.trying(lambda: self.minter.end(broken, org.sign(word)))

    @rule(broken=grants)
    def it_is_killed(self, broken: Broken) -> None:
        word = self.minter.kill(Target.GRANT, broken.grant)
        self.trying(lambda: self.minter.end(broken, word))

    @rule(who=st.sampled_from(("mira", "bo")), do=st.sampled_from([Do.CLOSE, Do.DECLARE]))
    def the_incident_changes(self, who: str, do: Do) -> None:
        changes_incident(self.minter.org, who, do, self.nonce())

    @rule()
    def teo_is_suspended(self) -> None:
        self.minter.suspend(Target.PERSON, "teo")

    @rule(step=st.sampled_from(STEPS))
    def the_minter_will_die(self, step: str) -> None:
        self.minter.crash_at(step)

    @rule(seconds=st.sampled_from([10, 61, 310]))
    def time_passes(self, seconds: int) -> None:
        self.minter.pass_time(seconds * SECOND)

    @rule()
    def the_minter_looks(self) -> None:
        self.looks()

    def looks(self) -> None:
        self.trying(self.minter.idle.look)
        self.trying(self.minter.reconcile)
        self.trying(self.the_broker_gives_up)

    def the_broker_gives_up(self) -> None:
        """Write, of what is over and was never minted, that nothing was, as brokers do."""
        minter = self.minter
        for grant in list(minter.org.state.grants.by_id.values()):
            over = grant.finished_at is not None or grant.minted_at is not None
            if over or minter.true.at <= grant.not_after + MINUTE:
                continue
            if not minter.early_end.forgo(grant.grant, grant.text_digest):
                minter.give_up(grant.grant)

    def trying(self, doing: Callable[[], T]) -> None:
        try:
            with suppress(BreakglassError):
                doing()
        except Crash:
            self.minter.restart()

    def teardown(self) -> None:
        try:
            if hasattr(self, "minter"):
                self.check_that_all_ends()
                self.minter.close()
        finally:
            self.folder.cleanup()

    def check_that_all_ends(self) -> None:
        """Nobody acts any more: time passes, and the minter looks as its threads do."""
        minter = self.minter
        minter.at = lambda step: None
        minter.restart()
        minter.reconcile()
        names = list(minter.org.state.grants.by_id)
        due = {name: self.deadline(minter.org.state.grants.by_id[name]) for name in names}
        for _ in range(120):
            minter.pass_time(MINUTE)
            self.looks()
            for name, at in due.items():
                found = minter.org.state.grants.by_id[name]
                if minter.true.at > at:
                    assert found.finished_at is not None, (name, found.ended, found.minted_at)
        assert all(each.finished_at for each in minter.org.state.grants.by_id.values())
        assert all(
            each.until < minter.true.at for each in minter.org.state.grants.asked.values()
        ), "an ask that waits for ever"
        assert minter.platform.handles() == []

    def deadline(self, grant: GrantState) -> datetime:
        """Return by when it is over: its end, or its refused start; looks come once a minute."""
        slack = 110 * SECOND + LONGEST_REST + DEATH_WITHIN + 2 * MINUTE
        if grant.finished_at is not None:
            return self.minter.true.at
        if grant.scheduled and grant.justified_at is None:
            return grant.not_before + JUSTIFIED_LATE + slack
        return grant.not_after + slack


def test_with_nobody_acting_everything_ends_by_its_deadline() -> None:
    run_state_machine_as_test(GrantDeadlines, settings=lives(12, 20))  # type: ignore[no-untyped-call]


@pytest.mark.long
def test_with_nobody_acting_everything_ends_by_its_deadline_at_length() -> None:
    run_state_machine_as_test(GrantDeadlines, settings=lives(300, 50))  # type: ignore[no-untyped-call]
