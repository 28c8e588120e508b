"""Who is believed to read at a process, and who is not, whatever they show."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from breakglass.errors import (
    BreakglassError,
    MalformedError,
    RefusedError,
    UnavailableError,
    UnprovenError,
)
from breakglass.http.request_check import RequestCheck
from breakglass.http.request_signature import REQUEST, SESSION, sign_request
from breakglass.http.routes import Request
from breakglass.node import readers as rules
from breakglass.node.readers import (
    Holder,
    Neighbour,
    PersonReading,
    Readers,
    ReadingRights,
    reads_grant,
    reads_review,
)
from breakglass.records.fold.state import State
from breakglass.records.kinds.suspended import Suspended
from breakglass.records.session import Session, carried, session_text
from breakglass.records.signing.signature import (
    SESSION_NAMESPACE,
    STATEMENT_NAMESPACE,
    verify_signature,
)
from breakglass.records.statement import Do, Target, parse_statement, statement_text
from breakglass.records.trust import Trust
from breakglass.tlog.key import ED25519
from breakglass.tlog.note import SignerKey
from tests.kit.organisation import Organisation
from tests.kit.people import SoftKey

PROCESS = SignerKey.generate("broker-2.shop.example")
HOUR = timedelta(hours=1)


@dataclass
class Place:
    """One process of an organisation in memory; its clock is the organisation's."""

    org: Organisation = field(default_factory=lambda: Organisation())
    rights: dict[str, ReadingRights] = field(default_factory=dict)
    current: bool = True
    away: Exception | None = None
    behind: bool = False
    size: int = 0
    process: SignerKey = PROCESS

    def __post_init__(self) -> None:
        if self.org.state.governance.trust is None:
            self.org.begin()
        self.log_name = self.org.log_name
        self.key = SignerKey.generate("session")
        keys = [str(self.process.verifier)]
        check = RequestCheck(self.log_name, keys, self, lambda: timedelta(seconds=120))
        view: Any = self
        self.readers = Readers(check, view, view, self._rights)

    def now(self) -> datetime:
        """Return the clock's time."""
        return self.org.now

    @contextmanager
    def reading(self) -> Iterator[State]:
        """Hold the state still."""
        yield self.org.state

    def trust(self) -> Trust:
        """Return the trust file in force."""
        return self.org.state.governance.trust or self.org.trust()

    def require_newest(self, withheld: str) -> None:
        """Check that the state holds what was ever judged."""
        if self.behind:
            raise UnavailableError(f"an old copy; nothing was {withheld}", name="behind_judged")

    def _rights(self, state: State, who: str, now: datetime) -> ReadingRights:
        return self.rights.get(who, ReadingRights())

    def session(self, who: str = "mira", signer: str = "", **changes: Any) -> str:
        """Return a session's header."""
        person = {**self.org.people, **self.org.maintainers, **self.org.custodians}[signer or who]
        return carried(person.sign(self.session_text(who, **changes), SESSION_NAMESPACE))

    def session_text(self, who: str, **changes: Any) -> str:
        """Return what a person signs for the session's key."""
        said = Session(
            self.log_name, who, self.key.verifier.public.hex(), self.now(), self.now() + HOUR,
            "0" * 32,
        )  # fmt: skip
        return session_text(replace(said, **changes))

    def asked(
        self, session: str = "", key: SignerKey | None = None, target: str = "/grants", **path: str
    ) -> Request[bytes]:
        """Return a request as it comes in."""
        key = key or self.key
        to = str(self.process.verifier)
        headers = {REQUEST: sign_request(key, self.log_name, to, "GET", target, b"", self.now())}
        if session:
            headers[SESSION] = session
        return Request(path, {}, b"", headers, "GET", target)

    def refused(self, asked: Request[bytes], error: type[BreakglassError], name: str) -> None:
        """Check that a request is refused at the rule that lets in most."""
        with pytest.raises(error) as refusal:
            self.readers.of_grant(asked)
        assert refusal.value.name == name, str(refusal.value)


@pytest.fixture
def place() -> Place:
    return Place()


def test_a_submitter_reads_as_its_role_and_a_gate_reads_nothing(place: Place) -> None:
    """(Q-6)"""
    for role in ("broker", "monitor", "minter:orders-db"):
        reader = place.readers.known(place.asked(key=place.org.submitters[role]))
        assert isinstance(reader, Neighbour)
        assert str(reader.role) == role
    for gate in ("gate:deploy-approval", "gate:orders-write"):
        asked = place.asked(key=place.org.submitters[gate])
        place.refused(asked, RefusedError, "not_a_reader")
    place.refused(place.asked(key=SignerKey.generate("x")), RefusedError, "not_a_reader")


