"""Forged: asks, the lines of people on a card's list, keys, machines and acts."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.kit.organisation import Organisation
from tests.kit.people import SoftKey

from breakglass.records.card import CardMint
from breakglass.records.people_list import CarriedLine, May, PeopleList, PersonLine, line_bytes
from breakglass.records.signing.signature import (
    CARD_NAMESPACE,
    STATEMENT_NAMESPACE,
    Signed,
)
from breakglass.records.statement import Do, digest_of, statement_text
from breakglass.tlog.note import Note

from .forging import (
    Case,
    approvals,
    asked,
    at_minter,
    blob_of,
    case,
    forged_list,
    machine,
    orders,
    shop,
    signed_as,
)

# --- asking ---------------------------------------------------------------------------------------


@case("ask-without-approval-on-a-self-card", "too_few_people")
def _() -> Case:
    """mira asked, nobody answered, and the broker wrote the glass that she did not choose."""
    return asked(shop())


@case("ask-with-need-but-not-ask-need", "too_few_people")
def _() -> Case:
    """One approval is enough to break this glass with, and not to ask for it."""
    return asked(shop(), "sam", statement={"glass": "key-deletion"})


@case("ask-where-nobody-is-asked", "wrong_do")
def _() -> Case:
    """This glass is broken, and cannot be asked for."""
    org = shop()
    return asked(org, "sam", card=org.card_note(ask_need=0))


@case("break-with-an-approval-of-the-ask", "wrong_answer")
def _() -> Case:
    """sam approved the ask that went before; the break is another statement."""
    org = shop()
    ask = org.sign(org.statement(do=Do.ASK, glass="key-deletion"))
    after = digest_of(ask.text)
    said = org.statement(glass="key-deletion", after=after, nonce="ab" * 16)
    broken = org.break_glass(said=said, approvals=approvals(org, ask, "sam"))
    return Case(org, org.token(broken))


def _mira(org: Organisation) -> tuple[CarriedLine, ...]:
    return org.card_people().carried(["mira"])


@case("ask-with-after", "unknown_field")
def _() -> Case:
    """A field of another form."""
    org = shop()
    signed = signed_as(org, org.statement(do=Do.ASK), ('"at"', '"after":"","at"'))
    return Case(org, org.token(org.break_glass(signed=signed), people=_mira(org)))


@case("break-with-starts", "unknown_field")
def _() -> Case:
    """What is broken begins at once; there is no field that says otherwise."""
    org = shop()
    signed = signed_as(org, org.statement(), ('"ticket"', '"starts":"","ticket"'))
    return Case(org, org.token(org.break_glass(signed=signed), people=_mira(org)))


@case("drill-too-long", "malformed")
def _() -> Case:
    """A drill of more than twenty minutes is a credential."""
    org = shop()
    said = org.statement(drill=True, for_s=1200)
    signed = signed_as(org, said, ('"for_s":1200', '"for_s":1201'))
    return Case(
        org,
        org.token(org.break_glass(said=said, signed=signed), people=_mira(org)),
    )


# --- people on the list ---------------------------------------------------------------------------


def _with_people(change: Callable[[tuple[CarriedLine, ...]], tuple[CarriedLine, ...]]) -> Case:
    org = shop()
    broken = org.break_glass()
    return Case(org, org.token(broken, people=change(org.carried(broken))))


@case("person-not-carried", "unknown_person")
def _() -> Case:
    """Without her line nobody can say who mira is."""
    return _with_people(lambda lines: ())


@case("person-with-another-right", "person_unproven")
def _() -> Case:
    """The broker lets teo, who is on the list, approve."""
    org = shop()
    said = org.statement(glass="key-deletion")
    signed = org.sign(said)
    broken = org.break_glass(said=said, signed=signed, approvals=approvals(org, signed, "teo"))
    lines = [
        replace(each, line=each.line.replace(b'["break"],"who":"teo"', b'["approve"],"who":"teo"'))
        for each in org.carried(broken)
    ]
    return Case(org, org.token(broken, people=tuple(lines)))


@case("person-at-another-place", "person_unproven")
def _() -> Case:
    """The right line and path, and another index."""
    return _with_people(lambda lines: (replace(lines[0], index=lines[0].index + 1),))


@case("person-behind-the-list", "person_unproven")
def _() -> Case:
    """An index that the list does not have."""
    return _with_people(lambda lines: (replace(lines[0], index=5),))


@case("person-with-a-path-too-long", "person_unproven")
def _() -> Case:
    """One hash more than the tree is deep."""
    return _with_people(lambda lines: (replace(lines[0], path=(*lines[0].path, bytes(32))),))


@case("person-with-a-path-too-short", "person_unproven")
def _() -> Case:
    """One hash less."""
    return _with_people(lambda lines: (replace(lines[0], path=lines[0].path[:-1]),))


@case("person-of-another-cards-list", "person_unproven")
def _() -> Case:
    """A line that the maintainers put on another glass's list."""
    org = Organisation()
    lines = {**org.card_people().by_name}
    lines.pop("mira")
    org.lists["deploy-rollback"] = PeopleList(lines.values())
    org.begin()
    broken = org.break_glass()
    return Case(org, org.token(broken, people=org.card_people("orders-repair").carried(["mira"])))


@case("person-who-signed-nothing", "people_malformed")
def _() -> Case:
    """A token names nobody without need."""
    org = shop()
    lines = org.card_people().carried(["mira", "sam"])
    return Case(org, org.token(org.break_glass(), people=lines))


