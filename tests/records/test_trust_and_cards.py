"""The trust file, the card, the policy note: what is believed, and in which order."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakglass.errors import BreakglassError, MalformedError, UnprovenError
from breakglass.records.card import (
    Act,
    CardMachine,
    CardMint,
    Output,
    Tier,
    card_text,
    check_card_people,
    parse_card,
)
from breakglass.records.people_list import May, PeopleList, PersonLine
from breakglass.records.policy_note import check_policy_people, parse_policy_note
from breakglass.records.signing.signature import TRUST_NAMESPACE
from breakglass.records.trust import accept_first_trust, accept_trust, parse_trust
from breakglass.tlog.note import Note
from breakglass.tlog.policy import parse_policy

from ..kit.organisation import Organisation, signer
from ..kit.people import SoftKey, SoftSecurityKey

ORG = Organisation()
LINES = ORG.trust_lines()
LS = Act(("/bin/ls",), 60, Output.NONE)
RUNS = CardMint("a", "ssh", {}, {"x": LS})
RUNS_NOTHING = CardMint("a", "ssh", {}, {})
KEY = SoftKey.of("zoe").public
MACHINE = CardMachine(SoftKey.of("m").public, "a", "x", 1, 60, 0)
SECURITY_KEY = SoftSecurityKey.of("m").public


def text_of(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


def test_a_trust_file_is_read() -> None:
    """(R-1) (R-10)"""
    trust = parse_trust(ORG.trust_text())
    assert (trust.version, trust.archiver, trust.door) == (1, "worm", False)
    assert trust.skew == timedelta(seconds=120)
    assert sorted(map(str, trust.submitters.values())) == [
        "broker", "gate:deploy-approval", "gate:orders-write", "minter:orders-db", "monitor",
    ]  # fmt: skip
    with pytest.raises(TypeError):
        trust.maintainers["zoe"] = ()  # type: ignore[index]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": "0"}, "1 at least"),
        ({"version": "01"}, "not a number"),
        ({"version": "1.0"}, "not a number"),
        ({"version": "１"}, "not a number"),
        ({"genesis": "AB" * 32}, "hexadecimal"),
        ({"quorum": "none"}, "quorum none"),
        ({"quorum": None}, "quorum"),
        ({"quorum": "nobody"}, "defined"),
        ({"archiver": "w-none"}, "no witness line"),
        ({"level": "high"}, "unknown level"),
        ({"maintainers": "1"}, "2 at least"),
        ({"maintainers": "4"}, "fewer maintainers"),
        ({"custodians": "4"}, "fewer custodians"),
        ({"custodians": None}, "no line says how many"),
        ({"custodians": "0"}, "no line says how many"),
        ({"door": "maybe"}, "'door'"),
        ({"door": "yes", "custodians": "1"}, "'door'"),
        ({"skew": "120"}, "'skew'"),
        ({"skew": "0s"}, "1 at least"),
        ({"skew": "901s"}, "'skew'"),
        ({"policy_at_least": None}, "missing"),
        ({"genesis": None}, "missing"),
    ],
)
def test_a_trust_file_that_asks_too_little_or_too_much_is_refused(
    change: dict[str, str | None], says: str
) -> None:
    """(R-2) (R-3) (R-4) (R-5) (R-8) (R-9)"""
    with pytest.raises(MalformedError, match=says) as caught:
        parse_trust(ORG.trust_text(**change))
    assert caught.value.name == "bad_trust"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("group z 1 nobody", "'nobody' is not defined above"),
        ("group z 1 w-sec", "'w-sec' is a member already"),
        ("group people 1 worm", "name 'people' is taken"),
        ("group z 2 worm", "2 of 1 members cannot be asked for"),
    ],
)
def test_the_lines_of_cosigners_are_refused_alike_in_a_trust_file_and_alone(
    line: str, says: str
) -> None:
    """(R-22)"""
    found = {}
    cosigners = ("log", "witness", "group", "quorum")
    lines = [each for each in LINES if each.split()[0] in cosigners]
    for name, read, its_lines in (
        ("bad_trust", parse_trust, LINES),
        ("bad_policy", parse_policy, lines),
    ):
        text = text_of(its_lines).replace("group q all", f"{line}\ngroup q all")
        with pytest.raises(MalformedError, match=rf"policy line \d+: .*{says}") as caught:
            read(text)
        found[name] = caught.value.name
    assert found == {"bad_trust": "bad_trust", "bad_policy": "bad_policy"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("group people 2", "group people  2"),
        ("archiver worm", "archiver worm "),
        ("quorum q", "quorum\tq"),
        ("level witnessed", "level\u00a0witnessed"),
        ("maintainer ana ssh-ed25519 ", "maintainer ana ssh-ed25519  "),
    ],
)
def test_words_of_a_trust_file_are_separated_by_one_space(old: str, new: str) -> None:
    """(R-1) In the lines of tlog-policy too."""
    text = ORG.trust_text()
    assert old in text
    with pytest.raises(MalformedError) as caught:
        parse_trust(text.replace(old, new, 1))
    assert caught.value.name == "bad_trust"


@pytest.mark.parametrize("space", ["\u00a0", "\u2028", "\u3000", "\t", " "])
def test_no_comment_stands_behind_a_maintainers_key(space: str) -> None:
    """(R-1)"""
    text = ORG.trust_text()
    line = f"maintainer cal {ORG.maintainers['cal'].public}"
    with pytest.raises(MalformedError):
        parse_trust(text.replace(line, f"{line}{space}cal@laptop"))


@pytest.mark.parametrize(
    "line",
    [
        "version 1",
        "unknown word",
        "",
        "# a comment",
        " version 1",
        "submitter broker",
        "submitter root x",
        f"submitter gate {signer('x').verifier}",
        f"submitter gate: {signer('x').verifier}",
        f"submitter broker:b {signer('x').verifier}",
        f"submitter minter:A {signer('x').verifier}",
        f"submitter monitor {signer('broker.shop.example').verifier}",
        f"submitter broker {signer(ORG.log_name).verifier}",
        f"maintainer ana {SoftKey.of('ana').public}",
        f"maintainer zoe {SoftKey.of('ana').public}",
        f"maintainer Zoe {SoftKey.of('zoe').public}",
        "maintainer zoe ssh-rsa AAAA",
        f"maintainer zoe {SoftKey.of('zoe').public} comment",
        "quorum q",
        "level archived",
    ],
)
def test_a_line_that_does_not_belong_is_named_by_its_number(line: str) -> None:
    """(R-2) (R-6) (R-7)"""
    with pytest.raises(MalformedError) as caught:
        parse_trust(text_of([*LINES, line]))
    assert caught.value.name == "bad_trust"
    if "submitter broker " + str(signer(ORG.log_name).verifier) != line:
        assert f"line {len(LINES) + 1}" in str(caught.value)


def test_one_key_has_one_part() -> None:
    """(R-6) The log's or a witness's key is nobody's submitter key."""
    org = Organisation()
    with pytest.raises(MalformedError, match="as well"):
        parse_trust(
            org.trust_text()
            + f"submitter gate:x {signer(org.log_name).verifier}\n".replace("gate:x", "gate:x")
        )


