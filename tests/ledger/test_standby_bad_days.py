"""Switch after switch under load, and a PostgreSQL that restarts, goes away, or cuts sessions."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.errors import UnavailableError
from breakglass.submit.outbox import Receipt
from breakglass.submit.record_header import NO_PREV
from breakglass.tlog.tiles import encode_bundle
from tests.kit.postgres import Postgres, start_postgres
from tests.kit.processes import draft, signed, until
from tests.kit.standby import Pair, Watch, append, check_everything, make_pair, role

FENCED = 6


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    made = start_postgres()
    yield made
    made.close()


@pytest.fixture
def pair(server: Postgres, tmp_path: Path) -> Iterator[Pair]:
    made = make_pair(tmp_path / "set", server, submitters=3)
    yield made
    made.kill()


@pytest.mark.parametrize("switches", [5, pytest.param(100, marks=pytest.mark.long)])
def test_whatever_ends_the_active_one_there_is_one_history(pair: Pair, switches: int) -> None:
    """Three submitters append all the time; every second or so the active ledger has a bad day."""
    pair.start()
    dice = random.Random(switches)
    receipts: dict[str, Receipt] = {}
    failures: list[Exception] = []
    done = threading.Event()

    def work(number: int) -> None:
        outbox = pair.outbox(number)
        count = 0
        try:
            while not done.is_set():
                ident = f"{number}-{count}"
                receipts[ident] = append(outbox, ident)
                count += 1
        except Exception as error:  # noqa: BLE001  told by the main thread
            failures.append(error)
        outbox.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    days = ["frozen", "killed", "stopped", "frozen for a moment", "cut off"]
    with Watch(pair).watching() as watch:
        for turn in range(switches):
            time.sleep(dice.uniform(0.1, 0.6))
            bad_day(pair, days[turn % len(days)])
        done.set()
        for thread in threads:
            thread.join()
    assert not failures
    assert len(receipts) > switches
    assert watch.looks > switches
    assert not any("rolled back" in each.said() for each in pair.both), "a false alarm"
    check_everything(pair, receipts, watch)


def bad_day(pair: Pair, what: str) -> None:
    """Let the active one have it; returns when one is active and the other one stands by."""
    active = pair.active()
    standby = pair.other(active)
    if what == "killed":
        active.kill()
    elif what == "stopped":
        active.stop()
    elif what == "cut off":
        # Its sessions end, all of them. It comes back, or the other one was faster.
        pair.server.run(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name ="
            " (select application_name from pg_stat_activity join pg_locks using (pid)"
            " where locktype = 'advisory' limit 1)"
        )
    else:
        active.signal(signal.SIGSTOP)
        if what == "frozen":
            # It may have left a moment ago, when the day before went on in the background.
            until(lambda: pair.revive(standby) or role(standby) == "active")
        else:
            time.sleep(0.3)
        active.signal(signal.SIGCONT)
    if what == "frozen":
        assert active.wait_ended(5) == FENCED, pair.told()

    def settled() -> bool:
        for each in pair.both:
            pair.revive(each)
        return {role(each) for each in pair.both} == {"active", "standby"}

    until(settled, 20)


def test_a_restart_of_postgresql_is_a_short_outage(pair: Pair) -> None:
    pair.start()
    outbox = pair.outbox()
    receipts = {"before": append(outbox, "before")}
    for number in range(3):
        pair.server.away()
        pair.server.back()
        start = time.monotonic()
        receipts[f"after-{number}"] = append(outbox, f"after-{number}")
        assert time.monotonic() - start < 6
        for each in pair.both:
            pair.revive(each)  # whichever was slower to come back has left
    outbox.close()
    check_everything(pair, receipts)


def test_while_postgresql_is_away_appends_get_503_soon_and_nothing_is_lost(pair: Pair) -> None:
    pair.start()
    outbox = pair.outbox()
    receipts = {"before": append(outbox, "before")}
    until(lambda: pair.second.neighbour().get("/healthz").json()["size"] == 1)
    pair.server.away()
    note = signed(draft("during"), pair.log_set.submitters[1], 0, NO_PREV)
    for each in pair.both:
        start = time.monotonic()
        reply = each.neighbour(6).send("POST", "/append", encode_bundle([note]))
        assert time.monotonic() - start < 5.5
        assert reply.status == 503
        start = time.monotonic()
        assert each.neighbour(6).send("GET", "/proof/0").status == 503
        # What is in memory is served all the same.
        assert each.neighbour(6).send("GET", "/checkpoint").status == 200
        assert time.monotonic() - start < 5.5
    with pytest.raises(UnavailableError, match=r"may yet be recorded|was not reached"):
        append(outbox, "unanswered", timedelta(seconds=2))
    assert all(each.ended() is None for each in pair.both), "an outage is no reason to leave"
    pair.server.back()
    receipts["after"] = append(outbox, "after")
    answer = pair.neighbour().post("/append", encode_bundle([note])).json()
    receipts["during"] = Receipt(answer["first"], note, answer["proofs"][0].encode())
    outbox.close()
    # The note that nobody was told of is there once, too.
    assert len(receipts) == 3
    assert pair.neighbour().get("/healthz").json()["size"] == 4
    check_everything(pair, receipts)


def test_a_ledger_without_its_postgresql_does_not_start(pair: Pair) -> None:
    pair.server.away()
    code = pair.first.start(wait=False).wait_ended()
    pair.server.back()
    assert code == 6
    assert "journal could not be reached" in pair.first.said()
    assert "only-for-tests" not in pair.first.said(), "the password"
