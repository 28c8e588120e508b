"""Grants and their use, made up: what a log would have told."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

from breakglass.policy.glass import Glass
from breakglass.policy.parse import parse_bundle
from breakglass.policy.used.grant_use import GrantUse, TableRight
from breakglass.policy.used.lived_grant import LivedGrant
from tests.policy.kit import files_of

NOON = datetime(2026, 6, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)
_GATES = "    opens_gates: [orders-write]\n"
_MINT = "postgres: {minter: orders-db, database: orders, template: breakglass_orders_repair}"


def wide_files(mint: str = "", glass_for: str = "2h") -> dict[str, bytes]:
    """Return a bundle whose glass ``orders-repair`` gives more."""
    wide = mint or (
        "postgres: {minter: orders-db, database: [audit, billing, orders],"
        " may_create: true, template: wide}"
    )
    files: dict[str, bytes] = files_of(
        "demo", (_MINT, wide), ("for: 20m", f"for: {glass_for}"), (_GATES, "")
    )
    return files


def wide_glass(files: dict[str, bytes] | None = None) -> Glass:
    """Return that glass."""
    return parse_bundle(files or wide_files()).glasses["orders-repair"]


def lived(number: int = 0, platform: str = "postgres", **scope: Any) -> LivedGrant:
    """Return the grant of so many tens of days after noon; it lived for an hour."""
    begins = NOON + 10 * number * DAY
    return LivedGrant(
        f"g-{'abcdefghijklmnop'[number] * 12}", "orders-repair", "mira", "INC-1", "orders-db",
        platform, scope, begins, begins + timedelta(hours=1),
    )  # fmt: skip


def use(
    number: int = 0,
    databases: Collection[str] = ("orders",),
    rights: Collection[TableRight] = (TableRight("orders", "public.orders", "select"),),
    minutes: int = 10,
    **more: Any,
) -> GrantUse:
    """Return what that grant used, for so many minutes."""
    grant = lived(number)
    return GrantUse(
        grant,
        {"databases": frozenset(databases)},
        frozenset(rights),
        last=grant.begins + timedelta(minutes=minutes),
        **more,
    )
