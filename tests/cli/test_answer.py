"""Answering from the approver's side: what is read was proven here, and what is signed is that."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from breakglass.clock import parse_time
from breakglass.records.me import MyMute, parse_me
from breakglass.records.signing.signature import Signed
from breakglass.records.statement import Answer, Do, digest_of, parse_as, statement_text
from breakglass.token.token import person_line
from tests.kit.lying_broker import Responder, responder
from tests.kit.pty_terminal import at_terminal

ASK = ("breakglass", "ask", "orders-repair", "--incident", "INC-4821", "--why", "orders stuck")
SAYS = "handed in as entry 7; the broker says:"


@pytest.fixture
def mira(tmp_path: Path) -> Iterator[Responder]:
    with responder(tmp_path) as found:
        found.types(*ASK, "--ticket", "OPS-7", "--no-wait")
        yield found


@pytest.fixture
def sam(mira: Responder) -> Responder:
    return mira.colleague("sam")


def words_of(mira: Responder) -> list[Answer]:
    """Return what people have answered."""
    return mira.broker.asks.asks[mira.grant].answers


def test_who_what_where_how_long_and_why_are_read_before_the_key_is_used(
    mira: Responder, sam: Responder
) -> None:
    with at_terminal(sam, "breakglass", "approve", mira.grant, "--permit", "cGVybWl0") as screen:
        screen.shows("approve this [y/N]")
        assert words_of(mira) == []
        assert screen.row("who") == "mira asks for it; signed with a key file (one factor)"
        assert screen.row("glass") == "orders-repair: repair rows of orders and order_items"
        gives = "databases orders, roles repair by 'orders-db'; opens gate 'orders-write'"
        assert screen.row("gives") == gives
        assert screen.row("for").startswith("20 min at most; asked ")
        assert screen.row("incident") == "INC-4821"
        assert screen.row("ticket") == "OPS-7"
        assert screen.row("why") == '"orders stuck" [other]'
        assert "the broker says: a self-declared incident" in " ".join(screen.seen.split())
        screen.types("y")
        assert screen.ends() == 0, screen.seen
    assert screen.row("approved") == f"{mira.grant}, {SAYS} granted to mira"
    (word,) = words_of(mira)
    ask = mira.broker.asks.asks[mira.grant]
    assert (word.do, word.who, word.answers) == (Do.APPROVE, "sam", digest_of(ask.signed.text))
    # The permit read it: nobody was asked to sign for a session.
    assert "sign to read" not in screen.seen
    assert "the monitor has a copy" in screen.seen
    assert mira.broker.asks.copies[-1]["text"] == statement_text(word)


def test_an_approver_reads_when_it_begins_and_that_no_gate_opens(
    mira: Responder, sam: Responder
) -> None:
    mira.types("breakglass", "withdraw", mira.grant)
    mira.types(*ASK, "--start", "+2h", "--no-wait")
    said = sam.types("breakglass", "approve", mira.grant, "--permit", "cGVybWl0", "--yes")
    assert said.code == 0, said.err
    begins = parse_time(mira.broker.asks.asks[mira.grant].request.starts)
    assert said.row("begins").startswith(f"{begins.astimezone():%Y-%m-%d %H:%M} (")
    assert said.row("gives") == "databases orders, roles repair by 'orders-db'"


def test_whoever_says_no_to_the_question_has_signed_nothing(
    mira: Responder, sam: Responder
) -> None:
    with at_terminal(sam, "breakglass", "approve", mira.grant, "--permit", "cGVybWl0") as screen:
        screen.shows("approve this [y/N]")
        screen.types("")
        assert screen.ends() == 130
    assert "nothing was signed" in screen.seen
    assert words_of(mira) == []


def test_nobody_at_a_terminal_approves_by_mistake(mira: Responder, sam: Responder) -> None:
    said = sam.types("breakglass", "approve", mira.grant)
    assert (said.code, said.out) == (2, "")
    assert "--yes approves without asking" in said.err


def test_a_no_says_why_and_ends_the_ask(mira: Responder, sam: Responder) -> None:
    bare = sam.types("breakglass", "refuse", mira.grant)
    assert (bare.code, words_of(mira)) == (2, [])
    said = sam.types("breakglass", "refuse", mira.grant, "--why", "not during the freeze")
    assert said.code == 0, said.err
    assert said.row("refused") == f"{mira.grant}, {SAYS} the ask is over"
    assert said.row("why") == '"orders stuck" [other]'
    (word,) = words_of(mira)
    assert (word.do, word.reason.text) == (Do.REFUSE, "not during the freeze")


def test_who_is_woken_again_and_again_mutes_the_asker_with_the_no(
    mira: Responder, sam: Responder
) -> None:
    words = ("breakglass", "refuse", mira.grant, "--why", "not mira", "--mute")
    for length, why in (("soon", "invalid duration --mute"), ("24h", "12 h at most, not 24 h")):
        wrong = sam.types(*words, length)
        assert (wrong.code, words_of(mira)) == (2, []), wrong.err
        assert why in wrong.err
    said = sam.types(*words, "1h")
    assert said.code == 0, said.err
    assert "no page about mira until" in said.err
    (text,) = mira.broker.asks.mine
    found = parse_me(text)
    assert isinstance(found, MyMute)
    assert (found.who, found.person, found.until - found.at) == ("sam", "mira", timedelta(hours=1))


def test_a_mute_that_fails_takes_nothing_from_the_no(mira: Responder, sam: Responder) -> None:
    mira.broker.lie["/me"] = lambda answer: "nothing of use"
    words = ("breakglass", "refuse", mira.grant, "--why", "not mira", "--mute", "1h")
    said = sam.types(*words, "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["ask"]["state"] == "refused"
    assert "mira is not muted: " in said.err
    assert "your no stands" in said.err
    (word,) = words_of(mira)
    assert word.do is Do.REFUSE


def test_where_json_shows_nothing_nobody_is_asked_to_approve(
    mira: Responder, sam: Responder
) -> None:
    with at_terminal(sam, "breakglass", "approve", mira.grant, "--json") as screen:
        assert screen.ends() == 2, screen.seen
    assert "--json shows nothing to decide by; add --yes" in " ".join(screen.seen.split())
    assert "[y/N]" not in screen.seen
    assert words_of(mira) == []
    said = sam.types("breakglass", "approve", mira.grant, "--json", "--yes")
    assert (said.code, json.loads(said.out)["ask"]["state"]) == (0, "granted"), said.err


def test_ones_own_ask_is_refused_before_the_touch(mira: Responder) -> None:
    said = mira.types("breakglass", "approve", mira.grant, "--yes")
    assert said.code == 3, said.err
    assert "is your own ask, and nobody approves their own; nothing was signed" in said.err
    assert f"breakglass withdraw {mira.grant}" in said.err
    assert words_of(mira) == []


def test_a_refusal_of_before_is_shown_as_the_brokers_word(mira: Responder, sam: Responder) -> None:
    before = [{"who": "noor", "why": "not mira\x1b[2J", "at": "2026-06-22T01:00:00.000Z"}, {}]
    mira.broker.lie["/requests/…"] = lambda view: {**view, "refused_before": before}
    said = sam.types("breakglass", "approve", mira.grant, "--yes")
    assert said.code == 0, said.err
    told = 'the broker says: noor refused mira this glass within 24 h: "not mira\\x1b[2J"'
    assert told in said.err


def test_where_the_monitor_has_no_copy_the_approver_is_told(
    mira: Responder, sam: Responder
) -> None:
    mira.broker.lie["/copies"] = lambda kept: {"kept": False}
    said = sam.types("breakglass", "approve", mira.grant, "--yes")
    assert said.code == 0, said.err
    assert "the monitor has no copy; that it is recorded is the broker's word alone" in said.err
    told = json.loads(sam.types("breakglass", "refuse", mira.grant, "--why", "x", "--json").out)
    assert (told["grant"], told["copy_kept"], "signed" in told) == (mira.grant, False, False)


@pytest.mark.parametrize("lie", ["nothing of use", {}, {"index": 7}, {"index": 7, "ask": {}}])
def test_a_broker_that_drops_the_answer_is_told_on_by_the_copy(
    mira: Responder, sam: Responder, lie: Any
) -> None:
    mira.broker.lie["/answers"] = lambda answer: lie
    said = sam.types("breakglass", "approve", mira.grant, "--yes")
    assert said.code == 5, said.err
    assert "the monitor has a copy and alerts if it is not recorded" in said.err
    word = parse_as(Answer, mira.broker.asks.copies[-1]["text"])
    assert (word.do, word.who) == (Do.APPROVE, "sam")


Lie = Callable[[Responder, Any], Any]


def signed_by(mira: Responder, who: str, **changes: Any) -> dict[str, Any]:
    """Return a view of an ask that somebody else's key signed, or with other words."""
    asks = mira.broker.asks
    said = asks.asks[mira.grant].request
    text = statement_text(type(said)(**{**vars(said), **changes}))
    key = mira.broker.org.people[who]
    found = key.sign(text, "breakglass-statement@v1")
    assert isinstance(found, Signed)
    return {"text": text, "sshsig": found.sshsig}


