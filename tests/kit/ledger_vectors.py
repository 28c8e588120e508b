"""The vectors in ``vectors/ledger``, read into the types that tests want."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from breakglass.tlog.note import SignerKey, VerifierKey
from breakglass.tlog.policy import TlogPolicy, parse_policy
from breakglass.tlog.tiles import decode_bundle, entries_path, tile_path

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "ledger"


def load(name: str) -> Any:
    """Read one JSON file."""
    return json.loads((VECTORS / name).read_text())


@dataclass(frozen=True)
class StoredLog:
    """A log as tlog-tiles lays it out; reads a full tile where a partial one is gone."""

    root: Path

    @property
    def vkey(self) -> VerifierKey:
        return VerifierKey.parse((self.root / "vkey").read_text().strip())

    @property
    def policy(self) -> TlogPolicy:
        return parse_policy((self.root / "policy").read_text())

    def checkpoint(self, old: int | None = None) -> bytes:
        """Return the newest head's note, or the one kept of size ``old``."""
        name = "checkpoint" if old is None else f"old/checkpoint.{old}"
        return (self.root / name).read_bytes()

    def hashes(self, level: int, start: int, stop: int) -> Sequence[bytes]:
        n, first = divmod(start, 256)
        data = self._partial_or_full(tile_path(level, n), stop - 256 * n)
        row = [data[at : at + 32] for at in range(0, len(data), 32)]
        return row[first : stop - 256 * n]

    def entries(self, size: int) -> list[bytes]:
        found: list[bytes] = []
        for n in range(-(-size // 256)):
            width = min(256, size - 256 * n)
            found += decode_bundle(self._partial_or_full(entries_path(n), width))[:width]
        return found

    def _partial_or_full(self, path: str, width: int) -> bytes:
        part = self.root / f"{path}.p" / str(width)
        return (part if part.exists() else self.root / path).read_bytes()


MADE_LOG_A = StoredLog(VECTORS / "made-log-a")
TESSERA_LOG = StoredLog(VECTORS / "tessera-log")


def made_log_a_signers() -> dict[str, SignerKey]:
    """Return the log's and the Ed25519 cosigners' private keys, by key name."""
    return {
        name: SignerKey(name, each["type"], bytes.fromhex(each["seed_hex"]))
        for name, each in load("made-log-a/keys.json").items()
        if each["type"] in (0x01, 0x04)
    }


@dataclass(frozen=True)
class WitnessStep:
    """One request of the conversation and what a right witness answers.

    ``body_contains`` is the whole body, with its line feed, where the status is 409.
    """

    name: str
    body: bytes
    status: int
    body_contains: str


def witness_conversation() -> tuple[VerifierKey, list[WitnessStep]]:
    """Return the only log that the fresh witness knows, and the requests in order."""
    vectors = load("witness-add-checkpoint.json")
    steps = [
        WitnessStep(step["name"], step["body"].encode(), step["status"], step["body_contains"])
        for step in vectors["steps"]
    ]
    return VerifierKey.parse(vectors["log_vkey"]), steps
