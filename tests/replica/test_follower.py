"""A follower gets every proven entry once, in order, and stops at a history that contradicts."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.errors import MisconfiguredError, UnavailableError, UnprovenError
from breakglass.replica.follower import FollowedEntry, Follower
from breakglass.tlog.checkpoint import parse_checkpoint
from breakglass.tlog.note import COSIGNATURE, SignerKey
from breakglass.tlog.policy import TlogPolicy, parse_policy
from tests.kit.fake_ledger import LOG, POLICY, FakeLedger, digest, head_of
from tests.kit.processes import draft, signed, until

SUBMITTER = SignerKey.generate("submitter.example")
SOON = timedelta(seconds=5)
NOTES = [
    signed(draft(f"n-{number}", LOG.name), SUBMITTER, number, f"{number:064x}")
    for number in range(12)
]


class Owner:
    """Who follows; remembers what was delivered."""

    def __init__(self, ledger: FakeLedger, folder: Path) -> None:
        self.ledger = ledger
        self.folder = folder
        self.seen: list[FollowedEntry] = []
        self.troubles: list[Exception] = []
        self.policy: Callable[[], TlogPolicy] = lambda: POLICY
        self.deliver: Callable[[FollowedEntry], None] = self.seen.append
        self.follower: Follower | None = None

    def start(self) -> Follower:
        self.close()
        self.follower = Follower(
            self.ledger,
            lambda: self.policy(),
            self.folder,
            lambda entry: self.deliver(entry),
            trouble=self.troubles.append,
            poll=timedelta(seconds=0.2),
        ).start()
        return self.follower

    def close(self) -> None:
        if self.follower:
            self.follower.close()

    def state(self) -> list[tuple[int, bytes, bytes, str]]:
        return [(each.index, each.note, each.head, str(each.cosigned)) for each in self.seen]


@pytest.fixture
def ledger() -> FakeLedger:
    return FakeLedger()


@pytest.fixture
def owner(ledger: FakeLedger, tmp_path: Path) -> Iterator[Owner]:
    made = Owner(ledger, tmp_path / "followed")
    yield made
    made.close()


def test_every_entry_is_delivered_once_in_order(owner: Owner, ledger: FakeLedger) -> None:
    ledger.commit(NOTES[:3])
    follower = owner.start()
    follower.wait_for(2, SOON)
    ledger.commit(NOTES[3:4])
    ledger.commit(NOTES[4:9])
    follower.wait_for(8, SOON)
    assert [each.index for each in owner.seen] == list(range(9))
    assert [each.note for each in owner.seen] == NOTES[:9]
    assert owner.seen[3].head == ledger.commits[1][1]
    assert list(owner.seen[3].cosigned) == ["w"]
    with pytest.raises(UnavailableError, match="was not seen within"):
        follower.wait_for(9, timedelta(seconds=0.1))


def test_a_restart_replays_without_the_ledger(owner: Owner, ledger: FakeLedger) -> None:
    for at in range(6):
        ledger.commit(NOTES[at * 2 : at * 2 + 2])
    owner.start().wait_for(11, SOON)
    before = owner.state()
    owner.close()
    owner.seen.clear()
    ledger.away = True
    follower = owner.start()
    follower.wait_for(11, SOON)
    assert owner.state() == before
    assert [entry.note for entry in follower.entries(7)] == NOTES[7:]
    until(lambda: follower.away is not None)


def test_a_deleted_cache_is_rebuilt_to_the_same_state(owner: Owner, ledger: FakeLedger) -> None:
    ledger.commit(NOTES[:5])
    ledger.commit(NOTES[5:])
    owner.start().wait_for(11, SOON)
    before = owner.state()
    owner.close()
    owner.seen.clear()
    shutil.rmtree(owner.folder)
    owner.start().wait_for(11, SOON)
    assert owner.state() == before


def test_the_policy_is_asked_for_each_commit_so_a_change_in_the_log_counts_from_there(
    owner: Owner, ledger: FakeLedger
) -> None:
    """A witness key is changed by entry 2: the old key counts before it, the new one after."""
    new = SignerKey.generate("new.example", COSIGNATURE)
    later = parse_policy(f"log {LOG.verifier}\nwitness w2 {new.verifier}\nquorum w2\n")
    ledger.commit(NOTES[:3])
    ledger.notes.extend(NOTES[3:5])
    ledger.commits.append((3, head_of(NOTES[:5], witness=new), NOTES[3:5]))
    owner.policy = lambda: later if len(owner.seen) >= 3 else POLICY
    for _ in range(2):
        owner.start().wait_for(4, SOON)
        assert [list(each.cosigned) for each in owner.seen] == [["w"]] * 3 + [["w2"]] * 2
        owner.close()
        owner.seen.clear()
        shutil.rmtree(owner.folder)


@pytest.mark.parametrize(
    ("signer", "witness", "name"),
    [
        (SignerKey.generate(LOG.name), None, "log_signature"),
        (None, SignerKey.generate("stranger.example", COSIGNATURE), "quorum"),
    ],
)
def test_an_unproven_head_delivers_nothing_and_is_asked_again(
    owner: Owner,
    ledger: FakeLedger,
    signer: SignerKey | None,
    witness: SignerKey | None,
    name: str,
) -> None:
    given = {key: value for key, value in (("signer", signer), ("witness", witness)) if value}
    ledger.notes.extend(NOTES[:2])
    ledger.commits.append((0, head_of(NOTES[:2], **given), NOTES[:2]))
    follower = owner.start()
    until(lambda: follower.away is not None and follower.away.name == name)
    assert owner.seen == []
    assert owner.troubles == []
    ledger.commits[0] = (0, head_of(NOTES[:2]), NOTES[:2])
    follower.wait_for(1, SOON)
    assert follower.away is None


def contradict(ledger: FakeLedger) -> None:
    """Go on with a second history: entry 1 is another in the new head's tree."""
    rewritten = [NOTES[0], NOTES[9], *NOTES[2:4]]
    ledger.notes.append(NOTES[3])
    ledger.commits.append((3, head_of(rewritten), [NOTES[3]]))


