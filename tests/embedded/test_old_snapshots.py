"""One process's folder is put back as it was some grants ago, while all others went on.

The ledger's and the minter's own are in ``tests/ledger`` and ``tests/minter``.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest

from tests.broker.shop import Asking, Shop
from tests.embedded.monitored import monitored_shop, process_of, wait_current


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with monitored_shop(tmp_path_factory.mktemp("shop")) as made:
        yield made


def _broken(shop: Shop) -> Asking:
    asking = shop.asking()
    assert shop.break_glass(asking)["grant"] == asking.grant
    return asking


@pytest.mark.parametrize("kind", ["broker", "monitor", "archiver", "witness"])
def test_a_process_restored_to_an_old_snapshot_goes_on_and_nobody_is_accused(
    shop: Shop, kind: str
) -> None:
    process = process_of(shop, kind)
    before = _broken(shop)
    process.stop()
    old = process.folder.with_name(f"{kind}.old")
    shutil.copytree(process.folder, old)
    process.start()
    wait_current(process)
    during = [_broken(shop) for _ in range(3)]
    shop.done(during[0])
    process.stop()
    shutil.rmtree(process.folder)
    old.rename(process.folder)
    process.start()
    wait_current(process)
    after = _broken(shop)
    for each in (before, *during[1:], after):
        shop.done(each)
    for each in (before, *during, after):
        shop.wait_state(each.grant, "dead", 30)
    assert shop.void() == []
    alarms = (shop.folder / "monitor" / "alarms").read_text().splitlines()
    told = {json.loads(line)["subject"] for line in alarms}
    assert "broke_glass" in told, "no alarm was read"
    assert not told & {"forbidden", "missing_records", "unjustified", "stolen_key", "fork"}, told
