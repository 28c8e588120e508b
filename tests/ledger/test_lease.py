"""The lease by itself: who gets it, when, and what one who has lost it can still do (nothing)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from breakglass.errors import MisconfiguredError
from breakglass.ledger.journal import JournalError
from breakglass.ledger.lease import Lease
from breakglass.ledger.postgres_calls import PostgresCalls, PostgresSettings, read_dsn
from breakglass.ledger.postgres_journal import FencedError, PostgresJournal
from tests.contracts.test_journal import commit
from tests.kit.journals import journal_database
from tests.kit.postgres import Postgres, start_postgres
from tests.kit.processes import until

LEASE_FOR = timedelta(seconds=1)
LOOK_EVERY = timedelta(milliseconds=100)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    made = start_postgres()
    yield made
    made.close()


class Party:
    """One ledger's lease and journal, with a clock of its own."""

    def __init__(self, dsn: str, name: str) -> None:
        self.calls = PostgresCalls(dsn, f"breakglass-ledger {name}")
        self.journal = PostgresJournal(self.calls)
        self.clock = 0.0
        self.lease = Lease(
            self.calls,
            lease_for=LEASE_FOR,
            look_every=LOOK_EVERY,
            address=lambda: f"http://{name}",
            elapsed=lambda: self.clock,
        )

    def takes(self, looks: int = 1, apart: float = 0.1) -> bool:
        """Look so many times; says if the lease was taken, and then writes in its term."""
        for _ in range(looks):
            self.clock += apart
            if self.lease.taken():
                self.journal.term = self.lease.term
                return True
        return False

    def die(self) -> None:
        """End all sessions, as a crash would."""
        self.lease.close()
        self.calls.close()


@pytest.fixture
def dsn(server: Postgres) -> str:
    return journal_database(server)


@pytest.fixture
def party(dsn: str) -> Iterator[Callable[[str], Party]]:
    """Make parties over one journal."""
    made: list[Party] = []

    def make(name: str) -> Party:
        made.append(Party(dsn, name))
        return made[-1]

    yield make
    for each in made:
        each.die()


def test_the_first_one_gets_it_and_the_second_sees_who(party: Callable[[str], Party]) -> None:
    a, b = party("a"), party("b")
    assert a.takes(2)
    assert not b.takes(5)
    assert b.lease.holder is not None
    assert (b.lease.holder.address, b.lease.holder.term) == ("http://a", 1)
    a.journal.commit(commit(0, 1))


def test_one_that_died_is_followed_at_the_second_look(party: Callable[[str], Party]) -> None:
    a, b = party("a"), party("b")
    assert a.takes(2)
    assert not b.takes()
    a.die()
    assert not b.takes()  # after a restart of the server its holder may come back first
    until(b.takes)  # the server may be slow to see that the other one is gone
    assert b.lease.term == 2


def test_one_that_shows_no_beat_is_ended_and_writes_nothing_more(
    party: Callable[[str], Party],
) -> None:
    a, b = party("a"), party("b")
    assert a.takes(2)
    a.journal.commit(commit(0, 1))
    for _ in range(30):
        assert not b.takes()
        a.lease.beat()
    assert not b.takes(10)
    assert b.takes(3), "no beat for more than 1 s"
    # Its sessions are gone, and new ones do not help it.
    with pytest.raises(FencedError, match="http://b has taken over in term 2, ours was 1"):
        a.lease.beat()
    for write in (lambda: a.journal.commit(commit(1, 1)), lambda: a.journal.cosign(1, b"late")):
        with pytest.raises(FencedError, match="nothing was written"):
            write()
    with pytest.raises(FencedError):
        a.lease.check()
    b.lease.check()
    b.journal.commit(commit(1, 1))
    assert b.journal.newest_cosigned() is None


def test_looks_far_apart_are_no_watch(party: Callable[[str], Party]) -> None:
    """The one that looks was frozen itself, or the server stood still: beats were held up too."""
    a, b = party("a"), party("b")
    assert a.takes(2)
    assert not b.takes(20, apart=5)
    assert b.takes(12)


def test_a_transaction_under_way_is_ended_or_waited_for(party: Callable[[str], Party]) -> None:
    a, b = party("a"), party("b")
    assert a.takes(2)
    inside, go_on = threading.Event(), threading.Event()
    outcome: list[str] = []

    def write() -> None:
        try:
            with a.journal._fenced() as file:
                file.execute("insert into entries values (0, 'frozen')")
                inside.set()
                go_on.wait(10)
        except JournalError:
            outcome.append("cut off")

    thread = threading.Thread(target=write)
    thread.start()
    assert inside.wait(5)
    assert b.takes(13)
    go_on.set()
    thread.join()
    assert outcome == ["cut off"]
    assert b.journal.notes(0, 9) == []
    b.journal.commit(commit(0, 1))


