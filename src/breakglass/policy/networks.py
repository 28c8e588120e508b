"""Networks by name: where a credential works from, and what the place is called that was seen.

Records never hold an address of a person's: they hold the name that the bundle gives its network.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import TypeAlias

from breakglass.error_names import ErrorName
from breakglass.policy import yaml_fields
from breakglass.policy.yaml_nodes import Node, wrong

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Networks: TypeAlias = Mapping[str, tuple[Network, ...]]
NETWORKS_AT_MOST = 64


def parse_networks(node: Node) -> dict[str, tuple[Network, ...]]:
    """Read ``networks:``, name to blocks of addresses.

    Raises:
        MalformedError: with the place: no block, one with bits beyond its length, or one block
            under two names.
    """
    networks = yaml_fields.named(
        node, "networks", lambda _, each: yaml_fields.items(each, _block, least=1, most=64)
    )
    if len(networks) > NETWORKS_AT_MOST:
        raise wrong(node, f"{NETWORKS_AT_MOST} networks at most", str(len(networks)))
    owner: dict[Network, str] = {}
    for name, blocks in networks.items():
        for block in blocks:
            if block in owner:
                # The name that stands in a record would depend on the order of the file.
                raise wrong(node, "each block once", f"{block} in {owner[block]!r} and {name!r}")
            owner[block] = name
    return networks


def read_address(written: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Read an address; ``None`` if it is none. One client seen by a socket of both families is one.

    >>> read_address("::ffff:10.0.0.1") == read_address("10.0.0.1")
    True
    """
    try:
        found = ipaddress.ip_address(written)
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, ipaddress.IPv6Address) else found


def network_name(networks: Networks, address: str) -> str:
    """Return the name of the smallest block that holds an address; empty if none does.

    >>> networks = {"office": (ipaddress.ip_network("10.0.0.0/8"),),
    ...             "vpn": (ipaddress.ip_network("10.9.0.0/16"),)}
    >>> [network_name(networks, each) for each in ("10.9.1.2", "10.1.1.1", "192.0.2.1", "lab")]
    ['vpn', 'office', '', '']
    """
    found = read_address(address)
    if found is None:
        return ""
    return smallest(networks, ipaddress.ip_network(found))


def smallest(networks: Networks, block: Network) -> str:
    """Return the name of the smallest block that holds all of ``block``; empty if none does."""
    holding = [
        (each.prefixlen, name)
        for name, blocks in networks.items()
        for each in blocks
        if each.version == block.version and block.subnet_of(each)  # type: ignore[arg-type]
    ]
    return max(holding)[1] if holding else ""


def blocks_of(node: Node, networks: Networks) -> tuple[str, ...]:
    """Read a list of the bundle's network names as the scope dimension ``source``: sorted CIDR."""
    found: set[str] = set()
    names = yaml_fields.items(node, yaml_fields.handle, least=1, most=16)
    for name in names:
        if name not in networks:
            known = ", ".join(sorted(networks)) or "none"
            raise wrong(
                node, f"networks of this bundle ({known})", repr(name), name=ErrorName.UNKNOWN_NAME
            )
        found |= {str(block) for block in networks[name]}
    if len(set(names)) != len(names):
        raise wrong(node, "each network once", "one twice")
    return tuple(sorted(found))


def _block(node: Node) -> Network:
    found = yaml_fields.scalar(node, "a network such as 10.0.0.0/8")
    try:
        if "/" not in found or "%" in found:
            raise ValueError(found)
        return ipaddress.ip_network(found)
    except ValueError as error:
        raise wrong(
            node, "a network such as 10.0.0.0/8 or 2001:db8::/32, its other bits 0"
        ) from error
