"""Forged: the intent, and what people signed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.kit.organisation import Organisation, signer
from tests.kit.people import PRESENT, SoftKey, SoftPasskey

from breakglass.records.people_list import May, PeopleList, PersonLine
from breakglass.records.signing.signature import (
    Factor,
    Signed,
)
from breakglass.records.statement import Do, digest_of, statement_text

from .forging import (
    SECOND,
    STAGING,
    Case,
    at_minter,
    blob_of,
    case,
    severe,
    shop,
    simple,
)

# --- 3: the intent ------------------------------------------------------------------------------


@case("intent-by-a-gate", "submitter_role")
def _() -> Case:
    """A stolen gate key writes an intent, and it gets a valid proof."""
    return simple(role="gate:deploy-approval")


@case("intent-by-the-monitor", "submitter_role")
def _() -> Case:
    """The monitor may not decide."""
    return simple(role="monitor")


@case("intent-by-a-stranger", "submitter")
def _() -> Case:
    """Signed by a key that the trust file does not name."""
    return simple(signed_by=signer("broker-b.shop.example"))


@case("intent-altered", "signature")
def _() -> Case:
    """One digit of the signed intent is another."""
    org = shop()
    broken = org.break_glass()
    note = broken.note.replace(b'"who":"mira"', b'"who":"mirb"')
    return Case(org, org.token(broken, intent=note))


@case("intent-of-another-card", "wrong_card")
def _() -> Case:
    """The card of another glass stands in the place of the intent's own."""
    org = shop()
    return Case(org, org.token(org.break_glass(), card=org.card_note("orders-repair")))


@case("intent-of-a-card-issued-again", "wrong_card")
def _() -> Case:
    """A card of the same glass, issued a second later: another text, another card."""
    org = shop()
    card = org.card_note(issued=org.now + SECOND)
    return Case(org, org.token(org.break_glass(), card=card))


@case("intent-of-another-log", "wrong_log")
def _() -> Case:
    """The record was written for the staging log, with keys that are good here too."""
    return simple(envelope={"log": STAGING})


@case("intent-of-another-policy", "wrong_policy")
def _() -> Case:
    """Card and intent name two policies."""
    return simple(intent={"policy": "ab" * 32}, statement={"policy": "ab" * 32})


@case("intent-with-another-id", "wrong_id")
def _() -> Case:
    """The handle is another grant's: ending that one would end this credential."""
    return simple(intent={"handle": "bg_aaaaaaaaaaaa"})


@case("intent-for-another-gate", "wrong_gate")
def _() -> Case:
    """The glass opens another gate than the one that is asked."""
    return simple(shown={"to": "gate:orders-write"}, case_={"door": "gate:orders-write"})


@case("intent-that-opens-what-the-card-does-not", "wrong_gate")
def _() -> Case:
    """The intent names the gate, the card does not."""
    return simple(
        intent={"gates": ("deploy-approval", "orders-write")},
        shown={"to": "gate:orders-write"},
        case_={"door": "gate:orders-write"},
    )


@case("intent-for-another-minter", "wrong_minter")
def _() -> Case:
    """A glass that mints nothing is shown to a minter."""
    org = shop()
    broken = org.break_glass()
    return at_minter(org, broken)


@case("machine-at-a-gate", "wrong_gate")
def _() -> Case:
    """A machine's statement opens no gate."""
    org = shop()
    broken = org.break_glass(
        statement={"do": Do.MACHINE},
        key=org.machine,
        card=org.card_note("auto-rollback", gates=("deploy-approval",)),
        intent={"gates": ("deploy-approval",)},
    )
    return Case(org, replace(org.token(broken), presentation=None))


@case("not-an-intent", "not_an_intent")
def _() -> Case:
    """The broker's record that somebody asked, in the place of an intent."""
    org = shop()
    broken = org.break_glass()
    asked = org.record("broker", org.asked(broken.signed), "x/asked")
    return Case(org, org.token(broken, intent=asked))


# --- 4: the statements ----------------------------------------------------------------------------


@case("no-statement", "no_statement")
def _() -> Case:
    """The broker's own key writes an intent that no person signed, and it gets a valid proof."""
    return simple(intent={"statements": ()})


@case("statement-by-another-key", "foreign_key")
def _() -> Case:
    """sam signed, the statement says mira."""
    return simple(key=Organisation().people["sam"])


@case("statement-altered", "signature")
def _() -> Case:
    """The broker put another reason into what mira signed."""
    org = shop()
    said = org.statement()
    signed = org.sign(said)
    other = statement_text(replace(said, incident="INC-9999"))
    return Case(org, org.token(org.break_glass(signed=Signed(other, blob_of(signed)))))


@case("statement-signed-for-another-purpose", "namespace")
def _() -> Case:
    """mira's signature is of the token's namespace."""
    org = shop()
    text = statement_text(org.statement())
    person = org.people["mira"]
    assert not isinstance(person, SoftPasskey)
    blob = blob_of(person.sign(text, "breakglass-token@v1"))
    return Case(org, org.token(org.break_glass(signed=Signed(text, blob))))


