"""Write the vectors of ``docs/spec/token.md``: the same bytes each time, from names and one time.

    .venv/bin/python -m vectors.token.make          write cases/ and trust/
    .venv/bin/python -m vectors.token.make --check  say whether they are what would be written

Each case forges exactly one thing in a whole organisation and says by which name a verifier must
refuse it. The table ``CASES`` is what a verifier is tested against; see README.md beside this.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.kit.organisation import SKEW, Broken, Organisation, signer
from tests.kit.people import PRESENT, SoftKey, SoftPasskey

from breakglass.clock import format_time
from breakglass.errors import BreakglassError, MalformedError, RefusedError, UnprovenError
from breakglass.records.card import CardMint, CardPerson, May
from breakglass.records.kinds.grants import Path as Way
from breakglass.records.signing import CARD_NAMESPACE, STATEMENT_NAMESPACE, Factor, Signed
from breakglass.records.statement import Do, digest_of, statement_text
from breakglass.records.trust import accept_trust
from breakglass.tlog.note import Note, SignatureLine, sign_note
from breakglass.tlog.proof import TlogProof
from breakglass.token.token import Token, parse_token
from breakglass.token.verify import Verifier, verify_token

HERE = Path(__file__).resolve().parent
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
STAGING = "ledger.example/staging"


@dataclass
class Case:
    """One vector: what a verifier is given."""

    org: Organisation
    token: Token | bytes
    door: str = "gate:deploy-approval"
    run: str = "42"
    now: datetime | None = None
    newest_seen: datetime | None = None
    trust: dict[str, str] = field(default_factory=dict)


Maker = Callable[[], Case]
CASES: dict[str, tuple[str, str, Maker]] = {}


def case(name: str, refused: str = "") -> Callable[[Maker], Maker]:
    """Enter a maker into the table; ``refused`` is the failure's name, empty for a good token."""

    def enter(maker: Maker) -> Maker:
        assert name not in CASES
        CASES[name] = ((maker.__doc__ or "").strip(), refused, maker)
        return maker

    return enter


def shop(**how: Any) -> Organisation:
    org = Organisation(**how)
    org.begin()
    return org


def simple(
    *, shown: dict[str, Any] | None = None, case_: dict[str, Any] | None = None, **how: Any
) -> Case:
    """Break deploy-rollback with one thing forged, and show it."""
    org = shop()
    broken = org.break_glass(**how)
    return Case(org, org.token(broken, **(shown or {})), **(case_ or {}))


def orders(**how: Any) -> tuple[Organisation, Broken]:
    org = shop()
    how["statement"] = {"glass": "orders-repair", **how.get("statement", {})}
    return org, org.break_glass(**how)


def at_minter(org: Organisation, broken: Broken, **how: Any) -> Case:
    door = "minter:orders-db"
    token = org.token(broken, broken.grant, door)
    return Case(org, token, door, broken.grant, **how)


def severe(org: Organisation, breaker: str = "mira", approver: str = "sam", **answer: Any) -> Case:
    """Break key-deletion, which takes two people."""
    said = org.statement(glass="key-deletion", who=breaker)
    signed = org.sign(said)
    yes = org.sign(org.answer(digest_of(signed.text), who=approver, **answer))
    return Case(org, org.token(org.break_glass(said=said, signed=signed, approvals=(yes,))))


# --- good tokens ------------------------------------------------------------------------------


@case("good")
def _() -> Case:
    """mira's verified security key, one glass, one gate."""
    return simple()


@case("good-minter")
def _() -> Case:
    """A glass with a minter and a scope, shown to the minter for its grant."""
    return at_minter(*orders())


@case("good-narrower-scope")
def _() -> Case:
    """Less life is asked for than the card gives."""
    return at_minter(*orders(statement={"for_s": 60}))


@case("good-two-people")
def _() -> Case:
    """A glass that takes two people; the approver is another one."""
    return severe(shop())


@case("good-approver-by-passkey")
def _() -> Case:
    """The approver signs with a passkey."""
    return severe(shop(), approver="noor")


@case("good-breaker-by-passkey")
def _() -> Case:
    """The breaker signs with a passkey."""
    return simple(statement={"who": "noor"})


