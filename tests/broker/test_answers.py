"""What people say of an ask, in one thread: who counts, who is told no, what a crash leaves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.broker.grants.request import BreakRequest
from breakglass.broker.grants.requests import WAITERS_AT_MOST, Requests
from breakglass.errors import BreakglassError, UnavailableError
from breakglass.http.routes import Request
from breakglass.monitor.decision_replay import case_of, replay_decision
from breakglass.node.readers import Neighbour
from breakglass.records import all_kinds as kinds
from breakglass.records.grant import Path as Way
from breakglass.records.kinds.alert import Delivery
from breakglass.records.kinds.incident import IncidentChange
from breakglass.records.kinds.justified import Justified
from breakglass.records.statement import Do, Target, parse_statement
from breakglass.records.trust import Role
from tests.kit.asking_shop import SILENCE, SPARE, WAIT, AskingShop
from tests.kit.one_broker import OneBroker
from tests.kit.one_minter import MINUTE, Crash
from tests.monitor.stand_ins import history_of
from tests.records.folding import pulse

ALONE, TWO = "deploy-rollback", "key-deletion"
SECOND = timedelta(seconds=1)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[OneBroker]:
    made = OneBroker(tmp_path, AskingShop())
    pulse(made.org)
    made.view.follow()
    yield made
    made.close()


@pytest.fixture
def other(broker: OneBroker, tmp_path: Path) -> Iterator[OneBroker]:
    made = OneBroker(tmp_path, beside=broker)
    yield made
    made.close()


def asked(broker: OneBroker, glass: str = ALONE, do: Do = Do.ASK, **said: object) -> BreakRequest:
    request = broker.request(glass, do=do, **said)
    assert broker.asks.ask(request) == request.grant
    return request


def signers(broker: OneBroker, request: BreakRequest) -> list[str]:
    """Return who signed the intent of a request, in its order."""
    intent = broker.view._state.grants.by_id[request.grant].intent
    return [parse_statement(each.text).who for each in intent.statements]


def refused(name: str, act: object, *given: object, **more: object) -> BreakglassError:
    with pytest.raises(BreakglassError) as caught:
        act(*given, **more)  # type: ignore[operator]
    assert caught.value.name == name, caught.value
    return caught.value


# --- yes, no, taken back ------------------------------------------------------------------------


def test_the_yes_that_was_missing_comes_with_the_intent_and_the_monitor_agrees(
    broker: OneBroker,
) -> None:
    request = asked(broker, TWO)
    assert broker.answer(Do.APPROVE, request, "sam").state == "waiting"
    broker.minter.true.at += 90 * SECOND
    view = broker.answer(Do.APPROVE, request, "kim")
    assert (view.state, view.need, [each.who for each in view.answers]) == (
        "granted", 2, ["sam", "kim"],
    )  # fmt: skip
    assert broker.kinds(request) == ["asked", "answered", "answered", "intent"]
    assert signers(broker, request) == ["mira", "sam", "kim"]
    grant = broker.view._state.grants.by_id[request.grant]
    assert (grant.path, grant.not_before) == (Way.JIT, broker.minter.true.at)
    case = case_of(request.grant, broker.org.state, history_of(broker.org))
    assert isinstance(replay_decision(case), Justified)
    granted = broker.breaking.break_glass(request)
    assert granted.handed.minted is not None


def test_an_ask_is_one_ask_however_often_it_is_handed_in(broker: OneBroker) -> None:
    request = asked(broker)
    size = broker.org.log.size
    broker.minter.true.at += 5 * MINUTE
    assert broker.asks.ask(request) == request.grant
    assert broker.org.log.size == size
    error = refused("asked_already", broker.asks.ask, broker.request(ALONE, do=Do.ASK))
    assert "nothing was recorded" in str(error)
    broker.answer(Do.APPROVE, request, "sam")
    assert broker.asks.ask(request) == request.grant
    assert broker.kinds(request) == ["asked", "answered", "intent"]


def test_one_break_of_a_person_and_glass_calls_approvers_at_a_time(broker: OneBroker) -> None:
    first = asked(broker, TWO, Do.BREAK)
    second = broker.request(TWO)
    error = refused("asked_already", broker.asks.ask, second)
    assert f"breakglass withdraw {first.grant}" in error.hint
    asked(broker, TWO, Do.BREAK, who="teo")
    broker.answer(Do.WITHDRAW, first, "mira")
    broker.asks.ask(second)
    assert broker.kinds(second) == ["asked"]


def test_what_takes_nobody_is_broken_and_not_asked_for(broker: OneBroker) -> None:
    request = broker.request(ALONE)
    error = refused("not_offered", broker.asks.ask, request)
    assert "breakglass break deploy-rollback" in error.hint
    assert broker.kinds(request) == []
    assert broker.breaking.break_glass(request).handed.token


def test_a_refused_ask_is_recorded_and_spent(broker: OneBroker) -> None:
    request = broker.request(ALONE, do=Do.ASK, incident="INC-9")
    refused("no_incident", broker.asks.ask, request)
    assert broker.kinds(request) == ["refused"]
    refused("no_incident", broker.asks.ask, request)
    assert broker.kinds(request) == ["refused"]


def test_the_same_answer_twice_is_one_answer(broker: OneBroker) -> None:
    request = asked(broker, TWO)
    word = broker.word(Do.APPROVE, request, "sam")
    first = broker.answers.answer(word)
    size = broker.org.log.size
    assert broker.answers.answer(word) == first
    broker.answer(Do.APPROVE, request, "kim")
    assert broker.answers.answer(word) == first
    assert broker.kinds(request) == ["asked", "answered", "answered", "intent"]
    assert broker.org.log.size == size + 2


def test_a_no_ends_the_ask_and_a_yes_behind_it_is_told_so(broker: OneBroker) -> None:
    request = asked(broker, TWO)
    broker.answer(Do.APPROVE, request, "sam")
    assert broker.answer(Do.REFUSE, request, "kim").state == "refused"
    for act in (
        lambda: broker.answer(Do.APPROVE, request, "teo"),
        lambda: broker.breaking.break_glass(request),
    ):
        refused("refused_by_approver", act)
    assert broker.kinds(request) == ["asked", "answered", "answered"]


def test_who_said_yes_may_still_say_no(broker: OneBroker) -> None:
    request = asked(broker, TWO)
    broker.answer(Do.APPROVE, request, "sam")
    assert broker.answer(Do.REFUSE, request, "sam").state == "refused"


def test_an_ask_is_taken_back_by_its_asker_also_when_it_is_late(broker: OneBroker) -> None:
    request = asked(broker)
    refused("mismatch", broker.answer, Do.WITHDRAW, request, "sam")
    broker.minter.true.at += WAIT + MINUTE
    assert broker.views.show(request.grant).state == "expired"
    assert broker.answer(Do.WITHDRAW, request, "mira").state == "withdrawn"
    refused("withdrawn", broker.breaking.break_glass, request)


def test_a_broker_that_is_behind_reads_on_before_it_says_that_nobody_approved(
    broker: OneBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its asker heard of the grant from another broker, and is not to take a yes for a no."""
    request = asked(broker)
    yes = broker.word(Do.APPROVE, request, "sam")
    answered = kinds.Answered(request.grant, kinds.answered.Reply.YES, yes, ())
    broker.org.state_that("broker-2", answered, f"{request.grant}/answered/x")
    waited: list[float] = []

    def wait(grant: str, past: int, within: float) -> None:
        waited.append(within)
        broker.view.follow()

    monkeypatch.setattr(broker.history, "wait", wait)
    assert broker.breaking.break_glass(request).handed.grant.grant == request.grant
    assert waited == [1.0]


