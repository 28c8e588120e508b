"""The in-memory organisation beside a real ledger, witnesses and archiver that hold its keys."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from breakglass.clock import to_milliseconds
from breakglass.node.replica import Replica
from breakglass.submit.blob_upload import put_attachment
from breakglass.tlog.policy import parse_policy
from breakglass.tlog.tiles import encode_bundle
from tests.kit.organisation import Organisation
from tests.kit.processes import LogSet, make_process
from tests.kit.reading import signs

WITHIN = timedelta(seconds=10)


@dataclass
class Followed:
    """An organisation whose records lie in a real ledger too."""

    org: Organisation
    parties: LogSet
    folder: Path
    sent: int = 0

    def send(self) -> int:
        """Bring what the organisation wrote since into the ledger; returns its size."""
        with self.parties.ledger.neighbour() as ledger:
            for entry in self.org.log.entries(self.sent):
                for data in entry.attachments.values():
                    put_attachment(ledger, io.BytesIO(data), self.org.submitters["broker"])
                ledger.post("/append", encode_bundle([entry.note]))
                self.sent += 1
        return self.sent

    def view(self, name: str = "cache", **given: object) -> Replica:
        ledger = self.parties.ledger.neighbour()
        return Replica(
            ledger,
            self.org.trust(),
            self.folder / name,
            poll=timedelta(seconds=2),
            **given,  # type: ignore[arg-type]
        ).start()


@pytest.fixture
def followed(tmp_path: Path) -> Iterator[Followed]:
    org = Organisation(now=to_milliseconds(datetime.now(UTC)))
    org.begin()
    lines = [line for line in org.trust_text().split("\n") if line.split(" ")[0] in _TLOG]
    names = list(org.witness_keys)
    settings = 'archiver = "worm"\n[neighbours]\n' + "".join(
        f'{name} = "../{name}"\n' for name in names
    )
    ledger = make_process(tmp_path / "ledger", "breakglass.ledger", org.log.signer, settings)
    (ledger.folder / "policy").write_text("\n".join(lines) + "\n")
    (ledger.folder / "submitters").write_text(
        "".join(f"{key.verifier} {role}\n" for role, key in org.submitters.items())
    )
    ledger.reader = signs(org.submitters["monitor"])
    witnesses = [
        make_process(tmp_path / name, "breakglass.witness", org.witness_keys[name], "")
        for name in names
        if name != "worm"
    ]
    worm = make_process(
        tmp_path / "worm", "breakglass.archiver", org.witness_keys["worm"], 'ledger = "../ledger"\n'
    )
    for each in [*witnesses, worm]:
        (each.folder / "logs").write_text(f"{org.log.signer.verifier}\n")
    policy = parse_policy("\n".join(lines) + "\n")
    parties = LogSet(tmp_path, org.log.signer, [], ledger, witnesses, worm, policy)
    try:
        parties.start()
        yield Followed(org, parties, tmp_path)
    finally:
        parties.kill()


_TLOG = {"log", "witness", "group", "quorum"}