@case("statement-without-touch", "presence")
def _() -> Case:
    """The security key signed and nobody touched it."""
    return simple(key=Organisation().people["mira"].with_flags(0))


@case("statement-of-a-stranger", "unknown_person")
def _() -> Case:
    """Somebody who is not on the card."""
    return simple(statement={"who": "zoe"}, key=SoftKey.of("zoe"))


@case("statement-of-one-who-may-only-approve", "unknown_person")
def _() -> Case:
    """An approver breaks."""
    org = Organisation()
    lines = {**org.card_people().by_name}
    lines["sam"] = PersonLine("sam", (May.APPROVE,), lines["sam"].keys)
    org.lists["deploy-rollback"] = PeopleList(lines.values())
    org.begin()
    return Case(org, org.token(org.break_glass(statement={"who": "sam"})))


def _carded_by(who: str, **changes: Any) -> Case:
    org = shop()
    card = org.card_note(**changes)
    return Case(org, org.token(org.break_glass(card=card, statement={"who": who})))


@case("statement-by-a-software-key", "weak_factor")
def _() -> Case:
    """The card asks for two factors; a software key is one."""
    return simple(statement={"who": "bo"})


@case("statement-unverified-where-verification-is-asked", "weak_factor")
def _() -> Case:
    """The card asks for a verified user; the key was only touched."""
    return _carded_by("teo", factor=Factor.PHISHING_RESISTANT)


@case("passkey-unverified", "presence")
def _() -> Case:
    """The passkey did not verify its user."""
    noor = SoftPasskey.of("noor").with_flags(PRESENT)
    return simple(statement={"who": "noor"}, key=noor)


@case("passkey-of-another-domain", "namespace")
def _() -> Case:
    """The same key, asked by another domain's page."""
    noor = replace(SoftPasskey.of("noor"), relying_party="phish.example")
    return simple(statement={"who": "noor"}, key=noor)


@case("passkey-of-another-text", "signature")
def _() -> Case:
    """A passkey's signature over something else."""
    org = shop()
    said = org.statement(who="noor")
    other = SoftPasskey.of("noor").sign(statement_text(replace(said, nonce="ff" * 16)))
    signed = replace(other, text=statement_text(said))
    return Case(org, org.token(org.break_glass(said=said, signed=signed)))


@case("breaker-did-not-break", "wrong_do")
def _() -> Case:
    """The first statement is an approval."""
    org = shop()
    yes = org.sign(org.answer("ab" * 32))
    return Case(org, org.token(org.break_glass(signed=yes)))


@case("too-few-people", "too_few_people")
def _() -> Case:
    """The glass takes two people; one signed."""
    return simple(statement={"glass": "key-deletion"})


@case("approver-is-the-breaker", "same_person")
def _() -> Case:
    """sam breaks and approves."""
    return severe(shop(), breaker="sam")


@case("approver-says-no", "wrong_do")
def _() -> Case:
    """A signed refusal stands where an approval must."""
    return severe(shop(), do=Do.REFUSE)


@case("approver-may-not", "unknown_person")
def _() -> Case:
    """teo may break this glass, and approve nothing."""
    return severe(shop(), approver="teo")


@case("approval-of-another-statement", "wrong_answer")
def _() -> Case:
    """An approval from yesterday, of another statement."""
    return severe(shop(), answers="ab" * 32)


@case("approval-of-another-log", "wrong_log")
def _() -> Case:
    """The approval was signed for the staging log."""
    return severe(shop(), log=STAGING)


@case("approval-of-a-stranger-of-another-log", "unknown_person")
def _() -> Case:
    """Each statement in turn, and in each who comes first: the log is looked at behind that."""
    org = shop()
    said = org.statement(glass="key-deletion")
    signed = org.sign(said)
    answer = org.answer(digest_of(signed.text), who="zoe", log=STAGING)
    yes = org.sign(answer, SoftKey.of("zoe"))
    broken = org.break_glass(said=said, signed=signed, approvals=(yes,))
    return Case(org, org.token(broken))


@case("breaker-unknown-before-an-approver-who-says-no", "unknown_person")
def _() -> Case:
    """What is wrong with the first statement is said before the second is read."""
    org = shop()
    said = org.statement(glass="key-deletion", who="zoe")
    signed = org.sign(said, SoftKey.of("zoe"))
    no = org.sign(org.answer(digest_of(signed.text), do=Do.REFUSE))
    return Case(org, org.token(org.break_glass(said=said, signed=signed, approvals=(no,))))


@case("custodian-behind-an-everyday-statement", "wrong_do")
def _() -> Case:
    """Custodians countersign doors and nothing else."""
    org = shop()
    said = org.statement()
    signed = org.sign(said)
    word = org.countersign(digest_of(signed.text))
    return Case(org, org.token(org.break_glass(said=said, signed=signed, approvals=(word,))))
