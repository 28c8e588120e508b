"""Any target, by a program of the organisation's own: docs/reference/command-minter.md.

The program makes, tries and takes away; what is promised, retried, ended and recorded is ours. What
it answers is believed about its target alone, and read strictly.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

from breakglass.canonical import Json
from breakglass.clock import format_time
from breakglass.errors import BreakglassError, MalformedError, MisconfiguredError
from breakglass.minter.platforms.platform import (
    Account,
    Credential,
    Description,
    Finding,
    Order,
    Pending,
    SecretValue,
)
from breakglass.minter.platforms.program import CommandSettings, Program
from breakglass.records.encoding.text_types import one_line
from breakglass.records.platforms import LONGEST, PLATFORMS, PlatformLimits
from breakglass.strict_json import Between, Count, read

T = TypeVar("T")
CONTRACT = 1
_DAY_S = 24 * 60 * 60
_HANDLE = re.compile(r"bg_[a-z0-9]{1,60}")


@dataclass(frozen=True)
class _Described:
    contract: Annotated[int, Between(CONTRACT, CONTRACT)]
    target: str
    shortest_s: Annotated[int, Between(1, _DAY_S)]
    longest_s: Annotated[int, Between(1, _DAY_S)]
    residual_tail_s: Annotated[int, Between(1, 60)]
    binds_source: bool
    expiry: str
    cutting: str
    unrecorded: str


@dataclass(frozen=True)
class _Pending:
    pending: str
    again_in_s: Annotated[int, Between(1, 3600)]


@dataclass(frozen=True)
class _Evidence:
    evidence: str


@dataclass(frozen=True)
class _Cut:
    sessions: Count


@dataclass(frozen=True)
class _Left:
    left_behind: tuple[str, ...]


@dataclass(frozen=True)
class _Handles:
    handles: tuple[str, ...]


@dataclass(frozen=True)
class _Finding:
    says: str
    hint: str
    stops: bool


@dataclass(frozen=True)
class _Findings:
    findings: tuple[_Finding, ...]


class Command:
    """See the module and ``Platform``.

    Args:
        settings: the program.

    Raises:
        MisconfiguredError: others could change the program, or it does not describe itself.
    """

    def __init__(self, settings: CommandSettings) -> None:
        self._program = Program(settings)
        self._program.check()
        # Apart, so that a mint that hangs keeps no grant from its end.
        self._minting = threading.BoundedSemaphore(settings.minting)
        self._ending = threading.BoundedSemaphore(settings.ending)
        try:
            self._description = _description(self._program.call("describe", {}, _as(_Described)))
        except BreakglassError as error:
            raise MisconfiguredError(
                f"the program does not describe itself: {error.message}; not started",
                hint=f"try it: breakglass minter conform --role ROLE -- {' '.join(settings.run)}",
            ) from error

    def describe(self) -> Description:
        """Return what the program said at the start; see ``Platform.describe``."""
        return self._description

    def mint(self, order: Order) -> Credential | Pending:
        """Have the account made; see ``Platform.mint``."""
        given: dict[str, Json] = {
            "handle": order.handle,
            "grant": order.grant,
            "session": order.session,
            "scope": {dimension: list(values) for dimension, values in order.scope.items()},
            "source": list(order.source),
            "not_before": format_time(order.not_before),
            "expires": format_time(order.expires),
            "holder": order.holder,
            "token": order.token.decode(),
        }
        made = self._call(self._minting, "mint", given, _made)
        if isinstance(made, _Pending):
            return Pending(one_line(made.pending), timedelta(seconds=made.again_in_s))
        secret, connect, ids = made
        told = {name: str(value) for name, value in ids.items()}
        return Credential(order.handle, secret, connect, told, order.expires)

    def probe(self, credential: Credential) -> str:
        """Have the credential used once; see ``Platform.probe``."""
        given: dict[str, Json] = {
            "handle": credential.handle,
            "secret": dict(credential.secret),
            "connect": dict(credential.connect),
            "ids": dict(credential.ids),
        }
        return one_line(self._call(self._minting, "probe", given, _as(_Evidence)).evidence)

    def cut(self, account: Account) -> int:
        """Have the account shut out; see ``Platform.cut``."""
        return self._call(self._ending, "cut", _named(account), _as(_Cut)).sessions

    def tidy(self, account: Account) -> tuple[str, ...]:
        """Have the account taken away; see ``Platform.tidy``."""
        left = self._call(self._ending, "tidy", _named(account), _as(_Left)).left_behind
        return tuple(one_line(each) for each in left[:64])

    def cut_idle(self, account: Account) -> int:
        """Cut: no grant here is told to end for lying idle; see ``Platform.cut_idle``."""
        return self.cut(account)

    def used_within(self, account: Account, within: timedelta) -> bool:
        """Say yes, since the contract has no word for it; see ``Platform.used_within``."""
        return True

    def probe_dead(self, account: Account) -> str:
        """Have the account tried; see ``Platform.probe_dead``."""
        found = self._call(self._ending, "probe-dead", _named(account), _as(_Evidence))
        return one_line(found.evidence)

    def handles(self) -> list[str]:
        """Return what stands; see ``Platform.handles``."""
        return sorted(self._call(self._ending, "list", {}, _handles))

    def examine(
        self, scopes: Sequence[Mapping[str, tuple[str, ...]]], now: datetime
    ) -> tuple[Finding, ...]:
        """Have the target looked at; see ``Platform.examine``."""
        wanted: list[Json] = [{key: list(value) for key, value in each.items()} for each in scopes]
        try:
            found = self._call(self._minting, "check", {"scopes": wanted}, _as(_Findings)).findings
        except BreakglassError as error:
            return (Finding(error.message, "try the program by hand: 'check' on standard input"),)
        return tuple(Finding(one_line(e.says), one_line(e.hint), e.stops) for e in found)

    def close(self) -> None:
        """Nothing is held open between two calls."""

    def _call(
        self,
        turns: AbstractContextManager[Any],
        verb: str,
        given: Mapping[str, Json],
        wanted: Callable[[Json], T],
    ) -> T:
        with turns:
            return self._program.call(verb, given, wanted)


def _named(account: Account) -> dict[str, Json]:
    return {"handle": account.handle, "ids": dict(account.ids)}


def _handles(answer: Json) -> tuple[str, ...]:
    """Return names of ours alone: whatever stands here and no grant explains it is cut."""
    found = read(_Handles, answer, "answer").handles
    if not all(map(_HANDLE.fullmatch, found)):
        raise MalformedError("answer.handles: expected bg_ and letters and digits, 63 at most")
    return found


def _as(kind: type[T]) -> Callable[[Json], T]:
    return lambda answer: read(kind, answer, "answer")


def _description(said: _Described) -> Description:
    ours = PLATFORMS["command"]
    return Description(
        PlatformLimits(
            ours.platform,
            ours.dimensions,
            optional=ours.optional,
            shortest=timedelta(seconds=said.shortest_s),
            longest=min(timedelta(seconds=said.longest_s), LONGEST),
            binds_source=said.binds_source,
            connector=ours.connector,
            expiry=one_line(said.expiry),
            cutting=one_line(said.cutting),
            residual_tail=timedelta(seconds=said.residual_tail_s),
            unrecorded=one_line(said.unrecorded),
        ),
        one_line(said.target),
    )


_Made = tuple[dict[str, SecretValue], dict[str, SecretValue], dict[str, SecretValue]]


def _made(answer: Json) -> _Pending | _Made:
    if isinstance(answer, Mapping) and "pending" in answer:
        return read(_Pending, answer, "answer")
    if not isinstance(answer, Mapping) or set(answer) != {"secret", "connect", "ids"}:
        raise MalformedError("answer: expected secret, connect and ids, or pending and again_in_s")
    return _values(answer, "secret"), _values(answer, "connect"), _values(answer, "ids")


def _values(answer: Mapping[str, Json], where: str) -> dict[str, SecretValue]:
    """Return one of the three parts; no value is ever in an error."""
    found = answer[where]
    if not isinstance(found, Mapping):
        raise MalformedError(f"answer.{where}: expected an object")
    values: dict[str, SecretValue] = {}
    for name, value in found.items():
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise MalformedError(f"answer.{where}.{name[:40]}: expected a text or a whole number")
        values[name] = value
    return values