@case("good-touched-only")
def _() -> Case:
    """A security key with presence and without verification is two factors."""
    return simple(statement={"who": "teo"})


@case("good-machine")
def _() -> Case:
    """A machine's intent at its minter: no holder, no presentation, run = grant."""
    org = shop()
    broken = org.break_glass(
        statement={"do": Do.MACHINE}, key=org.machine, intent={"path": Way.MACHINE}
    )
    token = replace(org.token(broken), presentation=None)
    return Case(org, token, "minter:orders-db", broken.grant)


@case("good-archived")
def _() -> Case:
    """The verifier asks for the archiver's cosignature, and it is there."""
    return simple(case_={"trust": {"level": "archived"}})


@case("good-justified")
def _() -> Case:
    """The verifier asks for the monitor's record, and it is there with its own proof."""
    org = shop()
    broken = org.break_glass()
    token = org.token(broken, justified=org.justify(broken))
    return Case(org, token, trust={"level": "justified"})


@case("good-one-witness-away")
def _() -> Case:
    """Two of three witnesses and the archiver are a quorum."""
    return simple(by=("w-sec", "w-plat", "worm"))


@case("good-one-witness-late")
def _() -> Case:
    """One cosignature is of another hour; the others meet the quorum by themselves."""
    org = shop()
    times = dict.fromkeys(("w-sec", "w-plat", "worm"), org.now)
    return Case(
        org, org.token(org.break_glass(witnessed={**times, "w-audit": org.now + 60 * MINUTE}))
    )


@case("good-before-by-the-skew")
def _() -> Case:
    """The verifier's clock is behind by less than the skew."""
    return _at(-SKEW + SECOND, shown={"presentation": {"at": Organisation().now - MINUTE}})


@case("good-at-its-end")
def _() -> Case:
    """The last moment counts."""
    return _at(30 * MINUTE)


@case("good-door")
def _() -> Case:
    """The ledger is away: two custodians countersigned, and this trust file accepts that."""
    return door_case()


# --- 0: the text ------------------------------------------------------------------------------


def _text(change: Callable[[list[str]], list[str]]) -> Case:
    found = simple()
    assert isinstance(found.token, Token)
    return replace(found, token="\n".join(change(found.token.encoded().split("\n"))).encode())


@case("text-other-header", "malformed")
def _() -> Case:
    """The first line is another version's."""
    return _text(lambda lines: ["breakglass.dev/token/v2", *lines[1:]])


@case("text-carriage-returns", "malformed")
def _() -> Case:
    """Lines end in CR LF."""
    return _text(lambda lines: [line + "\r" for line in lines[:-1]] + [""])


@case("text-no-line-end", "malformed")
def _() -> Case:
    """The last line feed is missing."""
    return _text(lambda lines: lines[:-1])


@case("text-line-twice", "malformed")
def _() -> Case:
    """The intent stands twice."""
    return _text(lambda lines: [*lines[:3], lines[2], *lines[3:]])


@case("text-out-of-order", "malformed")
def _() -> Case:
    """Intent before card."""
    return _text(lambda lines: [lines[0], lines[2], lines[1], *lines[3:]])


@case("text-proof-and-door", "malformed")
def _() -> Case:
    """A token has a proof or a door, never both."""
    return _text(lambda lines: [*lines[:4], "door", *lines[4:]])


@case("text-neither-proof-nor-door", "malformed")
def _() -> Case:
    """A token without its proof is no token."""
    return _text(lambda lines: [*lines[:3], *lines[4:]])


@case("text-unknown-line", "malformed")
def _() -> Case:
    """A word that this version does not know."""
    return _text(lambda lines: [*lines[:-1], "level witnessed", ""])


@case("text-second-spelling-of-base64", "malformed")
def _() -> Case:
    """The base64 of the card has stray bits in its last character."""
    return _text(lambda lines: [lines[0], _stray(lines[1]), *lines[2:]])


def _stray(line: str) -> str:
    # Makes the padding leave bits unused, and sets one of them.
    padded = line if line.endswith("=") else line[:-4] + "QQ=="
    at = len(padded.rstrip("=")) - 1
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = letters[letters.index(padded[at]) | 1]
    return padded[:at] + (other if other != padded[at] else "B") + padded[at + 1 :]


