"""What a glass mints on each platform: the fields it is written in and the scope they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from breakglass.error_names import ErrorName
from breakglass.policy import yaml_fields
from breakglass.policy.acts import parse_acts
from breakglass.policy.networks import Networks, blocks_of
from breakglass.policy.yaml_nodes import Fields, Node, wrong
from breakglass.records.card import Act
from breakglass.records.platforms import MAY, PLATFORMS, SOURCE, PlatformLimits


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
    def limits(self) -> PlatformLimits:
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
    if not scope.keys() & set(platform.dimensions.values()) and not acts:
        one = " or ".join(map(repr, (*platform.dimensions, "acts")))
        raise wrong(node, f"{one} in a mint on {name}", "none", name=ErrorName.MISSING_KEY)
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
