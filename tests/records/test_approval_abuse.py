"""Approvals that nobody gave, as a stolen broker beside an honest one would write them.

Each row is one abuse: what the stolen broker writes, and by which name the fold refuses it. Where
the intent itself shows it, a token made of it is refused too, by whoever is offline; where only the
log shows it, an offline gate cannot know, and who follows the log does (docs/threat-model.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from breakglass.errors import BreakglassError
from breakglass.records import all_kinds as kinds
from breakglass.records.grant import Path
from breakglass.records.kinds.answered import Reply
from breakglass.records.kinds.incident import IncidentChange
from breakglass.records.people_list import CarriedLine, May, PeopleList, PersonLine
from breakglass.records.signing.signature import PRESENTATION_NAMESPACE, Signature
from breakglass.records.statement import Do, Target, digest_of, parse_statement
from breakglass.token.verify import verify_token

from ..kit.organisation import NOW, SECOND, SKEW, Broken, Organisation
from ..kit.people import SoftKey
from .folding import MINUTE, holds, last
from .test_fold_wishes import two_brokers

GLASS = "deploy-rollback"


@dataclass
class Night:
    """Mira's ask at an honest broker, and a stolen second one that knows all about it.

    ``card`` is the one that was in force when she asked.
    """

    org: Organisation
    stolen: Any
    glass: str = GLASS
    card: bytes = b""
    said: Any = None
    signed: Any = None
    nonces: list[str] = field(default_factory=lambda: [f"{each:032x}" for each in range(900, 1000)])

    def asks(self, **said: Any) -> Night:
        self.card = self.org.card_note(said.get("glass", self.glass))
        self.glass = said.get("glass", self.glass)
        self.said = self.org.statement(do=Do.ASK, nonce=self.nonces.pop(), **said)
        self.signed = self.org.sign(self.said)
        holds(self.org.state_that("broker", self.org.asked(self.signed)))
        return self

    @property
    def digest(self) -> str:
        return digest_of(self.signed.text)

    @property
    def grant(self) -> str:
        return self.org.asked(self.signed).grant

    def yes(self, who: str = "sam", key: Any = None, **changes: Any) -> Signature:
        answers = changes.pop("answers", self.digest)
        namespace = changes.pop("namespace", None)
        said = self.org.answer(answers, who=who, nonce=self.nonces.pop(), at=self.org.now)
        said = replace(said, **changes)
        return self.org.sign(said, key, *([namespace] if namespace else []))

    def recorded(self, word: Signature, reply: Reply = Reply.YES) -> None:
        holds(self.org.state_that("broker", kinds.Answered(self.grant, reply, word, ())))

    def takes(self, *approvals: Signature, **how: Any) -> Broken:
        """Have the stolen broker write the intent."""
        return self.org.break_glass(
            **{"said": self.said, "signed": self.signed, "card": self.card, **how},
            approvals=approvals,
            role=self.stolen,
        )


Abuse = Callable[[Night], Broken]


def own_yes(night: Night) -> Broken:
    return night.takes(night.yes("mira", do=Do.APPROVE))


def own_second_key_under_another_name(night: Night) -> Broken:
    return night.takes(night.yes("sam", key=night.org.people["mira"]))


def an_alias_of_the_asker(night: Night) -> Broken:
    return night.takes(night.yes("mira-x", key=night.org.people["mira"]))


def nobodys_yes(night: Night) -> Broken:
    return night.takes()


def the_asks_own_signature_as_its_approval(night: Night) -> Broken:
    return night.takes(night.signed)


def one_approver_twice(night: Night) -> Broken:
    return night.takes(night.yes("sam"), night.yes("sam"))


def the_very_same_yes_twice(night: Night) -> Broken:
    yes = night.yes("sam")
    return night.takes(yes, yes)


def one_yes_where_two_are_needed(night: Night) -> Broken:
    return night.takes(night.yes("sam"))


def a_yes_to_another_ask(night: Night) -> Broken:
    other = night.org.sign(night.org.statement(do=Do.ASK, nonce=night.nonces.pop()))
    return night.takes(night.yes(answers=digest_of(other.text)))


def the_same_ask_signed_anew_under_the_old_yes(night: Night) -> Broken:
    yes = night.yes()
    again = replace(night.said, nonce=night.nonces.pop())
    return night.takes(yes, said=again, signed=night.org.sign(again))


def a_yes_to_the_ask_for_the_break_behind_it(night: Night) -> Broken:
    yes = night.yes()
    said = night.org.statement(glass="key-deletion", after="", nonce=night.nonces.pop())
    card = night.org.card_note("key-deletion")
    return night.takes(yes, said=said, signed=night.org.sign(said), card=card)


def a_yes_to_a_glass_for_its_sibling(night: Night) -> Broken:
    yes = night.yes()
    said = night.org.statement(do=Do.ASK, glass="orders-repair", nonce=night.nonces.pop())
    card = night.org.card_note("orders-repair")
    return night.takes(yes, said=said, signed=night.org.sign(said), card=card)


def a_no_shown_as_a_yes(night: Night) -> Broken:
    return night.takes(night.yes(do=Do.REFUSE))


def who_may_not_approve(night: Night) -> Broken:
    return night.takes(night.yes("teo"))


def a_strangers_signature(night: Night) -> Broken:
    return night.takes(night.yes(key=SoftKey.of("a stranger")))


def a_yes_of_another_purpose(night: Night) -> Broken:
    return night.takes(night.yes(namespace=PRESENTATION_NAMESPACE))


def a_yes_of_another_log(night: Night) -> Broken:
    return night.takes(night.yes(log="ledger.example/two"))


def more_than_was_asked_for(night: Night) -> Broken:
    return night.takes(night.yes(), intent={"gates": ("deploy-approval", "orders-write")})


def longer_than_was_asked_for(night: Night) -> Broken:
    return night.takes(night.yes(), intent={"not_after": NOW + timedelta(hours=2)})


def another_holder_than_asked(night: Night) -> Broken:
    thief = SoftKey.of("a thief's holder key")
    return night.takes(night.yes(), intent={"holder": thief.public})


def written_as_a_glass(night: Night) -> Broken:
    return night.takes(night.yes(), intent={"path": Path.GLASS})


def a_late_yes(night: Night) -> Broken:
    night.org.now += timedelta(seconds=601)  # the card lets an ask wait for 600 s
    return night.takes(night.yes())


def a_yes_that_waited(night: Night) -> Broken:
    yes = night.yes()
    night.org.now += timedelta(seconds=601)
    return night.takes(yes)


def an_approver_without_two_factors(night: Night) -> Broken:
    return night.takes(night.yes("bo"))


SHOWN_BY_THE_INTENT: dict[str, tuple[Abuse, str]] = {
    "the asker approves": (own_yes, "unknown_person"),
    "the asker's key approves under an approver's name": (
        own_second_key_under_another_name,
        "foreign_key",
    ),
    "an alias of the asker approves": (an_alias_of_the_asker, "unknown_person"),
    "nobody approves a glass that takes nobody to break": (nobodys_yes, "too_few_people"),
    "the ask stands as its own approval": (the_asks_own_signature_as_its_approval, "wrong_do"),
    "one approver says yes twice": (one_approver_twice, "same_person"),
    "one yes is shown twice": (the_very_same_yes_twice, "same_person"),
    "one yes where two are needed": (one_yes_where_two_are_needed, "too_few_people"),
    "a yes to another ask": (a_yes_to_another_ask, "wrong_answer"),
    "the ask is signed anew under an old yes": (
        the_same_ask_signed_anew_under_the_old_yes,
        "wrong_answer",
    ),
    "a yes to the ask serves the break": (a_yes_to_the_ask_for_the_break_behind_it, "wrong_answer"),
    "a yes to one glass serves its sibling": (a_yes_to_a_glass_for_its_sibling, "wrong_answer"),
    "a no is shown as a yes": (a_no_shown_as_a_yes, "wrong_do"),
    "somebody approves who may only break": (who_may_not_approve, "unknown_person"),
    "a stranger signs for an approver": (a_strangers_signature, "foreign_key"),
    "a presentation is shown as a yes": (a_yes_of_another_purpose, "namespace"),
    "a yes of another log": (a_yes_of_another_log, "wrong_log"),
    "the intent opens more gates": (more_than_was_asked_for, "scope_widened"),
    "the intent lives longer": (longer_than_was_asked_for, "life_lengthened"),
    "the intent is another holder's": (another_holder_than_asked, "intent_mismatch"),
    "the intent calls itself a broken glass": (written_as_a_glass, "intent_mismatch"),
    "the yes comes too late": (a_late_yes, "waited_too_long"),
    "the yes was in time and the grant is not": (a_yes_that_waited, "statement_old"),
    "an approver signs with one factor": (an_approver_without_two_factors, "weak_factor"),
}
_OF_TWO = {"one yes where two are needed", "one approver says yes twice", "one yes is shown twice"}


def night_of(case: str) -> Night:
    org, stolen = two_brokers()
    night = Night(org, stolen)
    if case == "an approver signs with one factor":
        org, stolen = with_list(("bo", (May.APPROVE, May.BREAK)))
        night = Night(org, stolen)
    return night.asks(**({"glass": "key-deletion"} if case in _OF_TWO else {}))


def with_list(*changed: tuple[str, tuple[May, ...]]) -> tuple[Organisation, Any]:
    """Return two brokers whose glass has a list of people of its own."""
    org, stolen = two_brokers()
    rights = {"mira": (May.BREAK,), "sam": (May.APPROVE, May.BREAK), **dict(changed)}
    org.lists[GLASS] = PeopleList(
        PersonLine(name, may, (org.people[name].public,)) for name, may in rights.items()
    )
    org.now += SECOND
    holds(org.activate_cards())
    return org, stolen


@pytest.mark.parametrize("case", SHOWN_BY_THE_INTENT)
def test_an_approval_that_nobody_gave_is_refused_by_the_fold_and_by_every_verifier(
    case: str,
) -> None:
    """(F-28) (T-16)"""
    abuse, name = SHOWN_BY_THE_INTENT[case]
    night = night_of(case)
    forged = abuse(night)
    assert last(night.org).void == name, last(night.org).why
    assert night.org.state.grants.by_id == {}
    gate = f"gate:{forged.intent.gates[0]}"
    token = night.org.token(forged, to=gate, people=carried(night, forged))
    with pytest.raises(BreakglassError):
        verify_token(token, night.org.verifier(gate), "42", night.org.now)


def carried(night: Night, forged: Broken) -> tuple[CarriedLine, ...]:
    """Return the lines of those signers whom the card's list knows: nobody can prove others."""
    people = night.org.card_people(forged.intent.glass)
    names = dict.fromkeys(parse_statement(each.text).who for each in forged.intent.statements)
    return people.carried([each for each in names if each in people.by_name])


