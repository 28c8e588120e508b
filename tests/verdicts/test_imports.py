"""Histories made from a repository, tables and GitHub's exports."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from breakglass.errors import MalformedError, MisconfiguredError, RefusedError
from breakglass.verdicts.imports import usual_signs as signs
from breakglass.verdicts.imports.git_changes import from_changes
from breakglass.verdicts.imports.git_log import Change, Unreadable, parse_log, read_log
from breakglass.verdicts.imports.github import from_github
from breakglass.verdicts.imports.pseudonyms import pseudonyms
from breakglass.verdicts.imports.rulefile import Items, Table, Text, parse_rules
from breakglass.verdicts.imports.rules import read_rules
from breakglass.verdicts.imports.tables import from_tables
from breakglass.verdicts.imports.usual_signs import gates_gone_round, gates_seen

USUAL = signs.USUAL
RULES = r"""
# which lines of a message mean that a gate was bypassed
gates:
  tryjobs:
    - footer: No-Try
      value: 'true'
    - pattern: '\[(?:skip ci|ci skip)\]'
  review:
    - footer: TBR
incident:
  - footer: Bug
  - pattern: '\b(INC-[0-9]+)\b'
reason:
  - footer: Bypass-Reason
sanctioned:
  - pattern: '^Revert "'
