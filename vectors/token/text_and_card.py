"""Forged: the text, the verifier's clock, the card."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from tests.kit.organisation import SKEW, Organisation
from tests.kit.people import SoftKey

from breakglass.clock import format_time
from breakglass.records.signing.signature import CARD_NAMESPACE
from breakglass.tlog.note import Note, SignatureLine
from breakglass.token.token import Token

from .forging import (
    MINUTE,
    SECOND,
    STAGING,
    Case,
    at_minter,
    at_time,
    case,
    machine,
    severe,
    shop,
    simple,
)

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
    return _text(lambda lines: [*lines[:5], "door", *lines[5:]])


@case("text-neither-proof-nor-door", "malformed")
def _() -> Case:
    """A token without its proof is no token."""
    return _text(lambda lines: [*lines[:4], *lines[5:]])


@case("text-person-twice", "malformed")
def _() -> Case:
    """The line of one place stands twice."""
    return _text(lambda lines: [*lines[:4], lines[3], *lines[4:]])


@case("text-person-with-half-a-hash", "malformed")
def _() -> Case:
    """A path of 31 bytes."""
    half = base64.b64encode(bytes(31)).decode()
    return _text(lambda lines: [*lines[:3], f"{lines[3].rpartition(' ')[0]} {half}", *lines[4:]])


@case("text-person-with-a-path-too-long", "malformed")
def _() -> Case:
    """Eighteen hashes; no list is so deep."""
    path = base64.b64encode(bytes(18 * 32)).decode()
    return _text(lambda lines: [*lines[:3], f"{lines[3].rpartition(' ')[0]} {path}", *lines[4:]])


@case("text-person-with-an-index-of-another-spelling", "malformed")
def _() -> Case:
    """A zero before the index."""
    return _text(lambda lines: [*lines[:3], lines[3].replace("person ", "person 0"), *lines[4:]])


@case("text-person-before-the-intent", "malformed")
def _() -> Case:
    """A person's line stands behind the intent."""
    return _text(lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]])


@case("text-people-out-of-order", "malformed")
def _() -> Case:
    """Two people, the later place first."""
    found = severe(shop())
    assert isinstance(found.token, Token)
    people = tuple(reversed(found.token.people))
    return replace(found, token=replace(found.token, people=people))


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
    return at_time(-SKEW - SECOND)


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


@case("card-malformed-and-altered", "signature")
def _() -> Case:
    """What nobody signed is not read: a card that is none, and whose signatures do not hold."""
    org = shop()
    card = org.card_note().replace(b'"for_s":1800', b'"for_s":"no"')
    return Case(org, org.token(org.break_glass(), card=card))


def _signed_card(before: str, after: str) -> Case:
    org = shop()
    text = Note.parse(org.card_note()).text
    assert before in text
    card = org.people_sign(text.replace(before, after), CARD_NAMESPACE)
    return Case(org, org.token(org.break_glass(), card=card))


@case("card-with-gates-out-of-order", "malformed")
def _() -> Case:
    """Maintainers signed it; still it is no card."""
    return _signed_card('["deploy-approval"]', '["deploy-approval","a-gate"]')


@case("card-with-one-gate-twice", "malformed")
def _() -> Case:
    """A list holds each value once."""
    return _signed_card('["deploy-approval"]', '["deploy-approval","deploy-approval"]')


@case("card-that-asks-for-fewer-than-it-breaks-with", "malformed")
def _() -> Case:
    """Asking must not be the cheaper way."""
    return _signed_card('"need":0', '"need":2')


@case("card-of-a-tier-that-is-none", "malformed")
def _() -> Case:
    """There is no tier of machines."""
    return _signed_card('"tier":"self"', '"tier":"machine"')


@case("card-that-runs-a-relative-program", "malformed")
def _() -> Case:
    """What a relative path means is for the minter's folder to say."""
    org = shop()
    text = Note.parse(org.card_note("auto-rollback")).text
    card = org.people_sign(text.replace("/usr/local/bin/rollback", "rollback"), CARD_NAMESPACE)
    return machine(org, card=card)


@case("card-whose-machine-has-no-act", "malformed")
def _() -> Case:
    """A machine runs an act of its minter's entry."""
    org = shop()
    text = Note.parse(org.card_note("auto-rollback")).text
    card = org.people_sign(text.replace('"act":"undo"', '"act":"redo"'), CARD_NAMESPACE)
    return machine(org, card=card)


@case("card-with-a-source-that-is-no-network", "malformed")
def _() -> Case:
    """Bits stand behind the prefix."""
    org = shop()
    text = Note.parse(org.card_note("orders-repair")).text
    text = text.replace('"roles":["repair"]', '"roles":["repair"],"source":["10.0.0.1/8"]')
    card = org.people_sign(text, CARD_NAMESPACE)
    return at_minter(org, org.break_glass(statement={"glass": "orders-repair"}, card=card))


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
