"""A gate's folder for the in-memory organisation, at the organisation's own time."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from breakglass.gate.main import main
from breakglass.records.record_reader import parse_record
from breakglass.submit.record_header import NO_PREV, numbered
from breakglass.submit.spool import Spool
from breakglass.tlog.note import sign_note
from tests.kit.organisation import Organisation

PASS = [sys.executable, "-c", "raise SystemExit(0)"]
FAIL = [sys.executable, "-c", "raise SystemExit(1)"]


@dataclass
class SetClock:
    """A clock that a test sets."""

    time: datetime

    def now(self) -> datetime:
        return self.time


@dataclass
class GateHome:
    """The folder, the organisation that rules it, and a way to run the command in process."""

    org: Organisation
    folder: Path
    clock: SetClock

    def run(self, *arguments: str) -> int:
        verb, gate, *rest = arguments
        return main([verb, gate, "--folder", str(self.folder), *rest], self.clock)

    @property
    def spool(self) -> Path:
        """Where records wait for the ledger."""
        return self.folder / "data" / "spool.sqlite"

    def spooled(self) -> list[Any]:
        """Read the bodies of the records that wait for the ledger, in order."""
        key = self.org.submitters["gate:deploy-approval"]
        with closing(Spool(self.spool)) as spool:
            texts = [numbered(each.draft.text, 0, NO_PREV) for each in spool.waiting()]
        return [parse_record(sign_note(text, key).encoded()).body for text in texts]

    def dates(self) -> list[datetime]:
        """Read the times of the records that wait, in order."""
        key = self.org.submitters["gate:deploy-approval"]
        with closing(Spool(self.spool)) as spool:
            texts = [numbered(each.draft.text, 0, NO_PREV) for each in spool.waiting()]
        return [parse_record(sign_note(text, key).encoded()).envelope.at for text in texts]

    def token_file(self, text: str | bytes, name: str = "token") -> str:
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)


@pytest.fixture
def org() -> Organisation:
    made = Organisation()
    made.begin()
    return made


@pytest.fixture
def home(org: Organisation, tmp_path: Path) -> GateHome:
    folder = tmp_path / "deploy-approval"
    folder.mkdir(mode=0o700)
    (folder / "settings.toml").write_text(
        f'gate = "deploy-approval"\nlog = "{org.log_name}"\nledger = "http://127.0.0.1:9"\n'
        'trust = "trust"\ncheck_within_s = 10\nsend_within_s = 0.1\n'
        'glasses = ["deploy-rollback"]\n'
    )
    (folder / "trust").write_bytes(org.trust_note())
    key = folder / "key"
    key.write_text(org.submitters["gate:deploy-approval"].encoded())
    key.chmod(0o600)
    return GateHome(org, folder, SetClock(org.now))