def test_before_it_is_approved_a_break_is_told_how_many_are_wanted(broker: OneBroker) -> None:
    request = asked(broker, TWO)
    broker.answer(Do.APPROVE, request, "sam")
    error = refused("not_approved", broker.breaking.break_glass, request)
    assert "1 of 2 approvers" in str(error)
    assert broker.kinds(request) == ["asked", "answered"]


def test_a_break_that_takes_people_goes_the_same_way(broker: OneBroker) -> None:
    request = asked(broker, TWO, Do.BREAK)
    broker.answer(Do.APPROVE, request, "sam")
    broker.answer(Do.APPROVE, request, "teo")
    assert broker.view._state.grants.by_id[request.grant].path is Way.GLASS
    assert broker.breaking.break_glass(request).handed.minted is not None


# --- whose answer counts ------------------------------------------------------------------------


def test_nobody_approves_their_own_request_under_whatever_name(broker: OneBroker) -> None:
    request = asked(broker, TWO, who="teo")
    error = refused("same_person", broker.answer, Do.APPROVE, request, "teo")
    assert "breakglass withdraw" in error.hint
    mira = broker.org.people["mira"]
    alias = asked(broker, TWO)
    refused("same_person", broker.answer, Do.APPROVE, alias, "mira")
    refused("unknown_person", broker.answer, Do.APPROVE, alias, "mira.k", key=mira)
    assert broker.kinds(alias) == ["asked"]


