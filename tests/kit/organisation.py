"""A whole small organisation in memory, with real keys; each single thing in it can be forged.

    org = Organisation()
    org.begin()                          # genesis, trust, policy, cards, an incident
    broken = org.break_glass()           # mira breaks deploy-rollback, recorded and proven
    token = org.token(broken, run="42")  # shown to gate:deploy-approval for run 42
    verify_token(token, org.verifier("gate:deploy-approval"), "42", org.now)

Every maker takes changes by field name, applied before anything is signed, so that what is forged
is forged by exactly that: ``org.break_glass(intent={"scope": {...}})``. All keys follow from
names, so the same calls give the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from breakglass.canonical import canonical
from breakglass.clock import parse_time
from breakglass.records import all_kinds as kinds
from breakglass.records.card import (
    Act,
    Card,
    CardMachine,
    CardMint,
    Output,
    Tier,
    card_digest,
    card_text,
)
from breakglass.records.encoding.text_types import ZERO_DIGEST
from breakglass.records.fold.fold import Judged, apply
from breakglass.records.fold.state import State
from breakglass.records.grant import Path, handle_of, path_of
from breakglass.records.kinds.asked import Decided, Factors, Outcome
from breakglass.records.kinds.incident import IncidentChange
from breakglass.records.people_list import CarriedLine, May, PeopleList, PersonLine
from breakglass.records.policy_note import PolicyNote, policy_text
from breakglass.records.presentation import Presentation, presentation_text
from breakglass.records.record import Attachment, Envelope, Kind, record_text
from breakglass.records.signing.signature import (
    CARD_NAMESPACE,
    POLICY_NAMESPACE,
    PRESENTATION_NAMESPACE,
    STATEMENT_NAMESPACE,
    TRUST_NAMESPACE,
    Factor,
    Signature,
    person_line,
)
from breakglass.records.statement import (
    AccessRequest,
    Answer,
    Countersign,
    Declare,
    Do,
    GateVerdict,
    Kill,
    KillAll,
    ReviewGate,
    Statement,
    Target,
    Why,
    digest_of,
    grant_id,
    parse_request,
    parse_statement,
    statement_text,
)
from breakglass.records.trust import Trust, accept_trust
from breakglass.tlog.note import COSIGNATURE, ED25519, Note, SignatureLine, SignerKey, sign_note
from breakglass.token.token import Token
from breakglass.token.verify import Verifier

from .access_requests import access_request
from .memory_log import MemoryLog
from .people import PRESENT, SoftKey, SoftPasskey, SoftSecurityKey

NOW = datetime(2026, 6, 22, 3, 14, 9, 221000, UTC)
LOG = "ledger.example/one"
SKEW = timedelta(seconds=120)
SECOND = timedelta(seconds=1)
BUNDLE = b"the bundle of shop.example, version 7\n"
Person = SoftKey | SoftSecurityKey | SoftPasskey
SshSoft = SoftKey | SoftSecurityKey


def signer(name: str, kind: int = ED25519) -> SignerKey:
    """Return the note key that always belongs to ``name``."""
    return SignerKey(name, kind, hashlib.sha256(f"soft note key of {name}".encode()).digest())


@dataclass
class Broken:
    """One broken glass: what was signed, written and proven."""

    statement: AccessRequest
    signed: Signature
    intent: kinds.Intent
    note: bytes
    card: bytes
    index: int
    proof: bytes

    @property
    def grant(self) -> str:
        """The grant's id."""
        return self.intent.grant

    @property
    def intent_digest(self) -> str:
        """The SHA-256 of the intent's text, which says which intent it is."""
        return hashlib.sha256(Note.parse(self.note).text.encode()).hexdigest()


@dataclass
class _Chain:
    seq: int = 0
    prev: str = ZERO_DIGEST


