"""Each attack on the archive of LEDGER.md 3.5 and 3.11, done, with who notices.

Where it can be, on Ceph, with its real locks and with all the rights that the bucket's owner has:
the attacker here is an administrator of the archive's own account.
"""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from breakglass.archiver.bucket_examination import BucketExamination
from breakglass.archiver.s3_settings import S3Settings
from breakglass.archiver.s3_store import S3ObjectStore
from breakglass.archiver.segment import Segment, segment_digest
from breakglass.archiver.tamper_evidence import Evidence
from breakglass.clock import SystemClock
from breakglass.error_names import ErrorName
from breakglass.errors import UnprovenError
from tests.kit.archiving import PREFIX, ArchivedWorld
from tests.kit.s3 import CEPH, bucket_on, ceph_settings, client_for, made_bucket, settings_for
from tests.kit.strict_s3 import StrictS3, Trouble
from tests.kit.strict_s3_server import running_strict_s3

SEGMENT = f"{PREFIX}/seg/000000000001"


class Attacked:
    """A world archived in a bucket, and an attacker with the owner's keys."""

    def __init__(self, settings: S3Settings) -> None:
        self.settings = settings
        self.mallory: Any = client_for(settings)
        self.found: list[Evidence] = []
        self.store = S3ObjectStore(settings, SystemClock(), self.found.append, self.mallory)
        self.world = ArchivedWorld(self.store)
        for count in (2, 3, 2):
            assert self.world.push(count).status == 200
        self.at = {"Bucket": settings.bucket, "Key": settings.prefix + SEGMENT}

    def locked(self) -> dict[str, Any]:
        """Where exactly the archived version of the segment lies."""
        listed = self.mallory.list_object_versions(
            Bucket=self.settings.bucket, Prefix=self.at["Key"]
        )
        return {**self.at, "VersionId": listed["Versions"][-1]["VersionId"]}

    def refused(self, attack: str, **given: Any) -> None:
        with pytest.raises(self.mallory.exceptions.ClientError, match="AccessDenied"):
            getattr(self.mallory, attack)(**given)

    def whole(self) -> None:
        """The archive still gives the log back, and the archiver goes on from it."""
        entries = [
            each for commit in self.world.archived_log().commits() for each in commit.entries
        ]
        assert entries == self.world.entries
        self.world.restart()
        assert self.world.push().status == 200

    def kinds(self) -> set[str]:
        return {each.kind for each in self.found if each.name == self.at["Key"]}

    def doctor(self) -> dict[str, str]:
        looks = BucketExamination(self.store, SystemClock()).findings()
        return {each.name: each.what for each in looks if each.level == "wrong"}


@pytest.fixture(params=["strict", CEPH])
def attacked(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Attacked]:
    with bucket_on(request.param, tmp_path) as settings:
        yield Attacked(settings)


def test_a_locked_version_is_not_deleted_by_anybody(attacked: Attacked) -> None:
    attacked.refused("delete_object", **attacked.locked())
    attacked.refused("delete_object", **attacked.locked(), BypassGovernanceRetention=True)
    where = {"Key": attacked.at["Key"], "VersionId": attacked.locked()["VersionId"]}
    answer = attacked.mallory.delete_objects(
        Bucket=attacked.settings.bucket,
        Delete={"Objects": [where]},
        BypassGovernanceRetention=True,
    )
    assert [each["Code"] for each in answer["Errors"]] == ["AccessDenied"]
    attacked.whole()
    assert attacked.kinds() == set()


def test_a_lock_is_neither_shortened_nor_weakened_but_may_grow(attacked: Attacked) -> None:
    now = datetime.now(UTC)
    for mode, days in (("COMPLIANCE", 1), ("GOVERNANCE", 9)):
        weaker = {"Mode": mode, "RetainUntilDate": now + timedelta(days=days)}
        for bypass in ({}, {"BypassGovernanceRetention": True}):
            attacked.refused(
                "put_object_retention", **attacked.locked(), Retention=weaker, **bypass
            )
    longer = {"Mode": "COMPLIANCE", "RetainUntilDate": now + timedelta(days=5)}
    attacked.mallory.put_object_retention(**attacked.locked(), Retention=longer)
    attacked.whole()


def test_versioning_of_a_locked_bucket_is_not_suspended(attacked: Attacked) -> None:
    with pytest.raises(attacked.mallory.exceptions.ClientError, match="InvalidBucketState"):
        attacked.mallory.put_bucket_versioning(
            Bucket=attacked.settings.bucket, VersioningConfiguration={"Status": "Suspended"}
        )