def next_trust(org: Organisation, signers: list[str], **changes: str) -> Note:
    text = org.trust_text(**{"version": "2", **changes})
    chosen = {name: org.maintainers[name] for name in signers}
    return Note.parse(org.people_sign(text, TRUST_NAMESPACE, chosen))


def test_trust_goes_up_one_by_one_signed_by_the_maintainers_before() -> None:
    """(R-11) (R-12) (R-13)"""
    org = Organisation()
    first = org.trust()
    second = accept_trust(next_trust(org, ["ana", "ben"]), first)
    assert second.version == 2
    assert accept_trust(next_trust(org, ["ana", "ben"]), second) is second

    def refused(note: Note, name: str) -> None:
        with pytest.raises(UnprovenError) as caught:
            accept_trust(note, second)
        assert caught.value.name == name

    refused(Note.parse(org.trust_note()), "trust_order")
    refused(next_trust(org, ["ana", "ben"], skew="60s"), "trust_order")
    refused(next_trust(org, ["ana", "ben"], version="4"), "trust_order")
    refused(next_trust(org, ["ana"], version="3"), "trust_signatures")
    refused(next_trust(org, ["ana", "ben"], version="3", genesis="ab" * 32), "trust_genesis")


def test_policy_at_least_never_goes_down() -> None:
    """(R-13) Else a person who was taken out comes back with an old card."""
    org = Organisation()
    before = org.trust(policy_at_least="7")
    with pytest.raises(UnprovenError) as caught:
        accept_trust(next_trust(org, ["ana", "ben"], policy_at_least="6"), before)
    assert caught.value.name == "trust_order"


