"""A glass as the bundle writes it: what it grants, to whom, when, and with how many people."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from breakglass.error_names import ErrorName
from breakglass.policy import grant_life, yaml_fields
from breakglass.policy.conditions import When, least_factor, parse_when
from breakglass.policy.factors import MFA_DOWN, Factors, MfaDown
from breakglass.policy.grant_life import NO_LIFE, GrantLife, parse_life
from breakglass.policy.mint import Mint, parse_mints
from breakglass.policy.networks import Networks
from breakglass.policy.people import Directory, person, refs
from breakglass.policy.yaml_fields import Due
from breakglass.policy.yaml_nodes import Node, wrong
from breakglass.records.card import Tier
from breakglass.records.platforms import LONGEST
from breakglass.records.signing.signature import Factor

SILENCE = timedelta(seconds=120)
WAIT_ALONE = timedelta(seconds=120)  # the skew: a breaker who waits for nobody needs no more
WAIT_FOR_PEOPLE = timedelta(hours=1)  # the most that a card can say
AHEAD_AT_MOST = timedelta(days=7)
SEALED_LIFE = timedelta(hours=1)  # a sealed secret has no life of its own; the opening has


class BlastRadius(StrEnum):
    """How far misuse would reach; friction follows from it and from nothing else."""

    CONTAINED = "contained"
    BROAD = "broad"
    SEVERE = "severe"
    CATASTROPHIC = "catastrophic"

    @property
    def tier(self) -> Tier:
        """How many people it takes."""
        return _TIERS[self]


_TIERS = {
    BlastRadius.CONTAINED: Tier.SELF,
    BlastRadius.BROAD: Tier.SELF,
    BlastRadius.SEVERE: Tier.TWO,
    BlastRadius.CATASTROPHIC: Tier.SEALED,
}


class Passkeys(StrEnum):
    """What passkeys are good for with a glass: nothing, approving and reviewing, or all of it.

    A signing page can show one text and have another signed, so a grave glass takes none.
    """

    NONE = "none"
    APPROVE = "approve"
    ALL = "all"


_PASSKEYS = {
    BlastRadius.CONTAINED: Passkeys.ALL,
    BlastRadius.BROAD: Passkeys.APPROVE,
    BlastRadius.SEVERE: Passkeys.NONE,
    BlastRadius.CATASTROPHIC: Passkeys.NONE,
}


@dataclass(frozen=True)
class Approvers:
    """Who may sign beside another: ``need`` of them a break, ``ask_need`` of them an ask.

    ``ask_need`` is 0 where nobody can ask, else 1 and ``need`` at least.
    """

    who: tuple[str, ...]
    need: int
    ask_need: int


@dataclass(frozen=True)
class Seal:
    """A secret in parts: any ``threshold`` custodians open it."""

    name: str
    threshold: int
    custodians: tuple[str, ...]


@dataclass(frozen=True)
class Review:
    """When the look back is due, and who does it. No ``due``: the bundle's default."""

    due: Due | None = None
    by: tuple[str, ...] = ()
    second_reader: bool = False


