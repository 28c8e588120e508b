"""A ledger and a webhook receiver over real HTTP, with switches for trouble; keys are real."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from breakglass.clock import to_milliseconds
from breakglass.monitor.history_projection import HistoryProjection
from breakglass.policy.bundle import pack_bundle
from breakglass.records import all_kinds as kinds
from breakglass.records.grant import Path as Way
from breakglass.records.kinds.asked import Decided, Factors, Outcome
from breakglass.records.kinds.bypassed import GateState
from breakglass.records.record_reader import parse_record
from breakglass.records.signing.signature import Factor
from breakglass.tlog.checkpoint import parse_checkpoint
from breakglass.tlog.tiles import decode_bundle
from tests.kit.organisation import Broken, Organisation
from tests.kit.people import PRESENT, SoftKey, SoftPasskey, SoftSecurityKey

BUNDLE = """
version: 7
organisation: shop.example
people:
  mira: {{name: Mira, keys: ["{mira}"]}}
  teo: {{name: Teo, keys: ["{teo}"]}}
  sam: {{name: Sam, keys: ["{sam}"]}}
  noor: {{name: Noor, keys: ["{noor}"]}}
  bo: {{name: Bo, keys: ["{bo}"]}}
groups:
  oncall: {{members: [mira, teo, bo]}}
  leads: {{members: [sam, noor]}}
factors: {{two: [sk-presence, passkey], phishing_resistant: [sk-verified, passkey]}}
reasons: {{approver-silent: nobody answered, gate-down: its check failed}}
networks: {{office: [10.0.0.0/8]}}
gates:
  deploy-approval: {{protects: production deploys, owner: "group:leads", fail: closed}}
  orders-write: {{protects: orders, owner: "group:leads", fail: closed}}
glasses:
  deploy-rollback:
    does: roll back production and restart the pipeline; nothing else
    blast_radius: contained
    opens_gates: [deploy-approval]
    for: 30m
    who: ["group:oncall"]
    when: {{incident: [SEV1], mfa_age: 5m}}
    review: {{due: 3 business days, by: ["group:leads"]}}
  orders-repair:
    does: repair rows of orders and order_items
    blast_radius: contained
    opens_gates: [orders-write]
    mint: {{postgres: {{minter: orders-db, database: orders, template: repair}}}}
    for: 20m
    who: ["group:oncall"]
    when: {{incident: [SEV1], mfa_age: 5m}}
    review: {{due: 3 business days, by: ["group:leads"]}}
channels:
  hook: {{webhook: "secret:hook"}}
  file: {{log_file: alarms.jsonl}}
