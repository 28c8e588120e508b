"""What the fold's tests share: an organisation that has begun, and the two verdicts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from breakglass.records import all_kinds as kinds
from breakglass.records.fold.fold import Judged
from breakglass.records.kinds.ended import EndedWhy
from breakglass.records.statement import digest_of
from breakglass.tlog.note import sign_note

from ..kit.organisation import Broken, Organisation

MINUTE = timedelta(minutes=1)


def begun(**how: Any) -> Organisation:
    org = Organisation(**how)
    org.begin()
    assert [each.void for each in org.judged] == [""] * 5
    return org


def void(judged: Judged, name: str, *, quiet: bool = False) -> None:
    assert (judged.void, judged.quiet) == (name, quiet), judged.why
    assert not judged.holds
    assert judged.why or judged.void


def holds(judged: Judged) -> None:
    assert judged.holds, (judged.void, judged.why)


def pulse(org: Organisation, **how: Any) -> Judged:
    return org.state_that("monitor", kinds.Pulse(0, ("sink",)), **how)


def minted(org: Organisation, broken: Broken, **how: Any) -> Judged:
    body = kinds.Minted(broken.grant, "postgres", "x", {}, broken.intent.not_after, 3)
    return org.state_that("minter:orders-db", body, **how)


def ended(
    org: Organisation, grant: str, why: EndedWhy, statement: Any = None, role: str = "broker"
) -> Judged:
    return org.state_that(role, kinds.Ended(grant, why, "", statement))


def orders(org: Organisation, **how: Any) -> Broken:
    how["statement"] = {"glass": "orders-repair", **how.get("statement", {})}
    return org.break_glass(**how)


def new_chain() -> Any:
    from ..kit import organisation

    return organisation._Chain()


def start(org: Organisation) -> None:
    org.append(sign_note(org.genesis_text, org.submitters["broker"]).encoded())
    org.chains["broker"] = new_chain()
    org.chains["broker"].seq, org.chains["broker"].prev = 1, org.genesis


def last(org: Organisation, unused: object = None) -> Judged:
    return org.judged[-1]


def refused(org: Organisation, signed: Any) -> Any:
    asked = org.asked(signed)
    return kinds.Refused(
        asked.grant, asked.path, asked.statement, asked.factors, asked.decision, "no_incident"
    )


def broken_digest(broken: Broken) -> str:
    return digest_of(broken.signed.text)
