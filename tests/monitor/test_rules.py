"""The monitor's pure rules: time, absence, and settings; each at its edge."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from breakglass.errors import MisconfiguredError, UnavailableError
from breakglass.monitor.alerts.delivery_records import alert_fact
from breakglass.monitor.alerts.outbox import Delivered
from breakglass.monitor.app import build
from breakglass.monitor.deadline_monitor import DeadlineMonitor
from breakglass.monitor.history_projection import HistoryProjection
from breakglass.monitor.overdue_records import Patience, missing
from breakglass.monitor.settings import MonitorSettings
from breakglass.monitor.witnessed_time import SAMPLES, WitnessedTime
from breakglass.node.process import read_trust
from breakglass.process.settings import read_settings
from breakglass.records import all_kinds as kinds
from breakglass.records.encoding.text_types import ZERO_DIGEST
from breakglass.records.fold.state import State
from breakglass.records.kinds.ended import EndedWhy
from breakglass.records.record import Envelope, record_text
from breakglass.records.record_reader import parse_record
from breakglass.tlog.note import sign_note
from tests.kit.organisation import Organisation, signer
from tests.monitor.stand_ins import Shop, Sink, StandInLedger, history_of, hook, make_folder

SECOND = timedelta(seconds=1)
NOW = datetime(2026, 6, 22, 3, 14, 9, tzinfo=UTC)


class FixedClock:
    def __init__(self, now: datetime) -> None:
        self.time = now

    def now(self) -> datetime:
        return self.time


def test_the_middle_witness_sets_the_time_and_one_wrong_one_moves_nothing() -> None:
    clock = FixedClock(NOW - 90 * SECOND)
    time = WitnessedTime(clock)
    assert time.now() == clock.time
    time.saw([NOW, NOW + SECOND, NOW + 500 * SECOND])
    assert time.now() == NOW + SECOND


def test_an_old_head_moves_the_time_neither_back_nor_at_all() -> None:
    clock = FixedClock(NOW)
    time = WitnessedTime(clock)
    time.saw([NOW - timedelta(hours=2)])
    assert time.now() == NOW
    time.saw([NOW])
    time.saw([NOW - 60 * SECOND])
    assert time.now() == NOW
    time.saw([])
    for _ in range(SAMPLES):  # the clock was set forward by a minute: what is newest counts
        time.saw([NOW - 60 * SECOND])
    assert time.now() == NOW - 60 * SECOND


def _broken(glass: str) -> tuple[Organisation, HistoryProjection, str]:
    org = Organisation()
    org.begin()
    broken = org.break_glass(statement={"glass": glass})
    return org, history_of(org), broken.grant


def test_each_absence_is_news_after_its_time_and_not_before() -> None:
    org, chronicle, grant = _broken("orders-repair")
    at, patience = org.now, Patience()

    def subjects(now: datetime) -> list[str]:
        return [news.subject for news in missing(org.state, chronicle, now, patience)]

    assert subjects(at + 60 * SECOND) == []
    assert subjects(at + 61 * SECOND) == ["not_minted"]

    def becomes(**changes: Any) -> None:
        org.state.grants.by_id[grant] = replace(org.state.grants.by_id[grant], **changes)

    becomes(minted_at=at + 70 * SECOND)
    assert subjects(at + 61 * SECOND) == []
    end = org.state.grants.by_id[grant].intent.not_after
    assert subjects(end + 60 * SECOND) == []
    assert subjects(end + 61 * SECOND) == ["not_dead"]
    becomes(stopped_at=at + 90 * SECOND)
    assert subjects(at + 151 * SECOND) == ["not_dead"]
    ended = kinds.Ended(grant, EndedWhy.DONE, "", None)
    becomes(ended=ended, ended_at=at + 100 * SECOND)
    assert subjects(at + 160 * SECOND) == []
    assert subjects(at + 161 * SECOND) == ["not_dead"]
    becomes(dead_at=at + 162 * SECOND)
    assert subjects(end + 1000 * SECOND) == []


def test_a_token_alone_has_no_credential_to_be_dead_but_must_end() -> None:
    org, chronicle, grant = _broken("deploy-rollback")
    end = org.state.grants.by_id[grant].intent.not_after
    assert missing(org.state, chronicle, end + 599 * SECOND, Patience()) == ()
    (news,) = missing(org.state, chronicle, end + 601 * SECOND, Patience())
    assert (news.subject, news.thread) == ("not_ended", grant)


def test_the_same_absence_is_the_same_news_at_any_time() -> None:
    org, chronicle, _ = _broken("orders-repair")
    first, second = (
        missing(org.state, chronicle, org.now + wait * SECOND, Patience()) for wait in (61, 400)
    )
    assert first[0].body("log") == second[0].body("log")


def test_cards_ring_a_fortnight_before_they_expire() -> None:
    org = Organisation()
    org.begin()
    expires = org.state.governance.cards["deploy-rollback"].card.expires
    early, late = expires - timedelta(days=14), expires - timedelta(days=14) + SECOND
    assert missing(org.state, HistoryProjection(), early, Patience()) == ()
    (news,) = missing(org.state, HistoryProjection(), late, Patience())
    assert news.subject == "cards_expire"
    assert "'deploy-rollback' on 2026-09-22" in news.text


def test_an_alert_record_is_one_that_can_be_written_and_read() -> None:
    delivered = Delivered(1, "broke_glass/812", "broke_glass", "g-7kq3m2x4p5ab", 812, 3, "")
    fact = alert_fact("chat", ("chat",), delivered)
    envelope = Envelope("ledger.example/one", fact.id, NOW, 0, ZERO_DIGEST)
    note = sign_note(record_text(envelope, fact.body), signer("monitor.example"))
    assert parse_record(note.encoded()).body == fact.body


@pytest.mark.parametrize(
    ("channel", "message"),
    [
        ('{type = "pigeon"}', "'channels.x.type' is 'pigeon', wanted 'webhook' or 'log_file'"),
        ('{file = "x"}', "'channels.x.type' is '', wanted 'webhook' or 'log_file'"),
        ('"webhook"', "'channels.x' is 'webhook', wanted a table"),
        ('{type = "webhook", address = "https://x"}', "'channels.x.secret' is missing"),
        ('{type = "webhook", address = "https://x", secret = ""}', "secret is empty"),
        ('{type = "log_file"}', "'channels.x.file' is missing"),
        ('{type = "log_file", file = "x", secret = "s"}', "'channels.x.secret' is unknown"),
    ],
)
def test_a_channel_that_says_too_little_or_too_much_is_refused(
    tmp_path: Path, channel: str, message: str
) -> None:
    text = f'log = "ledger.example/one"\nledger = "address"\nchannels = {{x = {channel}}}\n'
    (tmp_path / "settings.toml").write_text(text)
    with pytest.raises(MisconfiguredError, match=message):
        read_settings(tmp_path, MonitorSettings)


def test_a_monitor_that_nobody_can_hear_does_not_start(
    shop: Shop, ledger: StandInLedger, tmp_path: Path
) -> None:
    folder = make_folder(tmp_path / "monitor", shop, ledger, {})
    text = (folder / "settings.toml").read_text() + "[channels]\n"
    (folder / "settings.toml").write_text(text)
    with pytest.raises(MisconfiguredError, match="no channel"):
        build(folder, FixedClock(NOW))


def test_a_channels_name_cannot_leave_its_folder(
    shop: Shop, ledger: StandInLedger, sink: Sink, tmp_path: Path
) -> None:
    folder = make_folder(tmp_path / "monitor", shop, ledger, {'"../x"': hook(sink)})
    with pytest.raises(MisconfiguredError, match="expected a name"):
        read_settings(folder, MonitorSettings)


def test_a_trust_file_that_its_maintainers_did_not_sign_starts_no_monitor(
    shop: Shop, tmp_path: Path
) -> None:
    path = tmp_path / "trust"
    signed = shop.org.trust_note()
    path.write_bytes(signed.replace(b"skew 120s", b"skew 900s"))
    with pytest.raises(MisconfiguredError, match="not started"):
        read_trust(path, shop.org.log_name)
    path.write_bytes(signed)
    assert read_trust(path, shop.org.log_name).genesis == shop.org.genesis
    with pytest.raises(MisconfiguredError, match="names no log 'another'"):
        read_trust(path, "another")


def test_a_silent_ledger_is_one_message_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [0.0]
    monkeypatch.setattr("breakglass.monitor.deadline_monitor.time.monotonic", lambda: seconds[0])
    view = SimpleNamespace(away=UnavailableError("gone"), size=812, reading=_nothing_there)
    rung: list[str] = []
    ringing = SimpleNamespace(ring=lambda news, heard: rung.extend(each.key for each in news))
    following = SimpleNamespace(chronicle=HistoryProjection())
    time = WitnessedTime(FixedClock(NOW))
    looking = DeadlineMonitor(view, following, ringing, time, Patience(), 60 * SECOND)  # type: ignore[arg-type]
    looking.look()
    seconds[0] = 59.0
    looking.look()
    assert rung == []
    seconds[0] = 60.0
    looking.look()
    view.size = 900  # it is coming back, and the follower has not said so yet
    looking.look()
    assert set(rung) == {"ledger_silent/812"}
    view.away = None
    looking.look()
    view.away = UnavailableError("gone again")
    looking.look()
    seconds[0] = 120.0
    looking.look()
    assert set(rung) == {"ledger_silent/812", "ledger_silent/900"}


@contextmanager
def _nothing_there() -> Iterator[State]:
    yield State("0" * 64)
