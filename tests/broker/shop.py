"""A small shop with everything real: ledger, witnesses, archiver, brokers, minters as processes.

People sign with software keys, in this process. Only the monitor is played: its key pulses.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import json
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyrage

from breakglass.clock import SystemClock, to_milliseconds
from breakglass.error_names import ErrorName
from breakglass.http.client import Peer
from breakglass.minter.platforms.simulated import Simulated
from breakglass.node.replica import Replica
from breakglass.node.submitter import Fact, Submitter
from breakglass.policy.bundle import pack_bundle
from breakglass.policy.cards import make_cards, make_policy_note
from breakglass.policy.compile import compile_policy
from breakglass.records.card import LONGEST_LIFE, card_text
from breakglass.records.encoding.text_types import ZERO_DIGEST
from breakglass.records.fold.context import Entry
from breakglass.records.fold.fold import Judged
from breakglass.records.fold.state import State
from breakglass.records.kinds.alert import PAGE, Alert, Delivery
from breakglass.records.kinds.genesis import Genesis
from breakglass.records.kinds.pulse import Pulse
from breakglass.records.policy_note import policy_text
from breakglass.records.presentation import Presentation, presentation_text
from breakglass.records.record import Envelope, record_text
from breakglass.records.record_reader import parse_record
from breakglass.records.signing.signature import (
    CARD_NAMESPACE,
    POLICY_NAMESPACE,
    PRESENTATION_NAMESPACE,
    STATEMENT_NAMESPACE,
    TRUST_NAMESPACE,
    Signed,
    person_line,
)
from breakglass.records.statement import (
    AccessRequest,
    Answer,
    Declare,
    Do,
    Kill,
    Statement,
    Target,
    Why,
    digest_of,
    grant_id,
    statement_text,
)
from breakglass.records.trust import Trust, accept_trust
from breakglass.strict_json import write
from breakglass.submit.outbox import Outbox, Receipt
from breakglass.tlog.note import Note, SignerKey, sign_note
from breakglass.token.token import Token, parse_token
from tests.kit.access_requests import access_request
from tests.kit.people import SoftKey, SoftSecurityKey
from tests.kit.processes import ORIGIN, LogSet, Process, make_log_set, make_process, until
from tests.kit.reading import ReadingPeer, signs

BUNDLE = """\
version: {version}
organisation: shop.example
people:
  mira: {{name: Mira, keys: ["{mira}"]}}
  teo: {{name: Teo, keys: ["{teo}"]}}
  sam: {{name: Sam, keys: ["{sam}"]}}
  bo: {{name: Bo, keys: ["{bo}"]}}
groups:
  oncall: {{members: [mira, teo, bo]}}
  leads: {{members: [sam]}}
reasons:
  production: hands are needed
  gate-down: the gate could not be evaluated
  approver-silent: nobody answers
networks: {{here: [127.0.0.0/8], office: [192.0.2.0/24]}}
gates:
  deploy-approval: {{protects: production, owner: sam, fail: closed}}
glasses:
  deploy-rollback:
    does: roll back production and restart the pipeline; nothing else
    blast_radius: contained
    opens_gates: [deploy-approval]
    for: 30m
    who: [group:oncall]
    when: {{incident: [SEV1, SEV2], mfa_age: 5m}}
    review: {{due: 3 business days, by: [group:leads]}}
  orders-repair:
    does: {does}
    blast_radius: contained
    mint: {{postgres: {{minter: orders-db, database: orders, template: breakglass_orders_repair}}}}
    for: 20m
    who: [group:oncall]
    when: {{incident: [SEV1, SEV2], mfa_age: 5m}}
    review: {{due: 3 business days, by: [group:leads]}}
  key-deletion:
    does: schedule the deletion of a production encryption key
    blast_radius: severe
    mint: {{postgres: {{minter: orders-db, database: orders, template: breakglass_orders_repair}}}}
    for: 15m
    who: [group:oncall]
    when: {{incident: [SEV1], mfa_age: 2m}}
    approvers: {{from: [group:leads], need: 1}}
    review: {{due: 1 business day, by: [group:leads], second_reader: true}}
