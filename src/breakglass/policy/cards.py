"""From a policy to what maintainers sign when it takes force: glass cards and the policy note.

A card lets a gate judge without the bundle, so it holds everybody who *can* be meant; broker and
monitor narrow that to who *is* meant now.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from breakglass.errors import MisconfiguredError
from breakglass.policy.around import Machine
from breakglass.policy.compile import CompiledPolicy
from breakglass.policy.glass import Glass
from breakglass.policy.mint import Mint
from breakglass.policy.parse import Bundle
from breakglass.records.card import LONGEST_LIFE, Act, Card, CardMachine, CardMint, Output, Tier
from breakglass.records.people_list import May, PeopleList, PersonLine
from breakglass.records.policy_note import PolicyNote

WAIT_ALONE = timedelta(seconds=120)  # the skew: a breaker who waits for nobody needs no more
WAIT_FOR_PEOPLE = timedelta(hours=1)  # the most that a card can say
_ACT_WITHIN_S = 300


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
        MisconfiguredError: a life that no verifier accepts, or ``bad_act``: a machine whose program
            is no absolute path.
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
            gates=tuple(sorted(set(glass.opens_gates))),
            mints=tuple(_mint(policy.bundle, glass, each) for each in glass.mints),
            tier=glass.tier,
            need=glass.need,
            ask_need=glass.approvers.need if glass.approvers else 0,
            factor=glass.least,
            for_s=int(glass.for_.total_seconds()),
            wait_s=_wait(glass),
            silence_s=int(glass.silence.total_seconds()),
            ahead_s=0,
            people=card_people(policy, name, issued).root,
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
    """Make the note that puts a bundle in force, with the root of ``policy_people``.

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
    return PolicyNote(
        log=log,
        version=policy.bundle.version,
        bundle=bundle_digest,
        commit=commit,
        people=policy_people(policy).root,
        issued=issued,
    )


def policy_people(policy: CompiledPolicy) -> PeopleList:
    """Return everybody of a bundle with their keys, and who of them may kill."""
    directory = policy.bundle.directory
    killers = set(directory.everybody(policy.bundle.kill))
    return PeopleList(
        PersonLine(name, (May.KILL,) if name in killers else (), person.keys)
        for name, person in directory.people.items()
    )


def card_people(policy: CompiledPolicy, glass: str, issued: datetime) -> PeopleList:
    """Return who is meant by the card of a glass that was issued then.

    Raises:
        MalformedError: a list that no card may name.
    """
    bundle, of = policy.bundle, policy.bundle.glasses[glass]
    rights = {
        May.APPROVE: of.second_signers,
        May.BREAK: of.who,
        May.REVIEW: of.review.by,
    }
    found: dict[str, list[May]] = {}
    for may, who in rights.items():  # in the order of their words
        for name in bundle.directory.everybody(who):
            ends = bundle.directory.people[name].ends
            if not (ends and issued >= ends):  # else their days are over; a card would outlive them
                found.setdefault(name, []).append(may)
    people = bundle.directory.people
    return PeopleList(
        PersonLine(name, tuple(may), people[name].keys) for name, may in found.items()
    )


def _wait(glass: Glass) -> int:
    # Where people can answer, the breaker's statement waits for them; else it need not.
    wait = WAIT_FOR_PEOPLE if glass.second_signers else WAIT_ALONE
    return int(wait.total_seconds())


def _mint(bundle: Bundle, glass: Glass, mint: Mint) -> CardMint:
    acts = {
        machine.name: Act(machine.act, _ACT_WITHIN_S, Output.NONE)
        for machine in _acting(bundle, glass)
        if _minter(machine, glass) == mint.minter
    }
    for name, act in acts.items():
        if not act.argv[0].startswith("/"):
            raise MisconfiguredError(
                f"machine {name!r} runs {act.argv[0]!r}, which is no absolute path; no card was"
                " made",
                name="bad_act",
                hint="what a relative path means, the minter's folder would say",
            )
    return CardMint(mint.minter, mint.platform, mint.scope, acts)


def _machines(bundle: Bundle, glass: Glass) -> dict[str, CardMachine]:
    return {
        machine.name: CardMachine(
            machine.key,
            _minter(machine, glass),
            machine.name,
            machine.at_most,
            int(machine.per.total_seconds()),
            int(machine.cool_down.total_seconds()),
        )
        for machine in _acting(bundle, glass)
    }


def _acting(bundle: Bundle, glass: Glass) -> list[Machine]:
    """Return the machines that can act with a glass; one that takes people is none of theirs."""
    return [
        each
        for each in bundle.machines.values()
        if each.glass == glass.name and each.key and _minter(each, glass)
        if glass.tier is Tier.SELF
    ]


def _minter(machine: Machine, glass: Glass) -> str:
    return machine.minter or (glass.mints[0].minter if len(glass.mints) == 1 else "")
