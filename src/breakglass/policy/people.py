"""Who is who: people under one name each, the groups they stand in, and what counts as factors.

Every comparison of people goes through ``Directory``, so an alias, a second key or a nested group
never makes two people of one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from types import MappingProxyType

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError
from breakglass.policy import yaml_fields
from breakglass.policy.age_recipient import age_recipient
from breakglass.policy.yaml_nodes import Fields, Node, wrong
from breakglass.records.signing.key_types import HOW_TO_MAKE_ONE
from breakglass.records.signing.person_key import parse_person_key

GROUP = "group:"
PEOPLE_AT_MOST = 10_000  # of a bundle, of one group, of one glass
KEYS_AT_MOST = 16  # of a person
_SOURCE = re.compile(r"file:[a-z0-9][a-z0-9._-]{0,62}|pagerduty:[A-Z0-9]{1,32}", re.ASCII)
Rosters = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Person:
    """One human being. ``starts`` and ``until`` are days in UTC, both included.

    ``age`` is the recipient that a custodian's share is encrypted to; empty until one is made.
    """

    name: str
    full_name: str
    keys: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    oidc: str = ""
    starts: date | None = None
    until: date | None = None
    age: str = ""

    @property
    def begins(self) -> datetime | None:
        """The first instant at which this person counts."""
        return datetime.combine(self.starts, time(), UTC) if self.starts else None

    @property
    def ends(self) -> datetime | None:
        """The first instant at which this person no longer counts."""
        if self.until is None:
            return None
        return datetime.combine(self.until, time(), UTC) + timedelta(days=1)

    def counts_at(self, now: datetime) -> bool:
        """Say whether ``now`` lies within this person's days."""
        begun = self.begins is None or now >= self.begins
        return begun and (self.ends is None or now < self.ends)


@dataclass(frozen=True)
class Certified:
    """Who last looked at a group's members and found them right, and when."""

    by: str
    on: date


@dataclass(frozen=True)
class Group:
    """People by name or by roster.

    ``roster`` is where the on-call list comes from: ``file:NAME`` or ``pagerduty:SCHEDULE``. With
    one, ``members`` are those who can stand on it (nobody named: everybody), and
    ``fallback`` counts while no roster is fresh enough.
    """

    name: str
    members: tuple[str, ...]
    roster: str = ""
    at_most_old: timedelta | None = None
    fallback: tuple[str, ...] = ()
    certified: Certified | None = None


@dataclass(frozen=True)
class Directory:
    """The people and groups of one bundle."""

    people: Mapping[str, Person]
    groups: Mapping[str, Group]
    names: Mapping[str, str] = field(repr=False)

    def canonical(self, name: str) -> str | None:
        """Return the one name of a person who may be spoken of by an alias; none if unknown."""
        return self.names.get(name)

    def everybody(self, refs: Iterable[str]) -> tuple[str, ...]:
        """Return all who can ever be meant by ``refs``, sorted: what a card must hold."""
        return tuple(sorted(self._expand(refs, None)))

    def present(
        self, refs: Iterable[str], rosters: Rosters, *, nobody: Collection[str] = ()
    ) -> tuple[str, ...]:
        """Return who is meant by ``refs`` under these rosters, sorted.

        Args:
            refs: people, and groups as ``group:NAME``.
            rosters: group to the people on its newest roster that is fresh enough; a rostered
                group that is missing here falls back.
            nobody: groups that mean nobody, wherever they stand.
        """
        return tuple(sorted(self._expand(refs, rosters, nobody)))

    def groups_behind(self, refs: Iterable[str]) -> frozenset[str]:
        """Return the names of all groups that ``refs`` can ever mean somebody by."""
        found: set[str] = set()
        waiting = list(refs)
        while waiting:
            ref = waiting.pop()
            name = ref.removeprefix(GROUP)
            if ref.startswith(GROUP) and name not in found:
                found.add(name)
                waiting += (*self.groups[name].members, *self.groups[name].fallback)
        return frozenset(found)

    def _expand(
        self, refs: Iterable[str], rosters: Rosters | None, nobody: Collection[str] = ()
    ) -> set[str]:
        found: set[str] = set()
        for ref in refs:
            if ref.startswith(GROUP):
                found |= self._group(self.groups[ref.removeprefix(GROUP)], rosters, nobody)
            else:
                found.add(ref)
        return found

    def _group(self, group: Group, rosters: Rosters | None, nobody: Collection[str]) -> set[str]:
        if group.name in nobody:
            return set()
        if not group.roster:
            return self._expand(group.members, rosters, nobody)
        # Whoever stands on a roster through a group inside, which means nobody, is nobody too.
        can_be = self._expand(group.members, None, nobody) if group.members else set(self.people)
        if rosters is None:
            return can_be | self._expand(group.fallback, None, nobody)
        if group.name in rosters:
            on_it = {self.canonical(name) for name in rosters[group.name]}
            return can_be & {name for name in on_it if name}
        return self._expand(group.fallback, rosters, nobody)