def test_two_keys_of_one_person_are_one_approver(broker: OneBroker) -> None:
    request = asked(broker, TWO)
    assert broker.answer(Do.APPROVE, request, "sam").state == "waiting"
    refused("answered_already", broker.answer, Do.APPROVE, request, "sam", key=SPARE)
    assert broker.kinds(request) == ["asked", "answered"]
    assert broker.answer(Do.APPROVE, request, "kim").state == "granted"
    assert signers(broker, request) == ["mira", "sam", "kim"]


@pytest.mark.parametrize(
    ("who", "key", "name"),
    [
        ("mira", "sam", "foreign_key"),
        ("sam", "kim", "foreign_key"),
        ("eve", "sam", "unknown_person"),
        ("kim", "kim", "unknown_person"),  # approves another glass, not this one
    ],
)
def test_a_stranger_and_another_glasss_approver_are_told_no(
    broker: OneBroker, who: str, key: str, name: str
) -> None:
    request = asked(broker)
    size = broker.org.log.size
    refused(name, broker.answer, Do.APPROVE, request, who, key=broker.org.people[key])
    assert broker.org.log.size == size


def test_a_weak_key_approves_nothing_and_may_still_say_no(broker: OneBroker) -> None:
    request = asked(broker, TWO)
    refused("weak_factor", broker.answer, Do.APPROVE, request, "bo")
    assert broker.answer(Do.REFUSE, request, "bo").state == "refused"


def test_a_weak_yes_that_another_broker_recorded_counts_for_nothing(broker: OneBroker) -> None:
    request = asked(broker, TWO)
    weak = broker.word(Do.APPROVE, request, "bo")
    answered = kinds.Answered(request.grant, kinds.answered.Reply.YES, weak, ())
    assert broker.org.state_that("broker-2", answered, f"{request.grant}/answered/x").holds
    broker.view.follow()
    assert broker.answer(Do.APPROVE, request, "sam").state == "waiting"
    assert broker.answer(Do.APPROVE, request, "kim").state == "granted"
    assert signers(broker, request) == ["mira", "sam", "kim"]


def test_a_break_of_what_waits_is_refused_and_ends_nothing(broker: OneBroker) -> None:
    request = asked(broker)
    broker.minter.suspend(Target.PERSON, "mira")
    broker.view.follow()
    refused("suspended", broker.breaking.break_glass, request)
    assert broker.kinds(request) == ["asked"]
    assert broker.views.show(request.grant).state == "waiting"


def test_an_approval_of_one_ask_serves_no_other(broker: OneBroker) -> None:
    """The break that comes behind an ask is another statement, and shows none of its answers."""
    request = asked(broker, TWO)
    yes = broker.word(Do.APPROVE, request, "sam")
    instead = asked(broker, TWO, Do.BREAK)
    grant, _ = broker.answers.answer(yes)
    assert grant == request.grant
    assert broker.views.show(instead.grant).answers == ()
    forged = kinds.Answered(instead.grant, kinds.answered.Reply.YES, yes, ())
    assert broker.org.state_that("broker-2", forged).void == "mismatch"


def test_a_late_answer_is_told_how_long_was_waited(broker: OneBroker) -> None:
    request = asked(broker)
    broker.minter.true.at = request.said.at + WAIT + SECOND
    error = refused("expired", broker.answer, Do.APPROVE, request, "sam")
    assert "waited until" in str(error)
    refused("expired", broker.breaking.break_glass, request)
    assert broker.kinds(request) == ["asked"]


def test_an_old_word_and_a_used_nonce_answer_nothing(broker: OneBroker) -> None:
    request = asked(broker, TWO)
    old = broker.word(Do.APPROVE, request, "sam")
    broker.minter.true.at += 3 * MINUTE
    refused("statement_old", broker.answers.answer, old)
    broker.answer(Do.APPROVE, request, "sam", nonce="ab" * 16)
    refused("nonce", broker.answer, Do.REFUSE, request, "sam", nonce="ab" * 16)


