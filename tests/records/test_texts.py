"""What may stand in a text that somebody signs."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakglass.canonical import canonical
from breakglass.errors import MalformedError
from breakglass.records.encoding import text_types
from breakglass.records.presentation import parse_presentation, presentation_text
from breakglass.records.statement import (
    Answer,
    Break,
    Do,
    Target,
    Why,
    grant_id,
    parse_as,
    parse_statement,
    statement_text,
)

from ..kit.organisation import Organisation

ORG = Organisation()
GOOD = statement_text(ORG.statement())


UNSEEN = """
00 1f 7f 85 ad 61c 200b 200e 200f 2028 2029 202a 202e 2060 2066 2069 feff fff9 ffff fdd0 e000
e0041 e0100 10ffff 3164 1fffe
"""


@pytest.mark.parametrize("point", UNSEEN.split())
def test_unseen_characters_are_refused_with_their_place(point: str) -> None:
    """(S-6) Control, line-separating, bidirectional, invisible, private, never a character."""
    char = chr(int(point, 16))
    with pytest.raises(MalformedError, match=f"U\\+{ord(char):04X} at position 3"):
        text_types.Prose(10).check(f"abc{char}", "x")
    assert text_types.one_line(f"a{char}b") == "a b"


def test_what_people_type_is_taken() -> None:
    for text in ("Überfällig: 5xx, 決済が止まった", "שרת נפל", "❤️ gone", "naïve", "\U0001fae9"):
        text_types.Prose(60, 1).check(text, "x")
    for text in ("", "   ", "x" * 61):
        with pytest.raises(MalformedError):
            text_types.Prose(60, 1).check(text, "x")


def test_the_ranges_do_not_change_with_pythons_unicode() -> None:
    """(S-6) U+1FAE9 came with Unicode 16; an older Python has no category for it."""
    text_types.Prose(10).check("\U0001fae9\u0378", "x")


@pytest.mark.parametrize("text", ["QQ==", "QUI=", "QUJD", ""])
def test_base64_has_one_spelling(text: str) -> None:
    text_types.ExactBase64(8).check(text, "x")
    for other in (text + "=", text + "\n", text.replace("Q=", "R="), "Q", "_-==", "QR==", "é"):
        if other != text:
            with pytest.raises(MalformedError):
                text_types.ExactBase64(8).check(other, "x")


def test_a_statement_is_read_as_it_was_written() -> None:
    """(S-1) Every form."""
    said = [
        ORG.statement(),
        ORG.statement(after="ab" * 32, ticket="SHOP-12"),
        ORG.statement(do=Do.ASK),
        ORG.statement(do=Do.ASK, starts="2026-06-23T03:14:09.221Z"),
        ORG.statement(do=Do.DOOR),
        ORG.statement(do=Do.MACHINE),
        ORG.answer("ab" * 32),
        ORG.answer("ab" * 32, do=Do.REFUSE),
        ORG.answer("ab" * 32, do=Do.WITHDRAW),
        ORG.answer("ab" * 32, do=Do.DONE),
        ORG.kill(Target.PERSON, "mira"),
        ORG.kill(Target.GLASS, "deploy-rollback", do=Do.LIFT),
        ORG.declare(),
        ORG.declare(do=Do.CLOSE),
        ORG.review_gate(),
    ]
    for each in said:
        assert parse_statement(statement_text(each)) == each


def test_a_gate_review_looks_again_later_and_has_one_of_six_verdicts() -> None:
    """(S-17) (S-1)"""
    said = ORG.review_gate()
    with pytest.raises(MalformedError, match="a second look comes after the first"):
        parse_statement(statement_text(ORG.review_gate(look_again=said.at)))
    text = statement_text(said).replace('"gate_wrong"', '"guilty"')
    with pytest.raises(MalformedError, match=r"statement\.verdict"):
        parse_statement(text)
    with pytest.raises(MalformedError, match="expected some words"):
        parse_statement(statement_text(ORG.review_gate(decision=" ")))


def forged(do: Do = Do.BREAK, /, **changes: object) -> str:
    from breakglass.strict_json import write

    value = {**write(ORG.statement(do=do)), **changes}
    return f"breakglass.dev/statement/v1\n{canonical(value)}\n"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("do", "field"),
    [
        (Do.ASK, "after"),
        (Do.BREAK, "starts"),
        (Do.DOOR, "starts"),
        (Do.DOOR, "after"),
        (Do.DOOR, "drill"),
        (Do.MACHINE, "scope"),
        (Do.MACHINE, "holder"),
        (Do.MACHINE, "ticket"),
        (Do.MACHINE, "drill"),
    ],
)
def test_a_form_has_no_field_of_another(do: Do, field: str) -> None:
    """(S-1) (S-20) Else a field would mean nothing in one form and something in the next."""
    with pytest.raises(MalformedError, match=rf"statement\.{field}: unknown field"):
        parse_statement(forged(do, **{field: ""}))


@pytest.mark.parametrize(
    ("do", "changes", "name"),
    [
        (Do.ASK, {"starts": "tomorrow"}, "bad_time"),
        (Do.ASK, {"starts": "2026-06-31T03:14:09.221Z"}, "bad_time"),
        (Do.ASK, {"starts": "9999-06-21T03:14:09.221Z"}, "bad_time"),
        (Do.ASK, {"starts": None}, "malformed"),
        (Do.ASK, {"drill": True, "for_s": 1201}, "malformed"),
        (Do.BREAK, {"drill": True, "for_s": 1201}, "malformed"),
        (Do.BREAK, {"after": "AB" * 32}, "malformed"),
        (Do.BREAK, {"ticket": "x" * 201}, "malformed"),
        (Do.BREAK, {"ticket": "a\nb"}, "bad_text"),
        (Do.BREAK, {"act": "undo"}, "malformed"),  # without a minter
        (Do.MACHINE, {"act": ""}, "malformed"),
        (Do.MACHINE, {"minter": ""}, "malformed"),
        (Do.DOOR, {"holder": ""}, "malformed"),
    ],
)
def test_a_field_that_breaks_its_forms_rule_is_refused(
    do: Do, changes: dict[str, object], name: str
) -> None:
    """(S-1) (S-9) (S-18) (S-19)"""
    with pytest.raises(MalformedError) as caught:
        parse_statement(forged(do, **changes))
    assert caught.value.name == name


@pytest.mark.parametrize(
    "networks",
    [
        ["10.0.0.1/8"],
        ["10.0.0.0/33"],
        ["10.0.0.0"],
        ["10.0.0.0/08"],
        ["010.0.0.0/8"],
        ["10.0.0.0/255.0.0.0"],
        ["2001:DB8::/32"],
        ["2001:db8:0::/48"],
        ["::ffff:10.0.0.0/104"],
        ["::ffff:a00:0/104"],
        ["fe80::%1/64"],
        ["office"],
        ["192.168.0.0/16", "10.0.0.0/8"],
    ],
)
def test_a_source_is_a_network_in_its_one_spelling(networks: list[str]) -> None:
    """(S-7)"""
    good = {"source": ["10.0.0.0/8", "2001:db8::/32", "::/0"]}
    parse_statement(forged(minter="orders-db", scope=good))
    with pytest.raises(MalformedError, match=r"network|sorted"):
        parse_statement(forged(minter="orders-db", scope={"source": networks}))


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"do": "open"}, "malformed"),
        ({"do": ["break"]}, "malformed"),
        ({"do": None}, "malformed"),
        ({"more": 1}, "unknown_field"),
        ({"drill": 0}, "malformed"),
        ({"for_s": True}, "malformed"),
        ({"for_s": 0}, "malformed"),
        ({"for_s": 43201}, "malformed"),
        ({"for_s": "60"}, "malformed"),
        ({"who": "Mira"}, "malformed"),
        ({"who": "mira\n"}, "malformed"),
        ({"who": "mirа"}, "malformed"),  # a Cyrillic a
        ({"nonce": "00" * 15}, "malformed"),
        ({"nonce": "AB" * 16}, "malformed"),
        ({"holder": ""}, "malformed"),
        ({"holder": "ssh-rsa AAAA"}, "malformed"),
        ({"at": "2026-06-22T03:14:09Z"}, "bad_time"),
        ({"at": "2026-06-31T03:14:09.221Z"}, "bad_time"),
        ({"at": "1999-06-22T03:14:09.221Z"}, "bad_time"),
        ({"at": "9999-12-31T23:59:59.999Z"}, "bad_time"),
        ({"at": "２026-06-22T03:14:09.221Z"}, "bad_time"),
        ({"scope": {"databases": ["b", "a"]}}, "malformed"),
        ({"scope": {"databases": ["a", "a"]}}, "malformed"),
        ({"scope": {"databases": []}}, "malformed"),
        ({"scope": {"databases": "orders"}}, "malformed"),
        ({"scope": []}, "malformed"),
        ({"reason": {"code": "x", "text": "a\u202eb"}}, "bad_text"),
        ({"reason": {"code": "x", "text": "a\u2028b"}}, "bad_text"),
        ({"reason": {"code": "x", "text": ""}}, "malformed"),
        ({"reason": {"code": "x"}}, "missing_field"),
    ],
)
def test_a_statement_of_another_form_is_refused(changes: dict[str, object], name: str) -> None:
    """(S-4) (S-5) (S-7) Each field has its rule."""
    with pytest.raises(MalformedError) as caught:
        parse_statement(forged(**changes))
    assert caught.value.name == name


def test_a_statement_with_a_field_missing_is_refused() -> None:
    """(S-4) Every field, always."""
    with pytest.raises(MalformedError, match=r"statement\.drill: missing"):
        parse_statement(GOOD.replace('"drill":false,', ""))


def test_a_statement_beyond_4096_bytes_is_not_read() -> None:
    """(S-2)"""
    with pytest.raises(MalformedError) as caught:
        parse_statement(GOOD + "x" * 4096)
    assert caught.value.name == "too_large"


def test_a_stopped_grant_is_not_lifted() -> None:
    """(S-8)"""
    with pytest.raises(MalformedError, match="never runs again"):
        parse_statement(statement_text(ORG.kill(Target.GRANT, "g-aaaaaaaaaaaa", do=Do.LIFT)))


def test_nothing_that_nobody_would_read_is_written() -> None:
    with pytest.raises(MalformedError):
        statement_text(ORG.statement(reason=Why("x", "a\u202eb")))
    with pytest.raises(MalformedError):
        ORG.card_note(does="")


def test_the_grants_id_follows_from_the_text() -> None:
    """(S-10)"""
    assert grant_id(GOOD) == grant_id(statement_text(ORG.statement()))
    assert grant_id(GOOD) != grant_id(statement_text(ORG.statement(nonce="11" * 16)))
    with pytest.raises(MalformedError):
        grant_id("\ud800")


def test_a_statement_of_another_kind_is_not_taken_for_one() -> None:
    with pytest.raises(MalformedError) as caught:
        parse_as(Answer, GOOD)
    assert caught.value.name == "wrong_do"
    assert isinstance(parse_as(Break, GOOD), Break)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.characters())
def test_no_character_of_a_statement_is_free(at: int, char: str) -> None:
    altered = GOOD[:at] + char + GOOD[at + 1 :]
    try:
        assert statement_text(parse_statement(altered)) == altered
    except MalformedError:
        return


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80))
def test_parsing_raises_errors_of_ours_alone(text: str) -> None:
    for parse in (parse_statement, parse_presentation):
        for each in (text, f"breakglass.dev/statement/v1\n{text}\n"):
            with pytest.raises(MalformedError):
                parse(each)


def test_a_presentation_is_read_as_it_was_written() -> None:
    """(T-4)"""
    org = Organisation()
    org.begin()
    said = org.presentation(org.break_glass(), "gate:deploy-approval", "42")
    assert parse_presentation(presentation_text(said)) == said
    for changes in ({"to": "door:x"}, {"run": ""}):
        with pytest.raises(MalformedError):
            presentation_text(replace(said, **changes))


def test_a_client_reads_and_writes_statements_without_cryptography() -> None:
    """The client has 150 ms of CPU and signs by ssh-keygen."""
    names = ["strict_json", "records.statement", "records.presentation"]
    code = (
        "import sys; sys.modules['cryptography'] = None\n"
        + "\n".join(f"import breakglass.{name}" for name in names)
        + "\nassert not [m for m in sys.modules if m.startswith('cryptography.')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
