"""``archiver doctor`` finds what is wrong with a bucket, on stores that are wrong in known ways."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from breakglass.archiver.bucket_examination import BucketExamination, BucketFinding
from breakglass.archiver.doctor import examine, main
from breakglass.archiver.object_store import PosixObjectStore
from breakglass.archiver.s3_settings import S3Settings
from breakglass.archiver.s3_store import S3ObjectStore
from breakglass.clock import OffsetClock, SystemClock
from breakglass.errors import MisconfiguredError
from tests.archiver.test_s3_policies import ARCHIVER, BUCKET, CEPH_POLICY, MALLORY, POLICY
from tests.kit.s3 import ceph_settings, client_for, made_bucket, settings_for, shared_moto
from tests.kit.strict_s3 import StrictS3, Trouble
from tests.kit.strict_s3_server import running_strict_s3

NAME = "0a/seg/000000000000"


class Strict:
    """A bucket on the strict store, its owner's client, and what the doctor says of it."""

    def __init__(self, strict: StrictS3, settings: S3Settings) -> None:
        self.strict, self.settings, self.bucket = strict, settings, settings.bucket
        self.client: Any = made_bucket(settings)
        self.store = S3ObjectStore(
            settings, SystemClock(), lambda evidence: None, client_for(settings)
        )

    def look(self, **more: Any) -> dict[str, BucketFinding]:
        return looked(self.settings, **more)


def looked(settings: S3Settings, **more: Any) -> dict[str, BucketFinding]:
    store = S3ObjectStore(settings, SystemClock(), lambda evidence: None, client_for(settings))
    found: dict[str, BucketFinding] = {}
    for each in BucketExamination(store, SystemClock(), **more).findings():
        worse = ["good", "unknown", "limit", "wrong"]
        before = found.get(each.name)
        if before is None or worse.index(each.level) > worse.index(before.level):
            found[each.name] = each
    return found


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Strict]:
    with running_strict_s3() as (store, address):
        yield Strict(store, settings_for(tmp_path, address, "archiver", "s"))


def test_a_bucket_with_all_that_it_needs_is_good(strict: Strict) -> None:
    lock = {"ObjectLockEnabled": "Enabled"}
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
    strict.client.put_object_lock_configuration(
        Bucket=strict.bucket, ObjectLockConfiguration={**lock, "Rule": rule}
    )
    strict.store.put_if_absent(NAME, b"one")
    policy = CEPH_POLICY.replace(BUCKET, strict.bucket).replace(
        "arn:aws:iam:::user/archiver", ARCHIVER
    )
    strict.strict.principals["archiver"] = ARCHIVER
    strict.client.put_bucket_policy(Bucket=strict.bucket, Policy=policy)
    found = strict.look()
    wrong = {name: each for name, each in found.items() if each.level == "wrong"}
    assert wrong == {}
    assert {name for name, each in found.items() if each.level == "good"} >= {
        "clock", "versioning", "object_lock", "default_retention", "policy", "lifecycle",
        "history", "lock_mode",
    }  # fmt: skip
    # The policy refuses the archiver's delete before the lock is asked, and that is said.
    assert found["refused_delete"].level == "limit"
    assert "refused by the keys' rights" in found["refused_delete"].what


def test_the_locks_own_refusal_is_told_from_a_policys(strict: Strict) -> None:
    found = strict.look()["refused_delete"]
    assert (found.level, "refused by the lock" in found.what) == ("good", True)
    (probe,) = strict.strict.buckets[strict.bucket].objects
    assert probe.startswith("doctor/")


@pytest.mark.xdist_group("ceph")
def test_on_ceph_the_lock_is_seen_to_refuse(tmp_path: Path) -> None:
    settings = ceph_settings(tmp_path)
    S3ObjectStore(settings, SystemClock()).put_if_absent(NAME, b"one")
    found = looked(settings)
    good = {name for name, each in found.items() if each.level == "good"}
    assert good >= {"clock", "versioning", "object_lock", "refused_delete", "history", "lock_mode"}
    assert found["default_retention"].level == "limit"
    assert (found["policy"].level, found["policy"].what) == ("wrong", "the bucket has no policy")


@pytest.mark.xdist_group("moto")
def test_a_store_whose_lock_can_be_shortened_is_found_out(tmp_path: Path) -> None:
    """moto lets it happen: what a careless imitation of S3 does, and the doctor must see."""
    settings = settings_for(tmp_path, shared_moto(), "archiver", "s")
    made_bucket(settings)
    found = looked(settings)["refused_delete"]
    assert found.level == "wrong"
    assert "shortening its lock was ACCEPTED" in found.what