def test_other_words_and_other_asks_are_no_answers(broker: OneBroker) -> None:
    request = asked(broker)
    refused("wrong_do", broker.answers.answer, broker.word(Do.DONE, request, "mira"))
    unknown = broker.request(ALONE, do=Do.ASK)
    refused("no_grant", broker.answer, Do.APPROVE, unknown, "sam")
    refused("wrong_log", broker.answer, Do.APPROVE, request, "sam", log="ledger.example/two")


def test_who_was_suspended_meanwhile_counts_no_more(broker: OneBroker) -> None:
    request = asked(broker, TWO)
    broker.answer(Do.APPROVE, request, "kim")
    broker.minter.suspend(Target.PERSON, "kim")
    broker.view.follow()
    assert broker.answer(Do.APPROVE, request, "sam").state == "waiting"
    refused("suspended", broker.answer, Do.APPROVE, request, "kim")
    view = broker.answer(Do.APPROVE, request, "teo")
    assert view.state == "granted"
    assert signers(broker, request) == ["mira", "sam", "teo"]


def test_who_left_the_policy_meanwhile_counts_no_more(broker: OneBroker) -> None:
    request = asked(broker, TWO)
    broker.answer(Do.APPROVE, request, "kim")
    broker.org.put(2, ("from: [sam, teo, kim, bo]", "from: [sam, teo, bo]"))
    with broker.minter._clock_of("broker"):
        broker.org.activate_policy()
    broker.view.follow()
    error = refused("wrong_policy", broker.answer, Do.APPROVE, request, "sam")
    assert "is recorded, and nothing is granted" in str(error)
    assert broker.kinds(request) == ["asked", "answered", "answered"]
    refused("unknown_person", broker.answer, Do.APPROVE, request, "kim")


def close_incident(broker: OneBroker) -> None:
    closing = broker.org.declare(do=Do.CLOSE, nonce="cd" * 16)
    word = broker.org.sign(closing)
    assert broker.org.open_incident(change=IncidentChange.CLOSED, statement=word).holds


@pytest.mark.parametrize("what", ["incident", "asker", "glass"])
def test_what_stands_against_the_grant_is_said_and_the_answer_is_kept(
    broker: OneBroker, what: str
) -> None:
    request = asked(broker)
    if what == "incident":
        with broker.minter._clock_of("broker"):
            close_incident(broker)
    if what == "asker":
        broker.minter.suspend(Target.PERSON, "mira")
    if what == "glass":
        broker.minter.suspend(Target.GLASS, ALONE)
    broker.view.follow()
    name = "incident_closed" if what == "incident" else "suspended"
    error = refused(name, broker.answer, Do.APPROVE, request, "sam")
    assert "is recorded, and nothing is granted" in str(error)
    assert broker.kinds(request) == ["asked", "answered"]
    assert broker.views.show(request.grant).state == "waiting"


# --- crashes, and two brokers -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "left"),
    [
        ("answer_decided", ["asked"]),
        ("recorded", ["asked", "answered", "intent"]),
        ("judged", ["asked", "answered", "intent"]),
        ("answered", ["asked", "answered", "intent"]),
    ],
)
def test_a_crash_at_each_step_of_the_last_answer_is_mended_by_the_same_statement(
    broker: OneBroker, step: str, left: list[str]
) -> None:
    request = asked(broker)
    word = broker.word(Do.APPROVE, request, "sam")
    broker.crash_at(step)
    with pytest.raises(Crash):
        broker.answers.answer(word)
    assert broker.kinds(request) == left
    broker.restart()
    grant, index = broker.answers.answer(word)
    view = broker.views.show(grant)
    assert (view.state, view.answers[0].index) == ("granted", index)
    assert broker.kinds(request) == ["asked", "answered", "intent"]


@pytest.mark.parametrize("step", ["decided", "asked"])
def test_a_crash_at_each_step_of_asking_leaves_one_ask(broker: OneBroker, step: str) -> None:
    request = broker.request(ALONE, do=Do.ASK)
    broker.crash_at(step)
    with pytest.raises(Crash):
        broker.asks.ask(request)
    assert broker.kinds(request) == (["asked"] if step == "asked" else [])
    broker.restart()
    broker.asks.ask(request)
    assert broker.kinds(request) == ["asked"]


