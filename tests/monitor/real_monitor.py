"""A monitor as a process beside a real ledger, real witnesses and a real archiver."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from breakglass.records.record_reader import parse_record
from breakglass.submit.blob_upload import put_attachment
from breakglass.tlog.tiles import encode_bundle
from tests.kit.processes import Process, make_process
from tests.kit.reading import signs
from tests.monitor.stand_ins import Shop, Sink, hook


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
        self.ledger.reader = signs(org.submitters["monitor"])
        self.monitor.reader = signs(org.submitters["broker"], org.log.signer.name)
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
        with self.monitor.neighbour() as monitor:
            return monitor.get(path).json()

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
