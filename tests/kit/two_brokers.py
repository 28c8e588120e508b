"""A shop of real processes with both its brokers up."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from tests.broker.shop import SIMULATED, Shop, make_shop
from tests.kit.processes import until

Kind = TypeVar("Kind", bound=Shop)


@contextlib.contextmanager
def two_brokers(folder: Path, kind: type[Kind]) -> Iterator[Kind]:
    """Make and start a shop of this kind with two brokers, and end it whatever happens."""
    made = make_shop(folder, SIMULATED, kind)
    assert isinstance(made, kind)
    try:
        made.start()
        both_up(made)
        yield made
    finally:
        made.stop()


def both_up(shop: Shop) -> None:
    """Start whichever broker a test has ended, and pulse as a monitor does."""
    for each in shop.brokers:
        if each.popen is None or each.ended() is not None:
            each.start()
    until(lambda: shop.get("/healthz", 1)["ok"] and shop.get("/healthz")["ok"])
    shop.pulse()
