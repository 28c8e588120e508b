"""Half-written things in a ledger's folder and in an archive: explained, and swept or kept."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.archiver.fsck import check_archive
from breakglass.archiver.object_store import UNFINISHED, PosixObjectStore
from breakglass.clock import SystemClock
from breakglass.errors import MisconfiguredError, RefusedError
from breakglass.ledger.fsck import check_folder
from breakglass.submit.outbox import Outbox
from tests.kit.processes import ORIGIN, LogSet, draft, make_log_set

DATA = b"evidence" * 1000
DIGEST = hashlib.sha256(DATA).hexdigest()
PREFIX = hashlib.sha256(ORIGIN.encode()).hexdigest()


def recorded(log_set: LogSet, *idents: str, attachments: tuple[bytes, ...] = ()) -> None:
    folder = log_set.folder / "outbox"
    folder.mkdir(exist_ok=True)
    outbox = Outbox(log_set.ledger.neighbour(), log_set.submitters[0], folder, SystemClock())
    try:
        drafts = [draft(each, attachments=attachments) for each in idents]
        for each in drafts:
            outbox.append([each], timedelta(seconds=20))
    finally:
        outbox.close()


@pytest.fixture
def log_set(tmp_path: Path) -> Iterator[LogSet]:
    """A log of three commits, the second of which names an attachment; the ledger has stopped."""
    made = make_log_set(tmp_path, witnesses=1, needed=1)
    try:
        made.start()
        recorded(made, "first")
        recorded(made, "with", attachments=(DATA,))
        recorded(made, "last")
        made.ledger.stop()
        made.archiver.stop()
        yield made
    finally:
        made.kill()


def found_in(folder: Path, **how: bool) -> list[tuple[str, str]]:
    found = check_folder(folder, **how)
    assert found.sound
    return [(each.name, each.label) for each in found.findings]


def archived(log_set: LogSet, **how: bool) -> list[tuple[str, str]]:
    return [(e.name, e.label) for e in check_archive(log_set.archiver.folder, **how).findings]


def fsck(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "breakglass.cli", "ledger", "fsck", str(folder), *more]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_nothing_is_wrong_with_either_folder(log_set: LogSet) -> None:
    assert found_in(log_set.ledger.folder) == []
    assert archived(log_set) == []


def test_an_upload_that_broke_off_is_told_and_swept_only_when_told_to(log_set: LogSet) -> None:
    folder = log_set.ledger.folder / "data" / "attachments"
    torn = [folder / ".unfinished" / ".abcd", folder / DIGEST[:2] / f".{DIGEST}.12ab"]
    for path in torn:  # the second one is what an earlier version left
        path.write_bytes(DATA[:100])
    wanted = [("attachment_unfinished", "left")] * 2
    assert found_in(log_set.ledger.folder) == wanted
    assert all(path.exists() for path in torn)
    assert found_in(log_set.ledger.folder, mending=True) == wanted
    assert found_in(log_set.ledger.folder) == []
    assert (folder / DIGEST[:2] / DIGEST).read_bytes() == DATA


def test_an_attachment_without_a_record_is_told_and_stays(log_set: LogSet) -> None:
    other = hashlib.sha256(b"other").hexdigest()
    path = log_set.ledger.folder / "data" / "attachments" / other[:2] / other
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"other")
    for mending in (False, True):
        found = found_in(log_set.ledger.folder, mending=mending)
        assert found == [("attachment_unnamed", "left")]
    assert path.read_bytes() == b"other"


@pytest.mark.parametrize("damage", ["gone", "short", "altered"])
def test_a_lost_attachment_is_named_with_its_entry_and_never_made_up(
    log_set: LogSet, damage: str
) -> None:
    path = log_set.ledger.folder / "data" / "attachments" / DIGEST[:2] / DIGEST
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(DATA[:-1] if damage == "short" else DATA[:-1] + b"!")
    for mending in (False, True):
        found = check_folder(log_set.ledger.folder, mending=mending)
        (finding,) = found.findings
        assert (finding.name, finding.label, found.sound) == ("attachment_lost", "lost", True)
        assert f"attachment {DIGEST}, which entry 1 names," in finding.what
    done = fsck(log_set.ledger.folder)
    assert done.returncode == 3
    assert "1 attachments are lost here" in done.stderr


def test_a_named_attachment_that_only_waits_is_kept_for_good(log_set: LogSet) -> None:
    """As after a loss, when its bytes were brought again from the archive."""
    folder = log_set.ledger.folder / "data" / "attachments"
    waiting = folder / "waiting" / "00000001" / DIGEST
    waiting.parent.mkdir()
    (folder / DIGEST[:2] / DIGEST).rename(waiting)
    assert found_in(log_set.ledger.folder) == [("attachment_waiting", "derived")]
    assert waiting.exists()
    found_in(log_set.ledger.folder, mending=True)
    assert (folder / DIGEST[:2] / DIGEST).read_bytes() == DATA
    assert found_in(log_set.ledger.folder) == []


def test_what_a_crash_left_in_the_archive_is_told_and_swept(log_set: LogSet) -> None:
    store = log_set.archiver.folder / "data" / "store"
    torn = store / UNFINISHED / ".abcd"
    torn.write_bytes(b"half")
    orphan = PosixObjectStore(store)
    orphan.put_if_absent(f"{PREFIX}/recording/{'1' * 64}", b"its commit never came")
    wanted = [("attachment_unnamed", "left"), ("unfinished", "left")]
    assert archived(log_set) == wanted
    assert archived(log_set, mending=True) == wanted
    assert archived(log_set) == wanted[:1], "an object is never deleted"
    assert not torn.exists()
    assert fsck(log_set.archiver.folder).returncode == 0


def test_a_lost_attachment_of_the_archive_is_named_with_its_segment(log_set: LogSet) -> None:
    store = log_set.archiver.folder / "data" / "store"
    (store / PREFIX / "attachment" / DIGEST).unlink()
    (finding,) = check_archive(log_set.archiver.folder).findings
    assert (finding.name, finding.label) == ("attachment_lost", "lost")
    assert f"attachment/{DIGEST}' is missing" in finding.what
    assert "segment 1 names it" in finding.what
    assert fsck(log_set.archiver.folder).returncode == 3


def test_a_last_segment_that_was_cut_short_is_explained_and_the_ledger_sends_it_again(
    log_set: LogSet, tmp_path: Path
) -> None:
    segment = log_set.archiver.folder / "data" / "store" / PREFIX / "seg" / f"{2:012d}"
    whole = segment.read_bytes()
    segment.chmod(0o600)
    segment.write_bytes(whole[:-10])
    for mending in (False, True):
        if mending:
            with pytest.raises(RefusedError, match="nothing was mended"):
                check_archive(log_set.archiver.folder, mending=True)
        found = check_archive(log_set.archiver.folder)
        assert not found.sound
        assert "cut short in entry 0" in found.findings[0].what
        assert "the ledger sends these entries again" in found.findings[0].what
    assert segment.read_bytes() == whole[:-10], "history is never repaired"
    done = fsck(log_set.archiver.folder, "--json")
    assert (done.returncode, json.loads(done.stdout)["findings"][0]["history"]) == (3, True)
    # The archiver does not start on it, and says where to look.
    log_set.archiver.start(wait=False)
    assert log_set.archiver.wait_ended() == 6
    assert "ledger fsck" in log_set.archiver.said()
    # The way out that was told.
    segment.rename(tmp_path / "set-aside")
    log_set.archiver.start()
    log_set.ledger.start()
    recorded(log_set, "afterwards")
    log_set.archiver.stop()
    assert archived(log_set) == []
    assert check_archive(log_set.archiver.folder).size == 4


def test_an_earlier_segment_that_was_cut_short_comes_from_a_second_copy(log_set: LogSet) -> None:
    segment = log_set.archiver.folder / "data" / "store" / PREFIX / "seg" / f"{1:012d}"
    segment.chmod(0o600)
    segment.write_bytes(segment.read_bytes()[:-10])
    found = check_archive(log_set.archiver.folder)
    assert not found.sound
    assert "take it from a second copy" in found.findings[0].what
    assert "sends these entries again" not in found.findings[0].what


def test_a_running_process_is_looked_at_and_not_mended(log_set: LogSet) -> None:
    log_set.archiver.start()
    log_set.ledger.start()
    assert archived(log_set) == []
    assert found_in(log_set.ledger.folder) == []
    with pytest.raises(MisconfiguredError, match="in use"):
        check_archive(log_set.archiver.folder, mending=True)
    with pytest.raises(MisconfiguredError, match="in use"):
        check_folder(log_set.ledger.folder, mending=True)


def test_a_missing_tile_of_the_archive_is_made_again_from_the_entries(tmp_path: Path) -> None:
    made = make_log_set(tmp_path, witnesses=1, needed=1)
    try:
        made.start()
        folder = made.folder / "outbox"
        folder.mkdir()
        outbox = Outbox(made.ledger.neighbour(), made.submitters[0], folder, SystemClock())
        outbox.append([draft(f"n-{at}") for at in range(256)], timedelta(seconds=20))
        outbox.close()
        made.archiver.stop()
        tile = made.archiver.folder / "data" / "store" / PREFIX / "tile" / "0" / "000"
        bundle = tile.parents[1] / "entries" / "000"
        before = tile.read_bytes(), bundle.read_bytes()
        tile.unlink()
        bundle.unlink()
        assert archived(made) == [("tile", "derived")] * 2
        assert not tile.exists(), "looking changes nothing"
        assert "--mend" in fsck(made.archiver.folder).stderr
        archived(made, mending=True)
        assert (tile.read_bytes(), bundle.read_bytes()) == before
        assert archived(made) == []
        # One that holds other hashes is no loss but a change: told, and not written over.
        tile.chmod(0o600)
        tile.write_bytes(before[0][:-1] + b"!")
        assert not check_archive(made.archiver.folder).sound
    finally:
        made.kill()
