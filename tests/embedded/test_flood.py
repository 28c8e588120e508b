"""Strangers at the port of any process: breaks go on, and its memory stays within its bound.

What a break costs meanwhile is measured by ``bench/flood.py``: a test asserts no time.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.broker.shop import Shop
from tests.embedded.monitored import monitored_shop, process_of
from tests.kit.flood import LONGEST, SENDERS, long_bodies, silent
from tests.kit.processes import until

KINDS = sorted(LONGEST)
MEMORY_BYTES_AT_MOST = 300 * 1000 * 1000
BREAKS = 5


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with monitored_shop(tmp_path_factory.mktemp("shop")) as made:
        yield made


@pytest.mark.parametrize("kind", KINDS)
def test_two_thousand_silent_sockets_at_any_process_refuse_no_break(shop: Shop, kind: str) -> None:
    process = process_of(shop, kind)
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
    process = process_of(shop, kind)
    process.forget_peak()
    with long_bodies(process.address, LONGEST[kind]) as said:
        until(lambda: len(said) >= SENDERS, 60)
        for _ in range(BREAKS):
            asking = shop.asking()
            assert shop.break_glass(asking)["grant"] == asking.grant
    assert process.peak_bytes < MEMORY_BYTES_AT_MOST
    assert all(400 <= each < 600 for each in said)
