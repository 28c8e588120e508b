"""The shop that these tests share: everything real but the target and the monitor."""

from __future__ import annotations

import pytest

from tests.broker.shop import Shop, shared_shop


@pytest.fixture
def shop() -> Shop:
    """Return the running shop, with a monitor that has just pulsed."""
    found = shared_shop()
    found.pulse()
    return found
