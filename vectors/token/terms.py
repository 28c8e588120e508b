"""Forged: what was asked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.kit.organisation import SKEW, Organisation
from tests.kit.people import SoftKey

from breakglass.records.grant import Path as Way
from breakglass.records.statement import Do, digest_of

from .forging import (
    MINUTE,
    SECOND,
    STAGING,
    Case,
    asked,
    at_minter,
    case,
    later,
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


@case("intent-names-another-ticket", "intent_mismatch")
def _() -> Case:
    """The ticket is not the one that was signed."""
    return simple(statement={"ticket": "SHOP-1"}, intent={"ticket": "SHOP-2"})


@case("intent-runs-another-act", "intent_mismatch")
def _() -> Case:
    """mira asked for a credential, the intent has an act run."""
    return at_minter(*orders(intent={"act": "undo"}))


@case("break-labelled-as-asked", "intent_mismatch")
def _() -> Case:
    """The broker writes the whisper in the place of the siren."""
    return simple(intent={"path": Way.JIT})


@case("ask-labelled-as-broken", "intent_mismatch")
def _() -> Case:
    """And the other way round: who asked did not break."""
    return asked(shop(), "sam", intent={"path": Way.GLASS})


@case("drill-labelled-as-broken", "intent_mismatch")
def _() -> Case:
    """A drill that the broker wants to open a gate."""
    return simple(statement={"drill": True}, intent={"path": Way.GLASS})


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


def _later(starts: timedelta = 60 * MINUTE, **how: Any) -> Case:
    org, broken = later(shop(), starts, **how)
    return at_minter(org, broken, now=org.now + max(starts, timedelta(0)))


@case("ask-that-starts-too-far-ahead", "life_lengthened")
def _() -> Case:
    """A millisecond more than the week that the card gives."""
    return _later(timedelta(days=7, milliseconds=1))


@case("ask-that-starts-where-the-card-gives-no-time", "life_lengthened")
def _() -> Case:
    """This card's asks begin at once."""
    org = shop()
    return at_minter(*later(org, card=org.card_note("orders-repair", ahead_s=0)))


@case("ask-that-has-started-already", "life_lengthened")
def _() -> Case:
    """It starts at the intent's own time, and not behind it."""
    return _later(timedelta(0))


@case("ask-that-begins-before-it-starts", "life_lengthened")
def _() -> Case:
    """The intent begins now, what was asked for begins in an hour."""
    return _later(intent={"not_before": Organisation().now})


@case("ask-that-starts-and-lasts-too-long", "life_lengthened")
def _() -> Case:
    """A millisecond more than was asked for, counted from the start."""
    end = Organisation().now + 80 * MINUTE + timedelta(milliseconds=1)
    return _later(intent={"not_after": end})


@case("ask-that-starts-and-opens-a-gate", "wrong_gate")
def _() -> Case:
    """A gate that is offline would open a week after the person left."""
    return _later(intent={"gates": ("orders-write",)})


@case("ask-that-starts-and-is-reviewed-before-its-end", "review_due")
def _() -> Case:
    """The review is due behind the end of what it looks at."""
    return _later(intent={"review_by": Organisation().now + 80 * MINUTE})


@case("ask-with-an-old-approval", "statement_old")
def _() -> Case:
    """The intent came longer after the only approval than the skew."""
    org = shop()
    said = org.statement(do=Do.ASK, at=org.now - 5 * MINUTE)
    signed = org.sign(said)
    yes = org.sign(org.answer(digest_of(signed.text), at=org.now - SKEW - SECOND))
    return Case(org, org.token(org.break_glass(said=said, signed=signed, approvals=(yes,))))


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
