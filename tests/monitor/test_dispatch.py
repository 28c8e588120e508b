"""What rings, on which channel, when, and how often; over real HTTP and real files."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.clock import OffsetClock, SystemClock
from breakglass.monitor.app import Monitor
from breakglass.records import all_kinds as kinds
from breakglass.records.kinds.alert import Delivery
from breakglass.records.kinds.asked import Factors
from breakglass.records.kinds.ended import EndedWhy
from breakglass.records.signing.signature import Factor
from breakglass.records.statement import Target
from tests.kit.organisation import signer
from tests.kit.people import SoftKey
from tests.monitor.stand_ins import Shop, Sink, StandInLedger, eventually, moment

Start = Callable[..., Monitor]


def live(monitor: Monitor) -> Monitor:
    eventually(lambda: monitor.following.live)
    return monitor


def lines(folder: Path) -> list[dict[str, str]]:
    path = folder / "alarms.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_the_first_channel_hears_of_an_intent_within_a_second(
    shop: Shop, sink: Sink, folder: Path, monitor_of: Start
) -> None:
    live(monitor_of(folder))
    took = []
    for _ in range(5):
        started = time.monotonic()
        key = f"broke_glass/{shop.breaks().index}"
        eventually(lambda key=key: key in sink.heard())
        took.append(time.monotonic() - started)
    assert min(took) < 1.0  # the least of five: a busy machine is no news


def test_a_broken_glass_says_everything_on_both_channels(
    shop: Shop, sink: Sink, folder: Path, monitor_of: Start
) -> None:
    live(monitor_of(folder))
    broken = shop.breaks("orders-repair")
    eventually(lambda: "broke_glass" in sink.subjects())
    message = sink.message("broke_glass")
    assert message["thread"] == message["about"] == broken.grant
    assert (message["who"], message["glass"], message["incident"]) == (
        "mira",
        "orders-repair",
        "INC-4821",
    )
    assert message["kill"] == f"breakglass kill {broken.grant}"
    assert "databases orders" in message["grants"]
    assert "checkout 5xx, approver not answering" in message["text"]
    assert message["until"] == f"{broken.intent.not_after:%Y-%m-%dT%H:%M:%SZ}"
    eventually(lambda: "broke_glass" in [line["subject"] for line in lines(folder)])


def test_a_webhook_can_be_checked_by_its_receiver(
    shop: Shop, sink: Sink, folder: Path, monitor_of: Start
) -> None:
    live(monitor_of(folder))
    broken = shop.breaks()
    eventually(lambda: "broke_glass" in sink.subjects())
    _, headers, body = next(each for each in sink.taken if each[0]["subject"] == "broke_glass")
    made = hmac.new(b"a shared secret", body, hashlib.sha256).hexdigest()
    assert headers["Breakglass-Signature"] == f"sha256={made}"
    assert headers["Idempotency-Key"] == f"broke_glass/{broken.index}"
    assert headers["Breakglass-Thread"] == broken.grant


def test_one_thread_tells_the_life_of_a_grant_in_order(
    shop: Shop, sink: Sink, folder: Path, monitor_of: Start
) -> None:
    live(monitor_of(folder))
    broken = shop.breaks()
    shop.bypasses(broken)
    shop.states("broker", kinds.Ended(broken.grant, EndedWhy.NOT_MINTED, "", None))
    eventually(lambda: len(sink.subjects(broken.grant)) == 3)
    assert sink.subjects(broken.grant) == ["broke_glass", "bypassed", "ended"]


def test_deliveries_are_recorded_by_channel(
    shop: Shop, sink: Sink, folder: Path, ledger: StandInLedger, monitor_of: Start
) -> None:
    live(monitor_of(folder))
    broken = shop.breaks()

    def told() -> set[tuple[str, str]]:
        return {
            (each.channel, each.delivery.value)
            for each in shop.bodies(kinds.Alert)
            if each.about == broken.grant and each.subject == "broke_glass"
        }

    eventually(lambda: told() == {("file", "delivered"), ("hook", "delivered")})


def test_a_delivery_says_whom_its_channel_reaches(
    shop: Shop, sink: Sink, folder: Path, ledger: StandInLedger, monitor_of: Start
) -> None:
    settings = folder / "settings.toml"
    named = settings.read_text().replace("[channels.hook]", '[channels.hook]\nto = ["sam", "noor"]')
    settings.write_text(named)
    live(monitor_of(folder))
    broken = shop.breaks()

    def called() -> set[tuple[str, tuple[str, ...]]]:
        bodies = shop.bodies(kinds.Alert)
        return {(each.channel, each.to) for each in bodies if each.about == broken.grant}

    eventually(lambda: called() == {("file", ("file",)), ("hook", ("sam", "noor"))})


def test_an_intent_with_no_persons_statement_rings_as_forbidden(
    shop: Shop, sink: Sink, folder: Path, monitor_of: Start
) -> None:
    live(monitor_of(folder))
    grant = shop.forges_intent()
    message = eventually(lambda: [m for m, _, _ in sink.taken if m["subject"] == "forbidden"])[0]
    assert message["record"] == f"{grant}/intent"
    assert message["who"] == "broker.shop.example"
    assert "no person's statement" in message["why"]
    assert "Treat the key of broker.shop.example as compromised" in message["text"]


def test_a_stolen_gate_key_that_writes_an_intent_rings(
    shop: Shop, sink: Sink, folder: Path, monitor_of: Start
) -> None:
    live(monitor_of(folder))
    shop.breaks(role="gate:orders-write")
    message = eventually(lambda: [m for m, _, _ in sink.taken if m["subject"] == "forbidden"])[0]
    assert message["who"] == "gate-orders-write.shop.example"


def test_a_record_of_a_key_that_nobody_knows_rings(
    shop: Shop, sink: Sink, folder: Path, monitor_of: Start
) -> None:
    live(monitor_of(folder))
    stranger = signer("stranger.example")
    shop.states("monitor", kinds.Pulse(1, ()), "pulse/x", signed_by=stranger)
    message = eventually(lambda: [m for m, _, _ in sink.taken if m["subject"] == "forbidden"])[0]
    assert message["who"] == "an unknown key"
    assert "signed by an unknown key, which calls itself 'stranger.example':" in message["text"]


def test_a_record_missing_in_a_chain_rings_as_missing(
    shop: Shop, sink: Sink, folder: Path, monitor_of: Start
) -> None:
    live(monitor_of(folder))
    shop.org.chains["broker"].seq += 2
    shop.breaks(ask=False)
    message = eventually(lambda: [m for m, _, _ in sink.taken if m["subject"] == "missing_records"])
    assert "a record is missing" in message[0]["why"]


def test_a_lost_race_between_replicas_is_quiet(
    shop: Shop, sink: Sink, folder: Path, monitor_of: Start
) -> None:
    live(monitor_of(folder))
    broken = shop.breaks()
    body = kinds.Ended(broken.grant, EndedWhy.NOT_MINTED, "", None)
    shop.states("broker", body, "one")
    shop.states("broker", body, "two")
    eventually(lambda: "ended" in sink.subjects())
    shop.refuses()
    eventually(lambda: "refused" in sink.subjects())
    assert "forbidden" not in sink.subjects()


def test_activations_suspensions_and_refusals_ring(
    shop: Shop, sink: Sink, folder: Path, monitor_of: Start
) -> None:
    live(monitor_of(folder))
    eventually(
        lambda: {"policy_activated", "cards_activated", "trust_activated"} <= set(sink.subjects())
    )
    shop.refuses()
    said = shop.org.kill(Target.PERSON, "teo", at=shop.org.now)
    body = kinds.Suspended(Target.PERSON, "teo", True, shop.org.sign(said))
    shop.states("broker", body)
    eventually(lambda: {"refused", "suspended"} <= set(sink.subjects()))
    assert "no incident is open" in sink.message("refused")["text"]
    text = sink.message("suspended")["text"]
    assert text == f"Suspended: person 'teo', by {said.who}. Why: {said.reason.text}."


def test_a_justified_intent_is_recorded_and_an_unjustified_one_rings(
    shop: Shop, sink: Sink, folder: Path, ledger: StandInLedger, monitor_of: Start
) -> None:
    live(monitor_of(folder))
    good = shop.breaks()
    eventually(lambda: [each.grant for each in shop.bodies(kinds.Justified)] == [good.grant])
    # No request was recorded before it: the broker granted on nobody's word but its own.
    bad = shop.breaks(ask=False)
    eventually(lambda: "unjustified" in sink.subjects(bad.grant))
    assert "not_asked" in sink.message("unjustified")["why"]
    assert [each.grant for each in shop.bodies(kinds.Justified)] == [good.grant]


def test_a_factor_that_the_broker_only_claims_makes_no_request_and_no_intent_just(
    shop: Shop, sink: Sink, folder: Path, monitor_of: Start
) -> None:
    live(monitor_of(folder))
    claims = Factors(Factor.PHISHING_RESISTANT, 0, False)
    broken = shop.breaks(statement={"who": "teo"}, factors=claims)
    eventually(lambda: "unjustified" in sink.subjects(broken.grant))
    assert "stronger factor" in sink.message("forbidden")["why"]
    assert shop.bodies(kinds.Justified) == []


def test_a_review_put_off_for_ever_is_unjustified(
    shop: Shop, sink: Sink, folder: Path, monitor_of: Start
) -> None:
    live(monitor_of(folder))
    late = shop.org.now + timedelta(days=60)
    broken = shop.breaks(intent={"review_by": late})
    eventually(lambda: "unjustified" in sink.subjects(broken.grant))
    assert "review_late" in sink.message("unjustified")["why"]


def test_what_should_be_recorded_by_now_and_is_not_rings_once(
    shop: Shop, sink: Sink, folder: Path, monitor_of: Start
) -> None:
    second = timedelta(seconds=1)
    live(monitor_of(folder, minted_within=second, dead_within=second))
    shop.breaks("orders-repair")
    eventually(lambda: "not_minted" in sink.subjects())
    alive = shop.breaks("orders-repair", intent={"not_after": shop.org.now + 2 * second})
    minted = kinds.Minted(alive.grant, "postgres", alive.intent.handle, {}, shop.org.now, 40)
    shop.states("minter:orders-db", minted)
    eventually(lambda: "not_dead" in sink.subjects(alive.grant))
    time.sleep(0.3)  # several looks
    assert sink.subjects(alive.grant).count("not_dead") == 1
    assert sink.subjects().count("not_minted") == 1


def test_a_channel_that_is_down_delays_no_other_and_gets_everything_later(
    shop: Shop, sink: Sink, folder: Path, monitor_of: Start
) -> None:
    sink.status = 500
    live(monitor_of(folder))
    broken = shop.breaks()
    eventually(lambda: "broke_glass" in [line["subject"] for line in lines(folder)])
    eventually(lambda: _told(shop, broken.grant, "hook") == ["failed"])
    sink.status = 200
    eventually(lambda: "broke_glass" in sink.subjects())
    eventually(lambda: _told(shop, broken.grant, "hook") == ["failed", "delivered"])
    attempts = [each.attempts for each in shop.bodies(kinds.Alert) if each.channel == "hook"]
    assert max(attempts) > 1


def test_a_channel_that_hangs_delays_no_other(
    shop: Shop, sink: Sink, folder: Path, monitor_of: Start
) -> None:
    sink.hanging.set()
    live(monitor_of(folder))
    for _ in range(3):
        broken = shop.breaks()
    eventually(lambda: broken.grant in [line["thread"] for line in lines(folder)])
    assert sink.taken == []
    sink.hanging.clear()
    eventually(lambda: "broke_glass" in sink.subjects(broken.grant))


@pytest.mark.parametrize("wrong", [90, -90])
def test_a_monitor_whose_clock_is_wrong_rings_in_time_and_not_before(
    wrong: int, shop: Shop, sink: Sink, folder: Path, ledger: StandInLedger, monitor_of: Start
) -> None:
    clock = OffsetClock(SystemClock(), timedelta(seconds=wrong))
    patience = {"minted_within": timedelta(seconds=20), "dead_within": timedelta(seconds=1)}
    monitor = live(monitor_of(folder, clock, **patience))
    eventually(lambda: monitor.pulsing.last)
    end = shop.org.now + timedelta(seconds=3)
    broken = shop.breaks("orders-repair", intent={"not_after": end})
    minted = kinds.Minted(broken.grant, "postgres", broken.intent.handle, {}, shop.org.now, 40)
    shop.states("minter:orders-db", minted)
    eventually(lambda: "broke_glass" in sink.subjects(broken.grant))
    eventually(lambda: "not_dead" in sink.subjects(broken.grant))
    assert moment() >= end, "it rang before its time"  # the offset is known to a second
    assert abs(monitor.time.offset.total_seconds() + wrong) < 3
    assert {"forbidden", "not_minted", "unjustified"}.isdisjoint(sink.subjects())


def test_our_own_bad_alarm_record_rings_once_and_breeds_no_other(
    shop: Shop, sink: Sink, folder: Path, ledger: StandInLedger, monitor_of: Start
) -> None:
    live(monitor_of(folder))
    broken = shop.breaks()
    eventually(lambda: len(_told(shop, broken.grant, "hook")) == 1)
    body = kinds.Alert("broke_glass", "x", 1, "hook", ("hook",), Delivery.DELIVERED, "", 1, "")
    chain = shop.org.state.submitters.by_key[shop.org.submitters["monitor"].verifier.label]
    forged = {"seq": chain.next_seq + 5, "prev": chain.prev}
    shop.states("monitor", body, "alarm/forged", envelope=forged)
    eventually(lambda: "missing_records" in sink.subjects())
    later = shop.breaks()
    eventually(lambda: len(_told(shop, later.grant, "hook")) == 1)
    assert "missing_records" not in [each.subject for each in shop.bodies(kinds.Alert)]
    assert sink.subjects().count("missing_records") == 1


def test_software_keys_are_one_factor_and_the_fold_stops_them_first(
    shop: Shop, sink: Sink, folder: Path, monitor_of: Start
) -> None:
    live(monitor_of(folder))
    one = Factors(Factor.ONE, 0, False)
    shop.breaks(statement={"who": "bo"}, key=SoftKey.of("bo"), factors=one)
    eventually(lambda: "forbidden" in sink.subjects())
    assert "weak_factor" in sink.message("forbidden")["why"]


def _told(shop: Shop, grant: str, channel: str) -> list[str]:
    return [
        each.delivery.value
        for each in shop.bodies(kinds.Alert)
        if each.about == grant and each.channel == channel and each.subject == "broke_glass"
    ]
