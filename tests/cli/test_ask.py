"""Asking from the asker's side: what comes is told as it comes, and a silence is not the end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from breakglass.cli.held_grants import Held
from breakglass.clock import parse_time
from breakglass.records.statement import Ask, Break, Do, digest_of, parse_request, parse_statement
from tests.kit.lying_broker import Responder, SoftOrganisation, responder
from tests.kit.pty_terminal import Screen, at_terminal


@pytest.fixture
def mira(tmp_path: Path) -> Iterator[Responder]:
    with responder(tmp_path) as found:
        yield found


ASK = ("breakglass", "ask", "orders-repair", "--incident", "INC-4821", "--why", "orders stuck")


def asked(mira: Responder, screen: Screen) -> str:
    """Wait until the ask stands; returns its grant."""
    screen.shows("waiting; Ctrl-C")
    return mira.grant


def test_pages_and_a_yes_are_told_as_they_come_and_the_grant_is_proven(mira: Responder) -> None:
    asks = mira.broker.asks
    with at_terminal(mira, *ASK) as screen:
        grant = asked(mira, screen)
        asks.page(grant, "sam")
        asks.page(grant, "noor", "mail", "failed")
        screen.shows("(not delivered)")
        asks.say(grant, Do.APPROVE, "sam")
        assert screen.ends() == 0, screen.seen
    assert "you ask for orders-repair: databases orders, roles repair by 'orders-db'" in " ".join(
        screen.seen.split()
    )
    assert screen.row("asked") == f"{grant}, waits for 1 of: noor, sam (shop-leads)"
    assert screen.row("approved").startswith("by sam ")
    assert screen.row("granted").startswith("orders-repair on database 'orders' (orders-db)")
    assert "sam by chat" in screen.row("paged")
    broken = mira.broker.broken[grant]
    said = parse_request(broken.signed.text)
    assert isinstance(said, Ask)
    assert (said.starts, len(broken.intent.statements)) == ("", 2)
    # What was asked for is kept as any grant, and its credential opens with it.
    assert json.loads((mira.home / "state/breakglass/grants" / grant / "answer.json").read_text())
    assert [each["text"] for each in asks.copies] == [broken.signed.text]


def test_a_broker_that_is_a_moment_behind_is_asked_again(mira: Responder) -> None:
    """One broker shows the grant, and the one that is asked for it has not read so far yet."""
    asks = mira.broker.asks
    behind = {"error": "not_approved", "message": "0 of 1 approver said yes", "hint": ""}
    answers = iter([behind, behind])
    mira.broker.lie = {"/break": lambda honest: next(answers, honest)}
    with at_terminal(mira, *ASK) as screen:
        grant = asked(mira, screen)
        asks.say(grant, Do.APPROVE, "sam")
        assert screen.ends() == 0, screen.seen
    assert screen.row("granted").startswith("orders-repair on database 'orders' (orders-db)")


def test_what_is_to_begin_later_is_asked_for_now_and_fetched_then(mira: Responder) -> None:
    asks = mira.broker.asks
    with at_terminal(mira, *ASK, "--start", "+2h") as screen:
        grant = asked(mira, screen)
        asks.say(grant, Do.APPROVE, "sam")
        assert screen.ends() == 0, screen.seen
    said = asks.asks[grant].request
    assert isinstance(said, Ask)
    begins = parse_time(said.starts)
    assert timedelta(hours=2) <= begins - said.at <= timedelta(hours=2, minutes=1)
    local = f"{begins.astimezone():%Y-%m-%d %H:%M} ({begins:%H:%M} UTC)"
    seen = " ".join(screen.seen.split())
    assert f"from {local} on" in seen
    assert "gate 'orders-write'" not in seen  # a week is too long for a gate that asks nobody
    assert screen.row("begins") == local
    assert screen.row("then") == f"breakglass ask --again {grant}"
    assert "POST /break" not in mira.broker.asked  # so nothing is minted before that


def test_what_begins_later_is_handed_out_and_used_from_its_start_on(mira: Responder) -> None:
    """Its life counts from its start: further ahead than wait and skew together, as it is meant."""
    change_cards(mira, wait_s=10, silence_s=5)
    (mira.cwd / "trust").write_bytes(mira.broker.org.trust_note(skew="3s"))
    begins = (datetime.now(UTC) + timedelta(seconds=24)).replace(microsecond=0)
    asked = mira.types(*ASK, "--start", begins.isoformat(), "--no-wait")
    assert asked.code == 0, asked.err
    grant = mira.grant
    said = mira.colleague("sam").types("breakglass", "approve", grant, "--yes")
    assert said.code == 0, said.err
    early = mira.types("breakglass", "ask", "--again", grant)
    assert early.row("then") == f"breakglass ask --again {grant}"
    time.sleep(max(0.0, (begins - datetime.now(UTC)).total_seconds()) + 0.1)
    found = mira.types("breakglass", "ask", "--again", grant)
    assert found.code == 0, found.err
    assert found.row("granted").startswith("orders-repair on database 'orders' (orders-db)")
    done = mira.types("breakglass", "run", grant, "--", "printenv", "PGHOST", "BREAKGLASS_GRANT")
    assert (done.code, done.out.split()) == (0, ["orders.example", grant]), done.err


@pytest.mark.parametrize(
    ("glass", "start", "said"),
    [
        ("deploy-rollback", "+2h", "what begins later opens no gate"),
        ("key-deletion", "+2h", "is asked for at once alone"),
        ("orders-repair", "+8d", "is asked for 7 d ahead at most"),
        ("orders-repair", "yesterday", "is no time"),
        ("orders-repair", "2020-01-01 10:00", "is not in the future"),
    ],
)
def test_a_start_that_the_glass_does_not_offer_is_refused_before_the_touch(
    mira: Responder, glass: str, start: str, said: str
) -> None:
    told = mira.types("breakglass", "ask", glass, *ASK[3:], "--start", start)
    assert told.code in (2, 3), told.err
    assert said in told.err
    assert not mira.broker.asks.asks


def test_one_no_ends_it_with_who_and_why_and_a_code_of_its_own(mira: Responder) -> None:
    asks = mira.broker.asks
    # What stands in an answer may come from anybody: it moves no cursor.
    mira.broker.lie["/requests/…"] = lambda view: {
        **view, "answers": [{**each, "why": f"{each['why']}\x1b[2J"} for each in view["answers"]]
    }  # fmt: skip
    with at_terminal(mira, *ASK) as screen:
        grant = asked(mira, screen)
        asks.say(grant, Do.REFUSE, "sam", "not during the freeze")
        assert screen.ends() == 7, screen.seen
    assert ': "not during the freeze\\x1b[2J"' in screen.row("refused")
    assert screen.row("refused").startswith("by sam ")
    assert f"breakglass: breakglass break --after {grant}" in screen.seen
    assert mira.broker.broken == {}


def change_cards(mira: Responder, **changes: Any) -> None:
    """Have maintainers change every card."""
    org = mira.broker.org
    assert isinstance(org, SoftOrganisation)
    org.on_cards |= changes


def test_after_a_silence_the_glass_is_offered_and_is_signed_anew_with_after(
    mira: Responder,
) -> None:
    asks = mira.broker.asks
    with at_terminal(mira, *ASK, "--for", "10m") as screen:
        grant = asked(mira, screen)
        screen.types("y")  # a key pressed too early is no answer to a question that came later
        asks.page(grant, "sam")
        asks.fall_silent(grant)
        screen.shows("[y/N]")
        assert mira.broker.broken == {}
        screen.types("y")
        assert screen.ends() == 0, screen.seen
    screen.shows(
        'break the glass now? You alone, recorded as "approvers silent", everybody is alerted [y/N]'
    )
    assert screen.row("…") == "nobody answered within 2 min"
    (broken,) = mira.broker.broken.values()
    said = parse_request(broken.signed.text)
    ask = parse_request(asks.asks[grant].signed.text)
    assert isinstance(said, Break)
    assert said.after == digest_of(asks.asks[grant].signed.text)
    same = ("glass", "incident", "minter", "scope", "ticket", "reason", "for_s", "drill")
    assert [getattr(said, each) for each in same] == [getattr(ask, each) for each in same]
    assert said.holder != ask.holder
    assert said.nonce != ask.nonce


def test_the_offer_needs_no_monitor_and_says_that_nobody_was_paged(mira: Responder) -> None:
    """The clock of this machine is enough: two minutes and a grace after the ask."""
    change_cards(mira, silence_s=1)
    with at_terminal(mira, *ASK) as screen:
        grant = asked(mira, screen)
        screen.shows('recorded as "not paged"')
        assert "no page was delivered to anybody" in " ".join(screen.seen.split())
        screen.types("n")
        screen.shows(f"waiting on; to break it alone later: breakglass break --after {grant}")
        mira.broker.asks.say(grant, Do.APPROVE, "noor")
        assert screen.ends() == 0, screen.seen
    assert screen.row("approved").startswith("by noor")


def test_a_yes_that_comes_while_the_question_stands_is_taken(mira: Responder) -> None:
    asks = mira.broker.asks
    with at_terminal(mira, *ASK) as screen:
        grant = asked(mira, screen)
        asks.fall_silent(grant)
        screen.shows("[y/N]")
        asks.say(grant, Do.APPROVE, "sam")
        assert screen.ends() == 0, screen.seen
    assert list(mira.broker.broken) == [grant]


def test_ctrl_c_ends_the_command_and_not_the_ask(mira: Responder) -> None:
    asks = mira.broker.asks
    with at_terminal(mira, *ASK) as screen:
        grant = asked(mira, screen)
        screen.interrupts()
        assert screen.ends() == 130, screen.seen
    again = f"breakglass ask --again {grant}"
    assert f"take it up again: {again}" in screen.seen
    assert asks.asks[grant].state == "waiting"
    asks.say(grant, Do.APPROVE, "sam")
    said = mira.types(*again.split())
    assert said.code == 0, said.err
    assert said.row("grant") == grant
    assert len(asks.asks) == 1


def test_without_a_terminal_the_exact_command_is_printed_and_nothing_is_asked(
    mira: Responder,
) -> None:
    started = mira.types(*ASK, "--no-wait")
    assert (started.code, f"take it back: breakglass withdraw {mira.grant}" in started.err) == (
        0,
        True,
    )
    grant = mira.grant
    mira.broker.asks.fall_silent(grant)
    said = mira.types("breakglass", "ask", "--again", grant)
    assert said.code == 8, said.err
    alone = f"breakglass break --after {grant}"
    assert f"break it alone: {alone}" in said.err
    assert "[y/N]" not in said.err
    broken = mira.types(*alone.split())
    assert broken.code == 0, broken.err
    assert broken.row("granted").startswith("orders-repair on database 'orders'")


def test_json_is_one_object_and_never_a_question(mira: Responder) -> None:
    said = mira.types(*ASK, "--no-wait", "--json")
    grant = json.loads(said.out)["grant"]
    assert (said.code, json.loads(said.out)["state"]) == (0, "waiting")
    asks = mira.broker.asks
    asks.fall_silent(grant)
    said = mira.types("breakglass", "ask", "--again", grant, "--json")
    assert (said.code, json.loads(said.out)["silent"]) == (8, True)
    asks.say(grant, Do.APPROVE, "sam")
    said = mira.types("breakglass", "ask", "--again", grant, "--json")
    told = json.loads(said.out)
    assert (said.code, told["grant"], told["ask"]["state"]) == (0, grant, "granted")
    asked = mira.types(*ASK, "--no-wait", "--json")
    asks.say(json.loads(asked.out)["grant"], Do.REFUSE, "sam", "no")
    said = mira.types("breakglass", "ask", "--again", json.loads(asked.out)["grant"], "--json")
    assert (said.code, json.loads(said.out)["answers"][0]["why"]) == (7, "no")


def test_a_glass_that_takes_people_is_broken_with_them(mira: Responder) -> None:
    words = ("--incident", "INC-4821", "--why", "a key has leaked")
    with at_terminal(mira, "breakglass", "break", "key-deletion", *words) as screen:
        grant = asked(mira, screen)
        mira.broker.asks.fall_silent(grant)
        screen.shows("this one takes 1 approver; nobody can do it alone")
        assert "[y/N]" not in screen.seen
        mira.broker.asks.say(grant, Do.APPROVE, "sam")
        assert screen.ends() == 0, screen.seen
    said = parse_request(mira.broker.broken[grant].signed.text)
    assert said.do is Do.BREAK
    assert "POST /asks" in mira.broker.asked
    again = mira.types("breakglass", "break", "--again", grant)
    assert again.code == 0, again.err


def test_a_glass_that_nobody_can_approve_is_not_asked_for(mira: Responder) -> None:
    change_cards(mira, ask_need=0)
    said = mira.types(*ASK)
    assert (said.code, said.out) == (3, "")
    assert "nobody can approve glass 'orders-repair'" in said.err
    assert "breakglass break orders-repair" in said.err
    assert mira.broker.asked == ["GET /glasses"]


def test_statement_and_key_are_kept_before_anything_is_sent(mira: Responder) -> None:
    mira.broker.lie["/asks"] = lambda view: {"nothing": "of use"}
    said = mira.types(*ASK)
    assert said.code == 5, said.err
    assert f"result unknown; retry: breakglass ask --again {mira.grant}" in said.err
    del mira.broker.lie["/asks"]
    again = mira.types("breakglass", "ask", "--again", mira.grant, "--no-wait")
    assert again.code == 0, again.err
    assert list(mira.broker.asks.asks) == [mira.grant]


def test_an_ask_whose_time_is_over_says_so(mira: Responder) -> None:
    mira.types(*ASK, "--no-wait")
    ask = mira.broker.asks.asks[mira.grant]
    ask.state, ask.until = "expired", datetime.now(UTC) - timedelta(minutes=1)
    said = mira.types("breakglass", "ask", "--again", mira.grant)
    assert said.code == 8
    assert "nobody answered; nothing was granted" in said.err
    assert "ask again: breakglass ask orders-repair" in said.err


def test_another_ask_than_was_signed_is_not_followed(mira: Responder) -> None:
    mira.types(*ASK, "--no-wait")
    first = mira.grant
    mira.types(*ASK, "--no-wait")
    second = mira.grant
    asks = mira.broker.asks
    mira.broker.lie["/requests/…"] = lambda view: asks.view(first)
    asks.asks[first].version = 8
    said = mira.types("breakglass", "ask", "--again", second)
    assert said.code == 4, said.err
    assert f"the broker shows another ask than '{second}', which was signed here" in said.err


def test_an_ask_is_taken_back_by_the_one_who_asked(mira: Responder) -> None:
    mira.types(*ASK, "--no-wait")
    said = mira.types("breakglass", "withdraw", mira.grant)
    assert said.code == 0, said.err
    assert said.row("withdrawn") == (
        f"{mira.grant}, handed in as entry 7; the broker says: nothing is granted"
    )
    word = parse_statement(mira.broker.asks.copies[-1]["text"])
    assert word.do is Do.WITHDRAW
    again = mira.types("breakglass", "ask", "--again", mira.grant)
    assert (again.code, "was taken back" in again.err) == (3, True)


@pytest.mark.parametrize("lie", [{"token": "none"}, {"nothing": 1}], ids=["unproven", "nonsense"])
def test_a_break_whose_proof_is_missing_leaves_a_copy_with_the_monitor(
    mira: Responder, lie: dict[str, Any]
) -> None:
    honest = mira.breaks()
    assert (honest.code, mira.broker.asks.copies) == (0, [])  # proven: nobody need look for it
    mira.broker.lie["/break"] = lambda answer: lie
    said = mira.breaks()
    assert said.code in (4, 5), said.err
    (copy,) = mira.broker.asks.copies
    assert parse_request(copy["text"]).do is Do.BREAK


def test_a_monitor_that_is_away_delays_nothing_that_is_told(mira: Responder) -> None:
    mira.broker.lie["/copies"] = lambda kept: "nothing of use"
    said = mira.types(*ASK, "--no-wait")
    assert said.code == 0, said.err
    assert said.row("asked").startswith(mira.grant)


def test_a_credential_that_was_waited_for_lives_behind_the_wait(mira: Responder) -> None:
    """Approved late it ends late: by the card's wait, and not a second longer."""
    mira.types(*ASK, "--no-wait")
    held = Held(mira.grant, mira.home / "state/breakglass/grants" / mira.grant)
    said = parse_request(held.statement["text"])
    assert held.waited == timedelta(seconds=600)
    assert held.longest == said.at + timedelta(seconds=600 + said.for_s)
    mira.breaks()
    alone = Held(mira.grant, mira.home / "state/breakglass/grants" / mira.grant)
    assert alone.waited == timedelta(0)
    mira.types(*ASK, "--start", "+2h", "--no-wait")
    later = Held(mira.grant, mira.home / "state/breakglass/grants" / mira.grant)
    said = parse_request(later.statement["text"])
    assert later.longest == parse_time(said.starts) + timedelta(seconds=said.for_s)
