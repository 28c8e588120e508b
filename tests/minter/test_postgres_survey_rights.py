"""A minter's role that could read what only a survey needs is found by ``minter check``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from breakglass.minter.platforms.postgres_check import check_target
from tests.kit.postgres import MAJORS
from tests.kit.postgres_grants import ORDERS, Place

_RULES = "pg_catalog.pg_hba_file_rules"


def stops(place: Place) -> list[str]:
    found = check_target(place.dsn, "", 0, [ORDERS], datetime.now(UTC))
    return [each.says for each in found if each.stops and "only a survey needs" in each.says]


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize(
    ("given", "taken", "named"),
    [
        ("grant pg_monitor to {who}", "revoke pg_monitor from {who}", "pg_monitor"),
        ("grant pg_read_all_data to {who}", "revoke pg_read_all_data from {who}", "all_data"),
        (
            f"grant execute on function {_RULES}() to {{who}}; grant select on {_RULES} to {{who}}",
            f"revoke execute on function {_RULES}() from {{who}};"
            f" revoke select on {_RULES} from {{who}}",
            "pg_hba_file_rules",
        ),
    ],
)
def test_a_minter_that_could_read_what_only_a_survey_needs_fails_its_check(
    places: Callable[[int], Place], major: int, given: str, taken: str, named: str
) -> None:
    place, who = places(major), "breakglass_minter"
    assert stops(place) == []
    place.server.run(given.format(who=who), dbname="orders")
    try:
        assert named in "".join(stops(place))
    finally:
        place.server.run(taken.format(who=who), dbname="orders")
    assert stops(place) == []
