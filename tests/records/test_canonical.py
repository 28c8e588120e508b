"""The one spelling of JSON, against another implementation of RFC 8785."""

from __future__ import annotations

import json

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from breakglass.canonical import (
    MAX_INTEGER,
    canonical,
    parse_canonical,
    parse_lines,
    utf8,
)
from breakglass.errors import MalformedError

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(VALUES)
def test_what_we_write_is_what_rfc_8785_writes_and_is_read_again(value: object) -> None:
    """(S-3) The oracle is the ``rfc8785`` library."""
    text = canonical(value)  # type: ignore[arg-type]
    assert text.encode() == rfc8785.dumps(value)  # type: ignore[arg-type]
    assert parse_canonical(text, "text") == value


def test_keys_are_sorted_by_utf_16_code_units() -> None:
    """(S-3) U+1F600 is D83D DE00 in UTF-16 and comes before U+FB33."""
    assert canonical({"\ufb33": 1, "\U0001f600": 2}) == '{"\U0001f600":2,"\ufb33":1}'
    assert parse_canonical('{"\U0001f600":2,"\ufb33":1}', "x")
    with pytest.raises(MalformedError, match="canonical"):
        parse_canonical('{"\ufb33":1,"\U0001f600":2}', "x")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", "bad_json"),
        ("{", "bad_json"),
        ('{"a":1}x', "bad_json"),
        ('{"a":1,"a":1}', "duplicate_key"),
        ('{"a":{"b":1,"b":2}}', "duplicate_key"),
        ("1.0", "not_integer"),
        ("1e3", "not_integer"),
        ("-0.0", "not_integer"),
        ("NaN", "not_integer"),
        ("Infinity", "not_integer"),
        ("-0", "not_canonical"),
        ("9007199254740992", "not_integer"),
        ("-9007199254740992", "not_integer"),
        ("9" * 5000, "bad_json"),
        ("01", "bad_json"),
        (" 1", "not_canonical"),
        ('{"a": 1}', "not_canonical"),
        ('{"b":1,"a":1}', "not_canonical"),
        ('"\\u0041"', "not_canonical"),
        ('"\\u2028"', "not_canonical"),
        ('"\\/"', "not_canonical"),
        ('"\\u001F"', "not_canonical"),
        ('"\\ud800"', "bad_text"),
        ('{"\\ud800":1}', "bad_text"),
        ("[" * 33 + "]" * 33, "bad_json"),
        ("[" * 9000 + "]" * 9000, "bad_json"),
        ('{"a":' * 3000 + "1" + "}" * 3000, "bad_json"),
    ],
)
def test_another_spelling_is_refused(text: str, name: str) -> None:
    """(S-3) A float, a number too large, a key twice, an escape that is not needed."""
    with pytest.raises(MalformedError) as caught:
        parse_canonical(text, "text")
    assert caught.value.name == name


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40))
def test_reading_raises_errors_of_ours_alone(text: str) -> None:
    for each in (text, json.dumps(text), '{"a":' + text + "}"):
        try:
            parse_canonical(each, "text")
        except MalformedError:
            continue


def test_what_has_no_form_is_not_written() -> None:
    for value in (1.5, b"x", {1, 2}, "\ud800", 2**53, {"a": object()}):
        with pytest.raises(MalformedError):
            canonical(value)  # type: ignore[arg-type]


def test_lines_end_at_0x0a_alone() -> None:
    """(S-2) U+2028 and U+0085 are raw in RFC 8785 and end no line."""
    assert parse_lines('h\n"a\u2028b\u0085"\n', "h", "text") == "a\u2028b\u0085"
    for text in ('h\n"a"', 'h\n"a"\n\n', 'h\r\n"a"\r\n', 'g\n"a"\n', 'h\u2028"a"\n'):
        with pytest.raises(MalformedError, match="expected the line"):
            parse_lines(text, "h", "text")
    with pytest.raises(MalformedError, match="surrogate"):
        utf8("\ud800")