def test_without_versions_or_locks_everything_that_depends_on_them_is_wrong(
    strict: Strict, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path, strict.settings.endpoint, "archiver", "s")
    made_bucket(settings, locks=False)
    found = looked(settings)
    assert found["versioning"].level == found["object_lock"].level == "wrong"
    assert found["refused_delete"].level == "unknown"  # nothing is put into such a bucket
    assert "nothing was put" in found["refused_delete"].what


def test_a_policy_that_lacks_a_denial_is_wrong_and_says_which(strict: Strict) -> None:
    value = json.loads(CEPH_POLICY.replace(BUCKET, strict.bucket))
    value["Statement"][2]["Action"].remove("s3:PutLifecycleConfiguration")
    strict.strict.principals["archiver"] = MALLORY
    strict.strict.buckets[strict.bucket].policy = json.dumps(value)
    found = strict.look()["policy"]
    assert found.level == "wrong"
    assert found.what == "the policy does not deny everybody: s3:PutLifecycleConfiguration"


def test_off_aws_a_policy_that_only_aws_understands_counts_for_nothing(strict: Strict) -> None:
    strict.strict.buckets[strict.bucket].policy = POLICY.replace(BUCKET, strict.bucket)
    strict.strict.principals["archiver"] = ARCHIVER
    found = strict.look()
    assert "s3:DeleteObject," in found["policy"].what
    assert found["policy_conditions"].what.startswith("not checkable here")


def test_second_versions_and_delete_markers_are_found_by_listing(strict: Strict) -> None:
    for number in range(4):
        strict.store.put_if_absent(f"0a/seg/{number:012d}", b"one")
    strict.client.put_object(Bucket=strict.bucket, Key="0a/seg/000000000001", Body=b"other")
    strict.client.delete_object(Bucket=strict.bucket, Key="0a/seg/000000000002")
    found = strict.look()
    assert "'0a/seg/000000000001' has a later version" in found["second_version"].what
    assert "'0a/seg/000000000002' has delete marker" in found["delete_marker"].what
    assert "history" not in found


def test_a_stuffed_archive_is_told_in_few_lines(strict: Strict) -> None:
    strict.store.put_if_absent(NAME, b"one")
    for _ in range(50):
        strict.client.put_object(Bucket=strict.bucket, Key=NAME, Body=b"stuffing")
    store = strict.store
    found = list(BucketExamination(store, SystemClock()).findings())
    assert len([each for each in found if each.name == "second_version"]) == 20
    assert "and 30 findings more" in next(each.what for each in found if each.name == "history")


def test_a_listing_that_stops_early_says_so_and_goes_on_from_there(strict: Strict) -> None:
    for number in range(5):
        strict.store.put_if_absent(f"0a/seg/{number:012d}", b"one")
    strict.client.delete_object(Bucket=strict.bucket, Key="0a/seg/000000000004")
    found = strict.look(objects_at_most=3)
    assert "looked at 3 objects, up to '0a/seg/000000000002'" in found["history_part"].what
    assert "delete_marker" not in found
    assert "delete_marker" in strict.look(after="0a/seg/000000000002")