def test_a_delete_marker_hides_nothing_from_us_and_is_reported(attacked: Attacked) -> None:
    attacked.mallory.delete_object(**attacked.at)
    with pytest.raises(attacked.mallory.exceptions.NoSuchKey):
        attacked.mallory.get_object(**attacked.at)  # what a reader of current versions sees
    attacked.whole()
    assert attacked.kinds() == {"delete_marker"}
    assert "has delete marker" in attacked.doctor()["delete_marker"]


def test_a_newer_version_is_not_believed_and_is_reported(attacked: Attacked) -> None:
    attacked.mallory.put_object(**attacked.at, Body=b"another history")
    attacked.whole()
    assert attacked.kinds() == {"second_version"}
    assert "has a later version" in attacked.doctor()["second_version"]


def test_another_object_over_a_delete_marker_is_not_believed(attacked: Attacked) -> None:
    attacked.mallory.delete_object(**attacked.at)
    attacked.mallory.put_object(**attacked.at, Body=b"another history", IfNoneMatch="*")
    assert attacked.mallory.get_object(**attacked.at)["Body"].read() == b"another history"
    attacked.whole()
    assert attacked.kinds() == {"delete_marker", "second_version"}


def test_wrong_bytes_under_the_next_name_stop_the_archiver_and_are_never_cosigned(
    attacked: Attacked,
) -> None:
    key = f"{attacked.settings.prefix}{PREFIX}/seg/000000000003"
    lock = {
        "ObjectLockMode": "COMPLIANCE",
        "ObjectLockRetainUntilDate": datetime.now(UTC) + timedelta(days=3),
    }
    theirs = b"somebody else's"
    where = {"Bucket": attacked.settings.bucket, "Key": key}
    attacked.mallory.put_object(**where, Body=theirs, ContentMD5=_md5(theirs), **lock)
    answer = attacked.world.push()
    assert answer.status == 422
    assert "already exists, with other bytes: two writers" in answer.body.decode()
    with pytest.raises(UnprovenError, match="seg/000000000003' is altered") as caught:
        list(attacked.world.archived_log().commits())
    assert caught.value.name == ErrorName.ARCHIVE_ALTERED


def test_an_unlocked_copy_of_the_next_segment_does_not_earn_a_cosignature(
    attacked: Attacked,
) -> None:
    """Who knows the commit puts its very bytes first, without a lock, to delete them later."""
    world = attacked.world
    world.entries.append(b"next")
    last = attacked.store.get(f"{PREFIX}/seg/000000000002")
    assert last is not None
    head = world.head(len(world.entries))
    body = Segment(segment_digest(last), 7, head, (b"next",)).encoded()
    key = f"{attacked.settings.prefix}{PREFIX}/seg/000000000003"
    attacked.mallory.put_object(Bucket=attacked.settings.bucket, Key=key, Body=body)
    answer = world.push_again()
    assert (answer.status, "does not count as stored" in answer.body.decode()) == (503, True)
    assert {each.kind for each in attacked.found} == {"not_locked"}


@pytest.mark.xdist_group("ceph")
def test_without_a_default_retention_our_puts_are_locked_by_themselves(tmp_path: Path) -> None:
    """The attacker removes the default for future objects; on a bucket of its own, on Ceph."""
    shared = ceph_settings(tmp_path)
    settings = replace(shared, bucket=f"default-{time.time_ns()}", prefix="")
    mallory = made_bucket(settings)
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
    for more in ({"Rule": rule}, {}):
        mallory.put_object_lock_configuration(
            Bucket=settings.bucket,
            ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", **more},
        )
    attacked = Attacked(settings)
    attacked.refused("delete_object", **attacked.locked())
    looks = BucketExamination(attacked.store, SystemClock()).findings()
    (found,) = [each for each in looks if each.name == "default_retention"]
    assert (found.level, found.what.startswith("no default retention")) == ("limit", True)


@pytest.mark.xdist_group("ceph")
def test_a_lock_holds_to_its_end_and_not_longer(tmp_path: Path) -> None:
    attacked = Attacked(ceph_settings(tmp_path))
    key = f"{attacked.settings.prefix}short"
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3)
    lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
    where = {"Bucket": attacked.settings.bucket, "Key": key}
    put = attacked.mallory.put_object(**where, Body=b"x", ContentMD5=_md5(b"x"), **lock)
    attacked.refused("delete_object", **where, VersionId=put["VersionId"])
    time.sleep(max((until - datetime.now(UTC)).total_seconds(), 0) + 1.2)
    attacked.mallory.delete_object(**where, VersionId=put["VersionId"])


