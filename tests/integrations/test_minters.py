"""What both programs of ``integrations/minters`` owe (docs/reference/command-minter.md)."""

from __future__ import annotations

import ast
import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from breakglass.errors import RefusedError
from tests.kit.mariadb_server import mariadb_target
from tests.kit.minter_program import HEARD, ProgramTarget, call, done, new_order
from tests.kit.redis_server import redis_target


@pytest.fixture(scope="module", params=["redis", "mariadb"])
def target(request: pytest.FixtureRequest) -> Iterator[ProgramTarget]:
    with redis_target() if request.param == "redis" else mariadb_target() as found:
        yield found


@pytest.fixture(autouse=True)
def no_secret_is_told() -> Iterator[None]:
    yield
    told = "".join(HEARD.stderr)
    assert [each for each in HEARD.passwords if each in told] == []


def refused(target: ProgramTarget, minted: dict[str, Any]) -> bool:
    try:
        target.log_in(minted["secret"])
    except RefusedError:
        return True
    return False


def test_it_says_what_it_is_also_while_the_target_is_away(target: ProgramTarget) -> None:
    said = done(target.argv, "describe")
    assert set(said) == {
        *("contract", "target", "shortest_s", "longest_s", "residual_tail_s", "binds_source"),
        *("expiry", "cutting", "unrecorded"),
    }
    assert (said["contract"], said["binds_source"]) == (1, False)
    assert 0 < said["shortest_s"] < said["longest_s"] <= 43200
    assert 0 < said["residual_tail_s"] <= 60
    target.away()
    assert done(target.argv, "describe") == said
    target.back()


def test_what_is_minted_works_at_once(target: ProgramTarget) -> None:
    wanted = new_order(target)
    minted = done(target.argv, "mint", wanted)
    assert set(minted) == {"secret", "connect", "ids"}
    assert minted["secret"]["password"] not in json.dumps([minted["connect"], minted["ids"]])
    assert wanted["handle"] in done(target.argv, "probe", {**wanted, **minted})["evidence"]
    assert target.works(target.log_in(minted["secret"]))
    assert done(target.argv, "list")["handles"].count(wanted["handle"]) == 1
    done(target.argv, "cut", wanted)


def test_a_secret_that_does_not_work_is_not_probed_well(target: ProgramTarget) -> None:
    wanted = new_order(target)
    minted = done(target.argv, "mint", wanted)
    wrong = {**minted["secret"], "password": "another"}
    assert call(target.argv, "probe", {**wanted, **minted, "secret": wrong}).exit == 5
    done(target.argv, "cut", wanted)
    assert call(target.argv, "probe", {**wanted, **minted}).exit == 5


def test_after_a_cut_no_session_and_no_login_is_left(target: ProgramTarget) -> None:
    wanted = new_order(target)
    minted = done(target.argv, "mint", wanted)
    sessions = [target.log_in(minted["secret"]) for _ in range(2)]
    assert done(target.argv, "cut", wanted) == {"sessions": 2}
    assert not any(target.works(each) for each in sessions)
    assert refused(target, minted)
    assert "refused" in done(target.argv, "probe-dead", wanted)["evidence"]
    assert wanted["handle"] in done(target.argv, "list")["handles"]
    assert done(target.argv, "tidy", wanted) == {"left_behind": []}
    assert "refused" in done(target.argv, "probe-dead", wanted)["evidence"]
    assert wanted["handle"] not in done(target.argv, "list")["handles"]


def test_to_cut_and_tidy_twice_or_what_never_was_is_no_error(target: ProgramTarget) -> None:
    wanted = new_order(target)
    for minted in (False, True):
        if minted:
            done(target.argv, "mint", wanted)
        for _ in range(2):
            assert done(target.argv, "cut", wanted) == {"sessions": 0}
        for _ in range(2):
            assert done(target.argv, "tidy", wanted) == {"left_behind": []}
        done(target.argv, "probe-dead", wanted)


