"""The form of whole states: typed values there and back, equal bytes for equal states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakglass.errors import MalformedError
from breakglass.records import all_kinds as kinds
from breakglass.records.encoding.whole_form import (
    Form,
    form_bytes,
    form_of,
    parse_form,
    read_form,
    written_once,
)
from breakglass.records.fold.fold import apply
from breakglass.records.fold.state import State
from breakglass.records.fold.state_form import STATE, still_copy
from breakglass.records.kinds.ended import EndedWhy
from breakglass.records.kinds.incident import IncidentChange
from breakglass.records.record import Kind
from breakglass.records.statement import Target
from tests.kit.organisation import Organisation

from .conftest import restored
from .folding import begun, ended, minted, orders


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@written_once
@dataclass(frozen=True)
class Long:
    text: str


@dataclass(frozen=True)
class Word:
    text: str


@dataclass
class Everything:
    yes: bool
    number: int
    text: str
    raw: bytes
    at: datetime
    span: timedelta
    day: date
    colour: Colour
    maybe: int | None
    one: Long | Word
    long: Long
    pair: tuple[str, int]
    items: tuple[Word, ...]
    some: list[int]
    names: set[str]
    pairs: frozenset[tuple[str, str]]
    by_pair: dict[tuple[str, str], Word] = field(default_factory=dict)
    fixed: Mapping[bytes, int] = field(default_factory=dict)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
words = st.builds(Word, texts)
longs = st.builds(Long, texts)
values = st.builds(
    Everything,
    raw=st.binary(max_size=8),
    text=texts,
    at=st.datetimes(timezones=st.just(UTC)),
    one=longs | words,
    long=longs,
    pair=st.tuples(texts, st.integers()),
    items=st.lists(words, max_size=3).map(tuple),
    names=st.sets(texts, max_size=4),
    pairs=st.frozensets(st.tuples(texts, texts), max_size=4),
    by_pair=st.dictionaries(st.tuples(texts, texts), words, max_size=3),
    fixed=st.dictionaries(st.binary(max_size=4), st.integers(), max_size=3).map(MappingProxyType),
)


@given(values)
def test_a_value_comes_back_as_it_was_with_its_order(value: Everything) -> None:
    written = form_bytes(form_of(value))
    again = read_form(Everything, parse_form(written))
    assert again == value
    assert list(again.by_pair) == list(value.by_pair)
    assert type(again.yes) is bool
    assert form_bytes(form_of(again)) == written


@given(values, st.data())
def test_a_form_with_something_else_in_a_place_is_refused_and_never_an_error_inside(
    value: Everything, data: st.DataObject
) -> None:
    once, whole = parse_form(form_bytes(form_of(value)))  # type: ignore[misc]
    place = data.draw(st.integers(0, len(whole) - 1))  # type: ignore[arg-type]
    whole[place] = data.draw(  # type: ignore[index]
        st.none() | st.booleans() | st.integers() | texts | st.lists(texts) | st.just([[[]]])
    )
    try:
        found = read_form(Everything, [once, whole])
    except MalformedError:
        return
    assert form_of(found) == [once, whole] or once  # what was written once may be named no more


@pytest.mark.parametrize("form", [None, 7, [], [[]], [[], []], [[], [1]], "x", [[["a"]], [0] * 18]])
def test_what_is_no_form_at_all_is_malformed(form: Any) -> None:
    with pytest.raises(MalformedError, match="form"):
        read_form(Everything, form)


def test_what_stands_in_many_places_is_written_once_and_shared_again() -> None:
    @dataclass
    class Shelf:
        books: list[Long]

    # Three values, two contents: equal states give equal bytes, whichever objects they are made of.
    shelf = Shelf([Long("a" * 99), Long("b"), Long("a" * 99)])
    assert form_of(shelf) == [[["a" * 99], ["b"]], [[0, 1, 0]]]
    again = read_form(Shelf, form_of(shelf))
    assert again.books[0] is again.books[2]


def test_a_value_that_is_written_once_names_only_what_stands_before_it() -> None:
    @written_once
    @dataclass(frozen=True)
    class Outer:
        inner: Long

    @dataclass
    class Box:
        outer: Outer

    box = Form(Box, {"Outer": Outer})
    assert box.of(Box(Outer(Long("x")))) == [[["x"], [0]], [1]]
    for forms, place in (
        ([[1], ["x"]], 0),
        ([[0]], 0),
        ([["x"], [True]], 1),
        ([["x"], [-1]], 1),
        ([["x"], [0]], 2),
    ):
        with pytest.raises(MalformedError, match="schema"):
            box.read([forms, [place]])


def test_the_schema_tells_of_every_class_and_field_behind_a_form() -> None:
    @dataclass
    class Inner:
        number: int

    @dataclass
    class Renamed:
        count: int

    @dataclass
    class Retyped:
        number: str

    schemas = set()
    for kind in (Inner, Renamed, Retyped):

        @dataclass
        class Outer:
            inner: list[Any]

        Outer.__annotations__["inner"] = list[kind]  # type: ignore[valid-type]
        kind.__qualname__ = "Inner"
        schemas.add(Form(Outer).schema)
    assert len(schemas) == 3


def test_what_has_no_form_is_refused_before_anything_is_written() -> None:
    @dataclass
    class Loose:
        what: Any

    @dataclass
    class Floating:
        number: float

    @dataclass(kw_only=True)
    class Named:
        number: int

    for kind in (Loose, Floating, Named):
        with pytest.raises(TypeError):
            Form(kind)


def test_half_a_character_has_no_form() -> None:
    with pytest.raises(MalformedError, match="surrogate"):
        form_bytes(form_of(Word("\ud800")))


# --- states -------------------------------------------------------------------------------------

MINTER = "minter:orders-db"
STEPS = ["break", "minted", "usable", "ended", "dead", "killed", "stopped", "closed", "trust"]


def step(org: Organisation, name: str, number: int) -> None:
    """Write one record of a log in which things happen in any order, void or not."""
    nonce, grants = f"{number:032x}", list(org.state.grants.by_id)
    grant = grants[number % len(grants)] if grants else "g-aaaaaaaaaaaa"
    if name == "break":
        orders(org, statement={"nonce": nonce})
    elif name == "trust":
        org.activate_trust(version=str(org.trust().version + 1))
    elif name == "closed":
        org.open_incident(change=IncidentChange.CLOSED)
    elif name in ("killed", "stopped"):
        target, what = (Target.GRANT, grant) if name == "killed" else (Target.PERSON, "teo")
        kill = org.sign(org.kill(target, what, nonce=nonce))
        org.state_that("broker", kinds.Suspended(target, what, True, kill), f"{name}/{number}")
    else:
        bodies: dict[str, Kind] = {
            "minted": kinds.Minted(grant, "postgres", "x", {}, org.now, 3),
            "usable": kinds.Usable(grant, "", 3),
            "ended": kinds.Ended(grant, EndedWhy.IDLE, "", None),
            "dead": kinds.Dead(grant, "", 3, 0, ()),
        }
        org.state_that(MINTER, bodies[name], f"{name}/{number}")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(STEPS), min_size=1, max_size=12), st.data())
def test_a_state_read_from_its_form_judges_alike_wherever_the_log_is_cut(
    steps: list[str], data: st.DataObject
) -> None:
    """Beside this, every log of the tests of the fold is cut before each entry (conftest.py)."""
    org = begun()
    for number, name in enumerate(steps):
        step(org, name, number)
    cut = data.draw(st.integers(0, org.log.size))
    state = State(org.genesis)
    for entry in org.log.entries()[:cut]:
        apply(state, entry)
    state = restored(state)
    for entry in org.log.entries(cut):
        assert apply(state, entry) == org.judged[entry.index]
    assert state == org.state
    assert form_bytes(STATE.of(state)) == form_bytes(STATE.of(org.state))


def test_a_card_stands_once_for_all_its_grants() -> None:
    org = begun()
    for number in range(3):
        orders(org, statement={"nonce": f"{number:032x}"})
    assert form_bytes(STATE.of(org.state)).count(b"breakglass.dev/card/v1") == len(
        org.state.governance.cards
    )
    again = restored(org.state)
    cards = [each.card for each in again.grants.by_id.values()]
    assert cards[0] is cards[1] is cards[2] is again.governance.cards["orders-repair"]


def test_a_state_of_a_record_that_is_none_is_malformed() -> None:
    org = begun()
    broken = orders(org)
    minted(org, broken)
    ended(org, broken.grant, EndedWhy.IDLE, role=MINTER)
    written = form_bytes(STATE.of(org.state))
    for before, after in (
        (b"breakglass.dev/trust/v1", b"breakglass.dev/trust/v9"),
        (b"breakglass.dev/record/v1", b"breakglass.dev/record/v9"),
        (b'\\"who\\":\\"mira\\"', b'\\"who\\":\\"MIRA\\"'),
    ):
        assert before in written
        with pytest.raises(MalformedError):
            STATE.read(parse_form(written.replace(before, after)))


def test_a_still_copy_stands_still_whatever_changes_in_the_state() -> None:
    """Beside this, it is looked at before and after every entry of the fold's tests."""
    org = begun()
    broken = orders(org)
    still = still_copy(org.state)
    stood = form_bytes(STATE.of(still))
    org.state.grants.closed.add([7])
    org.state.grants.by_id.running.pop(broken.grant)
    org.state.gates.passages["gate"] = {"x": 1}
    org.state.governance.suspended.clear()
    org.state.submitters.by_key[next(iter(org.state.submitters.by_key))].next_seq = 99
    assert form_bytes(STATE.of(still)) == stood
    assert form_bytes(STATE.of(org.state)) != stood
