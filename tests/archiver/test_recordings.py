"""Encrypted attachments lie under a prefix of their own, by their bytes; nothing else does."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyrage
import pytest

from breakglass.archiver.attachment_names import AGE_HEADER, attachment_folder
from breakglass.archiver.object_store import ObjectStore, PosixObjectStore
from breakglass.archiver.rebuild import write_folder
from breakglass.archiver.s3_settings import SEVEN_YEARS_DAYS, THIRTEEN_MONTHS_DAYS, S3Settings
from breakglass.archiver.s3_store import S3ObjectStore
from breakglass.canonical import parse_canonical
from breakglass.clock import SystemClock
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, UnavailableError, UnprovenError
from breakglass.policy.bundle import unpack_bundle
from breakglass.records.policy_note import parse_policy_note
from breakglass.records.trust import parse_trust
from breakglass.tlog.note import Note
from tests.kit.archiving import PREFIX, ArchivedWorld
from tests.kit.organisation import Organisation
from tests.kit.s3 import CEPH, MOTO, bucket_on, client_for

RECORDING = pyrage.encrypt(b"frames", [pyrage.x25519.Identity.generate().to_public()])
PICTURE = b"a picture"


def name_of(data: bytes, folder: str) -> str:
    return f"{PREFIX}/{folder}/{hashlib.sha256(data).hexdigest()}"


@pytest.fixture(params=["posix", "strict", MOTO, CEPH])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    if request.param == "posix":
        yield PosixObjectStore(tmp_path / "store")
        return
    with bucket_on(request.param, tmp_path, records_kept_days=4, recordings_kept_days=2) as given:
        yield S3ObjectStore(given, SystemClock(), client=client_for(given))


def test_an_age_file_is_a_recording_and_all_else_is_an_attachment(store: ObjectStore) -> None:
    world = ArchivedWorld(store)
    long = AGE_HEADER + b"-> X25519 " + b"x" * (3 * 1024 * 1024)
    nearly = AGE_HEADER[:-1]
    attached = (RECORDING, PICTURE, long, nearly, b"")
    assert world.push(0, attachments=attached).status == 200
    recordings = sorted(name_of(each, "recording") for each in (RECORDING, long))
    assert list(store.list(f"{PREFIX}/recording/")) == recordings
    others = sorted(name_of(each, "attachment") for each in (PICTURE, nearly, b""))
    assert list(store.list(f"{PREFIX}/attachment/")) == others
    # Every reader finds them, without being told which is which.
    for each in attached:
        file = io.BytesIO()
        world.archived_log().attachment(hashlib.sha256(each).hexdigest(), file)
        assert file.getvalue() == each


@pytest.mark.parametrize("kind", ["strict", MOTO, CEPH])
def test_recordings_are_locked_for_their_own_time(kind: str, tmp_path: Path) -> None:
    with bucket_on(kind, tmp_path, records_kept_days=4, recordings_kept_days=2) as given:
        client = client_for(given)
        store = S3ObjectStore(given, SystemClock(), client=client)
        assert ArchivedWorld(store).push(0, attachments=(RECORDING, PICTURE)).status == 200
        now = datetime.now(UTC)
        for data, folder, days in ((RECORDING, "recording", 2), (PICTURE, "attachment", 4)):
            key = given.prefix + name_of(data, folder)
            head = client.head_object(Bucket=given.bucket, Key=key)
            assert head["ObjectLockMode"] == "COMPLIANCE"
            left = head["ObjectLockRetainUntilDate"] - now
            assert abs(left - timedelta(days=days)) < timedelta(minutes=10)


def test_recordings_are_kept_13_months_and_records_7_years_unless_told_otherwise() -> None:
    kept = S3Settings("bucket").kept
    assert kept(f"{PREFIX}/recording/{'0' * 64}") == timedelta(days=THIRTEEN_MONTHS_DAYS)
    for name in ("attachment/0", "seg/0", "tile/0/000", "cp/0", "meta/genesis", "recordings/0"):
        assert kept(f"{PREFIX}/{name}") == timedelta(days=SEVEN_YEARS_DAYS)
    assert (THIRTEEN_MONTHS_DAYS, SEVEN_YEARS_DAYS) == (397, 2557)


def test_an_attachment_that_stands_is_not_fetched_again(store: ObjectStore) -> None:
    world = ArchivedWorld(store)
    assert world.push(0, attachments=(RECORDING, PICTURE)).status == 200
    world.attachments.clear()
    world.restart()
    note = world.entries[0]
    world.entries += [note]  # names the recording again; the ledger has lost it
    assert world.push_again().status == 200


def test_true_bytes_under_the_name_of_a_shorter_life_do_not_count_as_stored(
    store: ObjectStore,
) -> None:
    """Whoever may put could have a record's attachment forgotten after 13 months."""
    store.put_if_absent(name_of(PICTURE, "recording"), PICTURE)
    assert ArchivedWorld(store).push(0, attachments=(PICTURE,)).status == 200
    assert store.get(name_of(PICTURE, "attachment")) == PICTURE


