"""The SQL that is run once: what the page shows is what the function gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from breakglass.errors import MalformedError, MisconfiguredError
from breakglass.minter.platforms.postgres_setup import (
    Template,
    limits_of,
    setup_statements,
    setup_text,
)

PAGE = Path("docs/reference/minters.md")
REPAIR = Template(
    "breakglass_orders_repair", ("orders",), {"orders": ("select, update on orders",)}
)


def shown(server: int) -> str:
    return setup_text(server, setup_statements(server, "breakglass_minter", (REPAIR,)))


def test_the_page_shows_what_an_administrator_runs() -> None:
    page = PAGE.read_text("utf-8")
    for server in (15, 16):
        assert f"```sql\n{shown(server)}\n```" in page
    assert shown(16) == shown(17) == shown(18)


def test_an_older_server_names_its_limits_and_gets_no_words_that_it_does_not_know() -> None:
    older = shown(15)
    assert "admin true" not in older
    assert older.startswith("-- PostgreSQL 15: CREATEROLE may change every role")
    assert len(limits_of(15)) == 2
    assert limits_of(16) == ()


def test_a_server_that_is_too_old_is_refused_with_its_version() -> None:
    with pytest.raises(MisconfiguredError, match="the target is PostgreSQL 14, and a minter needs"):
        setup_statements(14, "minter", (REPAIR,))


def test_names_and_passwords_are_quoted() -> None:
    odd = Template('a"; drop role x; --', ("o'rders",))
    first, *rest = setup_statements(18, "min ter", (odd,), "it's", shut_public=True)
    assert first.sql == """create role "min ter" login createrole password 'it''s'"""
    assert rest[0].sql == 'revoke connect on database "o\'rders" from public'
    assert rest[2].sql == 'create role "a""; drop role x; --" nologin'


def test_a_right_is_one_grant_in_a_database_of_the_template() -> None:
    for rights in (
        {"orders": ("select on orders to public; drop table x",)},
        {"orders": ("select on orders\nto public",)},
        {"billing": ("select on bills",)},
    ):
        with pytest.raises(MalformedError):
            setup_statements(18, "minter", (Template("fix", ("orders",), rights),))
