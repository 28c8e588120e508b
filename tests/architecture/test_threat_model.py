"""Every row of the threat model, and of what was tried, names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROWS = [
    line
    for line in (ROOT / "docs" / "threat-model.md").read_text().splitlines()
    if line.startswith("| ")
    and not line.startswith(("| ---", "| stolen |", "| attack", "| failure"))
]
TRIED = [
    line
    for page in sorted((ROOT / "docs" / "tried").glob("*.md"))
    for line in page.read_text().splitlines()
    if line.startswith("| ") and not line.startswith(("| ---", "| case "))
]
DEFINED = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^\s*def (test_\w+)", path.read_text(), re.MULTILINE)
}

ATTACKS_ON_THE_LEDGER = (
    "edit or delete a stored entry",
    "truncation or rollback",
    "rewrite and sign again with the log key",
    "split view",
    "log key theft",
    "submitter key theft",
    "witness key theft",
    "withheld data",
    "broker omits to log",
    "receipt replayed",
    "delete marker, newer version, default retention removed, key management",
    "an insider holds ledger and archiver",
    "a clock that lies",
    "flood",
)


@pytest.mark.parametrize("attack", ATTACKS_ON_THE_LEDGER)
def test_no_attack_on_the_ledger_is_left_out_and_each_says_who_when_and_whether(
    attack: str,
) -> None:
    text = (ROOT / "docs" / "threat-model.md").read_text()
    section = text.partition("\n## The ledger\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith(f"| {attack}")]
    assert len(rows) == 1
    cells = [cell.strip() for cell in rows[0].strip("|").split("|")]
    assert len(cells) == 5
    assert all(cells), "who sees it, how soon, whether it is prevented, which tests"


@pytest.mark.parametrize("row", ROWS, ids=[row.split("|")[1].strip()[:60] for row in ROWS])
def test_a_row_names_a_test_that_exists(row: str) -> None:
    named = re.findall(r"`(test_\w+)`", row)
    assert named, "a row without a test is not a claim"
    assert [name for name in named if name not in DEFINED] == []


@pytest.mark.parametrize("row", TRIED, ids=[row.split("|")[1].strip()[:60] for row in TRIED])
def test_a_case_that_was_tried_names_a_test_or_says_that_it_is_open(row: str) -> None:
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert len(cells) == 4, "the case, what was done, the right answer, its tests"
    named = re.findall(r"`(test_\w+)`", cells[3])
    assert named or cells[3].startswith("open: ")
    assert [name for name in named if name not in DEFINED] == []