@pytest.mark.parametrize("verb", ["probe-dead", "tidy"])
@pytest.mark.parametrize("live", [False, True])
def test_a_living_account_is_neither_called_dead_nor_tidied(
    target: ProgramTarget, verb: str, live: bool
) -> None:
    wanted = new_order(target)
    minted = done(target.argv, "mint", wanted)
    session = target.log_in(minted["secret"]) if live else None
    answer = call(target.argv, verb, wanted)
    assert (answer.exit, answer.told["error"]) == (3, "alive")
    assert "may still log in" in answer.told["says"]
    assert session is None or target.works(session)
    assert target.works(target.log_in(minted["secret"]))
    done(target.argv, "cut", wanted)


def test_minting_again_replaces_the_secret_and_cuts_sessions(target: ProgramTarget) -> None:
    wanted = new_order(target)
    lost = done(target.argv, "mint", wanted)
    session = target.log_in(lost["secret"])
    found = done(target.argv, "mint", wanted)
    assert not target.works(session)
    assert refused(target, lost)
    done(target.argv, "probe", {**wanted, **found})
    assert done(target.argv, "list")["handles"].count(wanted["handle"]) == 1
    done(target.argv, "cut", wanted)


def test_two_grants_share_nothing(target: ProgramTarget) -> None:
    first, second = new_order(target), new_order(target)
    done(target.argv, "mint", first)
    other = done(target.argv, "mint", second)
    session = target.log_in(other["secret"])
    done(target.argv, "cut", first)
    done(target.argv, "tidy", first)
    assert target.works(session)
    done(target.argv, "probe", {**second, **other})
    done(target.argv, "cut", second)


def test_another_minters_account_is_neither_listed_nor_touched(target: ProgramTarget) -> None:
    wanted = new_order(target)
    minted = done(target.sibling, "mint", wanted)
    session = target.log_in(minted["secret"])
    assert wanted["handle"] not in done(target.argv, "list")["handles"]
    assert wanted["handle"] in done(target.sibling, "list")["handles"]
    for verb in ("mint", "cut", "tidy"):
        answer = call(target.argv, verb, wanted)
        assert (answer.exit, answer.told["error"]) == (3, "refused")
    assert call(target.argv, "probe-dead", wanted).told["error"] == "alive"
    assert target.works(session)
    done(target.sibling, "cut", wanted)
    assert wanted["handle"] in done(target.sibling, "list")["handles"]


@pytest.mark.parametrize(
    "changed",
    [
        {"scope": {}},
        {"scope": {"roles": []}},
        {"scope": {"roles": ["of-nobody"]}},
        {"scope": {"roles": ["x` to root@localhost; -- "]}},
        {"scope": {"planets": ["mars"]}},
        {"source": ["192.0.2.0/24"]},
    ],
)
def test_what_means_nothing_here_is_refused_and_leaves_nothing(
    target: ProgramTarget, changed: dict[str, Any]
) -> None:
    wanted = new_order(target)
    for order in ({**wanted, **changed}, {**wanted, "scope": {**target.scope(), "may": ["x"]}}):
        answer = call(target.argv, "mint", order)
        assert (answer.exit, answer.told["error"]) == (3, "scope_unknown")
        assert wanted["handle"] not in done(target.argv, "list")["handles"]


def test_a_refused_mint_leaves_nothing_of_an_earlier_one(target: ProgramTarget) -> None:
    wanted = new_order(target)
    lost = done(target.argv, "mint", wanted)
    session = target.log_in(lost["secret"])
    assert call(target.argv, "mint", {**wanted, "scope": {"roles": ["of-nobody"]}}).exit == 3
    assert not target.works(session)
    assert refused(target, lost)
    done(target.argv, "probe-dead", wanted)
    assert wanted["handle"] not in done(target.argv, "list")["handles"]


def test_a_target_that_is_away_proves_nothing_and_comes_back(target: ProgramTarget) -> None:
    wanted = new_order(target)
    minted = done(target.argv, "mint", wanted)
    target.away()
    for verb in ("mint", "probe", "cut", "tidy", "probe-dead", "list", "check"):
        answer = call(target.argv, verb, {**wanted, **minted, "scopes": []})
        assert answer.exit == 5, verb
        assert answer.stderr.strip()
    target.back()
    done(target.argv, "probe", {**wanted, **minted})
    done(target.argv, "cut", wanted)
    done(target.argv, "probe-dead", wanted)


