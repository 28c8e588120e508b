"""The bench on which tokens are forged: a case, the table of cases, and ways to make one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from tests.kit.organisation import Broken, Organisation

from breakglass.records.signing.signature import Signed
from breakglass.records.statement import Do, digest_of
from breakglass.tlog.note import Note
from breakglass.token.token import Token

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
STAGING = "ledger.example/staging"


@dataclass
class Case:
    """One vector: what a verifier is given."""

    org: Organisation
    token: Token | bytes
    door: str = "gate:deploy-approval"
    run: str = "42"
    now: datetime | None = None
    newest_seen: datetime | None = None
    trust: dict[str, str] = field(default_factory=dict)


Maker = Callable[[], Case]
CASES: dict[str, tuple[str, str, Maker]] = {}


def case(name: str, refused: str = "") -> Callable[[Maker], Maker]:
    """Enter a maker into the table; ``refused`` is the failure's name, empty for a good token."""

    def enter(maker: Maker) -> Maker:
        assert name not in CASES
        CASES[name] = ((maker.__doc__ or "").strip(), refused, maker)
        return maker

    return enter


def shop(**how: Any) -> Organisation:
    org = Organisation(**how)
    org.begin()
    return org


def simple(
    *, shown: dict[str, Any] | None = None, case_: dict[str, Any] | None = None, **how: Any
) -> Case:
    """Break deploy-rollback with one thing forged, and show it."""
    org = shop()
    broken = org.break_glass(**how)
    return Case(org, org.token(broken, **(shown or {})), **(case_ or {}))


def orders(**how: Any) -> tuple[Organisation, Broken]:
    org = shop()
    how["statement"] = {"glass": "orders-repair", **how.get("statement", {})}
    return org, org.break_glass(**how)


def at_minter(org: Organisation, broken: Broken, **how: Any) -> Case:
    door = "minter:orders-db"
    token = org.token(broken, broken.grant, door)
    return Case(org, token, door, broken.grant, **how)


def severe(org: Organisation, breaker: str = "mira", approver: str = "sam", **answer: Any) -> Case:
    """Break key-deletion, which takes two people."""
    said = org.statement(glass="key-deletion", who=breaker)
    signed = org.sign(said)
    yes = org.sign(org.answer(digest_of(signed.text), who=approver, **answer))
    return Case(org, org.token(org.break_glass(said=said, signed=signed, approvals=(yes,))))


def at_time(later: timedelta, **how: Any) -> Case:
    found = simple(**how)
    return replace(found, now=found.org.now + later)


def door_case(
    *,
    signers: tuple[str, ...] = ("ines", "ravi"),
    do: Do = Do.DOOR,
    accepts: str = "yes",
    org: Organisation | None = None,
    **how: Any,
) -> Case:
    org = org or shop()
    broken = org.break_glass(statement={"do": do, **how.pop("statement", {})}, **how)
    lines = [org.door_line(broken.note, name) for name in signers]
    note = Note.parse(broken.note).with_lines(*lines).encoded()
    return Case(org, org.token(broken, intent=note, proof=None), trust={"door": accepts})


def blob_of(signed: Any) -> str:
    assert isinstance(signed, Signed)
    return signed.sshsig
