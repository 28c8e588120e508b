"""The whole story of the custodians' door: asked, signed, used, and in the ledger at last."""

from __future__ import annotations

from pathlib import Path

import pytest

from breakglass.errors import RefusedError, UnavailableError
from breakglass.records.kinds.door import Door
from tests.doors.door_shop import running_door_shop
from tests.kit.postgres import bg_roles, can_log_in, prepare, start_postgres
from tests.kit.processes import until


def test_a_gate_opens_by_the_door_and_the_ledger_tells_of_it_afterwards(tmp_path: Path) -> None:
    with running_door_shop(tmp_path) as shop:
        asking = shop.asking_door()
        with shop.without_ledger():
            with pytest.raises(UnavailableError, match="nothing was minted"):
                shop.break_glass(shop.asking("deploy-rollback"))
            told = shop.opened_door(asking)
            assert (told["signed"], told["needed"]) == (["ines", "ravi"], 2)
            done = shop.gate(shop.gate_token(asking, told))
            assert done.returncode == 0, done.stderr
            assert "open by glass: 'mira'" in done.stderr
            gate = tmp_path / "gates" / "deploy-approval"
            assert [ring["subject"] for ring in shop.rings(gate)] == ["door"]
            # The same door opens another run of the same gate.
            assert shop.gate(shop.gate_token(asking, told, "813"), "813").returncode == 0
        shop.wait_in_log(asking.grant)
        until(lambda: shop.gate_says("flush").returncode == 0, 30)
        until(lambda: shop.get(f"/grants/{asking.grant}")["bypasses"] == 2)
        kinds = [each.body.kind for each in shop.records() if asking.grant in each.envelope.id]
        assert kinds == ["intent", "door", "bypassed", "door", "bypassed"]
        doors = [each.body for each in shop.records() if isinstance(each.body, Door)]
        assert {each.custodians for each in doors} == {("ines", "ravi")}
        assert {each.run for each in doors} == {"812", "813"}
        assert shop.void() == []
        assert shop.get("/doors")["unappended"] == []
        assert shop.get("/doors")["doors"][0]["index"] is not None


def test_a_credential_by_the_door_is_minted_recorded_and_ended(tmp_path: Path) -> None:
    with running_door_shop(tmp_path) as shop:
        asking = shop.asking_door("orders-repair", for_s=6)
        with shop.without_ledger():
            told = shop.opened_door(asking)
            minted = shop.post(
                f"/doors/{asking.grant}/mint", {"token": shop.minter_token(asking, told)}
            )
            login = asking.opened(minted)
            assert shop.target().log_in(login["user"], login["password"])
            # It ends by itself, though the minter's folded state knows of no such grant.
            until(lambda: not shop.target().handles(), 20)
        shop.wait_in_log(asking.grant)
        found = shop.wait_state(asking.grant, "dead", 20)
        assert found["ended"] == "expired"
        assert shop.kinds(asking.grant) == ["intent", "door", "minted", "usable", "ended", "dead"]
        assert shop.void() == []


def test_a_postgres_role_by_the_door_works_and_is_gone_at_its_end(tmp_path: Path) -> None:
    server = start_postgres()
    try:
        table = (
            'platform = "postgres"\nring_after_s = 5\nsweep_every_s = 1\n'
            f'[postgres]\ndsn = "{prepare(server)}"\n'
        )
        with running_door_shop(tmp_path, table) as shop:
            asking = shop.asking_door("orders-repair", for_s=8)
            with shop.without_ledger():
                told = shop.opened_door(asking)
                login = asking.opened(shop.mint(shop.minter_token(asking, told)))
                assert can_log_in(server, login["user"], login["password"])
                until(lambda: bg_roles(server) == [], 30)
                assert not can_log_in(server, login["user"], login["password"])
            shop.wait_in_log(asking.grant)
            assert shop.wait_state(asking.grant, "dead", 30)["ended"] == "expired"
            assert shop.void() == []
    finally:
        server.close()


def test_its_holder_ends_a_doors_grant_while_the_ledger_is_away(tmp_path: Path) -> None:
    with running_door_shop(tmp_path) as shop:
        asking = shop.asking_door("orders-repair")
        with shop.without_ledger():
            told = shop.opened_door(asking)
            shop.mint(shop.minter_token(asking, told))
            stranger = shop.done_statement(asking, "teo")
            with pytest.raises(RefusedError):
                shop.end_at_minter(asking, stranger)
            ended = shop.end_at_minter(asking, shop.done_statement(asking, "mira"))
            assert ended["dead"] is True
            # Dead is proven before the account is tidied away.
            target = shop.target()
            until(lambda: target.handles() == [], 30)
            # What has ended is never minted again, also not by the same door.
            with pytest.raises(RefusedError, match="never minted again"):
                shop.mint(shop.minter_token(asking, told))
        shop.wait_in_log(asking.grant)
        assert shop.wait_state(asking.grant, "dead", 30)["ended"] == "done"
        assert shop.void() == []
