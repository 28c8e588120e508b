"""The archive alone gives the log back, and the first thing that does not fit is named."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from breakglass.archiver.archived_log import ArchivedLog
from breakglass.archiver.object_store import ObjectStore, PosixObjectStore
from breakglass.archiver.rebuild import main, write_folder
from breakglass.archiver.s3_store import S3ObjectStore
from breakglass.archiver.segment import Segment
from breakglass.clock import SystemClock
from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError, UnavailableError, UnprovenError
from breakglass.tlog.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from breakglass.tlog.cosignature import cosigned_times
from breakglass.tlog.hashing import HASH_BYTES
from breakglass.tlog.note import SignerKey
from breakglass.tlog.tiles import HashReader, decode_bundle, root_from_tiles, tile_path
from tests.kit.archiving import ARCHIVER, LOG, PREFIX, WITNESS, ArchivedWorld
from tests.kit.s3 import CEPH, bucket_on, client_for


@pytest.fixture(params=["posix", "strict", CEPH])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    if request.param == "posix":
        yield PosixObjectStore(tmp_path / "store")
        return
    with bucket_on(request.param, tmp_path) as settings:
        yield S3ObjectStore(settings, SystemClock(), client=client_for(settings))


@pytest.fixture
def world(tmp_path: Path) -> ArchivedWorld:
    return filled(PosixObjectStore(tmp_path / "store"))


def filled(store: ObjectStore) -> ArchivedWorld:
    world = ArchivedWorld(store)
    assert world.push(3).status == 200
    assert world.push(0, attachments=(b"a picture",)).status == 200
    assert world.push(300).status == 200
    assert world.push(2, attachments=(b"a picture", b"a film")).status == 200
    return world


def test_every_commit_comes_back_in_order_from_any_store(store: ObjectStore) -> None:
    world = filled(store)
    commits = list(world.archived_log().commits())
    assert [entry for each in commits for entry in each.entries] == world.entries
    assert [each.head.size for each in commits] == [3, 4, 304, 308]
    assert [each.first for each in commits] == [0, 3, 4, 304]
    for commit in commits[:-1]:
        (final,) = commit.finals
        times = cosigned_times(parse_checkpoint(final)[1], [ARCHIVER.verifier, WITNESS.verifier])
        assert {key.name for key, _ in times} == {"archiver.example", "witness.example"}
    assert commits[-1].finals == ()  # it would come with the next commit
    log = world.archived_log()
    assert [attachment_of(log, digest) for digest in commits[3].attachments] == [
        b"a picture",
        b"a film",
    ]
    assert log.genesis() == b"genesis\n"


def attachment_of(log: ArchivedLog, digest: str) -> bytes:
    file = io.BytesIO()
    log.attachment(digest, file)
    return file.getvalue()


class Folder(HashReader):
    """Reads tiles of a log of one size, full or partial, as a foreign reader would."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self.size = folder, size

    def hashes(self, level: int, start: int, stop: int) -> list[bytes]:
        n = start // 256
        data = (self.folder / tile_path(level, n, stop - n * 256)).read_bytes()
        return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def test_the_written_folder_is_a_log_of_tiles(world: ArchivedWorld, tmp_path: Path) -> None:
    to = tmp_path / "rebuilt"
    done = write_folder(world.archived_log(), to)
    assert (done.size, done.commits, done.attachments, done.missing) == (308, 4, 2, ())
    head, _ = parse_checkpoint((to / "checkpoint").read_bytes())
    assert head == world.checkpoint(308)
    assert root_from_tiles(Folder(to, 308), 308) == head.root
    entries = decode_bundle((to / "tile/entries/000").read_bytes())
    entries += decode_bundle((to / "tile/entries/001.p/52").read_bytes())
    assert entries == world.entries
    digest = hashlib.sha256(b"a film").hexdigest()
    assert (to / "attachment" / digest).read_bytes() == b"a film"
    with pytest.raises(RefusedError, match="already exists"):
        write_folder(world.archived_log(), to)


def _remove(name: str) -> Callable[[Path], None]:
    return lambda store: (store / PREFIX / name).unlink()


def _flip(name: str, at: int) -> Callable[[Path], None]:
    def flip(store: Path) -> None:
        path = store / PREFIX / name
        data = bytearray(path.read_bytes())
        data[at] ^= 1
        path.chmod(0o600)
        path.write_bytes(bytes(data))

    return flip


def _swap(store: Path) -> None:
    one, two = (store / PREFIX / f"seg/{number:012d}" for number in (1, 2))
    data = one.read_bytes(), two.read_bytes()
    for path, given in ((one, data[1]), (two, data[0])):
        path.chmod(0o600)
        path.write_bytes(given)


SEGMENT_1, SEGMENT_2 = "seg/000000000001", "seg/000000000002"


