"""Every row of the threat model names tests, and every one of them is there."""

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
DEFINED = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^\s*def (test_\w+)", path.read_text(), re.MULTILINE)
}


@pytest.mark.parametrize("row", ROWS, ids=[row.split("|")[1].strip()[:60] for row in ROWS])
def test_a_row_names_a_test_that_exists(row: str) -> None:
    named = re.findall(r"`(test_\w+)`", row)
    assert named, "a row without a test is not a claim"
    assert [name for name in named if name not in DEFINED] == []
