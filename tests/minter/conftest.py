"""The shop that these tests share, everything real but the target and the monitor; and a minter
in this thread, for its steps and branches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.broker.shop import Shop, shared_shop
from tests.kit.one_minter import OneMinter, TwoBrokers
from tests.kit.postgres_grants import Place, started

Make = Callable[..., OneMinter]


@pytest.fixture
def shop() -> Shop:
    """Return the running shop, with a monitor that has just pulsed."""
    found = shared_shop()
    found.pulse()
    return found


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[OneMinter] = []

    def one(**how: Any) -> OneMinter:
        made.append(OneMinter(tmp_path, **how))
        return made[-1]

    yield one
    for each in made:
        each.close()


@pytest.fixture(scope="module")
def places() -> Iterator[Callable[[int], Place]]:
    """Start a PostgreSQL of a major version with a minter's platform, once."""
    found: dict[int, Place] = {}

    def place(major: int) -> Place:
        if major not in found:
            found[major] = started(major)
        return found[major]

    yield place
    for each in found.values():
        each.platform.close()
        each.server.close()


@pytest.fixture
def minter(make: Make) -> OneMinter:
    return make()


@pytest.fixture
def all_minter(make: Make) -> OneMinter:
    """Return a minter of an organisation in which two people may stop everything."""
    return make(org=TwoBrokers(kinds="2", killers=("sam", "noor")))