def test_one_that_froze_with_the_lock_and_without_a_name_is_ended_too(
    party: Callable[[str], Party],
) -> None:
    """Between the lock and the row: the row still names the one before."""
    a, b, c = party("a"), party("b"), party("c")
    assert a.takes(2)
    a.die()
    session = b.lease._connected()
    assert b.lease._locked(session)
    assert c.takes(14)
    assert c.lease.term == 2
    with pytest.raises(JournalError):
        b.lease._raised(session)


def test_a_lost_session_is_replaced_while_nobody_has_taken_over(
    server: Postgres, party: Callable[[str], Party]
) -> None:
    a, b = party("a"), party("b")
    assert a.takes(2)
    server.run(
        "select pg_terminate_backend(pid, 1000) from pg_stat_activity"
        " where application_name = 'breakglass-ledger a'"
    )
    assert not b.takes()
    a.lease.beat()
    assert not b.takes(5)
    a.lease.beat()
    assert a.lease.term == 1
    a.journal.commit(commit(0, 1))


def test_a_session_lost_at_our_end_only_is_ended_at_the_server_too(
    party: Callable[[str], Party],
) -> None:
    a = party("a")
    assert a.takes(2)
    session = a.lease._session
    assert session is not None
    a.lease._last_pid, a.lease._session, a.lease._has_lock = session.info.backend_pid, None, False
    a.lease.beat()
    assert a.lease._has_lock
    with pytest.raises(psycopg.OperationalError):
        session.execute("select 1")


def test_of_many_that_look_at_once_one_takes_it(party: Callable[[str], Party]) -> None:
    parties = [party(f"p{number}") for number in range(6)]
    start = threading.Barrier(6)
    outcomes: list[bool] = []

    def look(each: Party) -> None:
        start.wait()
        outcomes.append(each.takes(4))

    threads = [threading.Thread(target=look, args=(each,)) for each in parties]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False] * 5 + [True]


def test_one_without_a_lease_writes_nothing_once_there_was_one(
    party: Callable[[str], Party],
) -> None:
    a, b = party("a"), party("b")
    b.journal.commit(commit(0, 1))
    assert a.takes(2)
    with pytest.raises(FencedError):
        b.journal.commit(commit(1, 1))


def test_a_password_in_plain_settings_is_refused(tmp_path: Path) -> None:
    for journal in ("postgres://ledger:secret@db/log", "host=db password=secret"):
        with pytest.raises(MisconfiguredError, match="holds a password") as caught:
            read_dsn(journal, PostgresSettings())
        assert "secret" not in str(caught.value)
    assert read_dsn("postgres://ledger@db/log", PostgresSettings()) == "postgres://ledger@db/log"


def test_a_dsn_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "dsn"
    path.write_text("host=db password=secret\n")
    path.chmod(0o640)
    with pytest.raises(MisconfiguredError, match="has mode 0640, wanted 0600"):
        read_dsn("", PostgresSettings(dsn_file=path))
    path.chmod(0o600)
    assert read_dsn("", PostgresSettings(dsn_file=path)) == "host=db password=secret"
    with pytest.raises(MisconfiguredError, match="cannot be read"):
        read_dsn("", PostgresSettings(dsn_file=tmp_path / "none"))
    for journal, settings in (("", PostgresSettings()), ("postgres://x", PostgresSettings(path))):
        with pytest.raises(MisconfiguredError, match="wanted one of"):
            read_dsn(journal, settings)


def test_a_role_that_may_only_use_the_tables_is_enough(server: Postgres, dsn: str) -> None:
    """The statements of docs/how-to/standby-ledger.md: nothing in the log can be changed by it."""
    PostgresJournal(PostgresCalls(dsn, "maker")).close()
    with psycopg.connect(dsn, autocommit=True) as connection:
        database = connection.info.dbname
    page = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "standby-ledger.md"
    text = page.read_text("utf-8")
    grants = text.partition("```sql\n-- rights\n")[2].partition("```")[0]
    user = f"user_{database}"
    server.run(f"create role {user} login password 'only-for-tests'")
    server.run(
        *[each for each in grants.replace("ledger_user", user).split(";") if each.strip()],
        dbname=database,
    )
    plain = Party(server.dsn(user, "only-for-tests", database), "plain")
    assert plain.takes(2)
    plain.lease.beat()
    plain.journal.commit(commit(0, 2))
    assert plain.journal.cosign(2, b"cosigned") == b"cosigned"
    with psycopg.connect(server.dsn(user, "only-for-tests", database), autocommit=True) as session:
        for wrong in (
            "update entries set note = ''",
            "delete from entries",
            "update heads set signed = ''",
            "delete from heads",
            "truncate tiles",
            "drop table ids",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(wrong.encode())
    plain.die()
