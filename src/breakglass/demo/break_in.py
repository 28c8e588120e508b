"""Attempts to get in without being seen; each names what stopped it."""

from __future__ import annotations

import time
from datetime import timedelta

from breakglass.demo.attacks import DOOR, Thief, cards_of, proof_in, rang
from breakglass.demo.night import GATE, Night
from breakglass.demo.shop import REPAIR, ROLLBACK
from breakglass.demo.software_keys import SoftKey
from breakglass.demo.terminal import Said
from breakglass.error_names import ErrorName

_RING_WITHIN_S = 15.0
_RUN = "900"


def break_in(night: Night) -> None:
    """Try with the broker's key, with a gate's key, without a record, and too late."""
    stage = night.stage
    stage.scene("Keys are stolen: what a thief can do with them")
    cards = cards_of(night.shop.org)
    thief = Thief(night.running, cards[ROLLBACK], SoftKey.generate())
    _broker_key(night, thief, cards[REPAIR])
    _gate_key(night, thief)
    _no_record(night, thief)
    _too_late(night, thief)


def _broker_key(night: Night, thief: Thief, repair_card: bytes) -> None:
    stage, now = night.stage, thief.now()
    stage.tell(
        "The broker is taken over. Its own key writes an intent for mira, who knows nothing of it;"
        " the ledger takes it, witnesses and archiver sign, the proof is valid."
    )
    key = thief.key_of("broker")
    began = time.monotonic()
    with stage.check("the gate refuses it: no person's statement") as check:
        intent = thief.intent((), now)
        recorded = thief.append(thief.sign(intent, now, key))
        token = thief.token(intent, recorded.note, recorded.proof, DOOR, _RUN)
        said = _at_the_gate(night, "broker", token)
        check.took = said.took
        check.require(said.code == 4 and "(no_statement)" in said.err, _got(said))
        check.says(f"entry {recorded.index} has a valid proof; the gate refuses: no_statement")
    with stage.check("the minter refuses such an intent too: no_statement") as check:
        other = thief.with_card(repair_card)
        now = other.now()
        intent = other.intent((), now)
        forged = other.append(other.sign(intent, now, key))
        token = other.token(
            intent, forged.note, forged.proof, f"minter:{intent.minter}", intent.grant
        )
        refused = other.at_the_minter(token)
        check.require(refused is not None, "it minted a credential")
        assert refused is not None
        check.require(refused.name == ErrorName.NO_STATEMENT, f"{refused.name}: {refused}")
    with stage.check("the monitor alerts: a record that the rules forbid") as check:
        heard = night.hook.wait_for(
            lambda each: rang(each.body, "forbidden", recorded.index), _RING_WITHIN_S
        )
        check.require(heard is not None, "no alarm within 15 s")
        assert heard is not None
        check.took = heard.at - began
        stage.said(str(heard.body.get("text", ""))[:200] + " …")


def _gate_key(night: Night, thief: Thief) -> None:
    stage, now = night.stage, thief.now()
    with stage.check("a stolen gate key writes an intent: refused, wrong role") as check:
        intent = thief.intent((), now)
        key = thief.key_of(f"gates/{GATE}")
        recorded = thief.append(thief.sign(intent, now, key))
        token = thief.token(intent, recorded.note, recorded.proof, DOOR, _RUN)
        said = _at_the_gate(night, "gate", token)
        check.took = said.took
        check.require(said.code == 4 and "(submitter_role)" in said.err, _got(said))
        check.says("a stolen gate key writes an intent: refused, submitter_role")


def _no_record(night: Night, thief: Thief) -> None:
    stage, now = night.stage, thief.now()
    stage.tell(
        "Worse: mira really signs, tricked or bribed, and the broker's key is stolen as well."
    )
    mira = night.shop.people["mira"]
    with stage.check("her statement without any record") as check:
        intent = thief.intent((thief.statement(mira, now),), now)
        unrecorded = thief.sign(intent, now, thief.key_of("broker"))
        borrowed = proof_in(night.token_file("good").read_text("ascii"))
        token = thief.token(intent, unrecorded, borrowed, DOOR, _RUN)
        said = _at_the_gate(night, "unrecorded", token)
        check.took = said.took
        check.require(said.code == 4 and "(inclusion)" in said.err, _got(said))
        check.says("her statement, unrecorded, a borrowed proof: refused, inclusion")


def _too_late(night: Night, thief: Thief) -> None:
    stage = night.stage
    mira = night.shop.people["mira"]
    with stage.check("an intent under an old date, recorded only now") as check:
        then = thief.now() - timedelta(minutes=10)
        intent = thief.intent((thief.statement(mira, then),), then)
        recorded = thief.append(thief.sign(intent, then, thief.key_of("broker")))
        token = thief.token(intent, recorded.note, recorded.proof, DOOR, _RUN)
        said = _at_the_gate(night, "late", token)
        check.took = said.took
        check.require(said.code == 4 and "(proven_late)" in said.err, _got(said))
        check.says("an intent dated 10 min back, recorded now: refused, proven_late")
    with stage.check("it left an invalid record, which raised an alert") as check:
        heard = night.hook.wait_for(
            lambda each: rang(each.body, "forbidden", recorded.index), _RING_WITHIN_S
        )
        check.require(heard is not None, "no alarm within 15 s")


def _at_the_gate(night: Night, name: str, token: str) -> Said:
    path = night.token_file(name)
    path.write_text(token, "ascii")
    return night.mira.gate(
        "run", GATE, "--folder", str(night.shop.gate), "--token", str(path), "--for", _RUN,
        "--", "false",
    )  # fmt: skip


def _got(said: Said) -> str:
    return f"exit {said.code}: {said.last}"
