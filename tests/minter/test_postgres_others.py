"""What another administrator gave a grant's role, or by it, is taken at the end or told by name."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from breakglass.minter.platforms.platform import Account
from tests.kit.postgres import MAJORS, PASSWORD, bg_roles
from tests.kit.postgres_grants import BOTH, ORDERS, Place, started


@pytest.fixture(scope="module", params=MAJORS)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    found = started(request.param)
    found.server.run(
        f"create role dba login createrole password '{PASSWORD}'",
        "create role auditors nologin",
        "grant auditors to dba with admin option",
        "grant connect on database orders to dba",
    )
    found.server.run("grant select on secrets to auditors", dbname="orders")
    found.server.run("create type mood as enum ('calm')", dbname="orders")
    found.server.run("create function sum_up() returns int language sql as 'select 1'",
                     dbname="orders")  # fmt: skip
    found.server.run("create table bills(id int, eur int)", dbname="billing")
    yield found
    found.platform.close()
    found.server.close()


def as_dba(place: Place, *statements: str) -> None:
    with place.server.connected("dba", PASSWORD, "orders") as session:
        for each in statements:
            session.execute(each.encode())


def test_each_right_that_an_administrator_gave_is_told_with_its_thing_and_giver(
    place: Place,
) -> None:
    made = place.mint(ORDERS)
    name = made.handle
    given = (
        ("orders", f"grant select, update on secrets to {name}",
         "orders: not taken: select, update on table public.secrets, granted by postgres"),
        ("orders", f"grant select (id) on orders to {name}",
         "orders: not taken: select on column id of table public.orders, granted by orders_owner"),
        ("orders", f"grant usage on type mood to {name}",
         "orders: not taken: usage on type public.mood, granted by postgres"),
        ("orders", f"grant execute on function sum_up() to {name}",
         "orders: not taken: execute on function public.sum_up(), granted by postgres"),
        ("orders", f"grant temporary on database orders to {name}",
         "not taken: temporary on database orders, granted by postgres"),
        ("orders", f"alter default privileges for role orders_owner grant select on tables to"
         f" {name}",
         "orders: not taken: select on default privileges on new relations belonging to role"
         " orders_owner, granted by orders_owner"),
        ("billing", f"grant usage on schema public to {name}",
         "billing: not taken: usage on schema public, granted by "),
        ("billing", f"grant insert on bills to {name}",
         "billing: not taken: insert on table public.bills, granted by postgres"),
    )  # fmt: skip
    for database, grant, _ in given:
        place.server.run(grant, dbname=database)
    with place.holder(made) as session:
        session.execute("select * from secrets")
        left = place.ended(made)
        with pytest.raises(psycopg.OperationalError):
            session.execute("select * from secrets")
    for _, grant, told in given:
        assert any(told in line for line in left), "\n".join((grant, *left))
    assert name in bg_roles(place.server)  # shut out, and kept until somebody took these
    for database in ("orders", "billing"):
        place.server.run(f"drop owned by {name}", dbname=database)
    assert place.platform.tidy(Account(name)) == ()
    assert name not in bg_roles(place.server)


def test_a_membership_that_another_administrator_gave_goes_with_the_role(place: Place) -> None:
    made = place.mint(ORDERS)
    as_dba(place, f"grant auditors to {made.handle}")
    place.run(made, "select * from secrets")
    assert place.ended(made) == ()
    assert made.handle not in bg_roles(place.server)


def test_a_membership_is_told_with_its_giver_where_the_role_must_stay(place: Place) -> None:
    made = place.mint(ORDERS)
    as_dba(place, f"grant auditors to {made.handle}")
    place.server.run(f"grant breakglass_orders_repair to {made.handle} with admin option")
    place.run(made, "select lo_create(0)")
    left = place.ended(made)
    still = place.server.column(
        "select g.rolname || ' by ' || coalesce(b.rolname, '') from pg_auth_members m"
        " join pg_roles g on g.oid = m.roleid left join pg_roles b on b.oid = m.grantor"
        f" join pg_roles r on r.oid = m.member where r.rolname = '{made.handle}' order by 1"
    )
    if place.server.major >= 16:
        assert still == ["auditors by dba", "breakglass_orders_repair by postgres"]
    for each in still:
        role, _, giver = each.partition(" by ")
        told = [line for line in left if f"of {role}" in line and made.handle in line]
        assert any(giver in line or "permission denied" in line or "must have" in line
                   for line in told), left  # fmt: skip
    place.clean(made)


def test_what_the_holder_gave_by_a_membership_of_others_goes_with_the_role(place: Place) -> None:
    """Somebody let the grant hand ``auditors`` on, and it did."""
    made = place.mint(ORDERS)
    as_dba(place, f"grant auditors to {made.handle} with admin option")
    place.run(made, "grant auditors to intern")
    with place.server.connected("intern", PASSWORD, "orders") as friend:
        friend.execute("select * from secrets")
        left = place.ended(made)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            friend.execute("select * from secrets")
    assert left == ()
    query = "select 1 from pg_auth_members where member = 'intern'::regrole"
    assert place.server.column(query) == []
    assert made.handle not in bg_roles(place.server)


def test_a_role_that_another_administrator_made_the_grants_own_is_not_dropped(
    place: Place,
) -> None:
    """What somebody gave to the role, as an owner, is theirs to take back: never lost."""
    made = place.mint(BOTH if place.server.major >= 16 else ORDERS)
    place.server.run("create table given as select 7 as one", dbname="orders")
    place.server.run(f"alter table given owner to {made.handle}", dbname="orders")
    left = place.ended(made)
    assert any("1 of type table: public.given" in line for line in left), left
    assert place.server.column("select one from given", "orders") == ["7"]
    place.server.run(f"reassign owned by {made.handle} to orders_owner", dbname="orders")
    assert place.platform.tidy(Account(made.handle)) == ()
    place.server.run("drop table given", dbname="orders")
