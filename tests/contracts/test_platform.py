"""What every platform of a minter owes, real or simulated (``minter/platforms/platform.py``)."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest

from breakglass.clock import Deadline, SystemClock
from breakglass.errors import RefusedError, UnavailableError
from breakglass.minter.platforms.command import Command
from breakglass.minter.platforms.platform import Account, Credential, Order, Pending, Platform
from breakglass.minter.platforms.postgres import Postgres, PostgresSettings
from breakglass.minter.platforms.program import CommandSettings
from breakglass.minter.platforms.simulated import LIMITS, Simulated, Trouble
from breakglass.records.grant import handle_of
from tests.kit.command_minter import command
from tests.kit.mariadb_server import start_mariadb
from tests.kit.minter_program import WITHIN_S, ProgramTarget
from tests.kit.postgres import MAJORS, prepare, start_postgres
from tests.kit.processes import until
from tests.kit.redis_server import start_redis
from tests.kit.ssh_platform import SshPlace, holder_line
from tests.kit.ssh_target import SshTarget


class Target(Protocol):
    """A platform with its target, and what a holder can do there.

    Where a credential is bound to the holder's own key (SSH) there is no secret to replace:
    ``bound_to_key``. Then minting again gives the same once more and cuts nothing, and what was cut
    stays cut for ever, since the key that it was for is still there. ``ends_sessions``: the target
    ends live sessions at the end by itself.
    """

    bound_to_key: bool
    ends_sessions: bool

    @property
    def platform(self) -> Platform: ...
    @property
    def sibling(self) -> Platform: ...  # another minter at the same target
    def scope(self) -> dict[str, tuple[str, ...]]: ...
    def shown(self, order: Order) -> Order: ...  # with what the target itself asks for
    def log_in(self, credential: Credential) -> object: ...
    def works(self, session: object) -> bool: ...
    def away(self) -> None: ...
    def back(self) -> None: ...


class SecretTarget:
    """What holds where the secret is ours, and only we end sessions."""

    bound_to_key = False
    ends_sessions = False

    def shown(self, order: Order) -> Order:
        return order


class SimulatedTarget(SecretTarget):
    platform: Platform
    sibling: Platform

    def __init__(self, folder: Path) -> None:
        limits = replace(LIMITS, dimensions={"thing": "things"})
        self.platform = Simulated(folder / "target", "orders-db", SystemClock(), limits)
        self.sibling = Simulated(folder / "target", "billing-db", SystemClock(), limits)

    def scope(self) -> dict[str, tuple[str, ...]]:
        return {"things": ("all",)}

    def log_in(self, credential: Credential) -> object:
        return self.platform.log_in(credential.handle, str(credential.secret["password"]))

    def works(self, session: object) -> bool:
        assert isinstance(session, int)
        return self.platform.alive(session)

    def away(self) -> None:
        self.platform.trouble = Trouble(away=True)

    def back(self) -> None:
        self.platform.trouble = Trouble()


class CommandTarget(SimulatedTarget):
    """The simulator again, behind a program and its contract."""

    def __init__(self, folder: Path) -> None:
        self.simulated = Simulated(folder / "target", "orders-db", SystemClock())
        self.platform = command(folder, "orders-db")
        self.sibling = command(folder, "billing-db")

    def scope(self) -> dict[str, tuple[str, ...]]:
        return {"roles": ("all",)}

    def log_in(self, credential: Credential) -> object:
        return self.simulated.log_in(credential.handle, str(credential.secret["password"]))

    def works(self, session: object) -> bool:
        assert isinstance(session, int)
        return self.simulated.alive(session)

    def away(self) -> None:
        self.simulated.trouble = Trouble(away=True)

    def back(self) -> None:
        self.simulated.trouble = Trouble()


class OurProgramTarget(SecretTarget):
    """A program of ``integrations/minters``, with its real server."""

    def __init__(self, target: ProgramTarget) -> None:
        within = timedelta(seconds=WITHIN_S)
        self.target = target
        self.platform: Platform = Command(CommandSettings(tuple(target.argv), within))
        self.sibling: Platform = Command(CommandSettings(tuple(target.sibling), within))

    def scope(self) -> dict[str, tuple[str, ...]]:
        return {dimension: tuple(values) for dimension, values in self.target.scope().items()}

    def log_in(self, credential: Credential) -> object:
        return self.target.log_in(dict(credential.secret))

    def works(self, session: object) -> bool:
        return self.target.works(session)

    def away(self) -> None:
        self.target.away()

    def back(self) -> None:
        self.target.back()

    def close(self) -> None:
        self.target.close()


class PostgresTarget(SecretTarget):
    def __init__(self, major: int) -> None:
        self.server = start_postgres(major=major)
        settings = PostgresSettings(prepare(self.server))
        self.platform = Postgres(settings, "orders-db", "ledger.example/one")
        self.sibling = Postgres(settings, "billing-db", "ledger.example/one")

    def scope(self) -> dict[str, tuple[str, ...]]:
        return {"databases": ("orders",), "templates": ("breakglass_orders_repair",)}

    def log_in(self, credential: Credential) -> object:
        secret = credential.secret
        dsn = self.server.dsn(str(secret["user"]), str(secret["password"]), str(secret["dbname"]))
        return psycopg.connect(dsn, autocommit=True)

    def works(self, session: object) -> bool:
        assert isinstance(session, psycopg.Connection)
        try:
            session.execute("select 1")
        except psycopg.OperationalError:
            return False
        return True

    def away(self) -> None:
        self.server.away()

    def back(self) -> None:
        self.server.back()

    def close(self) -> None:
        self.platform.close()
        self.sibling.close()
        self.server.close()


class SimulatedSshTarget:
    """Simulated hosts: two that two minters have, one each."""

    bound_to_key = True
    ends_sessions = False

    def __init__(self, folder: Path) -> None:
        for name in ("web", "sibling"):
            (folder / name).mkdir()
        self.place = SshPlace(folder / "web", "web-1")
        self.platform: Platform = self.place.platform
        self.sibling: Platform = SshPlace(folder / "sibling", "web-1").platform

    def scope(self) -> dict[str, tuple[str, ...]]:
        return {"hosts": ("web-1",), "accounts": ("deploy",)}

    def shown(self, order: Order) -> Order:
        return replace(order, holder=holder_line(), token=b"a token, as it was shown")

    def log_in(self, credential: Credential) -> object:
        if not self.place.host().log_in(str(credential.secret["certificate"])):
            raise RefusedError("permission denied")
        return credential.handle

    def works(self, session: object) -> bool:
        assert isinstance(session, str)
        return self.place.host().sessions(session) > 0

    def away(self) -> None:
        self.place.trouble("web-1", "away")

    def back(self) -> None:
        self.place.trouble("web-1", "")


@pytest.fixture(scope="module")
def real() -> Iterator[Callable[[Any], Any]]:
    """Start a real server, once: a major version of PostgreSQL, or another's name."""
    started: dict[Any, Any] = {}

    def start(which: Any) -> Any:
        if which not in started and which == "ssh":
            started[which] = SshTarget()
        if which not in started:
            others = {"redis": start_redis, "mariadb": start_mariadb}
            started[which] = (
                OurProgramTarget(others[which]()) if which in others else PostgresTarget(which)
            )
        return started[which]

    yield start
    for each in started.values():
        each.close()


