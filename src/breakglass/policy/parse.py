"""The whole bundle as frozen values: everything that ``breakglass.yaml`` says, checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from breakglass.error_names import ErrorName
from breakglass.policy import yaml_fields
from breakglass.policy.alert_routes import AlertRoutes, Channel, parse_alerts, parse_channels
from breakglass.policy.bundle import CASES_FILE, MAIN_FILE, check_names
from breakglass.policy.cases import Case, CaseNames, parse_cases
from breakglass.policy.certification import Certify, Then, parse_certify, stale_groups
from breakglass.policy.factors import Factors, parse_factors, refuse_unknown_glasses
from breakglass.policy.facts import OTHER
from breakglass.policy.gates import Gate, parse_gate
from breakglass.policy.glass import BlastRadius, Glass, Known, parse_glasses
from breakglass.policy.incident_sources import IncidentSource, parse_incident_sources
from breakglass.policy.machines import Machine, parse_machine
from breakglass.policy.networks import Networks, parse_networks
from breakglass.policy.people import Directory, parse_directory, parse_people, person, refs
from breakglass.policy.review_rules import Reviews, parse_reviews
from breakglass.policy.yaml_nodes import Fields, Items, Node, Place, parse_yaml, wrong, wrong_at
from breakglass.records.encoding.text_types import Code

NO_REASONS = {OTHER: "none of these"}


@dataclass(frozen=True)
class Quorum:
    """``need`` people of ``of``."""

    need: int
    of: tuple[str, ...]


@dataclass(frozen=True)
class Bundle:
    """A policy, read and cross-checked. ``places`` finds any path again: ``glasses.hello.for``."""

    version: int
    organisation: str
    directory: Directory
    factors: Factors
    reasons: Mapping[str, str]
    networks: Networks
    incident_sources: Mapping[str, IncidentSource]
    gates: Mapping[str, Gate]
    glasses: Mapping[str, Glass]
    machines: Mapping[str, Machine]
    channels: Mapping[str, Channel]
    alerts: Mapping[str, tuple[str, ...]]
    kill: tuple[str, ...]
    readers: tuple[str, ...]
    custodians: Quorum | None
    maintainers: Quorum
    reviews: Reviews
    certify: Certify | None
    cases: Mapping[str, Case]
    cedar: Mapping[str, str] = field(repr=False)
    places: Mapping[str, Place] = field(repr=False, compare=False)

    def place(self, path: str) -> Place:
        """Return where ``path`` stands, or the nearest thing above it."""
        while path not in self.places and "." in path:
            path = path.rpartition(".")[0]
        return self.places.get(path, Place(MAIN_FILE))

    @property
    def sanctioned_files(self) -> frozenset[str]:
        """The Cedar files that say a wanted way past a gate; they decide no glass."""
        return frozenset(way.cedar for gate in self.gates.values() for way in gate.sanctioned)

    def takes_reason(self, code: str) -> bool:
        """Say whether a statement may name this coded reason."""
        return code == OTHER or code in self.reasons

    def counting_for_nobody(self, now: datetime) -> frozenset[str]:
        """Return the groups that mean nobody at ``now``, certified too long ago for ``refuse``."""
        if self.certify is None or self.certify.then is not Then.REFUSE:
            return frozenset()
        return frozenset(stale_groups(self.certify, self.directory.groups, now))

    def reads_all(self, who: str) -> bool:
        """Say whether ``who`` is one of ``readers:``, to whom every grant and review is shown."""
        return who in self.directory.everybody(self.readers)

    def channels_of(self, glass: Glass) -> tuple[str, ...]:
        """Return the channels that ring when ``glass`` is broken.

        The class of its blast radius, else ``glass``; what is catastrophic rings no softer than
        what is severe.
        """
        classes = [glass.blast_radius.value, "glass"]
        if glass.blast_radius is BlastRadius.CATASTROPHIC:
            classes.insert(1, BlastRadius.SEVERE.value)
        return next((self.alerts[each] for each in classes if each in self.alerts), ())

    def routes(self, digest: str) -> AlertRoutes:
        """Return where news goes; ``digest`` is the bundle's."""
        glasses = {name: self.channels_of(each) for name, each in self.glasses.items()}
        return AlertRoutes(digest, dict(self.channels), dict(self.alerts), glasses)


_NEED = ("version", "organisation", "people", "glasses", "channels", "alerts", "maintainers")
_MAY = (
    "groups", "factors", "reasons", "networks", "incident_sources", "gates", "machines", "kill",
    "custodians", "readers", "reviews", "certify",
)  # fmt: skip
FIELDS = (*_NEED, *_MAY)
"""Everything that may stand at the top of a bundle."""


