"""A broker of somebody's own, over an organisation in memory: honest until it is told to lie.

    with responder(folder) as mira:              # their client.toml, key, trust file; mira breaks
        mira.broker.lie = {"/break": lambda answer: {**answer, "index": 7}}
        said = mira.types("breakglass", "break", "orders-repair", "--incident", "INC-4821", …)

It speaks as the real one does; what it says of a grant comes from real keys, so that a lie is a lie
by exactly what was changed.
"""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from breakglass.clock import format_time, to_milliseconds
from breakglass.error_names import ErrorName
from breakglass.minter.credential_sealing import seal
from breakglass.records.card import Card, parse_card
from breakglass.records.handout import (
    Handout,
    digest_of_connect,
    digest_of_sealed,
    handout_text,
    sign_handout,
)
from breakglass.records.signing.signature import Factor, Signed
from breakglass.records.statement import digest_of, grant_id, parse_request
from breakglass.tlog.note import Note
from breakglass.token.token import Token
from tests.embedded.isolated import Person
from tests.kit.organisation import Broken, Organisation
from tests.kit.people import SoftKey
from tests.kit.simulated_asks import SimulatedAsks

Lie = Callable[[Any], Any]
CONNECT = {"host": "orders.example", "port": 5432, "dbname": "orders"}


@dataclass
class SoftOrganisation(Organisation):
    """An organisation whose cards take software keys, so that a test's own key file signs.

    ``on_cards`` are changes that maintainers made to every card.
    """

    on_cards: dict[str, Any] = field(default_factory=dict)

    def cards(self) -> dict[str, Card]:
        """Return the cards, of one factor."""
        found = super().cards().items()
        return {name: replace(card, factor=Factor.ONE, **self.on_cards) for name, card in found}


@dataclass
class LyingBroker:
    """See the module. ``lie`` changes the answer of a path; ``asked`` is what was called."""

    org: Organisation
    lie: dict[str, Lie] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    broken: dict[str, Broken] = field(default_factory=dict)
    connect: dict[str, Any] = field(default_factory=lambda: dict(CONNECT))
    platform: str = "simulated"
    secret: dict[str, Any] = field(default_factory=dict)
    asks: SimulatedAsks = field(init=False)

    def __post_init__(self) -> None:
        """Begin without any ask."""
        self.asks = SimulatedAsks(self.org)

    def answer(self, method: str, path: str, body: Any) -> Any:
        """Return what the broker says, or ``None`` for 404."""
        self.asked.append(f"{method} {path}")
        said = self._honest(method, path, body)
        kind = path if path.count("/") == 1 else "/grants/…/" + path.rpartition("/")[2]
        if path.startswith("/grants/") and path.count("/") == 2:
            kind = "/grants/…"
        if path.startswith("/requests/"):
            kind = "/requests/…"
        return self.lie.get(kind, lambda same: same)(said)

    def _honest(self, method: str, path: str, body: Any) -> Any:
        if path == "/glasses":
            return self._glasses()
        if path == "/healthz":
            # For whoever signs a read: each role's process answers here, by its own key.
            return {"keys": [str(key.verifier) for key in self.org.submitters.values()]}
        if path == "/policy":
            digest = self.org.policy_digest
            bundle = base64.b64encode(self.org.log.attachments[digest]).decode()
            return {"policy": digest, "bundle": bundle}
        if path == "/break":
            return self._break(body)
        if path.startswith(("/asks", "/answers", "/requests", "/copies", "/me")):
            said = self.asks.answer(method, path, body)
            self._record_starts()
            return said
        words = path.split("/")
        broken = self.broken.get(words[2]) if words[1] == "grants" and len(words) > 2 else None
        if broken is None:
            return None
        if words[3:] == ["credential"]:
            return self.minted(broken)
        if words[3:] == ["token"]:
            return {"token": self.token(broken)}
        until = format_time(broken.intent.not_after)
        return {"grant": broken.grant, "state": "usable", "not_after": until}

    def _glasses(self) -> Any:
        shown = []
        for glass in self.org.cards():
            card = parse_card(Note.parse(note := self.org.card_note(glass)))
            people = list(self.org.people)
            mints = [
                {
                    "minter": each.minter,
                    "platform": each.platform,
                    "scope": {name: list(values) for name, values in each.scope.items()},
                    "acts": sorted(each.acts),
                }
                for each in card.mints
            ]
            shown.append(
                {
                    "glass": glass,
                    "does": card.does,
                    "tier": card.tier.value,
                    "factor": card.factor.value,
                    "for_s": card.for_s,
                    "gates": list(card.gates),
                    "mints": mints,
                    "people": people,
                    "incident": ["SEV1"],
                    "reasons": ["approver-silent", "other"],
                    "card_expires": format_time(card.expires),
                    "card": base64.b64encode(note).decode(),
                }
            )
        return {
            "log": self.org.log_name,
            "policy": self.org.policy_digest,
            "version": self.org.policy_version,
            "glasses": shown,
        }

    def _record_starts(self) -> None:
        """Write the intent of what begins later as soon as it is approved, as the real one does."""
        for grant, ask in self.asks.asks.items():
            if ask.state == "granted" and ask.request.starts and grant not in self.broken:
                self._record(grant, ask.signed)

    def _record(self, grant: str, signed: Signed) -> None:
        self.org.now = to_milliseconds(datetime.now(UTC))
        ask = self.asks.asks.get(grant)
        approvals = ask.approvals if ask else ()
        said = parse_request(signed.text)
        self.broken[grant] = self.org.break_glass(said=said, signed=signed, approvals=approvals)

    def _break(self, body: Any) -> Any:
        signed = Signed(**body["statement"])
        said = parse_request(signed.text)
        grant = grant_id(signed.text)
        ask = self.asks.asks.get(grant)
        if ask is not None and ask.state == "ended":
            over = f"grant {grant!r} has ended"
            return {"error": ErrorName.ENDED, "message": over, "hint": ""}
        if grant not in self.broken:
            self._record(grant, signed)
        broken = self.broken[grant]
        if broken.intent.not_before > datetime.now(UTC):
            begins = f"grant {grant!r} begins {broken.intent.not_before:%H:%M:%S} UTC"
            return {"error": ErrorName.NOT_YET_VALID, "message": begins, "hint": ""}
        minted = self.minted(broken) if said.minter and body["presentation"] else None
        return {
            "grant": grant,
            "index": broken.index,
            "token": self.token(broken),
            "cosigned": {name: format_time(self.org.now) for name in self.org.witness_keys},
            "not_after": format_time(broken.intent.not_after),
            "review_by": format_time(broken.intent.review_by),
            "labels": [],
            "minted": minted,
            "since_asked_ms": 12,
        }

    def token(self, broken: Broken) -> str:
        """Return the bare token of a grant."""
        carried = self.org.carried(broken)
        return Token(broken.card, broken.note, carried, broken.proof).encoded()

    def minted(
        self, broken: Broken, role: str = "minter:orders-db", secret: Any = None
    ) -> dict[str, Any]:
        """Return a credential for a grant, signed by the key of ``role``."""
        said = broken.statement
        login = secret or {**self.connect, "user": broken.intent.handle, "password": "x"}
        sealed = seal({**login, **self.secret}, said.holder)
        handout = Handout(
            log=said.log,
            grant=broken.grant,
            statement=digest_of(broken.signed.text),
            minter=said.minter,
            platform=self.platform,
            holder=said.holder,
            sealed=digest_of_sealed(sealed),
            connect=digest_of_connect(self.connect),
            until=broken.intent.not_after,
        )
        return {
            "grant": broken.grant,
            "minter": said.minter,
            "handle": broken.intent.handle,
            "expires": format_time(broken.intent.not_after),
            "sealed": base64.b64encode(sealed).decode(),
            "connect": self.connect,
            "probe": "logged in",
            "since_asked_ms": 12,
            "handout": sign_handout(handout_text(handout), self.org.submitters[role]),
            "dead": False,
        }