def _forged_people(*lines: PersonLine | bytes, glass: str = "deploy-rollback") -> Case:
    org = shop()
    root, carried = forged_list(*lines)
    said = org.statement(glass=glass)
    signed = org.sign(said)
    yes = approvals(org, signed, "sam") if glass == "key-deletion" else ()
    broken = org.break_glass(
        said=said, signed=signed, approvals=yes, card=org.card_note(glass, people=root)
    )
    return Case(org, org.token(broken, people=carried))


@case("people-with-one-key-for-two", "shared_key")
def _() -> Case:
    """One key stands under two names: one person could be breaker and approver."""
    key = (Organisation().people["mira"].public,)
    return _forged_people(
        PersonLine("mira", (May.BREAK,), key),
        PersonLine("sam", (May.APPROVE,), key),
        glass="key-deletion",
    )


@case("person-with-the-machines-key", "shared_key")
def _() -> Case:
    """The machine of the card and mira have one key."""
    org = shop()
    key = (org.machine.public,)
    root, carried = forged_list(PersonLine("mira", (May.BREAK,), key))
    card = org.card_note("auto-rollback", people=root)
    broken = org.break_glass(statement={"glass": "auto-rollback"}, card=card)
    token = org.token(broken, broken.grant, "minter:orders-db", people=carried)
    return Case(org, token, "minter:orders-db", broken.grant)


@case("person-with-rights-out-of-order", "malformed")
def _() -> Case:
    """A line has one spelling."""
    mira = PersonLine("mira", (May.APPROVE, May.BREAK), (Organisation().people["mira"].public,))
    return _forged_people(line_bytes(mira).replace(b'"approve","break"', b'"break","approve"'))


@case("person-in-another-spelling", "not_canonical")
def _() -> Case:
    """A space more in a line that is on the list."""
    mira = PersonLine("mira", (May.BREAK,), (Organisation().people["mira"].public,))
    return _forged_people(line_bytes(mira).replace(b',"who"', b', "who"'))


@case("person-with-a-key-that-is-none", "bad_ssh_key")
def _() -> Case:
    """A point of small order: anybody can sign under it."""
    small = base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0 " + b"\x01" + bytes(31)).decode()
    return _forged_people(PersonLine("mira", (May.BREAK,), (f"ssh-ed25519 {small}",)))


@case("person-with-a-key-of-another-spelling", "bad_ssh_key")
def _() -> Case:
    """A y that is not below the field's prime."""
    odd = base64.b64encode(
        b"\0\0\0\x0bssh-ed25519\0\0\0 " + (2**255 - 19 + 3).to_bytes(32, "little")
    ).decode()
    return _forged_people(PersonLine("mira", (May.BREAK,), (f"ssh-ed25519 {odd}",)))


@case("statement-signed-beyond-the-order", "signature")
def _() -> Case:
    """S and the group order added: another spelling of a signature that holds."""
    org = shop()
    said = org.statement(who="bo")
    signed = org.sign(said)
    blob = bytearray(base64.b64decode(blob_of(signed)))
    order = 2**252 + 27742317777372353535851937790883648493
    blob[-32:] = (int.from_bytes(blob[-32:], "little") + order).to_bytes(32, "little")
    again = Signed(signed.text, base64.b64encode(bytes(blob)).decode())
    return Case(org, org.token(org.break_glass(said=said, signed=again)))


@case("statement-altered-and-untouched", "signature")
def _() -> Case:
    """A signature that does not hold is said before a touch that is missing."""
    org = shop()
    said = org.statement()
    other = org.people["mira"].with_flags(0).sign(statement_text(said), STATEMENT_NAMESPACE)
    text = statement_text(replace(said, incident="INC-9999"))
    return Case(org, org.token(org.break_glass(said=said, signed=Signed(text, blob_of(other)))))


# --- machines and acts ----------------------------------------------------------------------------


@case("machine-with-an-approval", "wrong_do")
def _() -> Case:
    """Statements behind a machine's are checked by nobody, so none may stand there."""
    org = shop()
    said = org.statement(do=Do.MACHINE)
    signed = org.sign(said, org.machine)
    return machine(org, said=said, signed=signed, approvals=approvals(org, signed, "sam"))


@case("machine-with-need", "malformed")
def _() -> Case:
    """A machine on a card that takes two people would be the second one's way around."""
    org = shop()
    text = Note.parse(org.card_note("auto-rollback")).text.replace('"need":0', '"need":1')
    card = org.people_sign(text, CARD_NAMESPACE)
    return machine(org, card=card)


def _machine(key: SoftKey | None = None, **said: Any) -> Case:
    org = shop()
    runner = org.card("auto-rollback").mints[0]
    mints = (replace(runner, acts={**runner.acts, "again": runner.acts["undo"]}),)
    mints += (CardMint("other-db", "postgres", {}, runner.acts),)
    card = org.card_note("auto-rollback", mints=mints)
    return machine(org, statement=said, key=key or org.machine, card=card)


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


@case("machine-with-another-act", "wrong_act")
def _() -> Case:
    """The card lets people have this act run, and the machine another one."""
    return _machine(act="again")


@case("act-where-a-credential-is-handed-out", "wrong_act")
def _() -> Case:
    """An entry without acts runs nothing."""
    return at_minter(*orders(statement={"act": "undo"}))


@case("no-act-where-acts-are-run", "wrong_act")
def _() -> Case:
    """An entry with acts hands out no credential."""
    org = shop()
    broken = org.break_glass(statement={"glass": "auto-rollback", "act": ""})
    return at_minter(org, broken)


@case("act-that-the-card-does-not-name", "wrong_act")
def _() -> Case:
    """mira asks for an act of her own."""
    org = shop()
    broken = org.break_glass(statement={"glass": "auto-rollback", "act": "redo"})
    return at_minter(org, broken)
