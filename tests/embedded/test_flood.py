"""Strangers at the port of any process: breaks go on, and its memory stays within its bound.

What a break costs meanwhile is measured by ``bench/flood.py``: a test asserts no time.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.broker.shop import ORIGIN, Shop, running_shop
from tests.kit.flood import LONGEST, SENDERS, long_bodies, silent
from tests.kit.processes import Process, make_process, until

KINDS = sorted(LONGEST)
MEMORY_BYTES_AT_MOST = 300 * 1000 * 1000
BREAKS = 5
CHANNEL = '[channels.file]\ntype = "log_file"\nfile = "alarms"\n'


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with running_shop(tmp_path_factory.mktemp("shop")) as made:
        settings = f'log = "{ORIGIN}"\nledger = "../ledger/address"\n{CHANNEL}'
        monitor = make_process(
            made.folder / "monitor", "breakglass.monitor", made.keys["monitor"], settings
        )
        (monitor.folder / "trust").write_bytes(made.trust_note().encoded())
        made.minters.append(monitor)  # ended with them
        monitor.start()
        until(lambda: monitor.neighbour().get("/healthz").json()["current"], 30)
        yield made


def _process(shop: Shop, kind: str) -> Process:
    minter, monitor = shop.minters
    return {
        "ledger": shop.logs.ledger,
        "archiver": shop.logs.archiver,
        "witness": shop.logs.witnesses[0],
        "broker": shop.brokers[0],
        "minter": minter,
        "monitor": monitor,
    }[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_two_thousand_silent_sockets_at_any_process_refuse_no_break(shop: Shop, kind: str) -> None:
    process = _process(shop, kind)
    process.forget_peak()
    with silent(process.address):
        for _ in range(BREAKS):
            asking = shop.asking()
            assert shop.break_glass(asking)["grant"] == asking.grant
        assert process.neighbour().get("/healthz").status == 200
    assert process.peak_bytes < MEMORY_BYTES_AT_MOST


@pytest.mark.parametrize("kind", KINDS)
def test_eight_connections_that_send_the_longest_body_refuse_no_break(
    shop: Shop, kind: str
) -> None:
    process = _process(shop, kind)
    process.forget_peak()
    with long_bodies(process.address, LONGEST[kind]) as said:
        until(lambda: len(said) >= SENDERS, 60)
        for _ in range(BREAKS):
            asking = shop.asking()
            assert shop.break_glass(asking)["grant"] == asking.grant
    assert process.peak_bytes < MEMORY_BYTES_AT_MOST
    assert all(400 <= each < 600 for each in said)