def test_a_head_of_another_history_stops_it_with_both_heads_as_evidence(
    owner: Owner, ledger: FakeLedger
) -> None:
    ledger.commit(NOTES[:3])
    follower = owner.start()
    follower.wait_for(2, SOON)
    with ledger.changed:
        contradict(ledger)
    until(lambda: bool(owner.troubles))
    error = owner.troubles[0]
    assert isinstance(error, UnprovenError)
    assert error.name == "inconsistent_head"
    assert [each.index for each in owner.seen] == [0, 1, 2]
    evidence = sorted((owner.folder / "evidence").iterdir())
    heads = {path.suffix: parse_checkpoint(path.read_bytes())[0].size for path in evidence}
    assert heads == {".ours": 3, ".theirs": 4}
    with pytest.raises(UnprovenError):
        follower.wait_for(3, SOON)


def test_evidence_is_kept_also_of_a_head_that_no_witness_cosigned(
    owner: Owner, ledger: FakeLedger
) -> None:
    """The log's own signature on two histories is proof enough, without a quorum."""
    ledger.commit(NOTES[:3])
    owner.start().wait_for(2, SOON)
    stranger = SignerKey.generate("stranger.example", COSIGNATURE)
    with ledger.changed:
        ledger.notes.append(NOTES[3])
        rewritten = [NOTES[9], *NOTES[1:4]]
        ledger.commits.append((3, head_of(rewritten, witness=stranger), [NOTES[3]]))
    until(lambda: bool(owner.troubles))
    assert (owner.folder / "evidence").is_dir()


def test_nonsense_is_no_evidence(owner: Owner, ledger: FakeLedger) -> None:
    ledger.commit(NOTES[:3])
    first, head, _ = ledger.commits[0]
    for wrong in ((first, head, NOTES[:2]), (1, head, NOTES[1:3]), (first, b"no head", NOTES[:3])):
        ledger.commits[0] = wrong
        follower = owner.start()
        time.sleep(0.15)
        assert owner.seen == []
        assert not (owner.folder / "evidence").exists()
        assert owner.troubles == []
        follower.close()


