"""A narrower glass admits all that was used, and is a part of what was granted."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakglass.errors import RefusedError
from breakglass.policy.parse import parse_bundle
from breakglass.policy.used.grant_use import GrantUse, HeardMinutes, TableRight
from breakglass.policy.used.proposal import Proposal, propose
from breakglass.policy.used.proposed_bundle import narrowed_files, unified_diff
from breakglass.policy.used.template_sql import target_statements
from tests.policy.used.kit import NOON, use, wide_files, wide_glass

GLASS = wide_glass()
MINT = GLASS.mints[0]
DATABASES = ("audit", "billing", "orders", "elsewhere")
RIGHTS = st.builds(
    TableRight,
    st.sampled_from(DATABASES),
    st.sampled_from(("public.orders", 'public."od""d, name"', "shop.items")),
    st.sampled_from(("select", "insert", "update", "delete")),
)


def proposed(*uses: GrantUse, **more: object) -> Proposal:
    return propose(GLASS, MINT, uses, **more)  # type: ignore[arg-type]


@st.composite
def lives(draw: st.DrawFn) -> list[GrantUse]:
    found = []
    for number in range(draw(st.integers(0, 7))):
        databases = draw(st.sets(st.sampled_from(DATABASES)))
        found.append(
            use(
                number,
                databases,
                {each for each in draw(st.sets(RIGHTS)) if each.database in databases},
                draw(st.integers(0, 60)),
                truncated=frozenset(
                    draw(st.sets(st.sampled_from(sorted(databases) or ["orders"])))
                ),
                beyond=frozenset(draw(st.sampled_from(((), ("CREATE TABLE in orders",))))),
                unproven=frozenset(draw(st.sampled_from(((), ("billing",))))),
                lost=draw(st.sampled_from(((), (), ("the log is silent",)))),
            )
        )
    return found


@given(lives(), st.sets(st.sampled_from(["wide", "other"])))
def test_the_proposed_scope_admits_every_used_act_and_is_a_part_of_what_was_granted(
    uses: list[GrantUse], shared: set[str]
) -> None:
    found = proposed(*uses, shared=shared)
    assert set(found.scope["databases"]) <= set(MINT.scope["databases"])
    assert set(found.scope.get("may", ())) <= set(MINT.scope["may"])
    assert found.for_ <= GLASS.for_
    for each in uses:
        used = each.values["databases"] & {*MINT.scope["databases"]}
        assert used <= {*found.scope["databases"]}
        assert each.lasted <= found.for_
        if found.template:
            assert not each.beyond
            assert not each.unproven
            assert {r for r in each.rights if r.database in used} <= {*found.rights}
            assert each.truncated & used <= {*found.truncated}
        else:
            assert found.scope["templates"] == MINT.scope["templates"]
            assert found.scope["may"] == MINT.scope["may"]
    used_rights = {right for each in uses for right in each.rights}
    assert {*found.rights} <= used_rights
    if any(each.lost for each in uses) or len(uses) < 5:
        assert not found.narrows
        assert found.stopped


@given(lives())
def test_the_changed_bundle_says_what_was_proposed_and_nothing_else(uses: list[GrantUse]) -> None:
    found, files = proposed(*uses), wide_files()
    after = narrowed_files(files, found)
    glass = parse_bundle(after).glasses["orders-repair"]
    assert dict(glass.mints[0].scope) == dict(found.scope)
    assert glass.for_ == found.for_
    assert (target_statements(found) == ()) is not (
        found.scope["databases"] != MINT.scope["databases"] or bool(found.template)
    )


def test_too_few_grants_or_too_short_a_time_propose_nothing_in_plain_words() -> None:
    found = proposed(*(use(each) for each in range(3)))
    assert found.stopped == (
        "3 grants were wholly seen; 5 are the least",
        "they lie within 20 days; 30 are the least",
    )
    assert not found.narrows


def test_a_grant_that_was_not_seen_is_left_out_by_name_alone_and_what_is_seen_of_it_counts() -> (
    None
):
    uses = [use(each) for each in range(5)]
    hidden = use(5, ("billing",), (), lost=("the log is silent from 03:00 to 05:00",))
    found = proposed(*uses, hidden)
    assert found.stopped == (
        f"{hidden.grant.grant} was not wholly seen: the log is silent from 03:00 to 05:00",
    )
    found = proposed(*uses, hidden, left_out=[hidden.grant.grant])
    assert not found.stopped
    assert found.scope["databases"] == ("billing", "orders")


def test_what_changes_tables_keeps_template_and_may_create() -> None:
    uses = [use(each) for each in range(5)]
    found = proposed(*uses, use(5, beyond=frozenset({"CREATE TABLE in orders"})))
    assert found.scope == {**MINT.scope, "databases": ("orders",)}
    assert found.kept == (
        "template wide: CREATE TABLE in orders: takes rights that no list of tables shows",
        "may_create: goes with its template",
    )


def test_a_database_stays_where_its_template_is_another_glasss_too() -> None:
    uses = [use(each, beyond=frozenset({"LOCK TABLE in orders"})) for each in range(5)]
    found = proposed(*uses, shared={"wide"})
    assert found.scope == MINT.scope
    assert found.kept[-1] == "databases audit, billing: template wide is another glass's too"


@pytest.mark.parametrize(("minutes", "wanted"), [(0, 15), (10, 20), (26, 55), (31, 120), (60, 120)])
def test_a_life_shrinks_where_the_longest_use_was_far_shorter(minutes: int, wanted: int) -> None:
    uses = [use(each, minutes=minutes) for each in range(5)]
    assert proposed(*uses).for_ == timedelta(minutes=wanted)


@pytest.mark.parametrize(
    "mint",
    [
        "postgres: {minter: orders-db, database: [audit, 'billing', orders],"
        " template: wide, may_create: true}",
        "postgres:\n        minter: orders-db\n        may_create: true  # migrations\n"
        "        template: wide\n        database: [audit, billing, orders]  # three",
    ],
)
def test_other_ways_of_writing_are_changed_in_their_place(mint: str) -> None:
    files = wide_files(mint)
    text = files["breakglass.yaml"].decode()
    if "\n" in mint:
        files["breakglass.yaml"] = text.replace(f"{{{mint}}}", f"\n      {mint}").encode()
    glass = wide_glass(files)
    found = propose(glass, glass.mints[0], [use(each) for each in range(5)])
    lines = list(unified_diff(files, narrowed_files(files, found)))
    assert not any("may_create" in each for each in lines if each.startswith("+"))
    assert sum(each.startswith("-") for each in lines) >= 3


def test_a_list_over_many_lines_is_left_to_a_person() -> None:
    mint = (
        "postgres: {minter: orders-db, database: [audit,\n"
        "        billing, orders], may_create: true, template: wide}"
    )
    files = wide_files(mint)
    glass = wide_glass(files)
    found = propose(glass, glass.mints[0], [use(each) for each in range(5)])
    with pytest.raises(RefusedError, match="better changed by hand") as raised:
        narrowed_files(files, found)
    assert raised.value.hint == "write there: database: orders"


def test_hours_in_which_nobody_wrote_are_told_and_a_heartbeat_mends_it() -> None:
    heard = HeardMinutes()
    hour = timedelta(hours=1)
    for minute in (0, 8, 16, 40, 50):
        heard.add(NOON + timedelta(minutes=minute))
    assert heard.lost(NOON, NOON + hour, "the log") == [
        "the log is silent from 2026-06-22 12:17 to 2026-06-22 12:40 UTC"
    ]
    for minute in range(60):
        heard.add(NOON + timedelta(minutes=minute))
    assert heard.lost(NOON, NOON + hour, "the log") == []
    assert len(heard.lost(NOON - hour, NOON + 2 * hour, "the log")) == 2
