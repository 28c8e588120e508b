"""Each limit is written once, told with its number, and rehearsed before anybody signs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from breakglass.errors import MalformedError, MisconfiguredError
from breakglass.policy.bundle import FILES_AT_MOST, PACKED_BYTES_AT_MOST
from breakglass.policy.cards import rehearse
from breakglass.policy.people import KEYS_AT_MOST, PEOPLE_AT_MOST, parse_people
from breakglass.policy.yaml_nodes import NODES_AT_MOST, parse_yaml
from breakglass.records.fold.context import BUNDLE_BYTES_AT_MOST, READ_BYTES_AT_MOST
from breakglass.tlog.note import MAX_NOTE_BYTES

from .kit import policy_of

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "policy.md"
_NOW = datetime(2026, 6, 22, tzinfo=UTC)


def test_the_page_of_the_policy_says_the_limits_that_hold() -> None:
    text = _PAGE.read_text().partition("## Limits\n")[2].partition("\n## ")[0]
    for row in (
        f"| a bundle, packed | {PACKED_BYTES_AT_MOST:,} bytes, {FILES_AT_MOST} files, ",
        f" {NODES_AT_MOST:,} values |",
        f"| people in a bundle, a group or a glass | {PEOPLE_AT_MOST:,} |",
        f"| keys of a person | {KEYS_AT_MOST} |",
        f"| a list of people as cards carry it | {READ_BYTES_AT_MOST:,} bytes |",
        f"| a card | {MAX_NOTE_BYTES:,} bytes",
    ):
        assert row in text
    assert PACKED_BYTES_AT_MOST == BUNDLE_BYTES_AT_MOST  # what is signed, every follower reads


def test_one_person_more_than_the_figure_is_told_with_the_figure() -> None:
    text = "people:\n" + "".join(f"  p-{each}: {{}}\n" for each in range(PEOPLE_AT_MOST + 1))
    people = parse_yaml("breakglass.yaml", text.encode()).entries["people"]
    with pytest.raises(MalformedError, match="people: expected 10000 people at most, got 10001"):
        parse_people(people)


def test_without_the_one_parser_no_policy_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(yaml, "CSafeLoader")
    with pytest.raises(MisconfiguredError, match="PyYAML was built without libyaml"):
        parse_yaml("breakglass.yaml", b"version: 1")


def test_a_card_that_no_gate_would_read_is_told_before_anybody_signs_it() -> None:
    rehearse(policy_of("demo"), _NOW)
    words = ", ".join(["w" * 200] * 60)
    acts = ", ".join(f"act-{each}: {{run: [/bin/act, {words}], within: 60s}}" for each in range(16))
    change = ("template: breakglass_orders_repair}", f"template: t, acts: {{{acts}}}}}")
    says = r"breakglass.yaml:\d+:\d+: glasses.orders-repair: expected a card of 40960 bytes at most"
    with pytest.raises(MalformedError, match=says):
        rehearse(policy_of("demo", change), _NOW)
