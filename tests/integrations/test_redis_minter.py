"""What ``redis-minter`` does that is Redis' own: selectors, saved users, a login of least right."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from breakglass.errors import RefusedError
from tests.kit.minter_program import PROGRAMS, call, done, new_order
from tests.kit.redis_server import ADMIN_PASSWORD, LEAST, MINTER, RedisTarget, redis_target


@pytest.fixture(scope="module")
def target() -> Iterator[RedisTarget]:
    with redis_target() as found:
        yield found


def test_a_role_may_what_it_says_and_nothing_else(target: RedisTarget) -> None:
    admin = target.admin()
    for key in ("checkout:1", "cart:1"):
        assert admin.run("SET", key, "stuck") == "+OK"
    wanted = new_order(target)
    session = target.log_in(done(target.argv, "mint", wanted)["secret"])
    assert session.run("DEL", "checkout:1") == ":1"
    denied = (
        *("DEL cart:1", "SET checkout:1 x", "DEL breakglass:minter:cache", "FLUSHALL", "KEYS *"),
        *("ACL LIST", "CONFIG GET *", "CLIENT LIST", "DEL breakglass:session:x"),
    )
    for command in denied:
        assert session.run(*command.split()).startswith("-NOPERM"), command
    done(target.argv, "cut", wanted)


def test_two_roles_lend_each_other_neither_keys_nor_commands(target: RedisTarget) -> None:
    wanted = {**new_order(target), "scope": {"roles": ["fill-cart", "flush-checkout"]}}
    session = target.log_in(done(target.argv, "mint", wanted)["secret"])
    assert session.run("SET", "cart:2", "1") == "+OK"
    assert session.run("DEL", "checkout:2") == ":0"
    assert session.run("SET", "checkout:2", "1").startswith("-NOPERM")
    assert session.run("DEL", "cart:2").startswith("-NOPERM")
    done(target.argv, "cut", wanted)


def test_no_role_makes_users_whatever_it_says(target: RedisTarget) -> None:
    wanted = {**new_order(target), "scope": {"roles": ["too-much"]}}
    session = target.log_in(done(target.argv, "mint", wanted)["secret"])
    assert session.run("SET", "any", "1") == "+OK"
    assert session.run("ACL", "SETUSER", "mallory", "on", "nopass").startswith("-NOPERM")
    assert session.run("CONFIG", "SET", "requirepass", "x").startswith("-NOPERM")
    done(target.argv, "cut", wanted)


@pytest.mark.parametrize("word", ["on", ">secret", "nopass", "~a (+@all", "~a) on", "#aa", "reset"])
def test_a_role_holds_keys_channels_and_commands_alone(target: RedisTarget, word: str) -> None:
    argv = target.program("cache", roles={"flush-checkout": [word]})
    answer = call(argv, "list")
    assert (answer.exit, answer.told) == (5, {})
    assert "word of a role" in answer.stderr


def test_a_role_that_redis_does_not_take_leaves_nothing(target: RedisTarget) -> None:
    wanted = new_order(target)
    old = done(target.argv, "mint", wanted)
    answer = call(target.argv, "mint", {**wanted, "scope": {"roles": ["misspelt"]}})
    assert (answer.exit, answer.told["error"]) == (3, "scope_unknown")
    assert wanted["handle"] not in done(target.argv, "list")["handles"]
    with pytest.raises(RefusedError):
        target.log_in(old["secret"])


def test_redis_own_list_names_session_and_minter_and_no_secret(target: RedisTarget) -> None:
    wanted = new_order(target)
    minted = done(target.argv, "mint", wanted)
    for verb in (None, "cut"):
        if verb:
            done(target.argv, verb, wanted)
        (line,) = [each for each in target.admin().lines("ACL", "LIST") if wanted["handle"] in each]
        assert "(~breakglass:minter:cache ~breakglass:session:breakglass-INC-4821-mira " in line
        assert minted["secret"]["password"] not in line
    assert " off " in line
    assert "checkout" not in line
    done(target.argv, "tidy", wanted)


def test_a_session_name_cannot_become_a_right(target: RedisTarget) -> None:
    wanted = {**new_order(target), "session": "x) ~* +@all nopass (~y"}
    session = target.log_in(done(target.argv, "mint", wanted)["secret"])
    assert session.run("SET", "cart:1", "x").startswith("-NOPERM")
    done(target.argv, "cut", wanted)


def test_a_restart_forgets_the_account_and_that_is_proven(target: RedisTarget) -> None:
    wanted = new_order(target)
    minted = done(target.argv, "mint", wanted)
    target.away(saved=False)
    target.back()
    assert "absent" in done(target.argv, "probe-dead", wanted)["evidence"]
    assert wanted["handle"] not in done(target.argv, "list")["handles"]
    assert call(target.argv, "probe", {**wanted, **minted}).exit == 5
    assert done(target.argv, "cut", wanted) == {"sessions": 0}


def test_an_account_that_others_saved_comes_back_and_is_listed(target: RedisTarget) -> None:
    wanted = new_order(target)
    done(target.argv, "mint", wanted)
    target.away(saved=True)
    target.back()
    assert wanted["handle"] in done(target.argv, "list")["handles"]
    assert call(target.argv, "probe-dead", wanted).told["error"] == "alive"
    done(target.argv, "cut", wanted)
    done(target.argv, "tidy", wanted)


@pytest.mark.parametrize("rule", ["on nopass", "on >guessed"])
def test_an_account_of_nobody_that_may_log_in_is_alive(target: RedisTarget, rule: str) -> None:
    wanted = new_order(target)
    assert target.admin().run("ACL", "SETUSER", wanted["handle"], *rule.split()) == "+OK"
    assert call(target.argv, "probe-dead", wanted).told["error"] == "alive"
    assert call(target.argv, "cut", wanted).told["error"] == "refused"
    assert target.admin().run("ACL", "DELUSER", wanted["handle"]) == ":1"


@pytest.mark.parametrize("verb", ["probe-dead", "tidy"])
def test_an_account_that_is_off_is_alive_while_a_session_of_it_is(
    target: RedisTarget, verb: str
) -> None:
    wanted = new_order(target)
    session = target.log_in(done(target.argv, "mint", wanted)["secret"])
    assert target.admin().run("ACL", "SETUSER", wanted["handle"], "off") == "+OK"
    assert call(target.argv, verb, wanted).told["error"] == "alive"
    assert target.works(session)
    assert done(target.argv, "cut", wanted) == {"sessions": 1}
    done(target.argv, verb, wanted)


@pytest.mark.parametrize("right", LEAST.split())
def test_its_login_has_the_least_right(target: RedisTarget, right: str) -> None:
    wanted = new_order(target)
    done(target.argv, "mint", wanted)
    admin = target.admin()
    assert admin.run("ACL", "SETUSER", MINTER, f"-{right[1:]}") == "+OK"
    try:
        lost = [call(target.argv, verb, {**wanted, "scopes": []}) for verb in ("mint", "check")]
        lost += [call(target.argv, verb, wanted) for verb in ("cut", "probe-dead", "tidy")]
    finally:
        assert admin.run("ACL", "SETUSER", MINTER, right) == "+OK"
    missed = [each for each in lost if each.exit == 5 or each.told.get("error") == "minter_rights"]
    found = [each["hint"] for each in lost[1].told.get("findings", [])]
    assert missed
    assert lost[1].exit == 5 or any(right in each for each in found)
    for verb in ("cut", "probe-dead", "tidy"):
        done(target.argv, verb, wanted)


def test_a_check_tells_of_a_user_who_needs_no_password(target: RedisTarget) -> None:
    admin = target.admin()
    admin.run("ACL", "SETUSER", "default", "nopass")
    (found,) = done(target.argv, "check", {"scopes": [target.scope()]})["findings"]
    admin.run("ACL", "SETUSER", "default", "resetpass", f">{ADMIN_PASSWORD}")
    assert "'default'" in found["says"]
    assert not found["stops"]


def test_the_docstring_gives_its_login_these_rights() -> None:
    text = (PROGRAMS / "redis-minter").read_text("utf-8").partition("import hashlib")[0]
    assert [each for each in LEAST.split() if each not in text] == []
