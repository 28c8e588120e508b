"""Forged: what was asked, and the proof or the door."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from tests.kit.organisation import SKEW, Broken, Organisation, signer
from tests.kit.people import SoftKey

from breakglass.records.grant import Path as Way
from breakglass.records.statement import Do, digest_of
from breakglass.tlog.note import Note, SignatureLine, sign_note
from breakglass.tlog.proof import TlogProof
from breakglass.token.token import Token

from .forging import (
    MINUTE,
    SECOND,
    STAGING,
    Case,
    at_minter,
    case,
    door_case,
    orders,
    shop,
    simple,
)

# --- 5: what was asked ----------------------------------------------------------------------------


@case("intent-names-another-person", "intent_mismatch")
def _() -> Case:
    """mira signed, the intent says teo."""
    return simple(intent={"who": "teo"})


@case("intent-names-another-incident", "intent_mismatch")
def _() -> Case:
    """The incident is not the one that was signed."""
    return simple(intent={"incident": "INC-9999"})


@case("intent-for-another-holder", "intent_mismatch")
def _() -> Case:
    """The broker put its own key in the place of the holder's."""
    return simple(intent={"holder": SoftKey.of("the broker").public})


@case("intent-of-a-drill-that-was-none", "intent_mismatch")
def _() -> Case:
    """mira signed a real break; the intent is labelled a drill, which no one reviews as one."""
    return simple(intent={"path": Way.DRILL})


@case("intent-scope-beyond-what-was-asked", "intent_mismatch")
def _() -> Case:
    """The intent reaches more than mira asked for."""
    scope = {"databases": ("orders", "payments"), "roles": ("repair",)}
    return at_minter(*orders(intent={"scope": scope}))


@case("scope-beyond-the-card", "scope_widened")
def _() -> Case:
    """mira asked for, and the intent gives, what the card does not."""
    scope = {"databases": ("orders", "payments"), "roles": ("repair",)}
    return at_minter(*orders(statement={"scope": scope}))


@case("scope-without-a-dimension", "scope_widened")
def _() -> Case:
    """A dimension that is not named is not limited."""
    return at_minter(*orders(statement={"scope": {"databases": ("orders",)}}))


@case("gates-beyond-the-card", "scope_widened")
def _() -> Case:
    """The intent opens one gate more than the card, and is shown to the one that it may open."""
    return simple(intent={"gates": ("deploy-approval", "orders-write")})


@case("life-beyond-what-was-asked", "life_lengthened")
def _() -> Case:
    """One millisecond longer than mira asked for."""
    end = Organisation().now + timedelta(seconds=60, milliseconds=1)
    return simple(statement={"for_s": 60}, intent={"not_after": end})


@case("life-beyond-the-card", "life_lengthened")
def _() -> Case:
    """mira asked for two hours, the card gives thirty minutes, the intent two hours."""
    end = Organisation().now + 120 * MINUTE
    return simple(statement={"for_s": 7200}, intent={"not_after": end})


@case("life-that-begins-early", "life_lengthened")
def _() -> Case:
    """It begins further before the intent than the skew."""
    return simple(intent={"not_before": Organisation().now - SKEW - SECOND})


@case("statement-old", "statement_old")
def _() -> Case:
    """The statement was signed longer before the intent than the skew."""
    return simple(statement={"at": Organisation().now - SKEW - SECOND})


@case("statement-from-the-future", "statement_old")
def _() -> Case:
    """The statement was signed longer after the intent than the skew."""
    return simple(statement={"at": Organisation().now + SKEW + SECOND})


@case("waited-too-long", "waited_too_long")
def _() -> Case:
    """The approval is fresh; the statement that it answers is older than the card's wait."""
    org = shop()
    said = org.statement(glass="key-deletion", at=org.now - 11 * MINUTE)
    signed = org.sign(said)
    yes = org.sign(org.answer(digest_of(signed.text)))
    return Case(org, org.token(org.break_glass(said=said, signed=signed, approvals=(yes,))))


@case("review-put-off", "review_due")
def _() -> Case:
    """The review is due in the year 2999."""
    return simple(intent={"review_by": Organisation().now + timedelta(days=93)})


@case("statement-of-another-log", "wrong_log")
def _() -> Case:
    """mira signed for the staging log."""
    return simple(statement={"log": STAGING})


# --- 6: the proof ---------------------------------------------------------------------------------


def _proven(change: Callable[[Organisation, Broken], bytes], **how: Any) -> Case:
    org = shop()
    broken = org.break_glass()
    return Case(org, org.token(broken, proof=change(org, broken)), **how)


@case("no-record", "inclusion")
def _() -> Case:
    """An intent that was never appended, with the proof of another entry."""
    org = shop()
    broken = org.break_glass()
    other = org.break_glass(statement={"nonce": "ab" * 16})
    return Case(org, org.token(other, proof=broken.proof))


@case("proof-malformed", "proof_malformed")
def _() -> Case:
    """A path with a hash of 31 bytes."""

    def shorten(org: Organisation, broken: Broken) -> bytes:
        lines = broken.proof.split(b"\n")
        lines[2] = base64.b64encode(bytes(31))
        return b"\n".join(lines)

    return _proven(shorten)


@case("proof-of-another-log", "unknown_log")
def _() -> Case:
    """The head is signed by the staging log, cosigned by the same witnesses."""
    return _proven(lambda org, b: org.log.proof(b.index, org.now, signer=signer(STAGING)))