channels:
  file: {{log_file: alarms.log}}
  hook: {{webhook: "secret:hook"}}
alerts: {{glass: [file, hook], severe: [file, hook]}}
kill: [sam]
maintainers: {{need: 2, of: [sam, bo]}}
reviews: {{default: {{SEV1: 3 business days, other: 5 business days}}}}
"""
Person = SoftKey | SoftSecurityKey


@dataclass
class Asking:
    """What a person's client holds of one statement."""

    said: AccessRequest
    body: dict[str, Any]
    holder: SoftKey

    @property
    def grant(self) -> str:
        """The grant's id."""
        return grant_id(self.body["statement"]["text"])

    def opened(self, minted: dict[str, Any]) -> dict[str, Any]:
        """Open the sealed credential with the holder key."""
        import base64

        identity = pyrage.ssh.Identity.from_buffer(self.holder.private_file())
        data = pyrage.decrypt(base64.b64decode(minted["sealed"]), [identity])
        found: dict[str, Any] = json.loads(data)
        return found


@dataclass
class Shop:
    """See the module."""

    folder: Path
    logs: LogSet
    keys: dict[str, SignerKey]
    brokers: list[Process] = field(default_factory=list)
    minters: list[Process] = field(default_factory=list)
    version: int = 1
    does: str = "repair rows of orders and order_items"
    padding: int = 0  # bytes of comments in the bundle, half of them beside breakglass.yaml
    active: dict[str, Any] = field(default_factory=dict)
    others: list[Any] = field(default_factory=list)
    people: dict[str, Person] = field(
        default_factory=lambda: {
            "mira": SoftSecurityKey.of("mira"),
            "teo": SoftSecurityKey.of("teo"),
            "sam": SoftSecurityKey.of("sam"),
            "bo": SoftKey.of("bo"),
        }
    )

    # --- making it ---------------------------------------------------------------------------

    def bundle(self) -> dict[str, bytes]:
        keys = {name: key.public for name, key in self.people.items()}
        text = BUNDLE.format(version=self.version, does=self.does, **keys)
        files = {"breakglass.yaml": text.encode()}
        if self.padding:
            comment = b" a word of why, for whoever reads this at night\n"
            half = self.padding // 2 // len(comment)
            files["breakglass.yaml"] += b"#".join([b"", *[comment] * half])
            files["why.cedar"] = b"//".join([b"", *[comment] * half])
        return files

    @property
    def policy_digest(self) -> str:
        return hashlib.sha256(pack_bundle(self.bundle())).hexdigest()

    def maintained(self, text: str, namespace: str, *names: str) -> Note:
        chosen = names or ("sam", "bo")
        lines = tuple(
            person_line(name, self.people[name].sshsig(text, namespace)) for name in chosen
        )
        return Note(text, lines)

    def genesis(self) -> Note:
        maintainers = {name: (self.people[name].public,) for name in ("sam", "bo")}
        body = Genesis("shop.example", maintainers, 2)
        envelope = Envelope(ORIGIN, "genesis", self._began, 0, ZERO_DIGEST)
        return sign_note(record_text(envelope, body), self.keys["broker"])

    def trust_text(self, version: int = 1) -> str:
        lines = ["breakglass.dev/trust/v1", f"version {version}"]
        lines += [f"genesis {hashlib.sha256(self.genesis().text.encode()).hexdigest()}"]
        lines += (self.logs.ledger.folder / "policy").read_text().strip().split("\n")
        lines += ["archiver worm", "level archived"]
        lines += [f"submitter {role} {key.verifier}" for role, key in self.roles()]
        lines += [f"maintainer {name} {self.people[name].public}" for name in ("sam", "bo")]
        lines += [
            "maintainers 2",
            "skew 120s",
            "kinds 1",
            "policy-at-least 0",
            *self.door_lines(),
            "",
        ]
        return "\n".join(lines)

    def door_lines(self) -> list[str]:
        return ["door no"]

    def roles(self) -> list[tuple[str, SignerKey]]:
        named = {"broker-2": "broker", "broker-door": "broker"}
        return [(named.get(role, role), key) for role, key in self.keys.items()]

    def trust_note(self) -> Note:
        return self.maintained(self.trust_text(), TRUST_NAMESPACE)

    def trust(self) -> Trust:
        return accept_trust(self.trust_note(), None)

    def make(self, minter_settings: str) -> None:
        """Write every folder; nothing runs yet."""
        self._began = to_milliseconds(datetime.now(UTC))
        submitters = "".join(f"{key.verifier} {role}\n" for role, key in self.roles())
        (self.logs.ledger.folder / "submitters").write_text(submitters)
        self.logs.ledger.reader = signs(self.keys["monitor"])
        for name in ("broker", "broker-2"):
            self.brokers.append(self._broker(name))
        self.minters.append(self._minter("orders-db", minter_settings))

    def _broker(self, name: str) -> Process:
        settings = (
            f'log = "{ORIGIN}"\nledger = "../ledger/address"\nrecovery_s = 3600\n'
            'monitor = "http://127.0.0.1:1"\n'  # told to who joins, never called
            '[minters]\norders-db = "../minter-orders-db/address"\n'
        )
        made = make_process(self.folder / name, "breakglass.broker", self.keys[name], settings)
        made.command = armed("broker")
        made.reader = signs(self.keys["monitor"], ORIGIN)
        (made.folder / "trust").write_bytes(self.trust_note().encoded())
        if name == "broker":
            (made.folder / "bootstrap").mkdir()
            (made.folder / "bootstrap" / "genesis").write_bytes(self.genesis().encoded())
            (made.folder / "bootstrap" / "trust").write_bytes(self.trust_note().encoded())
        return made

    def _minter(self, name: str, settings: str) -> Process:
        whole = f'name = "{name}"\nlog = "{ORIGIN}"\nledger = "../ledger/address"\n{settings}'
        key = self.keys[f"minter:{name}"]
        made = make_process(self.folder / f"minter-{name}", "breakglass.minter", key, whole)
        made.command = armed("minter")
        made.reader = signs(self.keys["monitor"], ORIGIN)
        (made.folder / "trust").write_bytes(self.trust_note().encoded())
        return made

    def start(self) -> None:
        """Start everything and put the policy in force."""
        self.logs.start()
        self.brokers[0].start()
        until(lambda: self.get("/healthz")["ok"])
        self.activate()
        self.pulse()
        self.minters[0].start(wait=False)
        self.minters[0].wait_started()
        self.declare("INC-4821")

    def stop(self) -> None:
        """End everything."""
        for each in self.others:
            each.close()
        for process in [*self.minters, *self.brokers]:
            process.kill()
        self.logs.kill()

    # --- talking to it -----------------------------------------------------------------------

    def written_from_now(self) -> Callable[[], list[str]]:
        """Return what gives the ids of all records that came since.

        Grants of before are left out: they go on meanwhile, and most end by their time alone.
        """
        before = [each.envelope.id for each in self.records()]
        grants = {each.partition("/")[0] for each in before if each.startswith("g-")}

        def written() -> list[str]:
            came = [each.envelope.id for each in self.records()[len(before) :]]
            return [each for each in came if each.partition("/")[0] not in grants]

        return written

    def get(self, path: str, broker: int = 0) -> dict[str, Any]:
        with self.brokers[broker].neighbour() as neighbour:
            return neighbour.get(path).json()

    def post(self, path: str, value: dict[str, Any], broker: int = 0) -> dict[str, Any]:
        with self.brokers[broker].neighbour(20) as neighbour:
            return neighbour.post_json(path, value)

    def as_broker(self) -> Peer:
        """Speak to the minter as the broker does."""
        signer = signs(self.keys["broker"], ORIGIN)
        within = timedelta(seconds=20)
        return ReadingPeer(self.minters[0].folder, name="minter", within=within, signer=signer)

    def activation(self) -> dict[str, Any]:
        import base64

        compiled = compile_policy(self.bundle())
        now = to_milliseconds(datetime.now(UTC))
        packed = pack_bundle(self.bundle())
        note = make_policy_note(
            compiled, log=ORIGIN, bundle_digest=self.policy_digest, commit="-", issued=now
        )
        cards = make_cards(
            compiled, log=ORIGIN, version=self.version, issued=now, expires=now + LONGEST_LIFE
        )
        signed = {
            glass: self.maintained(card_text(made.card), CARD_NAMESPACE).encoded().decode()
            for glass, made in cards.items()
        }
        return {
            "note": self.maintained(policy_text(note.note), POLICY_NAMESPACE).encoded().decode(),
            "bundle": base64.b64encode(packed).decode(),
            "cards": signed,
        }

    def activate(self) -> dict[str, Any]:
        self.active = self.activation()
        return self.post("/policy", self.active)

    def pulse(self, at: datetime | None = None) -> None:
        """Be the monitor for a moment."""
        self.state_as("monitor", Fact(f"pulse/{secrets.token_hex(4)}", Pulse(1, ("file", "hook"))))

    def state_as(self, role: str, *facts: Fact) -> list[Receipt]:
        """State facts with somebody's own key, as its process (or a thief) would."""
        folder = self.folder / f"as-{role.replace(':', '-')}-{secrets.token_hex(4)}"
        folder.mkdir()
        ledger = self.logs.ledger.neighbour()
        outbox = Outbox(ledger, self.keys[role], folder, SystemClock())
        try:
            return Submitter(outbox, ORIGIN, SystemClock()).append(facts, timedelta(seconds=10))
        finally:
            outbox.close()
            shutil.rmtree(folder)

    def signed(self, said: Statement, key: Person | None = None) -> dict[str, Any]:
        text = statement_text(said)
        found = (key or self.people[said.who]).sign(text, STATEMENT_NAMESPACE)
        return dict(write(found))

    def declare(self, incident: str, do: Do = Do.DECLARE, who: str = "mira") -> dict[str, Any]:
        said = Declare(do, ORIGIN, incident, "SEV1", "checkout 5xx", who, _now(), _nonce())
        return self.post("/incidents", {"statement": self.signed(said)})

    def asking(
        self, glass: str = "orders-repair", key: Person | None = None, **changes: Any
    ) -> Asking:
        """Sign what somebody asks."""
        minter, scope = "", {}
        if glass != "deploy-rollback":
            minter = "orders-db"
            scope = {"databases": ("orders",), "templates": ("breakglass_orders_repair",)}
        holder = SoftKey.generate()
        said = access_request(
            **{
                "do": Do.BREAK,
                "log": ORIGIN,
                "policy": self.policy_digest,
                "glass": glass,
                "minter": minter,
                "scope": scope,
                "who": "mira",
                "incident": "INC-4821",
                "reason": Why("production", "orders stuck in 'new'"),
                "for_s": 600,
                "holder": holder.public,
                "at": _now(),
                "nonce": _nonce(),
                **changes,
            }
        )
        text = statement_text(said)
        body: dict[str, Any] = {"statement": self.signed(said, key), "presentation": None}
        if said.minter:
            shown = Presentation(
                said.log, digest_of(text), f"minter:{said.minter}", grant_id(text), _now()
            )
            body["presentation"] = dict(
                write(holder.sign(presentation_text(shown), PRESENTATION_NAMESPACE))
            )
        return Asking(said, body, holder)

    def hands_in(self, asking: Asking, broker: int = 0) -> dict[str, Any]:
        """Hand a statement in as a request for other people's approval."""
        return self.post("/asks", asking.body, broker)

    def answering(self, do: Do, asking: Asking, who: str, **changes: Any) -> dict[str, Any]:
        """Sign an answer to what was asked for."""
        said = {
            "do": do,
            "log": ORIGIN,
            "answers": digest_of(asking.body["statement"]["text"]),
            "who": who,
            "reason": Why("looked", "it is what the runbook says"),
            "at": _now(),
            "nonce": _nonce(),
        }
        key = changes.pop("key", None)
        return {"statement": self.signed(Answer(**{**said, **changes}), key)}

    def answer(self, do: Do, asking: Asking, who: str, broker: int = 0) -> dict[str, Any]:
        """Sign an answer and hand it in."""
        return self.post("/answers", self.answering(do, asking, who), broker)

    def page(self, grant: str, *to: str, delivery: Delivery = Delivery.DELIVERED) -> None:
        """Call approvers, as the monitor does."""
        ident = f"alert/{grant}/{secrets.token_hex(4)}"
        alert = Alert(PAGE, grant, 0, "hook", to, delivery, "", 1, "")
        self.state_as("monitor", Fact(ident, alert))

    def break_glass(self, asking: Asking, broker: int = 0) -> dict[str, Any]:
        return self.post("/break", asking.body, broker)

    def done(self, asking: Asking, who: str = "mira") -> dict[str, Any]:
        answers = digest_of(asking.body["statement"]["text"])
        why = Why("production", "finished")
        said = Answer(Do.DONE, ORIGIN, answers, who, why, _now(), _nonce())
        return self.post("/done", {"grant": asking.grant, "statement": self.signed(said)})

    def kill(self, target: Target, name: str, who: str = "sam") -> dict[str, Any]:
        said = Kill(
            Do.KILL, ORIGIN, target, name, who, Why("suspicion", "not hers"), _now(), _nonce()
        )
        return self.post("/kill", {"statement": self.signed(said)})

    def lift(self, target: Target, name: str, who: str = "sam") -> dict[str, Any]:
        said = Kill(
            Do.LIFT, ORIGIN, target, name, who, Why("over", "all is well"), _now(), _nonce()
        )
        return self.post("/kill", {"statement": self.signed(said)})

    def mint(self, text: str, ago: int = 0) -> dict[str, Any]:
        """Show a token to the minter, as anybody may."""
        with self.minters[0].neighbour(20) as minter:
            return minter.post_json("/mint", {"token": text, "asked_ms_ago": ago})

    def minter_size(self) -> int:
        """Return how far the minter's own view of the ledger reaches."""
        with self.minters[0].neighbour() as minter:
            return int(minter.get("/healthz").json()["size"])

    def recorded(self, asking: Asking) -> Token:
        """Break a glass without its minter, and return the token shown to that minter."""
        asked = {**asking.body, "presentation": None}
        answer = self.post("/break", asked)
        token = parse_token(answer["token"].encode())
        return token.presented(self.shown(asking))

    def shown(self, asking: Asking, **changes: Any) -> Signed:
        """Return the holder's presentation for the minter, with changes."""
        text = asking.body["statement"]["text"]
        shown = Presentation(
            ORIGIN, digest_of(text), f"minter:{asking.said.minter}", asking.grant, _now()
        )
        return asking.holder.sign(
            presentation_text(replace(shown, **changes)), PRESENTATION_NAMESPACE
        )

    def target(self) -> Simulated:
        """Open the simulated target, from outside."""
        file = self.minters[0].folder / "data" / "simulated.sqlite"
        found = Simulated(file, "orders-db", SystemClock())
        self.others.append(found)
        return found

    def restart(self, process: Process) -> None:
        """End a process as a power cut would, if it still runs, and start it again."""
        process.kill()
        process.start()

    def crash_at(self, process: Process, step: str) -> None:
        """Arm a process: when it comes to this step it ends as by a power cut."""
        (process.folder / "crash-at").write_text(step)

    @contextlib.contextmanager
    def halted_at(self, process: Process, step: str) -> Iterator[None]:
        """Hold a process at this step, a minute at most, until the block ends."""
        file, held = process.folder / "halt-at", process.folder / "halted"
        held.unlink(missing_ok=True)
        file.write_text(step)
        try:
            yield
        finally:
            file.unlink()

    def wait_halted(self, process: Process) -> None:
        """Wait until a process is held at its step."""
        until((process.folder / "halted").exists)

    # --- looking at it -----------------------------------------------------------------------

    def kinds(self, grant: str) -> list[str]:
        """Return the kinds of records about a grant, in the ledger's order."""
        return [each.body.kind for each in self.records() if each.envelope.id.startswith(grant)]

    def records(self) -> list[Any]:
        with self.logs.ledger.neighbour() as ledger:
            commits = ledger.get("/entries?from=0&wait=0").json()["commits"]
            found = []
            start = 0
            while commits:
                for commit in commits:
                    found += [parse_record(note.encode()) for note in commit["entries"]]
                start = len(found)
                commits = ledger.get(f"/entries?from={start}&wait=0").json()["commits"]
        return found

    def wait_state(self, grant: str, state: str, within_s: float = 60) -> dict[str, Any]:
        until(lambda: self.get(f"/grants/{grant}")["state"] == state, within_s)
        return self.get(f"/grants/{grant}")

    def view(self) -> Replica:
        """Follow the ledger as anybody may."""
        ledger = self.logs.ledger.neighbour()
        view = Replica(ledger, self.trust(), self.folder / f"view-{secrets.token_hex(4)}")
        self.others.append(view)
        return view.start()

    def void(self) -> list[tuple[int, str]]:
        """Return what the whole log holds that does not count; a healthy shop has none.

        A race that two replicas lost quietly to each other is health: both grant what has its
        answers, and the second intent gives nothing that the first does not.
        """
        found: list[tuple[int, str]] = []

        def hear(judged: Judged, entry: Entry, state: State) -> None:
            raced = judged.quiet and judged.void == ErrorName.LOST_RACE
            if judged.void and not raced:
                found.append((judged.index, str(judged.void)))

        ledger = self.logs.ledger.neighbour()
        size = ledger.get("/healthz").json()["size"]  # a broker may be a moment behind
        folder = self.folder / f"view-{secrets.token_hex(4)}"
        view = Replica(ledger, self.trust(), folder, on_judged=hear).start()
        try:
            view.wait_for(size - 1, timedelta(seconds=60))
        finally:
            view.close()
        return found


