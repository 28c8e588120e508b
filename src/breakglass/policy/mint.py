"""What a glass mints on each platform: the fields it is written in and the scope they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType

from breakglass.error_names import ErrorName
from breakglass.policy import yaml_fields
from breakglass.policy.acts import parse_acts
from breakglass.policy.networks import Networks, blocks_of
from breakglass.policy.yaml_nodes import Fields, Node, wrong
from breakglass.records.card import Act

LONGEST = timedelta(hours=12)  # a card can say no more; also the longest STS session


@dataclass(frozen=True)
class Platform:
    """The fields of one platform, each with the scope dimension it fills, and its limits.

    ``allows`` are fields that are true or left out, each with the word that it adds to ``may``.
    ``tells_use``: it can tell when an account was used last, so that ``idle`` ends a grant.
    """

    dimensions: Mapping[str, str]
    allows: Mapping[str, str] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    shortest: timedelta = timedelta(seconds=1)
    longest: timedelta = LONGEST
    tells_use: bool = False


PLATFORMS: Mapping[str, Platform] = {
    "postgres": Platform(
        {"database": "databases", "template": "templates"},
        {"may_create": "create"},
        tells_use=True,
    ),
    # TokenRequest refuses less than 600 s (Kubernetes API, TokenRequestSpec.expirationSeconds).
    "kubernetes": Platform(
        {"namespace": "namespaces", "role": "roles"}, shortest=timedelta(seconds=600)
    ),
    # The shortest session STS issues is 900 s, the longest 12 h (AssumeRole, DurationSeconds).
    "aws": Platform(
        {"role": "roles", "account": "accounts"},
        optional=frozenset({"account"}),
        shortest=timedelta(seconds=900),
    ),
    "ssh": Platform({"host": "hosts", "account": "accounts"}),
    "azure": Platform({"scope": "scopes", "role": "roles"}),
    "gcp": Platform({"project": "projects", "role": "roles"}),
    "command": Platform({}),  # nothing but acts
}
SOURCE = "source"
"""The scope dimension of networks, on any platform: where what is minted works from."""
MAY = "may"
"""The scope dimension of what a platform refuses unless maintainers signed it: on a card's scope,
since that is what the minter sees and the person who asks signs too."""


@dataclass(frozen=True)
class Mint:
    """One minter that a glass may ask, and the widest scope there.

    With ``acts`` it runs one of them and hands out no credential; without, it runs nothing.
    """

    platform: str
    minter: str
    scope: Mapping[str, tuple[str, ...]]
    acts: Mapping[str, Act] = field(default_factory=dict)

    @property
    def limits(self) -> Platform:
        """What the platform can honour."""
        return PLATFORMS[self.platform]

    @property
    def act_names(self) -> tuple[str, ...]:
        """What may be named as the act, sorted: only nothing where a credential is handed out."""
        return tuple(sorted(self.acts)) or ("",)


def parse_mints(node: Node, networks: Networks) -> tuple[Mint, ...]:
    """Read ``mint:``, a mapping of platform to what is minted there.

    Raises:
        MalformedError: an unknown platform, field or network, or one minter named twice.
    """
    if not isinstance(node, Fields):
        raise wrong(node, "a mapping of platforms")
    mints = []
    for platform, value in node.entries.items():
        if platform not in PLATFORMS:
            raise wrong(
                value,
                f"a platform of {', '.join(PLATFORMS)}",
                repr(platform[:40]),
                name=ErrorName.UNKNOWN_PLATFORM,
            )
        mints.append(_mint(platform, value, networks))
    if len({mint.minter for mint in mints}) != len(mints):
        raise wrong(node, "each minter once", "one twice")
    return tuple(mints)


def _mint(name: str, node: Node, networks: Networks) -> Mint:
    platform = PLATFORMS[name]
    need = [each for each in platform.dimensions if each not in platform.optional]
    at = yaml_fields.fields(
        node,
        f"a mint on {name}",
        need=("minter", *need),
        may=(*platform.optional, *platform.allows, SOURCE, "acts"),
    )
    scope = {
        dimension: tuple(sorted(set(yaml_fields.one_or_more(at[each], yaml_fields.word))))
        for each, dimension in platform.dimensions.items()
        if each in at
    }
    if SOURCE in at:
        scope[SOURCE] = blocks_of(at[SOURCE], networks)
    allowed = {word for each, word in platform.allows.items() if each in at and _true(at[each])}
    if allowed:
        scope[MAY] = tuple(sorted(allowed))
    acts = parse_acts(at["acts"]) if "acts" in at else {}
    if not platform.dimensions and not acts:
        raise wrong(node, f"'acts' in a mint on {name}", "none", name=ErrorName.MISSING_KEY)
    return Mint(
        name,
        yaml_fields.handle(at["minter"]),
        MappingProxyType(scope),
        MappingProxyType(acts),
    )


def _true(node: Node) -> bool:
    if not yaml_fields.flag(node):
        raise wrong(node, "true, or nothing", "false")
    return True
