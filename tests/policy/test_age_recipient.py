"""An age recipient is read in its one spelling: a slip of one letter would lose a share."""

from __future__ import annotations

import re

import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakglass.errors import MalformedError
from breakglass.policy.age_recipient import _LETTERS, _PREFIX, _checksum, age_recipient
from breakglass.policy.yaml_nodes import Place, Scalar
from tests.policy.kit import text_of


def read(text: str) -> str:
    return age_recipient(Scalar(text, True, Place("breakglass.yaml"), "people.sam.age"))


RECIPIENTS = re.findall(r"age: (age1\S+)", text_of("example"))


def test_what_age_makes_is_read() -> None:
    made = [str(pyrage.x25519.Identity.generate().to_public()) for _ in range(50)]
    assert [read(recipient) for recipient in [*made, *RECIPIENTS]] == [*made, *RECIPIENTS]


@given(st.sampled_from(RECIPIENTS), st.integers(4, 61), st.integers(1, 31))
def test_one_letter_that_is_another_is_refused(recipient: str, at: int, by: int) -> None:
    other = _LETTERS[(_LETTERS.index(recipient[at]) + by) % 32]
    with pytest.raises(MalformedError, match="every letter as it was made"):
        read(recipient[:at] + other + recipient[at + 1 :])


@pytest.mark.parametrize("padding", range(1, 16))
def test_a_second_spelling_with_bits_in_its_padding_is_refused(padding: int) -> None:
    values = [_LETTERS.index(letter) for letter in RECIPIENTS[0][4:56]]
    values[51] |= padding
    sum_ = _checksum([*_PREFIX, *values, *[0] * 6]) ^ 1
    values += [sum_ >> 5 * (5 - place) & 31 for place in range(6)]
    assert _checksum([*_PREFIX, *values]) == 1
    with pytest.raises(MalformedError, match="every letter as it was made"):
        read("age1" + "".join(_LETTERS[value] for value in values))


@pytest.mark.parametrize(
    "text",
    ["age1", "age1" + "q" * 58, RECIPIENTS[0].upper(), RECIPIENTS[0] + "q", "age1" + "é" * 58],
    ids=list("abcde"),
)
def test_what_is_no_recipient_is_refused(text: str) -> None:
    with pytest.raises(MalformedError, match="expected an age recipient"):
        read(text)
