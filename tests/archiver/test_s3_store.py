"""S3 as a write-once store: what is locked, what is trusted, and how trouble ends."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from breakglass.archiver.s3_settings import S3Settings
from breakglass.archiver.s3_store import S3ObjectStore
from breakglass.archiver.tamper_evidence import Evidence
from breakglass.clock import SystemClock
from breakglass.errors import MisconfiguredError, UnavailableError, UnprovenError
from tests.kit.s3 import CEPH, MOTO, bucket_on, client_for, made_bucket, settings_for, shared_moto
from tests.kit.strict_s3 import StoredVersion, StrictS3, Trouble
from tests.kit.strict_s3_server import running_strict_s3

NAME = "0a/seg/000000000000"


class Place:
    """A store on a bucket, the attacker's client beside it, and what was reported."""

    def __init__(self, settings: S3Settings, client: Any = None) -> None:
        self.settings = settings
        self.bucket = settings.bucket
        self.client = client or client_for(settings)
        self.found: list[Evidence] = []
        self.store = S3ObjectStore(settings, SystemClock(), self.found.append, self.client)

    def key(self, name: str = NAME) -> str:
        return self.settings.prefix + name

    def another(self) -> S3ObjectStore:
        return S3ObjectStore(self.settings, SystemClock(), self.found.append, self.client)

    def kinds(self) -> set[str]:
        return {each.kind for each in self.found}


@pytest.fixture(params=["strict", MOTO, CEPH])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with bucket_on(request.param, tmp_path) as settings:
        yield Place(settings)


class StrictPlace(Place):
    """The same on the strict store, whose troubles can be switched on."""

    def __init__(self, strict: StrictS3, settings: S3Settings) -> None:
        super().__init__(settings)
        self.strict = strict

    def versions(self, name: str = NAME) -> list[StoredVersion]:
        return self.strict.buckets[self.bucket].objects.get(name, [])


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[StrictPlace]:
    with running_strict_s3() as (store, address):
        quick = {"within": timedelta(seconds=2), "answer_within": timedelta(seconds=1)}
        settings = settings_for(tmp_path, address, "access-archiver", "secret", **quick)
        made_bucket(settings)
        yield StrictPlace(store, settings)


def test_every_put_asks_for_its_own_lock_and_reads_it_back(place: Place) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    assert place.store.put_if_absent(NAME, b"one")
    assert place.store.put_if_absent("0a/recording/abc", b"sound")
    for name, days in ((NAME, 2), ("0a/recording/abc", 1)):
        head = place.client.head_object(Bucket=place.bucket, Key=place.key(name))
        assert head["ObjectLockMode"] == "COMPLIANCE"
        wanted = before + timedelta(days=days)
        assert wanted <= head["ObjectLockRetainUntilDate"] <= wanted + timedelta(minutes=2)
    assert place.found == []


def test_records_are_kept_seven_years_and_recordings_thirteen_months() -> None:
    settings = S3Settings("b")
    assert settings.kept("0a/seg/000000000000") > timedelta(days=7 * 365)
    assert settings.kept("0a/attachment/ff") == settings.kept("0a/tile/0/000")
    assert timedelta(days=395) <= settings.kept("0a/recording/ff") < timedelta(days=400)
    assert settings.kept("doctor/20260622") == timedelta(days=1)
    assert S3Settings("b", recordings_kept_days=30).kept("0a/recording/ff") == timedelta(days=30)


def test_the_oldest_version_is_the_object_and_a_later_one_is_reported(place: Place) -> None:
    place.store.put_if_absent(NAME, b"first")
    place.client.put_object(Bucket=place.bucket, Key=place.key(), Body=b"other")
    assert place.store.get(NAME) == b"first"
    assert list(place.store.list("0a/")) == [NAME]
    assert place.store.put_if_absent(NAME, b"other") is False
    assert place.kinds() == {"second_version"}
    assert "other bytes; the oldest" in place.found[0].says


def test_what_lies_under_a_delete_marker_is_read_named_and_reported(place: Place) -> None:
    place.store.put_if_absent(NAME, b"first")
    place.client.delete_object(Bucket=place.bucket, Key=place.key())
    assert place.store.get(NAME) == b"first"
    assert list(place.store.list("0a/")) == [NAME]
    assert place.kinds() == {"delete_marker"}
    # AWS lets If-None-Match pass over a marker, and Ceph ignores it; we look first.
    assert place.store.put_if_absent(NAME, b"second") is False
    versions = place.client.list_object_versions(Bucket=place.bucket, Prefix=place.key())
    assert len(versions["Versions"]) == 1


