"""A permit opens one reading of one ask, by a monitor's word; each forgery has its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from breakglass.errors import MalformedError
from breakglass.records.permit import parse_permit

FILE = Path(__file__).resolve().parents[2] / "vectors" / "permit" / "permits.json"
CASES = json.loads(FILE.read_text("utf-8"))


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_vector_comes_out_as_it_says(case: dict[str, Any]) -> None:
    """(B-1) (B-2) (B-3) (B-4)"""
    from vectors.permit.make import answer

    assert answer(case) == case["expect"]


def test_the_vectors_are_what_their_script_writes() -> None:
    from vectors.permit import make

    assert make.main(["--check"]) == 0


def test_every_name_of_a_failure_has_a_vector() -> None:
    said = {case["expect"].get("name") for case in CASES}
    wanted = {"bad_permit", "permit_signer", "signature", "wrong_log", "wrong_grant", "permit_over"}
    assert wanted <= said


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_an_error_repeats_nothing_of_a_permit(cut: int) -> None:
    """(B-6) A permit is a bearer; what is refused may stand in a log."""
    whole = next(case["permit"] for case in CASES if case["name"] == "holds")
    with pytest.raises(MalformedError, match="cannot be read") as caught:
        parse_permit(whole[:-cut])
    said = f"{caught.value} {caught.value.hint}"
    assert not any(whole[at : at + 12] in said for at in range(0, len(whole) - cut - 12, 12))


def test_a_permit_is_nothing_but_a_permit() -> None:
    """(B-5) Where a session, a statement or an upload's permit is asked for, it is none."""
    from breakglass.records.session import read_carried
    from breakglass.records.statement import parse_statement
    from breakglass.submit.blob_upload import read_permit

    whole = next(case["permit"] for case in CASES if case["name"] == "holds")
    text = parse_permit(whole)[1].text
    for reads, given in ((read_carried, whole), (parse_statement, text), (read_permit, whole)):
        with pytest.raises(MalformedError):
            reads(given)