def refused_by_one_and_approved_by_another(night: Night) -> Broken:
    night.recorded(night.yes("noor", do=Do.REFUSE), Reply.NO)
    night.org.now += SKEW + SECOND
    return night.takes(night.yes("sam"))


def taken_back(night: Night) -> Broken:
    word = night.org.answer(
        night.digest, who="mira", do=Do.WITHDRAW, nonce=night.nonces.pop(), at=night.org.now
    )
    body = kinds.Withdrawn(night.grant, night.org.sign(word))
    holds(night.org.state_that("broker", body))
    night.org.now += SKEW + SECOND
    return night.takes(night.yes())


def overtaken_by_the_glass(night: Night) -> Broken:
    night.org.break_glass(statement={"nonce": night.nonces.pop()}, card=night.card)
    holds(last(night.org))
    night.org.now += SKEW + SECOND
    return night.takes(night.yes())


def suspended(night: Night, target: Target, name: str) -> Broken:
    yes = night.yes("noor")
    said = night.org.kill(target, name, nonce=night.nonces.pop())
    body = kinds.Suspended(target, name, True, night.org.sign(said))
    holds(night.org.state_that("broker", body))
    return night.takes(yes)


def an_approver_suspended_meanwhile(night: Night) -> Broken:
    return suspended(night, Target.PERSON, "noor")