alerts: {{glass: [hook, file]}}
kill: ["sam"]
maintainers: {{need: 2, of: [sam, noor]}}
"""
SCOPE = {"databases": ("orders",), "templates": ("repair",)}


def bundle() -> bytes:
    """Return a policy that compiles and names the people of the kit by their keys."""
    keys = {
        "mira": SoftSecurityKey.of("mira").public,
        "teo": SoftSecurityKey.of("teo", PRESENT).public,
        "sam": SoftSecurityKey.of("sam").public,
        "noor": SoftPasskey.of("noor").public,
        "bo": SoftKey.of("bo").public,
    }
    return pack_bundle({"breakglass.yaml": BUNDLE.format(**keys).encode()})


def moment() -> datetime:
    """Return the present as records write it."""
    return to_milliseconds(datetime.now(UTC))


class Shop:
    """The kit's organisation under the present time, with what an honest broker writes."""

    def __init__(self) -> None:
        self.org = Organisation(now=moment(), bundle=bundle())
        cards = self.org.cards

        def with_templates() -> Any:
            # The kit's scope names roles; a PostgreSQL mint of the policy names templates.
            found = cards()
            for glass in ("orders-repair", "key-deletion", "auto-rollback"):
                mints = tuple(_rescoped(mint) for mint in found[glass].mints)
                object.__setattr__(found[glass], "mints", mints)
            return found

        self.org.cards = with_templates  # type: ignore[method-assign]
        self.lock = threading.RLock()
        self.grants = 0

    def begin(self) -> Shop:
        """Write everything up to an open incident."""
        with self.lock:
            self.org.now = moment()
            self.org.begin()
        return self

    def asks(self, glass: str = "deploy-rollback", **changes: Any) -> Any:
        """Return a fresh statement of mira's for a glass."""
        self.grants += 1
        said = {"glass": glass, "nonce": f"{self.grants:032x}", **changes}
        if glass == "orders-repair":
            said["scope"] = SCOPE
        return self.org.statement(**said)

    def breaks(
        self,
        glass: str = "deploy-rollback",
        *,
        ask: bool = True,
        factors: Factors | None = None,
        statement: Mapping[str, Any] | None = None,
        key: Any = None,
        **how: Any,
    ) -> Broken:
        """Ask and break, as the broker writes it; every argument is one thing to do wrongly."""
        with self.lock:
            self.org.now = moment()
            said = self.asks(glass, **(statement or {}))
            signed = self.org.sign(said, key)
            if ask:
                body = self.org.asked(
                    signed, factors=factors or Factors(Factor.PHISHING_RESISTANT, 0, False)
                )
                self.org.state_that("broker", body, f"{body.grant}/asked")
            card = self.org.state.governance.cards[glass].note
            return self.org.break_glass(said=said, signed=signed, card=card, **how)

    def forges_intent(self) -> str:
        """Write what a stolen broker key can: an intent with no person's statement."""
        with self.lock:
            self.org.now = moment()
            said = self.asks()
            card = self.org.state.governance.cards[said.glass].note
            body = self.org.intent(said, (self.org.sign(said),), card)
            self.org.state_that("broker", replace(body, statements=()), f"{body.grant}/intent")
            return body.grant

    def refuses(self, glass: str = "deploy-rollback") -> str:
        """Write a refusal; returns the grant's id."""
        with self.lock:
            self.org.now = moment()
            signed = self.org.sign(self.asks(glass))
            asked = self.org.asked(signed)
            decided = Decided(Outcome.REFUSED, 0, (), ("no incident is open",))
            body = kinds.Refused(
                asked.grant, Way.GLASS, signed, asked.factors, decided, "no_incident"
            )
            self.org.state_that("broker", body, f"{body.grant}/refused")
            return body.grant

    def states(self, role: str, body: Any, ident: str = "", **how: Any) -> Any:
        """Write one record of any party."""
        with self.lock:
            self.org.now = moment()
            return self.org.state_that(role, body, ident, **how)

    def bypasses(self, broken: Broken, run: str = "42") -> Any:
        """Write that the deploy gate was opened with this grant."""
        with self.lock:
            self.org.now = moment()
            shown = self.org.token(broken, run).presentation
            assert shown is not None
            body = kinds.Bypassed(
                "deploy-approval",
                broken.grant,
                _digest(broken.signed.text),
                run,
                GateState.COULD_NOT_EVALUATE,
                "no answer within 20 s",
                shown,
            )
            return self.org.state_that("gate:deploy-approval", body)

    def kinds(self) -> list[str]:
        """Return the kinds of all records that hold, in order."""
        with self.lock:
            return [each.record.body.kind for each in self.org.judged if each.holds and each.record]

    def bodies(self, kind: type[Any]) -> list[Any]:
        """Return the records of one kind that hold."""
        with self.lock:
            return [
                each.record.body
                for each in self.org.judged
                if each.holds and each.record and isinstance(each.record.body, kind)
            ]


