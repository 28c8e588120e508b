"""What a platform owes its minter, as far as it can be asked through the port alone.

``breakglass minter conform`` prints the answers. Each question makes accounts of its own and takes
them away again; what a question leaves behind is the fault that it finds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from breakglass.clock import Deadline
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, RefusedError, UnavailableError
from breakglass.minter.platforms.platform import (
    Account,
    Credential,
    Order,
    Pending,
    Platform,
)
from breakglass.records.grant import handle_of

_USABLE_WITHIN = timedelta(seconds=10)
_LIFE = timedelta(minutes=20)
_ELSEWHERE = ("192.0.2.0/24",)  # RFC 5737: nobody's


@dataclass(frozen=True)
class Trial:
    """A platform under question, and how to order of it.

    Attributes:
        platform: whose answers are wanted.
        scope: one that it shall give.
        new_grant: returns a grant's id that nobody has.
        now: returns our time.
    """

    platform: Platform
    scope: Mapping[str, tuple[str, ...]]
    new_grant: Callable[[], str]
    now: Callable[[], datetime]

    def order(self, **changes: object) -> Order:
        """Return an order of twenty minutes for a new account."""
        grant, now = self.new_grant(), self.now()
        made = Order(
            grant,
            handle_of(grant),
            "breakglass-conform",
            self.scope,
            now - timedelta(minutes=2),
            now + _LIFE,
        )
        return replace(made, **changes)  # type: ignore[arg-type]

    def mint(self, order: Order) -> Credential:
        """Order until it is done, and until it works."""
        deadline = Deadline(_USABLE_WITHIN)
        for _ in deadline.tries(0.5):
            made = self.platform.mint(order)
            if not isinstance(made, Pending):
                self._usable(made)
                return made
        raise UnavailableError("an order is pending for ever")

    def works(self, credential: Credential) -> bool:
        """Say whether a credential works now."""
        try:
            self.platform.probe(credential)
        except BreakglassError:
            return False
        return True

    def _usable(self, credential: Credential) -> None:
        deadline = Deadline(_USABLE_WITHIN)
        for _ in deadline.tries(0.2):
            if self.works(credential):
                return
        raise UnavailableError("what was minted does not work within 10 s")

    @contextlib.contextmanager
    def taking_away(self, *orders: Order) -> Iterator[None]:
        """Take what a question made away behind it, whatever it found."""
        try:
            yield
        finally:
            for order in orders:
                with contextlib.suppress(BreakglassError):
                    self.platform.cut(Account(order.handle))
                    self.platform.tidy(Account(order.handle))


@dataclass(frozen=True)
class Answer:
    """One question, and what was wrong; empty if nothing was."""

    question: str
    wrong: str


def ask_all(trial: Trial) -> Iterator[Answer]:
    """Ask every question, one behind the other."""
    for asked in _QUESTIONS:
        question = (asked.__doc__ or "").strip().rstrip(".")
        try:
            asked(trial)
        except _Wrong as wrong:
            yield Answer(question, str(wrong))
        except BreakglassError as error:
            yield Answer(question, error.message)
        else:
            yield Answer(question, "")


class _Wrong(Exception):
    """An answer is not what the contract says."""


def _works(trial: Trial) -> None:
    """What is minted works, and no secret is shown."""
    order = trial.order()
    with trial.taking_away(order):
        made = trial.mint(order)
        _hold(made.handle == order.handle, f"it made {made.handle!r}, not {order.handle!r}")
        hidden = set(made.secret) - set(made.connect)
        _hold(bool(hidden), "every part of the secret stands in connect")
        shown = {str(value) for value in (*made.connect.values(), *made.ids.values())}
        told = [name for name in hidden if str(made.secret[name]) in shown]
        _hold(not told, f"the secret's {', '.join(told)} stands in connect or ids")
        _hold(trial.platform.handles().count(order.handle) == 1, "list does not name it once")


def _alive(trial: Trial) -> None:
    """A living account is never called dead, and tidying leaves it alone."""
    order = trial.order()
    with trial.taking_away(order):
        made = trial.mint(order)
        account = Account(order.handle, made.ids)
        _hold(_refusal(lambda: trial.platform.probe_dead(account)) == ErrorName.ALIVE,
              "probe-dead does not refuse a living account as alive")  # fmt: skip
        _hold(_refusal(lambda: trial.platform.tidy(account)) == ErrorName.ALIVE,
              "tidy does not refuse a living account as alive")  # fmt: skip
        _hold(trial.works(made), "the account does not work any more behind tidy")


def _dies(trial: Trial) -> None:
    """After a cut nothing works, death is proven, and tidying takes the account away."""
    order = trial.order()
    with trial.taking_away(order):
        made = trial.mint(order)
        account = Account(order.handle, made.ids)
        trial.platform.cut(account)
        _hold(not trial.works(made), "the credential works behind cut")
        _hold(bool(trial.platform.probe_dead(account)), "probe-dead gives no evidence")
        left = trial.platform.tidy(account)
        _hold(not left, f"an account that made nothing leaves something behind: {left}")
        _hold(order.handle not in trial.platform.handles(), "list names it behind tidy")
        trial.platform.probe_dead(account)


def _again(trial: Trial) -> None:
    """Ending again, or what never stood, is no error; so is an end by the name alone."""
    order = trial.order()
    account = Account(order.handle)
    with trial.taking_away(order):
        for _ in range(2):
            _hold(trial.platform.cut(account) == 0, "cut counts sessions of what never stood")
            _hold(not trial.platform.tidy(account), "tidy names what never stood")
        trial.platform.probe_dead(account)
        trial.mint(order)
        for _ in range(2):
            trial.platform.cut(account)
        for _ in range(2):
            _hold(not trial.platform.tidy(account), "tidying again leaves something behind")


def _replaces(trial: Trial) -> None:
    """Minting again replaces the secret that a crash lost."""
    order = trial.order()
    with trial.taking_away(order):
        lost = trial.mint(order)
        made = trial.mint(order)
        _hold(not trial.works(lost), "the first secret works behind the second mint")
        _hold(trial.works(made), "the second secret does not work")
        _hold(trial.platform.handles().count(order.handle) == 1, "list does not name it once")


def _apart(trial: Trial) -> None:
    """Two accounts share nothing."""
    first, second = trial.order(), trial.order()
    with trial.taking_away(first, second):
        trial.mint(first)
        other = trial.mint(second)
        trial.platform.cut(Account(first.handle))
        trial.platform.tidy(Account(first.handle))
        _hold(trial.works(other), "the end of one account shut the other out")


def _unknown(trial: Trial) -> None:
    """A scope that means nothing here is refused, and nothing stands."""
    values = dict.fromkeys(trial.scope, ("breakglass-nobody-has-this",))
    for scope in ({}, {**trial.scope, "planets": ("mars",)}, values):
        order = trial.order(scope=scope)
        with trial.taking_away(order):
            refused = _refusal(lambda order=order: trial.platform.mint(order))  # type: ignore[misc]
            _hold(refused == ErrorName.SCOPE_UNKNOWN, f"scope {dict(scope)} is not refused")
            _hold(order.handle not in trial.platform.handles(), "a refused order left an account")


def _networks(trial: Trial) -> None:
    """Networks are bound or refused."""
    order = trial.order(source=_ELSEWHERE)
    with trial.taking_away(order):
        if trial.platform.describe().limits.binds_source:
            trial.platform.mint(order)
        else:
            refused = _refusal(lambda: trial.platform.mint(order))
            _hold(refused == ErrorName.SCOPE_UNKNOWN, "networks are neither bound nor refused")


def _life(trial: Trial) -> None:
    """What is past its end is not minted, or does not work."""
    now = trial.now()
    order = trial.order(not_before=now - 2 * _LIFE, expires=now - _LIFE)
    with trial.taking_away(order), contextlib.suppress(RefusedError):
        made = trial.platform.mint(order)
        works = isinstance(made, Credential) and trial.works(made)
        alone = trial.platform.describe().limits.ends_by_itself
        _hold(not works or not alone, "a credential works behind its end")


_QUESTIONS: tuple[Callable[[Trial], None], ...] = (
    _works,
    _alive,
    _dies,
    _again,
    _replaces,
    _apart,
    _unknown,
    _networks,
    _life,
)


def _refusal(call: Callable[[], object]) -> str:
    try:
        call()
    except RefusedError as error:
        return str(error.name)
    return ""


def _hold(right: bool, wrong: str) -> None:
    if not right:
        raise _Wrong(wrong)