@pytest.fixture(
    params=["simulated", "command", "ssh-simulated", "ssh", "redis", "mariadb", *MAJORS]
)
def target(request: pytest.FixtureRequest, tmp_path: Path, real: Callable[[Any], Any]) -> Target:
    if request.param == "command":
        return CommandTarget(tmp_path)
    if request.param == "ssh-simulated":
        return SimulatedSshTarget(tmp_path)
    if request.param != "simulated":
        found: Target = real(request.param)
        return found
    return SimulatedTarget(tmp_path)


def order(target: Target, lives: timedelta = timedelta(minutes=5)) -> Order:
    letters = "abcdefghijklmnopqrstuvwxyz234567"
    grant = "g-" + "".join(secrets.choice(letters) for _ in range(12))
    now = datetime.now(UTC)
    skew = timedelta(seconds=120)
    made = Order(
        grant, handle_of(grant), "breakglass-INC-4821-mira", target.scope(), now - skew, now + lives
    )
    return target.shown(made)


def mint(platform: Platform, wanted: Order) -> Credential:
    """Order, and ask again for as long as the target says that it is not done."""
    while isinstance(made := platform.mint(wanted), Pending):
        time.sleep(made.again_in.total_seconds())
    return made


def probed(platform: Platform, credential: Credential) -> str:
    """Probe as a minter does: what does not work yet is asked again, for a while."""
    for _ in Deadline(timedelta(seconds=20)).tries(0.1):
        try:
            return platform.probe(credential)
        except UnavailableError:
            continue
    return platform.probe(credential)