def test_a_lifecycle_rule_that_hides_objects_is_wrong(strict: Strict) -> None:
    rule = {"ID": "tidy", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    probes = {**rule, "ID": "probes", "Filter": {"Prefix": "doctor/"}}
    strict.client.put_bucket_lifecycle_configuration(
        Bucket=strict.bucket, LifecycleConfiguration={"Rules": [probes]}
    )
    assert strict.look()["lifecycle"].level == "good"
    strict.client.put_bucket_lifecycle_configuration(
        Bucket=strict.bucket, LifecycleConfiguration={"Rules": [rule, probes]}
    )
    found = strict.look()["lifecycle"]
    assert (found.level, "tidy" in found.what) == ("wrong", True)


def test_clocks_that_are_apart_are_wrong_since_locks_follow_ours(strict: Strict) -> None:
    store = S3ObjectStore(strict.settings, SystemClock())
    ours = OffsetClock(SystemClock(), timedelta(minutes=-9))
    (found,) = [each for each in BucketExamination(store, ours).findings() if each.name == "clock"]
    assert found.level == "wrong"
    assert re.search(r"clock and ours are 5(39|40) s apart", found.what)


def test_a_store_that_is_away_is_unknown_and_never_good(tmp_path: Path) -> None:
    quick = {"within": timedelta(seconds=1), "answer_within": timedelta(seconds=0.5)}
    with running_strict_s3() as (store, address):
        strict = Strict(store, settings_for(tmp_path, address, "archiver", "s", **quick))
        store.trouble = Trouble(unavailable=10**6)
        assert {each.level for each in strict.look().values()} == {"unknown"}


def archiver_folder(folder: Path, settings: S3Settings | None) -> Path:
    folder.mkdir(mode=0o700)
    text = 'ledger = "../ledger"\n'
    if settings is not None:
        text += f'[s3]\nbucket = "{settings.bucket}"\nendpoint = "{settings.endpoint}"\n'
        text += f'path_style = true\ncredentials = "{settings.credentials}"\n'
        text += f'prefix = "{settings.prefix}"\nrecords_kept_days = 2\n'
    (folder / "settings.toml").write_text(text)
    return folder


def test_the_command_speaks_to_machines_and_to_people(strict: Strict, tmp_path: Path) -> None:
    folder = archiver_folder(tmp_path / "archiver", strict.settings)
    command = [sys.executable, "-m", "breakglass.archiver.doctor", str(folder)]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    told = json.loads(done.stdout)
    assert done.returncode == 3  # it has no policy
    levels = {each["name"]: each["level"] for each in told["findings"]}
    assert (levels["policy"], levels["versioning"]) == ("wrong", "good")
    assert all(each.keys() == {"level", "name", "what", "hint"} for each in told["findings"])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "wrong   policy            the bucket has no policy" in done.stdout
    assert "docs/how-to/ledger-in-another-account.md" in done.stdout


def test_a_folder_of_files_is_a_limit_and_open_modes_are_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = archiver_folder(tmp_path / "archiver", None)
    store = folder / "data" / "store"
    (store / "0a").mkdir(parents=True, mode=0o700)
    store.chmod(0o700)
    (store / "0a" / "seg").write_bytes(b"x")
    (store / "0a" / "seg").chmod(0o400)
    found = {each.name: each for each in examine(folder, SystemClock())}
    assert found["out_of_reach"].level == "limit"
    assert found["modes"].level == "good"
    assert main([str(folder)]) == 0
    (store / "0a" / "seg").chmod(0o644)
    store.chmod(0o755)
    wrong = [each.what for each in examine(folder, SystemClock()) if each.level == "wrong"]
    assert len(wrong) == 2
    assert "1 objects may be written, '0a/seg' among them" in wrong[1]
    assert main([str(folder), "--json"]) == 3
    os.rename(folder / "settings.toml", folder / "elsewhere")
    assert main([str(folder)]) == MisconfiguredError.exit_code
    assert "is missing" in capsys.readouterr().err


def test_a_folder_says_which_recordings_are_past_their_time_and_deletes_none(
    tmp_path: Path,
) -> None:
    folder = archiver_folder(tmp_path / "archiver", None)
    text = (folder / "settings.toml").read_text()
    (folder / "settings.toml").write_text(f"{text}[files]\nrecordings_kept_days = 30\n")
    store = PosixObjectStore(folder / "data" / "store")
    prefix = "0" * 64
    for name in ("recording/old", "recording/new", "attachment/old"):
        store.put_if_absent(f"{prefix}/{name}", b"x")
    month = time.time() - 31 * 24 * 3600
    for name in ("recording/old", "attachment/old"):
        os.utime(folder / "data" / "store" / prefix / name, (month, month))
    found = {each.name: each for each in examine(folder, SystemClock())}["retention"]
    assert found.level == "limit"
    assert "1 recordings expired" in found.what
    assert f"{prefix}/recording/old" in found.what
    assert len(list(store.list(f"{prefix}/"))) == 3, "a look deletes nothing"
    (folder / "settings.toml").write_text(text)
    found = {each.name: each for each in examine(folder, SystemClock())}["retention"]
    assert "none expired" in found.what


def test_the_doctor_tells_of_a_removed_default_and_of_a_customers_key(strict: Strict) -> None:
    lock = {"ObjectLockEnabled": "Enabled"}
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
    strict.client.put_object_lock_configuration(
        Bucket=strict.bucket, ObjectLockConfiguration={**lock, "Rule": rule}
    )
    assert strict.look()["default_retention"].level == "good"
    strict.client.put_object_lock_configuration(Bucket=strict.bucket, ObjectLockConfiguration=lock)
    removed = strict.look()["default_retention"]
    assert removed.level == "limit"
    assert "no default retention in compliance mode" in removed.what
    assert strict.look()["encryption"].level == "good"
    by_default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "key-of-the-customer"}
    strict.client.put_bucket_encryption(
        Bucket=strict.bucket,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": by_default}]
        },
    )
    theirs = strict.look()["encryption"]
    assert theirs.level == "limit"
    assert "key-of-the-customer: who deletes that key, deletes the archive" in theirs.what
