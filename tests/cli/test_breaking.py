"""Breaking a glass from the responder's side: a broker is believed in nothing that it says."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from breakglass.records.handout import HEADER
from breakglass.token.token import parse_token
from tests.embedded.isolated import command
from tests.kit.lying_broker import Responder, responder
from tests.kit.organisation import Broken


@pytest.fixture
def mira(tmp_path: Path) -> Iterator[Responder]:
    with responder(tmp_path) as found:
        yield found


def test_what_is_told_is_what_was_proven_and_not_what_was_said(mira: Responder) -> None:
    mira.broker.lie["/break"] = lambda answer: {
        **answer, "index": 7, "cosigned": {}, "not_after": "2030-01-01T00:00:00.000Z",
        "review_by": "2030-01-01T00:00:00.000Z", "grant": "g-aaaaaaaaaaaa",
    }  # fmt: skip
    said = mira.breaks()
    assert said.code == 0, said.err
    broken = mira.broker.broken[mira.grant]
    wanted = f"entry {broken.index}, seen by 3 of 3 witnesses, archived"
    assert said.row("recorded") == wanted
    assert said.row("grant") == broken.grant
    assert "2030" not in said.out
    assert said.row("review").startswith(f"due {broken.intent.review_by:%Y-%m-%d}")
    told = json.loads(mira.breaks("orders-repair", "--json").out)
    assert told["index"] == mira.broker.broken[told["grant"]].index
    assert sorted(told["cosigned"]) == ["w-audit", "w-plat", "w-sec", "worm"]


def test_what_is_asked_for_is_shown_from_the_signed_card_before_the_key_is_used(
    mira: Responder,
) -> None:
    mira.broker.lie["/glasses"] = lambda known: {
        **known,
        "policy": "0" * 64,
        "glasses": [
            {**each, "for_s": 60, "gates": [], "mints": [], "does": "nothing at all"}
            for each in known["glasses"]
        ],
    }
    said = mira.breaks()
    assert said.code == 0, said.err
    wanted = "databases orders, roles repair by 'orders-db'; gate 'orders-write'; 20 min at most"
    assert f"you sign for orders-repair: {wanted}" in said.err
    broken = mira.broker.broken[mira.grant]
    assert (broken.statement.for_s, broken.statement.minter) == (1200, "orders-db")
    assert broken.statement.policy == mira.broker.org.policy_digest


Card = Callable[[Responder, dict[str, Any]], Any]
CARDS: dict[str, Card] = {
    "none": lambda mira, each: "",
    "garbage": lambda mira, each: "?",
    "another glass's": lambda mira, each: base64.b64encode(
        mira.broker.org.card_note("deploy-rollback")
    ).decode(),
    "wider, by one maintainer": lambda mira, each: base64.b64encode(
        mira.broker.org.card_note(
            "orders-repair", for_s=43200, signers={"ana": mira.broker.org.maintainers["ana"]}
        )
    ).decode(),
    "of strangers": lambda mira, each: base64.b64encode(
        mira.broker.org.card_note("orders-repair", signers=dict(mira.broker.org.custodians))
    ).decode(),
}


@pytest.mark.parametrize("case", CARDS)
def test_a_card_that_maintainers_did_not_sign_is_asked_for_nothing(
    mira: Responder, case: str
) -> None:
    mira.broker.lie["/glasses"] = lambda known: {
        **known, "glasses": [{**each, "card": CARDS[case](mira, each)} for each in known["glasses"]]
    }  # fmt: skip
    said = mira.breaks()
    assert (said.code, said.out) == (4, ""), said.err
    assert "is not what maintainers signed" in said.err
    assert mira.broker.asked == ["GET /glasses"]


def another(mira: Responder, **how: Any) -> Broken:
    """Return a grant that the thief of a broker has: a real person's, for something else."""
    org = mira.broker.org
    return org.break_glass(statement={"glass": "orders-repair", "nonce": "5a" * 16}, **how)


def forged(mira: Responder, answer: Any, **how: Any) -> str:
    """Return a token of the very statement, with one thing forged."""
    broken = mira.broker.broken[answer["grant"]]
    org = mira.broker.org
    return mira.broker.token(org.break_glass(said=broken.statement, signed=broken.signed, **how))


