"""The table of who reads what, written from the processes' own routes.

.venv/bin/python -m tests.http.reader_table    write it into the reference again
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from breakglass.archiver.app import build as build_archiver
from breakglass.broker.app import build as build_broker
from breakglass.clock import SystemClock
from breakglass.http.edge import ServedRoute
from breakglass.http.routes import Route
from breakglass.ledger.app import build as build_ledger
from breakglass.minter.app import build as build_minter
from breakglass.monitor.app import build as build_monitor
from breakglass.process.serving import Service
from breakglass.witness.app import build as build_witness
from tests.broker.shop import SIMULATED, make_shop
from tests.monitor.stand_ins import Shop, StandInLedger, make_folder

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "processes.md"
WORDS = {
    "nobody": "everybody",
    "known": "known",
    "person": "a person",
    "of_grant": "known, and the grant's holder key",
    "of_request": "known, the grant's holder key, and who shows a monitor's permit for it",
    "neighbour_or_holder": "a neighbour, and the grant's holder key",
    "all_or_trusted": "who reads all, and whom the trust file names",
    "reads_all": "who reads all",
    "broker": "a broker",
}
_BLOCK = re.compile(r"(<!-- readers -->\n)(.*?)(<!-- /readers -->)", re.DOTALL)


def services(folder: Path) -> dict[str, Service]:
    """Build one process of each sort from real folders; nothing of it runs."""
    shop, organisation = make_shop(folder / "shop", SIMULATED), Shop().begin()
    ledger = StandInLedger(organisation)
    channels = {"file": {"type": "log_file", "file": "alarms.jsonl"}}
    monitor = make_folder(folder / "monitor", organisation, ledger, channels)
    clock = SystemClock()
    made = {
        "ledger": build_ledger(shop.logs.ledger.folder, clock),
        "broker": build_broker(shop.brokers[0].folder, clock),
        "minter": build_minter(shop.minters[0].folder, clock),
        "monitor": build_monitor(monitor, clock),
        "witness": build_witness(shop.logs.witnesses[0].folder, clock),
        "archiver": build_archiver(shop.logs.archiver.folder, clock),
    }
    ledger.kill()
    return made


def rows_of(service: Service) -> list[Route]:
    """Return a process's table."""
    return [each.row for each in service.app.routes if isinstance(each, ServedRoute)]


def tables() -> dict[str, list[Route]]:
    """Return every process's table, by its name."""
    with tempfile.TemporaryDirectory() as folder:
        return {name: rows_of(each) for name, each in services(Path(folder)).items()}


def rule(row: Route) -> str:
    """Return the name of the rule that says who asks."""
    return str(row.who.__name__)


def table() -> str:
    """Return the table as the reference has it."""
    lines = ["| process | route | who |", "| --- | --- | --- |"]
    for process, rows in tables().items():
        ledger = "its readers" if process == "ledger" else ""
        for row in rows:
            if row.method == "GET" or rule(row) != "nobody":
                closed = rule(row) != "nobody"
                words = ledger if closed and ledger else WORDS[rule(row)]
                path = re.sub(r"\{(\w+)(:path)?\}", lambda name: name[1].upper(), row.path)
                lines.append(f"| {process} | `{row.method} {path}` | {words} |")
    return "\n".join(lines) + "\n"


def written() -> str:
    """Return the page with the table of today."""
    return _BLOCK.sub(lambda found: f"{found[1]}\n{table()}\n{found[3]}", PAGE.read_text())


if __name__ == "__main__":
    PAGE.write_text(written())
