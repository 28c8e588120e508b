"""A start from a snapshot: the same state as without; anything off, and the log is folded whole."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.canonical import Json, canonical
from breakglass.errors import MalformedError, UnavailableError, UnprovenError
from breakglass.node import snapshot
from breakglass.node.catch_up import CatchingUp
from breakglass.node.following import Following
from breakglass.node.judged_mark import JudgedMark, MarkFile
from breakglass.node.kept_lines import KeptLines
from breakglass.node.replica import Replica
from breakglass.records import all_kinds as kinds
from breakglass.records import kind_sets
from breakglass.records.encoding.whole_form import form_bytes
from breakglass.records.fold.context import Entry
from breakglass.records.fold.fold import Judged
from breakglass.records.fold.state import State
from breakglass.records.fold.state_form import STATE
from breakglass.records.statement import Target
from breakglass.replica.follower_cache import FollowedCache
from breakglass.tlog.note import SignerKey
from tests.kit.organisation import Organisation
from tests.kit.processes import until
from tests.kit.served_log import ServedLog, Shown

WITHIN = timedelta(seconds=10)
KEY = SignerKey.generate("broker-1")
STEPS = ("copied", "encoded", "cache_synced", "marked", "written")


class Kinds:
    """A projection: how many records of each kind there are, and how many it took itself."""

    name = "kinds"

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.taken = 0

    def take(self, judged: Judged, entry: Entry, state: State) -> None:
        kind = judged.record.body.kind if judged.record else ""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.taken += 1

    def form(self) -> Json:
        return dict(self.counts)

    def restore(self, form: Json, state: State) -> None:
        if not isinstance(form, dict) or sum(form.values()) != state.size:
            raise MalformedError("no counts of kinds of this state")
        self.counts = dict(form)

    def digest(self) -> str:
        return canonical(self.form())

    def forget(self) -> None:
        self.counts = {}


@dataclass
class Place:
    """One process's view that is started again and again in one folder."""

    tmp: Path
    shown: Shown
    key: SignerKey = KEY
    name: str = "cache"

    def __post_init__(self) -> None:
        self.kinds = Kinds()
        self.troubles: list[Exception] = []

    @property
    def size(self) -> int:
        return self.shown.org.log.size

    @property
    def folder(self) -> Path:
        return self.tmp / self.name

    @property
    def file(self) -> Path:
        return self.folder / "snapshot"

    @property
    def mark(self) -> Path:
        return self.tmp / f"{self.name}.judged"

    def start(self, **given: object) -> Replica:
        self.kinds = Kinds()
        return Replica(
            ServedLog(self.shown),
            self.shown.org.trust(),
            self.folder,
            key=self.key,
            projections=[self.kinds],
            trouble=self.troubles.append,
            **given,  # type: ignore[arg-type]
        ).start()

    def whole(self, view: Replica) -> bytes:
        """Return all that a view is at the log's end, and close it."""
        try:
            until(lambda: view.size == self.size)
            with view.reading() as state:
                return form_bytes([STATE.of(state), self.kinds.form()])
        finally:
            view.close()

    def run(self) -> bytes:
        """Start, follow to the log's end, and stop, which writes a snapshot."""
        return self.whole(self.start())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    org = Organisation()
    org.begin()
    org.break_glass()
    return Place(tmp_path, Shown(org))


def stop_somebody(place: Place) -> None:
    org = place.shown.org
    kill = org.sign(org.kill(Target.PERSON, "teo"))
    org.state_that("broker", kinds.Suspended(Target.PERSON, "teo", True, kill))


def without_snapshot(place: Place) -> bytes:
    """Return what a process that never had a snapshot makes of the log."""
    return Place(place.tmp, place.shown, name="another").run()


def test_a_start_goes_on_from_the_snapshot_to_the_state_of_everybody_else(place: Place) -> None:
    first = place.run()
    assert place.kinds.taken == place.size
    again = place.run()
    assert (again, place.kinds.taken) == (first, 0)
    before = place.size
    stop_somebody(place)
    further = place.run()
    assert place.kinds.taken == place.size - before > 0
    assert further == without_snapshot(place)