def test_an_answer_without_its_intent_is_granted_by_whoever_looks(broker: OneBroker) -> None:
    request = asked(broker)
    yes = broker.word(Do.APPROVE, request, "sam")
    answered = kinds.Answered(request.grant, kinds.answered.Reply.YES, yes, ())
    broker.org.state_that("broker-2", answered, f"{request.grant}/answered/x")
    broker.restart()
    broker.reconciler.look()
    assert broker.kinds(request) == ["asked", "answered", "intent"]
    broker.reconciler.look()
    assert broker.kinds(request) == ["asked", "answered", "intent"]


def test_the_askers_own_statement_finds_its_answers_too(broker: OneBroker) -> None:
    request = asked(broker)
    yes = broker.word(Do.APPROVE, request, "sam")
    answered = kinds.Answered(request.grant, kinds.answered.Reply.YES, yes, ())
    broker.org.state_that("broker-2", answered, f"{request.grant}/answered/x")
    broker.view.follow()
    assert broker.breaking.break_glass(request).handed.token
    assert broker.kinds(request) == ["asked", "answered", "intent"]


def test_two_brokers_that_saw_one_yes_each_are_mended_by_a_look(
    broker: OneBroker, other: OneBroker
) -> None:
    request = asked(broker, TWO)
    other.view.follow()
    other.view.held = True
    broker.answer(Do.APPROVE, request, "sam")
    yes = other.word(Do.APPROVE, request, "kim")
    with pytest.raises(UnavailableError):
        other.answers.answer(yes)  # recorded, and not seen again: its view stands still
    assert broker.kinds(request) == ["asked", "answered", "answered"]
    other.view.held = False
    other.view.follow()
    broker.view.follow()
    broker.reconciler.look()
    other.reconciler.look()
    assert broker.kinds(request) == ["asked", "answered", "answered", "intent"]
    assert other.answers.answer(yes)[0] == request.grant
    assert loud(broker) == []


def test_the_answer_that_came_behind_another_brokers_intent_is_quiet(
    broker: OneBroker, other: OneBroker
) -> None:
    request = asked(broker)
    other.view.follow()
    other.view.held = True
    broker.answer(Do.APPROVE, request, "sam")
    late = other.word(Do.APPROVE, request, "teo")
    refused("unanswered", other.answers.answer, late)  # the ledger has another's intent
    other.view.held = False
    other.view.follow()
    error = refused("granted_already", other.answers.answer, late)
    assert "breakglass kill" in error.hint
    assert broker.kinds(request) == ["asked", "answered", "intent"]
    assert loud(broker) == []


def loud(broker: OneBroker) -> list[str]:
    """Return what the log holds that does not count and is nobody's honest race."""
    return [str(each.void) for each in broker.org.judged if each.void and not each.quiet]


def test_what_came_too_late_for_a_token_waits_for_a_fresh_yes(broker: OneBroker) -> None:
    request = asked(broker, TWO)
    broker.answer(Do.APPROVE, request, "sam")
    yes = broker.word(Do.APPROVE, request, "kim")
    answered = kinds.Answered(request.grant, kinds.answered.Reply.YES, yes, ())
    broker.org.state_that("broker-2", answered, f"{request.grant}/answered/x")
    broker.view.follow()
    broker.minter.true.at += 3 * MINUTE
    broker.reconciler.look()
    assert broker.kinds(request) == ["asked", "answered", "answered"]
    assert broker.answer(Do.APPROVE, request, "kim").state == "granted"
    assert signers(broker, request) == ["mira", "sam", "kim"]


# --- silence ------------------------------------------------------------------------------------


def pass_time(broker: OneBroker, time: timedelta) -> None:
    broker.minter.true.at += time
    broker.tick += time.total_seconds()


def test_silence_is_written_once_the_cards_time_has_passed_with_the_pages(
    broker: OneBroker,
) -> None:
    request = asked(broker)
    broker.reconciler.look()
    broker.page(request, "sam")
    broker.page(request, "teo", delivery=Delivery.FAILED)
    pass_time(broker, SILENCE)
    broker.reconciler.look()
    assert broker.kinds(request) == ["asked"]
    pass_time(broker, SECOND)
    broker.reconciler.look()
    broker.reconciler.look()
    assert broker.kinds(request) == ["asked", "answered"]
    view = broker.views.show(request.grant)
    assert (view.state, view.silent) == ("waiting", True)
    assert [(each.to, each.delivery) for each in view.pages] == [
        (("sam",), "delivered"), (("teo",), "failed"),
    ]  # fmt: skip
    assert broker.answer(Do.APPROVE, request, "sam").state == "granted"


