"""A list of people, its root, and the lines that a token takes out of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakglass.errors import BreakglassError, MalformedError, UnprovenError
from breakglass.records.people_list import (
    May,
    PeopleList,
    PersonLine,
    line_bytes,
    parse_line,
    parse_people,
    prove_carried,
)
from breakglass.tlog.merkle import EMPTY_ROOT, leaf_hash, node_hash

from ..kit.people import SoftKey

KEYS = [SoftKey.of(f"person {number}").public for number in range(40)]


def crowd(count: int) -> PeopleList:
    return PeopleList(PersonLine(f"p{at:05}", (May.BREAK,), (KEYS[at],)) for at in range(count))


def test_a_line_has_one_spelling_and_a_list_one_order() -> None:
    """(C-13) (C-14)"""
    two = crowd(2)
    first, second = two.encoded().splitlines()
    assert first.startswith(b'{"keys":["ssh-ed25519 ')
    assert first.endswith(b'"who":"p00000"}')
    assert two.root.root == node_hash(leaf_hash(first), leaf_hash(second)).hex()
    assert parse_people(two.encoded()).root == two.root
    for wrong in (
        second + b"\n" + first + b"\n",
        first + b"\n" + first + b"\n",
        first + b"\n" + second,
        b"\n",
        first.replace(b',"who"', b', "who"') + b"\n",
        b"\xff\n",
    ):
        with pytest.raises(MalformedError):
            parse_people(wrong)


def test_nobody_is_a_list_too() -> None:
    """(C-14)"""
    assert (crowd(0).root.root, crowd(0).root.count) == (EMPTY_ROOT.hex(), 0)
    assert parse_people(b"").root == crowd(0).root


@pytest.mark.parametrize(
    "line",
    [
        PersonLine("a", (May.BREAK, May.APPROVE), (KEYS[0],)),
        PersonLine("a", (May.BREAK, May.BREAK), (KEYS[0],)),
        PersonLine("A", (), (KEYS[0],)),
        PersonLine("a", (), ()),
        PersonLine("a", (), ("ssh-rsa AAAA",)),
        PersonLine("a", (), (KEYS[0] + " comment",)),
        PersonLine("a", (), ("passkey breakglass.example:0 " + "A" * 40,)),
    ],
)
def test_a_line_that_nobody_would_read_is_not_written(line: PersonLine) -> None:
    """(C-13)"""
    with pytest.raises(MalformedError):
        line_bytes(line)


def test_one_key_is_one_persons() -> None:
    """(C-9)"""
    one = PersonLine("a", (), (KEYS[0],))
    with pytest.raises(MalformedError) as caught:
        PeopleList([one, replace(one, who="b")])
    assert caught.value.name == "shared_key"


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.data())
def test_every_line_leads_to_the_root_from_its_own_place_alone(
    count: int, data: st.DataObject
) -> None:
    """(T-33)"""
    people = crowd(count)
    names = list(people.by_name)
    chosen = data.draw(st.sets(st.sampled_from(names)))
    carried = people.carried([*chosen, "a-stranger"])
    assert prove_carried(carried, people.root).keys() == chosen
    for each in carried:
        for wrong in (
            replace(each, index=(each.index + 1) % count),
            replace(each, path=(*each.path, bytes(32))),
            replace(each, path=each.path[:-1]),
            replace(each, index=count),
        ):
            if wrong != each:
                with pytest.raises(UnprovenError) as caught:
                    prove_carried([wrong], people.root)
                assert caught.value.name == "person_unproven"


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60))
def test_reading_people_raises_errors_of_ours_alone(data: bytes) -> None:
    for read in (parse_line, parse_people):
        try:
            read(data)
        except BreakglassError:
            continue
        assert data == b""
