"""The monitor as a process beside a real ledger, real witnesses and a real archiver."""

from __future__ import annotations

import io
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from breakglass.records import kinds
from breakglass.records.record import parse_record
from breakglass.tlog.tiles import encode_bundle
from breakglass.wire.attaching import put_attachment
from tests.kit.processes import Process, make_process
from tests.monitor.stand_ins import Shop, Sink, eventually, hook


class Town:
    """A shop whose records go to a real ledger; the monitor's own come from there alone."""

    def __init__(self, folder: Path, sink: Sink) -> None:
        self.shop = Shop().begin()
        org = self.shop.org
        policy = [line for line in org.trust_lines() if line.split()[0] in _TLOG]
        addresses = "".join(f'{name} = "../{name}"\n' for name in org.witness_keys)
        settings = f'archiver = "worm"\n[neighbours]\n{addresses}'
        self.ledger = make_process(folder / "ledger", "breakglass.ledger", org.log.signer, settings)
        (self.ledger.folder / "policy").write_text("\n".join(policy) + "\n")
        (self.ledger.folder / "submitters").write_text(
            "".join(f"{key.verifier} x\n" for key in org.submitters.values())
        )
        self.others = []
        for name, key in org.witness_keys.items():
            module = "breakglass.archiver" if name == "worm" else "breakglass.witness"
            told = 'ledger = "../ledger"\n' if name == "worm" else ""
            process = make_process(folder / name, module, key, told)
            (process.folder / "logs").write_text(f"{org.log.signer.verifier}\n")
            self.others.append(process)
        self.monitor = make_process(
            folder / "monitor", "breakglass.monitor", org.submitters["monitor"], _monitor(org, sink)
        )
        (self.monitor.folder / "trust").write_bytes(org.trust_note())
        self.pushed = 0

    def start(self) -> Town:
        for each in self.others:
            each.start(wait=False)
        for each in self.others:
            each.wait_started()
        self.ledger.start()
        self.push()
        self.monitor.start()
        return self

    def push(self) -> None:
        """Send what the shop has written since last time."""
        org, ledger = self.shop.org, self.ledger.neighbour()
        for data in org.log.attachments.values():
            put_attachment(ledger, io.BytesIO(data), org.submitters["broker"])
        for note in org.log.notes[self.pushed :]:
            ledger.post("/append", encode_bundle([note]))
            self.pushed += 1

    def breaks(self, **how: Any) -> str:
        grant = self.shop.breaks(**how).grant
        self.push()
        return grant

    def ask(self, path: str) -> Any:
        with urlopen(f"{self.monitor.address}{path}", timeout=5) as answer:
            return json.load(answer)

    def recorded(self, kind: type[Any]) -> list[Any]:
        answer = self.ledger.neighbour().get("/entries?from=0&wait=0").json()
        notes = [note for each in answer["commits"] for note in each["entries"]]
        bodies = [parse_record(note.encode()).body for note in notes]
        return [body for body in bodies if isinstance(body, kind)]

    @property
    def processes(self) -> list[Process]:
        return [self.monitor, self.ledger, *self.others]


_TLOG = frozenset({"log", "witness", "group", "quorum"})


def _monitor(org: Any, sink: Sink) -> str:
    witnesses = "".join(f'{name} = "../{name}/address"\n' for name in org.witness_keys)
    channel = "".join(f"{key} = {json.dumps(value)}\n" for key, value in hook(sink).items())
    return (
        f'log = "{org.log_name}"\nledger = "../ledger/address"\nheads_every_s = 0.2\n'
        f"look_every_s = 0.1\nretry_at_most_s = 0.3\nsilent_after_s = 1\n"
        f"[witnesses]\n{witnesses}[channels.hook]\n{channel}"
    )


@pytest.fixture
def town(tmp_path: Path, sink: Sink) -> Iterator[Town]:
    town = Town(tmp_path, sink)
    try:
        yield town.start()
    finally:
        for process in town.processes:
            process.kill()


def test_an_intent_rings_and_is_recorded_justified_and_reviewed(town: Town, sink: Sink) -> None:
    eventually(lambda: town.ask("/status")["live"])
    grant = town.breaks()
    eventually(lambda: "broke_glass" in sink.subjects(grant))
    eventually(lambda: [each.grant for each in town.recorded(kinds.Justified)] == [grant])
    eventually(lambda: "broke_glass" in [each.subject for each in town.recorded(kinds.Alarm)])
    review = town.ask(f"/reviews/{grant}")
    assert review["record"]["audit_verified"].startswith("YES — entry ")
    assert "archived by worm" in review["record"]["audit_verified"]
    heads = town.ask("/status")["heads"]
    assert set(heads) == {"ledger", "w-sec", "w-plat", "w-audit", "worm"}
    eventually(lambda: all(head["size"] >= 7 for head in town.ask("/status")["heads"].values()))
    assert town.ask("/status")["broken"] == ""
    assert town.recorded(kinds.Pulse)


def test_the_ledger_dies_and_hangs_and_the_monitor_dies_and_nothing_goes_unheard(
    town: Town, sink: Sink
) -> None:
    first = town.breaks()
    eventually(lambda: "broke_glass" in sink.subjects(first))
    town.ledger.kill()
    eventually(lambda: "ledger_silent" in sink.subjects())
    town.ledger.start()
    second = town.breaks()
    eventually(lambda: "broke_glass" in sink.subjects(second))
    town.monitor.kill()
    third = town.breaks()
    town.ledger.signal(signal.SIGSTOP)
    town.monitor.start()
    time.sleep(0.3)
    town.ledger.signal(signal.SIGCONT)
    eventually(lambda: "broke_glass" in sink.subjects(third))
    grants = {first, second, third}
    eventually(lambda: {each.grant for each in town.recorded(kinds.Justified)} == grants)
    for grant in grants:
        # Killed between the answer and its note of it, it sends once more under the same key.
        assert set(sink.subjects(grant)) == {"broke_glass"}
    assert "forbidden" not in sink.subjects()
    assert town.ask("/status")["broken"] == ""