def test_new_maintainers_do_not_let_themselves_in() -> None:
    """(R-12) Signed by the threshold of the new ones alone: refused."""
    org = Organisation()
    before = org.trust()
    org.maintainers = {"zoe": SoftKey.of("zoe"), "yan": SoftKey.of("yan")}
    with pytest.raises(UnprovenError) as caught:
        accept_trust(next_trust(org, ["zoe", "yan"]), before)
    assert caught.value.name == "trust_signatures"


def test_the_first_trust_is_of_the_geneses_own_maintainers() -> None:
    """(R-14)"""
    org = Organisation()
    note = Note.parse(org.trust_note())
    named = {name: (key.public,) for name, key in org.maintainers.items()}
    assert accept_first_trust(note, org.genesis, named, 2).version == 1
    for genesis, maintainers, needed, name in (
        ("ab" * 32, named, 2, "trust_genesis"),
        (org.genesis, {**named, "zoe": (SoftKey.of("zoe").public,)}, 2, "trust_genesis"),
        (org.genesis, named, 3, "trust_genesis"),
    ):
        with pytest.raises(UnprovenError) as caught:
            accept_first_trust(note, genesis, maintainers, needed)
        assert caught.value.name == name
    with pytest.raises(UnprovenError):
        accept_first_trust(next_trust(org, ["ana", "ben"]), org.genesis, named, 2)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(LINES) - 1), st.text(max_size=30))
def test_reading_trust_raises_errors_of_ours_alone(at: int, text: str) -> None:
    lines = [*LINES[:at], text, *LINES[at + 1 :]]
    try:
        parse_trust(text_of(lines))
    except BreakglassError:
        return


def test_a_card_is_read_as_it_was_written() -> None:
    """(C-1)"""
    for glass, card in ORG.cards().items():
        note = Note.parse(ORG.card_note(glass))
        assert parse_card(note) == card
        assert card_text(card) == note.text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"expires": ORG.now}, "92 days"),
        ({"expires": ORG.now + timedelta(days=92, milliseconds=1)}, "92 days"),
        ({"tier": Tier.TWO}, "one approver"),
        ({"tier": Tier.SEALED}, "sealed glass"),
        ({"mints": (CardMint("a", "ssh", {}, {}), CardMint("a", "ssh", {}, {}))}, "twice"),
        ({"mints": (CardMint("a", "ssh", {"hosts": ("b", "a")}, {}),)}, "sorted"),
        ({"mints": (CardMint("a", "ssh", {"source": ("10.0.0.1/8",)}, {}),)}, "no network"),
        ({"mints": (CardMint("a", "ssh", {}, {"x": Act(("ls",), 1, Output.NONE)}),)}, "absolute"),
        ({"mints": (CardMint("a", "ssh", {}, {"x": Act((), 1, Output.NONE)}),)}, "1 to 64 items"),
        ({"mints": (CardMint("a", "ssh", {}, {"x": replace(LS, within_s=3601)}),)}, "3600"),
        ({"machines": {"m": replace(MACHINE, minter="x")}}, "no such minter"),
        ({"machines": {"m": MACHINE}, "mints": (RUNS_NOTHING,)}, "no such act"),
        ({"machines": {"m": MACHINE}, "mints": (RUNS,), "need": 1, "tier": Tier.TWO}, "alone"),
        ({"machines": {"m": replace(MACHINE, at_most=0)}, "mints": (RUNS,)}, "1 to 1000"),
        ({"machines": {"m": replace(MACHINE, key=SECURITY_KEY)}, "mints": (RUNS,)}, "software key"),
        ({"need": 2, "ask_need": 1, "tier": Tier.TWO}, "no fewer approvers"),
        ({"ask_need": 17}, "16"),
        ({"silence_s": 3601}, "3600"),
        ({"ahead_s": 604801}, "604800"),
        ({"gates": ("b", "a")}, "sorted"),
        ({"gates": ("a", "a")}, "each once"),
        ({"for_s": 0}, "expected 1"),
        ({"for_s": 43201}, "43200"),
        ({"wait_s": 3601}, "3600"),
        ({"need": 17}, "16"),
        ({"does": "a\u202eb"}, "202E"),
        ({"gates": ("A",)}, "a name"),
    ],
)
def test_a_card_that_grants_what_no_card_may_is_not_even_written(
    changes: dict[str, object], says: str
) -> None:
    """(C-2) (C-3) (C-5) (C-10) (C-11)"""
    with pytest.raises(MalformedError, match=says):
        ORG.card_note(**changes)


