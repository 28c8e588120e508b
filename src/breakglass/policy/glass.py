"""A glass as the bundle writes it: what it grants, to whom, when, and with how many people."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from breakglass.policy import yaml_fields
from breakglass.policy.factors import MFA_DOWN, Factors
from breakglass.policy.mint import LONGEST, Mint, parse_mints
from breakglass.policy.people import Directory, person, refs
from breakglass.policy.yaml_fields import Due
from breakglass.policy.yaml_nodes import Node, wrong
from breakglass.records.card import Tier
from breakglass.records.signing.signature import Factor

SILENCE = timedelta(seconds=120)
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


class Source(StrEnum):
    """Where an incident must come from."""

    ANY = "any"
    OUTSIDE = "outside"


@dataclass(frozen=True)
class When:
    """The conditions of a glass. Empty ``incident``: none is asked for."""

    incident: tuple[str, ...] = ()
    mfa_age: timedelta | None = None
    factor: Factor = Factor.ONE
    source: Source = Source.ANY


@dataclass(frozen=True)
class Approvers:
    """Who may answer, and how many must."""

    who: tuple[str, ...]
    need: int


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
    """See the module. ``least`` is the least factor, ``for_`` the longest life."""

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
    silence: timedelta
    review: Review
    seal: Seal | None
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
        if self.tier is Tier.TWO:
            return self.approvers.need if self.approvers else 1
        return 0

    def mint(self, minter: str) -> Mint | None:
        """Return what this glass may ask of ``minter``, if anything."""
        return next((mint for mint in self.mints if mint.minter == minter), None)


_MAY = (
    "opens_gates", "mint", "for", "when", "approvers", "silence", "review", "seal",
)  # fmt: skip


def parse_glasses(
    node: Node, directory: Directory, factors: Factors, gates: Collection[str]
) -> dict[str, Glass]:
    """Read ``glasses:``, and add the stand-ins for the day on which MFA is down.

    Raises:
        MalformedError: with the place.
    """
    glasses = yaml_fields.named(
        node, "glasses", lambda name, each: _glass(name, each, directory, factors, gates)
    )
    for name in list(glasses):
        if factors.down and name in factors.down.glasses:
            glasses[name + MFA_DOWN] = _stand_in(glasses[name], factors.down.for_)
    return glasses


def _glass(
    name: str, node: Node, directory: Directory, factors: Factors, gates: Collection[str]
) -> Glass:
    at = yaml_fields.fields(node, "a glass", need=("does", "blast_radius", "who"), may=_MAY)
    if name.endswith(MFA_DOWN) or len(name) > 63 - len(MFA_DOWN):
        raise wrong(node, f"a name of 54 characters at most that does not end in '{MFA_DOWN}'")
    if "for" not in at and "seal" not in at:
        raise wrong(
            node, "'for' in a glass: the longest life of a grant", "none", name="missing_key"
        )
    if "seal" in at and ("mint" in at or "approvers" in at):
        raise wrong(node, "'seal' without 'mint' and 'approvers': custodians stand for both")
    when = _when(at["when"]) if "when" in at else When()
    return Glass(
        name=name,
        does=yaml_fields.text(at["does"]),
        blast_radius=yaml_fields.choice(at["blast_radius"], BlastRadius),
        opens_gates=_gates(at["opens_gates"], gates) if "opens_gates" in at else (),
        mints=parse_mints(at["mint"]) if "mint" in at else (),
        for_=yaml_fields.span(at["for"], timedelta(seconds=1), LONGEST)
        if "for" in at
        else SEALED_LIFE,
        who=refs(at["who"], directory),
        when=when,
        least=_least(when, factors),
        approvers=_approvers(at["approvers"], directory) if "approvers" in at else None,
        silence=yaml_fields.span(at["silence"], timedelta(seconds=1), timedelta(minutes=50))
        if "silence" in at
        else SILENCE,
        review=_review(at["review"], directory) if "review" in at else Review(),
        seal=_seal(at["seal"], directory) if "seal" in at else None,
    )


def _least(when: When, factors: Factors) -> Factor:
    # ``mfa_age`` asks for a fresh signature by two factors; a software key never answers it.
    asked = factors.fresh if when.mfa_age is not None else Factor.ONE
    return asked if asked.meets(when.factor) else when.factor


def _stand_in(glass: Glass, longest: timedelta) -> Glass:
    when = replace(glass.when, factor=Factor.ONE)
    return replace(
        glass,
        name=glass.name + MFA_DOWN,
        for_=min(glass.for_, longest),
        when=when,
        least=Factor.ONE,
        mfa_down=True,
    )


def _when(node: Node) -> When:
    at = yaml_fields.fields(node, "'when'", may=("incident", "mfa_age", "factor", "source"))
    if "source" in at and "incident" not in at:
        raise wrong(node, "'incident' beside 'source'", "none", name="missing_key")
    return When(
        yaml_fields.items(at["incident"], yaml_fields.severity, least=1, most=16)
        if "incident" in at
        else (),
        yaml_fields.span(at["mfa_age"], timedelta(seconds=30), timedelta(hours=12))
        if "mfa_age" in at
        else None,
        yaml_fields.choice(at["factor"], Factor) if "factor" in at else Factor.ONE,
        yaml_fields.choice(at["source"], Source) if "source" in at else Source.ANY,
    )


def _gates(node: Node, gates: Collection[str]) -> tuple[str, ...]:
    found = yaml_fields.items(node, yaml_fields.handle, most=64)
    for name in found:
        if name not in gates:
            raise wrong(
                node,
                f"gates of this bundle ({', '.join(sorted(gates)) or 'none'})",
                repr(name),
                name="unknown_name",
            )
    if len(set(found)) != len(found):
        raise wrong(node, "each gate once", "one twice")
    return found


def _approvers(node: Node, directory: Directory) -> Approvers:
    at = yaml_fields.fields(node, "approvers", need=("from", "need"))
    return Approvers(refs(at["from"], directory), yaml_fields.whole(at["need"], 1, 16))


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
