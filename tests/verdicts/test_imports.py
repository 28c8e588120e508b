"""Histories made from a repository, tables and GitHub's exports."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from breakglass.errors import MalformedError, MisconfiguredError, RefusedError
from breakglass.verdicts.imports.git_log import Change, from_changes, parse_log, read_log
from breakglass.verdicts.imports.github import from_github
from breakglass.verdicts.imports.pseudonyms import pseudonyms
from breakglass.verdicts.imports.rulefile import Items, Table, Text, parse_rules
from breakglass.verdicts.imports.rules import read_rules
from breakglass.verdicts.imports.tables import from_tables
from breakglass.verdicts.imports.usual_signs import gates_gone_round, usual_rules

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


def found(*changes: Change, hidden: bool = False):  # type: ignore[no-untyped-def]
    return from_changes(changes, read_rules(RULES, "rules.yaml"), str.strip, hidden=hidden)


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
    assert len(found(*changes).events) == 2
    with pytest.raises(MisconfiguredError, match="git cannot read branch 'nope'"):
        read_log(tmp_path, "nope")
    with pytest.raises(MisconfiguredError, match="git cannot read branch '--output=x'"):
        read_log(tmp_path, "--output=x")
    assert not (tmp_path / "x").exists()


def test_without_a_rule_file_only_gates_that_were_gone_round_are_told() -> None:
    told = from_changes(
        [change("One"), change("Two\n\nNo-Try: true", day=2), change("Three [skip ci]", day=3)],
        usual_rules(),
        str,
        hidden=False,
    )
    assert sorted(gates_gone_round(told).passages) == ["ci", "tryjobs"]
    nothing = from_changes([change("One")], usual_rules(), str, hidden=False)
    with pytest.raises(RefusedError, match="no change shows a usual sign"):
        gates_gone_round(nothing)


def test_a_torn_log_is_refused() -> None:
    with pytest.raises(MalformedError, match="record 1 has 2 of 4 fields"):
        list(parse_log("abc\x1f2026-06-01T00:00:00Z\x1e"))


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
    (tmp_path / "p.json").write_text('[{"mergedAt": "noon"}]')
    with pytest.raises(MalformedError, match=r"p.json: entry 1: 'noon' is not a time"):
        from_github(tmp_path / "p.json", None, str.strip, hidden=False)