def parse_bundle(files: Mapping[str, bytes]) -> Bundle:
    """Read a bundle.

    Args:
        files: file name to content, as ``read_bundle`` or ``unpack_bundle`` returns them.

    Raises:
        MalformedError: ``file:line:column: path: expected … got …``, with a hint where one helps.
    """
    check_names(files)
    root = parse_yaml(MAIN_FILE, files[MAIN_FILE])
    at = yaml_fields.fields(root, "a policy bundle", need=_NEED, may=_MAY)
    directory = parse_directory(parse_people(at["people"]), at.get("groups"))
    factors = parse_factors(at.get("factors"), directory)
    networks = parse_networks(at["networks"]) if "networks" in at else {}
    sources = parse_incident_sources(at["incident_sources"]) if "incident_sources" in at else {}
    gates = _named(at.get("gates"), "gates", lambda name, each: parse_gate(name, each, directory))
    glasses = parse_glasses(at["glasses"], Known(directory, factors, gates, networks))
    refuse_unknown_glasses(at.get("factors"), factors, glasses)
    channels = parse_channels(at["channels"])
    machines = _named(
        at.get("machines"), "machines", lambda name, each: parse_machine(name, each, glasses)
    )
    reasons = _reasons(at.get("reasons"))
    _refuse_double_names(at.get("machines"), machines, directory)
    _refuse_shared_keys(at.get("incident_sources"), sources, machines, directory)
    return Bundle(
        version=yaml_fields.whole(at["version"], 1, 10**9),
        organisation=yaml_fields.word(at["organisation"]),
        directory=directory,
        factors=factors,
        reasons=MappingProxyType(reasons),
        networks=MappingProxyType(networks),
        incident_sources=MappingProxyType(sources),
        gates=MappingProxyType(gates),
        glasses=MappingProxyType(glasses),
        machines=MappingProxyType(machines),
        channels=MappingProxyType(channels),
        alerts=MappingProxyType(parse_alerts(at["alerts"], channels)),
        kill=refs(at["kill"], directory) if "kill" in at else (),
        readers=refs(at["readers"], directory) if "readers" in at else (),
        custodians=_quorum(at["custodians"], directory, 1) if "custodians" in at else None,
        maintainers=_quorum(at["maintainers"], directory, 2),
        reviews=parse_reviews(at.get("reviews")),
        certify=parse_certify(at["certify"]) if "certify" in at else None,
        cases=MappingProxyType(
            parse_cases(files, CaseNames(directory.names, machines, glasses, networks, reasons))
        ),
        cedar=MappingProxyType(_cedar(files)),
        places=MappingProxyType(_places(root)),
    )


def _named(
    node: Node | None, what: str, each: yaml_fields.Each[yaml_fields.T]
) -> dict[str, yaml_fields.T]:
    return yaml_fields.named(node, what, each) if node is not None else {}


def _reasons(node: Node | None) -> dict[str, str]:
    if node is None:
        return dict(NO_REASONS)
    found = yaml_fields.named(node, "reasons", lambda _, each: yaml_fields.text(each), Code)
    if not found:
        raise wrong(node, "one coded reason at least")
    return found


def _quorum(node: Node, directory: Directory, least: int) -> Quorum:
    at = yaml_fields.fields(node, "a quorum", need=("need", "of"))
    of = yaml_fields.items(at["of"], lambda each: person(each, directory), least=1, most=64)
    if len(set(of)) != len(of):
        raise wrong(at["of"], "each person once", "one twice")
    need = yaml_fields.whole(at["need"], least, 64)
    if need > len(of):
        raise wrong(at["need"], f"{len(of)} at most: so many people are named")
    return Quorum(need, of)


def _refuse_double_names(
    node: Node | None, machines: Mapping[str, Machine], directory: Directory
) -> None:
    keys = {key for each in directory.people.values() for key in each.keys}
    for machine in machines.values():
        if node is not None and (directory.canonical(machine.name) or machine.key in keys):
            raise wrong(
                node,
                "machines with names and keys of their own",
                f"{machine.name!r}, shared with a person",
                name=ErrorName.SHARED_KEY,
            )
        keys |= {machine.key} - {""}


def _refuse_shared_keys(
    node: Node | None,
    sources: Mapping[str, IncidentSource],
    machines: Mapping[str, Machine],
    directory: Directory,
) -> None:
    keys = {key for each in directory.people.values() for key in each.keys}
    keys |= {each.key for each in machines.values()}
    for source in sources.values():
        if node is not None and source.key and source.key in keys:
            # Whoever asks would be their own outside source.
            raise wrong(
                node,
                "incident sources with keys of their own",
                f"{source.name!r}, shared with a person or machine",
                name=ErrorName.SHARED_KEY,
            )


def _cedar(files: Mapping[str, bytes]) -> dict[str, str]:
    found = {}
    for name in sorted(set(files) - {MAIN_FILE, CASES_FILE}):
        try:
            found[name] = files[name].decode("utf-8")
        except UnicodeDecodeError as error:
            raise wrong_at(Place(name), "", "UTF-8", str(error), name=ErrorName.NOT_UTF8) from error
    return found


def _places(root: Fields) -> dict[str, Place]:
    found: dict[str, Place] = {}
    waiting: list[Node] = [root]
    while waiting:
        node = waiting.pop()
        found.setdefault(node.path, node.place)
        if isinstance(node, Items):
            waiting.extend(node.items)
        elif isinstance(node, Fields):
            for key, place in node.keys.items():
                found[f"{node.path}.{key}" if node.path else key] = place
            waiting.extend(node.entries.values())
    return found