bots: ['*-autoroll@*', '*[bot]*']
"""


def change(message: str, person: str = "Mira <mira@example.org>", day: int = 1) -> Change:
    return Change(f"{day:040x}", datetime(2026, 6, day, 12, tzinfo=UTC), person, message)


def found(*changes: Change, hidden: bool = False, rules: str = RULES):  # type: ignore[no-untyped-def]
    """Import ``changes`` as one line, the first one the oldest."""
    line: list[Change] = []
    for number, each in enumerate(changes, 1):
        parents = (line[-1].commit,) if line else ()
        line.append(replace(each, commit=f"{number:040x}", parents=parents))
    return from_changes(line[::-1], read_rules(rules, "rules.yaml"), str.strip, hidden=hidden)


def test_footers_and_patterns_are_bypasses_and_every_change_is_a_passage() -> None:
    got = found(
        change("Fix the cart\n\nNo-Try: true\nBug: INC-7\nBypass-Reason: bots are down"),
        change("Docs only [skip ci]", day=2),
        change("Ordinary change", day=3),
        change("Land now\n\nTBR=sam@example.org\nNo-Try: false", day=9),
    )
    assert [(e.gate, e.reason, e.incident) for e in got.events] == [
        ("tryjobs", "bots are down", "INC-7"),
        ("tryjobs", "Docs only [skip ci]", ""),
        ("review", "Land now", ""),
    ]
    assert got.passages["tryjobs"] == {date(2026, 6, 1): 3.0, date(2026, 6, 8): 1.0}
    assert got.people["review"]["2026-Q2"] == {"Mira <mira@example.org>": 4.0}
    assert got.as_of == datetime(2026, 6, 9, 12, tzinfo=UTC)


def test_a_quoted_footer_belongs_to_the_message_that_is_quoted() -> None:
    got = found(change('Revert "Fix the cart"\n\n> No-Try: true\n> [skip ci]\n\nBug: none'))
    assert got.events == []


def test_what_a_rule_sanctions_is_marked_and_bots_are_on_neither_side() -> None:
    got = found(
        change('Revert "Fix the cart"\n\nNo-Try: true'),
        change("Roll\n\nNo-Try: true", person="Roller <x-autoroll@example.org>", day=2),
    )
    assert [e.sanctioned for e in got.events] == [True]
    assert sum(got.passages["tryjobs"].values()) == 1
    assert got.left_out == 1


def test_an_address_in_a_reason_is_taken_out_when_people_are_hidden() -> None:
    got = found(change("Ask mira@example.org\n\nNo-Try: true"), hidden=True)
    assert got.events[0].reason == "Ask <email>"


def test_pseudonyms_hold_for_one_salt_and_cannot_be_linked_without() -> None:
    salt = b"0123456789abcdef"
    assert pseudonyms(salt)("Mira <m@x>") == pseudonyms(salt)("mira  <M@X> ")
    assert pseudonyms(salt)("mira") != pseudonyms(b"fedcba9876543210")("mira")
    assert pseudonyms()("mira") != pseudonyms()("mira")
    assert pseudonyms()("") == ""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", r"rules.yaml:1: the file is empty"),
        ("gates:\n\ttryjobs: x", r"rules.yaml:2: a tab"),
        ("gates:\n  a:\n    - pattern: '('", r"rules.yaml:3: '\(' is not a pattern"),
        ("gates:\n  a:\n    - footer: X\n      pattern: y", r"rules.yaml:3: a rule has either"),
        ("gates:\n  a:\n    - foot: X", r"rules.yaml:3: a rule has 'footer'"),
        ("gates:\n  a: x", r"rules.yaml:2: wanted a list"),
        ("incident:\n  - footer: Bug", r"rules.yaml:1: no gates"),
        ("gates:\n  a:\n    - x\nwhat: 1", r"rules.yaml:4: unknown key 'what'"),
        ("gates:\n  a:\n    - x\n  a:\n    - y", r"rules.yaml:4: 'a' stands here a second time"),
        ('gates:\n  a:\n    - "\\d+"', r"rules.yaml:3: .* escapes wrongly"),
        ("gates:\n  a: &x\n    - y", r"rules.yaml:2: '&' is not read here"),
        ("gates:\n  a:\n    - y\n   b:\n    - z", r"rules.yaml:4: the indentation fits"),
        ("gates", r"rules.yaml:1: wanted 'key: value'"),
    ],
)
def test_a_wrong_rule_file_is_told_by_line(text: str, told: str) -> None:
    with pytest.raises(MalformedError, match=told):
        read_rules(text, "rules.yaml")


def test_the_small_yaml_agrees_with_the_large_one() -> None:
    yaml = pytest.importorskip("yaml")

    def plain(node: object) -> object:
        if isinstance(node, Table):
            return {key: plain(value) for key, value in node.values.items()}
        if isinstance(node, Items):
            return [plain(value) for value in node.values]
        assert isinstance(node, Text)
        return node.value

    assert plain(parse_rules(RULES, "rules.yaml")) == yaml.safe_load(RULES)


def test_a_real_repository_is_read_in_committer_time(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        subprocess.run(
            [
                "git",
                "-C",
                str(tmp_path),
                "-c",
                "user.name=Mira",
                "-c",
                "user.email=m@x.org",
                *words,
            ],
            check=True,
            capture_output=True,
        )

    git("init", "-q", "-b", "main")
    for message in ("First", "Second\n\nNo-Try: true", "Third [skip ci]\nmore"):
        git("commit", "-q", "--allow-empty", "-m", message)
    changes = list(read_log(tmp_path, "HEAD"))
    assert [c.message.split("\n")[0] for c in changes] == ["Third [skip ci]", "Second", "First"]
    assert len(found(*changes[::-1]).events) == 2
    with pytest.raises(MisconfiguredError, match="git cannot read branch 'nope'"):
        read_log(tmp_path, "nope")
    with pytest.raises(MisconfiguredError, match="git cannot read branch '--output=x'"):
        read_log(tmp_path, "--output=x")
    with pytest.raises(MalformedError, match="--since is 'yesteryear'"):
        read_log(tmp_path, "HEAD", "yesteryear")
    assert not (tmp_path / "x").exists()


def test_without_a_rule_file_a_gate_needs_three_signs_by_two_people() -> None:
    def told(*people: str):  # type: ignore[no-untyped-def]
        some = [change(f"Docs {n} [skip ci]", person, n) for n, person in enumerate(people, 1)]
        return gates_gone_round(found(*some, rules=USUAL))

    assert sorted(told("Mira", "Sam", "Mira").passages) == ["ci"]
    for few in (("Mira", "Sam"), ("Mira", "Mira", "Mira"), ()):
        with pytest.raises(RefusedError, match="changes show a usual sign"):
            told(*few)


def test_a_rule_that_never_fired_is_told_and_its_gate_is_no_health() -> None:
    wrong = RULES.replace("footer: TBR", "footer: TRB")
    rules = read_rules(wrong, "rules.yaml")
    some = (change("x\n\nNo-Try: true"), change("y\n\nTBR=sam", day=2))
    got = gates_seen(found(*some, rules=wrong), rules)
    assert list(got.passages) == ["tryjobs"]
    assert got.notes[0].startswith("never seen, check the rule: ")
    assert got.notes[0].endswith("; review: trb")
    with pytest.raises(RefusedError, match="no change shows a sign of your rule file"):
        gates_seen(found(change("x")), rules)


@pytest.mark.parametrize(
    "message",
    [
        "docs: say why `[skip ci]` is not allowed",
        'ci: refuse "[skip ci]" on main',
        "roll dep\n\n2026-01-16 attempt to skip bots [skip ci]",
        "feat (#7)\n\n* wip [skip ci]\n\n* final, all green",
        "no more CLOSED TREE pushes",
        "parse TBR\n\nTBR: a footer that means review afterwards",
    ],
)
def test_a_sign_that_is_talked_about_is_none(message: str) -> None:
    assert found(change(message), rules=USUAL).events == []


@pytest.mark.parametrize(
    "message",
    [
        "x\n\nNo-Try: true # bots are down",
        "x\n\nNo-Try: yes",
        "x\n\n  No-Try: 1",
        "x\n\nNOTRY=true // flaky",
        "x\n\nNOPRESUBMIT=true",
        "x\n\nNOTREECHECKS=true",
        "x\n\nBot-Commit: somebody",
        "x\n\nOwners-Override: somebody",
        "x\n\nskip-checks: true",
        "[ci skip] x",
        "x [skip-ci] (#12)",
        "x [skip travis]",
        "x\n\n***NO_CI***",
        "Bug 7 - mend it; r=sam CLOSED TREE DONTBUILD",
    ],
)
def test_a_sign_is_found_where_it_stands(message: str) -> None:
    assert found(change(message), rules=USUAL).events


def test_the_comment_behind_a_footer_is_the_reason() -> None:
    got = found(change("x\n\nNo-Try: true # bots are down"), rules=USUAL)
    assert got.events[0].reason == "bots are down"
    assert [(hit.gate, hit.line) for hit in got.hits] == [("tryjobs", "no-try: true")]


def test_one_bad_commit_is_told_and_passed_over() -> None:
    def record(number: int, seconds: str, message: str = "x [skip ci]") -> bytes:
        parent = f"{number - 1:040x}" if number > 1 else ""
        lines = (f"{number:040x}", seconds, parent, "Mira <m@x>", message)
        return "\n".join(lines).encode() + b"\0"

    log = record(3, "1780308000") + record(2, "9" * 15) + record(1, "1780300000", "a\x1eb")
    read = list(parse_log(log[i : i + 7] for i in range(0, len(log), 7)))
    assert [type(each) for each in read] == [Change, Unreadable, Change]
    assert isinstance(read[2], Change)
    assert read[2].message == "a\x1eb"
    assert isinstance(read[1], Unreadable)
    assert "not a second of this era" in read[1].why
    [torn] = parse_log([b"abc\n5"])
    assert isinstance(torn, Unreadable)


def test_a_commit_of_the_future_moves_no_window() -> None:
    line = [
        replace(
            change("b"), commit="b" * 40, parents=("a" * 40,), at=datetime(2029, 1, 1, tzinfo=UTC)
        ),
        replace(change("a"), commit="a" * 40),
    ]
    rules = read_rules(RULES, "rules.yaml")
    now = datetime(2026, 6, 9, tzinfo=UTC)
    got = from_changes(line, rules, str, hidden=False, now=now)
    assert got.as_of == datetime(2026, 6, 1, 12, tzinfo=UTC)
    assert got.notes == ["passed over, dated in the future: bbbbbbbbbbbb (2029-01-01)"]


def test_a_merge_by_a_machine_is_its_author_and_has_the_footers_of_what_it_merged() -> None:
    line = [
        Change("c" * 40, change("m").at, "merger[bot] <m@x>", "Merge #7", ("a" * 40, "b" * 40)),
        Change("b" * 40, change("m").at, "Sam <sam@x>", "x\n\nNo-Try: true", ("a" * 40,)),
        Change("a" * 40, change("m").at, "Mira <mira@x>", "first"),
    ]
    got = from_changes(line, read_rules(RULES, "r"), str, hidden=False)
    assert [(e.person, e.gate, e.id[:4]) for e in got.events] == [
        ("Sam <sam@x>", "tryjobs", "cccc")
    ]
    assert sum(got.passages["tryjobs"].values()) == 2
    assert got.left_out == 0
    skipped = replace(line[1], message="wip [skip ci]")
    quiet = from_changes([line[0], skipped, line[2]], read_rules(RULES, "r"), str, hidden=False)
    assert quiet.events == []


def test_who_lands_hundreds_of_equal_changes_is_asked_about() -> None:
    many = [change(f"Update dependency {n}", "Sync <s@x>") for n in range(200)]
    assert found(*many).notes == [
        "is this a machine? then name it with --bot: 'Sync <s@x>' "
        "(200 of 200 begin 'update dependency')"
    ]


def test_people_are_taken_out_of_reasons_when_they_are_hidden() -> None:
    got = found(
        change("mend it r=mnovak, as Novak and @sam said, from sam/branch\n\nNo-Try: true",
               "Mira Novak <mnovak@example.org>"),
        hidden=True,
    )  # fmt: skip
    assert got.events[0].reason == "mend it as <name> and <name> said, from <name>"
    assert [hit.line for hit in got.hits] == ["(hidden)"]


def test_a_repository_that_cannot_be_read_says_which_way(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", *words], check=True, capture_output=True)

    with pytest.raises(MisconfiguredError, match="is not a folder"):
        read_log(tmp_path / "none", "HEAD")
    (tmp_path / "plain").mkdir()
    with pytest.raises(MisconfiguredError, match="is no git repository"):
        read_log(tmp_path / "plain", "HEAD")
    git("init", "-q", "-b", "main", str(tmp_path / "full"))
    with pytest.raises(MisconfiguredError, match="has no commit yet"):
        read_log(tmp_path / "full", "HEAD")
    who = ("-c", "user.name=Mira", "-c", "user.email=m@x.org")
    for n in range(2):
        git("-C", str(tmp_path / "full"), *who, "commit", "-q", "--allow-empty", "-m", f"c{n}")
    (tmp_path / "full" / ".mailmap").write_text("Mira Novak <mira@x.org> <m@x.org>\n")
    read = list(read_log(tmp_path / "full", "HEAD"))
    assert {each.person for each in read if isinstance(each, Change)} == {"Mira Novak <mira@x.org>"}
    git("clone", "-q", "--depth", "1", f"file://{tmp_path / 'full'}", str(tmp_path / "cut"))
    with pytest.raises(MisconfiguredError, match="is a shallow clone") as caught:
        read_log(tmp_path / "cut", "HEAD")
    assert "--unshallow" in str(caught.value.hint)


def test_public_tables_need_no_renaming(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text(
        "committed_at,gate,person,actor,change_kind,bug,reason,auto_footer_revert\n"
        "2016-06-02T10:00:00Z,tryjobs,p1,human,change,5949,Remove targets,0\n"
        "2016-06-03T10:00:00Z,tryjobs,p1,human,revert,,Breaks bots,1\n"
        "2016-06-03T11:00:00Z,tryjobs,p2,bot,roll,,Roll,0\n"
    )
    (tmp_path / "w.csv").write_text("week_start,changes_all,changes_bot\n2016-05-30,50,8\n")
    (tmp_path / "p.csv").write_text("quarter,person,changes\n2016-Q2,p1,30\n")
    got = from_tables(
        tmp_path / "e.csv", tmp_path / "w.csv", tmp_path / "p.csv", str.strip, {}, hidden=False
    )
    assert [(e.incident, e.sanctioned) for e in got.events] == [("5949", False), ("", True)]
    assert got.passages == {"tryjobs": {date(2016, 5, 30): 42.0}}
    assert got.people == {"tryjobs": {"2016-Q2": {"p1": 30.0}}}


def test_a_table_without_its_column_names_the_option_that_helps(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("when,gate\n2016-06-02T10:00:00Z,a\n")
    (tmp_path / "w.csv").write_text("week_start,total\n2016-05-30,50\n")
    files = (tmp_path / "e.csv", tmp_path / "w.csv", None, str.strip)
    with pytest.raises(MalformedError, match="no column for 'time'") as caught:
        from_tables(*files, {}, hidden=False)
    assert caught.value.hint == "name it with --map time=COLUMN"
    assert len(from_tables(*files, {"time": "when"}, hidden=False).events) == 1
    (tmp_path / "w.csv").write_text("week_start,total\n2016-05-30,many\n")
    with pytest.raises(MalformedError, match=r"w.csv:2: 'many' is not a count"):
        from_tables(*files, {"time": "when"}, hidden=False)


def pull(number: int, author: str, *approved_by: str, day: int = 1) -> dict[str, object]:
    return {
        "number": number,
        "title": f"Change {number}",
        "mergedAt": f"2026-06-{day:02d}T10:00:00Z",
        "mergedBy": {"login": author},
        "author": {"login": author},
        "reviews": [{"state": "APPROVED", "author": {"login": who}} for who in approved_by],
    }


def test_a_merge_that_only_its_author_approved_is_a_bypass(tmp_path: Path) -> None:
    pulls = tmp_path / "pulls.json"
    pulls.write_text(
        json.dumps(
            [
                pull(1, "mira", "sam"),
                pull(2, "mira", "mira", day=2),
                pull(3, "sam", day=3),
                pull(4, "dependabot[bot]"),
                {"number": 5, "mergedAt": None},
            ]
        )
    )
    audit = tmp_path / "audit.json"
    audit.write_text(
        '{"action": "protected_branch.policy_override", "actor": "mira", "@timestamp": '
        '1780308000000, "repo": "org/shop", "_document_id": "d1"}\n'
        '{"action": "team.add_member", "actor": "sam", "@timestamp": 1780308000000}\n'
    )
    got = from_github(pulls, audit, str.strip, hidden=False)
    assert [(e.gate, e.id) for e in got.events] == [
        ("review", "pull-2"),
        ("review", "pull-3"),
        ("branch-protection", "d1"),
    ]
    assert sum(got.passages["review"].values()) == 3
    assert got.left_out == 1


def test_an_export_that_is_not_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text("{oops")
    with pytest.raises(MalformedError, match=r"p.json' is neither"):
        from_github(tmp_path / "p.json", None, str.strip, hidden=False)
    (tmp_path / "p.json").write_text('[{"mergedAt": "noon", "reviews": []}]')
    with pytest.raises(MalformedError, match=r"p.json: entry 1: 'noon' is not a time"):
        from_github(tmp_path / "p.json", None, str.strip, hidden=False)
