"""From a policy to what maintainers sign when it takes force: glass cards and the policy note.

A card lets a gate judge without the bundle, so it holds everybody who *can* be meant; broker and
monitor narrow that to who *is* meant now.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from breakglass.errors import MisconfiguredError
from breakglass.policy.compile import CompiledPolicy
from breakglass.policy.glass import Glass
from breakglass.policy.parse import Bundle
from breakglass.records.card import LONGEST_LIFE, Card, CardMachine, CardMint, CardPerson, May
from breakglass.records.policy_note import PolicyNote

WAIT_ALONE = timedelta(seconds=120)  # the skew: a breaker who waits for nobody needs no more
WAIT_FOR_PEOPLE = timedelta(hours=1)  # the most that a card can say
_PEOPLE_AT_MOST = 1000


def make_cards(
    policy: CompiledPolicy, *, log: str, version: int, issued: datetime, expires: datetime
) -> dict[str, Card]:
    """Make one card per glass, by its name; stand-ins for MFA being down have their own.

    Args:
        policy: compiled.
        log: the ledger's origin.
        version: of the policy; a bundle's own ``version`` as a rule.
        issued: now, aware.
        expires: 92 days later at most.

    Raises:
        MisconfiguredError: a life that no verifier accepts, or more people than a card holds.
    """
    if not timedelta(0) < expires - issued <= LONGEST_LIFE:
        raise MisconfiguredError(
            f"cards from {issued:%Y-%m-%d} to {expires:%Y-%m-%d}: 92 days at most; none was made"
        )
    return {
        name: Card(
            log=log,
            glass=name,
            does=glass.does,
            gates=glass.opens_gates,
            mints=tuple(CardMint(each.minter, each.platform, each.scope) for each in glass.mints),
            tier=glass.tier,
            need=glass.need,
            factor=glass.least,
            for_s=int(glass.for_.total_seconds()),
            wait_s=_wait(glass),
            people=_people(policy.bundle, glass, issued),
            machines=_machines(policy.bundle, glass),
            policy=policy.digest,
            version=version,
            issued=issued,
            expires=expires,
        )
        for name, glass in policy.bundle.glasses.items()
    }


def make_policy_note(
    policy: CompiledPolicy, *, log: str, bundle_digest: str, commit: str, issued: datetime
) -> PolicyNote:
    """Make the note that puts a bundle in force, with everybody's keys and who may kill.

    Args:
        policy: compiled.
        log: the ledger's origin.
        bundle_digest: of the packed bundle that goes with the activation.
        commit: where the bundle stands in its repository; ``-`` when it stands in none.
        issued: now, aware.

    Raises:
        MisconfiguredError: the digest is of another bundle than this policy.
    """
    if bundle_digest != policy.digest:
        raise MisconfiguredError(
            f"the policy was compiled from bundle {policy.digest[:12]}…, the note would name"
            f" {bundle_digest[:12]}…; nothing was made"
        )
    directory = policy.bundle.directory
    return PolicyNote(
        log=log,
        version=policy.bundle.version,
        bundle=bundle_digest,
        commit=commit,
        people={name: person.keys for name, person in sorted(directory.people.items())},
        kill=directory.everybody(policy.bundle.kill),
        issued=issued,
    )


def _wait(glass: Glass) -> int:
    # Where people can answer, the breaker's statement waits for them; else it need not.
    wait = WAIT_FOR_PEOPLE if glass.second_signers else WAIT_ALONE
    return int(wait.total_seconds())


def _people(bundle: Bundle, glass: Glass, issued: datetime) -> dict[str, CardPerson]:
    breakers = set(bundle.directory.everybody(glass.who))
    signers = set(bundle.directory.everybody(glass.second_signers))
    found = {}
    for name in sorted(breakers | signers):
        person = bundle.directory.people[name]
        if person.ends and issued >= person.ends:
            continue  # their days are over; a card would outlive them
        may = [May.BREAK] if name in breakers else []
        may += [May.APPROVE] if name in signers else []
        found[name] = CardPerson(tuple(may), person.keys)
    if len(found) > _PEOPLE_AT_MOST:
        raise MisconfiguredError(
            f"glass {glass.name!r} names {len(found)} people, a card holds {_PEOPLE_AT_MOST}",
            hint="give its rostered groups 'members'",
        )
    return found


def _machines(bundle: Bundle, glass: Glass) -> dict[str, CardMachine]:
    found = {}
    for machine in bundle.machines.values():
        minter = machine.minter or (glass.mints[0].minter if len(glass.mints) == 1 else "")
        if machine.glass == glass.name and machine.key and minter:
            found[machine.name] = CardMachine(machine.key, minter, machine.act)
    return found
