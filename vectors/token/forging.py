"""The bench on which tokens are forged: a case, the table of cases, and ways to make one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from tests.kit.organisation import Broken, Organisation

from breakglass.clock import format_time
from breakglass.records.people_list import CarriedLine, May, PeopleRoot, PersonLine, line_bytes
from breakglass.records.signing.signature import STATEMENT_NAMESPACE, Signature, Signed
from breakglass.records.statement import AccessRequest, Do, digest_of, statement_text
from breakglass.tlog.merkle import inclusion_path, leaf_hash, root_of
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


def asked(
    org: Organisation, *approvers: str, shown: dict[str, Any] | None = None, **how: Any
) -> Case:
    """Ask for a glass, with these people's approvals, and show it at the gate."""
    said = org.statement(**{"do": Do.ASK, **how.pop("statement", {})})
    signed = org.sign(said)
    yes = approvals(org, signed, *approvers)
    broken = org.break_glass(said=said, signed=signed, approvals=yes, **how)
    return Case(org, org.token(broken))


def approvals(org: Organisation, signed: Signature, *approvers: str) -> tuple[Signature, ...]:
    digest = digest_of(signed.text)
    return tuple(
        org.sign(org.answer(digest, who=who, nonce=f"{at + 11}" * 16))
        for at, who in enumerate(approvers)
    )


def later(
    org: Organisation, starts: timedelta = 60 * MINUTE, **how: Any
) -> tuple[Organisation, Broken]:
    """Ask for orders-repair to start later, approved by sam."""
    moment = format_time(org.now + starts)
    statement = {"glass": "orders-repair", "starts": moment, **how.pop("statement", {})}
    said = org.statement(do=Do.ASK, **statement)
    signed = org.sign(said)
    return org, org.break_glass(
        said=said, signed=signed, approvals=approvals(org, signed, "sam"), **how
    )


def machine(org: Organisation, **how: Any) -> Case:
    """Have the machine of auto-rollback run its act."""
    how["statement"] = {"do": Do.MACHINE, **how.get("statement", {})}
    broken = org.break_glass(**{"key": org.machine, **how})
    token = replace(org.token(broken), presentation=None)
    return Case(org, token, f"minter:{broken.statement.minter}", broken.grant)


def signed_as(org: Organisation, said: AccessRequest, *changes: tuple[str, str]) -> Signature:
    """Have somebody sign a text that is no statement: changed before it was signed."""
    text = statement_text(said)
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return org.people[said.who].sign(text, STATEMENT_NAMESPACE)


def forged_list(*people: PersonLine | bytes) -> tuple[PeopleRoot, tuple[CarriedLine, ...]]:
    """Return root and lines of a list that no honest maintainer would make."""
    lines = [each if isinstance(each, bytes) else line_bytes(each) for each in people]
    leaves = [leaf_hash(line) for line in lines]
    carried = tuple(_carried(lines, leaves, at) for at in range(len(lines)))
    return PeopleRoot(root_of(leaves).hex(), len(lines)), carried


def _carried(lines: Sequence[bytes], leaves: list[bytes], at: int) -> CarriedLine:
    return CarriedLine(at, lines[at], tuple(inclusion_path(leaves, at)))


def crowded(others: int = 9_999) -> Case:
    """Break a glass whose card names so many people beside mira."""
    org = Organisation()
    point = org.people["bo"].public.split()[1][:-43]  # strangers' keys need not be on the curve
    mira = line_bytes(PersonLine("mira", (May.BREAK,), (org.people["mira"].public,)))
    names = [f"a{at:05}" for at in range(others)]
    lines = [
        f'{{"keys":["ssh-ed25519 {point}{at:043}"],"may":["break"],"who":"{name}"}}'.encode()
        for at, name in enumerate(names)
    ]
    lines.append(mira)
    leaves = [leaf_hash(line) for line in lines]
    root = PeopleRoot(root_of(leaves).hex(), len(lines))
    org.begin()
    broken = org.break_glass(card=org.card_note(people=root))
    return Case(org, org.token(broken, people=(_carried(lines, leaves, others),)))


def at_time(later: timedelta, **how: Any) -> Case:
    found = simple(**how)
    return replace(found, now=found.org.now + later)


def door_case(
    *,
    signers: tuple[str, ...] = ("ines", "ravi"),
    accepts: str = "yes",
    org: Organisation | None = None,
    statement: dict[str, Any] | None = None,
    card: bytes | None = None,
    countersign: dict[str, Any] | None = None,
    behind: Callable[[str], tuple[Signature, ...]] = lambda digest: (),
    **how: Any,
) -> Case:
    org = org or shop()
    said = org.statement(do=Do.DOOR, **(statement or {}))
    signed = org.sign(said)
    digest = digest_of(signed.text)
    card = card or org.card_note(said.glass)
    words = tuple(org.countersign(digest, name, card, **(countersign or {})) for name in signers)
    broken = org.break_glass(
        said=said, signed=signed, approvals=(*words, *behind(digest)), card=card, **how
    )
    return Case(org, org.token(broken, proof=None), trust={"door": accepts})


def blob_of(signed: Any) -> str:
    assert isinstance(signed, Signed)
    return signed.sshsig