def test_a_person_reads_by_a_session_with_each_kind_of_key(place: Place) -> None:
    """(Q-13)"""
    for who in ("mira", "teo", "noor", "bo"):  # of two and of one factor, and a passkey
        reader = place.readers.known(place.asked(place.session(who)))
        assert reader == PersonReading(who, reads_all=False, trusted=False)
    for who in ("ana", "ines"):  # a maintainer and a custodian
        reader = place.readers.all_or_trusted(place.asked(place.session(who)))
        assert reader == PersonReading(who, reads_all=False, trusted=True)


def test_a_session_that_passes_is_of_no_use_without_its_key(place: Place) -> None:
    """(Q-10)"""
    stolen = place.session()
    for key in (SignerKey.generate("thief"), place.org.submitters["broker"]):
        place.refused(place.asked(stolen, key), UnprovenError, "foreign_key")


def test_a_request_that_one_process_got_is_refused_by_every_other(place: Place) -> None:
    """(Q-3)"""
    shown = place.session()
    asked = place.asked(shown)
    assert place.readers.known(asked)
    monitor = Place(place.org, process=SignerKey.generate("monitor-2.shop.example"))
    monitor.refused(asked, RefusedError, "wrong_process")


def test_the_same_request_twice_is_refused(place: Place) -> None:
    """(Q-7)"""
    asked = place.asked(place.session())
    assert place.readers.known(asked)
    place.refused(asked, RefusedError, "repeated_request")


def test_what_strangers_send_does_not_fill_the_memory_of_nonces(place: Place) -> None:
    asked = place.asked(key=SignerKey.generate("x"))
    for _ in range(2):
        place.refused(asked, RefusedError, "not_a_reader")


@pytest.mark.parametrize(
    ("changes", "late", "name"),
    [
        ({}, timedelta(minutes=59, seconds=59), ""),
        ({}, HOUR, "session_over"),
        ({"until": timedelta(hours=12)}, timedelta(0), ""),
        ({"until": timedelta(hours=12, milliseconds=1)}, timedelta(0), "session_over"),
        ({"at": timedelta(seconds=120)}, timedelta(0), ""),
        ({"at": timedelta(seconds=121)}, timedelta(0), "session_over"),
        ({"until": timedelta(seconds=-1)}, timedelta(0), "session_over"),
    ],
)
def test_a_session_counts_from_its_beginning_to_its_end(
    place: Place, changes: dict[str, timedelta], late: timedelta, name: str
) -> None:
    """(Q-12)"""
    times = {field: place.now() + by for field, by in changes.items()}
    session = place.session(**times)
    place.org.now += late
    if name:
        place.refused(place.asked(session), RefusedError, name)
    else:
        assert place.readers.known(place.asked(session))


def test_a_session_is_of_one_log_and_one_person(place: Place) -> None:
    """(Q-11) (Q-12) (Q-13)"""
    place.refused(place.asked(place.session(log="ledger.example/two")), RefusedError, "wrong_log")
    place.refused(place.asked(place.session("mira", "teo")), UnprovenError, "foreign_key")
    place.refused(place.asked(place.session("eve", "mira")), RefusedError, "unknown_person")


def test_a_person_who_is_suspended_reads_nothing_and_again_once_that_is_lifted(
    place: Place,
) -> None:
    """(Q-11)"""
    session = place.session()
    assert place.readers.known(place.asked(session))
    for active in (True, False):
        do = Do.KILL if active else Do.LIFT
        said = place.org.sign(place.org.kill(Target.PERSON, "mira", do=do, nonce=f"{active:032x}"))
        body = Suspended(Target.PERSON, "mira", active, said)
        assert place.org.state_that("broker", body).holds
        if active:
            place.refused(place.asked(session), RefusedError, "suspended")
    assert place.readers.known(place.asked(session))


def test_a_key_that_was_taken_away_reads_nothing(place: Place) -> None:
    """(Q-11)"""
    session = place.session()
    assert place.readers.known(place.asked(session))
    place.org.people["mira"] = type(place.org.people["mira"]).of("mira's next")  # type: ignore[attr-defined]
    place.org.policy_version += 1
    place.org.activate_policy()
    place.refused(place.asked(session), UnprovenError, "foreign_key")
    assert place.readers.known(place.asked(place.session()))
    del place.org.people["mira"]
    place.org.policy_version += 1
    place.org.activate_policy()
    place.refused(place.asked(session), RefusedError, "unknown_person")


def test_who_is_outside_of_their_days_reads_nothing(place: Place) -> None:
    """(Q-11)"""
    place.rights["mira"] = ReadingRights(counts=False, reads_all=True)
    place.refused(place.asked(place.session()), RefusedError, "unknown_person")
    # Whom the trust file names besides reads by the keys that it gives, and by no others.
    both = Place(Organisation(maintainers={"mira": SoftKey.of("m"), "ben": SoftKey.of("b")}))
    both.rights["mira"] = ReadingRights(counts=False)
    with_the_policys = carried(
        both.org.people["mira"].sign(both.session_text("mira"), SESSION_NAMESPACE)
    )
    both.refused(both.asked(with_the_policys), UnprovenError, "foreign_key")
    assert both.readers.known(both.asked(both.session("mira")))