Token = Callable[[Responder, Any], Any]
TOKENS: dict[str, tuple[Token, str]] = {
    "none": (lambda mira, answer: None, "the first line"),
    "of another statement": (
        lambda mira, answer: mira.broker.token(another(mira)), "of another statement"
    ),
    "by a key of nobody": (
        lambda mira, answer: forged(
            mira, answer, signed_by=type(mira.broker.org.log.signer).generate("broker.evil")
        ),
        "0 submitters signed",
    ),
    "by a gate": (
        lambda mira, answer: forged(
            mira, answer, signed_by=mira.broker.org.submitters["gate:orders-write"]
        ),
        "only a broker may state",
    ),
    "that lives longer": (
        lambda mira, answer: forged(
            mira, answer, intent={"not_after": mira.broker.org.now + timedelta(hours=3)}
        ),
        "life",
    ),
    "that gives more": (
        lambda mira, answer: forged(mira, answer, intent={"gates": ("deploy-approval",)}), "gate"
    ),
    "seen by one witness": (lambda mira, answer: forged(mira, answer, by=["w-sec"]), "quorum"),
    "of no log at all": (
        lambda mira, answer: parse_token(answer["token"].encode())
        .presented(mira.broker.broken[answer["grant"]].signed)
        .encoded()
        .replace("proof ", "proof aaaa"),
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TOKENS)
def test_an_answer_that_proves_nothing_is_told_as_nothing(mira: Responder, case: str) -> None:
    forge, says = TOKENS[case]
    mira.broker.lie["/break"] = lambda answer: {**answer, "token": forge(mira, answer)}
    said = mira.breaks()
    assert (said.code, said.out) == (4, ""), said.err
    assert "does not prove grant" in said.err
    assert says in said.err
    assert "it may be recorded, and nothing of it was used" in said.err
    assert f"breakglass break --again {mira.grant}" in said.err
    mira.broker.lie.clear()
    again = mira.types("breakglass", "break", "--again", mira.grant)
    assert again.code == (0 if mira.broker.broken[mira.grant].index == mira_index(again) else 4)


def mira_index(said: Any) -> int:
    return int(said.row("recorded").split()[1].rstrip(",")) if said.out else -1


def test_a_credential_without_the_minters_word_is_not_told_as_granted(mira: Responder) -> None:
    mira.broker.lie["/break"] = lambda answer: {
        **answer, "minted": {**answer["minted"], "handout": HEADER}
    }  # fmt: skip
    said = mira.breaks()
    assert (said.code, said.out) == (4, "")
    assert "is not its minter's" in said.err


def test_a_head_that_the_archiver_has_not_signed_is_told_as_not_archived(mira: Responder) -> None:
    org = mira.broker.org
    org.quorum = "people"
    (mira.cwd / "trust").write_bytes(org.trust_note())
    mira.broker.lie["/break"] = lambda answer: {
        **answer,
        "cosigned": {"worm": answer["not_after"]},
        "token": forged(mira, answer, by=["w-sec", "w-plat"]),
    }
    said = mira.breaks()
    assert said.code == 0, said.err
    assert said.row("recorded").endswith("seen by 2 of 3 witnesses, not archived yet")


def test_a_drill_says_so_first_and_hands_out_nothing(mira: Responder) -> None:
    empty = {"sealed": "", "handout": "", "dead": True}
    mira.broker.lie["/break"] = lambda answer: {**answer, "minted": {**answer["minted"], **empty}}
    said = mira.breaks("orders-repair", "--drill")
    assert said.code == 0, said.err
    first = next(line for line in said.err.splitlines() if "in use" not in line)
    assert first.startswith("breakglass: DRILL: ")
    assert "nothing was handed out" in said.row("DRILL")
    assert "next:" not in said.err


def test_what_the_target_has_only_begun_is_asked_for_again_until_it_is_there(
    mira: Responder,
) -> None:
    pending = {"error": "pending", "message": "the target has taken the order", "hint": ""}
    waits = [pending, pending]
    mira.broker.lie["/break"] = lambda answer: waits.pop() if waits else answer
    said = mira.breaks("orders-repair")
    assert said.code == 0, said.err
    assert mira.broker.asked.count("POST /break") == 3
    assert said.err.count("the target has taken the order") == 1
    assert f"or stop, and later: breakglass break --again {mira.grant}" in said.err


def test_a_coded_reason_that_the_policy_does_not_have_is_refused_with_those_it_has(
    mira: Responder,
) -> None:
    mira.broker.lie["/glasses"] = lambda known: {**known, "reasons": ["approver-silent", "other"]}
    said = mira.breaks("orders-repair", "--code", "foo")
    assert (said.code, said.out) == (3, "")
    assert "has no reason 'foo'" in said.err
    assert "hint: there are: approver-silent, other" in said.err
    assert mira.broker.asked == ["GET /glasses"]
    assert mira.breaks("orders-repair", "--code", "approver-silent").code == 0


def test_a_full_disk_costs_the_file_and_not_the_answer(mira: Responder) -> None:
    """R16: what is granted is told, also where it cannot be kept, and also to a full file."""
    assert mira.breaks().code == 0
    words = " ".join(command(("breakglass", "break", "--again", mira.grant)))
    done = subprocess.run(
        ["sh", "-c", f"{words} > /dev/full"],
        capture_output=True, text=True, env=mira.environment, cwd=mira.cwd, check=False,
    )  # fmt: skip
    assert done.returncode == 5, done.stderr
    assert "standard output cannot be written: No space left on device" in done.stderr
    assert f"grant '{mira.grant}' stands" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")
def test_a_state_folder_without_room_sends_nothing_or_tells_all(mira: Responder) -> None:
    state = mira.home / "state"
    state.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(state)], check=False
    )
    if mounted.returncode:
        pytest.skip("no mount here")
    try:
        for free in range(16, -1, -1):  # pages of 4 KiB
            filler = state / "filler"
            filler.unlink(missing_ok=True)
            for each in (state / "breakglass").rglob("*") if state.exists() else []:
                if each.is_file():
                    each.unlink()
            room = os.statvfs(state).f_bavail * 4096
            filler.write_bytes(b"x" * max(0, room - free * 4096))
            mira.broker.asked.clear()
            said = mira.breaks()
            assert "internal error" not in said.err, said.err
            if "POST /break" in mira.broker.asked:
                assert said.code == 0, said.err
                assert said.row("grant").startswith("g-")
            else:
                assert said.code in (5, 6), said.err
                assert "No space left on device" in said.err
    finally:
        subprocess.run(["umount", str(state)], check=True)
