"""What a glass mints on each platform: the fields it is written in and the scope they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from breakglass.policy import yaml_fields
from breakglass.policy.yaml_nodes import Fields, Node, wrong

LONGEST = timedelta(hours=12)  # a card can say no more; also the longest STS session


@dataclass(frozen=True)
class Platform:
    """The fields of one platform, each with the scope dimension it fills, and its limits."""

    dimensions: Mapping[str, str]
    optional: frozenset[str] = frozenset()
    shortest: timedelta = timedelta(seconds=1)
    longest: timedelta = LONGEST


PLATFORMS: Mapping[str, Platform] = {
    "postgres": Platform({"database": "databases", "template": "templates"}),
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
    "command": Platform({"operation": "operations"}),
}


@dataclass(frozen=True)
class Mint:
    """One minter that a glass may ask, the widest scope there, and the act if it is one."""

    platform: str
    minter: str
    scope: Mapping[str, tuple[str, ...]]
    act: tuple[str, ...] = ()

    @property
    def limits(self) -> Platform:
        """What the platform can honour."""
        return PLATFORMS[self.platform]


def parse_mints(node: Node) -> tuple[Mint, ...]:
    """Read ``mint:``, a mapping of platform to what is minted there.

    Raises:
        MalformedError: an unknown platform or field, or one minter named twice.
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
                name="unknown_platform",
            )
        mints.append(_mint(platform, value))
    if len({mint.minter for mint in mints}) != len(mints):
        raise wrong(node, "each minter once", "one twice")
    return tuple(mints)


def _mint(name: str, node: Node) -> Mint:
    platform = PLATFORMS[name]
    need = [each for each in platform.dimensions if each not in platform.optional]
    at = yaml_fields.fields(
        node, f"a mint on {name}", need=("minter", *need), may=(*platform.optional, "act")
    )
    scope = {
        dimension: tuple(sorted(set(yaml_fields.one_or_more(at[each], yaml_fields.word))))
        for each, dimension in platform.dimensions.items()
        if each in at
    }
    return Mint(
        name,
        yaml_fields.handle(at["minter"]),
        MappingProxyType(scope),
        yaml_fields.items(at["act"], yaml_fields.word, least=1, most=64) if "act" in at else (),
    )