@dataclass
class Organisation:
    """See the module. ``now`` is the clock of everybody; tests move it."""

    log_name: str = LOG
    now: datetime = NOW
    level: str = "witnessed"
    door: str = "no"
    kinds: str = "1"
    killers: tuple[str, ...] = ("sam",)
    quorum: str = "q"
    policy_version: int = 7
    bundle: bytes = BUNDLE
    people: dict[str, Person] = field(default_factory=dict)
    maintainers: dict[str, SshSoft] = field(default_factory=dict)
    custodians: dict[str, SshSoft] = field(default_factory=dict)
    submitters: dict[str, SignerKey] = field(default_factory=dict)
    chains: dict[str, _Chain] = field(default_factory=dict)
    lists: dict[str, PeopleList] = field(default_factory=dict)
    judged: list[Judged] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.people = self.people or {
            "mira": SoftSecurityKey.of("mira"),
            "teo": SoftSecurityKey.of("teo", PRESENT),
            "sam": SoftSecurityKey.of("sam"),
            "noor": SoftPasskey.of("noor"),
            "bo": SoftKey.of("bo"),
        }
        self.maintainers = self.maintainers or {
            "ana": SoftKey.of("ana"),
            "ben": SoftSecurityKey.of("ben", PRESENT),
            "cal": SoftKey.of("cal"),
        }
        self.custodians = self.custodians or {
            "ines": SoftSecurityKey.of("ines"),
            "ravi": SoftSecurityKey.of("ravi"),
            "escrow": SoftKey.of("escrow"),
        }
        roles = (
            "broker",
            "minter:orders-db",
            "monitor",
            "gate:deploy-approval",
            "gate:orders-write",
        )
        self.submitters = self.submitters or {
            role: signer(f"{role.replace(':', '-')}.shop.example") for role in roles
        }
        self.machine = SoftKey.of("rollback-on-5xx")
        self.holder = SoftKey.of("the holder of one grant")
        self.witness_keys = {
            name: signer(f"{name}.example/witness", COSIGNATURE)
            for name in ("w-sec", "w-plat", "w-audit", "worm")
        }
        self.log = MemoryLog(signer(self.log_name), self.witness_keys)
        self.genesis_text = self._genesis_text()
        self.genesis = digest_of(self.genesis_text)
        self.state = State(self.genesis)

    # --- trust ------------------------------------------------------------------------------

    def trust_lines(self, **changes: str | None) -> list[str]:
        """Return the trust file's lines; a change replaces or (``None``) removes a word's line.

        Words are given with ``_`` for ``-``: ``policy_at_least="8"``.
        """
        single = {
            "version": "1",
            "kinds": self.kinds,
            "genesis": self.genesis,
            "archiver": "worm",
            "level": self.level,
            "maintainers": "2",
            "custodians": "2",
            "skew": "120s",
            "policy-at-least": "0",
            "door": self.door,
            "quorum": self.quorum,
        }
        for word, value in changes.items():
            word = word.replace("_", "-")
            if value is None:
                single.pop(word)
            else:
                single[word] = value
        quorum = single.pop("quorum", None)
        lines = ["breakglass.dev/trust/v1"]
        lines += [f"log {self.log.signer.verifier}"]
        lines += [f"witness {name} {key.verifier}" for name, key in self.witness_keys.items()]
        lines += ["group people 2 w-sec w-plat w-audit", "group q all people worm"]
        lines += [f"quorum {quorum}"] if quorum else []
        lines += [f"submitter {role} {key.verifier}" for role, key in self.submitters.items()]
        lines += [f"maintainer {name} {key.public}" for name, key in self.maintainers.items()]
        lines += [f"custodian {name} {key.public}" for name, key in self.custodians.items()]
        return lines + [f"{word} {value}" for word, value in single.items()]

    def trust_text(self, **changes: str | None) -> str:
        """Return the trust file's text."""
        return "\n".join(self.trust_lines(**changes)) + "\n"

    def people_sign(
        self, text: str, namespace: str, signers: Mapping[str, SshSoft] | None = None
    ) -> bytes:
        """Return a note of ``text`` that people (the first two maintainers) signed."""
        chosen = signers or dict(list(self.maintainers.items())[:2])
        lines = tuple(
            person_line(name, key.sshsig(text, namespace)) for name, key in chosen.items()
        )
        return Note(text, lines).encoded()

    def trust_note(self, **changes: str | None) -> bytes:
        """Return the signed trust file."""
        return self.people_sign(self.trust_text(**changes), TRUST_NAMESPACE)

    def trust(self, **changes: str | None) -> Trust:
        """Return the trust file as a party that accepted it believes it."""
        return accept_trust(Note.parse(self.trust_note(**changes)), None)

    # --- policy and cards -------------------------------------------------------------------

    @property
    def policy_digest(self) -> str:
        """The digest of the bundle in force."""
        return Attachment.of(self.bundle).digest

    def policy_note(self, *, signers: Mapping[str, SshSoft] | None = None, **changes: Any) -> bytes:
        """Return the signed policy note, which names the list of people."""
        policy = PolicyNote(
            log=self.log_name,
            version=self.policy_version,
            bundle=self.policy_digest,
            commit="4f2c9d1",
            people=self.policy_people.root,
            issued=self.now,
        )
        return self.people_sign(policy_text(replace(policy, **changes)), POLICY_NAMESPACE, signers)

    @property
    def policy_people(self) -> PeopleList:
        """Everybody of the policy; ``killers`` may kill."""
        return PeopleList(
            PersonLine(name, (May.KILL,) if name in self.killers else (), (key.public,))
            for name, key in self.people.items()
        )

    def card_people(self, glass: str = "") -> PeopleList:
        """Who is meant by the cards: everybody breaks; sam and noor approve too, sam reviews."""
        if glass in self.lists:
            return self.lists[glass]
        rights = {
            "sam": (May.APPROVE, May.BREAK, May.REVIEW),
            "noor": (May.APPROVE, May.BREAK),
        }
        return PeopleList(
            PersonLine(name, rights.get(name, (May.BREAK,)), (key.public,))
            for name, key in self.people.items()
        )

    def card(self, glass: str = "deploy-rollback", **changes: Any) -> Card:
        """Return the card of one of the organisation's five glasses."""
        return replace(self.cards()[glass], **changes)

    def cards(self) -> dict[str, Card]:
        """Return every card: self without and with a minter, two people, a machine's, an act's."""
        orders = CardMint(
            "orders-db", "postgres", {"databases": ("orders",), "roles": ("repair",)}, {}
        )
        undo = Act(("/usr/local/bin/rollback", "--yes", "shop"), 300, Output.NONE)
        runner = CardMint("orders-db", "postgres", {}, {"undo": undo})
        base = Card(
            log=self.log_name,
            glass="deploy-rollback",
            does="roll back production and restart the pipeline; nothing else",
            gates=("deploy-approval",),
            mints=(),
            tier=Tier.SELF,
            need=0,
            ask_need=1,
            factor=Factor.TWO,
            for_s=1800,
            wait_s=600,
            silence_s=120,
            ahead_s=0,
            people=self.card_people("deploy-rollback").root,
            machines={},
            policy=self.policy_digest,
            version=self.policy_version,
            issued=self.now,
            expires=self.now + timedelta(days=92),
        )
        orders_repair = replace(
            base,
            glass="orders-repair",
            does="repair rows of orders and order_items",
            gates=("orders-write",),
            mints=(orders,),
            for_s=1200,
            ahead_s=7 * 86_400,
        )
        severe = replace(
            orders_repair,
            glass="key-deletion",
            tier=Tier.TWO,
            need=1,
            ask_need=2 if {"sam", "noor"} <= self.people.keys() else 1,
            gates=("deploy-approval",),
            ahead_s=0,
        )
        machine = replace(
            orders_repair,
            glass="auto-rollback",
            does="roll the shop back",
            gates=(),
            mints=(runner,),
            ask_need=0,
            ahead_s=0,
            machines={
                "rollback-on-5xx": CardMachine(
                    self.machine.public, "orders-db", "undo", 3, 3600, 60
                )
            },
        )
        found = (base, orders_repair, severe, machine)
        return {
            card.glass: replace(card, people=self.card_people(card.glass).root) for card in found
        }

    def card_note(
        self,
        glass: str = "deploy-rollback",
        *,
        signers: Mapping[str, SshSoft] | None = None,
        **changes: Any,
    ) -> bytes:
        """Return a signed card."""
        return self.people_sign(card_text(self.card(glass, **changes)), CARD_NAMESPACE, signers)

    # --- what people sign -------------------------------------------------------------------

    def statement(self, **changes: Any) -> AccessRequest:
        """Return what mira signs, by default to break ``deploy-rollback`` for 30 minutes.

        ``do`` chooses the form; a field that the form lacks is left out.
        """
        do = changes.pop("do", Do.BREAK)
        said: dict[str, Any] = {
            "log": self.log_name,
            "policy": self.policy_digest,
            "glass": "deploy-rollback",
            "minter": "",
            "scope": {},
            "who": "mira",
            "incident": "INC-4821",
            "reason": Why("approver-silent", "checkout 5xx, approver not answering"),
            "for_s": 1800,
            "holder": self.holder.public,
            "at": self.now,
            "nonce": "00" * 16,
        }
        if changes.get("glass") in ("orders-repair", "key-deletion"):
            said |= {
                "minter": "orders-db",
                "scope": {"databases": ("orders",), "roles": ("repair",)},
                "for_s": 1200,
            }
        if do is Do.MACHINE:
            said |= {
                "glass": "auto-rollback",
                "minter": "orders-db",
                "act": "undo",
                "who": "rollback-on-5xx",
                "incident": "",
                "for_s": 1200,
            }
        if changes.get("glass") == "auto-rollback":
            said |= {"minter": "orders-db", "act": "undo", "for_s": 1200}
        if changes.get("drill"):
            said["for_s"] = 1200
        return access_request(do, **{**said, **changes})

    def answer(self, answers: str, /, **changes: Any) -> Answer:
        """Return what sam says to the statement of that digest: approved."""
        said = Answer(
            do=Do.APPROVE,
            log=self.log_name,
            answers=answers,
            who="sam",
            reason=Why("agreed", "go ahead"),
            at=self.now,
            nonce="11" * 16,
        )
        return replace(said, **changes)

    def countersign(
        self, answers: str, who: str = "ines", card: bytes | None = None, /, **changes: Any
    ) -> Signature:
        """Return a custodian's signed word that a door statement goes through."""
        said = Countersign(
            do=Do.COUNTERSIGN,
            log=self.log_name,
            answers=answers,
            card=card_digest(Note.parse(card or self.card_note())),
            who=who,
            reason=Why("ledger-away", "I called mira; the ledger does not answer me either"),
            at=self.now,
            nonce=f"{60 + list(self.custodians).index(who) if who in self.custodians else 69}" * 16,
        )
        return self.sign(replace(said, **changes), self.custodians.get(who))

    def kill(self, target: Target, name: str, /, **changes: Any) -> Kill:
        """Return sam's word that stops something."""
        said = Kill(
            do=Do.KILL,
            log=self.log_name,
            target=target,
            name=name,
            who="sam",
            reason=Why("suspicion", "not what it seems"),
            at=self.now,
            nonce="22" * 16,
        )
        return replace(said, **changes)

    def kill_all(self, who: str = "sam", /, **changes: Any) -> KillAll:
        """Return one of two people's word that stops everything."""
        said = KillAll(
            do=Do.KILL_ALL,
            log=self.log_name,
            who=who,
            reason=Why("suspicion", "the build machine is not ours any more"),
            at=self.now,
            nonce=f"{70 + list(self.people).index(who)}" * 16,
        )
        return replace(said, **changes)

    def declare(self, **changes: Any) -> Declare:
        """Return mira's word that an incident is open."""
        said = Declare(
            do=Do.DECLARE,
            log=self.log_name,
            incident="INC-4821",
            severity="SEV1",
            title="checkout returns 5xx",
            who="mira",
            at=self.now,
            nonce="33" * 16,
        )
        return replace(said, **changes)

    def review_gate(self, **changes: Any) -> ReviewGate:
        """Return sam's word on what a gate review decided."""
        said = ReviewGate(
            do=Do.REVIEW_GATE,
            log=self.log_name,
            gate="deploy-approval",
            verdict=GateVerdict.GATE_WRONG,
            decision="split the slow suite off",
            look_again=self.now + timedelta(weeks=13),
            who="sam",
            at=self.now,
            nonce="88" * 16,
        )
        return replace(said, **changes)

    def gate_reviewed(
        self, said: ReviewGate | None = None, key: Person | None = None
    ) -> kinds.GateReviewed:
        """Return what an honest monitor states of a gate review."""
        said = said or self.review_gate()
        return kinds.GateReviewed(
            gate=said.gate,
            verdict=said.verdict,
            decision=said.decision,
            look_again=said.look_again,
            by=said.who,
            statement=self.sign(said, key),
        )

    def sign(
        self, said: Statement, key: Person | None = None, namespace: str = STATEMENT_NAMESPACE
    ) -> Signature:
        """Have a statement signed, by the key of the person it names if no other is given."""
        key = key or self.people.get(said.who) or self.machine
        return key.sign(statement_text(said), namespace)

    # --- records ----------------------------------------------------------------------------

    def envelope(self, role: str, record_id: str, **changes: Any) -> Envelope:
        """Return the next envelope of a submitter; its chain does not move yet."""
        chain = self.chains.setdefault(role, _Chain())
        said = Envelope(
            log=self.log_name, id=record_id, at=self.now, seq=chain.seq, prev=chain.prev
        )
        return replace(said, **changes)

    def record(
        self,
        role: str,
        body: Kind,
        record_id: str = "",
        *,
        attachments: Iterable[bytes] = (),
        signed_by: SignerKey | None = None,
        lines: Iterable[SignatureLine] = (),
        envelope: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Write and sign a record; the submitter's chain moves on."""
        data = list(attachments)
        chain = self.chains.setdefault(role, _Chain())
        named = record_id or f"{body.kind}/{chain.seq}"
        said = self.envelope(role, named, **(envelope or {}))
        text = record_text(said, body, tuple(map(Attachment.of, data)))
        for each in data:
            self.log.attachments[Attachment.of(each).digest] = each
        chain.seq, chain.prev = said.seq + 1, digest_of(text)
        note = sign_note(text, signed_by or self.submitters[role])
        return note.with_lines(*lines).encoded()

    def append(
        self, note: bytes, *, at: datetime | None = None, by: Iterable[str] | None = None
    ) -> Judged:
        """Append an entry, cosigned now, and fold it; ``judged`` keeps what the fold said."""
        index = self.log.append(note, at or self.now, by=by)
        verdict = apply(self.state, self.log.entries(index)[0])
        self.judged.append(verdict)
        return verdict

    def state_that(self, role: str, body: Kind, record_id: str = "", **how: Any) -> Judged:
        """Write, sign, append and fold a record: ``org.state_that("monitor", Pulse(...))``."""
        return self.append(self.record(role, body, record_id, **how))

    def _genesis_text(self) -> str:
        body = kinds.Genesis(
            organisation="shop.example",
            maintainers={name: (key.public,) for name, key in self.maintainers.items()},
            maintainers_needed=2,
        )
        return record_text(Envelope(self.log_name, "genesis", self.now, 0, ZERO_DIGEST), body)

    def begin(self, *, incident: bool = True) -> None:
        """Write genesis, trust, policy, cards and an open incident."""
        genesis = sign_note(self.genesis_text, self.submitters["broker"])
        self.chains["broker"] = _Chain(1, self.genesis)
        self.append(genesis.encoded())
        self.activate_trust()
        self.activate_policy()
        if incident:
            self.open_incident()

    def activate_trust(self, **changes: str | None) -> Judged:
        """Put a trust file in force."""
        data = self.trust_note(**changes)
        text = Note.parse(data).text
        version = int(changes.get("version") or 1)
        body = kinds.TrustActivated(version, digest_of(text))
        return self.state_that("broker", body, f"trust/{version}", attachments=[data])

    def activate_policy(self) -> None:
        """Put the policy and its cards in force."""
        body = kinds.Policy(self.policy_version, self.policy_digest, "4f2c9d1")
        version = self.policy_version
        self.state_that(
            "broker",
            body,
            f"policy/{version}",
            attachments=[self.bundle, self.policy_note(), self.policy_people.encoded()],
        )
        self.activate_cards()

    def activate_cards(self, notes: Mapping[str, bytes] | None = None, **changes: Any) -> Judged:
        """Put cards in force."""
        notes = notes or {glass: self.card_note(glass) for glass in self.cards()}
        digests = {glass: card_digest(Note.parse(note)) for glass, note in notes.items()}
        body = kinds.Cards(self.policy_digest, self.policy_version, digests)
        lists = {(found := self.card_people(glass)).root: found.encoded() for glass in notes}
        data = [cards_attachment(notes), *lists.values()]
        seq = self.chains["broker"].seq
        return self.state_that("broker", replace(body, **changes), f"cards/{seq}", attachments=data)

    def open_incident(self, **changes: Any) -> Judged:
        """Record that mira declared an incident."""
        said = self.declare()
        body = kinds.Incident(
            incident=said.incident,
            change=IncidentChange.OPENED,
            severity=said.severity,
            title=said.title,
            source="breakglass",
            self_declared=True,
            statement=self.sign(said),
        )
        return self.state_that("broker", replace(body, **changes))

    # --- a grant ----------------------------------------------------------------------------

    def asked(self, signed: Signature, **changes: Any) -> kinds.Asked:
        """Return the record that somebody asked."""
        body = kinds.Asked(
            grant=grant_id(signed.text),
            path=Path.GLASS if changes.get("path") else path_of(parse_request(signed.text)),
            statement=signed,
            from_="",
            factors=Factors(Factor.PHISHING_RESISTANT, 0, False),
            decision=Decided(Outcome.ALLOWED, 0, ("glass.deploy-rollback",), ()),
        )
        return replace(body, **changes)

    def intent(
        self, said: AccessRequest, statements: tuple[Signature, ...], card: bytes, /, **changes: Any
    ) -> kinds.Intent:
        """Return the intent that an honest broker writes for a statement."""
        note = Note.parse(card)
        parsed = self.card(said.glass)
        grant = grant_id(statements[0].text) if statements else grant_id("")
        life = timedelta(seconds=min(said.for_s, parsed.for_s))
        start = parse_time(said.starts) if said.starts else self.now
        body = kinds.Intent(
            grant=grant,
            path=path_of(said),
            tier=parsed.tier,
            card=card_digest(note),
            policy=said.policy,
            glass=said.glass,
            who=said.who,
            incident=said.incident,
            ticket=said.ticket,
            minter=said.minter,
            scope=said.scope,
            act=said.act,
            gates=() if said.starts else parsed.gates,
            holder=said.holder,
            not_before=start,
            not_after=start + life,
            handle=handle_of(grant),
            review_by=start + timedelta(days=3),
            statements=statements,
        )
        return replace(body, **changes)

    def break_glass(
        self,
        *,
        said: AccessRequest | None = None,
        key: Person | None = None,
        approvals: tuple[Signature, ...] = (),
        signed: Signature | None = None,
        statement: Mapping[str, Any] | None = None,
        intent: Mapping[str, Any] | None = None,
        envelope: Mapping[str, Any] | None = None,
        signed_by: SignerKey | None = None,
        role: str = "broker",
        card: bytes | None = None,
        lines: Iterable[SignatureLine] = (),
        witnessed: datetime | Mapping[str, datetime] | None = None,
        by: Iterable[str] | None = None,
    ) -> Broken:
        """Write, append, fold and prove an intent; every argument is one thing to forge."""
        said = said or self.statement(**(statement or {}))
        signed = signed or self.sign(said, key)
        card = card or self.card_note(said.glass)
        body = self.intent(said, (signed, *approvals), card, **(intent or {}))
        at = witnessed or self.now
        note = self.record(
            role,
            body,
            f"{body.grant}/intent",
            signed_by=signed_by,
            lines=lines,
            envelope=envelope,
        )
        self.append(note, at=at if isinstance(at, datetime) else self.now, by=by)
        index = self.log.size - 1
        proof = self.log.proof(index, at, by=by)
        return Broken(said, signed, body, note, card, index, proof)

    def door_intent(
        self,
        custodians: Iterable[str] = ("ines", "ravi"),
        *,
        card: bytes | None = None,
        **said: Any,
    ) -> bytes:
        """Return the note of an intent of the custodians' door, which is not in the log yet."""
        statement = self.statement(do=Do.DOOR, **said)
        card = card or self.card_note(statement.glass)
        signed = self.sign(statement)
        digest = digest_of(signed.text)
        words = tuple(self.countersign(digest, name, card) for name in custodians)
        body = self.intent(statement, (signed, *words), card)
        return self.record("broker", body, f"{body.grant}/intent")

    def justify(
        self, broken: Broken, /, *, by: Iterable[str] | None = None, **changes: Any
    ) -> tuple[bytes, bytes]:
        """Have the monitor justify an intent; returns its record and the proof of that."""
        leaf = self.log.leaves[broken.index].hex()
        body = kinds.Justified(broken.grant, leaf, broken.index, broken.intent.policy)
        note = self.record("monitor", replace(body, **changes), f"{broken.grant}/justified")
        self.append(note)
        return note, self.log.proof(self.log.size - 1, self.now, by=by)

    def presentation(self, broken: Broken, to: str, run: str, **changes: Any) -> Presentation:
        """Return what the holder signs to show a token."""
        said = Presentation(self.log_name, digest_of(broken.signed.text), to, run, self.now)
        return replace(said, **changes)

    def token(
        self,
        broken: Broken,
        run: str = "42",
        to: str = "gate:deploy-approval",
        *,
        key: SshSoft | None = None,
        namespace: str = PRESENTATION_NAMESPACE,
        justified: tuple[bytes, bytes] | None = None,
        presentation: Mapping[str, Any] | None = None,
        people: tuple[CarriedLine, ...] | None = None,
        **changes: Any,
    ) -> Token:
        """Return the token of a broken glass, shown to ``to`` for ``run``."""
        text = presentation_text(self.presentation(broken, to, run, **(presentation or {})))
        shown = (key or self.holder).sign(text, namespace)
        carried = self.carried(broken) if people is None else people
        token = Token(broken.card, broken.note, carried, broken.proof, justified, shown)
        return replace(token, **changes)

    def carried(self, broken: Broken) -> tuple[CarriedLine, ...]:
        """Return the lines of those who signed, as an honest broker puts them in a token."""
        said = [parse_statement(each.text) for each in broken.intent.statements]
        names = [each.who for each in said if not isinstance(each, Countersign)]
        return self.card_people(broken.intent.glass).carried(names)

    def verifier(
        self,
        door: str = "gate:deploy-approval",
        *,
        newest_seen: datetime | None = None,
        **changes: str | None,
    ) -> Verifier:
        """Return a verifier that believes this organisation's trust file."""
        return Verifier(self.trust(**changes), door, newest_seen)


def cards_attachment(notes: Mapping[str, bytes]) -> bytes:
    """Return the attachment of a ``cards`` record: RFC 8785 JSON, glass to card."""
    return canonical({glass: note.decode() for glass, note in notes.items()}).encode()


__all__ = [
    "LOG",
    "NOW",
    "SECOND",
    "SKEW",
    "Broken",
    "Organisation",
    "cards_attachment",
    "signer",
]
