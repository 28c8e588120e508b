"""The two stories in this thread: every branch of each, and what a crash at each step leaves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.broker.grants.granting import HandedOut
from breakglass.broker.grants.request import BreakRequest
from breakglass.broker.grants.wish import Wish
from breakglass.errors import BreakglassError, RefusedError, UnavailableError, UnprovenError
from breakglass.records import all_kinds as kinds
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.grant import Path as Way
from breakglass.records.kinds.ended import EndedWhy
from breakglass.records.statement import Do, Target, digest_of
from breakglass.token.token import parse_token
from breakglass.token.verify import verify_token
from tests.kit.one_broker import REFUSALS, OneBroker
from tests.kit.one_minter import GLASS, MINUTE, ROLE, Crash
from tests.records.folding import ended, pulse

ALONE = "deploy-rollback"  # a glass without a minter: its token is all of it


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[OneBroker]:
    made = OneBroker(tmp_path)
    pulse(made.org)
    made.view.follow()
    yield made
    made.close()


def wished(broker: OneBroker, request: BreakRequest) -> Wish:
    found = broker.asking.ask(request)
    assert isinstance(found, Wish)
    return found


# --- asking -----------------------------------------------------------------------------------


def test_asking_writes_nothing_of_what_is_allowed_at_once(broker: OneBroker) -> None:
    request, before = broker.request(), broker.org.log.size
    wish = wished(broker, request)
    assert (wish.said, wish.first, wish.further) == (request.said, request.signed, ())
    assert (wish.path, wish.severity, wish.labels) == (Way.GLASS, "SEV1", ("self_declared",))
    assert wish.decided_at == broker.minter.true.now()
    assert [each.id for each in wish.unsaid] == [f"{request.grant}/asked"]
    assert broker.org.log.size == before


def test_what_was_asked_before_is_not_said_again(broker: OneBroker) -> None:
    request = broker.request()
    broker.org.state_that("broker-2", broker.org.asked(request.signed), f"{request.grant}/asked")
    broker.view.follow()
    wish = wished(broker, request)
    assert wish.unsaid == ()
    broker.granting.record(wish)
    assert broker.kinds(request) == ["asked", "intent"]


def test_a_silent_monitor_labels_the_wish_and_granting_rings(broker: OneBroker) -> None:
    broker.minter.true.at += 4 * MINUTE
    request = broker.request()
    wish = wished(broker, request)
    assert "monitor_silent" in wish.labels
    assert broker.rings() == []
    broker.granting.record(wish)
    assert broker.rings() == ["monitor_silent"]


def test_a_monitor_that_lives_makes_nobody_ring(broker: OneBroker) -> None:
    broker.granting.record(wished(broker, broker.request()))
    assert broker.rings() == []


def test_a_refusal_is_recorded_once_and_the_answer_stays_no(broker: OneBroker) -> None:
    request = broker.request(who="sam")
    for steps in (["decided", "refused"], ["decided"]):
        reached: list[str] = []
        broker.at = reached.append
        with pytest.raises(RefusedError, match="'sam' may not") as caught:
            broker.asking.ask(request)
        assert caught.value.name == "not_listed"
        assert reached == steps
    assert broker.kinds(request) == ["refused"]


def test_what_was_refused_is_refused_also_when_its_reason_is_gone(broker: OneBroker) -> None:
    request = broker.request()
    broker.minter.suspend(Target.PERSON, "mira")
    broker.view.follow()
    with pytest.raises(RefusedError) as caught:
        broker.asking.ask(request)
    assert caught.value.name == "suspended"
    lift = broker.org.sign(broker.org.kill(Target.PERSON, "mira", do=Do.LIFT, nonce="33" * 16))
    broker.org.state_that("broker", kinds.Suspended(Target.PERSON, "mira", False, lift))
    broker.view.follow()
    with pytest.raises(RefusedError) as caught:
        broker.asking.ask(request)
    assert caught.value.name == "refused_already"
    assert broker.kinds(request) == ["refused"]


def test_a_refusal_that_the_ledger_does_not_take_is_a_refusal_all_the_same(
    broker: OneBroker,
) -> None:
    request = broker.request(who="sam")
    broker.outbox.error = UnavailableError("the ledger is away", name="not_sent")
    with pytest.raises(RefusedError, match="'sam' may not") as caught:
        broker.asking.ask(request)
    assert caught.value.name == "not_listed"
    assert broker.kinds(request) == []


def test_what_takes_people_is_not_refused_for_good_where_nobody_was_asked(
    broker: OneBroker,
) -> None:
    request = broker.request("key-deletion")
    with pytest.raises(RefusedError, match="takes 1 approver, and nobody was asked") as caught:
        broker.asking.ask(request)
    assert caught.value.name == "not_approved"
    assert broker.kinds(request) == []


def test_so_many_refusals_of_one_person_are_recorded_and_no_more(broker: OneBroker) -> None:
    requests = [broker.request(who="sam") for _ in range(REFUSALS + 2)]
    for request in requests:
        with pytest.raises(RefusedError):
            broker.asking.ask(request)
    assert [broker.kinds(each) for each in requests] == [["refused"]] * REFUSALS + [[], []]


def test_a_stranger_a_stale_word_and_an_unknown_minter_leave_no_trace(broker: OneBroker) -> None:
    before = broker.org.log.size
    told = broker.request()
    stranger = replace(told, said=replace(told.said, who="eve"))
    old = broker.request()
    broker.minter.true.at += 3 * MINUTE
    nowhere = broker.request()
    broker.minters.check = _unknown
    for request, name in (
        (stranger, "unknown_person"),
        (old, "statement_old"),
        (nowhere, "unknown_minter"),
    ):
        with pytest.raises(BreakglassError) as caught:
            broker.asking.ask(request)
        assert caught.value.name == name
    assert broker.org.log.size == before


@pytest.mark.parametrize(("off", "says"), [(3, "180 s before"), (-3, "180 s after")])
def test_a_clock_that_is_off_is_told_by_how_much(broker: OneBroker, off: int, says: str) -> None:
    request = broker.request()
    broker.minter.true.at += off * MINUTE
    with pytest.raises(RefusedError) as caught:
        broker.asking.ask(request)
    assert f"the statement was signed {says} the broker's time, " in caught.value.message
    assert "(limit 120 s)" in caught.value.message
    assert "timedatectl set-ntp true" in caught.value.hint


def _unknown(name: str) -> None:
    raise UnavailableError("where it is", name="unknown_minter")


@pytest.mark.parametrize(
    ("how", "name"),
    [("ended", "ended"), ("stopped", "suspended"), ("over", "expired"), ("other", "id_taken")],
)
def test_the_same_statement_is_its_grant_until_that_is_over(
    broker: OneBroker, how: str, name: str
) -> None:
    request = broker.request(ALONE)
    grant = broker.granting.record(wished(broker, request))
    assert broker.asking.ask(request) is broker.view._state.grants.by_id[request.grant]
    assert isinstance(grant, GrantState)
    asked = request
    match how:
        case "ended":
            ended(broker.org, request.grant, EndedWhy.NOT_MINTED)
        case "stopped":
            broker.minter.suspend(Target.GRANT, request.grant)
        case "over":
            broker.minter.true.at += timedelta(hours=1)
        case "other":
            asked = replace(broker.request(ALONE), grant=request.grant)
    broker.view.follow()
    with pytest.raises(RefusedError) as caught:
        broker.asking.ask(asked)
    assert caught.value.name == name


# --- granting ---------------------------------------------------------------------------------


def test_granting_takes_a_wish_that_no_request_drives(broker: OneBroker) -> None:
    request = broker.request()
    grant = broker.granting.record(wished(broker, request))
    intent = grant.intent
    assert (intent.statements, intent.path) == ((request.signed,), Way.GLASS)
    assert broker.kinds(request) == ["asked", "intent"]
    alone = broker.granting.hand_out(grant, None, 0.0)
    assert alone.minted is None
    token = parse_token(alone.token.encode())
    assert request.presentation is not None
    shown = token.presented(request.presentation)
    now = broker.minter.true.now()
    found = verify_token(shown, broker.org.verifier(ROLE), request.grant, now)
    assert found.intent == intent
    assert broker.minter.accounts() == {}
    minted = broker.granting.hand_out(grant, request.presentation, 0.0).minted
    assert minted is not None
    assert broker.minter.accounts().keys() == {minted["handle"]}


def test_an_approval_behind_the_first_statement_stands_in_the_intent(broker: OneBroker) -> None:
    request = broker.request("key-deletion")
    approved = broker.org.sign(broker.org.answer(digest_of(request.signed.text)))
    plain = wished(broker, broker.request())
    wish = replace(
        plain,
        grant=request.grant,
        said=request.said,
        first=request.signed,
        further=(approved,),
        card=broker.view._state.governance.cards["key-deletion"],
        unsaid=(),
    )
    grant = broker.granting.record(wish)
    assert grant.intent.statements == (request.signed, approved)
    handed = broker.granting.hand_out(grant, request.presentation, 0.0)
    assert handed.minted is not None


def test_a_ledger_that_was_not_reached_and_one_that_lost_its_answer_are_told_apart(
    broker: OneBroker,
) -> None:
    for name, said in (
        ("not_sent", "nothing was minted, and nothing was recorded"),
        ("unanswered", "nothing was minted, and it may yet be recorded"),
        ("closed", "nothing was minted, and it may yet be recorded"),
    ):
        request = broker.request()
        steps: list[str] = []
        broker.at = steps.append
        broker.outbox.error = UnavailableError("no receipt", name=name)
        with pytest.raises(UnavailableError, match=said) as caught:
            broker.breaking.break_glass(request)
        assert caught.value.name == ("no_proof" if name == "closed" else name)
        assert request.grant in caught.value.hint
        assert steps == ["parsed", "decided", "unanswered"]
        assert broker.kinds(request) == ([] if name == "not_sent" else ["asked", "intent"])
        assert broker.minter.accounts() == {}


def test_an_intent_that_does_not_hold_where_it_came_to_stand_mints_nothing(
    broker: OneBroker,
) -> None:
    request = broker.request()
    broker.outbox.before = lambda: broker.minter.suspend(Target.PERSON, "mira")
    with pytest.raises(RefusedError, match=r"is recorded, entry \d+, and does not hold") as caught:
        broker.breaking.break_glass(request)
    assert caught.value.name == "suspended"
    assert broker.minter.accounts() == {}


def test_what_the_fold_would_not_take_is_not_appended(broker: OneBroker) -> None:
    wish = wished(broker, broker.request())
    broker.minter.suspend(Target.PERSON, "mira")
    broker.view.follow()
    before = broker.org.log.size
    with pytest.raises(RefusedError, match="nothing was recorded") as caught:
        broker.granting.record(wish)
    assert caught.value.name == "suspended"
    assert broker.org.log.size == before


def test_another_broker_that_was_first_gives_the_grant(broker: OneBroker) -> None:
    request = broker.request()
    broker.outbox.before = lambda: by_the_other(broker, request)
    granted = broker.breaking.break_glass(request)
    first = next(each for each in broker.org.judged if each.holds and is_intent(each, request))
    assert granted.handed.grant.index == first.index
    assert broker.kinds(request).count("intent") == 1


def test_a_record_of_ours_that_stands_already_is_found_by_its_grant(broker: OneBroker) -> None:
    request = broker.request()
    wish = wished(broker, request)
    broker.outbox.error = UnavailableError("no receipt", name="unanswered")
    broker.view.held = True
    with pytest.raises(UnavailableError):
        broker.granting.record(wish)
    broker.outbox.error = None
    with pytest.raises(UnavailableError, match=r"an earlier try of .* is being recorded"):
        broker.granting.record(wish)
    broker.view.held = False
    assert broker.granting.record(wish).index == broker.org.log.size - 1
    assert broker.kinds(request) == ["asked", "intent"]


def test_a_wish_that_our_own_view_shows_as_granted_already_is_that_grant(
    broker: OneBroker,
) -> None:
    request = broker.request()
    wish = wished(broker, request)
    by_the_other(broker, request)
    broker.view.follow()
    assert broker.granting.record(wish).index == broker.org.log.size - 1
    assert broker.kinds(request) == ["intent"]


def test_a_view_that_does_not_reach_the_intent_mints_nothing(broker: OneBroker) -> None:
    request = broker.request()
    broker.view.held = True
    with pytest.raises(UnavailableError, match="the broker has not read it back yet") as caught:
        broker.breaking.break_glass(request)
    assert caught.value.name == "not_followed"
    assert broker.minter.accounts() == {}
    broker.view.held = False
    broker.view.follow()
    assert broker.breaking.break_glass(request).handed.minted is not None
    assert broker.kinds(request)[:2] == ["asked", "intent"]


def test_a_proof_of_another_entry_mints_nothing(broker: OneBroker) -> None:
    request = broker.request()
    broker.outbox.proof_of = 0
    with pytest.raises(UnprovenError):
        broker.breaking.break_glass(request)
    assert broker.minter.accounts() == {}


def test_a_minter_that_does_not_answer_leaves_a_grant_that_the_same_word_uses(
    broker: OneBroker,
) -> None:
    request = broker.request()
    broker.minters.gone = True
    with pytest.raises(UnavailableError, match="no credential came of it") as caught:
        broker.breaking.break_glass(request)
    assert caught.value.name == "unreachable"
    broker.minters.gone = False
    granted = broker.breaking.break_glass(request)
    assert granted.handed.minted is not None
    assert granted.labels == (), "told the first time"
    assert broker.kinds(request).count("intent") == 1


def test_a_proof_that_is_not_kept_is_asked_of_the_ledger(broker: OneBroker) -> None:
    request = broker.request(ALONE)
    grant = broker.granting.record(wished(broker, request))
    first = broker.granting.hand_out(grant, None, 0.0)
    broker.restart()
    again = broker.granting.hand_out(grant, None, 0.0)
    assert isinstance(again, HandedOut)
    assert parse_token(again.token.encode()).intent == parse_token(first.token.encode()).intent
    broker.restart()
    broker.minter.ledger.gone = True
    with pytest.raises(UnavailableError):
        broker.granting.hand_out(grant, None, 0.0)


STEPS = {  # where the power goes, and what stands then
    "parsed": [],
    "decided": [],
    "recorded": ["asked", "intent"],
    "judged": ["asked", "intent"],
    "handed": ["asked", "intent", "minted", "usable"],
}


@pytest.mark.parametrize("step", STEPS)
def test_a_power_cut_at_a_step_leaves_what_it_says_and_the_same_word_goes_on(
    broker: OneBroker, step: str
) -> None:
    request = broker.request()
    broker.crash_at(step)
    with pytest.raises(Crash):
        broker.breaking.break_glass(request)
    assert broker.kinds(request) == STEPS[step]
    broker.restart()
    granted = broker.breaking.break_glass(request)
    assert granted.handed.minted is not None
    assert broker.kinds(request) == ["asked", "intent", "minted", "usable"]
    assert len(broker.minter.accounts()) == 1


def test_the_steps_come_in_their_order(broker: OneBroker) -> None:
    steps: list[str] = []
    broker.at = steps.append
    assert broker.breaking.break_glass(broker.request()).labels == ("self_declared",)
    assert steps == ["parsed", "decided", "recorded", "judged", "handed"]
    steps.clear()
    with pytest.raises(RefusedError):
        broker.breaking.break_glass(broker.request(GLASS, who="sam"))
    assert steps == ["parsed", "decided", "refused"]


def by_the_other(broker: OneBroker, request: BreakRequest) -> None:
    assert request.said.do is Do.BREAK
    broker.org.break_glass(
        said=request.said,
        signed=request.signed,
        role="broker-2",
        card=broker.view._state.governance.cards[request.said.glass].note,
    )


def is_intent(judged: object, request: BreakRequest) -> bool:
    record = getattr(judged, "record", None)
    body = record.body if record else None
    return getattr(body, "kind", "") == "intent" and getattr(body, "grant", "") == request.grant
