"""Benchmarks are run by hand; what they import must not go away meanwhile."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHES = sorted((ROOT / "bench").glob("*.py"))


@pytest.mark.parametrize("bench", BENCHES, ids=[bench.stem for bench in BENCHES])
def test_a_benchmark_still_finds_what_it_measures(
    bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(bench.parent), *sys.path])
    names = runpy.run_path(str(bench), run_name="looked at")
    assert callable(names["main"])