def test_half_a_character_is_nonsense_too_and_stops_nobody(
    owner: Owner, ledger: FakeLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JSON can name it and UTF-8 cannot hold it; a ledger must not end a follower by that."""
    ledger.commit(NOTES[:3])
    shown = {"first": 0, "head": "\ud800", "entries": [note.decode() for note in NOTES[:3]]}
    with monkeypatch.context() as lying:
        lying.setattr(ledger, "shown", lambda commit: shown)
        follower = owner.start()
        until(lambda: follower.away is not None and follower.away.name == "nonsense")
    assert owner.troubles == []
    follower.wait_for(2, SOON)


def test_a_damaged_cache_says_so(owner: Owner, ledger: FakeLedger) -> None:
    import sqlite3

    ledger.commit(NOTES[:3])
    owner.start().wait_for(2, SOON)
    owner.close()
    cache = sqlite3.connect(owner.folder / "followed.sqlite")
    cache.execute("update notes set note = ? where place = 1", (NOTES[7],))
    cache.commit()
    cache.close()
    owner.seen.clear()
    owner.start()
    until(lambda: bool(owner.troubles))
    assert isinstance(owner.troubles[0], MisconfiguredError)
    assert owner.seen == []


def test_an_owner_that_fails_stops_it_rather_than_missing_an_entry(
    owner: Owner, ledger: FakeLedger
) -> None:
    def fail(entry: FollowedEntry) -> None:
        if entry.index == 1:
            raise ValueError("a fold that broke")
        owner.seen.append(entry)

    owner.deliver = fail
    ledger.commit(NOTES[:3])
    follower = owner.start()
    until(lambda: bool(owner.troubles))
    assert [each.index for each in owner.seen] == [0]
    with pytest.raises(ValueError, match="a fold that broke"):
        follower.wait_for(1, SOON)


def test_an_offered_commit_is_proven_kept_and_delivered_without_asking(
    owner: Owner, ledger: FakeLedger
) -> None:
    ledger.commit(NOTES[:3])
    follower = owner.start()
    follower.wait_for(2, SOON)
    ledger.away = True
    ledger.commit(NOTES[3:5])
    follower.offer(ledger.shown(ledger.commits[1]))
    assert [each.note for each in owner.seen] == NOTES[:5]
    assert owner.seen[4].head == ledger.commits[1][1]
    follower.wait_for(4, SOON)
    # The ledger shows it too, and it is delivered once.
    ledger.away = False
    ledger.commit(NOTES[5:6])
    follower.wait_for(5, SOON)
    before = owner.state()
    assert [each.index for each in owner.seen] == list(range(6))
    owner.close()
    owner.seen.clear()
    ledger.away = True
    owner.start().wait_for(5, SOON)
    assert owner.state() == before


def test_what_is_offered_is_taken_only_if_it_is_the_next_and_proven(
    owner: Owner, ledger: FakeLedger
) -> None:
    ledger.commit(NOTES[:3])
    follower = owner.start()
    follower.wait_for(2, SOON)
    ledger.away = True
    for at in (3, 5):
        ledger.commit(NOTES[at : at + 2])
    old, following, later = map(ledger.shown, ledger.commits)
    stranger = SignerKey.generate("stranger.example", COSIGNATURE)
    forged = SignerKey.generate(LOG.name)
    for wrong in (
        old,
        later,
        {**following, "head": head_of(NOTES[:5], witness=stranger).decode()},
        {**following, "head": head_of(NOTES[:5], signer=forged).decode()},
        {**following, "entries": [NOTES[3].decode()]},
        {**following, "head": "no head"},
        {**following, "head": "\ud800"},
        {**following, "entries": []},
        {**following, "entries": [1]},
        {"first": 3},
        {},
        None,
        [],
    ):
        follower.offer(wrong)
        assert len(owner.seen) == 3, wrong
    assert owner.troubles == []
    assert not (owner.folder / "evidence").exists()
    ledger.away = False
    follower.wait_for(6, SOON)
    assert [each.note for each in owner.seen] == NOTES[:7]


def test_an_offered_head_of_another_history_stops_it_once_with_evidence(
    owner: Owner, ledger: FakeLedger
) -> None:
    ledger.commit(NOTES[:3])
    follower = owner.start()
    follower.wait_for(2, SOON)
    ledger.away = True
    contradict(ledger)
    follower.offer(ledger.shown(ledger.commits[-1]))
    assert [str(getattr(each, "name", "")) for each in owner.troubles] == ["inconsistent_head"]
    assert len(list((owner.folder / "evidence").iterdir())) == 2
    follower.offer(ledger.shown((3, head_of(NOTES[:4]), NOTES[3:4])))
    ledger.commits[-1] = (3, head_of(NOTES[:4]), NOTES[3:4])
    ledger.away = False
    with pytest.raises(UnprovenError):
        follower.wait_for(3, SOON)
    follower._thread.join(5)
    assert not follower._thread.is_alive()
    assert len(owner.seen) == 3
    assert len(owner.troubles) == 1


def test_an_owner_that_fails_at_an_offered_entry_stops_it(owner: Owner, ledger: FakeLedger) -> None:
    ledger.commit(NOTES[:3])
    follower = owner.start()
    follower.wait_for(2, SOON)
    ledger.away = True
    ledger.commit(NOTES[3:6])

    def fail(entry: FollowedEntry) -> None:
        if entry.index == 4:
            raise ValueError("a fold that broke")
        owner.seen.append(entry)

    owner.deliver = fail
    follower.offer(ledger.shown(ledger.commits[-1]))
    assert [str(each) for each in owner.troubles] == ["a fold that broke"]
    ledger.commit(NOTES[6:8])
    ledger.away = False
    with pytest.raises(ValueError, match="a fold that broke"):
        follower.wait_for(7, SOON)
    assert [each.index for each in owner.seen] == [0, 1, 2, 3]


def test_an_offer_waits_for_nobody_and_is_not_taken_before_the_cache_is_replayed(
    owner: Owner, ledger: FakeLedger
) -> None:
    ledger.commit(NOTES[:3])
    owner.start().wait_for(2, SOON)
    owner.close()
    at_work, go_on = threading.Event(), threading.Event()

    def slow(entry: FollowedEntry) -> None:
        at_work.set()
        assert go_on.wait(30)
        owner.seen.append(entry)

    ledger.commit(NOTES[3:5])
    owner.seen.clear()
    owner.deliver = slow
    follower = owner.start()
    assert at_work.wait(30)
    for commit in ledger.commits:  # returns while an entry is being delivered
        follower.offer(ledger.shown(commit))
    assert owner.seen == []
    go_on.set()
    follower.wait_for(4, SOON)
    assert [each.index for each in owner.seen] == list(range(5))
    go_on.clear()
    at_work.clear()
    with ledger.changed:
        ledger.commit(NOTES[5:6])
        ledger.changed.notify_all()
    assert at_work.wait(30)
    offering = threading.Thread(target=follower.offer, args=(ledger.shown(ledger.commits[-1]),))
    offering.start()
    offering.join(20)
    assert not offering.is_alive()
    go_on.set()
    follower.wait_for(5, SOON)
    assert [each.index for each in owner.seen] == list(range(6))


def test_offered_and_asked_for_at_once_every_entry_is_delivered_once_in_order(
    owner: Owner, ledger: FakeLedger
) -> None:
    follower = owner.start()
    threads = []
    for at in range(12):
        with ledger.changed:
            ledger.commit(NOTES[at : at + 1])
            shown = ledger.shown(ledger.commits[-1])
            threads += [threading.Thread(target=follower.offer, args=(shown,)) for _ in range(2)]
            ledger.changed.notify_all()
        for thread in threads[-2:]:
            thread.start()
        if at % 3 == 0:
            time.sleep(0.01)
    for thread in threads:
        thread.join()
    follower.wait_for(11, SOON)
    assert [each.index for each in owner.seen] == list(range(12))
    assert owner.troubles == []


def test_attachments_are_checked_and_kept(owner: Owner, ledger: FakeLedger) -> None:
    data = b"evidence"
    ledger.attachments = {digest(data): data, digest(b"other"): b"lie"}
    ledger.commit(NOTES[:1])
    follower = owner.start()
    follower.wait_for(0, SOON)
    assert owner.seen[0].attachment(digest(data)) == data
    with pytest.raises(UnavailableError, match="other bytes"):
        owner.seen[0].attachment(digest(b"other"))
    ledger.away = True
    assert follower.attachment(digest(data)) == data


def test_closing_is_prompt(owner: Owner, ledger: FakeLedger) -> None:
    ledger.commit(NOTES[:1])
    owner.start().wait_for(0, SOON)
    start = time.monotonic()
    owner.close()
    assert time.monotonic() - start < 1
    assert not [
        each for each in threading.enumerate() if each.name == "follower" and each.is_alive()
    ]
