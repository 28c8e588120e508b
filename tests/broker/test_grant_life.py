"""Lives of grants at the broker: ends with an incident, starts to come, and asks that follow."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from breakglass.broker.grants import authorization
from breakglass.broker.grants.asks import check_start
from breakglass.broker.grants.grant_views import grant_view
from breakglass.broker.grants.open_grants import OpenGrants
from breakglass.broker.grants.reaper import Reaper
from breakglass.broker.incidents.closing_grants import ClosingGrants
from breakglass.broker.incidents.declarations import Declarations, StatementBody
from breakglass.broker.policies import Policies
from breakglass.broker.rate_limit import RateLimit
from breakglass.cli.status import _state as status_word
from breakglass.errors import RefusedError
from breakglass.monitor.decision_replay import case_of
from breakglass.policy.bundle import pack_bundle, unpack_bundle
from breakglass.records.kinds.ended import EndedWhy
from breakglass.records.statement import Do, Why, digest_of
from tests.broker.test_reaper import Rung, Still
from tests.kit.lives import ENDS, EndingOrganisation, changes_incident
from tests.kit.organisation import SKEW, Broken, Organisation
from tests.kit.scheduled import put_kinds_2_in_force, schedule
from tests.monitor.stand_ins import history_of
from tests.records.folding import pulse

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
NOBODY: Any = None


class Gated(EndingOrganisation):
    """The same words on the glass that opens a gate and mints nothing."""

    def __post_init__(self) -> None:
        super().__post_init__()
        text = unpack_bundle(self.bundle)["breakglass.yaml"].decode()
        text = text.replace("    for: 30m\n", f"    for: 30m\n{ENDS.splitlines()[0]}\n")
        self.bundle = pack_bundle({"breakglass.yaml": text.encode()})


class Recording(Still):
    """A recording that writes to the organisation's own log."""

    def append(self, facts: Any) -> None:
        for fact in facts:
            self.organisation.state_that("broker", fact.body, fact.id)


def reaper(org: Organisation) -> Reaper:
    opened = OpenGrants()
    for entry, judged in zip(org.log.entries(), org.judged, strict=True):
        opened.take(judged, entry, org.state)

    class Now:
        def now(self) -> Any:
            return org.now

    recording: Any = Recording(org)
    bell: Any = Rung()
    return Reaper(recording, NOBODY, Now(), MINUTE, NOBODY, opened, bell, ClosingGrants(Policies()))


def test_a_grant_without_a_minter_ends_with_its_incident_too() -> None:
    org = Gated()
    org.begin()
    broken = org.break_glass()
    looking = reaper(org)
    assert changes_incident(org, "bo", Do.CLOSE, "c1").holds
    org.now += 10 * MINUTE - SECOND
    pulse(org)
    looking.look()
    assert org.state.grants.by_id[broken.grant].ended is None
    org.now += 2 * SECOND
    pulse(org)
    looking.look()
    assert org.state.grants.by_id[broken.grant].ended is EndedWhy.INCIDENT_CLOSED


def test_the_witnesses_time_ends_it_and_not_a_clock_that_runs_ahead() -> None:
    org = Gated()
    org.begin()
    broken = org.break_glass()
    looking = reaper(org)
    assert changes_incident(org, "bo", Do.CLOSE, "c1").holds
    org.now += 11 * MINUTE  # nobody has witnessed anything since
    looking.look()
    assert org.state.grants.by_id[broken.grant].ended is None


def test_whoever_closes_is_told_which_grants_end_and_when() -> None:
    org = Gated()
    org.begin()
    mira = org.break_glass()
    teo = org.break_glass(statement={"who": "teo", "nonce": "07" * 16}, card=org.card_note())
    assert changes_incident(org, "mira", Do.CLOSE, "c1").holds
    found = ClosingGrants(Policies()).of("INC-4821", org.state, org.now)
    assert [(each.grant, each.at - org.now) for each in found] == [
        (mira.grant, timedelta(0)),
        (teo.grant, 10 * MINUTE),
    ]

    class Recorded(Still):
        def record(self, facts: Any) -> None:
            raise AssertionError("the same word is recorded once")

    said = org.declare(do=Do.CLOSE, who="mira", nonce="c1" * 16, at=org.now)

    class Now:
        def now(self) -> Any:
            return org.now

    recording: Any = Recorded(org)
    act = Declarations(recording, RateLimit(9, MINUTE), ClosingGrants(Policies()), Now())
    assert act.declare(StatementBody(org.sign(said))).ends == found  # type: ignore[arg-type]


