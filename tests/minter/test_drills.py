"""A drill is minted, tried, cut and tried again; acts and later starts are not offered yet."""

from __future__ import annotations

import pytest

from breakglass.errors import RefusedError
from breakglass.records.grant import handle_of
from breakglass.records.kinds.ended import Ended, EndedWhy
from breakglass.token.verify import VerifiedToken
from tests.broker.shop import Shop
from tests.kit.organisation import Organisation
from tests.kit.processes import until


def test_a_drill_is_minted_tried_and_cut_and_nothing_is_handed_out(shop: Shop) -> None:
    asking = shop.asking(drill=True)
    minted = shop.break_glass(asking)["minted"]
    assert (minted["sealed"], minted["dead"]) == ("", True)
    assert minted["probe"]
    handle, target = handle_of(asking.grant), shop.target()
    until(lambda: handle not in target.handles())  # tidied behind the proof of death
    kinds = ["asked", "intent", "minted", "usable", "ended", "dead"]
    until(lambda: shop.kinds(asking.grant) == kinds)
    (ended,) = (
        each.body
        for each in shop.records()
        if isinstance(each.body, Ended) and each.body.grant == asking.grant
    )
    assert ended.why is EndedWhy.DRILL
    until(lambda: shop.get(f"/grants/{asking.grant}")["state"] == "dead")
    # It is over: the same token mints nothing more, and there is no credential to fetch.
    with pytest.raises(RefusedError):
        shop.break_glass(asking)
    with pytest.raises(RefusedError):
        shop.get(f"/grants/{asking.grant}/credential")


def shown(org: Organisation, statement: dict[str, object]) -> VerifiedToken:
    from breakglass.token.verify import verify_token

    broken = org.break_glass(statement=statement)
    token = org.token(broken, broken.grant, "minter:orders-db")
    return verify_token(token, org.verifier("minter:orders-db"), broken.grant, org.now)


def test_what_this_minter_does_not_do_is_refused_before_anything_is_written() -> None:
    from breakglass.minter.minting import _check_offered

    org = Organisation()
    org.begin()
    with pytest.raises(RefusedError, match="does not run act 'undo'; nothing was minted") as caught:
        _check_offered(shown(org, {"glass": "auto-rollback"}))
    assert caught.value.name == "not_offered"
    _check_offered(shown(org, {"glass": "orders-repair", "nonce": "ab" * 16}))
