"""A minter that dies by SIGKILL behind so many statements: ``python -m tests.kit.dying_mint``.

Arguments: the minter's dsn, the grant, and behind how many statements of a mint.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from breakglass.minter.platforms.platform import Order
from breakglass.minter.platforms.postgres import Postgres, PostgresSettings
from breakglass.records.grant import handle_of
from tests.kit.postgres_grants import ORDERS


def order_of(grant: str) -> Order:
    """Return what is ordered for a grant, here and by whoever comes behind."""
    now = datetime.now(UTC)
    return Order(grant, handle_of(grant), "s", ORDERS, now, now + timedelta(minutes=5))


def main(dsn: str, grant: str, after: int) -> None:
    """Mint, and die; ends by itself if there are fewer statements."""
    platform, left = Postgres(PostgresSettings(dsn), "orders-db", "ledger.example/one"), [after]

    def execute(cursor: Any, *parts: Any, **how: Any) -> Any:
        found = run(cursor, *parts, **how)
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    run, psycopg.Cursor.execute = psycopg.Cursor.execute, execute  # type: ignore[method-assign]
    platform.mint(order_of(grant))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
