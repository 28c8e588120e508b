"""Gates from the followed ledger: joined history, verdicts, and reviews that people sign."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from breakglass.clock import format_time
from breakglass.errors import BreakglassError, MalformedError, RefusedError, UnavailableError
from breakglass.http.client import Peer
from breakglass.monitor.app import Monitor
from breakglass.monitor.gates.gate_reviews import ReviewedBody
from breakglass.monitor.gates.gate_status import siblings_of
from breakglass.policy.bundle import pack_bundle, unpack_bundle
from breakglass.records import all_kinds as kinds
from breakglass.records.statement import GateVerdict, Why
from breakglass.strict_json import write
from breakglass.verdicts.folder import read_folder
from breakglass.verdicts.verdict import judge
from breakglass.verdicts.verdict_json import answer as told
from tests.kit.people import SoftKey
from tests.kit.reading import ReadingPeer, signs
from tests.monitor.served import served
from tests.monitor.stand_ins import Shop, StandInLedger, bundle, eventually, moment

Start = Callable[..., Monitor]


@pytest.fixture
def monitor(folder: Path, monitor_of: Start) -> Monitor:
    monitor = monitor_of(folder)
    eventually(lambda: monitor.following.live)
    return monitor


@pytest.fixture
def asking(monitor: Monitor, shop: Shop) -> Iterator[Peer]:
    signer = signs(shop.org.submitters["broker"], shop.org.log_name)
    within = timedelta(seconds=15)
    with served(monitor) as address, ReadingPeer(address, within=within, signer=signer) as asking:
        yield asking


def tally(shop: Shop, **counts: int) -> None:
    """Write one window of the deploy gate's passages."""
    names = ("passed", "blocked", "could_not_evaluate", "bypassed", "sanctioned")
    numbers = {name: counts.get(name, 0) for name in names}
    now = moment()
    body = kinds.Passages("deploy-approval", now, now, **numbers, p50_ms=1, p99_ms=2, flaky=())
    shop.states("gate:deploy-approval", body)


def signed(shop: Shop, key: Any = None, **changes: Any) -> dict[str, Any]:
    said = shop.org.review_gate(at=moment(), look_again=moment() + timedelta(weeks=9), **changes)
    return {"statement": write(shop.org.sign(said, key))}


def post(asking: Peer, body: dict[str, Any], gate: str = "deploy-approval") -> dict[str, Any]:
    data = json.dumps(body).encode()
    path = f"/gates/{gate}/reviewed"
    return asking.send("POST", path, data, "application/json").checked().json()


def test_the_history_joins_each_bypass_with_who_and_why(
    shop: Shop, monitor: Monitor, asking: Peer, tmp_path: Path
) -> None:
    tally(shop, passed=900, blocked=40, could_not_evaluate=10, bypassed=2, sanctioned=3)
    tally(shop, passed=50)
    broken = shop.breaks(statement={"reason": Why("gate-down", "the suite timed out twice")})
    shop.bypasses(broken, "41")
    shop.bypasses(broken, "42")
    eventually(lambda: len(monitor.gates.records().bypasses) == 2)
    answer = asking.get("/gates/history").json()
    for name, text in answer["files"].items():
        (tmp_path / name).write_text(text)
    history = read_folder(tmp_path)
    (gate,) = history.gates
    assert gate.name == "deploy-approval"
    assert sum(gate.passages.values()) == 1003
    own = [each for each in gate.events if not each.sanctioned]
    assert [(e.person, e.incident, e.reason, e.reason_code, e.kind) for e in own] == [
        ("mira", "INC-4821", "the suite timed out twice", "gate-down", "bypass")
    ] * 2
    assert len(gate.events) == 5
    (verdict,) = asking.get("/gates").json()["gates"]
    assert verdict == json.loads(json.dumps(told(judge(gate, history.as_of))))


def test_a_grant_that_opens_no_gate_is_told_under_its_glass(shop: Shop, monitor: Monitor) -> None:
    shop.bypasses(shop.breaks(), "41")  # this one opens a gate, and is counted there
    broken = shop.breaks(intent={"gates": ()})
    eventually(lambda: monitor.gates.records().gateless)
    records = monitor.gates.records()
    (told,) = [each for each in records.told() if each["kind"] == "broken"]
    said = (told["id"], told["gate"], told["person"], told["drill"])
    assert said == (broken.grant, "deploy-rollback", "mira", False)
    assert replace(records, bypasses=()).latest == records.gateless[0].at


def test_doors_that_the_policy_names_together_are_judged_together() -> None:
    files = unpack_bundle(bundle())
    text = files["breakglass.yaml"].replace(
        b"production deploys,", b"deploys, siblings: [chat-ops],"
    )
    doors = siblings_of(pack_bundle({"breakglass.yaml": text}))
    assert doors == {"deploy-approval": ("chat-ops",), "orders-write": ()}
    assert siblings_of(b"") == {}


