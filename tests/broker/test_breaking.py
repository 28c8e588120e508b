"""The one story: asked, decided, recorded, proven, handed out; and every way to be told no."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from breakglass.errors import BreakglassError, MalformedError, RefusedError, UnprovenError
from breakglass.records.statement import Do, Target, Why
from breakglass.token.token import parse_token
from breakglass.token.verify import Verifier, verify_token
from tests.broker.shop import Shop
from tests.kit.people import SoftKey, SoftSecurityKey
from tests.kit.processes import until


def test_a_broken_glass_is_recorded_proven_minted_and_sealed_to_its_holder(shop: Shop) -> None:
    asking = shop.asking()
    answer = shop.break_glass(asking)
    assert answer["grant"] == asking.grant
    minted = answer["minted"]
    assert minted["handle"] == "bg_" + asking.grant.removeprefix("g-")
    assert minted["expires"] == answer["not_after"]
    assert set(answer["cosigned"]) >= {"worm"}
    assert answer["since_asked_ms"] == minted["since_asked_ms"] > 0
    secret = asking.opened(minted)
    session = shop.target().log_in(secret["user"], secret["password"])
    assert shop.target().alive(session)
    until(lambda: shop.kinds(asking.grant) == ["asked", "intent", "minted", "usable"])


def test_a_glass_without_a_minter_is_a_token_that_opens_its_gate_offline(shop: Shop) -> None:
    asking = shop.asking("deploy-rollback")
    answer = shop.break_glass(asking)
    assert answer["minted"] is None
    token = parse_token(answer["token"].encode())
    shown = shop.shown(asking, to="gate:deploy-approval", run="42")
    verifier = Verifier(shop.trust(), "gate:deploy-approval")
    found = verify_token(token.presented(shown), verifier, "42", datetime.now(UTC))
    assert found.intent.grant == asking.grant
    again = shop.get(f"/grants/{asking.grant}/token")["token"]
    assert parse_token(again.encode()).intent == token.intent


def test_the_review_deadline_is_fixed_in_the_intent(shop: Shop) -> None:
    answer = shop.break_glass(shop.asking("deploy-rollback"))
    due = datetime.fromisoformat(answer["review_by"])
    assert timedelta(days=3) <= due - datetime.now(UTC) + timedelta(minutes=1) <= timedelta(days=6)


def test_the_same_statement_again_is_the_same_grant_and_the_same_credential(shop: Shop) -> None:
    asking = shop.asking()
    first, second = shop.break_glass(asking), shop.break_glass(asking)
    assert (first["index"], first["token"]) == (second["index"], second["token"])
    assert first["minted"]["sealed"] == second["minted"]["sealed"]
    assert shop.kinds(asking.grant).count("intent") == 1
    again = shop.get(f"/grants/{asking.grant}/credential")
    assert again["sealed"] == first["minted"]["sealed"]


def test_a_double_click_is_one_grant(shop: Shop) -> None:
    asking, before = shop.asking(), len(shop.void())
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: shop.break_glass(asking), range(4)))
    assert len({answer["minted"]["sealed"] for answer in answers}) == 1
    assert shop.kinds(asking.grant).count("intent") == 1
    assert len(shop.void()) == before


def test_two_brokers_with_one_statement_give_one_grant(shop: Shop) -> None:
    if shop.brokers[1].popen is None:
        shop.brokers[1].start()
        until(lambda: shop.get("/state", 1)["size"] == shop.get("/state")["size"])
    before = len(shop.void())
    for _ in range(3):
        asking = shop.asking()
        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(lambda n: shop.break_glass(asking, n), (0, 1))  # noqa: B023
        assert first["index"] == second["index"]
        assert first["minted"]["sealed"] == second["minted"]["sealed"]
    assert {name for _, name in shop.void()[before:]} <= {"lost_race", "nonce"}


def test_a_broker_that_decided_while_another_recorded_takes_that_grant(shop: Shop) -> None:
    if shop.brokers[1].popen is None:
        shop.brokers[1].start()
        until(lambda: shop.get("/state", 1)["size"] == shop.get("/state")["size"])
    asking = shop.asking()
    with ThreadPoolExecutor(1) as pool:
        with shop.halted_at(shop.brokers[0], "decided"):
            waiting = pool.submit(shop.break_glass, asking, 0)
            shop.wait_halted(shop.brokers[0])
            second = shop.break_glass(asking, 1)
            until(lambda: shop.get("/state")["size"] > second["index"])
        assert waiting.result()["index"] == second["index"]
    assert shop.kinds(asking.grant)[:2] == ["asked", "intent"]


def test_both_brokers_fold_to_the_same_state(shop: Shop) -> None:
    if shop.brokers[1].popen is None:
        shop.brokers[1].start()

    def same() -> bool:
        ours, theirs = shop.get("/state"), shop.get("/state", 1)
        return bool(ours["size"] == theirs["size"] and ours["digest"] == theirs["digest"])

    until(same)


def test_a_refusal_of_a_known_person_is_recorded_once(shop: Shop) -> None:
    asking = shop.asking(who="sam")
    for _ in range(2):
        with pytest.raises(RefusedError, match="'sam' may not"):
            shop.break_glass(asking)
    until(lambda: shop.kinds(asking.grant) == ["refused"])


def test_a_glass_for_two_says_who_is_missing_and_records_nothing(shop: Shop) -> None:
    asking = shop.asking("key-deletion")
    with pytest.raises(RefusedError, match="takes 1 approver, and nobody was asked yet") as caught:
        shop.break_glass(asking)
    assert caught.value.name == "not_approved"
    assert shop.kinds(asking.grant) == []


def test_a_coded_reason_that_the_policy_does_not_have_is_refused_and_other_is_always_taken(
    shop: Shop,
) -> None:
    asking = shop.asking(reason=Why("because", "orders stuck in 'new'"))
    with pytest.raises(RefusedError, match="has no reason 'because'; name one of: production"):
        shop.break_glass(asking)
    until(lambda: shop.kinds(asking.grant) == ["refused"])
    other = shop.asking(reason=Why("other", "orders stuck in 'new'"))
    assert shop.break_glass(other)["index"]


def test_the_record_has_the_policys_name_of_the_network_and_no_address(shop: Shop) -> None:
    asking = shop.asking()
    shop.break_glass(asking)
    (asked,) = [
        each
        for each in shop.records()
        if each.body.kind == "asked" and each.body.grant == asking.grant
    ]
    assert asked.body.from_ == "here"
    assert not any("127.0.0.1" in str(each) for each in shop.records())


def test_nobody_can_fill_the_ledger_with_refusals(shop: Shop) -> None:
    """Ten a minute of one person, and what a slow machine has come back meanwhile."""
    askings = [shop.asking(who="teo", incident="INC-9") for _ in range(16)]
    began = time.monotonic()
    for asking in askings:
        with pytest.raises(RefusedError):
            shop.break_glass(asking)
    came_back = (time.monotonic() - began) * 10 / 60
    recorded = [asking for asking in askings if shop.kinds(asking.grant)]
    assert 0 < len(recorded) <= 10 + came_back


def test_a_stranger_leaves_no_trace(shop: Shop) -> None:
    written = shop.written_from_now()
    stranger = shop.asking(who="eve", key=SoftSecurityKey.of("eve"))
    with pytest.raises(
        RefusedError, match="unknown person 'eve': not in the policy in force"
    ) as caught:
        shop.break_glass(stranger)
    assert caught.value.name == "unknown_person"
    framed = shop.asking(who="mira", key=SoftSecurityKey.of("eve"))
    with pytest.raises(UnprovenError) as unproven:
        shop.break_glass(framed)
    assert unproven.value.name == "foreign_key"
    assert written() == []


LONG_AGO = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=9)
CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "too old": (
        {"at": datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=9)},
        "statement_old",
    ),
    "another log": ({"log": "ledger.example/staging"}, "wrong_log"),
    "another policy": ({"policy": "0" * 64}, "wrong_policy"),
    "no such glass": ({"glass": "everything"}, "unknown_glass"),
    "no such incident": ({"incident": "INC-1"}, ""),
    "no incident": ({"incident": ""}, ""),
    "too long": ({"for_s": 12 * 3600}, ""),
    "a wider scope": (
        {"scope": {"databases": ("billing", "orders"), "templates": ("breakglass_orders_repair",)}},
        "",
    ),
    "a machine's word": ({"do": Do.MACHINE, "minter": "orders-db", "act": "undo"}, "not_offered"),
    "the custodians' door": ({"do": Do.DOOR}, "not_offered"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_what_does_not_fit_is_refused_by_its_name_and_nothing_is_granted(
    shop: Shop, case: str
) -> None:
    changes, name = CHANGES[case]
    asking = shop.asking(**changes)
    with pytest.raises(BreakglassError) as caught:
        shop.break_glass(asking)
    assert not isinstance(caught.value, MalformedError)
    assert caught.value.exit_code in (3, 4), caught.value
    if name:
        assert caught.value.name == name
    assert "intent" not in shop.kinds(asking.grant)


def test_a_software_key_is_one_factor(shop: Shop) -> None:
    with pytest.raises(RefusedError) as caught:
        shop.break_glass(shop.asking(who="bo"))
    assert "factor" in str(caught.value) or "key" in str(caught.value)


def test_a_nonce_is_used_once(shop: Shop) -> None:
    first = shop.asking("deploy-rollback", nonce="ab" * 16)
    shop.break_glass(first)
    second = shop.asking("deploy-rollback", nonce="ab" * 16)
    with pytest.raises(RefusedError, match="nonce"):
        shop.break_glass(second)
    assert shop.kinds(second.grant) == []


def test_a_presentation_of_something_else_is_refused_before_anything_is_recorded(
    shop: Shop,
) -> None:
    asking = shop.asking()
    asking.body["presentation"] = shop.asking().body["presentation"]
    with pytest.raises(MalformedError, match="expected one for 'minter:orders-db'"):
        shop.break_glass(asking)
    assert shop.kinds(asking.grant) == []


BODIES = [
    b"",
    b"{}",
    b"[]",
    b"nonsense",
    b'{"statement":1,"presentation":null}',
    b'{"statement":{"text":"x","sshsig":"AAAA"},"presentation":null}',
    b'{"statement":{"text":"x","sshsig":"AAAA"},"statement":null,"presentation":null}',
    b'{"statement":{"text":"x","sshsig":"AAAA"},"presentation":null,"more":1}',
    b'{"statement":{"text":"breakglass.dev/statement/v1\\n{\\u2028}\\n","sshsig":"AAAA"},"presentation":null}',
    b"\xff\xfe",
    b'{"statement":' + b"[" * 30_000,
    b"1e999",
]


@pytest.mark.parametrize("path", ["/break", "/incidents", "/done", "/kill", "/policy", "/trust"])
def test_malformed_requests_are_told_so_and_write_nothing(shop: Shop, path: str) -> None:
    written = shop.written_from_now()
    with shop.brokers[0].neighbour() as broker:
        for body in BODIES:
            reply = broker.send("POST", path, body, "application/json")
            assert reply.status == 400, (body[:60], reply.body)
            assert set(reply.json()) == {"error", "message", "hint"}
        large = broker.send("POST", path, b"x" * (9 * 1024 * 1024), "application/json")
        assert large.status in (400, 413)
    assert written() == []
    assert "Traceback" not in shop.brokers[0].said()


def test_a_token_alone_ends_by_itself_and_the_broker_says_so(shop: Shop) -> None:
    asking = shop.asking("deploy-rollback", for_s=4)
    shop.break_glass(asking)
    assert shop.wait_state(asking.grant, "ended")["ended"] == "expired"
    assert shop.kinds(asking.grant) == ["asked", "intent", "ended"]
    with pytest.raises(RefusedError) as caught:
        shop.break_glass(asking)
    assert caught.value.name == "ended"


def test_done_ends_what_a_minter_made_and_what_is_a_token_alone(shop: Shop) -> None:
    minted, alone = shop.asking(), shop.asking("deploy-rollback")
    shop.break_glass(minted)
    shop.break_glass(alone)
    assert shop.done(minted)["dead"]
    shop.done(alone)
    assert shop.wait_state(minted.grant, "dead")["ended"] == "done"
    assert shop.wait_state(alone.grant, "ended")["ended"] == "done"
    shop.done(minted)  # again is harmless
    shop.done(alone)


def test_only_the_holder_hands_a_grant_back(shop: Shop) -> None:
    for glass in ("orders-repair", "deploy-rollback"):
        asking = shop.asking(glass)
        shop.break_glass(asking)
        with pytest.raises(RefusedError):
            shop.done(asking, who="teo")
        assert shop.get(f"/grants/{asking.grant}")["ended_at"] is None


def test_a_kill_ends_one_grant_and_leaves_another_of_the_same_person(shop: Shop) -> None:
    first, second = shop.asking(), shop.asking()
    shop.break_glass(first)
    other = shop.break_glass(second)
    secret = second.opened(other["minted"])
    session = shop.target().log_in(secret["user"], secret["password"])
    shop.kill(Target.GRANT, first.grant)
    assert shop.wait_state(first.grant, "dead")["ended"] == "killed"
    assert shop.target().alive(session)
    assert shop.get(f"/grants/{second.grant}")["ended_at"] is None
    with pytest.raises(RefusedError, match="may not kill"):
        shop.kill(Target.GRANT, second.grant, who="teo")


def test_a_suspended_person_loses_what_they_hold_and_gets_nothing_until_lifted(
    shop: Shop,
) -> None:
    asking, others = shop.asking(who="teo"), shop.asking()
    alone = shop.asking("deploy-rollback", who="teo")
    shop.break_glass(asking)
    shop.break_glass(others)
    shop.break_glass(alone)
    waiting = shop.asking(who="teo")
    token = shop.recorded(waiting)
    stopped = shop.kill(Target.PERSON, "teo")
    assert {asking.grant, alone.grant} <= set(stopped["grants"])
    assert others.grant not in stopped["grants"]
    try:
        assert shop.wait_state(asking.grant, "dead")["ended"] == "killed"
        with pytest.raises(RefusedError) as caught:
            shop.mint(token.encoded())
        assert caught.value.name == "suspended"
        with pytest.raises(RefusedError, match="suspended"):
            shop.break_glass(shop.asking("deploy-rollback", who="teo"))
        assert shop.wait_state(alone.grant, "ended")["ended"] == "killed"
        assert shop.get(f"/grants/{others.grant}")["ended_at"] is None
    finally:
        shop.lift(Target.PERSON, "teo")
    shop.break_glass(shop.asking("deploy-rollback", who="teo"))


@pytest.mark.parametrize(
    ("target", "name", "near"),
    [(Target.PERSON, "tea", "teo"), (Target.GLASS, "orders-repairs", "orders-repair")],
)
def test_who_and_what_does_not_exist_is_not_stopped_and_the_near_names_are_said(
    shop: Shop, target: Target, name: str, near: str
) -> None:
    written = shop.written_from_now()
    with pytest.raises(RefusedError, match=f"there is no {target.value} '{name}'") as caught:
        shop.kill(target, name)
    assert caught.value.name == "no_target"
    assert near in caught.value.hint
    with pytest.raises(BreakglassError) as stranger:  # who may not kill learns no name
        shop.kill(target, name, who="teo")
    assert near not in stranger.value.hint
    assert written() == []


def test_incidents_are_declared_listed_and_closed_once(shop: Shop) -> None:
    assert shop.declare("INC-77")["index"] is not None
    with pytest.raises(RefusedError) as caught:
        shop.declare("INC-77", who="teo")
    assert caught.value.name == "incident_state"
    shop.declare("INC-77", Do.CLOSE)
    listed = {each["incident"]: each for each in shop.get("/incidents")["incidents"]}
    assert not listed["INC-77"]["open"]
    assert listed["INC-77"]["self_declared"]
    with pytest.raises(RefusedError):
        shop.break_glass(shop.asking("deploy-rollback", incident="INC-77"))


def test_glasses_are_listed_with_what_a_client_needs(shop: Shop) -> None:
    listed = {each["glass"]: each for each in shop.get("/glasses")["glasses"]}
    repair = listed["orders-repair"]
    assert repair["incident"] == ["SEV1", "SEV2"]
    assert repair["mints"][0]["minter"] == "orders-db"
    assert repair["mints"][0]["scope"]["databases"] == ["orders"]
    mine = {each["glass"]: each["people"] for each in shop.get("/glasses/mine")["glasses"]}
    assert mine["orders-repair"] == ["bo", "mira", "teo"]
    assert listed["deploy-rollback"]["gates"] == ["deploy-approval"]


def test_a_broker_that_lost_its_folder_knows_everything_again(shop: Shop) -> None:
    import shutil

    asking = shop.asking()
    first = shop.break_glass(asking)
    broker = shop.brokers[0]
    broker.stop()
    before = len(shop.records())
    shutil.rmtree(broker.folder / "data")
    broker.start()
    until(lambda: shop.get("/state")["size"] >= before)
    again = shop.break_glass(asking)
    assert again["index"] == first["index"]
    assert again["minted"]["sealed"] == first["minted"]["sealed"]


def test_a_silent_monitor_is_written_on_the_grant_and_the_broker_rings(shop: Shop) -> None:
    from breakglass.broker.grants import authorization
    from breakglass.records.kinds.asked import Factors
    from breakglass.records.signing.signature import Factor

    now = datetime.now(UTC)
    who = authorization.Known(Factors(Factor.TWO, 1, False), timedelta(seconds=1))
    moment = authorization.Moment("", None, None, frozenset(), now - timedelta(minutes=4))
    assert authorization.labels(who, moment, now) == ("monitor_silent",)
    moment = authorization.Moment("", None, None, frozenset(), now - timedelta(minutes=2))
    assert authorization.labels(who, moment, now) == ()


def test_sixty_people_at_once_are_all_served(shop: Shop) -> None:
    askings = [shop.asking("deploy-rollback") for _ in range(60)]
    with ThreadPoolExecutor(60) as pool:
        answers = list(pool.map(shop.break_glass, askings))
    assert len({answer["grant"] for answer in answers}) == len(askings)


def test_a_statement_signed_by_a_lone_software_key_of_a_stranger_is_unproven(shop: Shop) -> None:
    with pytest.raises(UnprovenError):
        shop.break_glass(shop.asking("deploy-rollback", key=SoftKey.generate()))