@dataclass(frozen=True)
class Glass:
    """See the module. ``least`` is the least factor, ``for_`` the longest life.

    ``wait`` is how long after a statement its intent may follow, ``silence`` after how long an ask
    counts as unanswered, ``ahead`` how far ahead an ask may start (zero: not at all), ``life`` how
    grants end before their time.
    """

    name: str
    does: str
    blast_radius: BlastRadius
    opens_gates: tuple[str, ...]
    mints: tuple[Mint, ...]
    for_: timedelta
    who: tuple[str, ...]
    when: When
    least: Factor
    approvers: Approvers | None
    wait: timedelta
    silence: timedelta
    ahead: timedelta
    review: Review
    seal: Seal | None
    passkeys: Passkeys
    life: GrantLife = NO_LIFE
    mfa_down: bool = False

    @property
    def tier(self) -> Tier:
        """How many people it takes; it follows the blast radius, never the path."""
        return self.blast_radius.tier

    @property
    def second_signers(self) -> tuple[str, ...]:
        """Who may sign beside the breaker: custodians of a sealed glass, else approvers."""
        if self.tier is Tier.SEALED:
            return self.seal.custodians if self.seal else ()
        return self.approvers.who if self.approvers else ()

    @property
    def need(self) -> int:
        """How many must sign beside the breaker, whatever the path."""
        if self.tier is Tier.SEALED:
            return self.seal.threshold if self.seal else 1
        if self.tier is Tier.TWO or self.mfa_down:
            return self.approvers.need if self.approvers else 1
        return 0

    @property
    def ask_need(self) -> int:
        """How many approve an ask; 0: nobody can ask for this glass."""
        return self.approvers.ask_need if self.approvers else 0

    def mint(self, minter: str) -> Mint | None:
        """Return what this glass may ask of ``minter``, if anything."""
        return next((mint for mint in self.mints if mint.minter == minter), None)


_NEED = ("does", "blast_radius", "who")
_MAY = (
    "opens_gates", "mint", "for", "when", "approvers", "wait", "silence", "ahead", "review", "seal",
    "passkeys", *grant_life.FIELDS,
)  # fmt: skip
FIELDS = (*_NEED, *_MAY)
"""Everything that may stand in a glass."""


@dataclass(frozen=True)
class Known:
    """What the bundle has that a glass may name."""

    directory: Directory
    factors: Factors
    gates: Collection[str]
    networks: Networks


def parse_glasses(node: Node, known: Known) -> dict[str, Glass]:
    """Read ``glasses:``, and add the stand-ins for the day on which MFA is down.

    Raises:
        MalformedError: with the place.
    """
    glasses = yaml_fields.named(node, "glasses", lambda name, each: _glass(name, each, known))
    down = known.factors.down
    for name in list(glasses):
        if down and name in down.glasses:
            if glasses[name].need > 1 or glasses[name].tier is Tier.SEALED:
                raise wrong(
                    node,
                    "glasses in 'factors.down.glasses' that one more person at most signs for",
                    f"{name!r}, which takes {glasses[name].need}",
                )
            glasses[name + MFA_DOWN] = _stand_in(glasses[name], down)
    return glasses


def _glass(name: str, node: Node, known: Known) -> Glass:
    at = yaml_fields.fields(node, "a glass", need=_NEED, may=_MAY)
    if name.endswith(MFA_DOWN) or len(name) > 63 - len(MFA_DOWN):
        raise wrong(node, f"a name of 54 characters at most that does not end in '{MFA_DOWN}'")
    if "for" not in at and "seal" not in at:
        raise wrong(
            node,
            "'for' in a glass: the longest life of a grant",
            "none",
            name=ErrorName.MISSING_KEY,
        )
    if "seal" in at and ("mint" in at or "approvers" in at):
        raise wrong(node, "'seal' without 'mint' and 'approvers': custodians stand for both")
    when = parse_when(at["when"]) if "when" in at else When()
    radius = yaml_fields.choice(at["blast_radius"], BlastRadius)
    directory = known.directory
    approvers = _approvers(at["approvers"], directory, radius) if "approvers" in at else None
    waits = WAIT_FOR_PEOPLE if approvers or "seal" in at else WAIT_ALONE
    return Glass(
        name=name,
        does=yaml_fields.text(at["does"]),
        blast_radius=radius,
        opens_gates=_gates(at["opens_gates"], known.gates) if "opens_gates" in at else (),
        mints=parse_mints(at["mint"], known.networks) if "mint" in at else (),
        for_=yaml_fields.span(at["for"], timedelta(seconds=1), LONGEST)
        if "for" in at
        else SEALED_LIFE,
        who=refs(at["who"], directory),
        when=when,
        least=least_factor(when, known.factors),
        approvers=approvers,
        wait=_span(at, "wait", WAIT_FOR_PEOPLE, waits),
        silence=_span(at, "silence", WAIT_FOR_PEOPLE, SILENCE),
        ahead=_span(at, "ahead", AHEAD_AT_MOST, timedelta(0)),
        review=_review(at["review"], directory) if "review" in at else Review(),
        seal=_seal(at["seal"], directory) if "seal" in at else None,
        passkeys=yaml_fields.choice(at["passkeys"], Passkeys)
        if "passkeys" in at
        else _PASSKEYS[radius],
        life=parse_life(at),
    )


