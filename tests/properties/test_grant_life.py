"""The life of grants under everything at once: whatever happens, no credential outlives its intent.

People ask two brokers, whose clocks, like the minter's, the target's and their own, are wrong
within the skew or beyond it. The minter dies at its numbered steps; the target and the ledger go
away. Source: docs/spec/token.md; the contract of ``minter/platforms/platform.py``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from breakglass.errors import BreakglassError, RefusedError
from breakglass.minter.grant_store import Row, Stage
from breakglass.minter.minting import Patience
from breakglass.records.grant import handle_of
from breakglass.records.statement import Target
from tests.kit.one_minter import BROKERS, MINUTE, NAME, ROLE, SECOND, Crash, OneMinter
from tests.kit.organisation import SKEW, Broken
from tests.properties.lives import lives

T = TypeVar("T")
PEOPLE = ("mira", "teo")
PARTIES = (*BROKERS, *PEOPLE, "minter", "target")
MINTING = ("verified", "agreed", "claimed", "minted", "usable", "kept", "answered", "stated")
ENDING = ("told", "cut", "probed", "dead", "said")
TROUBLE: tuple[dict[str, object], ...] = (
    {},
    {"away": True},
    {"lose_mint_replies": True},
    {"unusable_probes": 1},
    {"cuts_that_fail": 2},
    {"stubborn": True},
    {"undeletable": True},
)
AHEAD_S = (60, -60, 119, -119, 125, -125, 600, -600)
LONGEST_REST = 75 * SECOND  # between two tries of an ending
NO_PATIENCE = Patience(timedelta(0), timedelta(0), 5 * MINUTE)

grants_asked: Bundle[Broken] = Bundle("grants_asked")


class GrantLife(RuleBasedStateMachine):
    """One organisation, one target, one minter; see the module."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.handed: dict[str, Row] = {}
        self.over: set[str] = set()  # whose end the minter has acknowledged
        self.trouble: dict[str, object] = {}

    @initialize(
        ahead=st.dictionaries(st.sampled_from(PARTIES), st.sampled_from(AHEAD_S), max_size=3),
        kept=st.sampled_from([4096, 0]),
    )
    def begin(self, ahead: dict[str, int], kept: int) -> None:
        clocks = {who: each * SECOND for who, each in ahead.items()}
        self.minter = OneMinter(Path(self.folder.name), ahead=clocks, patience=NO_PATIENCE)
        self.minter.view.kept = self.kept = kept  # 0: whatever was judged is long past

    # --- people and brokers -----------------------------------------------------------------

    @rule(
        target=grants_asked,
        who=st.sampled_from(PEOPLE),
        broker=st.sampled_from(BROKERS),
        for_s=st.sampled_from([1200, 300, 30, 1]),
    )
    def somebody_breaks_the_glass(self, who: str, broker: str, for_s: int) -> Broken:
        return self.minter.break_glass(who, broker, for_s)

    @rule(target=grants_asked, who=st.sampled_from(PEOPLE), for_s=st.sampled_from([1200, 300]))
    def somebody_gets_a_credential_and_uses_it(self, who: str, for_s: int) -> Broken:
        broken = self.minter.break_glass(who, "broker", for_s)
        self.a_token_is_shown_again(broken)
        return broken

    @rule(target=grants_asked, broken=grants_asked, broker=st.sampled_from(BROKERS))
    def another_broker_takes_the_same_word(self, broken: Broken, broker: str) -> Broken:
        again = self.minter.break_glass(broken.intent.who, broker, of=broken)
        self.a_token_is_shown(again)
        return again

    @rule(broken=grants_asked)
    def a_broker_ends_what_it_takes_for_not_minted(self, broken: Broken) -> None:
        if not self.minter.ledger.gone:
            self.minter.give_up(broken.grant)

    @rule()
    def teo_is_suspended(self) -> None:
        self.minter.suspend(Target.PERSON, "teo")

    @rule(broken=grants_asked)
    def a_token_is_shown_again(self, broken: Broken) -> None:
        row = self.a_token_is_shown(broken)
        if row is not None and not self.trouble:
            assert "login failed" not in self.refusal(row), "handed out, and does not work"

    def refusal(self, row: Row) -> str:
        """Log in; say why not, but for a target whose clock finds that it is not the time."""
        try:
            self.minter.log_in(row)
        except RefusedError as error:
            return str(error).removeprefix("login failed: not in its time")
        return ""

    def a_token_is_shown(self, broken: Broken) -> Row | None:
        minter = self.minter
        counting = minter.org.state.grants.by_id.get(broken.grant)
        row = self.trying(lambda: minter.mint(broken))
        if row is None:
            return None
        assert counting is not None, "minted without an intent that holds"
        assert counting.index == broken.index, "minted of another intent than the one that counts"
        assert counting.ended is None or minter.ledger.gone
        assert row.grant not in self.over, "handed out after its end"
        assert minter.clock.now() <= broken.intent.not_after
        assert row.made is not None
        first = self.handed.setdefault(row.grant, row)
        assert first.made is not None
        assert first.made.sealed == row.made.sealed, "two credentials of one grant"
        return row

    @rule(broken=grants_asked, step=st.sampled_from(["claimed", "minted", "usable", "kept"]))
    def it_is_ended_while_its_token_is_shown(self, broken: Broken, step: str) -> None:
        self.minter.view.follow()
        was_ended = self.minter.end_at(step, broken, self.minter.done(broken))
        self.a_token_is_shown(broken)
        if was_ended():
            self.over.add(broken.grant)

    @rule(broken=grants_asked)
    def its_holder_logs_in(self, broken: Broken) -> None:
        row = self.handed.get(broken.grant)
        if row is not None:
            self.trying(lambda: self.minter.log_in(row))

    @rule(broken=grants_asked, killed=st.booleans())
    def it_is_ended_early(self, broken: Broken, killed: bool) -> None:
        minter = self.minter
        word = minter.kill(Target.GRANT, broken.grant) if killed else minter.done(broken)
        if self.trying(lambda: minter.end(broken, word)) is not None:
            self.over.add(broken.grant)

    @rule(broken=grants_asked)
    def it_is_ended_at_a_target_that_lets_no_session_go(self, broken: Broken) -> None:
        self.the_target_changes({"stubborn": True})
        self.it_is_ended_early(broken, killed=False)

    @rule(broken=grants_asked)
    def a_broker_asks_whether_it_was_minted(self, broken: Broken) -> None:
        giving_up, digest = self.minter.early_end, broken.intent_digest
        if self.trying(lambda: giving_up.forgo(broken.grant, digest)) is False:
            self.over.add(broken.grant)

    # --- what goes wrong, and time ----------------------------------------------------------

    @rule(trouble=st.sampled_from(TROUBLE))
    def the_target_changes(self, trouble: dict[str, object]) -> None:
        self.trouble = trouble
        self.minter.trouble(**trouble)

    @rule(step=st.sampled_from(MINTING + ENDING))
    def the_minter_will_die(self, step: str) -> None:
        self.minter.crash_at(step)

    @rule()
    def the_minter_dies_now(self) -> None:
        self.restart()

    @rule()
    def the_ledger_goes_or_comes_back(self) -> None:
        self.minter.ledger_is_away(not self.minter.ledger.gone)

    @precondition(lambda self: not self.minter.ledger.gone)
    @rule(seconds=st.sampled_from([1, 10, 30, 61, 130, 310, 1300]))
    def time_passes(self, seconds: int) -> None:
        self.minter.pass_time(seconds * SECOND)

    @rule()
    def the_minter_reconciles(self) -> None:
        if self.trying(lambda: self.minter.reconcile() or True) and not self.trouble:
            now = self.minter.clock.now()
            assert self.minter.table.expired(now, 1) == []
            assert self.minter.table.due(now, 1) == []

    @rule()
    def the_minter_sweeps(self) -> None:
        self.trying(self.minter.sweep)

    def restart(self) -> None:
        self.minter.restart()
        self.minter.view.kept = self.kept

    def trying(self, doing: Callable[[], T]) -> T | None:
        """Do it; ``None`` if it was refused, or the minter died of it and was started again."""
        try:
            return doing()
        except BreakglassError:
            return None
        except Crash:
            self.restart()
            return None

    # --- what always holds ------------------------------------------------------------------

    @invariant()
    def every_account_has_an_intent_that_holds_and_its_end(self) -> None:
        intents = {
            handle_of(grant): found.intent
            for grant, found in self.minter.org.state.grants.by_id.items()
        }
        for handle, expires in self.minter.accounts().items():
            assert handle in intents, "an account without an intent that holds"
            assert intents[handle].minter == NAME
            assert self.minter.table.of_handle(handle), "an account that nothing was promised of"
            assert expires == intents[handle].not_after, "the target was told another end"

    @invariant()
    def what_is_called_dead_is_dead(self) -> None:
        open_here = {*self.minter.accounts(), *self.minter.sessions()}
        for broken in self.rows(Stage.DEAD):
            assert broken.claim.handle not in open_here

    @invariant()
    def what_was_told_to_end_stays_so(self) -> None:
        for grant in self.over:
            row = self.minter.table.find(grant)
            assert row is not None
            assert row.stage in (Stage.ENDED, Stage.DEAD)

    def rows(self, *stages: Stage) -> list[Row]:
        found = [self.minter.table.find(grant) for grant in self.minter.org.state.grants.by_id]
        return [row for row in found if row is not None and row.stage in stages]

    def teardown(self) -> None:
        """In the end everything is dead, and the ledger knows it or somebody was rung."""
        try:
            if hasattr(self, "minter"):
                self.settle()
                self.check_the_end()
                self.minter.close()
        finally:
            self.folder.cleanup()

    def settle(self) -> None:
        minter = self.minter
        minter.at = lambda step: None
        minter.trouble()
        minter.ledger_is_away(False)
        # The longest life, the clock that is the furthest behind, and a restart's saying.
        for time in (20 * MINUTE + 600 * SECOND, LONGEST_REST):
            minter.pass_time(time)
            minter.reconcile()
        minter.restart()
        minter.reconcile()
        minter.sweep()

    def check_the_end(self) -> None:
        minter = self.minter
        assert self.rows(Stage.CLAIMED, Stage.MINTED, Stage.ENDED) == []
        assert minter.platform.handles() == []
        assert minter.sessions() == set()
        for row in self.handed.values():
            with pytest.raises(RefusedError):
                minter.log_in(row)
        rung = {about for _, about in minter.rings()}
        rung |= {
            getattr(each.record.body, "grant", "")
            for each in minter.org.judged
            if each.void and not each.quiet and each.record is not None
        }
        for row in self.rows(Stage.DEAD):
            if row.made is not None:
                dead = minter.org.state.grants.by_id[row.grant].dead_at is not None
                assert dead or row.grant in rung, "neither dead in the ledger nor rung for"
        if abs(minter.ahead.get("minter", timedelta(0))) <= SKEW:
            own = [each for each in minter.org.judged if str(each.role) == ROLE]
            loud = {each.void for each in own if each.void and not each.quiet}
            # A minter that was down from its mint until the grant was over tells of it too late.
            assert loud <= {"after_end"}, loud


def test_whatever_happens_no_credential_outlives_its_intent() -> None:
    run_state_machine_as_test(GrantLife, settings=lives(25, 25))  # type: ignore[no-untyped-call]


@pytest.mark.long
def test_whatever_happens_no_credential_outlives_its_intent_at_length() -> None:
    run_state_machine_as_test(GrantLife, settings=lives(1000, 60))  # type: ignore[no-untyped-call]