def parse_people(node: Node) -> dict[str, Person]:
    """Read ``people:``.

    Raises:
        MalformedError: a key of no kind that we verify, or a key, alias or age recipient of two
            people.
    """
    people = yaml_fields.named(node, "people", _person, most=PEOPLE_AT_MOST)
    _refuse_shared(node, people)
    return people


def parse_directory(people: dict[str, Person], node: Node | None) -> Directory:
    """Read ``groups:`` and join it with the people.

    Raises:
        MalformedError: a member that the bundle does not know, or a group inside itself.
    """
    names = {name: name for name in people}
    names |= {alias: person.name for person in people.values() for alias in person.aliases}
    raw = yaml_fields.named(node, "groups", lambda name, each: each) if node else {}
    known = Directory(
        MappingProxyType(people),
        MappingProxyType({name: Group(name, ()) for name in raw}),
        MappingProxyType(names),
    )
    groups = {name: _group(name, each, known) for name, each in raw.items()}
    for name, each in raw.items():
        _refuse_cycle(each, name, groups)
    return Directory(known.people, MappingProxyType(groups), known.names)


def refs(node: Node, directory: Directory, *, least: int = 1) -> tuple[str, ...]:
    """Read a list of people and ``group:NAME``, each under its canonical name, each once."""
    found = yaml_fields.items(
        node, lambda each: ref(each, directory), least=least, most=PEOPLE_AT_MOST
    )
    if len(set(found)) != len(found):
        raise wrong(node, "each once", "a name twice")
    return found


def ref(node: Node, directory: Directory) -> str:
    """Read one person or ``group:NAME`` that the bundle knows."""
    found = yaml_fields.word(node)
    if found.startswith(GROUP):
        if found.removeprefix(GROUP) not in directory.groups:
            raise wrong(node, "a group of this bundle", name=ErrorName.UNKNOWN_NAME)
        return found
    name = directory.canonical(found)
    if name is None:
        is_group = found in directory.groups
        raise wrong(
            node,
            "a person of this bundle, or group:NAME",
            name=ErrorName.UNKNOWN_NAME,
            hint=f"did you mean 'group:{found}'?" if is_group else "",
        )
    return name


def person(node: Node, directory: Directory) -> str:
    """Read one person that the bundle knows."""
    found = ref(node, directory)
    if found.startswith(GROUP):
        raise wrong(node, "a person of this bundle", name=ErrorName.UNKNOWN_NAME)
    return found


def key(node: Node) -> str:
    """Read a public key and cut its comment.

    Raises:
        MalformedError: a key of no kind that we verify.
    """
    found = yaml_fields.scalar(node, "a public key")
    try:
        return str(parse_person_key(found))
    except MalformedError as error:
        raise wrong(
            node,
            "an SSH public key of Ed25519 or P-256, or a passkey",
            f"{found[:40]!r} ({error.message})",
            name=ErrorName.BAD_KEY,
            hint=f"make one with: {HOW_TO_MAKE_ONE}",
        ) from error