def other_line(mira: Responder, who: str) -> list[str]:
    """Return the line of another person of the same card."""
    people = mira.broker.org.card_people("orders-repair")
    return [person_line(each) for each in people.carried([who])]


def another_ask(mira: Responder, view: Any) -> Any:
    mira.broker.asks._ask({"statement": signed_by(mira, "mira", nonce="5a" * 16)})
    return mira.broker.asks.view(list(mira.broker.asks.asks)[-1])


LIES: dict[str, tuple[Lie, str]] = {
    "another ask than was named": (another_ask, "it is of another grant"),
    "another text than was signed": (
        lambda mira, view: {
            **view,
            "statement": {
                **view["statement"],
                "text": view["statement"]["text"].replace('"for_s":1200', '"for_s":1199'),
            },
        },
        "it is of another grant",
    ),
    "signed by another than it names": (
        lambda mira, view: {
            **view,
            "statement": {**view["statement"], "sshsig": signed_by(mira, "noor")["sshsig"]},
        },
        "does not prove itself",
    ),
    "nobody's line": (lambda mira, view: {**view, "people": []}, "may not break glass"),
    "the line of another": (
        lambda mira, view: {**view, "people": other_line(mira, "sam")},
        "may not break glass",
    ),
    "a line with another key": (
        lambda mira, view: {
            **view,
            "people": [view["people"][0].replace(view["people"][0].split()[2], _with_key(mira))],
        },
        "is not one of the card's people",
    ),
    "garbage for a line": (lambda mira, view: {**view, "people": ["person"]}, "a person's line"),
}