def test_the_oldest_is_found_behind_more_versions_than_a_page_holds(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.store.put_if_absent(NAME, b"first")
    for _ in range(5):
        place.client.put_object(Bucket=place.bucket, Key=place.key(), Body=b"stuffing")
    ask, pages = place.client.list_object_versions, []

    def in_small_pages(**given: Any) -> Any:
        pages.append(given)
        return ask(**given, MaxKeys=2)

    monkeypatch.setattr(place.client, "list_object_versions", in_small_pages)
    assert place.store.get(NAME) == b"first"
    assert len(pages) >= 3


def test_an_object_of_64_mib_is_streamed_in_and_comes_back_whole(strict: StrictPlace) -> None:
    settings = settings_for(
        Path(str(strict.settings.credentials)).parent, strict.settings.endpoint, "a", "s"
    )
    made_bucket(settings)
    store = S3ObjectStore(settings, SystemClock())
    data = bytes(range(256)) * (64 * 1024 * 1024 // 256)
    assert store.put_file_if_absent("0a/attachment/big", io.BytesIO(data))
    assert store.get("0a/attachment/big") == data


def test_a_lost_answer_is_looked_up_and_put_only_once(strict: StrictPlace) -> None:
    strict.store.put_if_absent("0a/meta/genesis", b"x")  # the bucket is checked by then
    strict.strict.trouble = Trouble(on=("PUT",), loses_answers=1)
    assert strict.store.put_if_absent(NAME, b"mine") is True
    assert [each.data for each in strict.versions()] == [b"mine"]
    assert strict.found == []


def test_after_a_lost_answer_somebody_elses_bytes_are_not_taken_for_ours(
    strict: StrictPlace,
) -> None:
    def overtaken() -> None:
        strict.strict.before_commit = lambda: None
        until = datetime.now(UTC) + timedelta(days=3)
        other = StoredVersion("other", b"theirs", datetime.now(UTC), {}, "COMPLIANCE", until)
        strict.strict.buckets[strict.bucket].objects[NAME] = [other]

    strict.strict.before_commit = overtaken
    strict.strict.trouble = Trouble(on=("PUT",), loses_answers=1)
    assert strict.store.put_if_absent(NAME, b"mine") is False
    assert strict.store.get(NAME) == b"theirs"
    assert strict.kinds() == {"second_version"}


def test_409_and_503_are_tried_again(strict: StrictPlace) -> None:
    strict.strict.trouble = Trouble(on=("PUT",), conflicts=2)
    assert strict.store.put_if_absent(NAME, b"mine") is True
    strict.strict.trouble = Trouble(unavailable=2, on=("PUT",))
    assert strict.store.put_if_absent("0a/seg/000000000001", b"mine") is True
    strict.strict.trouble = Trouble(unavailable=2, on=("GET",))
    assert strict.store.get(NAME) == b"mine"
    assert len(strict.versions()) == 1


@pytest.mark.parametrize(
    "trouble",
    [
        Trouble(hangs=True),
        Trouble(nonsense=True),
        Trouble(drips=True),
        Trouble(unavailable=10**6),
        Trouble(loses_answers=10**6),
    ],
    ids=["hangs", "nonsense", "drips", "503", "loses answers"],
)
def test_a_store_in_trouble_ends_in_time_and_concludes_nothing(
    strict: StrictPlace, trouble: Trouble
) -> None:
    strict.store.put_if_absent(NAME, b"mine")
    strict.strict.trouble = trouble
    for ask in (
        lambda: strict.store.get(NAME),
        lambda: strict.store.put_if_absent("0a/seg/000000000001", b"next"),
        lambda: list(strict.store.list("0a/")),
    ):
        start = time.monotonic()
        with pytest.raises(UnavailableError):
            ask()
        assert time.monotonic() - start < 5
    strict.strict.trouble = Trouble()
    assert strict.store.get(NAME) == b"mine"


def test_calls_that_hang_do_not_pile_up_without_end(strict: StrictPlace) -> None:
    strict.store.put_if_absent(NAME, b"mine")
    strict.strict.trouble = Trouble(hangs=True)

    def ask() -> None:
        with pytest.raises(UnavailableError):
            strict.store.get(NAME)

    asking = [threading.Thread(target=ask) for _ in range(100)]
    for each in asking:
        each.start()
    for each in asking:
        each.join(10)
        assert not each.is_alive()
    assert len([t for t in threading.enumerate() if t.name.startswith("s3-")]) <= 64
    strict.strict.trouble = Trouble()
    assert strict.store.get(NAME) == b"mine"


@pytest.mark.parametrize(
    "trouble",
    [Trouble(forgets_locks=True), Trouble(locks_for=timedelta(hours=1))],
    ids=["no lock", "a shorter lock"],
)
def test_a_put_whose_lock_is_not_there_does_not_count(
    strict: StrictPlace, trouble: Trouble
) -> None:
    strict.strict.trouble = trouble
    with pytest.raises(UnavailableError, match="does not count as stored") as caught:
        strict.store.put_if_absent(NAME, b"mine")
    assert caught.value.name == "not_locked"


def test_what_somebody_put_there_without_a_lock_does_not_count_as_stored(
    strict: StrictPlace,
) -> None:
    strict.client.put_object(Bucket=strict.bucket, Key=NAME, Body=b"mine")
    with pytest.raises(UnavailableError, match="does not count as stored"):
        strict.store.put_if_absent(NAME, b"mine")
    assert strict.kinds() == {"not_locked"}
    strict.found.clear()
    assert strict.store.get(NAME) == b"mine"  # the chain judges the bytes; the lock is reported
    assert strict.kinds() == {"not_locked"}


def test_bytes_that_the_store_spoils_are_noticed_at_the_put(strict: StrictPlace) -> None:
    strict.strict.trouble = Trouble(spoils_bytes=True)
    with pytest.raises(UnavailableError, match="does not have the bytes that were put"):
        strict.store.put_if_absent(NAME, b"mine")


def test_bytes_that_rot_later_are_noticed_at_the_get(strict: StrictPlace) -> None:
    strict.store.put_if_absent(NAME, b"mine")
    strict.versions()[0].data = b"minf"
    with pytest.raises(UnprovenError, match="other bytes than its writer hashed"):
        strict.store.get(NAME)
    assert strict.kinds() == {"altered"}


def test_a_bucket_that_does_not_lock_gets_nothing(strict: StrictPlace, tmp_path: Path) -> None:
    settings = settings_for(tmp_path, strict.settings.endpoint, "a", "s")
    made_bucket(settings, locks=False)
    with pytest.raises(UnavailableError, match="nothing was put") as caught:
        S3ObjectStore(settings, SystemClock()).put_if_absent(NAME, b"x")
    assert caught.value.name == "not_locked"
    assert strict.strict.buckets[settings.bucket].objects == {}


def test_a_store_that_ignores_if_none_match_has_one_winner_of_sixteen_writers(
    tmp_path: Path,
) -> None:
    with running_strict_s3() as (store, address):
        settings = settings_for(tmp_path, address, "access-archiver", "secret")
        made_bucket(settings)
        store.trouble = Trouble(ignores_if_none_match=True)
        place = Place(settings)
        assert _raced(place, 16) == 1
        assert place.kinds() <= {"second_version"}


def test_conditional_create_has_one_winner_of_sixteen_writers(tmp_path: Path) -> None:
    """On moto, the one server here that is known to implement the condition independently of us."""
    settings = settings_for(tmp_path, shared_moto(), "access-archiver", "secret")
    made_bucket(settings)
    place = Place(settings)
    assert _raced(place, 16) == 1
    versions = place.client.list_object_versions(Bucket=place.bucket, Prefix=NAME)
    assert len(versions["Versions"]) == 1
    assert place.found == []


def _raced(place: Place, writers: int) -> int:
    """Let writers of one process each put the same name; returns how many were told they won."""
    stores = [place.another() for _ in range(writers)]
    for each in stores:
        each.check_bucket(time.monotonic() + 20)
    start, won = threading.Barrier(writers), []

    def put(number: int) -> None:
        start.wait()
        if stores[number].put_if_absent(NAME, b"%d" % number):
            won.append(b"%d" % number)

    threads = [threading.Thread(target=put, args=(number,)) for number in range(writers)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert [place.store.get(NAME)] == won[:1]
    return len(won)


def test_credentials_that_others_may_read_are_refused(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, "http://127.0.0.1:1", "a", "s")
    assert settings.credentials is not None
    settings.credentials.chmod(0o644)
    with pytest.raises(MisconfiguredError, match="wanted 0600"):
        S3ObjectStore(settings, SystemClock())
