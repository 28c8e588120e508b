"""The sequencer by itself, branch by branch: the pool, a lost quorum, a disk that fails, a fork."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import pytest

from breakglass.errors import MisconfiguredError, RefusedError, UnavailableError
from breakglass.http.routes import StatusError
from breakglass.ledger.journal import Commit, Head
from breakglass.ledger.journal_tiles import JournalTiles
from breakglass.ledger.merkle_frontier import GrowingTree
from breakglass.ledger.sequencing import proof_of
from breakglass.tlog.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from breakglass.tlog.hashing import leaf_hash
from breakglass.tlog.proof import TlogProof
from tests.kit.made_journal import fill, signed_entries
from tests.kit.processes import until
from tests.kit.sequencer_bench import SOON_S, Bench, Clerk, SwitchedJournal, told


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


@pytest.fixture
def clerk() -> Clerk:
    return Clerk()


# --- the pool -----------------------------------------------------------------------------------


def test_the_pool_holds_as_many_notes_as_it_says_and_not_one_more(
    bench: Bench, clerk: Clerk
) -> None:
    sequencer = bench.sequencer(pool_notes=5)
    first, last, over = clerk.notes(3), clerk.notes(2), clerk.notes(1)
    waiting = [sequencer.submit(clerk.run(first)), sequencer.submit(clerk.run(last))]
    with pytest.raises(StatusError, match="5 notes wait already, 5 at most") as caught:
        sequencer.submit(clerk.run(over))
    assert (caught.value.name, caught.value.http_status) == ("pool_full", 429)
    sequencer.start()
    for notes, each in zip([first, last], waiting, strict=True):
        bench.check(notes, each.done.result(SOON_S))
    # What was taken out is room again, and what was refused left nothing behind.
    bench.check(over, sequencer.submit(clerk.run(over)).done.result(SOON_S))
    five = clerk.notes(5)
    bench.check(five, sequencer.submit(clerk.run(five)).done.result(SOON_S))


def test_a_commit_takes_whole_runs_up_to_256_notes(bench: Bench, clerk: Clerk) -> None:
    sequencer = bench.sequencer()
    runs = [clerk.notes(count) for count in (100, 100, 57, 199, 256)]
    waiting = [sequencer.submit(clerk.run(notes)) for notes in runs]
    sequencer.start()
    for notes, each in zip(runs, waiting, strict=True):
        bench.check(notes, each.done.result(SOON_S))
    sizes, size = [], 0
    while (head := bench.journal.head_after(size)) is not None:
        size = head.size
        sizes.append(size)
    assert sizes == [200, 456, 712]


def test_who_waits_when_it_closes_is_told_and_nobody_is_taken_afterwards(
    bench: Bench, clerk: Clerk
) -> None:
    sequencer = bench.sequencer()
    waiting = sequencer.submit(clerk.run(clerk.notes(1)))
    sequencer.close()
    assert told(waiting.done).name == "stopping"
    with pytest.raises(UnavailableError, match="stopping; nothing was recorded"):
        sequencer.submit(clerk.run(clerk.notes(1)))
    assert bench.journal.newest() is None


# --- posted runs --------------------------------------------------------------------------------


def sizes(bench: Bench) -> list[int]:
    found, size = [], 0
    while (head := bench.journal.head_after(size)) is not None:
        size = head.size
        found.append(size)
    return found


def test_a_posted_run_is_held_until_an_urgent_one_takes_it_along(
    bench: Bench, clerk: Clerk
) -> None:
    sequencer = bench.started(hold=60)
    monitor, minter = Clerk("monitor.example"), Clerk("minter.example")
    posted = [(each, each.notes(2)) for each in (monitor, minter)]
    held = [sequencer.submit(each.run(notes), posted=True) for each, notes in posted]
    time.sleep(0.1)
    assert (sizes(bench), [each.done.done() for each in held]) == ([], [False, False])
    urgent = clerk.notes(1)
    bench.check(urgent, sequencer.submit(clerk.run(urgent)).done.result(SOON_S))
    for (_, notes), each in zip(posted, held, strict=True):
        bench.check(notes, each.done.result(SOON_S))
    assert sizes(bench) == [5]


def test_a_posted_run_alone_is_held_for_its_time_and_no_longer(bench: Bench, clerk: Clerk) -> None:
    sequencer = bench.started(hold=0.3)
    begun = time.monotonic()
    notes = clerk.notes(1)
    bench.check(notes, sequencer.submit(clerk.run(notes), posted=True).done.result(SOON_S))
    assert time.monotonic() - begun >= 0.3


@pytest.mark.parametrize(("runs", "each"), [(3, 1), (2, 128)])
def test_many_posted_runs_or_notes_are_company_enough(bench: Bench, runs: int, each: int) -> None:
    sequencer = bench.started(hold=60, held_at_most=2)
    clerks = [Clerk(f"gate-{at}.example") for at in range(runs)]
    waiting = [sequencer.submit(one.run(one.notes(each)), posted=True) for one in clerks]
    for one in waiting:
        one.done.result(SOON_S)
    assert sizes(bench) == [runs * each]


def test_a_ledger_of_few_threads_holds_nothing(bench: Bench, clerk: Clerk) -> None:
    sequencer = bench.started(hold=60, held_at_most=0)
    notes = clerk.notes(1)
    bench.check(notes, sequencer.submit(clerk.run(notes), posted=True).done.result(SOON_S))


def test_without_a_quorum_nothing_is_held(bench: Bench, clerk: Clerk) -> None:
    sequencer = bench.started(hold=60)
    posted = Clerk("minter.example")
    with bench.no_quorum():
        assert told(sequencer.submit(clerk.run(clerk.notes(1))).done).name == "unwitnessed"
        waiting = sequencer.submit(posted.run(posted.notes(1)), posted=True)
        assert told(waiting.done).name == "unwitnessed"


def test_who_is_held_when_it_closes_is_told(bench: Bench, clerk: Clerk) -> None:
    sequencer = bench.started(hold=60)
    waiting = sequencer.submit(clerk.run(clerk.notes(1)), posted=True)
    time.sleep(0.05)
    sequencer.close()
    assert told(waiting.done).name == "stopping"
    assert bench.journal.newest() is None


# --- one commit ---------------------------------------------------------------------------------


def test_the_steps_of_a_commit_come_in_their_order(bench: Bench, clerk: Clerk) -> None:
    sequencer = bench.started()
    notes = clerk.notes(2)
    bench.check(notes, sequencer.submit(clerk.run(notes)).done.result(SOON_S))
    until(lambda: bench.reached == [1, 2, 3, 4, 5, 6])


def test_the_same_bytes_are_no_second_commit_and_get_the_same_receipt(
    bench: Bench, clerk: Clerk
) -> None:
    sequencer = bench.started()
    early = clerk.notes(1)
    first = sequencer.submit(clerk.run(early)).done.result(SOON_S)
    bench.check(later := clerk.notes(1), sequencer.submit(clerk.run(later)).done.result(SOON_S))
    again = sequencer.submit(clerk.run(early)).done.result(SOON_S)
    assert (again.indices, again.proofs) == (first.indices, first.proofs)
    assert bench.feed.size == 2


def test_a_run_ends_at_its_first_refusal_and_says_why_beside_the_receipts(
    bench: Bench, clerk: Clerk
) -> None:
    sequencer = bench.started()
    good, second, third = clerk.notes(3)
    refused = RefusedError("its attachment is missing", name="attachment_missing")
    accepted = sequencer.submit(clerk.run([good], refused)).done.result(SOON_S)
    bench.check([good], accepted)
    assert accepted.refusal is refused
    assert told(sequencer.submit(clerk.run([third])).done).name == "bad_seq"
    assert told(sequencer.submit(clerk.run([], refused)).done) is refused
    # A note of its own finding: the same id with other bytes, behind two that fit.
    again = clerk.changed(good)
    accepted = sequencer.submit(clerk.run([second, third, again])).done.result(SOON_S)
    bench.check([second, third], accepted)
    assert accepted.refusal is not None
    assert accepted.refusal.name == "id_taken"


def test_answers_go_out_before_followers_wake_and_find_the_entry_shown(
    bench: Bench, clerk: Clerk
) -> None:
    sequencer = bench.started()
    follower = ThreadPoolExecutor(1).submit(bench.shown)
    until(lambda: bool(bench.feed._changed._waiters))  # type: ignore[attr-defined]
    seen: list[tuple[bool, int, bool]] = []

    def look() -> None:
        time.sleep(0.1)  # long enough for a follower that was woken
        seen.append((waiting.done.done(), bench.feed.size, follower.done()))

    bench.at_step[6] = look
    waiting = sequencer.submit(clerk.run(clerk.notes(1)))
    assert [each.head.size for each in follower.result(SOON_S / 2)] == [1]
    assert seen == [(True, 1, False)]


def test_followers_wake_also_when_answering_fails(bench: Bench, clerk: Clerk) -> None:
    sequencer = bench.started()
    follower = ThreadPoolExecutor(1).submit(bench.shown)
    until(lambda: bool(bench.feed._changed._waiters))  # type: ignore[attr-defined]
    bench.at_step[6] = lambda: 1 // 0
    sequencer.submit(clerk.run(clerk.notes(1)))
    assert [each.head.size for each in follower.result(SOON_S / 2)] == [1]


# --- a lost quorum ------------------------------------------------------------------------------


def test_commits_of_a_lost_quorum_are_all_shown_in_order_when_it_is_back(
    bench: Bench, clerk: Clerk
) -> None:
    """Else entry 2 would be served as entry 1."""
    sequencer = bench.started()
    first = clerk.notes(1)
    bench.check(first, sequencer.submit(clerk.run(first)).done.result(SOON_S))
    runs = [clerk.notes(2), clerk.notes(1), clerk.notes(3)]
    with bench.no_quorum():
        for notes in runs:
            error = told(sequencer.submit(clerk.run(notes)).done)
            assert error.name == "unwitnessed"
            assert "recorded, and no receipt" in error.message
            assert "repeat the same bytes" in error.hint
        assert bench.feed.size == 1
    (shown,) = bench.shown(1)
    assert (shown.first, list(shown.notes)) == (1, list(chain(*runs)))
    assert parse_checkpoint(shown.head.signed)[0].size == shown.head.size == 7
    # Nobody followed meanwhile: who asks from the beginning gets the same, from the journal.
    assert bench.entries() == [*first, *chain(*runs)]
    for notes in runs:
        bench.check(notes, sequencer.submit(clerk.run(notes)).done.result(SOON_S))
    assert bench.feed.size == 7


def test_a_refused_run_is_told_its_own_reason_also_without_a_quorum(
    bench: Bench, clerk: Clerk
) -> None:
    sequencer = bench.started()
    _, second = clerk.notes(2)
    good = Clerk("minter.example")
    with bench.no_quorum():
        assert told(sequencer.submit(good.run(good.notes(1))).done).name == "unwitnessed"
        assert told(sequencer.submit(clerk.run([second])).done).name == "bad_seq"


def test_the_quorum_is_asked_again_by_itself_and_ever_more_rarely(
    bench: Bench, clerk: Clerk
) -> None:
    sequencer = bench.started(retry_at_most=60)
    with bench.no_quorum():
        begun = time.monotonic()
        assert told(sequencer.submit(clerk.run(clerk.notes(1))).done).name == "unwitnessed"
        until(lambda: bench.witnesses[0].asked >= 5)
        # 0.04, 0.08, 0.16 and 0.32 s lie between; without a rest that grows it were 0.08 s.
        assert time.monotonic() - begun >= 0.5
    assert bench.shown()[0].head.size == 1


@pytest.mark.parametrize("restarted", [False, True])
def test_so_many_bytes_without_a_quorum_and_no_more_are_taken_and_it_recovers(
    bench: Bench, clerk: Clerk, restarted: bool
) -> None:
    sequencer = bench.started()
    bench.switch(mute=True)
    for _ in range(3):  # 4 MiB each or a little less; the third one goes over 8 MiB
        error = told(sequencer.submit(clerk.run(clerk.notes(250, size=14_000))).done)
        assert "recorded, and no receipt" in error.message
    over = clerk.notes(1)
    if restarted:
        sequencer.close()
        sequencer = bench.started()
    error = told(sequencer.submit(clerk.run(over)).done)
    assert (error.name, "nothing of this was recorded" in error.message) == ("unwitnessed", True)
    head = bench.journal.newest()
    assert head is not None
    assert head.size == 750
    bench.switch()
    assert bench.shown()[0].head.cosigned is not None
    bench.check(over, sequencer.submit(clerk.run(over)).done.result(SOON_S))
    assert bench.feed.size == 751
    bench.switch(mute=True)  # the room is there again
    for _ in range(2):
        error = told(sequencer.submit(clerk.run(clerk.notes(1))).done)
        assert "recorded, and no receipt" in error.message


def test_a_start_without_cosigners_records_nothing_until_they_say_what_they_know(
    bench: Bench, clerk: Clerk
) -> None:
    notes = clerk.notes(1)
    with bench.no_quorum():
        sequencer = bench.started()
        error = told(sequencer.submit(clerk.run(notes)).done)
        assert "(w0: 'w0.example' is away; w1: 'w1.example' is away)" in error.message
        assert "nothing of this was recorded" in error.message
        assert bench.journal.newest() is None
    bench.check(notes, sequencer.submit(clerk.run(notes)).done.result(SOON_S))


def test_the_final_form_of_a_head_that_stands_already_is_the_one_that_is_shown(
    bench: Bench, clerk: Clerk
) -> None:
    """A ledger that took over and lost again may have set it; no follower sees two forms."""
    sequencer = bench.started()
    notes = clerk.notes(1)
    forms: list[bytes] = []

    def finish() -> None:
        head = bench.journal.newest()
        assert head is not None
        body = b"old 1\n\n" + head.signed  # they have cosigned it for the sequencer just now
        answers = [each.send("POST", "/add-checkpoint", body) for each in bench.witnesses[1::-1]]
        assert [each.status for each in answers] == [200, 200]
        forms.append(head.signed + b"".join(each.body for each in answers))
        assert bench.journal.cosign(1, forms[0]) == forms[0]

    bench.at_step[4] = finish
    accepted = sequencer.submit(clerk.run(notes)).done.result(SOON_S)
    bench.check(notes, accepted)
    (shown,) = bench.shown()
    assert shown.head.cosigned == forms[0]
    assert TlogProof.parse(accepted.proofs[0]).checkpoint == forms[0]


# --- what a restart finds -----------------------------------------------------------------------


def test_a_restart_brings_what_nobody_cosigned_and_answers_as_before(
    bench: Bench, clerk: Clerk
) -> None:
    sequencer = bench.started()
    runs = [clerk.notes(3), clerk.notes(256), clerk.notes(2)]
    bench.check(runs[0], sequencer.submit(clerk.run(runs[0])).done.result(SOON_S))
    with bench.no_quorum():
        for notes in runs[1:]:
            assert told(sequencer.submit(clerk.run(notes)).done).name == "unwitnessed"
        sequencer.close()
    sequencer = bench.started()
    until(lambda: bench.feed.size == 261)
    # As one commit, the last: an archiver takes whole segments, each of one commit.
    assert (bench.targets[0].before, list(bench.targets[0].notes)) == (259, runs[2])
    assert bench.entries() == list(chain(*runs))
    for notes in runs:
        bench.check(notes, sequencer.submit(clerk.run(notes)).done.result(SOON_S))


def test_what_no_quorum_has_seen_has_no_proof(bench: Bench, clerk: Clerk) -> None:
    sequencer = bench.started()
    with bench.no_quorum():
        told(sequencer.submit(clerk.run(clerk.notes(1))).done)
        with pytest.raises(UnavailableError, match="no witnessed head holds entry 0 yet"):
            proof_of(bench.journal, JournalTiles(bench.journal), 0)
    bench.shown()
    TlogProof.parse(proof_of(bench.journal, JournalTiles(bench.journal), 0))


def test_a_journal_that_was_rolled_back_is_not_started(bench: Bench, clerk: Clerk) -> None:
    sequencer = bench.started()
    sequencer.submit(clerk.run(clerk.notes(1))).done.result(SOON_S)
    copy = bench.copy_of_the_journal()
    sequencer.submit(clerk.run(clerk.notes(1))).done.result(SOON_S)
    sequencer.close()
    bench.journal.close()
    bench.journal = copy
    with pytest.raises(MisconfiguredError, match="rolled back or replaced; not started") as caught:
        bench.started()
    assert caught.value.name == "rolled_back"
    assert "restore the journal" in caught.value.hint


def test_a_journal_that_does_not_lead_to_its_head_is_not_started(
    bench: Bench, clerk: Clerk
) -> None:
    fill(bench.journal, bench.log, iter([signed_entries(3, clerk.key), []]).__next__)
    head = bench.journal.newest()
    assert head is not None
    bench.journal._writer.execute("update entries set note = x'00' where place = 1")
    with pytest.raises(MisconfiguredError, match="does not lead to its own head of size 3"):
        bench.started()
    bench.journal._writer.execute("delete from entries where place = 1")
    with pytest.raises(MisconfiguredError, match=r"lacks entries .* not started") as caught:
        bench.started()
    assert caught.value.name == "journal"


# --- a commit whose outcome is unknown ----------------------------------------------------------


@pytest.mark.parametrize("kept", [True, False])
def test_a_commit_of_unknown_outcome_counts_once_whichever_it_was(
    bench: Bench, clerk: Clerk, kept: bool
) -> None:
    sequencer = bench.started()
    first = clerk.notes(1)
    bench.check(first, sequencer.submit(clerk.run(first)).done.result(SOON_S))
    bench.journal.keeps_and_fails, bench.journal.refuses = int(kept), int(not kept)
    notes = clerk.notes(2)
    error = told(sequencer.submit(clerk.run(notes)).done)
    assert error.name == "journal"
    assert "it may or may not be recorded" in error.message
    assert "repeat the same bytes" in error.hint
    if kept:  # read again, it is brought to the witnesses by itself
        until(lambda: bench.feed.size == 3)
    bench.check(notes, sequencer.submit(clerk.run(notes)).done.result(SOON_S))
    assert bench.feed.size == 3
    assert bench.suspected == 1
    later = clerk.notes(1)
    bench.check(later, sequencer.submit(clerk.run(later)).done.result(SOON_S))
    assert sequencer.trouble == ""


def test_the_trouble_of_a_disk_is_said_until_a_commit_succeeds(bench: Bench, clerk: Clerk) -> None:
    sequencer = bench.started()
    bench.journal.refuses = 1
    notes = clerk.notes(1)
    told(sequencer.submit(clerk.run(notes)).done)
    assert "no space left" in sequencer.trouble
    bench.check(notes, sequencer.submit(clerk.run(notes)).done.result(SOON_S))
    assert sequencer.trouble == ""


def test_an_error_inside_answers_nobody_as_recorded_and_ends_nothing(
    bench: Bench, clerk: Clerk
) -> None:
    sequencer = bench.started()
    bench.journal.breaks = 1
    notes = clerk.notes(1)
    error = told(sequencer.submit(clerk.run(notes)).done)
    assert (error.name, "may yet be recorded" in error.message) == ("internal", True)
    bench.check(notes, sequencer.submit(clerk.run(notes)).done.result(SOON_S))
    assert (bench.feed.size, bench.suspected) == (1, 0)


# --- somebody else writes our log ---------------------------------------------------------------


def test_another_writer_of_the_journal_ends_all_recording(bench: Bench, clerk: Clerk) -> None:
    sequencer = bench.started()
    first = clerk.notes(1)
    sequencer.submit(clerk.run(first)).done.result(SOON_S)
    head = bench.journal.newest()
    assert head is not None
    other = SwitchedJournal(bench.path)
    _another_commit(bench, other, head)
    notes = clerk.notes(1)
    error = told(sequencer.submit(clerk.run(notes)).done)
    assert (error.name, "nothing is recorded any more" in error.message) == ("journal_forked", True)
    assert bench.suspected == 1
    until(lambda: sequencer.stopped is not None)
    with pytest.raises(StatusError, match="nothing is recorded any more") as caught:
        sequencer.submit(clerk.run(notes))
    assert caught.value.http_status == 500
    assert bench.feed.size == 1  # what was shown stands; nothing of the other's is
    other.close()


def test_a_witness_that_knows_more_of_our_log_ends_all_recording(
    bench: Bench, clerk: Clerk
) -> None:
    """A second ledger with our key had a longer head cosigned: it, or we, were rolled back."""
    sequencer = bench.started()
    sequencer.submit(clerk.run(clerk.notes(1))).done.result(SOON_S)
    copy = bench.copy_of_the_journal()
    ours, bench.journal = bench.journal, copy
    thief = Clerk("thief.example")
    second = bench.started()
    for _ in range(3):
        second.submit(thief.run(thief.notes(1))).done.result(SOON_S)
    second.close()
    bench.journal = ours
    copy.close()
    error = told(sequencer.submit(clerk.run(clerk.notes(1))).done)
    assert error.name == "rolled_back"
    assert "nothing is recorded any more" in error.message
    time.sleep(0.3)  # many retries long: it has ended, and tries no second history again
    assert bench.suspected == 1


def _another_commit(bench: Bench, journal: SwitchedJournal, head: Head) -> None:
    """Commit as a second ledger with the same key would."""
    entries = signed_entries(1, Clerk("other.example").key)
    tree = GrowingTree(JournalTiles(journal), head.size)
    tiles = tree.extend(leaf_hash(entry.note) for entry in entries)
    made = sign_checkpoint(Checkpoint(bench.log.name, tree.size, tree.root()), bench.log)
    journal.commit(Commit(head.size, head.signed, entries, tiles, Head(tree.size, made.encoded())))


def test_a_receipt_is_of_the_entrys_own_commit(bench: Bench, clerk: Clerk) -> None:
    sequencer = bench.started()
    early, late = clerk.notes(2), clerk.notes(2)
    for notes in (early, late):
        bench.check(notes, sequencer.submit(clerk.run(notes)).done.result(SOON_S))
    both = sequencer.submit(clerk.run([*early, *late])).done.result(SOON_S)
    sizes = [parse_checkpoint(TlogProof.parse(each).checkpoint)[0].size for each in both.proofs]
    assert sizes == [2, 2, 4, 4]
