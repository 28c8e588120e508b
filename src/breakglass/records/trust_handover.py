"""What a next trust file must not break: its own first reading, and the cards in force.

Neither is a rule of acceptance: a verifier takes what the maintainers before signed. A broker and a
client refuse these before anything is recorded, since nothing recorded is ever taken back.
"""

from __future__ import annotations

from collections.abc import Mapping

from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError
from breakglass.records.card import parse_card
from breakglass.records.signing.signature import (
    CARD_NAMESPACE,
    TRUST_NAMESPACE,
    people_who_signed,
)
from breakglass.records.trust import Trust
from breakglass.tlog.note import Note


def check_carried(note: Note, trust: Trust) -> None:
    """Refuse a trust file that the threshold of its own maintainers did not sign.

    Whoever reads it first (a new laptop, a new gate, every command that reads its own copy) asks
    for that, and would shut out everybody.

    Raises:
        RefusedError: ``not_carried``.

    Source: docs/spec/trust.md, R-14 and R-24.
    """
    signed = people_who_signed(note, trust.maintainers, TRUST_NAMESPACE)
    if len(signed) < trust.maintainers_needed:
        missing = ", ".join(sorted(set(trust.maintainers) - set(signed)))
        raise RefusedError(
            f"trust file {trust.version}: {len(signed)} of {trust.maintainers_needed} of its own"
            " maintainers signed it; no client or gate could read it; nothing was changed",
            name=ErrorName.NOT_CARRIED,
            hint=f"of these, each where their key is: breakglass trust sign FILE ({missing})",
        )


def dying_cards(cards: Mapping[str, Note], after: Trust) -> list[str]:
    """Return the glasses whose card ``after`` would no longer accept, sorted.

    Args:
        cards: glass to the card in force, signed.
        after: a trust file; its own signatures are not looked at.
    """
    dying = []
    for glass, note in cards.items():
        signed = people_who_signed(note, after.maintainers, CARD_NAMESPACE)
        card = parse_card(note)
        if (
            len(signed) < after.maintainers_needed
            or card.version < after.policy_at_least
            or not after.names_log(card.log)
        ):
            dying.append(glass)
    return sorted(dying)


def check_cards_live(cards: Mapping[str, Note], before: Trust, after: Trust) -> None:
    """Refuse a trust file under which a card that is accepted now opens nothing any more.

    Raises:
        RefusedError: ``cards_die``.

    Source: docs/spec/trust.md, R-25.
    """
    dying = set(dying_cards(cards, after)) - set(dying_cards(cards, before))
    if dying:
        raise RefusedError(
            f"trust file {after.version} would end {len(dying)} of {len(cards)} glass cards"
            f" ({', '.join(sorted(dying))}): too few of its own maintainers signed them, or they"
            " are older than it asks for; nothing was changed",
            name=ErrorName.CARDS_DIE,
            hint="step by step: breakglass trust maintainer replace OLD NEW --key FILE; for newer"
            " cards: breakglass policy renew",
        )