@case("text-not-ascii", "malformed")
def _() -> Case:
    """A byte above 0x7F outside of base64."""
    return _text(lambda lines: [*lines[:-1], "dö­or", ""])


# --- 1: the verifier's clock --------------------------------------------------------------------


@case("clock-behind-what-was-seen", "clock_behind")
def _() -> Case:
    """The verifier has seen a later cosignature; its clock was set back since."""
    found = simple()
    return replace(found, newest_seen=found.org.now + SKEW + SECOND)


@case("clock-behind-this-proof", "clock_behind")
def _() -> Case:
    """The token's own cosignatures lie ahead of the verifier's clock by more than the skew."""
    return _at(-SKEW - SECOND)


def _at(later: timedelta, **how: Any) -> Case:
    found = simple(**how)
    return replace(found, now=found.org.now + later)


# --- 2: the card --------------------------------------------------------------------------------


def _carded(
    signers: dict[str, Any] | None = None, case_: dict[str, Any] | None = None, **changes: Any
) -> Case:
    org = shop()
    card = org.card_note(signers=signers, **changes)
    return Case(org, org.token(org.break_glass(card=card)), **(case_ or {}))


@case("card-of-one-maintainer", "card_signatures")
def _() -> Case:
    """One maintainer alone signed."""
    return _carded({"ana": SoftKey.of("ana")})


@case("card-of-one-maintainer-twice", "card_signatures")
def _() -> Case:
    """One maintainer signed twice, once with another hash; that is one person."""
    org = shop()
    note = Note.parse(org.card_note(signers={"ana": org.maintainers["ana"]}))
    blob = org.maintainers["ana"].sshsig(note.text, CARD_NAMESPACE, "sha256")
    line = note.lines[0]
    twice = note.with_lines(SignatureLine(line.name, line.key_id, blob)).encoded()
    return Case(org, org.token(org.break_glass(card=twice)))


@case("card-of-strangers", "card_signatures")
def _() -> Case:
    """Two people signed under maintainers' names, with other keys."""
    return _carded({"ana": SoftKey.of("zoe"), "ben": SoftKey.of("yan")})


@case("card-signed-for-another-purpose", "namespace")
def _() -> Case:
    """The maintainers' signatures are of the policy's namespace."""
    org = shop()
    text = Note.parse(org.card_note()).text
    card = org.people_sign(text, "breakglass-policy@v1")
    return Case(org, org.token(org.break_glass(card=card)))


@case("card-altered", "signature")
def _() -> Case:
    """Somebody wrote a longer life into a signed card; the signatures do not hold."""
    org = shop()
    card = org.card_note().replace(b'"for_s":1800', b'"for_s":9999')
    return Case(org, org.token(org.break_glass(card=card)))


@case("card-expired", "card_expired")
def _() -> Case:
    """The card's time is over, the grant's is not."""
    now = Organisation().now
    return _carded(issued=now - 92 * 1440 * MINUTE, expires=now - SECOND)


@case("card-of-an-old-policy", "card_version")
def _() -> Case:
    """The trust file asks for policy 8 at least; a person was taken out in between."""
    return simple(case_={"trust": {"policy_at_least": "8"}})


@case("card-of-another-log", "card_log")
def _() -> Case:
    """The card is of the staging log."""
    return _carded(log=STAGING)


@case("card-with-one-key-for-two-people", "shared_key")
def _() -> Case:
    """One key stands under two names: one person could be breaker and approver."""
    org = shop()
    text = Note.parse(org.card_note("key-deletion")).text
    text = text.replace(org.people["sam"].public, org.people["mira"].public)
    card = org.people_sign(text, CARD_NAMESPACE)
    return Case(org, replace(org.token(org.break_glass()), card=card))