def test_entries_that_came_into_the_cache_behind_the_snapshot_are_folded_from_it(
    place: Place,
) -> None:
    place.run()
    old = place.file.read_bytes()
    stop_somebody(place)
    state = place.run()
    place.file.write_bytes(old)
    place.shown.gone = True
    assert place.run() == state
    assert place.kinds.taken == 1


# --- what throws it away ------------------------------------------------------------------------


def altered(place: Place) -> None:
    data = place.file.read_bytes()
    assert data.count(b'["person","teo"]') == 1
    place.file.write_bytes(data.replace(b'["person","teo"]', b'["person","bob"]'))


def torn(place: Place) -> None:
    place.file.write_bytes(place.file.read_bytes()[:-100])


def empty(place: Place) -> None:
    place.file.write_bytes(b"")


def foreign(place: Place) -> None:
    place.key = SignerKey.generate("broker-1")


def resigned(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[Place], None]:
    """Alter a snapshot and authenticate it again, as only this process can."""

    def alter(place: Place) -> None:
        form = KeptLines(snapshot.HEADER, KEY)
        place.file.write_bytes(form.encoded(change(form.parse(place.file.read_bytes()))))

    return alter


def first_line(old: bytes, new: bytes) -> Callable[[Place], None]:
    def change(lines: list[bytes]) -> list[bytes]:
        assert old in lines[0]
        return [lines[0].replace(old, new), *lines[1:]]

    return resigned(change)


def shorter(place: Place) -> None:
    """Take the last commit out of the cache: a power cut may do that, it is not fsynced."""
    with sqlite3.connect(place.folder / "followed.sqlite") as cache:
        (first,) = cache.execute("select max(first) from commits").fetchone()
        cache.execute("delete from commits where first = ?", (first,))
        cache.execute("delete from notes where place >= ?", (first,))
    cache.close()


