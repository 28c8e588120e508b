"""People's signatures, keys and note lines, each forged by one thing and refused by its name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "vectors" / "signing"
CASES = [
    (file, case)
    for file in ("signatures", "keys", "notes")
    for case in json.loads((VECTORS / f"{file}.json").read_text("utf-8"))
]


@pytest.mark.parametrize(
    ("file", "case"), CASES, ids=[f"{file}-{case['name']}" for file, case in CASES]
)
def test_a_vector_comes_out_as_it_says(file: str, case: dict[str, Any]) -> None:
    """(S-11) (S-12) (S-13) (S-14) (S-15) (S-16) (C-9) (R-20)"""
    from vectors.signing.make import answer

    assert answer(file, case) == case["expect"]


def test_the_vectors_are_what_their_script_writes() -> None:
    from vectors.signing import make

    assert make.main(["--check"]) == 0


def test_every_name_of_a_failure_has_a_vector() -> None:
    said = {case["expect"].get("name") for _, case in CASES}
    names = "bad_sshsig bad_ssh_key bad_passkey foreign_key namespace signature presence"
    assert {*names.split(), "shared_key", "bad_note"} <= said


@pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed")
def test_a_second_implementation_answers_every_vector_alike() -> None:
    """Go's standard library alone: no line of the verifier above, and no network."""
    done = subprocess.run(
        ["go", "test", "-count=1", "./signing"],
        cwd=ROOT / "integrations" / "go-verify",
        capture_output=True,
        text=True,
        env={**os.environ, "GOFLAGS": "-mod=mod", "GOPROXY": "off"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