@pytest.mark.parametrize(
    ("attack", "name", "where"),
    [
        (_remove("seg/000000000000"), ErrorName.ARCHIVE_HOLE, "seg/000000000000"),
        (_remove(SEGMENT_1), ErrorName.ARCHIVE_HOLE, SEGMENT_1),
        (_remove("tile/0/000"), ErrorName.ARCHIVE_HOLE, "tile/0/000"),
        (_remove("tile/entries/000"), ErrorName.ARCHIVE_HOLE, "tile/entries/000"),
        (_flip("tile/0/000", 5), ErrorName.ARCHIVE_ALTERED, "tile/0/000"),
        (_flip(SEGMENT_1, -1), ErrorName.ARCHIVE_ALTERED, SEGMENT_1),
        (
            _flip(SEGMENT_1, 40),
            ErrorName.ARCHIVE_ALTERED,
            SEGMENT_1,
        ),  # what it says of the one before
        (_flip(SEGMENT_1, 150), ErrorName.ARCHIVE_ALTERED, SEGMENT_1),  # within the signed head
        (_flip("cp/000000000004", 30), ErrorName.ARCHIVE_ALTERED, "cp/000000000004"),
        (_swap, ErrorName.ARCHIVE_ALTERED, SEGMENT_1),
    ],
)
def test_a_hole_or_an_altered_byte_ends_it_and_is_named(
    world: ArchivedWorld, tmp_path: Path, attack: Callable[[Path], None], name: str, where: str
) -> None:
    attack(tmp_path / "store")
    with pytest.raises(UnprovenError, match=where) as caught:
        list(world.archived_log().commits())
    assert caught.value.name == name
    with pytest.raises(UnprovenError):
        write_folder(world.archived_log(), tmp_path / "rebuilt")
    assert not (tmp_path / "rebuilt").exists()


def test_a_tail_that_is_gone_shows_by_a_head_that_somebody_kept(
    world: ArchivedWorld, tmp_path: Path
) -> None:
    (tmp_path / "store" / PREFIX / "seg/000000000003").unlink()
    assert len(list(world.archived_log().commits())) == 3  # the archive alone cannot know
    with pytest.raises(UnprovenError, match="seg/000000000003' is missing") as caught:
        list(world.archived_log(world.checkpoint(308)).commits())
    assert caught.value.name == ErrorName.ARCHIVE_HOLE
    (tmp_path / "store" / PREFIX / "seg/000000000002").unlink()
    with pytest.raises(UnprovenError, match="cp/000000000304' has a head of size 304"):
        list(world.archived_log().commits())


def test_a_head_that_somebody_kept_of_another_history_is_not_met(world: ArchivedWorld) -> None:
    assert len(list(world.archived_log(world.checkpoint(200)).commits())) == 4
    other = Checkpoint(LOG.name, 200, b"\1" * 32)
    with pytest.raises(UnprovenError, match="another history than the head given"):
        list(world.archived_log(other).commits())


def test_a_history_rewritten_with_a_key_that_is_not_the_logs_is_refused(
    world: ArchivedWorld, tmp_path: Path
) -> None:
    path = tmp_path / "store" / PREFIX / "seg/000000000003"
    segment = Segment.parse(path.read_bytes())
    head, _ = parse_checkpoint(segment.head)
    forged = sign_checkpoint(head, SignerKey.generate(LOG.name)).encoded()
    path.chmod(0o600)
    path.write_bytes(Segment(segment.previous, segment.first, forged, segment.entries).encoded())
    with pytest.raises(UnprovenError, match="seg/000000000003' is altered"):
        list(world.archived_log().commits())


def test_a_recording_past_its_time_may_lack_if_that_is_said(
    world: ArchivedWorld, tmp_path: Path
) -> None:
    digest = hashlib.sha256(b"a film").hexdigest()
    (tmp_path / "store" / PREFIX / "attachment" / digest).unlink()
    with pytest.raises(UnprovenError, match=f"attachment/{digest}' is missing"):
        write_folder(world.archived_log(), tmp_path / "rebuilt")
    done = write_folder(world.archived_log(), tmp_path / "rebuilt", may_lack_attachments=True)
    assert done.missing == (digest,)


def test_an_altered_attachment_is_never_passed_over(world: ArchivedWorld, tmp_path: Path) -> None:
    digest = hashlib.sha256(b"a film").hexdigest()
    _flip(f"attachment/{digest}", 0)(tmp_path / "store")
    with pytest.raises(UnprovenError, match="another SHA-256"):
        write_folder(world.archived_log(), tmp_path / "rebuilt", may_lack_attachments=True)


def test_a_store_that_fails_is_no_hole(
    world: ArchivedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(name: str) -> bytes:
        raise UnavailableError("store is away")

    monkeypatch.setattr(world.store, "get", away)
    with pytest.raises(UnavailableError):
        list(world.archived_log().commits())


def test_nothing_archived_is_said(tmp_path: Path) -> None:
    world = ArchivedWorld(PosixObjectStore(tmp_path))
    with pytest.raises(RefusedError, match=r"nothing of .* is archived"):
        list(world.archived_log().commits())


def test_the_command_rebuilds_a_folder_and_names_what_is_wrong(
    world: ArchivedWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, to = str(tmp_path / "store"), tmp_path / "rebuilt"
    kept = tmp_path / "kept"
    kept.write_bytes(world.head(308))
    given = [store, "--log", str(LOG.verifier), "--head", str(kept)]
    assert main([*given, "--to", str(to)]) == 0
    assert json.loads(capsys.readouterr().out)["size"] == 308
    shutil.rmtree(to)
    assert main([store, "--to", str(to)]) == 6  # which log: nobody said
    assert "--log" in capsys.readouterr().err
    _remove(SEGMENT_1)(tmp_path / "store")
    assert main([*given, "--to", str(to)]) == 4
    assert SEGMENT_1 in capsys.readouterr().err
    assert not to.exists()


def test_the_command_reads_a_bucket_too(tmp_path: Path) -> None:
    with bucket_on("strict", tmp_path, prefix="here/") as settings:
        filled(S3ObjectStore(settings, SystemClock()))
        command = [sys.executable, "-m", "breakglass.archiver.rebuild"]
        command += [f"s3://{settings.bucket}/here/", "--to", str(tmp_path / "rebuilt")]
        command += ["--log", str(LOG.verifier), "--endpoint", settings.endpoint, "--path-style"]
        command += ["--credentials", str(settings.credentials)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["size"] == 308
