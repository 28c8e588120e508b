"""What maintainers sign from this machine: trust files, policies, and the cards that follow.

A policy's signatures stand in the bundle's own repository, in ``signed/``, so that the second
maintainer gets them the way every change is got: by a pull.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import UnprovenError
from breakglass.person import ssh_keygen
from breakglass.person.ssh_keygen import PersonalKey, Say
from breakglass.policy.bundle import bundle_digest, pack_bundle
from breakglass.policy.cards import make_cards, make_policy_note
from breakglass.policy.case_run import check_cases
from breakglass.policy.compile import CompiledPolicy, compile_policy
from breakglass.policy.folder import read_bundle
from breakglass.records.card import LONGEST_LIFE, card_text, parse_card
from breakglass.records.policy_note import PolicyNote, parse_policy_note, policy_text
from breakglass.records.signing.signature import (
    CARD_NAMESPACE,
    POLICY_NAMESPACE,
    people_who_signed,
    person_line,
)
from breakglass.records.trust import Trust
from breakglass.tlog.note import Note

SIGNED = "signed"
_NOTE, _CARDS = "policy.note", "cards"


@dataclass(frozen=True)
class Maintainer:
    """One maintainer who can sign here and now."""

    name: str
    key: PersonalKey


def sign_text(
    text: str,
    namespace: str,
    signers: Iterable[Maintainer],
    say: Say | None = None,
    place: tuple[int, int] = (1, 1),
) -> Note:
    """Make a note of ``text`` with the signature lines of ``signers``.

    Args:
        text: the exact text.
        namespace: what the signatures are for.
        signers: one line each, in this order.
        say: told what is signed, before each signature that somebody has to give.
        place: which text this is, of how many that one command has signed.

    Raises:
        UnavailableError: a key did not sign.
    """
    lines, given = [], list(signers)
    for number, signer in enumerate(given, start=1 + (place[0] - 1) * len(given)):
        which = (number, place[1] * len(given))
        blob = base64.b64decode(ssh_keygen.sign(text, namespace, signer.key, say, which))
        lines.append(person_line(signer.name, blob))
    return Note(text, tuple(lines))


@dataclass(frozen=True)
class SignedPolicy:
    """A policy on its way into force: the bundle, the note and the cards, with who signed them."""

    bundle: bytes
    note: Note
    cards: dict[str, Note]

    @property
    def policy(self) -> PolicyNote:
        """What the note says."""
        return parse_policy_note(self.note)

    def signers(self, trust: Trust) -> set[str]:
        """Return the maintainers who signed the note and every card."""
        people = trust.maintainers
        found = set(people_who_signed(self.note, people, POLICY_NAMESPACE))
        for card in self.cards.values():
            found &= set(people_who_signed(card, people, CARD_NAMESPACE))
        return found

    def activation(self) -> dict[str, object]:
        """Return what ``POST /policy`` takes."""
        return {
            "note": self.note.encoded().decode(),
            "bundle": base64.b64encode(self.bundle).decode(),
            "cards": {glass: card.encoded().decode() for glass, card in self.cards.items()},
        }


def sign_policy(
    folder: Path,
    log: str,
    commit: str,
    signers: Iterable[Maintainer],
    now: datetime,
    say: Say | None = None,
    cases: Callable[[CompiledPolicy, datetime], None] = check_cases,
) -> SignedPolicy:
    """Sign the bundle in ``folder`` and its cards, beside the signatures that stand there already.

    Args:
        folder: the bundle.
        log: the ledger's origin.
        commit: where the bundle stands in its repository, or ``-``.
        signers: who signs now.
        now: the time to put into note and cards, if nobody has signed yet.
        say: told when a security key has to be touched.
        cases: refuses a policy that does not answer its own cases.

    Raises:
        MalformedError: the bundle cannot be read, lint has an error, or ``cases`` refuses it;
            nothing was signed.
        UnavailableError: a key did not sign; nothing was written.
    """
    files = read_bundle(folder)
    compiled = compile_policy(files, now=now)
    cases(compiled, now)
    packed = pack_bundle(files)
    standing = _standing(folder, packed)
    if standing is not None and standing.policy.log != log:
        standing = None  # signed for another log, which this one follows
    if standing is None:
        # (1) Nobody has signed this bundle: the texts are made now, and are the same for all.
        issued, version = now, compiled.bundle.version
        note = policy_text(
            make_policy_note(
                compiled, log=log, bundle_digest=bundle_digest(packed), commit=commit, issued=issued
            ).note
        )
        cards = make_cards(
            compiled, log=log, version=version, issued=issued, expires=issued + LONGEST_LIFE
        )
        texts = {glass: card_text(made.card) for glass, made in cards.items()}
    else:
        note = standing.note.text
        texts = {glass: card.text for glass, card in standing.cards.items()}
    # (2) Everything is signed before anything is written: half a set of signatures helps nobody.
    given, of = list(signers), 1 + len(texts)
    signed_note = sign_text(note, POLICY_NAMESPACE, given, say, (1, of))
    signed_cards = {
        glass: sign_text(text, CARD_NAMESPACE, given, say, (number, of))
        for number, (glass, text) in enumerate(texts.items(), start=2)
    }
    if standing is not None:
        signed_note = joined(standing.note, signed_note)
        signed_cards = {
            glass: joined(standing.cards[glass], card) for glass, card in signed_cards.items()
        }
    signed = SignedPolicy(packed, signed_note, signed_cards)
    _write(folder, signed)
    return signed


def read_signed(folder: Path) -> SignedPolicy:
    """Read the bundle in ``folder`` with the signatures under ``signed/``.

    Raises:
        MalformedError: the bundle or a note is not in its form.
        UnprovenError: ``not_signed``: nobody has signed this bundle as it stands.
    """
    packed = pack_bundle(read_bundle(folder))
    standing = _standing(folder, packed)
    if standing is None:
        raise UnprovenError(
            f"nobody has signed the bundle in {str(folder)!r} as it stands",
            name=ErrorName.NOT_SIGNED,
            hint=f"sign it: breakglass policy sign {folder}",
        )
    return standing


def card_life_left(signed: SignedPolicy, now: datetime) -> timedelta:
    """Return how long until the first card expires."""
    return min((parse_card(card).expires for card in signed.cards.values()), default=now) - now


def _standing(folder: Path, packed: bytes) -> SignedPolicy | None:
    place = folder / SIGNED
    if not (place / _NOTE).is_file():
        return None
    note = Note.parse((place / _NOTE).read_bytes())
    if parse_policy_note(note).bundle != bundle_digest(packed):
        return None  # of an earlier bundle; those signatures say nothing of this one
    cards = {
        path.stem: Note.parse(path.read_bytes()) for path in sorted((place / _CARDS).glob("*.card"))
    }
    return SignedPolicy(packed, note, cards)


def joined(standing: Note, new: Note) -> Note:
    """Return a note with the lines of both; a key that signs again replaces its line."""
    names = {(line.name, line.key_id) for line in new.lines}
    kept = [line for line in standing.lines if (line.name, line.key_id) not in names]
    return Note(standing.text, (*kept, *new.lines))


def _write(folder: Path, signed: SignedPolicy) -> None:
    place = folder / SIGNED
    (place / _CARDS).mkdir(parents=True, exist_ok=True)
    for path in (place / _CARDS).glob("*.card"):
        path.unlink()
    for glass, card in signed.cards.items():
        (place / _CARDS / f"{glass}.card").write_bytes(card.encoded())
    (place / _NOTE).write_bytes(signed.note.encoded())


def encoded_activation(signed: SignedPolicy) -> bytes:
    """Return the body of ``POST /policy``."""
    return json.dumps(signed.activation(), separators=(",", ":")).encode()
