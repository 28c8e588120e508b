"""Log sets that are ended, whatever happens in a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.ledger_client import Clerk
from tests.kit.processes import LogSet, make_log_set


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Clerk]]:
    """Make clerks with log sets that are ended afterwards."""
    made: list[LogSet] = []

    def make_one(**given: Any) -> Clerk:
        made.append(make_log_set(tmp_path / "set", **{"submitters": 2, **given}))
        return Clerk(made[-1])

    yield make_one
    for each in made:
        each.kill()