def test_no_signature_for_another_purpose_is_a_session_and_no_session_a_statement(
    place: Place,
) -> None:
    """(Q-9) (Q-13) (Q-14)"""
    org, mira = place.org, place.org.people["mira"]
    key = place.key.verifier.public.hex()
    text = session_text(Session(org.log_name, "mira", key, org.now, org.now + HOUR, "0" * 32))
    # (1) Signed in the statements' namespace.
    as_statement = carried(mira.sign(text, STATEMENT_NAMESPACE))
    place.refused(place.asked(as_statement), UnprovenError, "namespace")
    # (2) A statement as a session.
    said = mira.sign(statement_text(org.statement()), STATEMENT_NAMESPACE)
    place.refused(place.asked(carried(said)), MalformedError, "bad_session")
    # (3) A session as a statement: neither its form nor its signature is one.
    with pytest.raises(MalformedError):
        parse_statement(text)
    signed = mira.sign(text, SESSION_NAMESPACE)
    with pytest.raises(UnprovenError) as refusal:
        verify_signature(signed, [mira.public], STATEMENT_NAMESPACE)
    assert refusal.value.name == "namespace"
    for header in ("x", "e30=", place.session()[:-8], "A" * 8196):
        place.refused(place.asked(header), MalformedError, "bad_session")


def test_no_session_is_believed_on_a_past_that_is_still_read(place: Place) -> None:
    """(Q-15)"""
    place.current = False
    place.refused(place.asked(place.session()), UnavailableError, "catching_up")
    assert place.readers.known(place.asked(key=place.org.submitters["monitor"]))
    # The ledger is away: what was followed last has to do, unless more was judged before.
    place.away = UnavailableError("away")
    assert place.readers.known(place.asked(place.session()))
    place.behind = True
    place.refused(place.asked(place.session()), UnavailableError, "behind_judged")


def test_a_holder_key_reads_its_own_grant_and_no_other(place: Place) -> None:
    """(Q-6)"""
    broken = place.org.break_glass()
    holder = SignerKey("holder", ED25519, place.org.holder.seed)
    asked = place.asked(key=holder, grant=broken.grant)
    assert place.readers.of_grant(asked) == Holder(broken.grant)
    place.refused(
        place.asked(key=SignerKey.generate("x"), grant=broken.grant), RefusedError, "not_a_reader"
    )
    other = place.asked(key=holder, grant="g-aaaaaaaaaaaa")
    place.refused(other, RefusedError, "not_a_reader")
    with pytest.raises(RefusedError):
        place.readers.known(place.asked(key=holder, grant=broken.grant))
    with place.reading() as state:
        grant = state.grants.by_id[broken.grant]
    assert reads_grant(state, Holder(broken.grant), grant)
    assert not reads_grant(state, Holder("g-aaaaaaaaaaaa"), grant)


def test_a_broker_alone_has_something_given_up(place: Place) -> None:
    """(Q-16)"""
    assert place.readers.broker(place.asked(key=place.org.submitters["broker"]))
    for asked in (
        place.asked(key=place.org.submitters["monitor"]),
        place.asked(key=place.org.submitters["minter:orders-db"]),
        place.asked(place.session("sam")),
    ):
        with pytest.raises(RefusedError, match="no broker's") as refusal:
            place.readers.broker(asked)
        assert refusal.value.name == "not_a_reader"


def test_a_person_is_shown_their_own_and_what_they_are_on_and_a_reader_all(place: Place) -> None:
    broken = place.org.break_glass()
    state = place.org.state
    grant = state.grants.by_id[broken.grant]
    outside = replace(grant, glass="a-glass-without-a-card")
    cases = {
        # who: reads a grant of a glass that they are on, one of another's, its review
        "mira": (True, True, True),  # her own
        "teo": (True, False, False),
        "sam": (True, True, True),  # reviews, and may kill
        "nobody": (False, False, False),
    }
    for who, (on, others, review) in cases.items():
        reader = PersonReading(who, reads_all=False, trusted=False)
        assert reads_grant(state, reader, grant) is on, who
        assert reads_grant(state, reader, outside) is others, who
        assert reads_review(state, reader, grant) is review, who
    reader_of_all = PersonReading("nobody", reads_all=True, trusted=False)
    assert reads_grant(state, reader_of_all, outside)
    assert reads_review(state, reader_of_all, outside)
    assert rules.reads_all(reader_of_all)
    trusted = PersonReading("ana", reads_all=False, trusted=True)
    assert not reads_grant(state, trusted, grant), "who runs it does not read people's reasons"
    with pytest.raises(RefusedError, match="not shown to this caller"):
        place.readers.reads_all(place.asked(place.session("mira")))
    place.rights["mira"] = ReadingRights(reads_all=True)
    assert place.readers.reads_all(place.asked(place.session("mira")))
