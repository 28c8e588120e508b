"""Write-once objects on S3 with Object Lock in compliance mode.

``If-None-Match: *`` is sent and not relied on: Ceph ignores it, and after a delete marker S3
itself lets it pass. What counts is the listing: an object is its *oldest* version, and a put is
done when that version is ours and its lock was read back. Source: LEDGER.md, sections 3.4, 3.5.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import random
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, BinaryIO, TypeVar

from breakglass.archiver.s3_calls import Answer, S3Calls, S3LostError, S3RefusedError, make_client
from breakglass.archiver.s3_settings import S3Settings
from breakglass.archiver.s3_versions import Standing, Version, standing, walk
from breakglass.archiver.tamper_evidence import Alarm, Evidence, log_evidence
from breakglass.clock import Clock
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, UnavailableError, UnprovenError
from breakglass.submit.blob_upload import measured

T = TypeVar("T")

OBJECT_BYTES_AT_MOST = 64 * 1024 * 1024 + 64 * 1024  # the longest attachment, or a whole commit
COMPLIANCE = "COMPLIANCE"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*", re.ASCII)
_MD5 = re.compile(r"[0-9a-f]{32}", re.ASCII)
_PAUSE_S = 0.02  # doubled with each attempt, and shaken, so that racing writers part
_BYTES_A_SECOND = 2 * 1024 * 1024  # the slowest line that an attachment of 64 MiB is sent over
_SLACK = timedelta(days=1)  # a store that counts in days may round


@dataclass(frozen=True)
class _Put:
    """One object to be, and how we know it again."""

    name: str  # as the store knows it
    body: BinaryIO
    size: int
    sha256: str
    md5: bytes
    nonce: str  # told as metadata: after a lost answer it says whose version stands there
    until: datetime


class S3ObjectStore:
    """``ObjectStore`` on one bucket. Made without a call; the first put checks the bucket.

    Args:
        settings: the table ``[s3]``.
        clock: for retain-until dates.
        alarm: takes evidence of tampering; what it raises is not caught.
        client: a boto3 client, instead of one made from the settings.
    """

    def __init__(
        self, settings: S3Settings, clock: Clock, alarm: Alarm = log_evidence, client: Any = None
    ) -> None:
        self.settings = settings
        self.calls = S3Calls(client or make_client(settings), settings.bucket)
        self._clock = clock
        self._alarm = alarm
        self._checked = False
        # Two puts of one name from here would leave two versions where If-None-Match is ignored.
        self._turns = [threading.Lock() for _ in range(64)]

    def put_if_absent(self, name: str, data: bytes) -> bool:
        """See ``ObjectStore.put_if_absent``; durable here means locked, read back."""
        return self.put_file_if_absent(name, io.BytesIO(data))

    def put_file_if_absent(self, name: str, file: BinaryIO) -> bool:
        """See ``ObjectStore.put_file_if_absent``."""
        put = self._prepared(name, file)
        until = self._until(put.size)
        self.check_bucket(until)
        with self._turns[hash(put.name) % len(self._turns)]:
            return self._put(put, until)

    def get(self, name: str) -> bytes | None:
        """See ``ObjectStore.get``; the oldest version, whatever stands above it.

        Raises:
            UnprovenError: ``object_altered``; the bytes are not those that its writer hashed.
        """
        file = io.BytesIO()
        return file.getvalue() if self.get_into(name, file) else None

    def get_into(self, name: str, file: BinaryIO) -> bool:
        """See ``ObjectStore.get_into``; otherwise as ``get``."""
        full = self._full(name)
        found = self._looked(full, self._until())
        if found.oldest is None:
            return False
        until = self._until(found.oldest.size)
        oldest = found.oldest
        which = {"Key": full, "VersionId": oldest.id}
        answer = self._again(
            lambda: self.calls.read(until, OBJECT_BYTES_AT_MOST, file, **which), until
        )
        self._check_bytes(full, oldest, answer, file)
        self._check_still_locked(full, oldest, answer)
        return True

    def list(self, prefix: str) -> Iterator[str]:
        """See ``ObjectStore.list``; names behind a delete marker are named too."""
        full = self._full(prefix.rstrip("/")) + "/"
        for found in walk(self.calls, full, self.settings.within.total_seconds()):
            found.tell(self._alarm)
            if found.oldest is not None:
                yield found.name.removeprefix(self.settings.prefix)

    def check_bucket(self, until: float) -> None:
        """Check once that the bucket locks objects and keeps versions.

        Raises:
            UnavailableError: ``not_locked``; it does not. Or the store fails.
        """
        if self._checked:
            return
        versioning = self.calls.call("get_bucket_versioning", until).get("Status")
        try:
            lock = self.calls.call("get_object_lock_configuration", until)
        except S3RefusedError as error:
            if error.status != 404:
                raise
            lock = {}
        locks = lock.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled")
        if (versioning, locks) != ("Enabled", "Enabled"):
            raise UnavailableError(
                f"bucket {self.settings.bucket!r} has versioning {versioning!r} and object lock"
                f" {locks!r}, wanted both 'Enabled'; nothing was put",
                name=ErrorName.NOT_LOCKED,
                hint="make a new bucket with object lock enabled; it is best done at creation",
            )
        self._checked = True

    def _until(self, size: int = 0) -> float:
        return time.monotonic() + self.settings.within.total_seconds() + size / _BYTES_A_SECOND

    def _put(self, put: _Put, until: float) -> bool:
        attempt, mine = 0, ""
        while True:
            # (1) Whatever stands there first is the object, ours or not.
            found = self._looked(put.name, until)
            if found.oldest is not None:
                return self._settled(put, found.oldest, mine, until)
            if mine:
                raise S3LostError(f"object {put.name!r} was put and is not listed")
            # (2) Put. An answer that is lost, a 412 or a 409 all lead back to (1), which knows.
            try:
                mine = str(self._sent(put, until).get("VersionId", ""))
            except S3RefusedError as error:
                if error.status not in (409, 412):
                    raise
                self._pause(attempt, until, error)
            except S3LostError as error:
                self._pause(attempt, until, error)
            attempt += 1

    def _sent(self, put: _Put, until: float) -> Answer:
        return self.calls.call(
            "put_object",
            until,
            Key=put.name,
            Body=_Reading(put.body),
            ContentLength=put.size,
            ContentMD5=base64.b64encode(put.md5).decode(),
            ChecksumSHA256=base64.b64encode(bytes.fromhex(put.sha256)).decode(),
            IfNoneMatch="*",
            ObjectLockMode=COMPLIANCE,
            ObjectLockRetainUntilDate=put.until,
            Metadata={"sha256": put.sha256, "put": put.nonce},
        )

    def _settled(self, put: _Put, oldest: Version, mine: str, until: float) -> bool:
        """Say whether the object is ours, once its lock is known to hold."""
        # (3) Read back what the store keeps of it. From here a crash changes nothing.
        which = {"Key": put.name, "VersionId": oldest.id, "ChecksumMode": "ENABLED"}
        head = self._again(lambda: self.calls.call("head_object", until, **which), until)
        ours = oldest.id == mine or head.get("Metadata", {}).get("put") == put.nonce
        modified = head.get("LastModified")
        wanted = put.until
        if not ours and isinstance(modified, datetime):
            kept = self.settings.kept(put.name.removeprefix(self.settings.prefix))
            wanted = modified + kept - _SLACK
        mode, locked = head.get("ObjectLockMode"), head.get("ObjectLockRetainUntilDate")
        if mode != COMPLIANCE or not isinstance(locked, datetime) or locked < wanted:
            says = (
                f"object {put.name!r} is locked {mode!r} until {locked}, wanted {COMPLIANCE!r}"
                f" until {wanted}; it does not count as stored"
            )
            if not ours:
                self._alarm(Evidence("not_locked", put.name, oldest.id, says, oldest.at))
            raise UnavailableError(says, name=ErrorName.NOT_LOCKED)
        if ours:
            _check_stored(put, head)
        return ours

    def _looked(self, full: str, until: float) -> Standing:
        found = self._again(lambda: standing(self.calls, full, until), until)
        found.tell(self._alarm)
        return found

    def _again(self, ask: Callable[[], T], until: float) -> T:
        """Ask what changes nothing, again and again until there is an answer or no time left."""
        attempt = 0
        while True:
            try:
                return ask()
            except S3LostError as error:
                self._pause(attempt, until, error)
                attempt += 1

    def _pause(self, attempt: int, until: float, error: UnavailableError) -> None:
        pause = _PAUSE_S * 2 ** min(attempt, 6) * random.uniform(0.5, 1.5)
        if time.monotonic() + pause >= until:
            raise error
        time.sleep(pause)

    def _check_bytes(self, full: str, version: Version, answer: Answer, file: BinaryIO) -> None:
        told = answer.get("Metadata", {}).get("sha256")
        if told is not None and told != measured(file)[0]:
            says = f"object {full!r} has other bytes than its writer hashed"
            self._alarm(Evidence("altered", full, version.id, says, version.at))
            raise UnprovenError(says, name=ErrorName.OBJECT_ALTERED)

    def _check_still_locked(self, full: str, version: Version, answer: Answer) -> None:
        """Report a lock that ends too soon; the bytes are judged by whoever knows the chain."""
        mode, locked = answer.get("ObjectLockMode"), answer.get("ObjectLockRetainUntilDate")
        if version.at is None:
            return
        kept = self.settings.kept(full.removeprefix(self.settings.prefix))
        if version.at + kept <= self._clock.now():
            return  # past its time: nothing promises that it is still there
        if mode != COMPLIANCE or not isinstance(locked, datetime):
            says = f"object {full!r} is locked {mode!r}, wanted {COMPLIANCE!r}"
            self._alarm(Evidence("not_locked", full, version.id, says, version.at))

    def _prepared(self, name: str, file: BinaryIO) -> _Put:
        sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
        file.seek(0)
        while chunk := file.read(1024 * 1024):
            sha256.update(chunk)
            md5.update(chunk)
            size += len(chunk)
        if size > OBJECT_BYTES_AT_MOST:
            raise MalformedError(f"object {name!r} has {size} bytes", name=ErrorName.TOO_LARGE)
        # A whole second more: stores keep the date in seconds, and some cut it.
        until = self._clock.now().replace(microsecond=0) + timedelta(seconds=1)
        return _Put(
            self._full(name),
            file,
            size,
            sha256.hexdigest(),
            md5.digest(),
            secrets.token_hex(16),
            until + self.settings.kept(name),
        )

    def _full(self, name: str) -> str:
        if len(name) > 512 or not _NAME.fullmatch(name):
            raise MalformedError(f"{name[:80]!r} cannot name an object")
        return self.settings.prefix + name


class _Reading(io.RawIOBase):
    """Reads a file at a place of its own: an attempt that was left behind disturbs no other.

    On a descriptor of its own too, which it closes: the file may be closed and its number be
    another's by the time that a lost attempt reads on.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._at = 0
        self._bytes: memoryview | None = None
        self._file = -1
        if isinstance(file, io.BytesIO):
            self._bytes = file.getbuffer()
        else:
            file.flush()
            self._file = os.dup(file.fileno())

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size()}[whence]
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        if self._bytes is not None:
            part: bytes | memoryview = self._bytes[self._at : self._at + len(buffer)]
        else:
            part = os.pread(self._file, len(buffer), self._at)
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)

    def close(self) -> None:
        if not self.closed and self._file >= 0:
            os.close(self._file)
        super().close()

    def _size(self) -> int:
        return len(self._bytes) if self._bytes is not None else os.fstat(self._file).st_size


def _check_stored(put: _Put, head: Answer) -> None:
    """Check by size, and by SHA-256 or MD5 as the store tells them, that our bytes arrived."""
    checksum, etag = head.get("ChecksumSHA256"), str(head.get("ETag", "")).strip('"')
    wrong = head.get("ContentLength") != put.size
    if checksum:
        wrong |= checksum != base64.b64encode(bytes.fromhex(put.sha256)).decode()
    elif _MD5.fullmatch(etag) and not head.get("SSEKMSKeyId"):
        wrong |= etag != put.md5.hex()
    if wrong:
        raise UnavailableError(
            f"object {put.name!r} does not have the bytes that were put; it does not count",
            name=ErrorName.OBJECT_ALTERED,
        )
