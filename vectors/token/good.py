"""Tokens that open."""

from __future__ import annotations

from dataclasses import replace

from tests.kit.organisation import SKEW, Organisation

from breakglass.records.grant import Path as Way
from breakglass.records.statement import Do

from .forging import (
    MINUTE,
    SECOND,
    Case,
    at_minter,
    at_time,
    case,
    door_case,
    orders,
    severe,
    shop,
    simple,
)

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
    return at_time(-SKEW + SECOND, shown={"presentation": {"at": Organisation().now - MINUTE}})


@case("good-at-its-end")
def _() -> Case:
    """The last moment counts."""
    return at_time(30 * MINUTE)


@case("good-door")
def _() -> Case:
    """The ledger is away: two custodians countersigned, and this trust file accepts that."""
    return door_case()
