"""A submitter's key used from elsewhere; a receipt shown for another record."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from breakglass.errors import UnprovenError
from breakglass.node.submitter import Fact
from breakglass.records.kinds.pulse import Pulse
from breakglass.token.verify import verify_token
from tests.broker.shop import running_shop
from tests.kit.organisation import Organisation
from tests.kit.processes import until


@pytest.mark.parametrize("role", ["broker", "minter:orders-db"])
def test_whose_key_is_used_by_somebody_else_rings_at_its_own_next_record(
    tmp_path: Path, role: str
) -> None:
    with running_shop(tmp_path) as shop:
        shop.pulse()
        first = shop.asking()
        assert shop.break_glass(first)["minted"]
        shop.wait_state(first.grant, "usable")
        key = shop.keys[role]
        ledger = shop.logs.ledger.neighbour()
        place = ledger.get(f"/submitter/{key.verifier.label}").json()
        shop.state_as(role, Fact("from-elsewhere", Pulse(1, ("file",))))
        second = shop.asking()
        assert shop.break_glass(second)["minted"], "nobody is locked out by it"
        rings = shop.folder / role.replace(":", "-") / "data" / "rings.log"
        until(lambda: rings.exists() and "stolen_key" in rings.read_text())
        (ring,) = [
            told
            for told in map(json.loads, rings.read_text().splitlines())
            if told["subject"] == "stolen_key"
        ]
        assert f"its records {place['next']} to {place['next']} in the ledger" in ring["words"]
        assert "Take that key out" in ring["words"]


def test_a_receipt_of_one_record_proves_no_other() -> None:
    org = Organisation()
    org.begin()
    first = org.break_glass(statement={"nonce": "00" * 16})
    second = org.break_glass(statement={"nonce": "01" * 16})
    verifier = org.verifier("gate:deploy-approval")
    honest = org.token(second, "42")
    assert verify_token(honest, verifier, "42", org.now)
    replayed = replace(honest, proof=first.proof)
    with pytest.raises(UnprovenError):
        verify_token(replayed, verifier, "42", org.now)