def test_each_gate_has_a_verdict_and_a_new_record_is_judged_again(
    shop: Shop, monitor: Monitor, asking: Peer
) -> None:
    assert asking.get("/gates").json()["gates"] == []
    tally(shop, passed=9000)
    eventually(lambda: monitor.gates.records().tallies)
    (found,) = asking.get("/gates").json()["gates"]
    assert (found["gate"], found["n"], found["passages"]) == ("deploy-approval", 0, 9000)
    shop.bypasses(shop.breaks())
    eventually(lambda: monitor.gates.records().bypasses)
    (found,) = asking.get("/gates").json()["gates"]
    assert found["n"] == 1


def test_a_signed_review_is_recorded_and_stands_in_the_history(
    shop: Shop, monitor: Monitor, asking: Peer
) -> None:
    body = signed(shop)
    answer = post(asking, body)
    assert b'"kind":"gate_reviewed"' in shop.org.log.notes[answer["index"]]
    (stated,) = shop.bodies(kinds.GateReviewed)
    assert (stated.by, stated.verdict) == ("sam", GateVerdict.GATE_WRONG)
    assert answer["look_again"] == format_time(stated.look_again)
    assert post(asking, body) == answer
    assert len(shop.bodies(kinds.GateReviewed)) == 1
    (review,) = monitor.gates.history().reviews
    assert (review.gate, review.decision) == ("deploy-approval", "split the slow suite off")
    assert (
        "split the slow suite off" in asking.get("/gates/history").json()["files"]["reviews.jsonl"]
    )


@pytest.mark.parametrize(
    ("changes", "kind", "name"),
    [
        ({"gate": "nowhere"}, RefusedError, "unknown_gate"),
        ({"log": "ledger.example/staging"}, RefusedError, "wrong_log"),
        ({"who": "zoe", "key": SoftKey.of("zoe")}, RefusedError, "unknown_person"),
        ({"key": SoftKey.of("zoe")}, RefusedError, "foreign_key"),
    ],
)
def test_what_the_fold_would_not_take_is_refused_and_not_recorded(
    shop: Shop, asking: Peer, changes: dict[str, Any], kind: type[BreakglassError], name: str
) -> None:
    with pytest.raises(kind, match="nothing was recorded") as refused:
        post(asking, signed(shop, **changes), changes.get("gate", "deploy-approval"))
    assert refused.value.name == name
    assert shop.bodies(kinds.GateReviewed) == []
    assert "forbidden" not in {each.void for each in shop.org.judged}


def test_a_review_of_another_gate_or_another_statement_is_malformed(
    shop: Shop, asking: Peer
) -> None:
    with pytest.raises(MalformedError, match="of gate 'deploy-approval', not of 'orders-write'"):
        post(asking, signed(shop), "orders-write")
    kill = {"statement": write(shop.org.sign(shop.asks()))}
    with pytest.raises(MalformedError, match="not what is wanted here"):
        post(asking, kill)
    with pytest.raises(MalformedError):
        post(asking, {})


def test_nothing_is_stated_while_the_ledger_is_away_or_not_believed(
    shop: Shop, monitor: Monitor, ledger: StandInLedger
) -> None:
    reviewing = replace(monitor.gate_reviewing, within=timedelta(seconds=1))
    said = shop.org.review_gate(at=moment(), look_again=moment() + timedelta(weeks=9))
    body = _body(shop, said)
    closed = replace(reviewing, closed=lambda: "the ledger is not believed: it forked")
    with pytest.raises(UnavailableError, match="it forked; nothing was recorded"):
        closed.review("deploy-approval", body)
    ledger.refuse_appends = True
    with pytest.raises(UnavailableError):
        reviewing.review("deploy-approval", body)
    ledger.refuse_appends = False
    again = eventually(lambda: _tried(reviewing, body))
    assert again.by == "sam"
    assert len(shop.bodies(kinds.GateReviewed)) == 1


def test_a_restarted_monitor_tells_the_same(
    shop: Shop, folder: Path, monitor: Monitor, monitor_of: Start
) -> None:
    tally(shop, passed=10)
    shop.bypasses(shop.breaks())
    said = shop.org.review_gate(at=moment(), look_again=moment() + timedelta(weeks=9))
    monitor.gate_reviewing.review("deploy-approval", _body(shop, said))
    eventually(lambda: monitor.gates.records().bypasses and monitor.gates.records().tallies)
    told = list(monitor.gates.records().told())
    monitor.process.close()
    again = monitor_of(folder)
    eventually(lambda: again.following.live)
    assert list(again.gates.records().told()) == told
    assert {each["kind"] for each in told} == {"bypassed", "passages", "gate_reviewed"}


def _body(shop: Shop, said: Any) -> ReviewedBody:
    return ReviewedBody(shop.org.sign(said))


def _tried(reviewing: Any, body: Any) -> Any:
    try:
        return reviewing.review("deploy-approval", body)
    except UnavailableError:
        return None