@dataclass
class Responder(Person):
    """A person of that organisation, with the client's folder; ``broker`` is theirs to ask."""

    broker: LyingBroker = field(default_factory=lambda: LyingBroker(SoftOrganisation()))
    at: str = ""

    def breaks(self, glass: str = "orders-repair", *more: str) -> Any:
        """Type ``breakglass break``, with incident and reason."""
        words = ("--incident", "INC-4821", "--why", "orders stuck", *more)
        return self.types("breakglass", "break", glass, *words)

    def colleague(self, who: str) -> Responder:
        """Give another of the organisation's people a place of their own."""
        folder = self.cwd / who
        folder.mkdir()
        return _place(folder, who, self.broker, self.at)

    @property
    def grant(self) -> str:
        """The newest grant that this person holds."""
        folders = (self.home / "state" / "breakglass" / "grants").glob("g-*")
        return max(folders, key=lambda path: path.stat().st_mtime).name


@contextmanager
def responder(folder: Path, org: Organisation | None = None) -> Iterator[Responder]:
    """Serve a broker and give mira's place in it, until the end of the block."""
    mira = SoftKey.of("mira with a key file")
    if org is None:
        org = SoftOrganisation(
            now=to_milliseconds(datetime.now(UTC)),
            people={"mira": mira, "sam": SoftKey.of("sam"), "noor": SoftKey.of("noor")},
        )
    org.begin()
    broker = LyingBroker(org)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle(self) -> None:
            with contextlib.suppress(ConnectionResetError):
                super().handle()

        def do_GET(self) -> None:
            self._say(broker.answer("GET", self.path, None))

        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            self._say(
                broker.answer("POST", self.path, json.loads(self.rfile.read(length) or b"{}"))
            )

        def _say(self, value: Any) -> None:
            unknown = {"error": ErrorName.NO_GRANT, "message": "there is no such grant", "hint": ""}
            answer = unknown if value is None else value
            refused = 503 if answer.get("error") == ErrorName.PENDING else 403
            status = refused if "error" in answer else 200
            self._send(status, "application/json", json.dumps(answer).encode())

        def _send(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(body)  # a reading that waited may be given up

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    at = f"http://127.0.0.1:{server.server_port}"
    try:
        yield _place(folder, "mira", broker, at)
    finally:
        server.shutdown()
        server.server_close()


def _place(folder: Path, who: str, broker: LyingBroker, at: str) -> Responder:
    """Give somebody of the organisation a home with key, trust file and client.toml."""
    org = broker.org
    person = org.people[who]
    assert isinstance(person, SoftKey)
    home = folder / "home"
    home.mkdir()
    key = home / "key"
    key.write_bytes(person.private_file())
    key.chmod(0o600)
    (home / "key.pub").write_text(f"{person.public}\n")
    where = "".join(f'{name} = "{at}"\n' for name in ("broker", "monitor", "ledger"))
    (folder / "client.toml").write_text(
        f'who = "{who}"\nkey = "{key}"\nlog = "{org.log_name}"\ntrust = "trust"\n{where}'
    )
    (folder / "trust").write_bytes(org.trust_note())
    return Responder(home, folder, {"BREAKGLASS_ORG": str(folder)}, broker=broker, at=at)
