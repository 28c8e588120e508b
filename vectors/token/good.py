"""Tokens that open."""

from __future__ import annotations

from datetime import timedelta

from tests.kit.organisation import SKEW, Organisation

from .forging import (
    MINUTE,
    SECOND,
    Case,
    asked,
    at_minter,
    at_time,
    case,
    crowded,
    door_case,
    later,
    machine,
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
    return machine(shop())


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


@case("good-door-after-fifty-minutes")
def _() -> Case:
    """Custodians are found by hand: mira signed fifty minutes ago, the first of them thirty."""
    org = shop()
    return door_case(
        org=org,
        statement={"at": org.now - 50 * MINUTE},
        countersign={"at": org.now - 30 * MINUTE},
    )


@case("good-ask")
def _() -> Case:
    """teo asks and sam approves; one is enough for this glass."""
    return asked(shop(), "sam", statement={"who": "teo"})


@case("good-ask-of-two")
def _() -> Case:
    """A glass that one may break with one more, and ask for with two more."""
    return asked(shop(), "sam", "noor", statement={"glass": "key-deletion"})


@case("good-break-behind-an-ask")
def _() -> Case:
    """Nobody answered; the break names the ask, which a verifier need not know."""
    return simple(statement={"after": "ab" * 32})


@case("good-ask-that-starts-later")
def _() -> Case:
    """Approved today for an hour from now, shown to its minter then."""
    org, broken = later(shop())
    start = org.now + 60 * MINUTE
    door = "minter:orders-db"
    token = org.token(broken, broken.grant, door, presentation={"at": start})
    return Case(org, token, door, broken.grant, start)


@case("good-ask-that-starts-in-a-week")
def _() -> Case:
    """The last moment that the card gives; the review is due behind its end."""
    week = timedelta(days=7)
    org, broken = later(shop(), week)
    door = "minter:orders-db"
    token = org.token(broken, broken.grant, door, presentation={"at": org.now + week})
    return Case(org, token, door, broken.grant, org.now + week)


@case("good-drill-at-its-minter")
def _() -> Case:
    """A drill's credential is minted, probed and cut; no gate opens for it."""
    return at_minter(*orders(statement={"drill": True}))


@case("good-act")
def _() -> Case:
    """A person has the card's act run and gets no credential."""
    org = shop()
    return at_minter(org, org.break_glass(statement={"glass": "auto-rollback"}))


@case("good-with-a-ticket")
def _() -> Case:
    """Where the work is planned stands in statement and intent."""
    return simple(statement={"ticket": "SHOP-4711"})


@case("good-among-ten-thousand")
def _() -> Case:
    """mira's line out of ten thousand, with a path of fourteen hashes."""
    return crowded()


@case("good-alone-on-the-list")
def _() -> Case:
    """A list of one person; its path is empty."""
    return crowded(0)
