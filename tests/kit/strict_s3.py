"""The small part of S3 with Object Lock that we use, with the rules as AWS documents them.

For what neither Ceph (ignores ``If-None-Match``) nor moto (lets a compliance lock be shortened and
versioning be suspended) shows together, and for trouble: see ``Trouble``. The wire is in
``strict_s3_server.py``. It is a statement of what we believe of AWS, and no proof about AWS.
"""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from breakglass.archiver.bucket_policy import BucketPolicy, PolicyQuestion


class S3Error(Exception):
    """An answer other than yes."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


@dataclass
class Trouble:
    """What goes wrong; ``on`` limits it to requests of these methods."""

    on: tuple[str, ...] = ("GET", "HEAD", "PUT", "POST", "DELETE")
    hangs: bool = False
    drips: bool = False  # a byte of the answer each 50 ms
    nonsense: bool = False  # 200 with bytes that are no XML
    unavailable: int = 0  # so many requests get 503 SlowDown
    conflicts: int = 0  # so many conditional puts get 409
    loses_answers: int = 0  # so many requests are done and not answered
    ignores_if_none_match: bool = False  # as Ceph does
    forgets_locks: bool = False  # says 200 and keeps no lock
    locks_for: timedelta | None = None  # says 200 and locks for less
    spoils_bytes: bool = False  # stores other bytes than it was sent


@dataclass
class StoredVersion:
    """One version; ``data`` is ``None`` for a delete marker."""

    id: str
    data: bytes | None
    at: datetime
    metadata: dict[str, str] = field(default_factory=dict)
    mode: str = ""
    until: datetime | None = None
    held: bool = False

    @property
    def etag(self) -> str:
        return hashlib.md5(self.data or b"", usedforsecurity=False).hexdigest()


@dataclass
class Bucket:
    """Versions by key, the newest last."""

    locks: bool
    versioned: bool
    default: tuple[str, int] | None = None  # mode, days
    policy: str = ""
    lifecycle: str = ""
    encryption: str = ""
    objects: dict[str, list[StoredVersion]] = field(default_factory=dict)


class StrictS3:
    """Buckets and their rules; one lock around all of it, so each operation is whole.

    Attributes:
        trouble: switches, to be set at any time.
        principals: ARN by access key; an unknown one is ``…:user/<access key>``.
    """

    def __init__(self) -> None:
        self.trouble = Trouble()
        self.principals: dict[str, str] = {}
        self.ahead = timedelta(0)
        self.buckets: dict[str, Bucket] = {}
        self.requests: list[str] = []  # method and path of each
        self._lock = threading.RLock()
        self._putting: set[tuple[str, str]] = set()
        self.before_commit: Callable[[], None] = lambda: None

    def now(self) -> datetime:
        """The store's own time; ``ahead`` moves it."""
        return datetime.now(UTC) + self.ahead

    def bucket(self, name: str) -> Bucket:
        if name not in self.buckets:
            raise S3Error(404, "NoSuchBucket")
        return self.buckets[name]

    def authorize(self, access: str, action: str, bucket: str, key: str, **keys: str) -> None:
        """Apply the bucket's policy; without one everything is allowed."""
        found = self.buckets.get(bucket)
        if found is None or not found.policy:
            return
        arn = self.principals.get(access, f"arn:aws:iam::111122223333:user/{access}")
        resource = f"arn:aws:s3:::{bucket}" + (f"/{key}" if key else "")
        asked = PolicyQuestion(arn, action, resource, keys)
        if BucketPolicy.parse(found.policy).denies(asked):
            raise S3Error(
                403, "AccessDenied", f"{arn} is not authorized: explicit deny in a policy"
            )

    def create(self, name: str, *, locks: bool) -> None:
        with self._lock:
            if name in self.buckets:
                raise S3Error(409, "BucketAlreadyOwnedByYou")
            self.buckets[name] = Bucket(locks, versioned=locks)

    def set_versioning(self, name: str, *, enabled: bool) -> None:
        with self._lock:
            if self.bucket(name).locks and not enabled:
                raise S3Error(409, "InvalidBucketState", "object lock needs versioning")
            self.bucket(name).versioned = enabled

    def put(
        self,
        name: str,
        key: str,
        data: bytes,
        *,
        if_none_match: str = "",
        mode: str = "",
        until: datetime | None = None,
        summed: bool = True,
        metadata: dict[str, str] | None = None,
    ) -> StoredVersion:
        """Store a version.

        Args:
            name, key, data: what and where.
            if_none_match: the header; only ``*`` is implemented, as on AWS.
            mode, until: the lock's headers; both or none.
            summed: whether a checksum or Content-MD5 came along.
            metadata: kept as it is.
        """
        with self._conditional(name, key, if_none_match):
            bucket = self.bucket(name)
            if bool(mode) != (until is not None):
                raise S3Error(400, "InvalidArgument", "lock mode and date go together")
            if mode and not bucket.locks:
                raise S3Error(400, "InvalidRequest", "Bucket is missing ObjectLockConfiguration")
            if (mode or bucket.default) and not summed:
                raise S3Error(400, "InvalidRequest", "Content-MD5 or a checksum is required")
            if until is not None and until <= self.now():
                raise S3Error(400, "InvalidArgument", "the retain until date must be in the future")
            if not mode and bucket.default:
                mode, until = bucket.default[0], self.now() + timedelta(days=bucket.default[1])
            if self.trouble.forgets_locks:
                mode, until = "", None
            if self.trouble.locks_for is not None and until is not None:
                until = self.now() + self.trouble.locks_for
            if self.trouble.spoils_bytes:
                data = data[:-1] + bytes([data[-1] ^ 1]) if data else b"?"
            version = StoredVersion(uuid.uuid4().hex, data, self.now(), metadata or {}, mode, until)
            with self._lock:
                bucket.objects.setdefault(key, []).append(version)
            return version

    def _conditional(self, name: str, key: str, condition: str) -> _Condition:
        if condition not in ("", "*"):
            raise S3Error(501, "NotImplemented", "If-None-Match takes only *")
        checked = condition == "*" and not self.trouble.ignores_if_none_match
        return _Condition(self, name, key, checked)

    def find(self, name: str, key: str, version: str = "") -> StoredVersion:
        """The version named, or the current one."""
        with self._lock:
            versions = self.bucket(name).objects.get(key, [])
            if version:
                found = next((each for each in versions if each.id == version), None)
                if found is None:
                    raise S3Error(404, "NoSuchVersion")
                if found.data is None:
                    raise S3Error(405, "MethodNotAllowed")
                return found
            if not versions or versions[-1].data is None:
                raise S3Error(404, "NoSuchKey")
            return versions[-1]

    def delete(self, name: str, key: str, version: str = "", *, bypass: bool = False) -> str:
        """Delete a version, or add a delete marker; returns the marker's id, if one was made."""
        with self._lock:
            bucket = self.bucket(name)
            versions = bucket.objects.setdefault(key, [])
            if not version:
                marker = StoredVersion(uuid.uuid4().hex, None, self.now())
                versions.append(marker)
                return marker.id
            for found in versions:
                if found.id == version:
                    self._check_free(found, bypass)
                    versions.remove(found)
            return ""

    def retain(self, name: str, key: str, version: str, mode: str, until: datetime,
               *, bypass: bool = False) -> None:  # fmt: skip
        """Change a lock: a compliance lock only grows."""
        with self._lock:
            found = self.find(name, key, version)
            locked = found.until is not None and found.until > self.now()
            weaker = found.until is not None and until < found.until
            if locked and (weaker or mode != found.mode):
                upgraded = found.mode == "GOVERNANCE" and mode == "COMPLIANCE" and not weaker
                if not upgraded and (found.mode == "COMPLIANCE" or not bypass):
                    raise S3Error(403, "AccessDenied", _LOCKED)
            found.mode, found.until = mode, until

    def versions(self, name: str, prefix: str) -> Iterator[tuple[str, StoredVersion, bool]]:
        """All versions and markers under a prefix: by key, the newest first."""
        with self._lock:
            objects = self.bucket(name).objects
            found = [
                (key, version, version is objects[key][-1])
                for key in sorted(objects)
                if key.startswith(prefix)
                for version in reversed(objects[key])
            ]
        yield from found

    def _check_free(self, version: StoredVersion, bypass: bool) -> None:
        locked = version.until is not None and version.until > self.now()
        if version.held or (locked and not (version.mode == "GOVERNANCE" and bypass)):
            raise S3Error(403, "AccessDenied", _LOCKED)


_LOCKED = "Access Denied because object protected by object lock."


class _Condition:
    """Holds a key while a conditional put of it is under way: a second one gets 409."""

    def __init__(self, store: StrictS3, name: str, key: str, checked: bool) -> None:
        self._store, self._at, self._checked = store, (name, key), checked

    def __enter__(self) -> None:
        if not self._checked:
            return
        store = self._store
        with store._lock:
            if store.trouble.conflicts > 0 or self._at in store._putting:
                store.trouble.conflicts -= store.trouble.conflicts > 0
                raise S3Error(409, "ConditionalRequestConflict")
            versions = store.bucket(self._at[0]).objects.get(self._at[1], [])
            # A delete marker on top hides what is below: AWS lets the put pass, so do we.
            if versions and versions[-1].data is not None:
                raise S3Error(412, "PreconditionFailed")
            store._putting.add(self._at)
        store.before_commit()

    def __exit__(self, *_: object) -> None:
        if self._checked:
            with self._store._lock:
                self._store._putting.discard(self._at)
