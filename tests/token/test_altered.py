"""Whatever is done to a token's bytes, the answer is an error of ours or the same as before."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakglass.errors import BreakglassError, MalformedError, RefusedError, UnprovenError
from breakglass.tlog.note import Note
from breakglass.tlog.proof import TlogProof
from breakglass.token.token import HEADER, Token, parse_token
from breakglass.token.verify import check_life, token_digest, verify_token

from ..kit.organisation import SECOND, SKEW, Organisation

ORG = Organisation()
ORG.begin()
QUORUM = ("w-sec", "w-plat", "worm")  # no more: a line beyond the quorum may be spoiled by anybody
BROKEN = ORG.break_glass(by=QUORUM)
VERIFIER = ORG.verifier(level="justified")
TOKEN = ORG.token(BROKEN, justified=ORG.justify(BROKEN, by=QUORUM)).encoded().encode()


def spelled_again(data: bytes) -> bool:
    """Say whether only the base64 inside a signed note is spelled otherwise: nobody signed that."""
    try:
        token, own = parse_token(data), parse_token(TOKEN)
        return notes_of(token) == notes_of(own) and token.presentation == own.presentation
    except MalformedError:
        return False


def notes_of(token: Token) -> list[object]:
    assert token.proof is not None
    assert token.justified is not None
    note, proof = token.justified
    proofs = [TlogProof.parse(each) for each in (token.proof, proof)]
    heads = [(each.index, each.path, Note.parse(each.checkpoint)) for each in proofs]
    return [*map(Note.parse, (token.card, token.intent, note)), *heads, token.people]


def verify(data: bytes) -> object:
    return verify_token(parse_token(data), VERIFIER, "42", ORG.now)


def test_the_token_that_is_altered_here_is_good() -> None:
    verify(TOKEN)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, len(TOKEN) - 1), st.integers(1, 255))
def test_any_byte_that_is_changed_is_refused_by_an_error_of_ours(at: int, flip: int) -> None:
    """(T-2) No byte of a token is free."""
    altered = TOKEN[:at] + bytes([TOKEN[at] ^ flip]) + TOKEN[at + 1 :]
    if spelled_again(altered):
        return
    with pytest.raises((MalformedError, UnprovenError, RefusedError)):
        verify(altered)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(TOKEN)), st.integers(0, 80), st.binary(max_size=8))
def test_bytes_cut_out_or_put_in_are_refused(at: int, cut: int, put: bytes) -> None:
    altered = TOKEN[:at] + put + TOKEN[at + cut :]
    if altered != TOKEN:
        with pytest.raises(BreakglassError):
            verify(altered)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_parse_token_raises_errors_of_ours_alone(data: bytes) -> None:
    for each in (data, f"{HEADER}\n".encode() + data):
        with pytest.raises(MalformedError):
            parse_token(each)


def test_a_token_is_read_as_it_was_written() -> None:
    token = parse_token(TOKEN)
    assert token.encoded().encode() == TOKEN
    assert len(token_digest(token)) == 64
    door = Token(token.card, token.intent, token.people, None)
    assert parse_token(door.encoded().encode()) == door


def test_a_token_beyond_its_size_is_not_read() -> None:
    """(T-1) 512 KiB at most."""
    with pytest.raises(MalformedError, match="at most"):
        parse_token(TOKEN + b"x" * 512 * 1024)


def test_the_same_run_may_show_a_token_again_and_another_may_not() -> None:
    """(T-30) The presentation binds to one run."""
    for _ in range(2):
        verify(TOKEN)
    with pytest.raises(RefusedError, match="is for run '42', this is run '43'"):
        verify_token(parse_token(TOKEN), VERIFIER, "43", ORG.now)


@settings(max_examples=60, deadline=None)
@given(st.integers(-300, 2400))
def test_a_token_opens_within_its_life_and_at_no_other_time(seconds: int) -> None:
    now = ORG.now + seconds * SECOND
    intent = BROKEN.intent
    if intent.not_before - SKEW <= now <= intent.not_after:
        check_life(intent, SKEW, now)
    else:
        with pytest.raises(RefusedError):
            check_life(intent, SKEW, now)


def test_times_that_no_sum_could_hold_are_refused_before_anybody_adds_to_them() -> None:
    last = ORG.now.replace(year=2999, month=12, day=31)
    with pytest.raises(MalformedError, match="a year from 2000 to 2999"):
        ORG.card_note(expires=last + timedelta(days=1))
    with pytest.raises(BreakglassError):
        verify_token(parse_token(TOKEN), VERIFIER, "42", last)
