"""A second verifier, written in Go from the specification alone, gives the same answers."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "vectors" / "token"
CASES = sorted((VECTORS / "cases").glob("*.json"))


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("go") / "go-verify"
    built = subprocess.run(
        ["go", "build", "-o", str(made), "."],
        cwd=ROOT / "integrations" / "go-verify",
        capture_output=True,
        text=True,
        check=False,
    )
    if "dial tcp" in built.stderr or "no such host" in built.stderr:
        pytest.skip("golang.org/x/mod cannot be fetched here")
    assert built.returncode == 0, built.stderr
    return made


def says(binary: Path, *cases: Path, folder: Path = VECTORS) -> subprocess.CompletedProcess[str]:
    command = [str(binary), "token", str(folder), *map(str, cases)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed")
def test_every_vector_comes_out_of_the_go_verifier_as_it_says(binary: Path) -> None:
    said = says(binary, *CASES)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout == f"{len(CASES)} tokens came out as their vectors say\n"


@pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed")
def test_an_answer_that_is_not_the_vectors_is_said(binary: Path, tmp_path: Path) -> None:
    case = tmp_path / "good.json"
    case.write_text((VECTORS / "cases" / "good.json").read_text().replace('"42"', '"43"'))
    said = says(binary, case)
    assert said.returncode == 1
    assert "got false refused wrong_run" in said.stderr


@pytest.mark.parametrize("role", ["maintainer", "custodian"])
@pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed")
def test_a_trust_file_that_gives_two_people_one_key_is_refused(
    binary: Path, tmp_path: Path, role: str
) -> None:
    """(R-7) Else one maintainer is two, or one custodian: by the point, before any signature."""
    case = json.loads((VECTORS / "cases" / "good.json").read_text("utf-8"))
    text = (VECTORS / case["trust"]).read_text("utf-8")
    line = next(each for each in text.splitlines() if each.startswith(f"{role} "))
    twin = f"{role} twin {line.split(' ', 2)[2]}"
    (tmp_path / "twin.trust").write_text(text.replace(line, f"{line}\n{twin}"), "utf-8")
    case |= {
        "trust": "twin.trust",
        "outcome": {"accepted": False, "kind": "malformed", "name": "bad_trust"},
    }
    (tmp_path / "twin.json").write_text(json.dumps(case), "utf-8")
    said = says(binary, tmp_path / "twin.json", folder=tmp_path)
    assert (said.returncode, said.stderr) == (0, "")