def test_a_check_finds_nothing_where_all_is_well_and_names_an_unknown_role(
    target: ProgramTarget,
) -> None:
    assert done(target.argv, "check", {"scopes": [target.scope()]}) == {"findings": []}
    (found,) = done(target.argv, "check", {"scopes": [{"roles": ["of-nobody"]}]})["findings"]
    assert "of-nobody" in found["says"]
    assert found["stops"]
    assert found["hint"]


@pytest.mark.parametrize("verb", ["rename", "__init__", "_own"])
def test_an_unknown_verb_is_said(target: ProgramTarget, verb: str) -> None:
    answer = call(target.argv, verb)
    assert (answer.exit, answer.told) == (5, {})
    assert "wanted" in answer.stderr


@pytest.mark.parametrize("handle", ["bg_x' or 1=1", "bg_", "root", "bg_x\n", "bg_ x"])
def test_a_handle_of_another_form_goes_nowhere(target: ProgramTarget, handle: str) -> None:
    for verb in ("mint", "cut", "probe-dead", "tidy"):
        assert call(target.argv, verb, {**new_order(target), "handle": handle}).exit == 5


def test_settings_that_others_may_read_are_refused(target: ProgramTarget) -> None:
    argv = target.argv
    Path(argv[-1]).chmod(0o640)
    answer = call(argv, "list")
    assert answer.exit == 5
    assert "chmod 600" in answer.stderr


@pytest.mark.parametrize("again", [False, True])
def test_a_mint_that_is_killed_anywhere_and_made_again_converges(
    target: ProgramTarget, again: bool
) -> None:
    steps, killed = 0, True
    while killed:
        wanted = new_order(target)
        before = done(target.argv, "mint", wanted) if again else None
        session = target.log_in(before["secret"]) if before else None
        killed = target.killed_after(steps, "mint", wanted)
        listed = wanted["handle"] in done(target.argv, "list")["handles"]
        assert listed or call(target.argv, "probe-dead", wanted).exit == 0
        minted = done(target.argv, "mint", wanted)
        assert session is None or not target.works(session)
        assert before is None or refused(target, before)
        done(target.argv, "probe", {**wanted, **minted})
        done(target.argv, "cut", wanted)
        done(target.argv, "probe-dead", wanted)
        done(target.argv, "tidy", wanted)
        steps += 1
    assert steps > 3


@pytest.mark.parametrize("verb", ["cut", "tidy"])
def test_an_end_that_is_killed_anywhere_and_called_again_converges(
    target: ProgramTarget, verb: str
) -> None:
    steps, killed = 0, True
    while killed:
        wanted = new_order(target)
        minted = done(target.argv, "mint", wanted)
        session = target.log_in(minted["secret"])
        if verb == "tidy":
            done(target.argv, "cut", wanted)
        killed = target.killed_after(steps, verb, wanted)
        done(target.argv, verb, wanted)
        assert not target.works(session)
        assert refused(target, minted)
        done(target.argv, "probe-dead", wanted)
        assert (wanted["handle"] in done(target.argv, "list")["handles"]) == (verb == "cut")
        steps += 1
    assert steps > 3


def test_many_at_once_leave_nothing(target: ProgramTarget) -> None:
    orders = [new_order(target) for _ in range(12)]

    def whole_life(wanted: dict[str, Any]) -> None:
        minted = done(target.argv, "mint", wanted)
        done(target.argv, "probe", {**wanted, **minted})
        done(target.argv, "cut", wanted)
        done(target.argv, "probe-dead", wanted)
        done(target.argv, "tidy", wanted)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(whole_life, orders))
    assert not {each["handle"] for each in orders} & set(done(target.argv, "list")["handles"])


def test_a_copy_of_the_program_needs_nothing_but_python(target: ProgramTarget) -> None:
    text = Path(target.argv[0]).read_text("utf-8")
    assert os.access(target.argv[0], os.X_OK)
    assert text.startswith("#!/usr/bin/env python3\n")
    imported = {
        name.partition(".")[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
        )
        if name
    }
    assert imported <= sys.stdlib_module_names
