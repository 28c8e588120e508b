"""``minter add`` cut off anywhere and typed again ends as if nothing had happened."""

from __future__ import annotations

import itertools
import os
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from breakglass.errors import MisconfiguredError
from breakglass.minter.settings import MinterSettings
from breakglass.operate import fixed_address, new_gate, new_minter
from breakglass.operate.new_minter import MinterOrder, make_minter
from breakglass.process.settings import read_settings

NOW = datetime(2026, 6, 22, 3, 0, tzinfo=UTC)
TARGET = 'platform = "postgres"\n\n[postgres]\ndsn = "host=db dbname=orders user=m password=p"\n'


BROKER = """log = "x/ledger"

[minters]
"other" = "../minter-other/address"

[ring]
webhook = ""
"""


def order_in(org: Path) -> MinterOrder:
    """Return an order in a folder with as much of ledger and broker as is touched."""
    for each in ("ledger", "broker"):
        (org / each).mkdir(parents=True)
    (org / "ledger" / "submitters").write_text("broker.x+0+AA broker\n")
    (org / "ledger" / "settings.toml").write_text('archiver = "archiver"\n')
    (org / "broker" / "settings.toml").write_text(BROKER)
    return MinterOrder(org, "orders-db", "shop.example/ledger", b"the trust file", TARGET)


@pytest.fixture
def order(tmp_path: Path) -> MinterOrder:
    return order_in(tmp_path)


def check_whole(order: MinterOrder) -> None:
    settings = read_settings(order.folder, MinterSettings)
    assert settings.postgres is not None
    assert (settings.name, settings.postgres.dsn.split()[0]) == ("orders-db", "host=db")
    assert settings.serving.port
    assert (order.folder / "trust").read_bytes() == b"the trust file"
    lines = (order.org / "ledger" / "submitters").read_text().splitlines()
    assert [each.split()[1] for each in lines] == ["broker", "minter:orders-db"]
    broker = tomllib.loads((order.org / "broker" / "settings.toml").read_text())
    there = "../minter-orders-db/address"
    assert broker["minters"] == {"other": "../minter-other/address", "orders-db": there}
    assert broker["ring"] == {"webhook": ""}
    assert not list(order.folder.glob(".*"))


def test_the_same_again_changes_nothing(order: MinterOrder) -> None:
    first = make_minter(order, NOW)
    check_whole(order)
    again = make_minter(order, NOW)
    assert (first.trust_line, first.address) == (again.trust_line, again.address)
    assert (len(first.changed), again.changed) == (3, ())


class PowerCutError(Exception):
    """Stands for a ``kill -9`` before one effect."""


def test_cut_off_at_any_step_and_typed_again_it_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    effects = [(new_minter, name) for name in ("write_whole", "write_synced", "make_folder")]
    effects += [(new_gate, "write_whole"), (fixed_address, "write_whole")]
    effects += [(os, "rename"), (os, "replace")]
    for cut in itertools.count(1):
        order = order_in(tmp_path / str(cut))
        left = itertools.count(cut - 1, -1)
        with monkeypatch.context() as patched:
            for module, name in effects:
                patched.setattr(module, name, _cut_at_zero(getattr(module, name), left))
            try:
                make_minter(order, NOW)
            except PowerCutError:
                pass
            else:
                break
        first = make_minter(order, NOW)
        check_whole(order)
        assert make_minter(order, NOW).trust_line == first.trust_line
    assert cut > 12


def _cut_at_zero(real: Callable[..., Any], left: Iterator[int]) -> Callable[..., Any]:
    def counted(*given: Any, **more: Any) -> Any:
        if next(left) == 0:
            raise PowerCutError
        return real(*given, **more)

    return counted


def test_another_target_under_the_same_name_is_refused(order: MinterOrder) -> None:
    make_minter(order, NOW)
    other = MinterOrder(order.org, "orders-db", order.log, order.trust, TARGET.replace("=db", "=x"))
    with pytest.raises(MisconfiguredError, match="a minter with another target; nothing was"):
        make_minter(other, NOW)
    check_whole(order)


def test_a_host_without_ledger_and_broker_is_refused(order: MinterOrder) -> None:
    (order.org / "broker" / "settings.toml").unlink()
    with pytest.raises(MisconfiguredError, match="the broker's folder is not in"):
        make_minter(order, NOW)
    assert not order.folder.exists()