@pytest.mark.parametrize(
    ("data", "other"),
    [(RECORDING, "attachment"), (PICTURE, "recording")],
    ids=["recording", "picture"],
)
def test_bytes_planted_under_the_name_that_is_not_its_own_stop_nobody(
    store: ObjectStore, data: bytes, other: str
) -> None:
    store.put_if_absent(name_of(data, other), b"planted")
    world = ArchivedWorld(store)
    assert world.push(0, attachments=(data,)).status == 200
    file = io.BytesIO()
    world.archived_log().attachment(hashlib.sha256(data).hexdigest(), file)
    assert file.getvalue() == data


@pytest.mark.parametrize(
    ("data", "own"),
    [(RECORDING, "recording"), (PICTURE, "attachment")],
    ids=["recording", "picture"],
)
def test_bytes_planted_under_its_own_name_are_never_cosigned(
    store: ObjectStore, data: bytes, own: str
) -> None:
    store.put_if_absent(name_of(data, own), b"planted")
    answer = ArchivedWorld(store).push(0, attachments=(data,))
    assert (answer.status, b"stands with other bytes" in answer.body) == (422, True)


def test_a_recording_that_is_gone_is_a_hole_and_an_altered_one_is_said(tmp_path: Path) -> None:
    world = ArchivedWorld(PosixObjectStore(tmp_path / "store"))
    assert world.push(0, attachments=(RECORDING,)).status == 200
    digest = hashlib.sha256(RECORDING).hexdigest()
    path = tmp_path / "store" / name_of(RECORDING, "recording")
    path.chmod(0o600)
    path.write_bytes(RECORDING[:-1])
    with pytest.raises(UnprovenError, match=f"recording/{digest}' is altered") as altered:
        world.archived_log().attachment(digest, io.BytesIO())
    path.unlink()
    with pytest.raises(UnprovenError, match="is missing") as hole:
        world.archived_log().attachment(digest, io.BytesIO())
    assert (altered.value.name, hole.value.name) == (
        ErrorName.ARCHIVE_ALTERED,
        ErrorName.ARCHIVE_HOLE,
    )
    # After 13 months this is as it should be: the log is rebuilt, and says what is not there.
    rebuilt = write_folder(world.archived_log(), tmp_path / "back", may_lack_attachments=True)
    assert rebuilt.missing == (digest,)
    assert not (tmp_path / "back" / "attachment" / digest).exists()


def test_a_rebuilt_log_holds_recordings_beside_the_rest(tmp_path: Path) -> None:
    world = ArchivedWorld(PosixObjectStore(tmp_path / "store"))
    assert world.push(0, attachments=(RECORDING, PICTURE)).status == 200
    rebuilt = write_folder(world.archived_log(), tmp_path / "back")
    assert (rebuilt.attachments, rebuilt.missing) == (2, ())
    for each in (RECORDING, PICTURE):
        name = hashlib.sha256(each).hexdigest()
        assert (tmp_path / "back" / "attachment" / name).read_bytes() == each


def test_what_the_log_lives_by_cannot_begin_as_a_recording() -> None:
    """Bundle, cards and trust file count only in forms that begin otherwise."""
    org = Organisation()
    for data in (org.bundle, org.policy_note(), org.trust_note()):
        assert attachment_folder(data) == "attachment"
    text = AGE_HEADER.decode()
    with pytest.raises(MalformedError):
        unpack_bundle(AGE_HEADER + org.bundle)
    with pytest.raises(MalformedError):
        parse_canonical(text + "{}", "cards")
    with pytest.raises(MalformedError):
        parse_trust(text + org.trust_text())
    policy = Note.parse(org.policy_note())
    with pytest.raises(MalformedError):
        parse_policy_note(replace(policy, text=text + policy.text))


def test_a_segment_that_names_more_than_64_mib_is_no_segment_of_our_ledger(tmp_path: Path) -> None:
    world = ArchivedWorld(PosixObjectStore(tmp_path / "store"))
    assert world.push(0, attachments=(PICTURE,)).status == 200
    world.entries.append(world.entries[0].replace(b" 9\n", b" 67108865\n", 1))
    answer = world.push_again()
    assert (answer.status, b"67108865 bytes" in answer.body) == (422, True)


def test_a_ledger_that_sends_more_than_was_named_is_cut_off(tmp_path: Path) -> None:
    world = ArchivedWorld(PosixObjectStore(tmp_path / "store"))

    def endless(method: str, path: str, **given: object) -> None:
        into = given["into"]
        assert into.bytes_at_most == len(PICTURE)  # type: ignore[attr-defined]
        raise UnavailableError("ledger answered more than 9 bytes", name="nonsense")

    world.archiver._ledger.send = endless  # type: ignore[assignment,method-assign]
    assert world.push(0, attachments=(PICTURE,)).status == 503
    assert list(world.store.list(f"{PREFIX}/")) == []
