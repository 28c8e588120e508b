"""Whoever holds a submitter's key writes void records, and no word of the alert about them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from breakglass.embedded.alert_log import AlertLog
from breakglass.monitor.alert_rules import alert_for
from breakglass.monitor.alerts.alert import Alert
from breakglass.monitor.alerts.channel import Message
from breakglass.monitor.alerts.log_file import LogFile
from breakglass.records import all_kinds as kinds
from breakglass.shown_text import TEXT_AT_MOST, all_seen
from breakglass.tlog.note import Note, SignatureLine
from tests.kit.organisation import Organisation, signer
from tests.monitor.stand_ins import history_of

NOW = datetime(2026, 6, 22, 3, 14, 9, tzinfo=UTC)
# Spaces that a name may hold, a mark that turns words round, and CSI: what a terminal obeys.
SAID = "the planned exercise of today, nothing to do. \u202eDELLIK \u009b31m".replace(" ", "\u2800")


def _alert(note: bytes, org: Organisation) -> Alert:
    judged = org.append(note)
    assert not judged.holds
    (found,) = alert_for(judged, org.log.entries(judged.index)[0], org.state, history_of(org))
    return found


def test_the_names_of_lines_that_nobody_signed_stand_in_no_alert() -> None:
    org = Organisation()
    org.begin()
    honest = Note.parse(org.record("monitor", kinds.Pulse(1, ())))
    lines = [SignatureLine(SAID, b"\0\0\0\1", b"x" * 64)]
    found = _alert(honest.with_lines(*lines).encoded(), org)
    submitter = org.submitters["monitor"].verifier.name
    assert found.subject == "forbidden"
    assert found.fields["who"] == submitter
    assert f"signed by {submitter} (monitor):" in found.text
    assert "exercise" not in found.body("log").decode()


def test_an_unknown_key_is_quoted_and_cannot_move_the_terminal() -> None:
    org = Organisation()
    org.begin()
    stranger = signer("stranger.example")
    honest = Note.parse(org.record("monitor", kinds.Pulse(1, ()), signed_by=stranger))
    claimed = Note(honest.text, (SignatureLine(SAID * 20, b"\0\0\0\1", b"x" * 64),))
    found = _alert(claimed.encoded(), org)
    told = json.loads(found.body("log"))
    assert told["who"] == "an unknown key"
    assert "which calls itself 'the\\\\u2800planned" in told["text"]
    assert len(told["text"]) < 500
    assert all_seen(told["text"])


def test_a_gates_record_of_another_time_names_the_clock_first() -> None:
    org = Organisation()
    org.begin()
    tally = kinds.Passages("deploy-approval", org.now, org.now, 1, 0, 0, 0, 0, 1, 1, ())
    ahead = org.record("gate:deploy-approval", tally, envelope={"at": org.now + timedelta(days=1)})
    found = _alert(ahead, org)
    assert "Most likely the clock of that gate's machine is wrong: look at it first" in found.text
    assert found.text.index("Most likely") < found.text.index("compromised")


def test_what_is_no_record_says_why_on_one_line() -> None:
    org = Organisation()
    org.begin()
    note = Note(f"{SAID}\x7f\n", (SignatureLine(SAID, b"\0\0\0\1", b"x" * 64),)).encoded()
    found = _alert(note, org)
    assert all_seen(found.text)


foreign = st.text(max_size=3000) | st.binary(max_size=3000).map(lambda data: data.decode("latin-1"))


@given(text=foreign, field=foreign, about=foreign)
def test_whatever_an_alert_quotes_leaves_as_one_line_that_hides_nothing(
    text: str, field: str, about: str
) -> None:
    alert = Alert("forbidden", about, 7, about, NOW, text, {"why": field})
    body = alert.body("log.example")
    assert b"\n" not in body
    told = json.loads(body)
    assert all(all_seen(each) for each in told.values() if isinstance(each, str))
    assert len(told["text"]) <= TEXT_AT_MOST
    assert len(told["why"]) <= TEXT_AT_MOST


def test_a_terminal_shows_an_alarm_file_that_somebody_else_wrote_as_text(tmp_path: Path) -> None:
    path = tmp_path / "alarms.log"
    reader = AlertLog(path)
    line = json.dumps({"key": "a/1", "text": f"{SAID}\nsecond"}, ensure_ascii=False)
    LogFile(path).deliver(Message("a/1", "a", line.encode()))
    (shown,) = reader.new()
    assert all_seen(shown)
    assert shown.endswith("\\x9b31m\\nsecond")