@case("card-that-lives-too-long", "malformed")
def _() -> Case:
    """A card of 93 days."""
    org = shop()
    text = Note.parse(org.card_note()).text
    text = text.replace(
        format_time(org.now + timedelta(days=92)), format_time(org.now + timedelta(days=93))
    )
    card = org.people_sign(text, CARD_NAMESPACE)
    return Case(org, replace(org.token(org.break_glass()), card=card))


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
        intent={"path": Way.MACHINE, "gates": ("deploy-approval",)},
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
    return Case(org, org.token(org.break_glass(signed=Signed(other, _blob(signed)))))


@case("statement-signed-for-another-purpose", "namespace")
def _() -> Case:
    """mira's signature is of the token's namespace."""
    org = shop()
    text = statement_text(org.statement())
    person = org.people["mira"]
    assert not isinstance(person, SoftPasskey)
    blob = _blob(person.sign(text, "breakglass-token@v1"))
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
    org = shop()
    people = dict(org.card().people)
    people["sam"] = CardPerson((May.APPROVE,), people["sam"].keys)
    return _carded_by("sam", people=people)


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


@case("machine-with-an-approval", "wrong_do")
def _() -> Case:
    """Statements behind a machine's are checked by nobody, so none may stand there."""
    org = shop()
    said = org.statement(do=Do.MACHINE)
    signed = org.sign(said, org.machine)
    yes = org.sign(org.answer(digest_of(signed.text)))
    broken = org.break_glass(
        said=said, signed=signed, approvals=(yes,), intent={"path": Way.MACHINE}
    )
    token = replace(org.token(broken), presentation=None)
    return Case(org, token, "minter:orders-db", broken.grant)


def _machine(key: SoftKey | None = None, **said: Any) -> Case:
    org = shop()
    other = CardMint("other-db", "postgres", {"databases": ("orders",), "roles": ("repair",)})
    card = org.card_note("auto-rollback", mints=(*org.card("auto-rollback").mints, other))
    broken = org.break_glass(
        statement={"do": Do.MACHINE, **said},
        key=key or org.machine,
        card=card,
        intent={"path": Way.MACHINE},
    )
    token = replace(org.token(broken), presentation=None)
    return Case(org, token, f"minter:{broken.statement.minter}", broken.grant)


@case("machine-unknown", "unknown_person")
def _() -> Case:
    """A machine that the card does not name."""
    return _machine(who="reboot-on-5xx")


@case("machine-by-another-key", "foreign_key")
def _() -> Case:
    """A person's key signs as the machine."""
    return _machine(SoftKey.of("bo"))


@case("machine-through-another-minter", "wrong_minter")
def _() -> Case:
    """The card asks this minter for people, and another one for the machine."""
    return _machine(minter="other-db")


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


def door_case(
    *,
    signers: tuple[str, ...] = ("ines", "ravi"),
    do: Do = Do.DOOR,
    accepts: str = "yes",
    org: Organisation | None = None,
    **how: Any,
) -> Case:
    org = org or shop()
    broken = org.break_glass(statement={"do": do, **how.pop("statement", {})}, **how)
    lines = [org.door_line(broken.note, name) for name in signers]
    note = Note.parse(broken.note).with_lines(*lines).encoded()
    return Case(org, org.token(broken, intent=note, proof=None), trust={"door": accepts})


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


# --- 7: now ---------------------------------------------------------------------------------------


@case("not-yet-valid", "not_yet_valid")
def _() -> Case:
    """It begins in three minutes."""
    start = Organisation().now + 3 * MINUTE
    return simple(intent={"not_before": start})


@case("expired", "expired")
def _() -> Case:
    """A millisecond after its end; the skew is given before, never after."""
    return _at(30 * MINUTE + timedelta(milliseconds=1))


# --- 8: the holder --------------------------------------------------------------------------------


@case("not-presented", "holder")
def _() -> Case:
    """Nobody signed that they show it here."""
    found = simple()
    assert isinstance(found.token, Token)
    return replace(found, token=replace(found.token, presentation=None))


@case("presented-by-another", "holder")
def _() -> Case:
    """Somebody who found the token signs with their own key."""
    return simple(shown={"key": SoftKey.of("a thief")})


@case("presented-for-another-purpose", "holder")
def _() -> Case:
    """The holder key's signature is of another namespace."""
    return simple(shown={"namespace": STATEMENT_NAMESPACE})


