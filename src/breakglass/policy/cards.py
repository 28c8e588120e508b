"""From a policy to what maintainers sign when it takes force: glass cards and the policy note.

A card lets a gate judge without the bundle, so its people are everybody who *can* be meant; broker
and monitor narrow that to who *is* meant now.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, MisconfiguredError
from breakglass.policy.card_people import people_on_card
from breakglass.policy.compile import CompiledPolicy
from breakglass.policy.glass import Glass
from breakglass.policy.parse import Bundle
from breakglass.records.card import (
    LONGEST_LIFE,
    Card,
    CardMachine,
    CardMint,
    card_text,
    check_card_people,
)
from breakglass.records.fold.context import READ_BYTES_AT_MOST
from breakglass.records.people_list import May, PeopleList, PersonLine
from breakglass.records.policy_note import PolicyNote, check_policy_people
from breakglass.tlog.note import MAX_NOTE_BYTES

_SIGNATURES = 24 * 1024  # bytes for 64 maintainers' lines of some 350 each


@dataclass(frozen=True)
class CardWithPeople:
    """A card, and the list whose root it holds; two cards may have one list."""

    card: Card
    people: PeopleList


@dataclass(frozen=True)
class NoteWithPeople:
    """A policy note, and the list whose root it holds: everybody of the bundle."""

    note: PolicyNote
    people: PeopleList


def make_cards(
    policy: CompiledPolicy, *, log: str, version: int, issued: datetime, expires: datetime
) -> dict[str, CardWithPeople]:
    """Make one card per glass, by its name; stand-ins for MFA being down have their own.

    Args:
        policy: compiled.
        log: the ledger's origin.
        version: of the policy; a bundle's own ``version`` as a rule.
        issued: now, aware.
        expires: 92 days later at most.

    Raises:
        MisconfiguredError: a life that no verifier accepts.
        MalformedError: a card that no verifier accepts, such as one key of two people.
    """
    if not timedelta(0) < expires - issued <= LONGEST_LIFE:
        raise MisconfiguredError(
            f"cards from {issued:%Y-%m-%d} to {expires:%Y-%m-%d}: 92 days at most; none was made"
        )
    made = {}
    for name, glass in policy.bundle.glasses.items():
        people = card_people(policy, name, issued)
        card = Card(
            log=log,
            glass=name,
            does=glass.does,
            gates=tuple(sorted(glass.opens_gates)),
            mints=tuple(
                CardMint(each.minter, each.platform, each.scope, each.acts) for each in glass.mints
            ),
            tier=glass.tier,
            need=glass.need,
            ask_need=glass.ask_need,
            factor=glass.least,
            for_s=_seconds(glass.for_),
            wait_s=_seconds(glass.wait),
            silence_s=_seconds(glass.silence),
            ahead_s=_seconds(glass.ahead),
            people=people.root,
            machines=_machines(policy.bundle, glass),
            policy=policy.digest,
            version=version,
            issued=issued,
            expires=expires,
        )
        check_card_people(card, people)
        made[name] = CardWithPeople(card, people)
    return made


def rehearse(policy: CompiledPolicy, now: datetime) -> None:
    """Make what maintainers would sign now, in the largest form, and throw it away.

    What no ledger or verifier takes must be told in daylight, before two people sign it.

    Raises:
        MalformedError: a card or a list that nobody would take.
    """
    longest_log = "l" * 200
    make_policy_note(
        policy, log=longest_log, bundle_digest=policy.digest, commit="0" * 40, issued=now
    )
    cards = make_cards(
        policy,
        log=longest_log,
        version=policy.bundle.version,
        issued=now,
        expires=now + LONGEST_LIFE,
    )
    for name, made in cards.items():
        place = policy.bundle.place(f"glasses.{name}")
        size, people = len(card_text(made.card).encode()), len(made.people.encoded())
        for what, got, most in (
            ("a card", size, MAX_NOTE_BYTES - _SIGNATURES),
            ("a list of people", people, READ_BYTES_AT_MOST),
        ):
            if got > most:
                raise MalformedError(
                    f"{place}: glasses.{name}: expected {what} of {most} bytes at most, got {got}",
                    name=ErrorName.TOO_LARGE,
                    hint="make two glasses of it, or name fewer values in its scope",
                )


def make_policy_note(
    policy: CompiledPolicy, *, log: str, bundle_digest: str, commit: str, issued: datetime
) -> NoteWithPeople:
    """Make the note that puts a bundle in force, with everybody's keys and who may kill.

    Args:
        policy: compiled.
        log: the ledger's origin.
        bundle_digest: of the packed bundle that goes with the activation.
        commit: where the bundle stands in its repository; ``-`` when it stands in none.
        issued: now, aware.

    Raises:
        MisconfiguredError: the digest is of another bundle than this policy.
        MalformedError: one key is two people's.
    """
    if bundle_digest != policy.digest:
        raise MisconfiguredError(
            f"the policy was compiled from bundle {policy.digest[:12]}…, the note would name"
            f" {bundle_digest[:12]}…; nothing was made"
        )
    people = policy_people(policy)
    note = PolicyNote(
        log=log,
        version=policy.bundle.version,
        bundle=bundle_digest,
        commit=commit,
        people=people.root,
        issued=issued,
    )
    check_policy_people(note, people)
    return NoteWithPeople(note, people)


def policy_people(policy: CompiledPolicy) -> PeopleList:
    """Return everybody of a bundle with their keys, and who of them may kill.

    Raises:
        MalformedError: a list that no policy note may name.
    """
    directory = policy.bundle.directory
    kill = set(directory.everybody(policy.bundle.kill))
    return PeopleList(
        PersonLine(name, (May.KILL,) if name in kill else (), person.keys)
        for name, person in directory.people.items()
    )


def card_people(policy: CompiledPolicy, glass: str, issued: datetime) -> PeopleList:
    """Return who is meant by the card of a glass that was issued then.

    Raises:
        MalformedError: a list that no card may name.
    """
    found = []
    for name, line in people_on_card(policy.bundle, policy.bundle.glasses[glass]).items():
        ends = policy.bundle.directory.people[name].ends
        if ends is None or issued < ends:  # else their days are over; a card would outlive them
            found.append(line)
    return PeopleList(found)


def _machines(bundle: Bundle, glass: Glass) -> dict[str, CardMachine]:
    return {
        machine.name: CardMachine(
            machine.key,
            machine.minter,
            machine.act,
            machine.at_most,
            _seconds(machine.per),
            _seconds(machine.cool_down),
        )
        for machine in bundle.machines.values()
        if machine.glass == glass.name and machine.key
    }


def _seconds(span: timedelta) -> int:
    return int(span.total_seconds())
