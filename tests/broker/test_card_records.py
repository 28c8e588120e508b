"""Cards and their lists of people go into as many records as notes have room for."""

from __future__ import annotations

from dataclasses import replace

from breakglass.broker.governance.activation import _card_facts
from breakglass.node.submitter import Fact
from breakglass.records.card import card_digest, card_text
from breakglass.records.kinds.cards import Cards
from breakglass.records.people_list import May, PeopleList, PersonLine
from breakglass.records.policy_note import parse_policy_note
from breakglass.records.signing.signature import CARD_NAMESPACE
from breakglass.tlog.note import Note
from tests.kit.organisation import Organisation
from tests.kit.people import SoftKey


def facts_of(org: Organisation, glasses: int, lists: int) -> list[Fact]:
    """Return the records of so many cards, which name so many different lists of people."""
    mira = PersonLine("mira", (May.BREAK,), (org.people["mira"].public,))
    people = [
        PeopleList([mira, PersonLine(f"p{at}", (May.BREAK,), (SoftKey.of(f"p{at}").public,))])
        for at in range(lists)
    ]
    named = {f"glass-{at:03}": people[at % lists] for at in range(glasses)}
    base = replace(org.card(), ask_need=0)
    notes = {
        glass: org.people_sign(
            card_text(replace(base, glass=glass, people=found.root)), CARD_NAMESPACE
        ).decode()
        for glass, found in named.items()
    }
    digests = {glass: card_digest(Note.parse(note.encode())) for glass, note in notes.items()}
    policy = parse_policy_note(Note.parse(org.policy_note()))
    return _card_facts(policy, notes, digests, named)


def test_cards_of_many_lists_are_stated_in_several_records_and_all_stand() -> None:
    org = Organisation()
    org.begin()
    facts = facts_of(org, 20, 20)
    assert [len(each.attachments) for each in facts] == [8, 8, 7]
    for each in facts:
        assert org.state_that("broker", each.body, each.id, attachments=each.attachments).holds
    assert {f"glass-{at:03}" for at in range(20)} <= org.state.governance.cards.keys()


def test_cards_of_one_list_are_stated_as_their_notes_have_room() -> None:
    org = Organisation()
    org.begin()
    facts = facts_of(org, 150, 1)
    assert [isinstance(each.body, Cards) and len(each.body.cards) for each in facts] == [100, 50]
    assert len({each.id for each in facts}) == 2
    for each in facts:
        assert org.state_that("broker", each.body, each.id, attachments=each.attachments).holds
    assert len(org.state.governance.cards) == 154


def test_no_card_is_one_empty_table() -> None:
    org = Organisation()
    org.begin()
    (only,) = facts_of(org, 0, 1)
    assert org.state_that("broker", only.body, only.id, attachments=only.attachments).holds