def test_a_broker_gives_up_no_grant_that_is_still_to_begin() -> None:
    org = EndingOrganisation()
    org.begin()
    put_kinds_2_in_force(org)
    broken = schedule(org, org.card_note("orders-repair"))
    assert org.judged[-1].holds
    asked: list[str] = []

    class Minters:
        def forgo(self, minter: str, grant: str, intent: str) -> bool:
            asked.append(grant)
            return True

    looking = reaper(org)
    looking._minters = Minters()  # type: ignore[assignment]
    org.now = broken.intent.not_after
    looking.look()
    assert asked == []
    org.now += 2 * MINUTE + SECOND
    looking.look()
    assert asked == [broken.grant]


# --- one ask behind another -----------------------------------------------------------------------


def grants(org: Organisation, nonce: str, text: str, *, do: Do = Do.ASK) -> Broken:
    said = org.statement(
        do=do,
        glass="orders-repair",
        nonce=nonce * 16,
        reason=Why("production", text),
        for_s=1200,
        at=org.now,
    )
    signed = org.sign(said)
    org.state_that("broker", org.asked(signed))
    yes = org.sign(org.answer(digest_of(signed.text), nonce=f"{nonce[1]}e" * 16, at=org.now))
    approvals = (yes,) if do is Do.ASK else ()
    return org.break_glass(said=said, signed=signed, approvals=approvals, card=CARD[id(org)])


CARD: dict[int, bytes] = {}


@pytest.mark.parametrize("gap", [timedelta(0), 10 * MINUTE, 20 * MINUTE, 20 * MINUTE + SECOND])
def test_broker_and_monitor_derive_the_same_of_what_went_before(gap: timedelta) -> None:
    org = EndingOrganisation()
    org.begin()
    CARD[id(org)] = org.card_note("orders-repair")
    began = org.now
    first = grants(org, "a1", "repair shard 3")
    assert org.judged[-1].holds, org.judged[-1]
    org.now += gap
    said = org.statement(
        do=Do.ASK, glass="orders-repair", nonce="a2" * 16, reason=Why("production", "x"), for_s=1200
    )
    before = authorization.moment_of(said, "g-none", org.state, org.now).earlier
    second = grants(org, "a2", "x")
    assert org.judged[-1].holds, org.judged[-1]
    after = case_of(second.grant, org.state, history_of(org)).earlier
    assert before == after
    if gap > 20 * MINUTE:
        assert before is None
    else:
        assert before is not None
        assert (before.since, before.reasons) == (began, ("repair shard 3",))
    assert first.grant != second.grant


def test_a_chain_is_followed_back_to_its_beginning_and_over_what_was_handed_back() -> None:
    org = EndingOrganisation()
    org.begin()
    CARD[id(org)] = org.card_note("orders-repair")
    began = org.now
    for nonce in ("a1", "a2", "a3"):
        grants(org, nonce, f"part {nonce}")
        assert org.judged[-1].holds, org.judged[-1]
        org.now += 15 * MINUTE
    said = org.statement(do=Do.ASK, glass="orders-repair", nonce="a9" * 16, for_s=1200)
    found = authorization.moment_of(said, "g-none", org.state, org.now).earlier
    assert found is not None
    assert (found.since, found.reasons) == (began, ("part a3",))
    assert found.together(20 * MINUTE) == 65 * MINUTE
    broke = org.statement(glass="orders-repair", nonce="aa" * 16, for_s=1200)
    assert authorization.moment_of(broke, "g-none", org.state, org.now).earlier is None
    org.now += 5 * MINUTE + SKEW
    assert authorization.moment_of(said, "g-none", org.state, org.now).earlier is None


def test_a_grant_that_begins_later_is_shown_as_scheduled() -> None:
    org = EndingOrganisation()
    org.begin()
    put_kinds_2_in_force(org)
    grant = org.state.grants.by_id[schedule(org, org.card_note("orders-repair")).grant]
    assert grant_view(grant, org.now).state == "scheduled"
    assert grant_view(grant, grant.not_before).state == "recorded"
    shown = {"state": "scheduled", "not_before": "2026-12-05T21:00:00.000Z", "minter": "orders-db"}
    assert status_word(shown).endswith("(21:00 UTC)")


@pytest.mark.parametrize(
    ("kinds", "name"), [("1", "not_offered"), ("2", ""), ("again", "scheduled_already")]
)
def test_an_ask_that_starts_later_is_taken_where_minters_can_grant_it(
    kinds: str, name: str
) -> None:
    org = EndingOrganisation()
    org.begin()
    if kinds != "1":
        put_kinds_2_in_force(org)
    if kinds == "again":
        schedule(org, org.card_note("orders-repair"))
        assert org.judged[-1].holds
    said = org.statement(do=Do.ASK, glass="orders-repair", starts="2026-06-22T05:00:00Z")
    if not name:
        check_start(said, org.state, org.now)
        return
    with pytest.raises(RefusedError) as caught:
        check_start(said, org.state, org.now)
    assert caught.value.name == name
    assert caught.value.hint
