"""A credential counts by its minter's word, whoever brought it; each forgery has its name."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from breakglass.clock import parse_time
from breakglass.errors import UnprovenError
from breakglass.records.handout import HandedCredential, check_handout
from breakglass.records.statement import grant_id
from breakglass.records.trust import parse_trust

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


def test_what_people_had_to_approve_lives_behind_their_wait_and_no_second_longer() -> None:
    """(H-4) A second too long for who broke alone is within the wait of who asked."""
    (case,) = [each for each in CASES if each["name"] == "lives-too-long"]
    given = HandedCredential(case["note"], case["sealed"], case["connect"])
    trust, now = parse_trust(case["trust"]), parse_time(case["now"])
    waited = timedelta(seconds=1)
    found = check_handout(given, case["statement"], trust, now, waited)
    assert found.grant == grant_id(case["statement"])
    with pytest.raises(UnprovenError) as caught:
        check_handout(given, case["statement"], trust, now, waited - timedelta(milliseconds=1))
    assert caught.value.name == "handout_until"
