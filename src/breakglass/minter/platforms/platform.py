"""The contract between a minter and its target; one suite runs against every implementation.

A platform knows nothing of tokens, ledgers or rules. It makes an account under a name that it is
told, says whether it works, and takes it away so that nothing of it works any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from breakglass.records.platforms import PlatformLimits

SecretValue = str | int


@dataclass(frozen=True)
class Description:
    """What a platform is: what it can do, and which target stands behind it.

    ``target`` tells it from every other target, in words that hold no secret: a host and port.
    """

    limits: PlatformLimits
    target: str


@dataclass(frozen=True)
class Order:
    """What to mint.

    Attributes:
        grant: the grant's id.
        handle: the account's name; follows from ``grant``.
        session: person and incident, for the target's own log.
        scope: what it may, by dimension, without its networks.
        not_before: begins one skew early already.
        expires: the grant's end; never moved back by anybody's skew.
        source: networks that it shall work from; empty: from everywhere. A platform that cannot
            bind it to them refuses.
        holder: the grant's ``ssh-ed25519`` key, as one line: what can be bound to it is.
        token: what was shown for it, for a target that verifies for itself.
    """

    grant: str
    handle: str
    session: str
    scope: Mapping[str, tuple[str, ...]]
    not_before: datetime
    expires: datetime
    source: tuple[str, ...] = ()
    holder: str = ""
    token: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Account:
    """What stands at a target, or may: ``ids`` is what its mint told, empty if nobody knows it.

    Nobody does of what a crash left behind, and of an orphan.
    """

    handle: str
    ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Pending:
    """A mint that the target has taken, and that is not done: ask again behind ``again_in``.

    Nothing stands yet that anybody could use. ``why`` is fit to be seen.
    """

    why: str
    again_in: timedelta


@dataclass(frozen=True)
class Credential:
    """What was minted. ``secret`` holds all that a login takes; ``connect`` is fit to be seen."""

    handle: str
    secret: Mapping[str, SecretValue] = field(repr=False)
    connect: Mapping[str, SecretValue]
    ids: Mapping[str, str]
    expires: datetime


@dataclass(frozen=True)
class Finding:
    """One thing about a target or our settings that should be otherwise.

    Attributes:
        says: what is, in a sentence.
        hint: what mends it: SQL, or a setting.
        stops: while it is so, some or all grants are refused, or their end cannot be proven; else
            it works and is weaker than it should be.
    """

    says: str
    hint: str
    stops: bool = True


class Platform(Protocol):
    """A target, as its minter sees it. Every call is bounded in time and safe under threads.

    Handles are independent: no call touches anything of another handle's. After
    ``UnavailableError`` the caller may assume nothing: the call may have been carried out.
    """

    def describe(self) -> Description:
        """Return what this platform is; a constant, at once, also while the target is away."""
        ...

    def mint(self, order: Order) -> Credential | Pending:
        """Make the account ``order.handle`` with a new secret, in one step at the target.

        Never waits for what takes long: what the target has only begun is ``Pending``, and the
        same order again goes on with it. ``handles`` does not name what is pending; ``cut`` takes
        it back.

        When this returns, the target itself ends it at ``order.expires``, whoever else dies, and
        its own log names the session. An account of that handle that already exists (a crash came
        between) is replaced, with its sessions cut; so calling twice leaves one account, and the
        first secret dead.

        Raises:
            RefusedError: the scope or its networks have no meaning here (``scope_unknown``), or
                the target says no; nothing stands.
            UnavailableError: no answer; an account may stand, which ``handles`` will name.
        """
        ...

    def probe(self, credential: Credential) -> str:
        """Use the credential once, harmlessly, as its holder would; return what was tried.

        Raises:
            UnavailableError: it does not work, or not yet; ask again.
            RefusedError: it works as no grant may, and will again: it is not to be handed out.
        """
        ...

    def cut(self, account: Account) -> int:
        """Shut the account out: no login, no live session, no right; return the sessions cut.

        In this order: no new login; live sessions cut; rights taken. Nothing that the holder has
        made is touched, so nothing that they left behind, and nobody who uses it, can hold an end
        up. An account that does not stand is no error. Calling again goes on from wherever an
        earlier call was interrupted.

        Raises:
            UnavailableError: the target did not answer; some steps may be done.
        """
        ...

    def tidy(self, account: Account) -> tuple[str, ...]:
        """Take away what a cut account leaves, and the account; return what stays, in words.

        Only behind ``cut``: of an account that may log in nothing is touched. When this returns,
        nothing that the account has made runs with more rights than the account had, and nothing
        that others own is lost. What could not be taken away is told in 64 lines at most, each a
        ``Line`` of a record, with who holds it; the account then stays too, shut out. Never waits
        for an application. An account that does not stand is no error; calling again goes on.

        Raises:
            RefusedError: ``alive``: the account may log in.
            UnavailableError: the target did not answer; some steps may be done.
        """
        ...

    def cut_idle(self, account: Account) -> int:
        """Do as ``cut`` does, but never in the middle of a statement; return the sessions cut.

        No new login; then the sessions that do nothing are cut. While one works, the rest is left
        and ``UnavailableError`` says so: call again.

        Raises:
            UnavailableError: ``busy``: a statement is under way; or the target did not answer.
        """
        ...

    def used_within(self, account: Account, within: timedelta) -> bool:
        """Say whether a session of this account did anything within that time, or does so now.

        Without a session it did not, also if one came and went meanwhile. What the target cannot
        tell counts as use, so nothing of it is ended for lying idle.

        Raises:
            UnavailableError: the target did not answer, so nothing is known.
        """
        ...

    def probe_dead(self, account: Account) -> str:
        """Try to use the account, and return the evidence that nobody can.

        Raises:
            RefusedError: ``alive``: a login or a session still works.
            UnavailableError: the target did not answer, so nothing is proven.
        """
        ...

    def handles(self) -> list[str]:
        """Return every account of ours that stands at the target, whoever remembers it.

        Accounts of other minters and logs at the same target are never among them.

        Raises:
            UnavailableError: the target did not answer.
        """
        ...

    def examine(
        self, scopes: Sequence[Mapping[str, tuple[str, ...]]], now: datetime
    ) -> tuple[Finding, ...]:
        """Try what a mint and an end of these scopes will need; change nothing.

        Args:
            scopes: of the cards that name this minter.
            now: our own clock's time.
        """
        ...

    def close(self) -> None:
        """Let go of connections. Accounts stay."""
        ...
