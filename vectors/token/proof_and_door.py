"""Forged: the proof, or the custodians' door."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.kit.organisation import SKEW, Broken, Organisation, signer
from tests.kit.people import SoftKey

from breakglass.records.statement import Do, digest_of
from breakglass.tlog.note import Note, SignatureLine, sign_note
from breakglass.tlog.proof import TlogProof
from breakglass.token.token import Token

from .forging import (
    MINUTE,
    SECOND,
    STAGING,
    Case,
    approvals,
    case,
    door_case,
    shop,
    simple,
)

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


def _rewitness(org: Organisation, broken: Broken, name: str, seconds: int) -> bytes:
    """Return the proof with one more line of a witness, of that time."""
    proof = TlogProof.parse(broken.proof)
    head = Note.parse(proof.checkpoint)
    key = org.witness_keys[name]
    signature = key.sign_bytes(f"cosignature/v1\ntime {seconds}\n{head.text}".encode())
    line = SignatureLine(key.name, key.verifier.key_id, seconds.to_bytes(8, "big") + signature)
    return TlogProof(proof.index, proof.path, head.with_lines(line).encoded()).encoded()


@case("good-witness-twice")
def _() -> Case:
    """One witness signed twice, once in time and once an hour late; it counts once."""

    def again(org: Organisation, broken: Broken) -> bytes:
        return _rewitness(org, broken, "w-sec", int(org.now.timestamp()) + 3600)

    return _proven(again)


@case("proof-of-one-witness-twice", "quorum")
def _() -> Case:
    """One witness's two lines are one witness."""
    org = shop()
    broken = org.break_glass(by=("w-sec", "worm"))
    proof = _rewitness(org, broken, "w-sec", int(org.now.timestamp()) + 1)
    return Case(org, org.token(broken, proof=proof))


@case("proof-cosigned-at-no-time", "cosignature")
def _() -> Case:
    """A witness's time of 0: no time was stated, and none is believed."""
    return _proven(lambda org, broken: _rewitness(org, broken, "w-sec", 0))


@case("proof-cosigned-beyond-all-time", "cosignature")
def _() -> Case:
    """A witness's time behind the year 9999."""
    return _proven(lambda org, broken: _rewitness(org, broken, "w-sec", 253402300800))


def _placed(index: int | None = None, **how: Any) -> Callable[[Organisation, Broken], bytes]:
    def change(org: Organisation, broken: Broken) -> bytes:
        proof = TlogProof.parse(broken.proof)
        path = how.get("path", lambda found: found)(proof.path)
        return TlogProof(proof.index if index is None else index, path, proof.checkpoint).encoded()

    return change


@case("proof-at-another-index", "inclusion")
def _() -> Case:
    """The place of another entry."""
    return _proven(_placed(2))


@case("proof-behind-the-end", "inclusion")
def _() -> Case:
    """An index that the head's size does not reach."""
    return _proven(_placed(99))


@case("proof-with-a-path-too-long", "inclusion")
def _() -> Case:
    """One hash more than the tree is deep."""
    return _proven(_placed(path=lambda found: (*found, bytes(32))))


@case("proof-with-a-path-beyond-all-trees", "proof_malformed")
def _() -> Case:
    """Sixty-four hashes."""

    def lengthen(org: Organisation, broken: Broken) -> bytes:
        lines = broken.proof.split(b"\n")
        return b"\n".join([*lines[:2], *[base64.b64encode(bytes(32))] * 64, *lines[2:]])

    return _proven(lengthen)


@case("proof-of-an-empty-tree", "inclusion")
def _() -> Case:
    """The head of size 0, signed and cosigned by everybody."""

    def empty(org: Organisation, broken: Broken) -> bytes:
        return TlogProof(0, (), org.log.head(org.now, size=0)).encoded()

    return _proven(empty)


@case("proof-beyond-its-size", "proof_malformed")
def _() -> Case:
    """More than 128 KiB."""
    return _proven(lambda org, broken: broken.proof + b"x" * 131_072)


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
    return simple(shown={"proof": None}, case_={"trust": {"door": "yes"}})


@case("door-statement-with-a-proof", "wrong_do")
def _() -> Case:
    """A door statement with a proof in the place of custodians."""
    return simple(statement={"do": Do.DOOR}, case_={"trust": {"door": "yes"}})