def _person(name: str, node: Node) -> Person:
    at = yaml_fields.fields(
        node, "a person", need=("name", "keys"), may=("aliases", "oidc", "from", "until", "age")
    )
    found = Person(
        name,
        yaml_fields.text(at["name"]),
        yaml_fields.items(at["keys"], key, least=1, most=KEYS_AT_MOST),
        yaml_fields.items(at["aliases"], yaml_fields.word, most=32) if "aliases" in at else (),
        yaml_fields.word(at["oidc"]) if "oidc" in at else "",
        yaml_fields.day(at["from"]) if "from" in at else None,
        yaml_fields.day(at["until"]) if "until" in at else None,
        age_recipient(at["age"]) if "age" in at else "",
    )
    if found.starts and found.until and found.until < found.starts:
        raise wrong(at["until"], f"a day from {found.starts} on")
    return found


def _refuse_shared(node: Node, people: Mapping[str, Person]) -> None:
    # One key under two names would let one person approve what they asked for themselves.
    owner: dict[str, str] = {name: name for name in people}
    entries = node.entries if isinstance(node, Fields) else {}
    for each in people.values():
        for mark in (*each.keys, *each.aliases, *filter(None, [each.age])):
            if mark in owner:
                raise wrong(
                    entries.get(each.name, node),
                    "each key, name, alias and recipient with one person, once",
                    f"{mark[:48]!r} with {owner[mark]!r} and {each.name!r}",
                    name=ErrorName.SHARED_KEY,
                )
            owner[mark] = each.name


def _group(name: str, node: Node, known: Directory) -> Group:
    at = yaml_fields.fields(
        node, "a group", may=("members", "roster", "at_most_old", "else", "certified")
    )
    if "roster" not in at and "members" not in at:
        raise wrong(node, "'members' or 'roster'", "neither", name=ErrorName.MISSING_KEY)
    for only in ("at_most_old", "else"):
        if only in at and "roster" not in at:
            raise wrong(at[only], f"'{only}' beside a roster only")
        if only not in at and "roster" in at:
            # A roster that is never too old, or falls back on nobody, fails on the worst night.
            raise wrong(node, f"'{only}' beside 'roster'", "none", name=ErrorName.MISSING_KEY)
    return Group(
        name,
        refs(at["members"], known) if "members" in at else (),
        _source(at["roster"]) if "roster" in at else "",
        yaml_fields.span(at["at_most_old"], timedelta(minutes=5), timedelta(days=14))
        if "at_most_old" in at
        else None,
        refs(at["else"], known) if "else" in at else (),
        _certified(at["certified"], known) if "certified" in at else None,
    )


def _source(node: Node) -> str:
    found = yaml_fields.word(node)
    if not _SOURCE.fullmatch(found):
        raise wrong(
            node,
            "a source: file:NAME.json in the monitor's folder 'rosters', or pagerduty:SCHEDULE",
            hint="a schedule's id stands behind /schedules# in its address",
        )
    return found


def _certified(node: Node, known: Directory) -> Certified:
    at = yaml_fields.fields(node, "a certification", need=("by", "on"))
    return Certified(person(at["by"], known), yaml_fields.day(at["on"]))


def _refuse_cycle(node: Node, name: str, groups: Mapping[str, Group]) -> None:
    waiting, seen = [name], set()
    while waiting:
        group = groups[waiting.pop()]
        for each in (*group.members, *group.fallback):
            inner = each.removeprefix(GROUP)
            if not each.startswith(GROUP) or inner in seen:
                continue
            if inner == name:
                raise wrong(node, "groups that do not contain themselves", f"{name!r} in {name!r}")
            seen.add(inner)
            waiting.append(inner)