def an_asker_suspended_meanwhile(night: Night) -> Broken:
    return suspended(night, Target.PERSON, "mira")


def a_glass_stopped_meanwhile(night: Night) -> Broken:
    return suspended(night, Target.GLASS, GLASS)


def an_approver_who_has_left(night: Night) -> Broken:
    yes = night.yes("noor")
    rights = {"mira": (May.BREAK,), "sam": (May.APPROVE, May.BREAK)}
    org = night.org
    org.lists[GLASS] = PeopleList(
        PersonLine(name, may, (org.people[name].public,)) for name, may in rights.items()
    )
    org.now += SECOND
    card = org.card_note()
    holds(org.activate_cards())
    return night.takes(yes, card=card)


def the_old_card_of_an_approver_who_has_left(night: Night) -> Broken:
    old = night.card
    an_approver_who_has_left(night)
    return night.takes(night.yes("noor"), card=old)


def an_incident_that_was_closed_meanwhile(night: Night) -> Broken:
    org = night.org
    said = org.declare(do=Do.CLOSE, nonce=night.nonces.pop(), at=org.now)
    body = kinds.Incident(
        said.incident,
        IncidentChange.CLOSED,
        said.severity,
        said.title,
        "breakglass",
        True,
        org.sign(said),
    )
    holds(org.state_that("broker", body))
    return night.takes(night.yes())