def test_what_is_deleted_when_its_time_is_over_is_named_as_a_hole(tmp_path: Path) -> None:
    with running_strict_s3() as (store, address):
        settings = settings_for(tmp_path, address, "archiver", "s")
        made_bucket(settings)
        attacked = Attacked(settings)
        attacked.refused("delete_object", **attacked.locked())
        store.ahead = timedelta(days=3)
        attacked.mallory.delete_object(**attacked.locked())
        with pytest.raises(UnprovenError, match="seg/000000000001' is missing") as caught:
            list(attacked.world.archived_log().commits())
        assert caught.value.name == ErrorName.ARCHIVE_HOLE


def test_a_lifecycle_rule_is_seen_before_it_hides_anything(tmp_path: Path) -> None:
    with bucket_on("strict", tmp_path) as settings:
        attacked = Attacked(settings)
        rule = {"ID": "tidy", "Status": "Enabled", "Filter": {"Prefix": ""}}
        attacked.mallory.put_bucket_lifecycle_configuration(
            Bucket=settings.bucket,
            LifecycleConfiguration={"Rules": [{**rule, "Expiration": {"Days": 1}}]},
        )
        assert "tidy" in attacked.doctor()["lifecycle"]
        attacked.mallory.delete_object(**attacked.at)  # what the rule does a day later
        attacked.whole()


@pytest.mark.parametrize("kind", ["strict", CEPH])
def test_of_sixteen_archivers_racing_for_a_segment_one_wins(kind: str, tmp_path: Path) -> None:
    """As from sixteen processes; on Ceph, which ignores If-None-Match, all their puts succeed."""
    with bucket_on(kind, tmp_path) as settings:
        client = client_for(settings)
        found: list[Evidence] = []
        stores = [S3ObjectStore(settings, SystemClock(), found.append, client) for _ in range(16)]
        for each in stores:
            each.check_bucket(time.monotonic() + 30)
        won: list[bytes] = []
        start = threading.Barrier(16)

        def race(number: int) -> None:
            data = b"segment of archiver %d" % number
            start.wait()
            if stores[number].put_if_absent(SEGMENT, data):
                won.append(data)

        threads = [threading.Thread(target=race, args=(number,)) for number in range(16)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert len(won) == 1
        assert stores[0].get(SEGMENT) == won[0]
        listed = client.list_object_versions(Bucket=settings.bucket, Prefix=settings.prefix)
        more = len(listed["Versions"]) - 1
        assert (
            more == 0 if kind == "strict" else {each.kind for each in found} == {"second_version"}
        )


def _md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


class Strained:
    """An archived world on the strict store, and its troubles."""

    def __init__(self, strict: StrictS3, settings: S3Settings) -> None:
        made_bucket(settings)
        self.strict = strict
        self.attacked = Attacked(settings)
        self.world = self.attacked.world


@pytest.fixture
def strained(tmp_path: Path) -> Iterator[Strained]:
    quick = {"within": timedelta(seconds=2), "answer_within": timedelta(seconds=1)}
    with running_strict_s3() as (store, address):
        yield Strained(store, settings_for(tmp_path, address, "archiver", "s", **quick))


@pytest.mark.parametrize(
    "trouble",
    [
        Trouble(hangs=True),
        Trouble(drips=True),
        Trouble(nonsense=True),
        Trouble(unavailable=10**6),
        Trouble(on=("PUT",), hangs=True),
        Trouble(on=("PUT",), unavailable=10**6),
        Trouble(on=("HEAD",), unavailable=10**6),
        Trouble(forgets_locks=True),
        Trouble(locks_for=timedelta(minutes=5)),
        Trouble(spoils_bytes=True),
    ],
    ids=[
        "hangs", "drips", "nonsense", "503", "put hangs", "put 503", "no read-back", "no lock",
        "short lock", "spoils bytes",
    ],
)  # fmt: skip
def test_a_store_in_trouble_is_bounded_and_never_earns_a_cosignature(
    strained: Strained, trouble: Trouble
) -> None:
    strained.strict.trouble = trouble
    start = time.monotonic()
    answer = strained.world.push(2)
    assert time.monotonic() - start < 8
    assert answer.status == 503
    assert "—".encode() not in answer.body
    strained.strict.trouble = Trouble()


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_lost_answers_are_made_good_by_the_same_commit(strained: Strained, lost: int) -> None:
    strained.strict.trouble = Trouble(on=("PUT",), loses_answers=lost)
    assert strained.world.push(260).status == 200
    strained.attacked.whole()
    assert strained.attacked.found == []


def test_a_store_that_was_away_for_a_while_loses_nothing(strained: Strained) -> None:
    strained.strict.trouble = Trouble(unavailable=10**6)
    assert strained.world.push(300).status == 503
    strained.strict.trouble = Trouble()
    assert strained.world.push_again().status == 200
    strained.attacked.whole()
