"""A log of months: grants, incidents and gates' tallies, told over many days of witnessed time.

    org = make_months(folder, Life(days=200, grants=75_000, gates=200, records=1_000_000))

Every record is real: signed, in its submitter's chain, of its own time, under heads that the log
signed and every witness cosigned then. The organisation's folder is laid out as ``breakglass up``
wants it; its last day is today, so that its cards are in force.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from breakglass.embedded.alert_log import ALARMS
from breakglass.ledger.attachments import AttachmentStore
from breakglass.ledger.journal import Entry
from breakglass.ledger.sqlite_journal import SqliteJournal
from breakglass.records import all_kinds as kinds
from breakglass.records.card import card_digest
from breakglass.records.kinds.alert import Delivery
from breakglass.records.kinds.bypassed import GateState
from breakglass.records.kinds.ended import EndedWhy
from breakglass.records.kinds.incident import IncidentChange
from breakglass.records.presentation import Presentation, presentation_text
from breakglass.records.record import parse_outer
from breakglass.records.signing.signature import PRESENTATION_NAMESPACE, Signature
from breakglass.records.statement import Do, digest_of
from breakglass.tlog.cosignature import cosign
from breakglass.tlog.merkle import leaf_hash
from breakglass.tlog.note import Note, sign_note

from .made_journal import fill
from .organisation import Organisation, cards_attachment, signer
from .people import PRESENT, SoftPasskey, SoftSecurityKey
from .processes import make_process

DAY = timedelta(days=1)
_CARDS_LIVE = 60 * DAY
_WITNESSES = {"w-sec": "witness-1", "w-plat": "witness-2", "w-audit": "witness-3"}
_MINTER = "minter:orders-db"
_GATE = "gate:orders-write"
_BYPASSED = 5  # one grant in so many is shown to a gate


@dataclass(frozen=True)
class Life:
    """How much happened: ``records`` in all, those beyond the rest being the monitor's pulses."""

    days: int = 200
    grants: int = 75_000
    gates: int = 200
    records: int = 1_000_000


@dataclass(order=True)
class _Event:
    at: datetime
    place: int
    happen: Callable[[], None] = field(compare=False)


