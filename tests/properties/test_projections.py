"""Every projection: cut anywhere and read from its form it is what it is without the cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakglass.broker.grants.ask_history import AskHistory
from breakglass.broker.grants.open_grants import OpenGrants
from breakglass.errors import MalformedError
from breakglass.minter.suspensions import Suspensions
from breakglass.monitor.backlog import Backlog
from breakglass.monitor.history_projection import HistoryProjection
from breakglass.monitor.root_history import RootHistory
from breakglass.node.projection import Projection
from breakglass.records import all_kinds as kinds
from breakglass.records.encoding.whole_form import form_bytes, parse_form
from breakglass.records.fold.fold import apply
from breakglass.records.fold.state import State
from breakglass.records.kinds.alert import PAGE, Delivery
from breakglass.records.kinds.answered import Reply
from breakglass.records.kinds.asked import Decided, Outcome
from breakglass.records.kinds.bypassed import GateState
from breakglass.records.kinds.ended import EndedWhy
from breakglass.records.record import Kind
from breakglass.records.signing.signature import Signature
from breakglass.records.statement import AccessRequest, Do, Target, digest_of
from tests.kit.organisation import Broken, Organisation

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
MINTER = "minter:orders-db"
GLASSES = ("orders-repair", "deploy-rollback")
STEPS = (
    "break", "ask", "approved", "paged", "minted", "ended", "dead", "justified", "alert",
    "bypassed", "passages", "reviewed", "suspended", "released", "killed", "forged", "day",
)  # fmt: skip


def projections() -> list[Projection]:
    """Return one of each, empty, in the order in which they take an entry."""
    history = HistoryProjection()
    return [
        OpenGrants(),
        Suspensions("orders-db", lambda: None),
        RootHistory(),
        history,
        Backlog(history),
        AskHistory(),
    ]


class Story:
    """A log in which things happen in any order, void or not."""

    def __init__(self) -> None:
        self.org = Organisation()
        self.org.begin()
        self.broken: list[Broken] = []
        self.asked: list[Signature] = []

    def step(self, name: str, number: int) -> None:
        """Write the records of one step."""
        org, nonce = self.org, f"{number:032x}"
        org.now += SECOND
        # Several records in a row are of one grant, so that some of them hold.
        broken = self.broken[number // 8 % len(self.broken)] if self.broken else None
        grant = broken.grant if broken else "g-aaaaaaaaaaaa"
        if name == "day":
            org.now += DAY
        elif name in ("break", "ask"):
            self._ask(org.statement(glass=GLASSES[number % 2], nonce=nonce, do=Do(name)))
        elif name == "bypassed" and self.broken:
            self._bypass(self.broken[-1], str(number))
        elif name == "reviewed":
            org.state_that("monitor", org.gate_reviewed(), f"{name}/{number}")
        elif name in ("suspended", "released", "killed"):
            target, what = (Target.GRANT, grant) if name == "killed" else (Target.PERSON, "teo")
            do = Do.LIFT if name == "released" else Do.KILL
            word = org.sign(org.kill(target, what, nonce=nonce, do=do))
            body = kinds.Suspended(target, what, name != "released", word)
            org.state_that("broker", body, f"{name}/{number}")
        elif name == "approved" and self.asked:
            signed = self.asked[-1]
            word = org.answer(digest_of(signed.text), nonce=nonce)
            body = kinds.Answered(org.asked(signed).grant, Reply.YES, org.sign(word), ())
            org.state_that("broker", body, f"{name}/{number}")
        elif name == "paged" and self.asked:
            about = org.asked(self.asked[-1]).grant
            page = kinds.Alert(PAGE, about, 7, "hook", ("sam",), Delivery.FAILED, "", 1, "")
            org.state_that("monitor", page, f"{name}/{number}")
        elif name == "justified" and broken:
            org.justify(broken)
        elif name not in ("bypassed", "approved", "paged", "justified"):
            role, body = self._plain(name, grant)
            org.state_that(role, body, f"{name}/{number}")

    def _ask(self, said: AccessRequest) -> None:
        org, signed = self.org, self.org.sign(said)
        asked = org.asked(signed)
        if said.do is Do.ASK:
            asked = replace(asked, decision=Decided(Outcome.NEEDS_APPROVAL, 1, (), ()))
        org.state_that("broker", asked, f"{asked.grant}/asked")
        if said.do is Do.ASK:
            self.asked.append(signed)
        else:
            card = org.state.governance.cards[said.glass].note
            self.broken.append(org.break_glass(said=said, signed=signed, card=card))

    def _plain(self, name: str, grant: str) -> tuple[str, Kind]:
        org = self.org
        alert = kinds.Alert(
            "broke_glass", grant, 7, "hook", ("hook",), Delivery.DELIVERED, "", 1, ""
        )
        said = {
            "minted": (MINTER, kinds.Minted(grant, "postgres", "x", {"role": "bg"}, org.now, 3)),
            "ended": (MINTER, kinds.Ended(grant, EndedWhy.IDLE, "", None)),
            "dead": (MINTER, kinds.Dead(grant, "login refused", 3, 0, ("role x",))),
            "alert": ("monitor", alert),
            "passages": ("gate:deploy-approval", self._passages()),
            "forged": ("gate:deploy-approval", alert),
        }
        found: tuple[str, Kind] = said[name]
        return found

    def _passages(self) -> kinds.Passages:
        now = self.org.now
        return kinds.Passages("deploy-approval", now, now, 90, 3, 1, 1, 2, 40, 900, ())

    def _bypass(self, broken: Broken, run: str) -> None:
        shown = self.org.token(broken, run).presentation
        assert shown is not None
        statement = digest_of(broken.signed.text)
        body = kinds.Bypassed(
            "deploy-approval", broken.grant, statement, run, GateState.FAILED, "no", shown
        )
        self.org.state_that("gate:deploy-approval", body)


def take(found: Sequence[Projection], org: Organisation, cut: int = -1) -> list[Projection]:
    """Let projections take a whole log; before entry ``cut`` others go on from their forms."""
    state, now = State(org.genesis), list(found)
    for entry in org.log.entries():
        if entry.index == cut:
            now = again(now, state)
        judged = apply(state, entry)
        for each in now:
            each.take(judged, entry, state)
    return again(now, state) if cut == org.log.size else now


def again(found: Sequence[Projection], state: State) -> list[Projection]:
    """Return new projections from the forms of others, as a snapshot holds them."""
    fresh = projections()
    for old, new in zip(found, fresh, strict=True):
        new.restore(parse_form(form_bytes(old.form())), state)
        assert (new.name, new.digest()) == (old.name, old.digest())
    return fresh


def digests(found: Sequence[Projection]) -> dict[str, str]:
    return {each.name: each.digest() for each in found}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(STEPS), min_size=1, max_size=20), st.data())
def test_a_projection_cut_anywhere_is_the_uncut_one_and_the_one_from_entry_0(
    steps: list[str], data: st.DataObject
) -> None:
    story = Story()
    for number, name in enumerate(["break", *steps]):
        story.step(name, number)
    cut = data.draw(st.integers(0, story.org.log.size))
    whole = take(projections(), story.org)
    assert digests(take(projections(), story.org, cut)) == digests(whole)
    for each in whole:
        each.forget()
    assert digests(whole) == digests(projections())
    assert digests(take(whole, story.org)) == digests(take(projections(), story.org))


def test_every_step_of_these_logs_can_hold() -> None:
    """Else the property above would say little."""
    story = Story()
    names = (STEPS[0], "break", *STEPS[1:])
    for number, name in enumerate(names):
        story.step(name, number)
    held = {each.record.body.kind for each in story.org.judged if each.record and each.holds}
    assert held >= {
        "asked", "intent", "answered", "minted", "ended", "dead", "justified", "alert", "bypassed",
        "passages", "gate_reviewed", "suspended",
    }  # fmt: skip
    assert story.org.judged[-1].void


@pytest.mark.parametrize("form", [None, "", 7, [], [[]], {"v": 1}, [[], []], [[], [1, 2, 3]]])
def test_what_is_no_form_of_ours_is_malformed_and_changes_nothing(form: object) -> None:
    for each in projections():
        before = each.digest()
        with pytest.raises(MalformedError):
            each.restore(form, State("0" * 64))  # type: ignore[arg-type]
        assert each.digest() == before


def test_a_form_of_another_schema_is_malformed_though_it_would_fit() -> None:
    each = OpenGrants()
    schema, form = each.form()  # type: ignore[misc]
    with pytest.raises(MalformedError, match="another schema"):
        each.restore([f"{schema}0", form], State("0" * 64))


def test_roots_of_another_size_than_the_states_are_malformed() -> None:
    story = Story()
    roots = take(projections(), story.org)[2]
    form = roots.form()
    with pytest.raises(MalformedError, match="not the hashes of 4 entries"):
        RootHistory().restore(form, replace(story.org.state, size=4))
    RootHistory().restore(form, story.org.state)


def test_what_has_left_the_fold_leaves_the_projections_and_its_counts_stay() -> None:
    story = Story()
    for number, name in enumerate(("break", "break", "bypassed", "passages")):
        story.step(name, number)
    org, state = story.org, State(story.org.genesis)
    history = HistoryProjection()
    backlog = Backlog(history)
    gone, here = (each.grant for each in story.broken)
    story.step("day", 9)
    story.step("forged", 10)
    for entry in org.log.entries():
        if entry.index == org.log.size - 1:
            del state.grants.by_id[gone]
        judged = apply(state, entry)
        history.take(judged, entry, state)
        backlog.take(judged, entry, state)
    assert set(history.kept.grants) == set(backlog.kept.cases) == {here}
    assert history.kept.unfinished == {here}
    assert history.kept.tallies