def test_after_a_start_silence_waits_for_the_witnesses_time(broker: OneBroker) -> None:
    request = asked(broker)
    broker.page(request, "sam")
    broker.restart()
    broker.reconciler.look()
    pass_time(broker, SILENCE)
    broker.restart()
    broker.reconciler.look()
    assert broker.kinds(request) == ["asked"]
    with broker.minter._clock_of("monitor"):
        pulse(broker.org)
    broker.view.follow()
    broker.reconciler.look()
    assert broker.kinds(request) == ["asked", "answered"]


@pytest.mark.parametrize("why", ["nobody paged", "not delivered", "a stranger", "answered"])
def test_nobody_is_never_said_without_a_delivered_page_or_beside_an_answer(
    broker: OneBroker, why: str
) -> None:
    request = asked(broker, TWO)
    broker.reconciler.look()
    if why == "not delivered":
        broker.page(request, "sam", delivery=Delivery.FAILED)
    if why == "a stranger":
        broker.page(request, "mira")
    if why == "answered":
        broker.page(request, "sam")
        broker.answer(Do.APPROVE, request, "sam")
    before = broker.kinds(request)
    pass_time(broker, SILENCE + 5 * SECOND)
    broker.reconciler.look()
    assert broker.kinds(request) == before


def test_a_break_behind_an_ask_overtakes_it(broker: OneBroker) -> None:
    request = asked(broker)
    broker.breaking.break_glass(broker.request(ALONE, after=""))
    assert broker.views.show(request.grant).state == "overtaken"
    refused("overtaken", broker.answer, Do.APPROVE, request, "sam")


def test_a_suspended_approver_and_the_asker_are_not_named_among_who_may_answer(
    broker: OneBroker,
) -> None:
    request = asked(broker, TWO, who="teo")
    assert broker.views.show(request.grant).approvers == ("bo", "kim", "sam")
    broker.minter.suspend(Target.PERSON, "kim")
    broker.view.follow()
    assert broker.views.show(request.grant).approvers == ("bo", "sam")


def test_everybody_sees_their_own_asks_and_what_waits_for_them(broker: OneBroker) -> None:
    request = asked(broker)
    two = asked(broker, TWO, who="teo")
    assert [each.grant for each in broker.views.of_person("mira").mine] == [request.grant]
    assert [each.grant for each in broker.views.of_person("sam").waiting] == [
        two.grant, request.grant,
    ]  # fmt: skip
    assert [each.grant for each in broker.views.of_person("kim").waiting] == [two.grant]
    broker.answer(Do.APPROVE, two, "kim")
    assert broker.views.of_person("kim").waiting == ()
    broker.minter.true.at += WAIT + MINUTE
    assert broker.views.of_person("sam").waiting == ()


def test_beyond_the_bound_and_behind_its_version_nobody_is_kept_waiting(
    broker: OneBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each waiter holds a thread of the process, and breaks need some too."""
    request = asked(broker)
    requests = Requests(broker.views, broker.history)
    waited: list[int] = []
    broker.minter.true.at += WAIT - SECOND

    def wait(grant: str, past: int, within: float) -> None:
        waited.append(past)
        broker.minter.true.at += 2 * SECOND  # nothing comes, but the ask's own end

    monkeypatch.setattr(broker.history, "wait", wait)
    version = broker.views.show(request.grant).version
    neighbour = Neighbour(Role("monitor", ""))

    def read(after: int) -> str:
        query = {"after": str(after), "wait": "20"}
        return requests.of_grant(
            neighbour, Request({"grant": request.grant}, query, None, {})
        ).state

    assert read(version - 1) == "waiting"
    for _ in range(WAITERS_AT_MOST):
        assert requests._places.acquire(blocking=False)
    assert read(version) == "waiting"
    assert waited == []
    requests._places.release()
    assert read(version) == "expired"
    assert waited == [broker.history.find(request.grant).changed]
    assert requests._places.acquire(blocking=False)  # it was given back
