"""Who is meant by a card or a policy: one line a person, and the root over all the lines.

A card and a policy note hold the root alone, so that they stay small for any number of people. A
token carries the lines of its own signers with their paths; the fold gets the whole list as an
attachment. Source: docs/spec/card.md, «people»; RFC 6962 section 2.1 for the tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Annotated

from breakglass.canonical import Json, canonical, parse_canonical
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, UnprovenError
from breakglass.records.encoding.text_types import Digest, Handle
from breakglass.records.encoding.whole_form import text_form
from breakglass.records.signing.person_key import PersonKey, check_keys
from breakglass.strict_json import Between, Many, read, written
from breakglass.tlog.merkle import inclusion_path, leaf_hash, root_of, verify_inclusion

PEOPLE_AT_MOST = 100_000  # PeopleRoot.count says so too
SIGNERS_AT_MOST = 33  # statements of one intent
PATH_AT_MOST = 17  # hashes; a tree of 100,000 leaves is no deeper


class May(StrEnum):
    """What a person may do: the first three stand on cards, the last on policy notes."""

    BREAK = "break"
    APPROVE = "approve"
    REVIEW = "review"
    KILL = "kill"


CARD_RIGHTS = frozenset({May.BREAK, May.APPROVE, May.REVIEW})


@dataclass(frozen=True)
class PersonLine:
    """One person under their one canonical name, with their rights, sorted, and all their keys."""

    who: Handle
    may: Annotated[tuple[May, ...], Many(4)]
    keys: Annotated[tuple[PersonKey, ...], Many(16, 1)]


@dataclass(frozen=True)
class PeopleRoot:
    """The RFC 6962 root over a list of people; of none it is the SHA-256 of nothing."""

    root: Digest
    count: Annotated[int, Between(0, 100_000)]


@dataclass(frozen=True)
class CarriedLine:
    """A person's line as a token carries it, still to be believed: its bytes, place and path."""

    index: int
    line: bytes
    path: tuple[bytes, ...]


def line_bytes(person: PersonLine) -> bytes:
    """Write a person's line: RFC 8785 JSON without a line end.

    Raises:
        MalformedError: nobody would read it.
    """
    text = canonical(written(person, "person"))
    _check_rights(person)
    return text.encode()


def parse_line(data: bytes) -> PersonLine:
    """Read one person's line.

    Raises:
        MalformedError: not the form of docs/spec/card.md, with the place.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise MalformedError("a person's line is not UTF-8") from error
    person = read(PersonLine, parse_canonical(text, "person"), "person")
    _check_rights(person)
    return person


def _check_rights(person: PersonLine) -> None:
    if list(person.may) != sorted(set(person.may)):
        raise MalformedError(f"person.may of {person.who!r}: rights must be sorted, each once")


class PeopleList:
    """A whole list, sorted by name, in which each name and each key stands once."""

    def __init__(self, people: Iterable[PersonLine]) -> None:
        """Take people in any order.

        Raises:
            MalformedError: a name twice, ``shared_key``, more than 100,000 people, or a line that
                nobody would read.
        """
        ordered = sorted(people, key=lambda each: each.who)
        self.by_name: Mapping[str, PersonLine] = MappingProxyType(
            {each.who: each for each in ordered}
        )
        if len(self.by_name) != len(ordered) or len(ordered) > PEOPLE_AT_MOST:
            raise MalformedError(
                f"people: each stands once, {PEOPLE_AT_MOST} at most; got {len(ordered)} lines for"
                f" {len(self.by_name)} names"
            )
        check_keys({each.who: each.keys for each in ordered}, "people")
        self._lines = [line_bytes(each) for each in ordered]

    @cached_property
    def _leaves(self) -> list[bytes]:
        return [leaf_hash(line) for line in self._lines]

    @cached_property
    def root(self) -> PeopleRoot:
        """Return what a card or a policy note says of this list."""
        return PeopleRoot(root_of(self._leaves).hex(), len(self._leaves))

    def who_may(self, may: May) -> frozenset[str]:
        """Return the names of those who have a right."""
        return frozenset(each.who for each in self.by_name.values() if may in each.may)

    def carried(self, names: Iterable[str]) -> tuple[CarriedLine, ...]:
        """Return the lines of ``names`` as a token carries them; a stranger has none."""
        places = {name: index for index, name in enumerate(self.by_name)}
        wanted = sorted(places[name] for name in set(names) if name in places)
        return tuple(
            CarriedLine(index, self._lines[index], tuple(inclusion_path(self._leaves, index)))
            for index in wanted
        )

    def encoded(self) -> bytes:
        """Return the attachment: every line, each with a line end."""
        return b"".join(line + b"\n" for line in self._lines)

    def form(self) -> Json:
        """Return the attachment's text, for whole states."""
        return self.encoded().decode()

    @classmethod
    def read_form(cls, form: Json) -> PeopleList:
        """Read what ``form`` returned.

        Raises:
            MalformedError: no list of people.
        """
        return parse_people(text_form(form).encode())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PeopleList):
            return NotImplemented
        return self._lines == other._lines

    def __hash__(self) -> int:
        return hash(tuple(self._lines))


def parse_people(data: bytes) -> PeopleList:
    """Read a whole list, as attachments hold it.

    Raises:
        MalformedError: a line that is none, out of order, a name twice, or ``shared_key``.
    """
    lines = data.split(b"\n")
    if lines.pop():
        raise MalformedError("people: the last line has no line end")
    if len(lines) > PEOPLE_AT_MOST:
        raise MalformedError(f"people: {len(lines)} lines, {PEOPLE_AT_MOST} at most")
    people = PeopleList(map(parse_line, lines))
    if people.encoded() != data:
        raise MalformedError("people: lines must be sorted by name, each name once")
    return people


def prove_carried(carried: Iterable[CarriedLine], people: PeopleRoot) -> dict[str, PersonLine]:
    """Read the lines that a token carries and check that each stands in the list, at its place.

    Raises:
        MalformedError: a line that is none.
        UnprovenError: ``person_unproven``; index, path and line do not lead to the root.
    """
    found = {}
    for each in carried:
        person = parse_line(each.line)
        try:
            verify_inclusion(
                leaf_hash(each.line),
                each.index,
                people.count,
                each.path,
                bytes.fromhex(people.root),
            )
        except UnprovenError as error:
            raise UnprovenError(
                f"the line of {person.who!r} is not one of the card's people: {error}",
                name=ErrorName.PERSON_UNPROVEN,
            ) from error
        found[person.who] = person
    return found
