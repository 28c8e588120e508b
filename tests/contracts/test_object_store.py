"""Every object store keeps the contract of ``ObjectStore``: POSIX, and S3 on three servers."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from breakglass.archiver.object_store import UNFINISHED, ObjectStore, PosixObjectStore
from breakglass.archiver.s3_store import S3ObjectStore
from breakglass.clock import SystemClock
from breakglass.errors import MalformedError, UnavailableError
from breakglass.submit.blob_upload import measured
from tests.kit.large import LARGEST, MIB, encrypted_file, plain_file
from tests.kit.s3 import CEPH, MOTO, bucket_on, client_for


@pytest.fixture(params=["posix", "strict", MOTO, CEPH])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    if request.param == "posix":
        yield PosixObjectStore(tmp_path / "store")
        return
    with bucket_on(request.param, tmp_path) as settings:
        yield S3ObjectStore(settings, SystemClock(), client=client_for(settings))


def test_an_object_is_put_once(store: ObjectStore) -> None:
    assert store.get("a/seg/000") is None
    assert store.put_if_absent("a/seg/000", b"first") is True
    assert store.put_if_absent("a/seg/000", b"second") is False
    assert store.put_if_absent("a/seg/000", b"first") is False
    assert store.get("a/seg/000") == b"first"


@pytest.mark.parametrize(("make", "size"), [(plain_file, LARGEST), (encrypted_file, LARGEST - MIB)])
def test_a_file_of_64_mib_goes_in_once_and_comes_back_whole(
    store: ObjectStore, make: Callable[[Path, int], Path], size: int, tmp_path: Path
) -> None:
    path = make(tmp_path / "file", size)
    with path.open("rb") as file, (tmp_path / "back").open("w+b") as back:
        file.seek(17)  # it is read from its start, wherever it stands
        assert store.put_file_if_absent("a/recording/big", file) is True
        assert store.put_file_if_absent("a/recording/big", io.BytesIO(b"other")) is False
        assert store.get_into("a/recording/big", back) is True
        assert measured(back) == measured(file)
    with (tmp_path / "none").open("w+b") as nothing:
        assert store.get_into("a/recording/none", nothing) is False
        assert nothing.tell() == 0


def test_an_empty_object_is_an_object(store: ObjectStore) -> None:
    assert store.put_if_absent("empty", b"") is True
    assert store.get("empty") == b""
    assert store.put_if_absent("empty", b"x") is False


def test_of_many_puts_at_once_one_wins(store: ObjectStore) -> None:
    for round_ in range(20 if isinstance(store, PosixObjectStore) else 5):
        won: list[bytes] = []
        start = threading.Barrier(6)

        def put(number: int, name: str = f"seg/{round_:012d}", won: list[bytes] = won,
                start: threading.Barrier = start) -> None:  # fmt: skip
            data = bytes([number]) * 10_000
            start.wait()
            if store.put_if_absent(name, data):
                won.append(data)

        threads = [threading.Thread(target=put, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert store.get(f"seg/{round_:012d}") == won[0]


def test_listing_names_what_is_there_in_order(store: ObjectStore) -> None:
    for name in ("a/seg/002", "a/seg/001", "a/tile/0/x001/002", "b/seg/001"):
        store.put_if_absent(name, b"x")
    assert list(store.list("a/")) == ["a/seg/001", "a/seg/002", "a/tile/0/x001/002"]
    assert list(store.list("a/seg/")) == ["a/seg/001", "a/seg/002"]
    assert list(store.list("c/")) == []


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", "../a", "a/../b", ".hidden", "A", "a b"])
def test_names_that_could_mean_something_else_are_refused(store: ObjectStore, name: str) -> None:
    with pytest.raises(MalformedError, match="cannot name an object"):
        store.put_if_absent(name, b"x")


def test_posix_objects_are_read_only_and_torn_files_have_no_name(tmp_path: Path) -> None:
    store = PosixObjectStore(tmp_path)
    store.put_if_absent("seg/000", b"first")
    assert (tmp_path / "seg" / "000").stat().st_mode & 0o777 == 0o400
    torn = tmp_path / UNFINISHED / ".abcd"
    torn.write_bytes(b"tor")  # what a crash leaves
    assert store.get("seg/001") is None
    assert list(store.list("seg/")) == ["seg/000"]
    assert store.put_if_absent("seg/001", b"whole") is True
    assert torn.exists(), "another one may be writing it"
    assert PosixObjectStore(tmp_path).sweep() == 1
    assert not torn.exists()
    assert list(store.list("seg/")) == ["seg/000", "seg/001"]


def test_posix_a_failing_disk_is_said_and_leaves_no_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = PosixObjectStore(tmp_path)

    def broken(file: int) -> None:
        raise OSError("input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", broken)
        with pytest.raises(UnavailableError, match="could not be stored"):
            store.put_if_absent("one", b"x")
    assert store.get("one") is None
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


def test_posix_syncs_bytes_before_the_name_and_the_name_before_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, link = os.fsync, os.link

    def synced(file: int) -> None:
        steps.append("folder" if os.path.isdir(f"/proc/self/fd/{file}") else "file")
        fsync(file)

    def linked(*args: str) -> None:
        steps.append("link")
        link(*args)

    store = PosixObjectStore(tmp_path)
    store.put_if_absent("another", b"x")  # its folders are made
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "link", linked)
    store.put_if_absent("one", b"x")
    assert steps == ["file", "link", "folder"]
    store.put_if_absent("one", b"x")
    assert steps == ["file", "link", "folder", "folder"]