@case("proof-head-altered", "log_signature")
def _() -> Case:
    """The head's size was changed after signing."""

    def grow(org: Organisation, broken: Broken) -> bytes:
        return broken.proof.replace(f"\n{org.log.size}\n".encode(), b"\n7\n", 1)

    return _proven(grow)


@case("proof-cosignature-altered", "cosignature")
def _() -> Case:
    """A known witness's line does not hold."""

    def spoil(org: Organisation, broken: Broken) -> bytes:
        proof = TlogProof.parse(broken.proof)
        note = Note.parse(proof.checkpoint)
        lines = [
            SignatureLine(each.name, each.key_id, each.signature[:-1] + b"\x00")
            if each.name.startswith("w-sec")
            else each
            for each in note.lines
        ]
        head = Note(note.text, tuple(lines)).encoded()
        return TlogProof(proof.index, proof.path, head).encoded()

    return _proven(spoil)


@case("proof-without-quorum", "quorum")
def _() -> Case:
    """One witness of the two that are asked for."""
    return simple(by=("w-sec", "worm"))


@case("proof-without-witnesses", "quorum")
def _() -> Case:
    """Signed by the log alone."""
    return _proven(lambda org, b: org.log.proof(b.index, {}))


@case("proven-late", "proven_late")
def _() -> Case:
    """The record was slipped in under an old time: witnessed 121 seconds after it."""
    return simple(witnessed=Organisation().now + SKEW + SECOND)


@case("proven-late-in-part", "proven_late")
def _() -> Case:
    """One witness in time and one late are no quorum in time."""
    org = shop()
    late = org.now + SKEW + SECOND
    times = {"w-sec": org.now, "worm": org.now, "w-plat": late}
    return Case(org, org.token(org.break_glass(witnessed=times)))


@case("proven-early", "proven_late")
def _() -> Case:
    """The intent says a later time than its witnesses."""
    return simple(witnessed=Organisation().now - SKEW - SECOND)


@case("not-archived", "level")
def _() -> Case:
    """The verifier asks for the archiver; the quorum was met without it."""
    return simple(
        by=("w-sec", "w-plat"), case_={"trust": {"level": "archived", "quorum": "people"}}
    )


@case("not-justified", "level")
def _() -> Case:
    """The verifier asks for the monitor's record; the token carries none."""
    return simple(case_={"trust": {"level": "justified"}})


@case("justified-for-another-intent", "justified")
def _() -> Case:
    """The monitor's record is of another intent of the same person."""
    org = shop()
    broken = org.break_glass()
    other = org.break_glass(statement={"nonce": "ab" * 16})
    token = org.token(broken, justified=org.justify(other))
    return Case(org, token, trust={"level": "justified"})


@case("justified-by-the-broker", "submitter_role")
def _() -> Case:
    """The broker justifies itself."""
    org = shop()
    broken = org.break_glass()
    org.submitters["monitor"], kept = org.submitters["broker"], org.submitters["monitor"]
    justified = org.justify(broken)
    org.submitters["monitor"] = kept
    return Case(org, org.token(broken, justified=justified), trust={"level": "justified"})


@case("extra-line", "extra_lines")
def _() -> Case:
    """A line of a key that nobody knows stands beside the broker's."""
    line = sign_note("x\n", signer("nobody.example")).lines[0]
    return simple(lines=[line])


@case("door-not-accepted", "door")
def _() -> Case:
    """This trust file says no."""
    return door_case(accepts="no")


@case("door-with-an-everyday-statement", "wrong_do")
def _() -> Case:
    """The door takes a statement of its own."""
    return door_case(do=Do.BREAK)


@case("door-statement-with-a-proof", "wrong_do")
def _() -> Case:
    """A door statement with a proof in the place of custodians."""
    return simple(statement={"do": Do.DOOR}, case_={"trust": {"door": "yes"}})


@case("door-with-one-custodian", "custodians")
def _() -> Case:
    """One custodian of the two that are asked for."""
    return door_case(signers=("ines",))


@case("door-by-its-own-holder", "custodians")
def _() -> Case:
    """mira is a custodian too, and does not count for herself."""
    org = Organisation(
        custodians={"mira": Organisation().people["mira"], "ines": SoftKey.of("ines")}
    )
    org.begin()
    return door_case(org=org, signers=("mira", "ines"))


@case("door-by-its-own-holder-under-another-name", "custodians")
def _() -> Case:
    """mira's key stands in the trust file under another name."""
    org = Organisation(
        custodians={"escrow": Organisation().people["mira"], "ines": SoftKey.of("ines")}
    )
    org.begin()
    return door_case(org=org, signers=("escrow", "ines"))


@case("door-for-more-than-an-hour", "life_lengthened")
def _() -> Case:
    """The door opens for one hour at most, whatever the card says."""
    org = shop()
    card = org.card_note(for_s=7200)
    end = org.now + 61 * MINUTE
    return door_case(org=org, card=card, statement={"for_s": 7200}, intent={"not_after": end})


@case("door-with-a-strangers-line", "extra_lines")
def _() -> Case:
    """Two custodians signed, and somebody else did."""
    found = door_case()
    assert isinstance(found.token, Token)
    note = Note.parse(found.token.intent)
    line = sign_note(note.text, signer("nobody.example")).lines[0]
    return replace(found, token=replace(found.token, intent=note.with_lines(line).encoded()))
