"""An honest simulator of a target, with switches for trouble; passes the contract suite.

It keeps its accounts and sessions in a file, so it outlives a minter that is killed. It checks
passwords, the beginning and the end of each account by a clock of its own, refuses lives that it
cannot honour, and leaves live sessions alone until they are cut. For tests and for rehearsing
failures; nothing real is behind it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

from breakglass.clock import Clock, format_time, parse_time
from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError, UnavailableError
from breakglass.minter.platforms.platform import (
    Account,
    Credential,
    Description,
    Finding,
    Order,
    Pending,
    SecretValue,
)
from breakglass.process.database import Database
from breakglass.records.platforms import PlatformLimits

LIMITS = PlatformLimits(
    "simulated",
    {},
    tells_use=True,
    binds_source=True,
    expiry="the account's own end: the target refuses new logins by itself; sessions go on",
    cutting="sessions are deleted",
    residual_tail=timedelta(seconds=2),
    unrecorded="impossible without the minter",
)
_SCHEMA = """
create table if not exists accounts(
    handle text primary key, minter text not null, password text, not_before text not null,
    expires text not null, session text not null, scope text not null,
    source text not null default ''
) strict;
create table if not exists sessions(
    id integer primary key autoincrement, handle text not null
) strict;
create table if not exists uses(
    session integer primary key, busy integer not null, at text not null
) strict;
create table if not exists trouble(one integer primary key, switches text not null) strict;
"""


@dataclass(frozen=True)
class Trouble:
    """The switches.

    Attributes:
        away: every call fails, and every login with it.
        slow_s: seconds that each call takes first.
        lose_mint_replies: accounts are made, and the answer is lost.
        unusable_probes: so many probes find the credential not working yet.
        shared_sessions: a probe finds that logins share the target's sessions.
        pending_mints: so many calls of ``mint`` only begin: they are pending.
        cuts_that_fail: so many calls of ``cut`` fail after they refused new logins.
        stubborn: sessions survive a cut.
        undeletable: the account stays behind, without a login, and this is said.
        slow_tidying_s: seconds that tidying takes first.
        clock_ahead_s: seconds that the target's clock is ahead; negative where it is behind.
    """

    away: bool = False
    slow_s: float = 0.0
    lose_mint_replies: bool = False
    unusable_probes: int = 0
    shared_sessions: bool = False
    pending_mints: int = 0
    cuts_that_fail: int = 0
    stubborn: bool = False
    undeletable: bool = False
    slow_tidying_s: float = 0.0
    clock_ahead_s: float = 0.0


class Simulated:
    """See the module and ``Platform``. Several processes may open one ``file``.

    Args:
        file: SQLite; made if it is not there.
        minter: whose accounts these are.
        clock: the target's own, but for ``Trouble.clock_ahead_s``.
        limits: what it can do, and holds whoever asks to.
    """

    def __init__(
        self, file: Path, minter: str, clock: Clock, limits: PlatformLimits = LIMITS
    ) -> None:
        self._minter = minter
        self._clock = clock
        self._limits = limits
        self._name = file.name
        self._file = Database(
            file,
            what="simulated target",
            durability="off",  # the simulated machine never loses power
            schema=_SCHEMA,
            busy=timedelta(seconds=10),
        )
        if "source" not in {row[1] for row in self._file.all("pragma table_info(accounts)")}:
            # A file of before networks were bound: what stands in it works from everywhere.
            self._do("alter table accounts add column source text not null default ''")

    def describe(self) -> Description:
        """Return what the simulator pretends to be; see ``Platform.describe``."""
        return Description(self._limits, f"simulated:{self._name}")

    @property
    def trouble(self) -> Trouble:
        """Return the switches as they stand."""
        row = self._file.one("select switches from trouble")
        return Trouble(**json.loads(row[0])) if row else Trouble()

    @trouble.setter
    def trouble(self, trouble: Trouble) -> None:
        values = {field.name: getattr(trouble, field.name) for field in fields(trouble)}
        with self._file.changing():
            self._do("insert or replace into trouble values (1, ?)", json.dumps(values))

    def mint(self, order: Order) -> Credential | Pending:
        """Make or replace the account; see ``Platform.mint``."""
        trouble = self._reached()
        dimensions = set(self._limits.dimensions.values()) or set(order.scope)
        if not order.scope or set(order.scope) != dimensions:
            raise RefusedError(
                f"simulated target: it takes the dimensions {', '.join(sorted(dimensions))}, got"
                f" {', '.join(sorted(order.scope)) or 'none'}",
                name=ErrorName.SCOPE_UNKNOWN,
            )
        self._check_life(order)
        if trouble.pending_mints:
            self.trouble = replace(trouble, pending_mints=trouble.pending_mints - 1)
            return Pending("somebody there has to agree", timedelta(seconds=1))
        password = secrets.token_urlsafe(18)
        with self._file.changing():
            self._do("delete from sessions where handle = ?", order.handle)
            self._do(
                "insert or replace into accounts values (?, ?, ?, ?, ?, ?, ?, ?)",
                order.handle,
                self._minter,
                _hash(password),
                format_time(order.not_before),
                format_time(order.expires),
                order.session,
                json.dumps({key: list(value) for key, value in order.scope.items()}),
                " ".join(order.source),
            )
        if trouble.lose_mint_replies:
            raise UnavailableError("simulated target: the answer was lost")
        connect: dict[str, SecretValue] = {
            "user": order.handle,
            "host": "simulated",
            "port": 1,
            "dbname": "simulated",
        }
        return Credential(
            order.handle,
            {**connect, "password": password},
            connect,
            {"account": order.handle, "session": order.session},
            order.expires,
        )

    def probe(self, credential: Credential) -> str:
        """Log in and out; see ``Platform.probe``."""
        trouble = self._reached()
        if trouble.unusable_probes:
            self.trouble = replace(trouble, unusable_probes=trouble.unusable_probes - 1)
            raise UnavailableError(
                "simulated target: not spread everywhere yet", name=ErrorName.NOT_USABLE
            )
        if trouble.shared_sessions:
            raise RefusedError(
                "simulated target: logins share its sessions", name=ErrorName.POOL_MODE
            )
        try:
            self.log_out(self._let_in(credential.handle, str(credential.secret["password"])))
        except RefusedError as error:
            raise UnavailableError(str(error), name=ErrorName.NOT_USABLE) from error
        return f"logged in as {credential.handle!r}"

    def cut(self, account: Account) -> int:
        """Refuse logins, then cut sessions; see ``Platform.cut``."""
        handle = account.handle
        trouble = self._reached()
        with self._file.changing():
            self._do("update accounts set password = null where handle = ?", handle)
        if trouble.cuts_that_fail:
            self.trouble = replace(trouble, cuts_that_fail=trouble.cuts_that_fail - 1)
            raise UnavailableError("simulated target: failed in the middle")
        if trouble.stubborn:
            return 0
        with self._file.changing():
            return self._do("delete from sessions where handle = ?", handle)

    def cut_idle(self, account: Account) -> int:
        """Refuse logins, then cut sessions that do nothing; see ``Platform.cut_idle``."""
        handle = account.handle
        self._reached()
        with self._file.changing():
            self._do("update accounts set password = null where handle = ?", handle)
            cut = self._do(
                "delete from sessions where handle = ? and id not in"
                " (select session from uses where busy)",
                handle,
            )
        if self._file.one("select 1 from sessions where handle = ?", handle):
            raise UnavailableError(
                f"a session of {handle!r} has a statement under way", name=ErrorName.BUSY
            )
        return cut

    def used_within(self, account: Account, within: timedelta) -> bool:
        """Look at when its sessions worked last; see ``Platform.used_within``."""
        handle = account.handle
        self._reached()
        rows = self._file.all(
            "select busy, at from uses where session in (select id from sessions where handle = ?)",
            handle,
        )
        now = self._now()
        return any(busy or now - parse_time(at) <= within for busy, at in rows)

    def tidy(self, account: Account) -> tuple[str, ...]:
        """Remove the account; see ``Platform.tidy``."""
        handle = account.handle
        trouble = self._reached()
        if trouble.slow_tidying_s:
            time.sleep(trouble.slow_tidying_s)
        with self._file.changing():
            if self._may_log_in(handle):
                raise RefusedError(f"account {handle!r} may still log in", name=ErrorName.ALIVE)
            if trouble.undeletable:
                stands = self._file.one("select 1 from accounts where handle = ?", handle)
                return (f"account {handle!r}",) if stands else ()
            self._do("delete from accounts where handle = ?", handle)
        return ()

    def probe_dead(self, account: Account) -> str:
        """Look for the account and its sessions; see ``Platform.probe_dead``."""
        handle = account.handle
        self._reached()
        row = self._file.one("select count(*) from sessions where handle = ?", handle)
        if row and row[0]:
            raise RefusedError(f"{row[0]} sessions of {handle!r} are live", name=ErrorName.ALIVE)
        if self._may_log_in(handle):
            raise RefusedError(f"account {handle!r} may still log in", name=ErrorName.ALIVE)
        return "login refused (no account); no session is live"

    def handles(self) -> list[str]:
        """Return our accounts; see ``Platform.handles``."""
        self._reached()
        query = "select handle from accounts where minter = ? order by handle"
        return [handle for (handle,) in self._file.all(query, self._minter)]

    def examine(
        self, scopes: Sequence[Mapping[str, tuple[str, ...]]], now: datetime
    ) -> tuple[Finding, ...]:
        """Find nothing but that it is away; see ``Platform.examine``."""
        if self.trouble.away:
            return (Finding("cannot reach the simulated target", "switch its trouble off"),)
        return ()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def log_in(self, handle: str, password: str, source: str = "127.0.0.1") -> int:
        """Be a holder who logs in from an address; returns the session.

        Raises:
            RefusedError: no such account, a wrong password or address, not yet, or expired.
            UnavailableError: the target is away.
        """
        if self.trouble.away:
            raise UnavailableError("simulated target is away")
        found = self._file.one("select source from accounts where handle = ?", handle)
        networks = [ip_network(each) for each in found[0].split()] if found else []
        if networks and not any(ip_address(source) in each for each in networks):
            raise RefusedError(f"login failed: not from {source}", name=ErrorName.LOGIN)
        return self._let_in(handle, password)

    def _let_in(self, handle: str, password: str) -> int:
        now = self._now()
        with self._file.changing():
            row = self._file.one(
                "select password, not_before, expires from accounts where handle = ?", handle
            )
            if row is None or row[0] != _hash(password):
                raise RefusedError("login failed", name=ErrorName.LOGIN)
            if not parse_time(row[1]) <= now <= parse_time(row[2]):
                raise RefusedError("login failed: not in its time", name=ErrorName.LOGIN)
            self._do("insert into sessions(handle) values (?)", handle)
            made = self._file.one("select last_insert_rowid()")
        assert made is not None
        self.works(int(made[0]), busy=False)
        return int(made[0])

    def works(self, session: int, *, busy: bool) -> None:
        """Have a session begin a statement, or be done with one."""
        with self._file.changing():
            self._do(
                "insert or replace into uses values (?, ?, ?)",
                session,
                int(busy),
                format_time(self._now()),
            )

    def alive(self, session: int) -> bool:
        """Say whether a session still works."""
        return self._file.one("select 1 from sessions where id = ?", session) is not None

    def log_out(self, session: int) -> None:
        """End a session, as its holder."""
        with self._file.changing():
            self._do("delete from sessions where id = ?", session)

    def _may_log_in(self, handle: str) -> bool:
        query = "select 1 from accounts where handle = ? and password is not null"
        return self._file.one(query, handle) is not None

    def _now(self) -> datetime:
        return self._clock.now() + timedelta(seconds=self.trouble.clock_ahead_s)

    def _check_life(self, order: Order) -> None:
        # As a target counts that is asked for so many seconds: from when the login begins to work.
        life = order.expires - max(order.not_before, self._now())
        if not self._limits.shortest <= life <= self._limits.longest:
            raise RefusedError(
                f"simulated target: a life of {life.total_seconds():.1f} s is not within"
                f" {self._limits.shortest.total_seconds():g} s to"
                f" {self._limits.longest.total_seconds():g} s",
                name=ErrorName.LIFE,
            )

    def _reached(self) -> Trouble:
        trouble = self.trouble
        if trouble.slow_s:
            time.sleep(trouble.slow_s)
        if trouble.away:
            raise UnavailableError("simulated target is away")
        return trouble

    def _do(self, statement: str, *values: object) -> int:
        return self._file.do(statement, *values).rowcount


def _hash(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()
