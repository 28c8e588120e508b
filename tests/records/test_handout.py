"""A credential counts by its minter's word, whoever brought it; each forgery has its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).resolve().parents[2] / "vectors" / "handout" / "handouts.json"
CASES = json.loads(FILE.read_text("utf-8"))


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_vector_comes_out_as_it_says(case: dict[str, Any]) -> None:
    """(H-1) (H-2) (H-3) (H-4)"""
    from vectors.handout.make import answer

    assert answer(case) == case["expect"]


def test_the_vectors_are_what_their_script_writes() -> None:
    from vectors.handout import make

    assert make.main(["--check"]) == 0


def test_every_name_of_a_failure_has_a_vector() -> None:
    said = {case["expect"].get("name") for case in CASES}
    assert {"handout_signer", "signature", "handout_mismatch", "handout_until"} <= said
