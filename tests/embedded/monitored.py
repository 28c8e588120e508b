"""A shop of real processes with a monitor of its own: every kind of process there is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.broker.shop import ORIGIN, Shop, running_shop
from tests.kit.processes import Process, make_process, until

CHANNEL = '[channels.file]\ntype = "log_file"\nfile = "alarms"\n'


@contextlib.contextmanager
def monitored_shop(folder: Path) -> Iterator[Shop]:
    """Run a shop and its monitor until the end of the block."""
    with running_shop(folder) as made:
        settings = f'log = "{ORIGIN}"\nledger = "../ledger/address"\n{CHANNEL}'
        monitor = make_process(
            made.folder / "monitor", "breakglass.monitor", made.keys["monitor"], settings
        )
        (monitor.folder / "trust").write_bytes(made.trust_note().encoded())
        made.minters.append(monitor)  # ended with them
        monitor.start()
        wait_current(monitor)
        yield made


def process_of(shop: Shop, kind: str) -> Process:
    """Return the process of a kind, the first where there are several."""
    minter, monitor = shop.minters
    return {
        "ledger": shop.logs.ledger,
        "archiver": shop.logs.archiver,
        "witness": shop.logs.witnesses[0],
        "broker": shop.brokers[0],
        "minter": minter,
        "monitor": monitor,
    }[kind]


def wait_current(process: Process) -> None:
    """Wait until a process has read the ledger up to now, where it reads it."""
    with process.neighbour() as each:
        until(lambda: each.get("/healthz").json().get("current", True), 30)