SHOWN_BY_THE_LOG: dict[str, tuple[Abuse, str]] = {
    "one says no and another yes": (refused_by_one_and_approved_by_another, "refused_by_approver"),
    "the asker has taken it back": (taken_back, "withdrawn"),
    "the glass was broken meanwhile": (overtaken_by_the_glass, "overtaken"),
    "the approver is suspended meanwhile": (an_approver_suspended_meanwhile, "suspended"),
    "the asker is suspended meanwhile": (an_asker_suspended_meanwhile, "suspended"),
    "the glass is stopped meanwhile": (a_glass_stopped_meanwhile, "suspended"),
    "the approver has left": (an_approver_who_has_left, "unknown_person"),
    "the approver has left and the old card is shown": (
        the_old_card_of_an_approver_who_has_left,
        "wrong_card",
    ),
    "the incident is closed meanwhile": (an_incident_that_was_closed_meanwhile, "no_incident"),
}


@pytest.mark.parametrize("case", SHOWN_BY_THE_LOG)
def test_an_approval_that_counts_no_more_is_refused_by_whoever_follows_the_log(case: str) -> None:
    """(F-28) (F-81) (F-82) No broker, minter or monitor makes anything of such an intent."""
    abuse, name = SHOWN_BY_THE_LOG[case]
    night = Night(*two_brokers()).asks()
    abuse(night)
    assert last(night.org).void == name, last(night.org).why
    assert night.grant not in night.org.state.grants.by_id


def test_an_approval_is_spent_with_its_grant() -> None:
    """(F-90) The same ask and yes once more, after the grant has ended, is no second grant."""
    night = Night(*two_brokers()).asks()
    yes = night.yes()
    night.takes(yes)
    holds(last(night.org))
    index = night.org.state.grants.by_id[night.grant].index
    night.org.now += 5 * MINUTE
    night.takes(yes)
    assert last(night.org).void in ("lost_race", "id_taken")
    assert night.org.state.grants.by_id[night.grant].index == index