def no_cache(place: Place) -> None:
    for each in place.folder.glob("followed.sqlite*"):
        each.unlink()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (altered, "altered, or written under another key"),
        (torn, "torn"),
        (empty, "torn"),
        (foreign, "altered, or written under another key"),
        (first_line(b'"fold":', b'"fold":9'), "another version of the fold"),
        (first_line(STATE.schema.encode(), b"0" * 64), "another version of the fold"),
        (first_line(b'"process":"broker', b'"process":"minter'), "of process"),
        (first_line(b'"kinds":1', b'"kinds":9'), "does not know"),
        (resigned(lambda lines: lines[:2]), "torn"),
        (resigned(lambda lines: [*lines[:2], b"{}"]), "other projections"),
        (resigned(lambda lines: [*lines[:2], b'{"kinds":{"x":1}}']), "no counts of kinds"),
        (resigned(lambda lines: [lines[0], b"[[],[]]", lines[2]]), "not one of this schema"),
        (shorter, "the cache does not hold the log up to it"),
        (no_cache, "the cache does not hold the log up to it"),
    ],
)
def test_a_snapshot_with_anything_off_is_thrown_away_and_the_log_is_folded(
    place: Place,
    spoil: Callable[[Place], None],
    why: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stop_somebody(place)
    wanted = place.run()
    spoil(place)
    with caplog.at_level(logging.WARNING, "breakglass.following"):
        assert place.run() == wanted
    assert place.kinds.taken == place.size
    (said,) = [each.message for each in caplog.records if "thrown away" in each.message]
    assert why in said
    assert "entries are to be folded" in said
    # And the start after that goes on from the new one.
    assert place.run() == wanted
    assert place.kinds.taken == 0


def test_a_snapshot_of_another_schema_or_log_is_thrown_away(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = place.run()
    monkeypatch.setattr(snapshot, "FOLD_VERSION", 99)
    assert place.run() == wanted
    assert place.kinds.taken == place.size
    monkeypatch.setattr(kind_sets, "NEWEST", 0)
    form = snapshot.SnapshotForm(KEY, place.shown.org.genesis, ["kinds"])
    with pytest.raises(MalformedError, match="does not know"):
        form.parse(place.file.read_bytes())
    other = snapshot.SnapshotForm(KEY, "ab" * 32, ["kinds"])
    with pytest.raises(MalformedError, match="another log"):
        other.parse(place.file.read_bytes())


class Refusing(Kinds):
    """A projection that takes up no form at all."""

    name = "refusing"

    def restore(self, form: Json, state: State) -> None:
        raise MalformedError("not ours")


def test_what_was_taken_up_before_another_refused_is_forgotten_again(place: Place) -> None:
    for _ in range(2):
        kinds_seen, refusing = Kinds(), Refusing()
        view = Replica(
            ServedLog(place.shown),
            place.shown.org.trust(),
            place.folder,
            key=KEY,
            projections=[kinds_seen, refusing],
        ).start()
        until(lambda view=view: view.size == place.size)  # type: ignore[misc]
        view.close()
        assert sum(kinds_seen.counts.values()) == place.size
        assert kinds_seen.counts == refusing.counts


# --- crashes ------------------------------------------------------------------------------------


class Crash(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("step", STEPS)
def test_a_process_that_dies_while_it_writes_a_snapshot_has_the_one_before_or_the_new_one(
    place: Place, step: str
) -> None:
    place.run()
    stop_somebody(place)

    def at(told: str) -> None:
        if told == step:
            raise Crash

    dying = place.start(at=at)
    dying.wait_for(place.size - 1, WITHIN)
    with pytest.raises(Crash):
        dying.snapshot()
    with pytest.raises(Crash):
        dying.close()
    (place.folder / ".snapshot.0011aabb").write_bytes(b"half of one")
    assert place.run() == without_snapshot(place)
    assert place.kinds.taken == (0 if step == "written" else 1)
    assert not list(place.folder.glob(".snapshot.*"))


def test_the_cache_is_on_disk_before_a_snapshot_of_it_is(place: Place) -> None:
    """Its write-ahead log may be lost in a power cut; the snapshot would be thrown away."""
    held: list[int] = []

    def at(told: str) -> None:
        if told == "cache_synced":
            copy = place.tmp / f"copy-{len(held)}"
            shutil.copy(place.folder / "followed.sqlite", copy)
            held.append(FollowedCache(copy).size)

    place.whole(place.start(at=at))
    assert held == [place.size]


def test_a_disk_that_is_full_keeps_nobody_from_following(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*given: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("breakglass.node.snapshots.write_whole", full)
    monkeypatch.setattr("breakglass.node.judged_mark.write_whole", full)
    place.run()
    assert not place.file.exists()
    assert "no snapshot" in caplog.text
    assert "cannot be kept" in caplog.text


def test_a_snapshot_is_written_now_and_then_while_the_process_runs(place: Place) -> None:
    view = place.start(snapshot_every=timedelta(seconds=0.1))
    try:
        until(place.file.exists)
        before = place.file.read_bytes()
        stop_somebody(place)
        until(lambda: place.file.read_bytes() != before)
    finally:
        view.close()


# --- the newest judged --------------------------------------------------------------------------


def test_nobody_decides_on_an_old_state_while_the_ledger_is_away(place: Place) -> None:
    """An old copy of cache and snapshot is put back, from before somebody was stopped."""
    place.run()
    old = place.folder.with_name("old")
    shutil.copytree(place.folder, old)
    stop_somebody(place)
    place.run()
    shutil.rmtree(place.folder)
    old.rename(place.folder)
    place.shown.gone = True
    view = place.start()
    try:
        assert view.wait_current(WITHIN)
        assert ("person", "teo") not in _suspended(view)
        with pytest.raises(UnavailableError, match="nothing was minted") as refusal:
            view.require_newest("minted")
        assert refusal.value.name == "behind_judged"
        assert "only the ledger can" in refusal.value.hint
        place.shown.gone = False
        view.wait_for(place.size - 1, WITHIN)
        view.require_newest("minted")
        assert ("person", "teo") in _suspended(view)
    finally:
        view.close()


def _suspended(view: Replica) -> set[tuple[str, str]]:
    with view.reading() as state:
        return set(state.governance.suspended)


def test_who_was_stopped_stays_stopped_from_the_moment_anybody_hears_of_it(place: Place) -> None:
    """Even if nothing else of that second reaches the disk."""
    view = place.start()
    view.wait_for(place.size - 1, WITHIN)
    stop_somebody(place)
    view.wait_for(place.size - 1, WITHIN)
    mark = place.mark.read_bytes()
    view.close()
    shutil.rmtree(place.folder)
    place.mark.write_bytes(mark)
    place.shown.gone = True
    view = place.start()
    try:
        assert view.judged_before == place.size
        with pytest.raises(UnavailableError):
            view.require_newest("minted")
    finally:
        view.close()


def test_what_a_running_process_judges_itself_it_is_never_behind(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark goes ahead of what others are told, for a moment at each commit."""
    place.run()
    view = place.start()
    until(lambda: view.size == place.size)
    asked: list[int] = []
    judged = MarkFile.judged

    def marked(mark: MarkFile, newest: JudgedMark, *, at_once: bool) -> None:
        judged(mark, newest, at_once=at_once)
        view.require_newest("minted")  # what it raises stops the view
        asked.append(newest.size)

    monkeypatch.setattr(MarkFile, "judged", marked)
    stop_somebody(place)
    view.wait_for(place.size - 1, WITHIN)
    view.close()
    assert asked == [place.size]
    assert place.troubles == []


def test_a_process_is_not_current_before_it_has_caught_up_with_what_it_judged(
    place: Place,
) -> None:
    """Though a ledger that shows less says that there is no more."""
    place.run()
    shutil.rmtree(place.folder)
    place.shown.withheld = 2
    view = place.start()
    asked = ServedLog(place.shown)
    catching_up = CatchingUp(view, asked, "minted")
    try:
        catching_up.start()
        until(lambda: view.size == place.size - 2)
        with pytest.raises(UnavailableError, match="nothing was minted"):
            catching_up.require(timedelta(seconds=0.5))
        place.shown.withheld = 0
        catching_up.require(WITHIN)
        assert view.size == place.size
    finally:
        catching_up.close()
        view.close()
        asked.close()


def test_a_mark_that_is_altered_or_of_another_key_counts_for_nothing(place: Place) -> None:
    place.run()
    kept = place.mark.read_bytes()
    for data in (kept.replace(b'"size":', b'"size":9'), b"", kept[:-2]):
        place.mark.write_bytes(data)
        view = Place(place.tmp, place.shown).start()
        assert view.judged_before < 90
        view.close()


def test_another_history_is_seen_though_the_cache_was_deleted(place: Place) -> None:
    place.run()
    shutil.rmtree(place.folder)
    other = Organisation()
    other.begin()
    for nonce in ("55" * 16, "66" * 16):
        other.break_glass(statement={"nonce": nonce})
    place.shown.org = other
    view = place.start()
    try:
        until(lambda: bool(place.troubles))
        assert isinstance(place.troubles[0], UnprovenError)
        assert place.troubles[0].name == "another_history"
    finally:
        view.close()


# --- the whole fold -----------------------------------------------------------------------------


def test_the_whole_log_is_folded_in_a_child_and_gives_the_state_in_memory(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    stop_somebody(place)
    place.run()
    with caplog.at_level(logging.INFO, "breakglass.following"):
        view = place.start(whole_fold_every=timedelta(seconds=0.2))
        try:
            until(lambda: "gives the state in memory" in caplog.text, 30)
        finally:
            view.close()
    assert place.troubles == []


def test_a_state_that_the_log_does_not_give_stops_the_view_and_its_snapshot_goes(
    place: Place,
) -> None:
    """Whoever can use this process's key let somebody go who was stopped."""
    stop_somebody(place)
    wanted = place.run()

    def let_go(lines: list[bytes]) -> list[bytes]:
        assert b'["person","teo"]' in lines[1]
        return [lines[0], lines[1].replace(b'["person","teo"]', b'["person","bob"]'), lines[2]]

    resigned(let_go)(place)
    view = place.start(whole_fold_every=timedelta(seconds=0.2))
    try:
        until(lambda: bool(place.troubles), 30)
        assert place.troubles[0].name == "state_differs"  # type: ignore[attr-defined]
        with pytest.raises(UnprovenError, match="another state"):
            view.wait_for(place.size, WITHIN)
    finally:
        view.close()
    assert not place.file.exists()
    assert place.run() == wanted


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"snapshot_every": timedelta(seconds=9)}, "at least 10"),
        ({"whole_fold_every": timedelta(seconds=59)}, "60 to 604800"),
        ({"whole_fold_every": timedelta(days=8)}, "60 to 604800"),
    ],
)
def test_the_whole_fold_can_be_put_off_by_nobody_for_longer_than_a_week(
    given: dict[str, timedelta], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        Following(**given)
