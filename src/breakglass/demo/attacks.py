"""What somebody does who has stolen a key: real records, really appended, and shown at real doors.

Nothing here goes round a check. Each forgery is as good as its thief can make it, so that what
stops it is the one thing that is missing.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from breakglass.clock import SystemClock, to_milliseconds
from breakglass.demo.shop import GATE, LOG, MINTER, REPAIR, ROLLBACK
from breakglass.demo.software_keys import SoftKey, SoftSecurityKey
from breakglass.embedded.up import Organisation
from breakglass.error_names import name_of
from breakglass.errors import BreakglassError
from breakglass.policy.cards import card_people
from breakglass.policy.compile import compile_policy
from breakglass.policy.folder import read_bundle
from breakglass.process.key_store import read_key
from breakglass.records.card import Tier, card_digest, parse_card
from breakglass.records.encoding.text_types import ZERO_DIGEST
from breakglass.records.grant import Path as Way
from breakglass.records.grant import handle_of
from breakglass.records.kinds.intent import Intent
from breakglass.records.presentation import Presentation, presentation_text
from breakglass.records.record import Envelope, record_text
from breakglass.records.signing.signature import PRESENTATION_NAMESPACE, STATEMENT_NAMESPACE, Signed
from breakglass.records.statement import Break, Do, Why, digest_of, grant_id, statement_text
from breakglass.submit.record_header import numbered
from breakglass.tlog.note import Note, Signer, sign_note
from breakglass.tlog.tiles import encode_bundle
from breakglass.token.token import Token


@dataclass(frozen=True)
class Recorded:
    """A forged record that the ledger took, with its valid proof."""

    index: int
    note: bytes
    proof: bytes


@dataclass(frozen=True)
class Thief:
    """Somebody with a stolen key, a key of their own to hold a grant with, and time."""

    running: Organisation
    card: bytes
    holder: SoftKey

    def now(self) -> datetime:
        """Return the time."""
        return to_milliseconds(SystemClock().now())

    def key_of(self, folder: str) -> Signer:
        """Steal a process's key."""
        return read_key(self.running.org / folder)

    def intent(self, statements: tuple[Signed, ...], at: datetime) -> Intent:
        """Write an intent for the glass of our card; without a statement under a made-up id."""
        card = parse_card(Note.parse(self.card))
        grant = grant_id(statements[0].text if statements else secrets.token_hex(16))
        mint = card.mints[0] if card.mints else None
        return Intent(
            grant=grant,
            path=Way.GLASS,
            tier=Tier.SELF,
            card=card_digest(Note.parse(self.card)),
            policy=card.policy,
            glass=card.glass,
            who="mira",
            incident="INC-4821",
            ticket="",
            minter=mint.minter if mint else "",
            scope=mint.scope if mint else {},
            act="",
            gates=card.gates,
            holder=self.holder.public,
            not_before=at,
            not_after=at + timedelta(seconds=card.for_s),
            handle=handle_of(grant),
            review_by=at + timedelta(days=3),
            statements=statements,
        )

    def statement(self, person: SoftSecurityKey, at: datetime) -> Signed:
        """Have a real person sign, as if tricked or bribed: mira, for the glass of our card."""
        card = parse_card(Note.parse(self.card))
        said = Break(
            do=Do.BREAK,
            log=LOG,
            policy=card.policy,
            glass=card.glass,
            minter="",
            scope={},
            act="",
            drill=False,
            who="mira",
            incident="INC-4821",
            ticket="",
            reason=Why("other", "nobody will ever know"),
            for_s=card.for_s,
            after="",
            holder=self.holder.public,
            at=at,
            nonce=secrets.token_hex(16),
        )
        return person.sign(statement_text(said), STATEMENT_NAMESPACE)

    def sign(self, intent: Intent, at: datetime, key: Signer) -> bytes:
        """Make a record of the intent in the next place of the stolen key's chain."""
        envelope = Envelope(LOG, f"{intent.grant}/intent", at, 0, ZERO_DIGEST)
        place = self.running.get("ledger", f"/submitter/{key.verifier.label}")
        text = numbered(record_text(envelope, intent), place["next"], place["prev"])
        return sign_note(text, key).encoded()

    def append(self, note: bytes) -> Recorded:
        """Have the ledger take it; witnesses and archiver see a fine new head.

        Raises:
            BreakglassError: the ledger refused.
        """
        with self.running.call("ledger") as ledger:
            answer = ledger.post("/append", encode_bundle([note])).json()
        if answer["refused"]:
            raise BreakglassError(
                answer["refused"]["message"], name=name_of(answer["refused"]["error"])
            )
        return Recorded(answer["first"], note, answer["proofs"][0].encode())

    def token(self, intent: Intent, note: bytes, proof: bytes, door: str, run: str) -> str:
        """Put a token together and sign it for a door, as its holder."""
        statement = digest_of(intent.statements[0].text) if intent.statements else "0" * 64
        text = presentation_text(Presentation(LOG, statement, door, run, self.now()))
        shown = self.holder.sign(text, PRESENTATION_NAMESPACE)
        policy = compile_policy(read_bundle(self.running.org / "bundle"))
        people = card_people(policy, intent.glass, parse_card(Note.parse(self.card)).issued)
        carried = people.carried([intent.who] if intent.statements else [])
        return Token(self.card, note, carried, proof).presented(shown).encoded()

    def at_the_minter(self, token: str) -> BreakglassError | None:
        """Show a token to the minter; returns how it refused, or nothing if it minted."""
        try:
            with self.running.call(f"minter-{MINTER}") as minter:
                minter.post_json("/mint", {"token": token, "asked_ms_ago": 0})
        except BreakglassError as refused:
            return refused
        return None

    def with_card(self, card: bytes) -> Thief:
        """Go for another glass."""
        return replace(self, card=card)


def cards_of(org: Path) -> Mapping[str, bytes]:
    """Return the signed glass cards; they are no secret."""
    folder = org / "bundle" / "signed" / "cards"
    return {glass: (folder / f"{glass}.card").read_bytes() for glass in (REPAIR, ROLLBACK)}


def proof_in(token: str) -> bytes:
    """Take the proof out of somebody's genuine token."""
    line = next(line for line in token.splitlines() if line.startswith("proof "))
    return base64.b64decode(line.removeprefix("proof "))


def rang(body: dict[str, Any], subject: str, index: int) -> bool:
    """Say whether an alarm is of this subject and entry."""
    return body.get("subject") == subject and body.get("index") == index


DOOR = f"gate:{GATE}"
