"""Glass cards of a policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from breakglass.canonical import parse_canonical
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError
from breakglass.records.authority import check_card
from breakglass.records.card import card_digest, check_card_people
from breakglass.records.encoding.text_types import Digest, Handle
from breakglass.records.fold.context import Submission, Void, in_force
from breakglass.records.fold.kind_rule import KindRule
from breakglass.records.fold.slices.governance import ActiveCard
from breakglass.records.people_list import PeopleList, PeopleRoot, parse_people
from breakglass.records.record import Kind
from breakglass.strict_json import Count, Many
from breakglass.tlog.note import Note

if TYPE_CHECKING:
    from breakglass.records.fold.state import State


@dataclass(frozen=True)
class Cards(Kind):
    """Glass cards of a policy.

    Attached: RFC 8785 JSON, glass to the text of its signed card; then the lists of their people.

    ``cards`` gives each card's digest. The activation of a policy takes every card away; from
    then on cards are added, and one gives way only to one that was issued later.
    """

    kind: ClassVar[str] = "cards"
    policy: Digest
    version: Count
    cards: Annotated[Mapping[Handle, Digest], Many(1000)]


def judge(state: State, stated: Submission) -> None:
    """Cards of the policy in force are added; a card gives way only to one issued later."""
    believed, body = in_force(state), stated.body
    if state.governance.policy is None or (body.policy, body.version) != (
        state.governance.policy.bundle,
        state.governance.policy.version,
    ):
        raise Void(ErrorName.WRONG_POLICY, "the cards are of another policy than the one in force")
    lists = _lists(stated)
    found: dict[str, ActiveCard] = {}
    for glass, text in _card_texts(stated.attachment(0)).items():
        note = Note.parse(text.encode())
        card = check_card(note, believed, stated.at)
        said = (card.log, card.glass, card.policy, card.version)
        if said != (state.log, glass, body.policy, body.version):
            raise Void(
                ErrorName.MISMATCH, f"the card of {glass!r} is of another log, glass or policy"
            )
        people = lists.get(card.people)
        if people is None:
            raise Void(ErrorName.MISMATCH, f"the people of the card of {glass!r} are not attached")
        check_card_people(card, people)
        standing = state.governance.cards.get(glass)
        found[glass] = ActiveCard(card, card_digest(note), text.encode(), people)
        other = standing is not None and found[glass].digest != standing.digest
        if standing and other and card.issued <= standing.card.issued:
            # Else whoever holds the broker's key could go back to a card that was replaced.
            raise Void(
                ErrorName.CARD_ORDER, f"the card of {glass!r} is older than the one in force"
            )
    if {glass: each.digest for glass, each in found.items()} != dict(body.cards):
        raise Void(ErrorName.MISMATCH, "the record and the cards that it carries differ")
    state.governance.cards = {**state.governance.cards, **found}


def _lists(stated: Submission) -> dict[PeopleRoot, PeopleList]:
    behind = range(1, len(stated.record.attachments))
    lists = [parse_people(stated.attachment(number)) for number in behind]
    return {people.root: people for people in lists}


def _card_texts(data: bytes) -> dict[str, str]:
    try:
        texts = parse_canonical(data.decode(), "cards")
    except UnicodeDecodeError as error:
        raise MalformedError("the cards are not UTF-8", name=ErrorName.BAD_JSON) from error
    if not isinstance(texts, dict) or not all(isinstance(each, str) for each in texts.values()):
        raise MalformedError("the cards are not a table of texts", name=ErrorName.BAD_JSON)
    return texts


RULE = KindRule(Cards, by=frozenset({"broker"}), judge=judge, reads=True)