@case("door-with-one-custodian", "custodians")
def _() -> Case:
    """One custodian of the two that are asked for."""
    return door_case(signers=("ines",))


@case("door-by-its-own-holder", "same_person")
def _() -> Case:
    """mira is a custodian too, and does not count for herself."""
    org = Organisation(
        custodians={"mira": Organisation().people["mira"], "ines": SoftKey.of("ines")}
    )
    org.begin()
    return door_case(org=org, signers=("mira", "ines"))


@case("door-by-its-own-holder-under-another-name", "same_person")
def _() -> Case:
    """mira's key stands in the trust file under another name."""
    org = Organisation(
        custodians={"escrow": Organisation().people["mira"], "ines": SoftKey.of("ines")}
    )
    org.begin()
    return door_case(org=org, signers=("escrow", "ines"))


@case("door-by-one-custodian-twice", "same_person")
def _() -> Case:
    """One custodian's word stands twice."""
    return door_case(signers=("ines", "ines"))


@case("door-by-a-stranger", "unknown_person")
def _() -> Case:
    """sam countersigns and is no custodian."""
    org = shop()
    return door_case(
        org=org,
        signers=("ines",),
        behind=lambda digest: (org.countersign(digest, "sam"),),
    )


@case("door-countersigned-by-another-key", "foreign_key")
def _() -> Case:
    """ravi's word, signed by ines."""
    return door_case(signers=("ines", "ines"), countersign={"who": "ravi"})


@case("door-countersigned-for-another-statement", "wrong_answer")
def _() -> Case:
    """Two custodians' words of another night."""
    return door_case(countersign={"answers": "ab" * 32})


@case("door-countersigned-for-another-card", "wrong_card")
def _() -> Case:
    """The custodians saw a card that gives less."""
    return door_case(countersign={"card": "ab" * 32})


@case("door-countersigned-for-another-log", "wrong_log")
def _() -> Case:
    """The custodians signed for the staging log."""
    return door_case(countersign={"log": STAGING})


@case("door-countersigned-too-long-ago", "statement_old")
def _() -> Case:
    """The newest custodian signed more than an hour before the intent."""
    org = shop()
    return door_case(org=org, countersign={"at": org.now - 60 * MINUTE - SECOND})


@case("door-countersigned-in-the-future", "statement_old")
def _() -> Case:
    """The newest custodian signed longer after the intent than the skew."""
    org = shop()
    return door_case(org=org, countersign={"at": org.now + SKEW + SECOND})


@case("door-that-waited-too-long", "waited_too_long")
def _() -> Case:
    """mira signed more than an hour before the broker wrote the intent."""
    org = shop()
    said = org.statement(do=Do.DOOR, glass="key-deletion", at=org.now - 60 * MINUTE - SECOND)
    signed = org.sign(said)
    digest, card = digest_of(signed.text), org.card_note("key-deletion")
    words = tuple(org.countersign(digest, name, card) for name in ("ines", "ravi"))
    broken = org.break_glass(
        said=said, signed=signed, approvals=(*approvals(org, signed, "sam"), *words), card=card
    )
    return Case(org, org.token(broken, proof=None), trust={"door": "yes"})


@case("door-with-an-approval-behind-a-custodian", "wrong_do")
def _() -> Case:
    """Approvals stand before custodians."""
    org = shop()
    return door_case(org=org, behind=lambda digest: (org.sign(org.answer(digest)),))


@case("door-for-more-than-an-hour", "life_lengthened")
def _() -> Case:
    """The door opens for one hour at most, whatever the card says."""
    org = shop()
    card = org.card_note(for_s=7200)
    end = org.now + 61 * MINUTE
    return door_case(org=org, card=card, statement={"for_s": 7200}, intent={"not_after": end})


@case("door-with-a-strangers-line", "extra_lines")
def _() -> Case:
    """A line of a key that nobody knows stands beside the broker's: the holder spoiled the note."""
    found = door_case()
    assert isinstance(found.token, Token)
    note = Note.parse(found.token.intent)
    line = sign_note(note.text, signer("nobody.example")).lines[0]
    return replace(found, token=replace(found.token, intent=note.with_lines(line).encoded()))
