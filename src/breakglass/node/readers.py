"""Who reads at a process that follows the ledger: submitters, people by session, a grant's holder.

Each rule below is the ``who`` of routes: it returns who asks, for the handler, or raises. What a
reader is shown of a grant is said here too. Source: docs/reference/processes.md, «Who reads what».
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, RefusedError, UnavailableError, UnprovenError
from breakglass.http.request_check import RequestCheck
from breakglass.http.request_signature import SESSION, SignedRequest
from breakglass.http.routes import Request
from breakglass.node.catch_up import CatchingUp
from breakglass.node.replica import Replica
from breakglass.records.fold.ask_rules import may_approve
from breakglass.records.fold.forgetting import ended_ask, waiting_ask
from breakglass.records.fold.slices.grants import AskedState, GrantState
from breakglass.records.fold.state import State
from breakglass.records.people_list import May
from breakglass.records.permit import PERMIT, check_permit
from breakglass.records.session import check_session, read_carried
from breakglass.records.signing.sshsig import SshPublicKey
from breakglass.records.trust import Role

_WITHHELD = "shown"


@dataclass(frozen=True)
class ReadingRights:
    """What the policy says of one person: within their days or not, a reader of all or not."""

    counts: bool = True
    reads_all: bool = False


Rights = Callable[[State, str, datetime], ReadingRights]
GrantOf = Callable[[State, str], GrantState | None]


@dataclass(frozen=True)
class Neighbour:
    """A broker, minter or monitor of the trust file in force."""

    role: Role


@dataclass(frozen=True)
class PersonReading:
    """A person by their session; ``trusted`` if the trust file names them."""

    who: str
    reads_all: bool
    trusted: bool


@dataclass(frozen=True)
class Holder:
    """Whoever has the key that was made for one grant."""

    grant: str


@dataclass(frozen=True)
class Permitted:
    """Whoever shows a monitor's permit: the person ``to`` was called for the ask ``grant``."""

    grant: str
    to: str


KnownReader = Neighbour | PersonReading
GrantReader = KnownReader | Holder
AskReader = GrantReader | Permitted


def reads_all(reader: GrantReader) -> bool:
    """Say whether everything here may be shown: to neighbours and to the policy's ``readers``."""
    return isinstance(reader, Neighbour) or (isinstance(reader, PersonReading) and reader.reads_all)


def on_glass(state: State, who: str, glass: str) -> bool:
    """Say whether the card in force of ``glass`` names ``who``."""
    active = state.governance.cards.get(glass)
    return active is not None and who in active.people.by_name


def reads_grant(state: State, reader: GrantReader, grant: GrantState) -> bool:
    """Say whether this grant may be shown: own ones, those of glasses that one is on, all.

    Who may stop grants reads them all: they must find the one to stop.
    """
    if isinstance(reader, Holder):
        return reader.grant == grant.grant
    if reads_all(reader):
        return True
    assert isinstance(reader, PersonReading)
    who = reader.who
    own = who == grant.who or on_glass(state, who, grant.glass)
    return own or state.governance.may_kill(who)


def reads_ask(state: State, reader: AskReader, grant: str, ask: AskedState) -> bool:
    """Say whether this ask may be shown: own ones, and to those who may approve its glass.

    A permit shows what its person may see at this moment, and of one ask alone.
    """
    if isinstance(reader, Permitted):
        suspended = ("person", reader.to) in state.governance.suspended
        may = may_approve(state, ask.glass, reader.to)
        return reader.grant == grant and may and not suspended
    if isinstance(reader, Holder):
        return reader.grant == grant
    if reads_all(reader):
        return True
    assert isinstance(reader, PersonReading)
    return reader.who == ask.who or may_approve(state, ask.glass, reader.who)


def reads_review(state: State, reader: KnownReader, grant: GrantState) -> bool:
    """Say whether this grant's review may be shown: to who broke, approved or may review."""
    if reads_all(reader):
        return True
    assert isinstance(reader, PersonReading)
    active = state.governance.cards.get(grant.glass)
    line = None if active is None else active.people.by_name.get(reader.who)
    asked = line is not None and bool({May.REVIEW, May.APPROVE} & set(line.may))
    return reader.who == grant.who or asked


def refused(what: str) -> RefusedError:
    """Refuse to show something to a caller who is known."""
    return RefusedError(
        f"{what} is not shown to this caller",
        name=ErrorName.NOT_A_READER,
        hint="own grants, glasses that you are on, your reviews; 'readers:' of the policy see all",
    )


