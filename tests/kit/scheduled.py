"""Asks that start later, approved by sam, in an organisation whose trust file says ``kinds 2``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from breakglass.clock import format_time
from breakglass.records import all_kinds as kinds
from breakglass.records.fold.fold import Judged
from breakglass.records.statement import Do, digest_of

from .organisation import Broken, Organisation

HOUR = timedelta(hours=1)
GLASS = "orders-repair"


def put_kinds_2_in_force(org: Organisation) -> None:
    """Have the maintainers raise the set of kinds."""
    assert org.activate_trust(version="2", kinds="2").holds


def schedule(
    org: Organisation,
    card: bytes,
    nonce: str = "a5",
    ahead: timedelta = HOUR,
    *,
    asked: bool = True,
    **said: Any,
) -> Broken:
    """Have mira ask, sam approve and the broker record; ``card`` is the one in force."""
    wanted = {"glass": GLASS, "starts": format_time(org.now + ahead), "nonce": nonce * 16}
    ask = org.statement(do=Do.ASK, **{**wanted, **said})
    signed = org.sign(ask)
    if asked:
        org.state_that("broker", org.asked(signed))
    yes = org.answer(digest_of(signed.text), nonce=f"{nonce[1]}d" * 16, at=org.now)
    return org.break_glass(said=ask, signed=signed, approvals=(org.sign(yes),), card=card)


def decided_again(org: Organisation, broken: Broken, record_id: str = "", **changes: Any) -> Judged:
    """Have the monitor say once more that the intent is allowed."""
    leaf = org.log.leaves[broken.index].hex()
    values = {"leaf": leaf, "index": broken.index, "policy": broken.intent.policy, **changes}
    body = kinds.Justified(broken.grant, **values)
    return org.state_that("monitor", body, record_id or f"{broken.grant}/justified/{org.log.size}")
