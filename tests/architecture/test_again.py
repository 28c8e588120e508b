"""What ``.ci/run`` does with the few tests that fail in a long run: tried again, and named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.again import AT_MOST, failed_once

ROOT = Path(__file__).parents[2]
ONCE = """
from pathlib import Path

def test_race():
    seen = Path(__file__).with_name("seen")
    first = not seen.exists()
    seen.touch()
    assert not first

def test_wrong():
    assert False
"""


def again(folder: Path, *names: str) -> subprocess.CompletedProcess[str]:
    noted = folder / ".pytest_cache/v/cache"
    noted.mkdir(parents=True, exist_ok=True)
    (noted / "lastfailed").write_text(json.dumps(dict.fromkeys(names, True)))
    return subprocess.run(
        [sys.executable, str(ROOT / "tests/kit/again.py")],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "test_it.py").write_text(ONCE)
    return tmp_path


def test_what_passes_the_second_time_is_named_and_lets_the_run_pass(folder: Path) -> None:
    assert again(folder, "test_it.py::test_race").returncode == 1
    said = again(folder, "test_it.py::test_race")
    assert said.returncode == 0
    assert "failed once, and is to be mended: test_it.py::test_race" in said.stdout


def test_what_fails_twice_fails(folder: Path) -> None:
    assert again(folder, "test_it.py::test_wrong").returncode == 1


@pytest.mark.parametrize("count", [0, AT_MOST + 1])
def test_none_and_too_many_are_not_tried(folder: Path, count: int) -> None:
    said = again(folder, *(f"test_it.py::test_{each}" for each in range(count)))
    assert (said.returncode, "is to be mended" in said.stdout) == (2, False)


def test_a_run_that_noted_nothing_is_not_taken_as_passed(tmp_path: Path) -> None:
    assert failed_once(tmp_path / "lastfailed") == []
