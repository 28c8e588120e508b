"""The review record: what SOURCE.md asks for, from records alone, as text that YAML reads back."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from breakglass.errors import RefusedError
from breakglass.monitor.app import Monitor
from breakglass.monitor.history_projection import BypassThen
from breakglass.monitor.reviews.rates import rate_of
from breakglass.monitor.reviews.record import Review
from breakglass.monitor.reviews.review_yaml import scalar, yaml_text
from breakglass.records import all_kinds as kinds
from breakglass.records.kinds.ended import EndedWhy
from breakglass.records.statement import Target, Why
from tests.kit.organisation import NOW
from tests.monitor.stand_ins import Shop, Sink, StandInLedger, eventually

Start = Callable[..., Monitor]
FIELDS = [
    "incident", "severity", "broke_glass", "role_assumed", "session", "window", "why_glass",
    "actions_taken", "gate_bypassed", "appropriate?", "audit_verified", "follow_ups", "reviewer",
    "bypass_rate",
]  # fmt: skip


@pytest.fixture
def monitor(
    shop: Shop, sink: Sink, folder: Path, ledger: StandInLedger, monitor_of: Start
) -> Monitor:
    monitor = monitor_of(folder)
    eventually(lambda: monitor.following.live)
    return monitor


def reviewed(monitor: Monitor, shop: Shop, grant: str) -> Review:
    eventually(lambda: grant in [each.grant for each in monitor.reviews.listed()])
    return monitor.reviews.one(grant)


def test_a_review_is_open_from_the_intent_on_with_its_deadline_fixed(
    monitor: Monitor, shop: Shop
) -> None:
    broken = shop.breaks()
    eventually(lambda: monitor.view.size > broken.index)
    (review,) = monitor.reviews.listed()
    assert (review.grant, review.due) == (broken.grant, broken.intent.review_by)
    assert not review.overdue
    assert review.record.appropriate.startswith("open")


def test_the_yaml_has_the_fields_of_the_source_in_its_order_and_can_be_read(
    monitor: Monitor, shop: Shop
) -> None:
    broken = shop.breaks("orders-repair", statement={"reason": _why("rows: half # 1 of 'them'")})
    text = yaml_text(reviewed(monitor, shop, broken.grant))
    assert text.startswith("# break-glass review record — INC-4821\nincident:        INC-4821\n")
    read = yaml.safe_load(text)
    assert list(read) == FIELDS
    assert read["why_glass"] == (
        "rows: half # 1 of 'them' [gate-down]; no approval was asked for in the hour before"
    )
    record = reviewed(monitor, shop, broken.grant).record
    assert [str(each) for each in read.values()] == [
        str(list(value) if isinstance(value, tuple) else value) for _, value in record.items()
    ]


def test_values_stand_in_the_column_of_the_example(monitor: Monitor, shop: Shop) -> None:
    broken = shop.breaks()
    lines = yaml_text(reviewed(monitor, shop, broken.grant)).splitlines()[1:]
    values = [line for line in lines if not line.startswith("  - ") and not line.endswith(":")]
    assert {re.match(r"[a-z_?]+: +", line).end() for line in values} == {17}  # type: ignore[union-attr]


def test_every_field_that_records_can_fill_is_filled(monitor: Monitor, shop: Shop) -> None:
    broken = shop.breaks("orders-repair")
    at = shop.org.now
    handle = broken.intent.handle
    minted = kinds.Minted(broken.grant, "postgres", handle, {}, at + timedelta(minutes=20), 40)
    shop.states("minter:orders-db", minted)
    said = shop.org.kill(Target.GRANT, broken.grant, at=shop.org.now)
    ended = kinds.Ended(broken.grant, EndedWhy.KILLED, "", shop.org.sign(said))
    shop.states("minter:orders-db", ended)
    dead = kinds.Dead(broken.grant, "login refused", 400, 2, ("role bg_old",))
    shop.states("minter:orders-db", dead)
    eventually(lambda: monitor.following.chronicle.of(broken.grant).dead)
    record = monitor.reviews.one(broken.grant).record
    assert record.severity == "SEV1 (checkout returns 5xx; self-declared)"
    assert record.broke_glass == "mira"
    assert record.role_assumed == (
        "orders-repair (postgres orders-db: databases orders, templates repair)"
    )
    assert record.session == (
        "breakglass-INC-4821-mira  (postgres, 1200s, MFA age 0s, phishing-resistant)"
    )
    assert record.window.endswith("(killed; access gone 0.4 s later)")
    assert record.actions_taken == (
        "2 sessions were still open at the end and were cut",
        "left behind: role bg_old",
        "what was done with the credential: not recorded",
    )
    assert record.gate_bypassed == "none (it could have opened orders-write)"
    assert "group:leads; not mira" in record.reviewer


def test_a_bypass_is_told_with_the_gates_own_state_and_counted(
    monitor: Monitor, shop: Shop
) -> None:
    broken = shop.breaks()
    shop.bypasses(broken, "41")
    shop.bypasses(broken, "42")
    eventually(lambda: len(monitor.following.chronicle.of(broken.grant).bypasses) == 2)
    record = monitor.reviews.one(broken.grant).record
    assert record.gate_bypassed == (
        "deploy-approval gate — could not evaluate: no answer within 20 s"
    )
    assert record.bypass_rate == (
        "deploy-approval gate now 1 break-glass / 90d (was 0 / 90d) ← watch"
    )
    assert [each[:40] for each in record.actions_taken] == [
        "went past gate deploy-approval for run 4",
        "went past gate deploy-approval for run 4",
    ]


def test_the_audit_line_is_a_proof_that_was_checked_now(monitor: Monitor, shop: Shop) -> None:
    broken = shop.breaks()
    eventually(lambda: monitor.view.size > broken.index)
    line = monitor.reviews.one(broken.grant).record.audit_verified
    assert line == (
        f"YES — entry {broken.index} of ledger.example/one: inclusion under the head of size"
        f" {broken.index + 1} checked, seen in time by w-audit, w-plat, w-sec, archived by worm"
    )
    # The same line after one hash of the tree is another: it says no, and why.
    start = 32 * (broken.index - 1)
    monitor.following.roots._levels[0][start : start + 32] = bytes(32)
    assert monitor.reviews.one(broken.grant).record.audit_verified.startswith("NO — entry")


def test_an_overdue_review_says_so_first(monitor: Monitor, shop: Shop) -> None:
    in_time = shop.breaks()
    late = shop.breaks(intent={"review_by": shop.org.now + timedelta(seconds=1)})
    eventually(lambda: monitor.view.size > late.index)

    def found() -> list[Review]:
        return monitor.reviews.listed()

    assert monitor.reviews.overdue() == 0
    wanted = [(late.grant, True), (in_time.grant, False)]
    # Asked again until it is so: the witnesses' time may go back by a fraction of a second.
    eventually(lambda: [(each.grant, each.overdue) for each in found()] == wanted)
    eventually(lambda: monitor.reviews.overdue() == 1)
    eventually(lambda: "OVERDUE, was due" in found()[0].record.reviewer)


def test_a_grant_that_nobody_asked_for_has_no_review(monitor: Monitor) -> None:
    with pytest.raises(RefusedError, match="there is no grant 'g-aaaaaaaaaaaa'"):
        monitor.reviews.one("g-aaaaaaaaaaaa")


def test_rates_count_grants_not_runs_and_never_drills() -> None:
    day = timedelta(days=1)

    def at(days_ago: int, grant: str, *, drill: bool = False) -> BypassThen:
        return BypassThen(0, NOW - days_ago * day, "05", grant, "r", "failed", "", drill)

    seen = [at(100, "g-1"), at(80, "g-2"), at(80, "g-2"), at(3, "g-3"), at(1, "g-4", drill=True)]
    assert str(rate_of("05", seen, NOW)) == (
        "05 gate now 2 break-glass / 90d (was 1 / 90d) ← watch"
    )
    assert str(rate_of("05", seen[:1], NOW)) == "05 gate now 0 break-glass / 90d (was 1 / 90d)"
    assert rate_of("05", [at(90, "g-1")], NOW).before == 1


@pytest.mark.parametrize(
    "text",
    [
        "plain", "", "- a list", "a: key", "# no comment", "4", "1.5", "2026-06-22", "03:14:09",
        "null", "true", "No", "~", "it's", '"quoted"', "ends with:", "a #b", "a#b", "{x}", "[x]",
        "&a", "*a", "!a", "|", ">", "%x", "@x", "`x", "? x", ", x", " lead", "trail ", "0x1f",
        "2026-06-22T03:14:09Z → 03:41:50Z  (auto-expired)", "open — for the reviewer", "=", "<<",
        "1_000", ".inf", "+1", "-", "e3", "é ü 漢", "back\\slash",
    ],
)  # fmt: skip
def test_any_value_is_read_back_as_the_text_that_it_was(text: str) -> None:
    assert yaml.safe_load(f"key: {scalar(text)}\n") == {"key": text}


def _why(text: str) -> object:
    return Why("gate-down", text)
