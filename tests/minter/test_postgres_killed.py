"""A minter killed by SIGKILL in the middle of a mint leaves no role, or one that is found."""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
import time

import pytest

from breakglass.minter.platforms.platform import Account
from tests.kit.dying_mint import order_of
from tests.kit.postgres import MAJORS, Postgres, bg_roles
from tests.kit.postgres_catalogue import gone_roles_remains
from tests.kit.postgres_grants import started


@pytest.mark.parametrize("major", MAJORS)
def test_killed_behind_any_statement_of_a_mint_a_role_is_whole_and_found_or_not_there(
    major: int,
) -> None:
    place = started(major)
    server, platform = place.server, place.platform
    try:
        after, died, stood = 0, True, []
        while died:
            grant = "g-" + "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(12))
            order = order_of(grant)
            command = [sys.executable, "-m", "tests.kit.dying_mint", place.dsn, grant, str(after)]
            ended = subprocess.run(command, check=False).returncode
            died = ended == -signal.SIGKILL
            assert died or ended == 0
            until_alone(server)
            # Whoever starts next knows nothing: the target alone says what stands.
            stood.append(order.handle in bg_roles(server))
            assert platform.handles() == ([order.handle] if stood[-1] else [])
            if after % 2:  # the same token comes again …
                platform.probe(platform.mint(order))
            platform.cut(Account(order.handle))  # … or the sweep
            platform.probe_dead(Account(order.handle))
            assert platform.tidy(Account(order.handle)) == ()
            assert bg_roles(server) == []
            after += 1
        assert stood == sorted(stood)  # from the commit on it stands, and never before
        assert set(stood) == {False, True}
        assert gone_roles_remains(server) == []
    finally:
        platform.close()
        server.close()


def until_alone(server: Postgres) -> None:
    """Wait until the server has seen that the minter is gone."""
    query = (
        "select pid from pg_stat_activity where application_name = 'breakglass-minter-orders-db'"
        " and state <> 'idle'"
    )
    until = time.monotonic() + 20
    while server.column(query):
        assert time.monotonic() < until
        time.sleep(0.02)
