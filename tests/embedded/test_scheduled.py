"""A grant that begins later, at real processes: asked for, approved, handed out at its start."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.clock import SystemClock, format_time, parse_time, to_milliseconds
from breakglass.errors import BreakglassError
from breakglass.records.statement import Do
from tests.broker.shop import ORIGIN, SIMULATED, Shop, make_shop
from tests.broker.test_requests import AskingShop
from tests.embedded.monitored import CHANNEL, wait_current
from tests.kit.processes import make_process, until

BEGINS_IN = timedelta(seconds=8)


class ScheduledShop(AskingShop):
    """A shop under the set of kinds that has starts, whose glass may be asked for ahead."""

    def bundle(self) -> dict[str, bytes]:
        (name, text), *others = super().bundle().items()
        return {name: text.replace(b"    silence: 3s\n", b"    ahead: 2d\n"), **dict(others)}

    def trust_text(self, version: int = 1) -> str:
        return super().trust_text(version).replace("\nkinds 1\n", "\nkinds 2\n")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = make_shop(tmp_path, SIMULATED, ScheduledShop)
    monitor = make_process(
        made.folder / "monitor",
        "breakglass.monitor",
        made.keys["monitor"],
        f'log = "{ORIGIN}"\nledger = "../ledger/address"\n{CHANNEL}',
    )
    (monitor.folder / "trust").write_bytes(made.trust_note().encoded())
    made.minters.append(monitor)  # ended with them
    try:
        made.start()
        monitor.start()
        wait_current(monitor)
        yield made
    finally:
        made.stop()


def test_what_was_approved_ahead_is_minted_at_its_start_and_not_before(shop: Shop) -> None:
    begins = to_milliseconds(SystemClock().now() + BEGINS_IN)
    asking = shop.asking(do=Do.ASK, starts=format_time(begins))
    shop.hands_in(asking)
    assert shop.answer(Do.APPROVE, asking, "sam")["ask"]["state"] == "granted"
    with pytest.raises(BreakglassError):
        shop.break_glass(asking)
    assert shop.target().handles() == []
    grant = shop.get(f"/grants/{asking.grant}")
    assert (grant["state"], parse_time(grant["not_before"])) == ("scheduled", begins)
    until(lambda: SystemClock().now() > begins, 20)
    until(lambda: "justified" in shop.kinds(asking.grant), 20)
    granted = shop.break_glass(asking)
    assert asking.opened(granted["minted"])["password"]
    shop.done(asking)
    until(lambda: shop.get(f"/grants/{asking.grant}")["state"] == "dead", 20)
    assert shop.void() == []