def people(*changed: PersonLine) -> PeopleList:
    names = {each.who for each in changed}
    kept = [each for each in ORG.card_people().by_name.values() if each.who not in names]
    return PeopleList([*kept, *changed])


def test_a_machine_is_nobody_else() -> None:
    """(C-9) (C-5)"""
    card = ORG.card("auto-rollback")
    machine = card.machines["rollback-on-5xx"]
    check_card_people(card, people())
    two = {"m": machine, "n": machine}
    with pytest.raises(MalformedError, match="one key stands for") as caught:
        card_text(replace(card, machines=two))
    assert caught.value.name == "shared_key"
    for machines, says in (
        ({"mira": machine}, "named as a person"),
        ({"m": replace(machine, key=ORG.people["bo"].public)}, "one key stands for"),
    ):
        with pytest.raises(MalformedError, match=says):
            check_card_people(replace(card, machines=machines), people())


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (PersonLine("bo", (), (ORG.people["bo"].public,)), "may break, approve, review"),
        (PersonLine("bo", (May.KILL,), (ORG.people["bo"].public,)), "may break, approve, review"),
        (PersonLine("sam", (May.BREAK,), (ORG.people["sam"].public,)), "takes 2 approvers"),
    ],
)
def test_a_cards_list_is_judged_where_it_is_whole(line: PersonLine, says: str) -> None:
    """(C-3) (C-12) Whoever asks does not approve; rights of a policy note stand on no card."""
    found = people(line)
    with pytest.raises(MalformedError, match=says):
        check_card_people(ORG.card("key-deletion", people=found.root), found)


def test_a_card_with_another_list_than_it_names_is_refused() -> None:
    """(C-12)"""
    with pytest.raises(MalformedError, match="not the one it names"):
        check_card_people(ORG.card(), people(PersonLine("zoe", (May.BREAK,), (KEY,))))


def test_a_policy_notes_list_says_kill_or_nothing() -> None:
    """(D-40)"""
    note = parse_policy_note(Note.parse(ORG.policy_note()))
    check_policy_people(note, ORG.policy_people)
    with pytest.raises(MalformedError, match="not the one it names"):
        check_policy_people(note, people())
    with pytest.raises(MalformedError, match="may kill here, or nothing"):
        check_policy_people(replace(note, people=people().root), people())


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60))
def test_reading_cards_raises_errors_of_ours_alone(text: str) -> None:
    lines = Note.parse(ORG.card_note()).lines
    for header in ("breakglass.dev/card/v1", "breakglass.dev/policy/v1"):
        try:
            note = Note(f"{header}\n{text}\n", lines)
        except MalformedError:
            continue
        with pytest.raises(MalformedError):
            parse_card(note)
        with pytest.raises(MalformedError):
            parse_policy_note(note)