class _Months:
    """Writes the records in the order of their times."""

    def __init__(self, life: Life, until: datetime) -> None:
        gates = [f"gate:g-{number:03d}" for number in range(life.gates)]
        roles = ("broker", _MINTER, "monitor", _GATE, "gate:deploy-approval", *gates)
        self.life = life
        self.begins = until - life.days * DAY
        self.org = Organisation(
            now=self.begins,
            people={
                "mira": SoftSecurityKey.of("mira"),
                "teo": SoftSecurityKey.of("teo", PRESENT),
                "sam": SoftSecurityKey.of("sam"),
                "noor": SoftPasskey.of("noor"),
            },
            submitters={role: signer(f"{role.replace(':', '-')}.shop.example") for role in roles},
        )
        self.cards: dict[str, bytes] = {}
        self.size = 0
        self.written: list[Entry] = []
        self._events: list[_Event] = []
        self._places = itertools.count()
        self._nonces = itertools.count()
        self._granted = itertools.count()
        self._incident = ""

    def batches(self) -> Iterator[list[Entry]]:
        """Give the entries of one commit after the other; ``org.now`` is each one's time."""
        self._plan()
        while self._events:
            event = heapq.heappop(self._events)
            self.org.now = max(self.org.now, event.at)
            event.happen()
            if self.written:
                yield self.written
                self.written = []

    def _plan(self) -> None:
        life = self.life
        self._later(self.begins, self._begin)
        for at in _spread(self.begins + DAY, life.days - 1, _CARDS_LIVE // DAY):
            self._later(at, self._renew)
        for day in range(life.days):
            morning = self.begins + day * DAY + timedelta(minutes=1)
            self._later(morning, self._incident_of_the_day)
            for number in range(life.gates):
                self._later(
                    morning + timedelta(seconds=7 * number + 3), self._tally(f"g-{number:03d}")
                )
        span = life.days * DAY - timedelta(hours=2)
        for number in range(life.grants):
            self._later(self.begins + timedelta(hours=1) + span * number / life.grants, self._grant)
        left = life.records - 11 * life.grants - life.grants // _BYPASSED * 2
        left -= life.days * (life.gates + 2)
        for number in range(max(0, left)):
            self._later(self.begins + timedelta(hours=1) + span * number / left, self._pulse)

    def _later(self, at: datetime, happen: Callable[[], None]) -> None:
        rounded = at.replace(microsecond=at.microsecond // 1000 * 1000)
        heapq.heappush(self._events, _Event(rounded, next(self._places), happen))

    def _write(self, role: str, body: kinds.Kind, ident: str = "", *data: bytes) -> None:
        self._take(role, self.org.record(role, body, ident, attachments=data))

    def _take(self, role: str, note: bytes) -> None:
        outer = parse_outer(note)
        label = self.org.submitters[role].verifier.label
        envelope = outer.envelope
        self.written.append(
            Entry(note, label, envelope.id, envelope.seq, digest_of(outer.note.text))
        )
        self.size += 1

    # --- what happens -----------------------------------------------------------------------

    def _begin(self) -> None:
        org = self.org
        genesis = sign_note(org.genesis_text, org.submitters["broker"]).encoded()
        self._take("broker", genesis)
        org.envelope("broker", "genesis")  # so that there is a chain
        org.chains["broker"].seq, org.chains["broker"].prev = 1, org.genesis
        trust = org.trust_note()
        digest = digest_of(Note.parse(trust).text)
        self._write("broker", kinds.TrustActivated(1, digest), "trust/1", trust)
        self._activate()

    def _renew(self) -> None:
        self.org.policy_version += 1
        self._activate()

    def _activate(self) -> None:
        org = self.org
        version = org.policy_version
        body = kinds.Policy(version, org.policy_digest, "4f2c9d1")
        data = (org.bundle, org.policy_note(), org.policy_people.encoded())
        self._write("broker", body, f"policy/{version}", *data)
        self.cards = {glass: org.card_note(glass) for glass in org.cards()}
        digests = {glass: card_digest(Note.parse(note)) for glass, note in self.cards.items()}
        lists = {(found := org.card_people(glass)).root: found.encoded() for glass in self.cards}
        cards = kinds.Cards(org.policy_digest, version, digests)
        data = (cards_attachment(self.cards), *lists.values())
        self._write("broker", cards, f"cards/{version}", *data)

    def _incident_of_the_day(self) -> None:
        if self._incident:
            self._say_of_incident(IncidentChange.CLOSED, Do.CLOSE)
        self._incident = f"INC-{(self.org.now - self.begins).days}"
        self._say_of_incident(IncidentChange.OPENED, Do.DECLARE)

    def _say_of_incident(self, change: IncidentChange, do: Do) -> None:
        org = self.org
        said = org.declare(do=do, incident=self._incident, nonce=self._nonce())
        body = kinds.Incident(
            said.incident,
            change,
            said.severity,
            said.title,
            "breakglass",
            self_declared=True,
            statement=org.sign(said),
        )
        self._write("broker", body)

    def _tally(self, gate: str) -> Callable[[], None]:
        def happen() -> None:
            now = self.org.now
            body = kinds.Passages(gate, now - timedelta(hours=1), now, 90, 3, 1, 1, 2, 40, 900, ())
            self._write(f"gate:{gate}", body)

        return happen

    def _pulse(self) -> None:
        self._write("monitor", kinds.Pulse(self.size, ("file",)))

    def _grant(self) -> None:
        org = self.org
        said = org.statement(
            glass="orders-repair", incident=self._incident, nonce=self._nonce(), for_s=1200
        )
        signed = org.sign(said)
        card = self.cards["orders-repair"]
        intent = org.intent(said, (signed,), card)
        self._write("broker", org.asked(signed), f"{intent.grant}/asked")
        index = self.size
        self._write("broker", intent, f"{intent.grant}/intent")
        leaf = leaf_hash(self.written[-1].note).hex()
        seconds = timedelta(seconds=1)
        self._alert("broke_glass", intent.grant, index)
        self._later(org.now + seconds, lambda: self._minted(intent, index, leaf))
        if next(self._granted) % _BYPASSED == 0:
            self._later(org.now + 600 * seconds, lambda: self._bypassed(intent, signed))
        self._later(intent.not_after + seconds, lambda: self._ended(intent))

    def _minted(self, intent: kinds.Intent, index: int, leaf: str) -> None:
        grant = intent.grant
        ids = {"role": intent.handle}
        minted = kinds.Minted(grant, "postgres", intent.handle, ids, intent.not_after, 41)
        self._write(_MINTER, minted, f"{grant}/minted")
        self._write(_MINTER, kinds.Usable(grant, "select 1", 55), f"{grant}/usable")
        self._alert("usable", grant, self.size - 1)
        justified = kinds.Justified(grant, leaf, index, intent.policy)
        self._write("monitor", justified, f"{grant}/justified")

    def _bypassed(self, intent: kinds.Intent, signed: Signature) -> None:
        org, gate = self.org, _GATE.removeprefix("gate:")
        statement, run = digest_of(signed.text), f"run-{self.size}"
        shown = Presentation(org.log_name, statement, _GATE, run, org.now)
        word = org.holder.sign(presentation_text(shown), PRESENTATION_NAMESPACE)
        body = kinds.Bypassed(gate, intent.grant, statement, run, GateState.FAILED, "red", word)
        self._write(_GATE, body)
        self._alert("bypassed", intent.grant, self.size - 1)

    def _ended(self, intent: kinds.Intent) -> None:
        grant = intent.grant
        ended = kinds.Ended(grant, EndedWhy.EXPIRED, "its time was over", None)
        self._write(_MINTER, ended, f"{grant}/ended")
        self._alert("ended", grant, self.size - 1)
        self._write(_MINTER, kinds.Dead(grant, "refused", 12, 0, ()), f"{grant}/dead")
        self._alert("dead", grant, self.size - 1)

    def _alert(self, subject: str, grant: str, index: int) -> None:
        how = (index, "file", ("file",), Delivery.DELIVERED, "", 1, "")
        self._write("monitor", kinds.Alert(subject, grant, *how))

    def _nonce(self) -> str:
        return f"{next(self._nonces):032x}"


def _spread(start: datetime, days: int, step: int) -> list[datetime]:
    return [start + day * DAY for day in range(step, days, step)]


def make_months(folder: Path, life: Life, until: datetime) -> Path:
    """Make an organisation's folder with such a log behind it; returns the folder.

    Nothing runs. The archiver has archived nothing yet, and no follower has read anything.

    Args:
        folder: for the organisation; must not exist.
        life: how much happened.
        until: when the log ends, a whole minute; best now.
    """
    months = _Months(life, until)
    org = months.org
    _make_folders(folder, org)
    store = AttachmentStore(folder / "ledger" / "data" / "attachments")
    journal = SqliteJournal(folder / "ledger" / "data" / "journal.sqlite")
    journal._writer.execute("pragma synchronous = off")
    batches = months.batches()

    def batch() -> Sequence[Entry]:
        entries = next(batches, [])
        _keep_attachments(folder, store, org)
        return entries

    def cosigned(head: bytes) -> bytes:
        note = Note.parse(head)
        lines = [cosign(note.text, key, org.now) for key in org.witness_keys.values()]
        return note.with_lines(*lines).encoded()

    try:
        fill(journal, org.log.signer, batch, cosigned)
    finally:
        journal.close()
    return folder


def _keep_attachments(folder: Path, store: AttachmentStore, org: Organisation) -> None:
    for digest, data in org.log.attachments.items():
        with (folder / "ledger" / "data" / "brought").open("w+b") as file:
            file.write(data)
            file.flush()
            store.take(file, digest, len(data), bytes(32))
    store.keep(list(org.log.attachments))
    org.log.attachments.clear()


def _make_folders(folder: Path, org: Organisation) -> None:
    trust, log = org.trust_note(), org.log_name
    places = {**_WITNESSES, "worm": "archiver"}
    witnesses = "".join(f'{name} = "../{place}/address"\n' for name, place in places.items())
    follows = f'log = "{log}"\nledger = "../ledger/address"\n'
    settings = {
        "ledger": f'archiver = "worm"\n\n[neighbours]\n{witnesses}',
        "archiver": 'ledger = "../ledger/address"\n',
        "broker": f'{follows}monitor = "../monitor/address"\ntrust = "trust"\n[minters]\n',
        "minter-orders-db": f'{follows}name = "orders-db"\ntrust = "trust"\n'
        'platform = "simulated"\n',
        "monitor": f"{follows}\n[witnesses]\n{witnesses}\n[channels.file]\n"
        f'type = "log_file"\nfile = "{ALARMS}"\n',
        **dict.fromkeys(_WITNESSES.values(), ""),
    }
    keys = {place: org.witness_keys[name] for name, place in places.items()}
    keys |= {"ledger": org.log.signer, "broker": org.submitters["broker"]}
    keys |= {"minter-orders-db": org.submitters[_MINTER], "monitor": org.submitters["monitor"]}
    for name, text in settings.items():
        made = folder / name
        make_process(made, "", keys[name], text)
        (made / "data").mkdir(mode=0o700)
        if name in places.values():
            (made / "logs").write_text(f"{org.log.signer.verifier}\n")
        elif name != "ledger":
            (made / "trust").write_bytes(trust)
    lines = org.trust_lines()
    tlog = [line for line in lines if line.split()[0] in ("log", "witness", "group", "quorum")]
    (folder / "ledger" / "policy").write_text("\n".join(tlog) + "\n")
    (folder / "ledger" / "submitters").write_text(
        "".join(f"{key.verifier} {role}\n" for role, key in org.submitters.items())
    )