def make_shop(folder: Path, minter_settings: str, kind: type[Shop] = Shop) -> Shop:
    """Make a shop; nothing runs yet."""
    logs = make_log_set(folder)
    roles = ("broker", "broker-2", "minter:orders-db", "monitor", "gate:deploy-approval")
    keys = {role: SignerKey.generate(f"{role.replace(':', '-')}.shop.example") for role in roles}
    shop = kind(folder, logs, keys)
    shop.make(minter_settings)
    return shop


SIMULATED = """\
platform = "simulated"
ring_after_s = 1
sweep_every_s = 1
forgo_after_s = 0.5
"""


@contextlib.contextmanager
def running_shop(folder: Path, minter_settings: str = SIMULATED) -> Iterator[Shop]:
    """Make and start a shop, and end it whatever happens."""
    shop = make_shop(folder, minter_settings)
    try:
        shop.start()
        yield shop
    finally:
        shop.stop()


@functools.cache
def shared_shop() -> Shop:
    """Return the one shop that tests share; a test puts back what it changes."""
    folder = Path(tempfile.mkdtemp(prefix="breakglass-shop-"))
    shop = make_shop(folder, SIMULATED)

    def end() -> None:
        shop.stop()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    shop.start()
    return shop


def armed(room: str) -> tuple[str, ...]:
    """Return a command that runs ``room`` and ends it, as a power cut would, at an armed step."""
    code = (
        "import contextlib, os, pathlib, sys, time\n"
        f"from breakglass.{room}.app import build\n"
        "from breakglass.process.serving import process_main\n"
        "def armed(folder, clock):\n"
        "    file, halt = pathlib.Path(folder) / 'crash-at', pathlib.Path(folder) / 'halt-at'\n"
        "    def at(step):\n"
        "        if file.exists() and file.read_text() == step:\n"
        "            file.unlink(); os._exit(137)\n"
        "        until = time.monotonic() + 60\n"
        "        with contextlib.suppress(FileNotFoundError):  # it is let go just now\n"
        "            if halt.read_text() == step:\n"
        "                halt.with_name('halted').touch()\n"
        "                while halt.exists() and time.monotonic() < until:\n"
        "                    time.sleep(0.01)\n"
        "    return build(folder, clock, at)\n"
        f"sys.exit(process_main(sys.argv[1:], armed, {room!r}))\n"
    )
    return (sys.executable, "-c", code)


def _now() -> datetime:
    return to_milliseconds(datetime.now(UTC))


def _nonce() -> str:
    return secrets.token_hex(16)
