"""One writer per submitter: in order, nothing lost, nothing doubled, whatever the ledger does."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from breakglass.errors import BreakglassError, MalformedError, RefusedError, UnavailableError
from breakglass.http.client import Peer
from breakglass.submit.outbox import Draft, Gap, Outbox, OutboxLimits
from breakglass.submit.record_header import read_numbering
from breakglass.tlog.note import Note, SignerKey
from breakglass.tlog.proof import TlogProof, verify_proof
from tests.kit.fake_ledger import LOG, POLICY, FakeLedger
from tests.kit.processes import draft as any_draft
from tests.kit.processes import until

SIGNER = SignerKey.generate("broker.example")
SOON = timedelta(seconds=5)
LATER = timedelta(seconds=60)  # for what takes seconds on a busy machine
START = datetime(2026, 6, 22, 3, 14, 9, tzinfo=UTC)


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def ledger() -> FakeLedger:
    return FakeLedger()


Open = Callable[..., Outbox]


@pytest.fixture
def opened(tmp_path: Path, ledger: FakeLedger, clock: Hands) -> Iterator[Open]:
    made: list[Outbox] = []

    def make(**given: object) -> Outbox:
        made.append(Outbox(ledger, SIGNER, tmp_path, clock, **given))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        each.close()


def draft(ident: str, **given: object) -> Draft:
    return any_draft(ident, LOG.name, **given)  # type: ignore[arg-type]


def numbers(ledger: FakeLedger) -> list[int]:
    return [read_numbering(Note.parse(note).text).seq for note in ledger.notes]


def test_receipts_prove_what_was_recorded(opened: Open, ledger: FakeLedger) -> None:
    receipts = opened().append([draft("asked"), draft("intent")], SOON)
    assert ledger.ids() == ["asked", "intent"]
    for receipt, note in zip(receipts, ledger.notes, strict=True):
        assert receipt.note == note
        assert verify_proof(note, TlogProof.parse(receipt.proof), POLICY).index == receipt.index


def test_receipts_bring_their_commit_where_that_is_wanted(opened: Open, ledger: FakeLedger) -> None:
    outbox = opened(commits=True)
    outbox.post(draft("posted"))
    until(lambda: outbox.waiting == 0)
    receipts = outbox.append([draft("asked"), draft("intent")], SOON)
    shown = ledger.shown(ledger.commits[-1])
    assert [each.commit for each in receipts] == [shown] * 2
    assert [receipt.note.decode() for receipt in receipts] == shown["entries"]
    outbox.close()
    (receipt,) = opened().append([draft("later")], SOON)
    assert receipt.commit is None
    assert list(zip(ledger.posted, ledger.wanted, strict=True)) == [
        (True, False),
        (False, True),
        (False, False),
    ]


def test_a_commit_that_is_none_is_no_commit(
    opened: Open, ledger: FakeLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = opened(commits=True)
    for at, nonsense in enumerate(("x", 3, [], None)):
        monkeypatch.setattr(ledger, "shown", lambda commit, said=nonsense: said)
        (receipt,) = outbox.append([draft(f"intent-{at}")], SOON)
        assert receipt.commit is None


def test_it_goes_on_where_the_ledger_says_after_a_restart(opened: Open, ledger: FakeLedger) -> None:
    first = opened()
    first.append([draft("a"), draft("b")], SOON)
    first.close()
    opened().append([draft("c")], SOON)
    assert numbers(ledger) == [0, 1, 2]


@pytest.mark.parametrize("trouble", ["lose reply", "lose request", "unwitnessed"])
def test_an_unanswered_append_is_repeated_with_the_same_bytes(
    opened: Open, ledger: FakeLedger, trouble: str
) -> None:
    ledger.trouble = [trouble, trouble]
    (receipt,) = opened().append([draft("intent")], SOON)
    assert ledger.notes == [receipt.note]
    assert ledger.appends == [[receipt.note]] * 3


def test_a_refused_note_fails_its_caller_and_those_behind_are_signed_again(
    opened: Open, ledger: FakeLedger
) -> None:
    outbox = opened()
    ledger.refuse = {"bad"}
    outcomes: dict[str, str] = {}

    def append(ident: str) -> None:
        try:
            outbox.append([draft(ident)], SOON)
            outcomes[ident] = "recorded"
        except BreakglassError as error:
            outcomes[ident] = error.name

    with ledger.changed:  # hold the first run, so that the others wait together behind it
        threads = []
        for ident in ("first", "a", "bad", "b", "c"):
            threads.append(threading.Thread(target=append, args=(ident,)))
            threads[-1].start()
            time.sleep(0.05)
    for thread in threads:
        thread.join()
    assert outcomes == {
        "first": "recorded", "a": "recorded", "bad": "too_large", "b": "recorded", "c": "recorded",
    }  # fmt: skip
    assert ledger.ids() == ["first", "a", "b", "c"]
    assert numbers(ledger) == [0, 1, 2, 3]
    assert len(ledger.appends[1]) == 4, "those who waited together travel together"


@pytest.mark.parametrize("trouble", ["", "lose reply", "lose request", "refused"])
def test_what_was_signed_behind_a_long_run_counts_only_where_that_run_ended(
    opened: Open, ledger: FakeLedger, trouble: str
) -> None:
    outbox = opened()
    ledger.trouble = [trouble] if trouble.startswith("lose") else []
    ledger.refuse = {"a-70"} if trouble == "refused" else set()
    told: dict[str, int | str] = {}

    def append(name: str) -> None:
        try:
            told[name] = len(outbox.append([draft(f"{name}-{at}") for at in range(100)], LATER))
        except BreakglassError as error:
            told[name] = error.name

    with ledger.changed:  # the first run is under way until we let go
        threads = []
        for name in ("a", "b", "c"):
            threads.append(threading.Thread(target=append, args=(name,)))
            threads[-1].start()
            time.sleep(0.1)
    for thread in threads:
        thread.join()
    recorded = [f"a-{at}" for at in range(70 if trouble == "refused" else 100)]
    behind = [f"{name}-{at}" for name in "bc" for at in range(100)]
    assert told == {"a": "too_large" if trouble == "refused" else 100, "b": 100, "c": 100}
    assert ledger.ids() == recorded + behind
    assert numbers(ledger) == list(range(len(recorded + behind)))


def test_closing_does_not_wait_for_a_long_run_that_hangs(opened: Open, ledger: FakeLedger) -> None:
    outbox = opened()
    failed: list[str] = []

    def append() -> None:
        try:
            outbox.append([draft(f"a-{at}") for at in range(100)], SOON)
        except UnavailableError as error:
            failed.append(error.name)

    with ledger.changed:
        waiting = threading.Thread(target=append)
        waiting.start()
        time.sleep(0.1)
        outbox.close()
        waiting.join()
    assert failed == ["unanswered"]


def test_behind_a_refused_note_of_one_call_nothing_of_it_is_recorded(
    opened: Open, ledger: FakeLedger
) -> None:
    ledger.refuse = {"asked"}
    outbox = opened()
    with pytest.raises(BreakglassError, match="refused"):
        outbox.append([draft("asked"), draft("intent")], SOON)
    outbox.append([draft("next")], SOON)
    assert ledger.ids() == ["next"]


def test_a_ledger_that_was_never_reached_leaves_nothing_to_be_recorded_later(
    opened: Open, ledger: FakeLedger
) -> None:
    outbox = opened()
    outbox.append([draft("before")], SOON)
    ledger.away = True
    with pytest.raises(UnavailableError, match="nothing was recorded") as caught:
        outbox.append([draft("intent")], timedelta(seconds=0.3))
    assert caught.value.name == "not_sent"
    ledger.away = False
    outbox.append([draft("after")], SOON)
    assert ledger.ids() == ["before", "after"]


def test_a_lost_reply_is_unanswered_and_may_count(opened: Open, ledger: FakeLedger) -> None:
    outbox = opened()
    ledger.trouble = ["lose reply"] * 3
    with pytest.raises(UnavailableError, match="may yet be recorded") as caught:
        outbox.append([draft("intent")], timedelta(seconds=0.1))
    assert caught.value.name == "unanswered"
    outbox.append([draft("after")], SOON)
    assert ledger.ids() == ["intent", "after"]


def test_another_place_in_the_log_is_learnt_from_the_refusal(
    opened: Open, ledger: FakeLedger, tmp_path: Path, clock: Hands
) -> None:
    outbox = opened()
    outbox.append([draft("a")], SOON)
    other = tmp_path / "other"
    other.mkdir()
    stolen = Outbox(ledger, SIGNER, other, clock)  # somebody else writes with our key
    stolen.append([draft("theirs")], SOON)
    stolen.close()
    outbox.append([draft("b")], SOON)
    assert ledger.ids() == ["a", "theirs", "b"]
    assert numbers(ledger) == [0, 1, 2]


def test_a_taken_id_is_the_callers_to_know(opened: Open) -> None:
    outbox = opened()
    outbox.append([draft("same")], SOON)
    with pytest.raises(RefusedError, match="taken") as caught:
        outbox.append([draft("same", size=3)], SOON)
    assert caught.value.name == "id_taken"


def test_attachments_go_before_their_note(opened: Open, ledger: FakeLedger) -> None:
    outbox = opened()
    outbox.append([draft("a", attachments=(b"one", b"two"))], SOON)
    assert sorted(ledger.attachments.values()) == [b"one", b"two"]
    ledger.away = True
    outbox.post(draft("b", attachments=(b"three",)))
    outbox.close()
    ledger.away = False
    assert opened().flush(SOON)
    assert b"three" in ledger.attachments.values()
    assert ledger.ids() == ["a", "b"]


def test_notes_posted_together_are_kept_in_one_transaction_and_one_that_waits_is_left(
    opened: Open, ledger: FakeLedger
) -> None:
    ledger.away = True
    outbox, commits = opened(), list[str]()
    outbox._spool._file.connection.set_trace_callback(commits.append)
    outbox.post(draft("a"), draft("b"))
    outbox.post(draft("b", size=5), draft("c"))
    assert [each.lower() for each in commits].count("commit") == 2
    assert outbox.waiting == 3
    ledger.away = False
    assert outbox.flush(SOON)
    assert ledger.ids() == ["a", "b", "c"]


def test_posted_notes_survive_a_restart_and_keep_their_order(
    opened: Open, ledger: FakeLedger
) -> None:
    ledger.away = True
    first = opened()
    for number in range(5):
        first.post(draft(f"n-{number}"))
    assert first.waiting == 5
    first.close()
    second = opened()
    assert second.waiting == 5
    ledger.away = False
    assert second.flush(SOON)
    assert second.waiting == 0
    assert ledger.ids() == [f"n-{number}" for number in range(5)]


def test_a_posted_note_that_was_recorded_before_the_crash_is_not_doubled(
    opened: Open, ledger: FakeLedger, tmp_path: Path, clock: Hands
) -> None:
    """The answer was lost, then the process died: the spool still holds what the ledger has."""
    ledger.away = True
    first = opened()
    for ident in ("a", "b", "c"):
        first.post(draft(ident))
    first.close()
    ledger.away = False
    other = tmp_path / "as-before-the-crash"
    other.mkdir()
    before = Outbox(ledger, SIGNER, other, clock)
    before.append([draft("a"), draft("b")], SOON)
    before.close()
    second = opened()
    assert second.flush(SOON)
    assert second.waiting == 0
    assert ledger.ids() == ["a", "b", "c"]
    assert second.refused() == []


def test_posting_an_id_that_waits_already_changes_nothing(opened: Open, ledger: FakeLedger) -> None:
    ledger.away = True
    outbox = opened()
    outbox.post(draft("dead"))
    outbox.post(draft("dead", size=5))
    assert outbox.waiting == 1
    ledger.away = False
    assert outbox.flush(SOON)
    assert ledger.ids() == ["dead"]


def test_a_posted_note_that_can_never_be_recorded_is_set_aside_not_lost(
    opened: Open, ledger: FakeLedger
) -> None:
    ledger.refuse = {"bad"}
    outbox = opened()
    for ident in ("a", "bad", "b"):
        outbox.post(draft(ident))
    assert outbox.flush(SOON)
    assert ledger.ids() == ["a", "b"]
    assert [ident for ident, *_ in outbox.refused()] == ["bad"]


def test_full_by_number_and_by_age(opened: Open, ledger: FakeLedger, clock: Hands) -> None:
    ledger.away = True
    outbox = opened(limits=OutboxLimits(notes_at_most=3))
    outbox.post(draft("a"))
    outbox.post(draft("b"))
    assert not outbox.full
    clock.time += timedelta(hours=24)
    assert outbox.full
    clock.time = START
    outbox.post(draft("c"))
    assert outbox.full
    outbox.post(draft("d"))  # what has happened can be told beyond it
    assert outbox.waiting == 4
    ledger.away = False
    assert outbox.flush(SOON)
    assert not outbox.full


def gap_draft(gap: Gap) -> Draft:
    made = draft(f"gap-{gap.first_seq}")
    value = json.loads(made.text.split("\n")[1])
    value |= {"from": gap.first_seq, "to": gap.last_seq, "cause": gap.cause}
    line = json.dumps(value, separators=(",", ":"))
    return Draft(made.id, f"breakglass.dev/record/v1\n{line}\n")


def test_after_an_outage_a_gap_precedes_the_late_notes(
    opened: Open, ledger: FakeLedger, clock: Hands
) -> None:
    told: list[Gap] = []

    def gap(each: Gap) -> Draft:
        told.append(each)
        return gap_draft(each)

    outbox = opened(gap=gap)
    outbox.append([draft("before")], SOON)
    ledger.away = True
    for ident in ("late-1", "late-2", "late-3"):
        outbox.post(draft(ident))
    until(lambda: outbox._trouble is not None)  # it was tried: the outage has its cause
    clock.time += timedelta(seconds=150)
    outbox.post(draft("in time"))
    ledger.away = False
    assert outbox.flush(SOON)
    assert ledger.ids() == ["before", "gap-2", "late-1", "late-2", "late-3", "in time"]
    assert numbers(ledger) == list(range(6))
    last = told[-1]
    assert (last.first_seq, last.last_seq) == (2, 4)
    assert (last.start, last.end) == (START, START + timedelta(seconds=150))
    assert "cannot be reached" in last.cause


def test_a_short_outage_needs_no_gap(opened: Open, ledger: FakeLedger, clock: Hands) -> None:
    outbox = opened(gap=gap_draft)
    ledger.away = True
    outbox.post(draft("a"))
    clock.time += timedelta(seconds=60)
    ledger.away = False
    assert outbox.flush(SOON)
    assert ledger.ids() == ["a"]


def test_a_restart_after_an_outage_writes_the_gap_too(
    opened: Open, ledger: FakeLedger, clock: Hands
) -> None:
    ledger.away = True
    first = opened()
    first.post(draft("late"))
    first.close()
    clock.time += timedelta(hours=3)
    ledger.away = False
    assert opened(gap=gap_draft).flush(SOON)
    assert ledger.ids() == ["gap-1", "late"]


def test_drafts_made_in_the_queue_never_go_back_in_time(opened: Open, ledger: FakeLedger) -> None:
    outbox = opened()
    count = 0
    lock = threading.Lock()

    def stamp() -> Draft:
        nonlocal count
        with lock:
            count += 1
            number = count
        time.sleep(0.001)
        return draft(f"{number:04d}")

    def work() -> None:
        for _ in range(10):
            outbox.append([stamp], SOON)
            outbox.post(stamp)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outbox.flush(SOON)
    assert ledger.ids() == [f"{number + 1:04d}" for number in range(120)]


def test_a_run_says_whether_somebody_waits_for_it_or_for_what_stands_behind_it(
    opened: Open, ledger: FakeLedger
) -> None:
    outbox = opened()
    outbox.append([draft("asked")], SOON)
    outbox.post(draft("minted"))
    until(lambda: not outbox.waiting)
    outbox.post(draft("usable"))
    outbox.append([draft("pulse")], SOON)  # takes the posted one along
    outbox.post(draft("dead"))
    assert outbox.flush(SOON)
    assert ledger.posted == [False, True, False, False]
    ledger.trouble += ["lose request"] * 5
    outbox.post(draft("ended"))
    until(lambda: len(ledger.posted) == 5)
    outbox.append([draft("next")], SOON)  # and waits for the one that is sent again and again
    again = ledger.posted[4:]
    assert again == sorted(again, reverse=True)
    assert (again[0], again[-1]) == (True, False)


@pytest.mark.parametrize(
    "bad",
    [
        Draft("a", "no record"),
        Draft("a", draft("b").text),
        draft("a", size=20_000),
    ],
)
def test_a_draft_that_would_jam_the_queue_is_refused_at_once(
    opened: Open, ledger: FakeLedger, bad: Draft
) -> None:
    outbox = opened()
    with pytest.raises(MalformedError):
        outbox.append([bad], SOON)
    with pytest.raises(MalformedError):
        outbox.post(draft("beside it"), bad)  # all or none
    outbox.append([draft("good")], SOON)
    assert ledger.ids() == ["good"]


def test_closing_fails_who_waits_and_keeps_what_is_spooled(
    opened: Open, ledger: FakeLedger
) -> None:
    outbox = opened()
    ledger.away = True
    outbox.post(draft("kept"))
    failed: list[BreakglassError] = []

    def append() -> None:
        try:
            outbox.append([draft("waits")], SOON)
        except UnavailableError as error:
            failed.append(error)

    thread = threading.Thread(target=append)
    thread.start()
    time.sleep(0.1)
    outbox.close()
    thread.join(2)
    assert failed
    until(lambda: opened().waiting == 1)
    with pytest.raises(UnavailableError, match="closed"):
        outbox.append([draft("more")], SOON)


def test_nothing_is_sent_before_what_must_be_in_the_log(
    opened: Open, ledger: FakeLedger, clock: Hands
) -> None:
    held, seen = [True], list[int]()

    def before_sending(to: Peer) -> None:
        assert to is ledger
        seen.append(len(ledger.appends))
        if held[0]:
            raise UnavailableError("a door waits", name="unreachable")

    outbox = opened(before_sending=before_sending)
    outbox.post(draft("outcome"))
    with pytest.raises(UnavailableError, match="nothing was recorded: a door waits") as said:
        outbox.append([draft("asked")], timedelta(seconds=0.5))
    assert (said.value.name, ledger.appends) == ("not_sent", [])
    held[0] = False
    assert outbox.flush(SOON)
    # Asked before each run, also one that is sent again with the same bytes.
    ledger.trouble = ["lose reply"]
    outbox.append([draft("intent")], SOON)
    assert ledger.ids() == ["outcome", "intent"]
    assert seen[-3:] == [0, 1, 2]


def test_what_becomes_due_while_notes_wait_goes_before_them(
    opened: Open, ledger: FakeLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A door may be taken after the run was begun, and its own record be the last of that run."""
    due, brought = list[str](), list[str]()
    outbox = opened(before_sending=lambda to: brought.extend(due))
    taking = outbox._take

    def taken() -> bool:
        done = taking()
        due.append("door")
        return done

    monkeypatch.setattr(outbox, "_take", taken)
    outbox.append([draft("door-record")], SOON)
    assert brought == ["door"]
