"""What a module's tests share is made once: they go to one worker, as ``xdist_group`` says."""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)  # before the workers write the groups into the names
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests together that share a fixture of their module: a ledger, a server, a host.

    Spread over the workers each of them would make its own, and a start is most of the cost.
    """
    for item in items:
        info = getattr(item, "_fixtureinfo", None)
        if info is None or item.get_closest_marker("xdist_group"):
            continue
        shared = [each for found in info.name2fixturedefs.values() for each in found]
        if any(each.scope == "module" for each in shared):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
