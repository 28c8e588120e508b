"""Activation of policies and trust files: signed by maintainers elsewhere, only recorded here.

Everything that the fold will ask is tried before anything is written: a bundle that does not
compile, or cards that do not fit, must never stand in a ledger that forgets nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from breakglass.broker.policies import Policies
from breakglass.canonical import canonical
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, RefusedError
from breakglass.node.recorder import Recorder
from breakglass.node.submitter import Fact
from breakglass.policy.bundle import PACKED_BYTES_AT_MOST
from breakglass.policy.cards import card_people, policy_people
from breakglass.policy.compile import CompiledPolicy
from breakglass.records.card import card_digest, parse_card
from breakglass.records.encoding.text_types import ExactBase64, Handle
from breakglass.records.fold.context import READ_BYTES_AT_MOST
from breakglass.records.kinds.cards import Cards
from breakglass.records.kinds.key import KeyHandedOver
from breakglass.records.kinds.policy import Policy
from breakglass.records.kinds.trust import TrustActivated
from breakglass.records.people_list import PeopleList
from breakglass.records.policy_note import (
    PolicyNote,
    check_policy_people,
    check_policy_signatures,
)
from breakglass.records.record import ATTACHMENTS_AT_MOST, Attachment
from breakglass.records.trust import Trust, accept_trust
from breakglass.records.trust_handover import check_cards_live, check_carried
from breakglass.strict_json import Many
from breakglass.tlog.note import Note

_CARDS_AT_MOST = 100  # digests in one note of 16 KiB
_TRUST_FILE_BYTES = 1024 * 1024
_TRUST_WITHIN = timedelta(seconds=10)
_FOLDED_WITHIN = timedelta(seconds=40)  # a bundle of 10,000 people takes 6 s, and more under load
_BUNDLE_CHARACTERS = -(-PACKED_BYTES_AT_MOST // 3) * 4  # base64 writes 3 bytes as 4 characters


@dataclass(frozen=True)
class PolicyBody:
    """``POST /policy``: the signed note, the packed bundle in base64, and the signed cards."""

    note: str
    bundle: Annotated[str, ExactBase64(_BUNDLE_CHARACTERS)]
    cards: Annotated[Mapping[Handle, str], Many(1000)]


@dataclass(frozen=True)
class TrustBody:
    """``POST /trust``: the signed trust file."""

    note: str


@dataclass(frozen=True)
class Activated:
    """Which version is in force; ``index`` is ``None`` if nothing had to be recorded."""

    version: int
    index: int | None


@dataclass(frozen=True)
class HandedOver:
    """Whose key was handed over, and where that was recorded."""

    party: str
    index: int


@dataclass(frozen=True)
class Activation:
    """See the module."""

    recording: Recorder
    policies: Policies

    def policy(self, body: PolicyBody) -> Activated:
        """Put a policy and its cards in force.

        Raises:
            MalformedError: a note, the bundle or a card is not in its form, or does not compile.
            UnprovenError: too few maintainers signed.
            StatusError: 429 ``busy``: another policy is being compiled.
            RefusedError: not newer than the one in force, or the parts do not belong together.
            UnavailableError: the ledger did not take it.
        """
        self.recording.wait_for_trust(_TRUST_WITHIN)
        bundle = base64.b64decode(body.bundle)
        if len(bundle) > PACKED_BYTES_AT_MOST:
            raise MalformedError(f"bundle: {len(bundle)} bytes, {PACKED_BYTES_AT_MOST} at most")
        digest = Attachment.of(bundle).digest
        note = Note.parse(body.note.encode("utf-8", "surrogatepass"))
        # (1) The maintainers want it, and it is newer than what stands. Compiling costs seconds:
        #     nobody gets that for a bundle that could not take force, an old one least of all,
        #     since its signatures can be read in the ledger.
        policy = self._signed(note)
        if policy.bundle != digest:
            raise RefusedError(
                "the bundle is not the one that was signed; nothing was recorded",
                name=ErrorName.MISMATCH,
                hint="send the bundle and the note of one and the same: breakglass policy sign",
            )
        # (2) It compiles: cards of a policy that cannot decide would open nothing.
        compiled = self.policies.candidate(digest, bundle)
        parsed = {glass: Note.parse(text.encode()) for glass, text in body.cards.items()}
        digests = {glass: card_digest(each) for glass, each in parsed.items()}
        # The lists of people follow from the bundle; nobody sends them.
        people = policy_people(compiled)
        check_policy_people(policy, people)
        lists = {glass: _people(compiled, glass, note) for glass, note in parsed.items()}
        with self.recording.view.reading() as state:
            stands = state.governance.policy == policy
            index = state.governance.policy_index
            active = {
                glass: state.governance.cards[glass].digest
                for glass in digests
                if glass in state.governance.cards
            }
        if stands and active == digests:
            return Activated(policy.version, index)
        # (3) All in one append, so that no moment has a policy without its cards. Where the
        #     policy already exists (only the first got through, or cards are renewed before they
        #     expire) the cards come alone.
        facts = [
            Fact(
                f"policy/{policy.version}/{Attachment.of(note.text.encode()).digest[:16]}",
                Policy(policy.version, policy.bundle, policy.commit),
                (bundle, note.encoded(), people.encoded()),
            ),
            *_card_facts(policy, body.cards, digests, lists),
        ]
        if stands:
            facts = facts[1:]
        receipts = self.recording.record(facts, _FOLDED_WITHIN)
        return Activated(policy.version, receipts[0].index)

    def _signed(self, note: Note) -> PolicyNote:
        with self.recording.view.reading() as state:
            trust, standing, log = state.governance.trust, state.governance.policy, state.log
        if trust is None:
            raise RefusedError(
                "no trust file is in force yet; nothing was recorded", name=ErrorName.NO_TRUST
            )
        policy = check_policy_signatures(note, trust)
        if policy.log != log:
            raise RefusedError(
                f"the policy is of log {policy.log!r}, ours is {log!r}; nothing was recorded",
                name=ErrorName.WRONG_LOG,
            )
        newest = max(standing.version if standing else 0, trust.policy_at_least - 1)
        if policy != standing and policy.version <= newest:
            raise RefusedError(
                f"policy {policy.version} is not newer than the one in force; nothing was recorded",
                name=ErrorName.POLICY_ORDER,
            )
        return policy

    def trust(self, body: TrustBody) -> Activated:
        """Put the next trust file in force.

        Raises:
            MalformedError, UnprovenError: see ``accept_trust``.
            RefusedError: ``not_carried`` or ``cards_die``.
            UnavailableError: the ledger did not take it.
        """
        self.recording.wait_for_trust(_TRUST_WITHIN)
        note = Note.parse(body.note.encode("utf-8", "surrogatepass"))
        with self.recording.view.reading() as state:
            before, cards = state.governance.trust, dict(state.governance.cards)
        trust = accept_trust(note, before)
        if before is not None and trust.text == before.text:
            return Activated(trust.version, None)
        # What the ledger holds is never taken back: every new client and gate would be shut out,
        # or every glass, until somebody finds out why.
        check_carried(note, trust)
        if before is not None:
            check_cards_live(
                {glass: Note.parse(each.note) for glass, each in cards.items()}, before, trust
            )
        receipts = self.recording.record([trust_fact(trust, note)])
        return Activated(trust.version, receipts[0].index)

    def key(self, body: KeyHandedOver) -> HandedOver:
        """Record that a key follows another, which the trust file in force names both.

        Raises:
            MalformedError, UnprovenError: a key or a signature is none.
            RefusedError: the trust file in force is another one.
            UnavailableError: the ledger did not take it.
        """
        self.recording.wait_for_trust(_TRUST_WITHIN)
        with self.recording.view.reading() as state:
            standing = state.governance.handed_over.get(body.new)
        if standing is not None:
            return HandedOver(body.party, standing)
        name = Attachment.of(body.new.encode()).digest[:16]
        receipts = self.recording.record([Fact(f"key/{body.version}/{name}", body)])
        return HandedOver(body.party, receipts[0].index)


def _people(policy: CompiledPolicy, glass: str, note: Note) -> PeopleList:
    """Return the list of people of a signed card, made again from the bundle.

    Raises:
        MalformedError: no card.
        RefusedError: ``mismatch``: the card is of no glass of this bundle, or of other people.
    """
    card = parse_card(note)
    people = card_people(policy, glass, card.issued) if glass in policy.bundle.glasses else None
    if people is None or people.root != card.people:
        raise RefusedError(
            f"the card of {glass!r} names other people than this bundle; nothing was recorded",
            name=ErrorName.MISMATCH,
            hint="make and sign the cards again: breakglass policy sign",
        )
    return people


def _card_facts(
    policy: PolicyNote,
    cards: Mapping[str, str],
    digests: Mapping[str, str],
    lists: Mapping[str, PeopleList],
) -> list[Fact]:
    """Return the ``cards`` records: as few as notes and attachments have room for."""
    facts, group, behind, size = [], dict[str, str](), dict[str, bytes](), 0

    def close() -> None:
        table = canonical(group).encode()
        named = {glass: digests[glass] for glass in group}
        record_id = f"cards/{policy.version}/{Attachment.of(table).digest[:16]}"
        body = Cards(policy.bundle, policy.version, named)
        facts.append(Fact(record_id, body, (table, *behind.values())))

    for glass, text in sorted(cards.items()):
        people, more = lists[glass], len(canonical(text)) + len(glass) + 4
        another = people.root.root not in behind
        full = size + more > READ_BYTES_AT_MOST or len(group) == _CARDS_AT_MOST
        if group and (full or (another and len(behind) == ATTACHMENTS_AT_MOST - 1)):
            close()
            group, behind, size = {}, {}, 0
        group[glass], size = text, size + more
        behind[people.root.root] = people.encoded()
    if group or not cards:
        close()
    return facts


def trust_fact(trust: Trust, note: Note) -> Fact:
    """Return the record that puts a trust file in force."""
    if len(note.encoded()) > _TRUST_FILE_BYTES:
        raise RefusedError("the trust file is over 1 MiB", name=ErrorName.TOO_LARGE)
    body = TrustActivated(trust.version, trust.digest)
    return Fact(f"trust/{trust.version}", body, (note.encoded(),))
