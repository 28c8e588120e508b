"""The shop with custodians: a broker with a door key, a gate, four custodians, two needed.

``mira``, who breaks glass here, is a custodian too, so that her own line is seen never to count.
"""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from breakglass.records.card import card_digest
from breakglass.records.kinds.intent import Intent
from breakglass.records.presentation import Presentation, presentation_text
from breakglass.records.record_reader import parse_record
from breakglass.records.signing.signature import PRESENTATION_NAMESPACE
from breakglass.records.statement import Answer, Countersign, Do, Why, digest_of
from breakglass.tlog.note import Note, SignerKey
from breakglass.token.token import parse_token
from tests.broker.shop import SIMULATED, Asking, Shop, _nonce, _now
from tests.kit.people import SoftKey
from tests.kit.processes import ORIGIN, make_log_set, until

GATE = "deploy-approval"


@dataclass
class DoorShop(Shop):
    """See the module."""

    door: str = "yes"
    custodians: dict[str, SoftKey] = field(
        default_factory=lambda: {name: SoftKey.of(name) for name in ("ines", "ravi", "escrow")}
    )

    def door_lines(self) -> list[str]:
        keys = {**{name: key.public for name, key in self.custodians.items()}}
        keys["mira"] = self.people["mira"].public
        lines = [f"custodian {name} {key}" for name, key in keys.items()]
        return [*lines, "custodians 2", f"door {self.door}"]

    def make(self, minter_settings: str) -> None:
        super().make(minter_settings)
        key = self.brokers[0].folder / "door-key"
        key.touch(0o600)
        key.write_text(self.keys["broker-door"].encoded() + "\n")
        self.make_gate(GATE)

    def start(self) -> None:
        """Start everything; returns when the minter knows what the ledger holds."""
        super().start()
        size = len(self.records())
        until(lambda: self.minter_size() >= size, 30)

    def make_gate(self, name: str, door: str | None = None) -> Path:
        """Make a gate's folder; its trust file may say of the door what it likes."""
        folder = self.folder / "gates" / name
        folder.mkdir(parents=True, mode=0o700)
        (folder / "data").mkdir()
        (folder / "settings.toml").write_text(
            f'gate = "{GATE}"\nlog = "{ORIGIN}"\nledger = "../../ledger/address"\n'
            "send_within_s = 1\ndoor_within_s = 0.2\n"
        )
        (folder / "key").touch(0o600)
        (folder / "key").write_text(self.keys["gate:deploy-approval"].encoded() + "\n")
        before, self.door = self.door, door or self.door
        (folder / "trust").write_bytes(self.trust_note().encoded())
        self.door = before
        return folder

    # --- the ledger --------------------------------------------------------------------------

    def ledger_goes(self) -> None:
        self.logs.ledger.kill()
        (self.logs.ledger.folder / "address").unlink()

    def ledger_returns(self) -> None:
        self.logs.ledger.start()

    @contextlib.contextmanager
    def without_ledger(self) -> Iterator[None]:
        self.ledger_goes()
        try:
            yield
        finally:
            self.ledger_returns()

    # --- people ------------------------------------------------------------------------------

    def asking_door(self, glass: str = "deploy-rollback", **changes: Any) -> Asking:
        """Sign what somebody asks of the custodians."""
        return self.asking(glass, **{"do": Do.DOOR, **changes})

    def ask(self, asking: Asking) -> dict[str, Any]:
        return self.post("/doors", {**asking.body, "presentation": None})

    def words(self, asking: Asking, *names: str, key: SoftKey | None = None) -> list[Any]:
        """Have custodians countersign what somebody asks."""
        return [self.word(asking, name, key) for name in names]

    def word(self, asking: Asking, name: str, key: SoftKey | None = None, **changes: Any) -> Any:
        """Have one custodian countersign."""
        card = self.active["cards"][asking.said.glass]
        said = Countersign(
            do=Do.COUNTERSIGN,
            log=ORIGIN,
            answers=digest_of(asking.body["statement"]["text"]),
            card=card_digest(Note.parse(card.encode())),
            who=name,
            reason=Why("door", "the ledger does not answer me either"),
            at=_now(),
            nonce=_nonce(),
        )
        return self.signed(
            replace(said, **changes), key or {**self.people, **self.custodians}[name]
        )

    def complete(self, asking: Asking, words: list[Any]) -> dict[str, Any]:
        """Hand the broker what custodians signed."""
        body = {"statement": asking.body["statement"], "countersigned": words}
        return self.post(f"/doors/{asking.grant}", body)

    def door_token(self, asking: Asking, told: dict[str, Any], to: str, run: str) -> str:
        """Return the token of a door, presented."""
        text = asking.body["statement"]["text"]
        shown = Presentation(ORIGIN, digest_of(text), to, run, _now())
        signed = asking.holder.sign(presentation_text(shown), PRESENTATION_NAMESPACE)
        lines = ["breakglass.dev/token/v1", f"card {base64_of(told['card'])}"]
        lines += [f"intent {base64_of(told['note'])}", *told["people"], "door", ""]
        return parse_token("\n".join(lines).encode()).presented(signed).encoded()

    def opened_door(self, asking: Asking) -> dict[str, Any]:
        """Ask, have two custodians countersign, and hand the broker their words."""
        self.ask(asking)
        return self.complete(asking, self.words(asking, "ines", "ravi"))

    def done_statement(self, asking: Asking, who: str) -> dict[str, Any]:
        answers = digest_of(asking.body["statement"]["text"])
        why = Why("production", "finished")
        return self.signed(Answer(Do.DONE, ORIGIN, answers, who, why, _now(), _nonce()))

    def end_at_minter(self, asking: Asking, statement: dict[str, Any]) -> dict[str, Any]:
        with self.minters[0].neighbour(20) as minter:
            return minter.post_json("/end", {"grant": asking.grant, "statement": statement})

    # --- the gate ----------------------------------------------------------------------------

    def gate(
        self, token: str, run: str = "812", name: str = GATE, settings: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the gate, whose check says no, with a token."""
        folder = settings or self.folder / "gates" / name
        file = folder / "shown-token"
        file.write_text(token)
        return self.gate_says("run", "--token", str(file), "--for", run, "--", "false", name=name)

    def gate_says(self, act: str, *more: str, name: str = GATE) -> subprocess.CompletedProcess[str]:
        folder = self.folder / "gates" / name
        command = [sys.executable, "-m", "breakglass.gate", act, GATE, "--folder", str(folder)]
        return subprocess.run([*command, *more], capture_output=True, text=True, check=False)

    def gate_token(self, asking: Asking, told: dict[str, Any], run: str = "812") -> str:
        return self.door_token(asking, told, f"gate:{GATE}", run)

    def minter_token(self, asking: Asking, told: dict[str, Any]) -> str:
        return self.door_token(asking, told, "minter:orders-db", asking.grant)

    # --- looking -----------------------------------------------------------------------------

    def rings(self, folder: Path) -> list[dict[str, Any]]:
        """Return what a process's own bell has rung."""
        log = folder / "data" / "rings.log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def in_log(self, grant: str) -> bool:
        return any(
            isinstance(each.body, Intent) and each.body.grant == grant for each in self.records()
        )

    def wait_in_log(self, grant: str) -> None:
        until(lambda: self.in_log(grant), 20)
        until(lambda: grant in [each["grant"] for each in self.get("/grants")["grants"]], 30)


def make_door_shop(folder: Path, minter_settings: str = SIMULATED, **changes: Any) -> DoorShop:
    """Make a shop with custodians; nothing runs yet."""
    logs = make_log_set(folder)
    roles = ("broker", "broker-2", "broker-door", "minter:orders-db", "monitor")
    keys = {
        role: SignerKey.generate(f"{role.replace(':', '-')}.shop.example")
        for role in (*roles, "gate:deploy-approval")
    }
    shop = DoorShop(folder, logs, keys, **changes)
    shop.make(minter_settings)
    return shop


@contextlib.contextmanager
def running_door_shop(
    folder: Path, minter_settings: str = SIMULATED, **changes: Any
) -> Iterator[DoorShop]:
    """Make and start a shop with custodians, and end it whatever happens."""
    shop = make_door_shop(folder, minter_settings, **changes)
    try:
        shop.start()
        yield shop
    finally:
        shop.stop()


def intent_of(note: str) -> Any:
    """Return the intent that a note holds."""
    return parse_record(note.encode()).body


def base64_of(text: str) -> str:
    """Return text in base64."""
    return base64.b64encode(text.encode()).decode()