def _rescoped(mint: Any) -> Any:
    return replace(mint, scope=SCOPE)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class StandInLedger:
    """Serves a shop's log as a ledger and as a witness do. ``kill``, ``hang`` and ``fork`` it.

    ``boasts``: its head covers the hidden entries too. ``drip_s``: it hands out one entry an
    answer, and takes so long for it, in seconds.
    """

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.hanging = threading.Event()
        self.refuse_appends = False
        self.witness_shows: bytes | None = None
        self.doctor: dict[str, Any] | None = None  # what the archiver says of its last look
        self.hidden = 0  # entries at the end that followers are not shown
        self.boasts = False
        self.drip_s = 0.0
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self.start()

    @property
    def address(self) -> str:
        """Where it listens, also while it is down."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Come (back) up, on the same port."""
        self._server = _serve(self._answer, self._port)
        self._port = self._server.server_address[1]

    def kill(self) -> None:
        """Go away: connections are refused, those that are open are cut."""
        server, self._server = self._server, None
        if server is not None:
            self.hanging.clear()
            server.alive = False  # type: ignore[attr-defined]
            server.shutdown()
            server.server_close()
            for each in list(server.open):  # type: ignore[attr-defined]
                each.close()

    def head(self, size: int | None = None) -> bytes:
        """Return a head of the first ``size`` entries, cosigned when the last of them was."""
        log = self.shop.org.log
        size = log.size if size is None else size
        return log.head(log.covered[size - 1], size=size)

    def _answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        while self.hanging.is_set():
            time.sleep(0.02)
        route, _, query = path.partition("?")
        parts = route.strip("/").split("/")
        if method == "POST" and route == "/append":
            return self._append(body)
        if parts[0] == "entries":
            asked = dict(pair.split("=") for pair in query.split("&"))
            return self._entries(int(asked["from"]), float(asked["wait"]))
        with self.shop.lock:
            if parts[0] == "submitter":
                return self._submitter(parts[1])
            if parts[0] == "attachment" and method == "PUT":
                self.shop.org.log.attachments[parts[1]] = body
                return 200, b"{}"
            if parts[0] == "attachment":
                return 200, self.shop.org.log.attachments[parts[1]]
            if route == "/healthz":
                keys = [str(self.shop.org.log.signer.verifier)]
                return 200, json.dumps({"keys": keys}).encode()
            if route == "/checkpoint":
                return 200, self.head(None if self.boasts else self._shown)
            if route == "/doctor" and self.doctor is not None:
                return 200, json.dumps(self.doctor).encode()
            if route.endswith("/checkpoint"):
                return 200, self.witness_shows or self.head()
        return 404, b'{"error":"not_found","message":"no such path","hint":""}'

    @property
    def _shown(self) -> int:
        return self.shop.org.log.size - self.hidden

    def _entries(self, start: int, wait: float) -> tuple[int, bytes]:
        until = time.monotonic() + wait
        server = self._server
        while self._shown <= start and time.monotonic() < until:
            if self._server is not server or self.hanging.is_set():
                break
            time.sleep(0.005)
        time.sleep(self.drip_s)
        with self.shop.lock:
            commits = []
            for index in range(start, min(start + 1, self._shown) if self.drip_s else self._shown):
                note = self.shop.org.log.notes[index].decode()
                head = self.head(index + 1).decode()
                commits.append({"first": index, "head": head, "entries": [note]})
            return 200, json.dumps({"commits": commits}).encode()

    def _submitter(self, label: str) -> tuple[int, bytes]:
        if label in {key.verifier.label for key in self.shop.org.submitters.values()}:
            return 200, json.dumps(self._place(label)).encode()
        return 404, b'{"error":"unknown_submitter","message":"who","hint":""}'

    def _place(self, label: str) -> dict[str, Any]:
        chain = self.shop.org.state.submitters.by_key.get(label)
        return (
            {"next": chain.next_seq, "prev": chain.prev} if chain else {"next": 0, "prev": "0" * 64}
        )

    def _append(self, body: bytes) -> tuple[int, bytes]:
        proofs: list[str] = []
        with self.shop.lock:
            if self.refuse_appends:
                return 503, b'{"error":"no_quorum","message":"not now","hint":""}'
            org = self.shop.org
            for note in decode_bundle(body):
                record = parse_record(note)
                line = record.note.lines[0]
                label = f"{line.name}+{line.key_id.hex()}"
                if note in org.log.notes:
                    index = org.log.notes.index(note)
                elif self._taken(label, record.envelope.id):
                    return self._refused(proofs, "id_taken", {})
                elif record.envelope.seq != self._place(label)["next"]:
                    return self._refused(proofs, "bad_seq", self._place(label))
                else:
                    org.now = moment()
                    org.append(note)
                    index = org.log.size - 1
                proofs.append(org.log.proof(index, org.log.covered[index]).decode())
        return 200, json.dumps({"proofs": proofs, "refused": None}).encode()

    def _taken(self, label: str, record_id: str) -> bool:
        records = [each.record for each in self.shop.org.judged if each.record is not None]
        return any(
            each.envelope.id == record_id and each.note.lines[0].label == label for each in records
        )

    def _refused(
        self, proofs: Iterable[str], name: str, more: Mapping[str, Any]
    ) -> tuple[int, bytes]:
        told = {"error": name, "message": name, "hint": "", **more}
        if not proofs:
            return 409, json.dumps(told).encode()
        return 200, json.dumps({"proofs": list(proofs), "refused": told}).encode()