def refused(target: Target, credential: Credential) -> bool:
    try:
        target.log_in(credential)
    except (RefusedError, psycopg.OperationalError):
        return True
    return False


def test_what_is_minted_works_at_once_and_says_so(target: Target) -> None:
    wanted = order(target)
    credential = mint(target.platform, wanted)
    assert wanted.handle in probed(target.platform, credential)
    assert target.works(target.log_in(credential))
    assert credential.expires == wanted.expires
    name = "certificate" if target.bound_to_key else "password"
    assert name not in credential.connect
    assert str(credential.secret[name]) not in repr(credential)
    target.platform.cut(Account(wanted.handle))


def test_after_a_cut_no_session_and_no_login_is_left_and_tidying_takes_the_account(
    target: Target,
) -> None:
    wanted = order(target)
    credential = mint(target.platform, wanted)
    session = target.log_in(credential)
    assert target.platform.cut(Account(wanted.handle)) == 1
    assert not target.works(session)
    assert refused(target, credential)
    assert "refused" in target.platform.probe_dead(Account(wanted.handle))
    assert target.platform.tidy(Account(wanted.handle)) == ()
    assert "refused" in target.platform.probe_dead(Account(wanted.handle))
    assert wanted.handle not in target.platform.handles()


def test_cutting_twice_or_what_never_was_is_no_error(target: Target) -> None:
    wanted = order(target)
    assert target.platform.cut(Account(wanted.handle)) == 0
    assert target.platform.tidy(Account(wanted.handle)) == ()
    if target.bound_to_key:
        with pytest.raises(RefusedError) as caught:
            mint(target.platform, wanted)
        assert caught.value.name == "ended"
    else:
        mint(target.platform, wanted)
    for _ in range(2):
        assert target.platform.cut(Account(wanted.handle)) == 0
    for _ in range(2):
        assert target.platform.tidy(Account(wanted.handle)) == ()
    target.platform.probe_dead(Account(wanted.handle))


def test_a_living_account_is_never_called_dead(target: Target) -> None:
    wanted = order(target)
    mint(target.platform, wanted)
    with pytest.raises(RefusedError, match="may still log in") as caught:
        target.platform.probe_dead(Account(wanted.handle))
    assert caught.value.name == "alive"
    target.platform.cut(Account(wanted.handle))


def test_tidying_touches_nothing_of_an_account_that_may_log_in(target: Target) -> None:
    wanted = order(target)
    session = target.log_in(mint(target.platform, wanted))
    with pytest.raises(RefusedError, match="may still log in") as caught:
        target.platform.tidy(Account(wanted.handle))
    assert caught.value.name == "alive"
    assert target.works(session)
    assert target.platform.cut(Account(wanted.handle)) == 1
    assert target.platform.tidy(Account(wanted.handle)) == ()


def test_the_target_itself_ends_the_login_and_the_session_waits_for_us(target: Target) -> None:
    wanted = order(target, target.platform.describe().limits.shortest + timedelta(seconds=1))
    credential = mint(target.platform, wanted)
    session = target.log_in(credential)
    time.sleep(max((wanted.expires - datetime.now(UTC)).total_seconds(), 0) + 0.05)
    assert refused(target, credential) == target.platform.describe().limits.ends_by_itself
    if target.ends_sessions:
        within = target.platform.describe().limits.residual_tail
        assert within is not None
        until(lambda: not target.works(session), within.total_seconds())
    else:
        assert target.works(session)
        assert target.platform.cut(Account(wanted.handle)) == 1
    assert not target.works(session)
    target.platform.cut(Account(wanted.handle))


def test_minting_again_replaces_the_secret_that_a_crash_lost(target: Target) -> None:
    wanted = order(target)
    lost = mint(target.platform, wanted)
    session = target.log_in(lost)
    credential = mint(target.platform, wanted)
    assert target.works(session) == target.bound_to_key
    assert refused(target, lost) != target.bound_to_key
    probed(target.platform, credential)
    assert target.platform.handles().count(wanted.handle) == 1
    target.platform.cut(Account(wanted.handle))


def test_two_grants_of_one_person_share_nothing(target: Target) -> None:
    first, second = order(target), order(target)
    mint(target.platform, first)
    other = mint(target.platform, second)
    session = target.log_in(other)
    target.platform.cut(Account(first.handle))
    assert target.works(session)
    probed(target.platform, other)
    target.platform.cut(Account(second.handle))