class Readers:
    """Decides who reads at one process; safe under threads.

    Args:
        check: the process's.
        view: its state.
        catching_up: whether that was ever of now: no session is believed on a past policy.
        rights: what the policy says of a person; a minter has none and shows people nothing more.
        grant_of: finds a grant, for its holder.
    """

    def __init__(
        self,
        check: RequestCheck,
        view: Replica,
        catching_up: CatchingUp,
        rights: Rights = lambda state, who, now: ReadingRights(),
        grant_of: GrantOf = lambda state, grant: state.grants.by_id.get(grant),
    ) -> None:
        self._check = check
        self._view = view
        self._catching_up = catching_up
        self._rights = rights
        self._grant_of = grant_of

    def known(self, asked: Request[bytes]) -> KnownReader:
        """Let a neighbour or a person ask.

        Raises:
            BreakglassError: see ``RequestCheck`` and ``check_session``; ``not_a_reader``,
                ``unknown_person``, ``suspended``, ``foreign_key``; ``catching_up``.
        """
        found = self._check.signed(asked)
        reader = self._person(asked, found) or self._neighbour(found)
        if reader is None:
            raise _stranger(found)
        self._check.once(found)
        return reader

    def of_grant(self, asked: Request[bytes]) -> GrantReader:
        """Let the holder of the grant in the path ask too."""
        found = self._check.signed(asked)
        reader = self._person(asked, found) or self._neighbour(found) or self._holder(asked, found)
        if reader is None:
            raise _stranger(found)
        self._check.once(found)
        return reader

    def of_request(self, asked: Request[bytes]) -> AskReader:
        """Let read an ask who may read its grant, or shows a monitor's permit in place of a key.

        Raises:
            BreakglassError: as ``of_grant`` and ``check_permit``.
        """
        carried = asked.headers.get(PERMIT, "")
        if not carried:
            return self.of_grant(asked)
        self._require_view()
        now = self._check.clock.now()
        permit = check_permit(carried, asked.path.get("grant", ""), self._view.trust(), now)
        return Permitted(permit.grant, permit.to)

    def person(self, asked: Request[bytes]) -> PersonReading:
        """Let a person ask, and no process."""
        reader = self.known(asked)
        if isinstance(reader, PersonReading):
            return reader
        raise refused(f"{asked.target[:60]!r}")

    def neighbour_or_holder(self, asked: Request[bytes]) -> Neighbour | Holder:
        """Let a neighbour ask, or the holder of the grant in the path; no person."""
        reader = self.of_grant(asked)
        if isinstance(reader, PersonReading):
            raise refused(f"{asked.target[:60]!r}")
        return reader

    def all_or_trusted(self, asked: Request[bytes]) -> KnownReader:
        """Let ask who reads all, and who is named by the trust file: they run the processes."""
        reader = self.known(asked)
        if reads_all(reader) or (isinstance(reader, PersonReading) and reader.trusted):
            return reader
        raise refused(f"{asked.target[:60]!r}")

    def reads_all(self, asked: Request[bytes]) -> KnownReader:
        """Let ask who reads all."""
        reader = self.known(asked)
        if reads_all(reader):
            return reader
        raise refused(f"{asked.target[:60]!r}")

    def broker(self, asked: Request[bytes]) -> Neighbour:
        """Let a broker ask, and nobody else."""
        found = self._check.signed(asked)
        reader = self._neighbour(found)
        if reader is None or reader.role.kind != "broker":
            raise RefusedError(
                f"key {found.text.by[:16]}… is no broker's; nothing was done",
                name=ErrorName.NOT_A_READER,
            )
        self._check.once(found)
        return reader

    def _neighbour(self, found: SignedRequest) -> Neighbour | None:
        for key, role in self._view.trust().submitters.items():
            if key.public == found.key:
                return Neighbour(role) if role.kind != "gate" else None
        return None

    def _person(self, asked: Request[bytes], found: SignedRequest) -> PersonReading | None:
        value = asked.headers.get(SESSION, "")
        if not value:
            return None
        session, signed = read_carried(value)
        if session.key != found.text.by:
            raise UnprovenError(
                "the request is not signed by the key of its session", name=ErrorName.FOREIGN_KEY
            )
        self._require_view()
        now, who = self._check.clock.now(), session.who
        with self._view.reading() as state:
            trust = state.governance.trust or self._view.trust()
            ours = state.governance.keys_of(who)
            theirs = (*trust.maintainers.get(who, ()), *trust.custodians.get(who, ()))
            suspended = ("person", who) in state.governance.suspended
            rights = self._rights(state, who, now) if ours else ReadingRights()
        if not (ours and rights.counts) and not theirs:
            raise RefusedError(
                f"unknown person {who!r}: neither the policy in force nor the trust file names"
                " them now",
                name=ErrorName.UNKNOWN_PERSON,
            )
        if suspended:
            raise RefusedError(f"{who!r} is suspended", name=ErrorName.SUSPENDED)
        keys = (*(ours if rights.counts else ()), *theirs)
        check_session(session, signed, keys, self._check.log, now, self._check.skew())
        return PersonReading(who, rights.reads_all and rights.counts, bool(theirs))

    def _holder(self, asked: Request[bytes], found: SignedRequest) -> Holder | None:
        name = asked.path.get("grant", "")
        with self._view.reading() as state:
            grant = self._grant_of(state, name)
            holder = grant.holder if grant is not None else _asked_for(state, name)
        if not holder:
            return None
        try:
            key = SshPublicKey.parse(holder)
        except BreakglassError:
            return None
        return Holder(name) if key.point == found.key and not key.on_p256 else None

    def _require_view(self) -> None:
        """Believe nobody on a state that is long past.

        Where the ledger is away the state that was followed last has to do, as at the custodians'
        door; but not one that is older than what this process ever judged.
        """
        if self._catching_up.current:
            return
        if self._view.away is None:
            raise UnavailableError(
                f"still reading the ledger, entry {self._view.size}; nothing was {_WITHHELD}",
                name=ErrorName.CATCHING_UP,
                hint="try again in a moment, or another replica",
            )
        self._view.require_newest(_WITHHELD)


def _asked_for(state: State, grant: str) -> str:
    """Return the key for which a grant was asked that does not stand, or nothing."""
    ended = ended_ask(state, grant)
    ask = waiting_ask(state, grant) or (ended.ask if ended is not None else None)
    return ask.said.holder if ask is not None else ""


def _stranger(found: SignedRequest) -> RefusedError:
    return RefusedError(
        f"key {found.text.by[:16]}… is none that reads here",
        name=ErrorName.NOT_A_READER,
        hint="a gate reads nothing; people read by a session: breakglass status",
    )