class Sink:
    """Receives webhooks and keeps what it answered 2xx to, in order."""

    def __init__(self) -> None:
        self.status = 200
        self.says = b""
        self.hanging = threading.Event()
        self.taken: list[tuple[dict[str, Any], dict[str, str], bytes]] = []
        self.times: list[float] = []
        self.tried = 0
        self._server = _serve_whole(self._post, lambda: self.says)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    def _post(self, body: bytes, headers: Mapping[str, str]) -> int:
        self.tried += 1
        while self.hanging.is_set():
            time.sleep(0.02)
        if 200 <= self.status < 300:
            self.times.append(time.monotonic())
            self.taken.append((json.loads(body), dict(headers), body))
        return self.status

    def heard(self) -> list[str]:
        """Return the keys of all messages, in the order in which they came."""
        return [message["key"] for message, _, _ in self.taken]

    def subjects(self, thread: str = "") -> list[str]:
        """Return what rang, of one thread or of all."""
        return [
            message["subject"]
            for message, _, _ in self.taken
            if not thread or message["thread"] == thread
        ]

    def message(self, subject: str) -> dict[str, Any]:
        """Return the one message of a subject."""
        found = [message for message, _, _ in self.taken if message["subject"] == subject]
        assert len(found) == 1, f"{len(found)} messages {subject!r} in {self.subjects()}"
        return found[0]

    def close(self) -> None:
        """Stop."""
        self.hanging.clear()
        self._server.shutdown()
        self._server.server_close()


def history_of(org: Organisation) -> HistoryProjection:
    """Return the history of an organisation whose whole log is folded."""
    history = HistoryProjection()
    for entry, judged in zip(org.log.entries(), org.judged, strict=True):
        history.take(judged, entry, org.state)
    return history


def eventually(what: Any, within: float = 60.0) -> Any:
    """Wait until ``what()`` is true; returns it, or fails with the last value."""
    until = time.monotonic() + within
    while not (found := what()):
        assert time.monotonic() < until, f"not within {within} s: {found!r}"
        time.sleep(0.01)
    return found


def _serve(answer: Any, port: int) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            self.server.open.add(self.connection)  # type: ignore[attr-defined]

        def do_GET(self) -> None:
            self._do()

        def do_POST(self) -> None:
            self._do()

        def do_PUT(self) -> None:
            self._do()

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            status, data = answer(self.command, self.path, body)
            if not self.server.alive:  # type: ignore[attr-defined]
                self.close_connection = True
                return
            try:
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            except OSError:
                self.close_connection = True

        def log_message(self, *said: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        allow_reuse_address = True
        request_queue_size = 128

        def handle_error(self, *said: Any) -> None:
            pass

    server = Server(("127.0.0.1", port), Handler)
    server.open, server.alive = set(), True  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


def _serve_whole(post: Any, says: Any) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            status = post(body, self.headers)
            try:
                said = says()
                self.send_response(status)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)
            except OSError:
                pass

        def log_message(self, *said: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *said: Any) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


def make_folder(
    folder: Path,
    shop: Shop,
    ledger: StandInLedger,
    channels: Mapping[str, Mapping[str, str]],
    **settings: Any,
) -> Path:
    """Write a monitor's folder; settings in seconds by the names of the file."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    given: dict[str, Any] = {
        "log": shop.org.log_name,
        "ledger": ledger.address,
        "pulse_every_s": 60,
        "heads_every_s": 0.1,
        "look_every_s": 0.05,
        "retry_at_most_s": 0.3,
        "deliver_within_s": 0.5,
        **settings,
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in given.items()]
    lines += ["[witnesses]", f'w-sec = "{ledger.address}"', f'worm = "{ledger.address}"']
    for name, channel in channels.items():
        lines += [f"[channels.{name}]"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in channel.items()]
    (folder / "settings.toml").write_text("\n".join(lines) + "\n")
    key = folder / "key"
    key.touch(mode=0o600)
    key.write_text(shop.org.submitters["monitor"].encoded() + "\n")
    (folder / "trust").write_bytes(shop.org.trust_note())
    return folder


def hook(sink: Sink) -> dict[str, str]:
    """Return the settings of a webhook channel to a sink."""
    return {"type": "webhook", "address": sink.address, "secret": "a shared secret"}


__all__ = [
    "BUNDLE",
    "SCOPE",
    "Shop",
    "Sink",
    "StandInLedger",
    "bundle",
    "eventually",
    "hook",
    "make_folder",
    "moment",
    "parse_checkpoint",
    "timedelta",
]