def test_another_minter_at_the_same_target_is_left_alone(target: Target) -> None:
    wanted = order(target)
    mint(target.sibling, wanted)
    assert wanted.handle not in target.platform.handles()
    assert wanted.handle in target.sibling.handles()
    target.sibling.cut(Account(wanted.handle))


@pytest.mark.parametrize("changed", ["none", "missing", "unknown"])
def test_a_scope_that_means_nothing_here_leaves_nothing(target: Target, changed: str) -> None:
    wanted = order(target)
    scope = dict(wanted.scope)
    if changed == "missing":
        scope.pop(sorted(scope)[0])
    if changed == "unknown":
        scope["planets"] = ("mars",)
    wrong = replace(wanted, scope={} if changed == "none" else scope)
    with pytest.raises(RefusedError) as caught:
        mint(target.platform, wrong)
    assert caught.value.name == "scope_unknown"
    assert wanted.handle not in target.platform.handles()


def test_networks_are_bound_or_refused(target: Target) -> None:
    wanted = target.shown(replace(order(target), source=("192.0.2.0/24",)))
    if target.platform.describe().limits.binds_source:
        credential = mint(target.platform, wanted)
        assert refused(target, credential)  # from 127.0.0.1
        target.platform.cut(Account(wanted.handle, credential.ids))
    else:
        with pytest.raises(RefusedError) as caught:
            mint(target.platform, wanted)
        assert caught.value.name == "scope_unknown"
    assert target.platform.tidy(Account(wanted.handle)) == ()


def test_what_it_is_is_known_while_it_is_away(target: Target) -> None:
    described = target.platform.describe()
    assert described.target
    assert described.limits.residual_tail is not None
    target.away()
    assert target.platform.describe() == described
    target.back()


def test_a_target_that_is_away_proves_nothing_and_comes_back(target: Target) -> None:
    wanted = order(target)
    credential = mint(target.platform, wanted)
    target.away()
    for call in (
        lambda: mint(target.platform, wanted),
        lambda: target.platform.probe(credential),
        lambda: target.platform.cut(Account(wanted.handle)),
        lambda: target.platform.tidy(Account(wanted.handle)),
        lambda: target.platform.probe_dead(Account(wanted.handle)),
        target.platform.handles,
    ):
        with pytest.raises(UnavailableError):
            call()
    target.back()
    probed(target.platform, credential)
    target.platform.cut(Account(wanted.handle))
    target.platform.probe_dead(Account(wanted.handle))


def test_many_at_once_leave_nothing(target: Target) -> None:
    orders = [order(target) for _ in range(24)]

    def whole_life(wanted: Order) -> None:
        probed(target.platform, mint(target.platform, wanted))
        target.platform.cut(Account(wanted.handle))
        target.platform.probe_dead(Account(wanted.handle))
        target.platform.tidy(Account(wanted.handle))

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(whole_life, orders))
    assert not {each.handle for each in orders} & set(target.platform.handles())


def test_what_nobody_uses_is_cut_gently(target: Target) -> None:
    wanted = order(target)
    if not target.platform.describe().limits.tells_use:
        assert target.platform.used_within(Account(wanted.handle), timedelta(hours=1))
        return
    assert not target.platform.used_within(Account(wanted.handle), timedelta(hours=1))
    credential = mint(target.platform, wanted)
    assert not target.platform.used_within(Account(wanted.handle), timedelta(hours=1))
    session = target.log_in(credential)
    assert target.works(session)
    assert target.platform.used_within(Account(wanted.handle), timedelta(hours=1))
    assert target.platform.cut_idle(Account(wanted.handle)) == 1
    assert not target.works(session)
    assert refused(target, credential)
    assert target.platform.cut_idle(Account(wanted.handle)) == 0
    assert "refused" in target.platform.probe_dead(Account(wanted.handle))
    assert target.platform.tidy(Account(wanted.handle)) == ()
    assert target.platform.cut_idle(Account(wanted.handle)) == 0


def test_limits_are_stated(target: Target) -> None:
    limits = target.platform.describe().limits
    assert limits.residual_tail is not None
    assert timedelta(0) < limits.residual_tail <= timedelta(seconds=60)
    assert limits.shortest < limits.longest
    assert limits.unrecorded