def _span(at: Mapping[str, Node], name: str, most: timedelta, left_out: timedelta) -> timedelta:
    return yaml_fields.span(at[name], timedelta(0), most) if name in at else left_out


def _stand_in(glass: Glass, down: MfaDown) -> Glass:
    """Return the glass for the day on which MFA is down: one factor, and one other person's word.

    Who signs beside the breaker is the one whom the policy names to say that it is so, nobody else.
    """
    when = replace(glass.when, factor=Factor.ONE)
    return replace(
        glass,
        name=glass.name + MFA_DOWN,
        for_=min(glass.for_, down.for_),
        when=when,
        least=Factor.ONE,
        approvers=Approvers((down.approved_by,), 1, 1),
        wait=WAIT_FOR_PEOPLE if glass.wait <= WAIT_ALONE else glass.wait,
        mfa_down=True,
    )


def _gates(node: Node, gates: Collection[str]) -> tuple[str, ...]:
    found = yaml_fields.items(node, yaml_fields.handle, most=64)
    for name in found:
        if name not in gates:
            raise wrong(
                node,
                f"gates of this bundle ({', '.join(sorted(gates)) or 'none'})",
                repr(name),
                name=ErrorName.UNKNOWN_NAME,
            )
    if len(set(found)) != len(found):
        raise wrong(node, "each gate once", "one twice")
    return found


def _approvers(node: Node, directory: Directory, radius: BlastRadius) -> Approvers:
    at = yaml_fields.fields(node, "approvers", need=("from",), may=("need", "ask_need"))
    people = radius.tier is not Tier.SELF
    need = yaml_fields.whole(at["need"], 0, 16) if "need" in at else int(people)
    if people != bool(need):
        raise wrong(
            at["need"],
            f"{'1 or more' if people else '0'} on a {radius} glass: how many approve a break",
            hint="" if people else "'ask_need' says how many approve an ask",
        )
    ask_need = yaml_fields.whole(at["ask_need"], 0, 16) if "ask_need" in at else max(1, need)
    if 0 < ask_need < need:
        # Asking would be the cheaper way to what breaking takes more people for.
        raise wrong(at["ask_need"], f"0 (nobody can ask), or {need} and more, as 'need' says")
    return Approvers(refs(at["from"], directory), need, ask_need)


def _seal(node: Node, directory: Directory) -> Seal:
    at = yaml_fields.fields(node, "a seal", need=("name", "threshold", "custodians"))
    found = Seal(
        yaml_fields.handle(at["name"]),
        yaml_fields.whole(at["threshold"], 1, 16),
        yaml_fields.items(at["custodians"], lambda each: person(each, directory), least=1, most=16),
    )
    if len(set(found.custodians)) != len(found.custodians):
        raise wrong(at["custodians"], "each custodian once", "one twice")
    if found.threshold > len(found.custodians):
        raise wrong(
            at["threshold"], f"{len(found.custodians)} at most: so many custodians are named"
        )
    return found


def _review(node: Node, directory: Directory) -> Review:
    at: Mapping[str, Node] = yaml_fields.fields(
        node, "a review", may=("due", "by", "second_reader")
    )
    return Review(
        yaml_fields.due(at["due"]) if "due" in at else None,
        refs(at["by"], directory) if "by" in at else (),
        yaml_fields.flag(at["second_reader"]) if "second_reader" in at else False,
    )