@case("presented-for-another-grant", "holder")
def _() -> Case:
    """The presentation of another grant with the same holder key."""
    return simple(shown={"presentation": {"statement": "ab" * 32}})


@case("presented-to-another-door", "wrong_door")
def _() -> Case:
    """Signed for another gate and carried over here."""
    return simple(shown={"to": "gate:orders-write"})


@case("presented-for-another-run", "wrong_run")
def _() -> Case:
    """The same presentation again, in the next run."""
    return simple(case_={"run": "43"})


@case("presented-before-it-was-asked-for", "presentation_time")
def _() -> Case:
    """The presentation is older than the statement."""
    return simple(shown={"presentation": {"at": Organisation().now - SKEW - SECOND}})


@case("presented-in-the-future", "presentation_time")
def _() -> Case:
    """Signed in advance, for later."""
    return simple(shown={"presentation": {"at": Organisation().now + SKEW + SECOND}})


@case("machine-shown-by-somebody", "holder")
def _() -> Case:
    """Nobody holds a machine's intent."""
    org = shop()
    broken = org.break_glass(
        statement={"do": Do.MACHINE}, key=org.machine, intent={"path": Way.MACHINE}
    )
    return at_minter(org, broken)


def _blob(signed: Any) -> str:
    assert isinstance(signed, Signed)
    return signed.sshsig


# --- writing --------------------------------------------------------------------------------------

KINDS = {MalformedError: "malformed", RefusedError: "refused", UnprovenError: "unproven"}


def outcome(found: Case) -> dict[str, object]:
    """Run our own verifier on a case and say what came of it."""
    org = found.org
    trust = accept_trust(Note.parse(org.trust_note(**found.trust)), None)
    verifier = Verifier(trust, found.door, found.newest_seen)
    try:
        shown = verify_token(parse_token(data_of(found)), verifier, found.run, found.now or org.now)
    except BreakglassError as error:
        return {"accepted": False, "kind": KINDS[type(error)], "name": error.name}
    return {
        "accepted": True,
        "grant": shown.intent.grant,
        "who": shown.intent.who,
        "index": shown.index,
        "factors": {who: factor.value for who, factor in sorted(shown.asking.factors.items())},
        "cosigned": {name: format_time(at) for name, at in sorted(shown.cosigned.items())},
    }


def data_of(found: Case) -> bytes:
    """Return the token's bytes."""
    return found.token if isinstance(found.token, bytes) else found.token.encoded().encode()


def files() -> dict[str, str]:
    """Return every file of the vectors, by its path here."""
    written: dict[str, str] = {}
    trusts: dict[bytes, str] = {}
    for name, (about, refused, maker) in CASES.items():
        found = maker()
        result = outcome(found)
        wanted = (not refused, refused)
        got = (result["accepted"], result.get("name", ""))
        if got != wanted:
            raise AssertionError(f"{name}: wanted {wanted}, got {got}")
        note = found.org.trust_note(**found.trust)
        path = trusts.setdefault(note, f"trust/{len(trusts) + 1}.trust")
        written[path] = note.decode()
        value = {
            "about": about,
            "trust": path,
            "door": found.door,
            "run": found.run,
            "now": format_time(found.now or found.org.now),
            "newest_seen": format_time(found.newest_seen) if found.newest_seen else None,
            "token": data_of(found).decode(),
            "outcome": result,
        }
        written[f"cases/{name}.json"] = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    return written


def main(arguments: list[str]) -> int:
    """Write the files, or check them."""
    wanted = files()
    found = {
        str(path.relative_to(HERE)): path.read_bytes().decode()
        for folder in ("cases", "trust")
        for path in sorted((HERE / folder).glob("*"))
    }
    if "--check" in arguments:
        wrong = sorted(
            name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)
        )
        print("\n".join(wrong) or f"{len(CASES)} cases are as they would be written")
        return 1 if wrong else 0
    for name in found.keys() - wanted.keys():
        (HERE / name).unlink()
    for name, text in wanted.items():
        (HERE / name).parent.mkdir(exist_ok=True)
        (HERE / name).write_bytes(text.encode())
    print(f"wrote {len(CASES)} cases")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
