"""Forged: the time, and who shows the token."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from tests.kit.organisation import SKEW, Organisation
from tests.kit.people import SoftKey

from breakglass.records.presentation import presentation_text
from breakglass.records.signing.signature import PRESENTATION_NAMESPACE, STATEMENT_NAMESPACE
from breakglass.records.statement import Do
from breakglass.token.token import Token

from .forging import (
    MINUTE,
    SECOND,
    Case,
    at_minter,
    at_time,
    case,
    shop,
    simple,
)

# --- 7: now ---------------------------------------------------------------------------------------


@case("not-yet-valid", "not_yet_valid")
def _() -> Case:
    """It begins in three minutes."""
    start = Organisation().now + 3 * MINUTE
    return simple(intent={"not_before": start})


@case("expired", "expired")
def _() -> Case:
    """A millisecond after its end; the skew is given before, never after."""
    return at_time(30 * MINUTE + timedelta(milliseconds=1))


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


@case("presented-for-no-run", "malformed")
def _() -> Case:
    """An unset variable of a job: one token would open every run of such jobs."""
    org = shop()
    broken = org.break_glass()
    text = presentation_text(org.presentation(broken, "gate:deploy-approval", "42"))
    shown = org.holder.sign(text.replace('"run":"42"', '"run":""'), PRESENTATION_NAMESPACE)
    return Case(org, org.token(broken).presented(shown), run="")


@case("asked-for-no-run", "wrong_run")
def _() -> Case:
    """The gate was asked without a run."""
    return simple(case_={"run": ""})


@case("presented-with-another-header", "holder")
def _() -> Case:
    """The holder signed a text of another kind."""
    org = shop()
    broken = org.break_glass()
    text = presentation_text(org.presentation(broken, "gate:deploy-approval", "42"))
    other = text.replace("presentation/v1", "statement/v1")
    shown = org.holder.sign(other, PRESENTATION_NAMESPACE)
    return Case(org, org.token(broken).presented(shown))


@case("presented-behind-its-end", "presentation_time")
def _() -> Case:
    """Within the skew of the clock, and behind the end: the lesser of the two counts."""
    end = Organisation().now + 30 * MINUTE
    return at_time(30 * MINUTE, shown={"presentation": {"at": end + SECOND}})


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
    broken = org.break_glass(statement={"do": Do.MACHINE}, key=org.machine)
    return at_minter(org, broken)


# --- 9: drills ------------------------------------------------------------------------------------


@case("drill-at-a-gate", "wrong_gate")
def _() -> Case:
    """Everything holds, and the gate stays shut: it says that it would have opened."""
    return simple(statement={"drill": True})


@case("drill-expired-at-a-gate", "expired")
def _() -> Case:
    """A drill that would not open is refused by what is wrong with it."""
    return at_time(21 * MINUTE, statement={"drill": True})