def _with_key(mira: Responder) -> str:
    """Return mira's line with the key of a thief in it."""
    line = base64.b64decode(other_line(mira, "mira")[0].split()[2])
    person = json.loads(line)
    person["keys"] = [mira.broker.org.machine.public]
    text = json.dumps(person, separators=(",", ":"), sort_keys=True)
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("do", ["approve", "refuse"])
@pytest.mark.parametrize("case", LIES)
def test_an_ask_that_does_not_prove_itself_is_refused_before_the_touch(
    mira: Responder, sam: Responder, case: str, do: str
) -> None:
    lie, why = LIES[case]
    mira.broker.lie["/requests/…"] = lambda view: lie(mira, view)
    more = ["--yes"] if do == "approve" else ["--why", "x"]
    said = sam.types("breakglass", do, mira.grant, "--permit", "cGVybWl0", *more)
    assert said.code == 4, said.err
    assert why in said.err
    assert "nothing was signed" in said.err
    assert said.out == ""  # not a word of it was shown as fact
    assert "POST /answers" not in mira.broker.asked


@pytest.mark.parametrize(
    ("signers", "changes"),
    [
        pytest.param(("ana",), {"for_s": 43200}, id="one maintainer"),
        pytest.param((), {"does": "nothing much"}, id="nobody"),
    ],
)
def test_a_card_that_maintainers_did_not_sign_is_not_drawn(
    mira: Responder, sam: Responder, signers: tuple[str, ...], changes: dict[str, Any]
) -> None:
    org = mira.broker.org
    keys = {name: org.maintainers[name] for name in signers} or dict(org.custodians)
    note = base64.b64encode(org.card_note("orders-repair", signers=keys, **changes)).decode()
    mira.broker.lie["/glasses"] = lambda known: {
        **known, "glasses": [{**each, "card": note} for each in known["glasses"]]
    }  # fmt: skip
    said = sam.types("breakglass", "approve", mira.grant, "--yes")
    assert (said.code, said.out) == (4, ""), said.err
    assert "is not what maintainers signed" in said.err
    assert words_of(mira) == []


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"scope": {"databases": ("cards",), "roles": ("repair",)}}, "is not on the card"),
        ({"minter": "cards-db"}, "names no minter"),
        ({"log": "ledger.example/two"}, "it is of log"),
    ],
)
def test_an_ask_beyond_its_card_is_refused_before_the_touch(
    mira: Responder, sam: Responder, changes: dict[str, Any], why: str
) -> None:
    """Also an asker's own client may lie: what is beyond the card no grant can come of."""
    signed = signed_by(mira, "mira", **changes)
    view = mira.broker.asks._ask({"statement": signed})
    said = sam.types("breakglass", "approve", view["grant"], "--yes")
    assert said.code == 4, said.err
    assert why in said.err
    assert mira.broker.asks.asks[view["grant"]].said == []


def test_an_ask_of_a_policy_of_before_is_asked_again(mira: Responder, sam: Responder) -> None:
    view = mira.broker.asks._ask({"statement": signed_by(mira, "mira", policy="ab" * 32)})
    said = sam.types("breakglass", "approve", view["grant"], "--yes")
    assert said.code == 3, said.err
    assert "the policy changed after ask" in said.err
    assert "mira asks again: breakglass ask orders-repair" in said.err


def test_only_the_asker_takes_an_ask_back(mira: Responder, sam: Responder) -> None:
    said = sam.types("breakglass", "withdraw", mira.grant)
    assert said.code == 3, said.err
    assert "is an ask of 'mira', and only they take it back; nothing was signed" in said.err
    assert words_of(mira) == []
