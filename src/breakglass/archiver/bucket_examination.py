"""Looks at a bucket as a sceptic would: what it says of itself, and what it really refuses.

Each look is bounded and changes nothing but one small object, locked for a day, whose deletion is
tried. Nothing that a careless store might *accept* with harm (suspending versioning, removing the
default retention) is tried; that is for tests on a store of one's own.
"""

from __future__ import annotations

import email.utils
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from breakglass.archiver.bucket_policy import BucketPolicy, undenied
from breakglass.archiver.s3_calls import Answer, S3Calls, S3RefusedError
from breakglass.archiver.s3_settings import PROBES
from breakglass.archiver.s3_store import COMPLIANCE, S3ObjectStore
from breakglass.archiver.s3_versions import Standing, standing, walk
from breakglass.archiver.tamper_evidence import Evidence
from breakglass.clock import Clock
from breakglass.errors import BreakglassError, MalformedError, UnavailableError

Level = Literal["good", "limit", "wrong", "unknown"]
_CLOCK_SKEW_AT_MOST = timedelta(seconds=120)
_TOLD_AT_MOST = 20
_NOT_MADE = {"NotImplemented", "MethodNotAllowed", "XNotImplemented"}


@dataclass(frozen=True)
class BucketFinding:
    """One thing that was looked at.

    Attributes:
        level: ``good``; ``limit``, how the set-up is; ``wrong``, to be mended now; ``unknown``,
            it could not be looked at.
        name: a stable word for the look.
        what: what was found.
        hint: what would be better.
    """

    level: Level
    name: str
    what: str
    hint: str = ""


class BucketExamination:
    """All looks at one bucket.

    Args:
        store: the bucket, asked with the keys whose powers are to be tried.
        clock: ours, to be compared with the store's.
        objects_at_most: how many names the listing goes through before it says that it stopped.
        after: where the listing begins, to go on from an earlier one.
    """

    def __init__(
        self, store: S3ObjectStore, clock: Clock, objects_at_most: int = 200_000, after: str = ""
    ) -> None:
        self._store = store
        self._calls: S3Calls = store.calls
        self._settings = store.settings
        self._clock = clock
        self._objects_at_most = objects_at_most
        self._after = after

    def findings(self) -> Iterator[BucketFinding]:
        """Make every look; one that fails is a finding itself, and the others go on."""
        looks: tuple[tuple[str, Callable[[], Iterator[BucketFinding]]], ...] = (
            ("clock", self._clocks),
            ("versioning", self._versioning),
            ("object_lock", self._object_lock),
            ("policy", self._policy),
            ("lifecycle", self._lifecycle),
            ("encryption", self._encryption),
            ("refused_delete", self._refused_delete),
            ("history", self._history),
        )
        for name, look in looks:
            try:
                yield from look()
            except S3RefusedError as error:
                yield _not_looked(name, error)
            except BreakglassError as error:
                level: Level = "unknown" if isinstance(error, UnavailableError) else "wrong"
                yield BucketFinding(level, name, str(error), error.hint)

    def _ask(self, operation: str, **parameters: Any) -> Answer:
        return self._calls.call(operation, self._until(), **parameters)

    def _until(self) -> float:
        return time.monotonic() + self._settings.within.total_seconds()

    def _clocks(self) -> Iterator[BucketFinding]:
        before = self._clock.now()
        headers = self._ask("head_bucket")["ResponseMetadata"]["HTTPHeaders"]
        try:
            there = email.utils.parsedate_to_datetime(str(headers.get("date")))
            apart = there - before
        except (TypeError, ValueError):
            yield BucketFinding("unknown", "clock", "the store does not say its time")
            return
        seconds = apart.total_seconds()
        what = f"the store's clock and ours are {abs(seconds):.0f} s apart"
        if abs(apart) > _CLOCK_SKEW_AT_MOST:
            yield BucketFinding(
                "wrong", "clock", what, "retain-until dates follow our clock: set it right"
            )
        else:
            yield BucketFinding("good", "clock", what)

    def _versioning(self) -> Iterator[BucketFinding]:
        status = self._ask("get_bucket_versioning").get("Status")
        level: Level = "good" if status == "Enabled" else "wrong"
        hint = "" if level == "good" else "without versions a put overwrites; make a new bucket"
        yield BucketFinding(
            level, "versioning", f"versioning is {status!r}, wanted 'Enabled'", hint
        )

    def _object_lock(self) -> Iterator[BucketFinding]:
        try:
            given = self._ask("get_object_lock_configuration")["ObjectLockConfiguration"]
        except S3RefusedError as error:
            if error.status != 404:
                raise
            given = {}
        if given.get("ObjectLockEnabled") != "Enabled":
            hint = "make a new bucket with object lock; the archiver puts nothing into this one"
            yield BucketFinding("wrong", "object_lock", "the bucket does not lock objects", hint)
            return
        yield BucketFinding("good", "object_lock", "the bucket locks objects")
        default = given.get("Rule", {}).get("DefaultRetention", {})
        mode = default.get("Mode")
        length = f"{default.get('Days') or 0} days, {default.get('Years') or 0} years"
        if mode == COMPLIANCE:
            yield BucketFinding("good", "default_retention", f"default: {mode}, {length}")
            return
        what = (
            f"no default retention in compliance mode (mode {mode!r}); each put of ours asks itself"
        )
        hint = "set a default, so that what others put is evidence that cannot be removed either"
        yield BucketFinding("limit", "default_retention", what, hint)

    def _policy(self) -> Iterator[BucketFinding]:
        try:
            text = str(self._ask("get_bucket_policy")["Policy"])
        except S3RefusedError as error:
            if error.code != "NoSuchBucketPolicy":
                raise
            hint = "docs/how-to/ledger-in-another-account.md has one to copy"
            yield BucketFinding("wrong", "policy", "the bucket has no policy", hint)
            return
        try:
            policy, aws = BucketPolicy.parse(text), not self._settings.endpoint
            allowed = list(undenied(policy, self._settings.bucket, aws=aws))
        except MalformedError as error:
            yield BucketFinding("unknown", "policy", str(error))
            return
        if allowed:
            what = f"the policy does not deny everybody: {', '.join(allowed)}"
            yield BucketFinding("wrong", "policy", what, "docs/how-to/ledger-in-another-account.md")
        else:
            yield BucketFinding(
                "good", "policy", "the policy denies what it must, but to its exceptions"
            )
        if not aws:
            what = (
                "not checkable here: that a put without If-None-Match or without a lock is denied"
            )
            hint = "this store knows no such conditions; the archiver looks before it puts"
            yield BucketFinding("unknown", "policy_conditions", what, hint)

    def _lifecycle(self) -> Iterator[BucketFinding]:
        try:
            rules = self._ask("get_bucket_lifecycle_configuration").get("Rules", [])
        except S3RefusedError as error:
            if error.status != 404:
                raise
            rules = []
        names = [
            str(each.get("ID", "?"))
            for each in rules
            if each.get("Status") == "Enabled" and "Expiration" in each and not _of_probes(each)
        ]
        if names:
            what = f"lifecycle rules put delete markers over the archive: {', '.join(names)}"
            yield BucketFinding(
                "wrong", "lifecycle", what, "remove the rules; read on from the oldest"
            )
        else:
            yield BucketFinding("good", "lifecycle", "no lifecycle rule hides objects")

    def _encryption(self) -> Iterator[BucketFinding]:
        try:
            given = self._ask("get_bucket_encryption").get("ServerSideEncryptionConfiguration", {})
        except S3RefusedError as error:
            if error.status != 404:
                raise
            given = {}
        used = [
            each.get("ApplyServerSideEncryptionByDefault", {}) for each in given.get("Rules", [])
        ]
        keys = [str(each.get("KMSMasterKeyID", "?")) for each in used if "KMS" in str(each).upper()]
        if keys:
            what = (
                f"objects are encrypted with {keys[0]}: who deletes that key, deletes the archive"
            )
            hint = "use SSE-S3, or a key in an account of its own whose deletion an SCP denies"
            yield BucketFinding("limit", "encryption", what, hint)
        else:
            yield BucketFinding(
                "good", "encryption", "no key of the customer's can make objects unreadable"
            )

    def _refused_delete(self) -> Iterator[BucketFinding]:
        """Put an object that is locked for a day, and try to be rid of it."""
        now = self._clock.now()
        name = f"{PROBES}/{now:%Y%m%dt%H%M%S}-{secrets.token_hex(4)}"
        self._store.put_if_absent(name, b"archiver doctor: this must not be deletable\n")
        full = self._settings.prefix + name
        oldest = standing(self._calls, full, self._until()).oldest
        assert oldest is not None
        which = {"Key": full, "VersionId": oldest.id}
        shorter = {"Mode": COMPLIANCE, "RetainUntilDate": now + timedelta(hours=1)}
        tries: tuple[tuple[str, str, dict[str, Any]], ...] = (
            ("deleting it", "delete_object", {}),
            (
                "deleting it, bypassing governance",
                "delete_object",
                {"BypassGovernanceRetention": True},
            ),
            ("shortening its lock", "put_object_retention", {"Retention": shorter}),
        )
        for words, operation, parameters in tries:
            try:
                self._ask(operation, **which, **parameters)
            except S3RefusedError as error:
                if error.status != 403:
                    raise
                by = _refused_by(error)
                level: Level = "good" if by == "the lock" else "limit"
                hint = "" if by == "the lock" else _MORE_RIGHTS
                what = f"{words} was refused by {by} (object {full!r})"
                yield BucketFinding(level, "refused_delete", what, hint)
            else:
                what = f"{words} was ACCEPTED on object {full!r}, locked for a day"
                hint = "this store does not hold what compliance mode promises: use another"
                yield BucketFinding("wrong", "refused_delete", what, hint)
                return

    def _history(self) -> Iterator[BucketFinding]:
        """Go through the names for what only tampering leaves."""
        found: list[Evidence] = []
        looked, last, total = 0, "", 0
        for each in walk(self._calls, self._settings.prefix, self._page_s(), self._after):
            if looked == self._objects_at_most:
                what = f"looked at {looked} objects, up to {last!r}; there are more"
                yield BucketFinding("limit", "history_part", what, f"go on with --after {last}")
                break
            looked, last = looked + 1, each.name
            before = len(found)
            each.tell(found.append)
            total += len(found) - before
            del found[_TOLD_AT_MOST:]
        for evidence in found:
            yield BucketFinding("wrong", evidence.kind, evidence.says, _EVIDENCE)
        if total > len(found):
            yield BucketFinding(
                "wrong", "history", f"and {total - len(found)} findings more", _EVIDENCE
            )
        if not total:
            yield BucketFinding(
                "good", "history", f"{looked} objects, each with one version, no marker"
            )
        yield from self._locks_of(last)

    def _locks_of(self, last: str) -> Iterator[BucketFinding]:
        if not last:
            return
        found: Standing = standing(self._calls, last, self._until())
        if found.oldest is None:
            return
        head = self._ask("head_object", Key=last, VersionId=found.oldest.id)
        mode, until = head.get("ObjectLockMode"), head.get("ObjectLockRetainUntilDate")
        locked = mode == COMPLIANCE and isinstance(until, datetime) and until > self._clock.now()
        what = f"object {last!r}, the last one seen, is locked {mode!r} until {until}"
        yield BucketFinding("good" if locked else "wrong", "lock_mode", what)

    def _page_s(self) -> float:
        return self._settings.within.total_seconds()


_MORE_RIGHTS = (
    "these keys may not even try, as it should be; the lock itself is seen in its read-back date,"
    " or by running the doctor once with the seal role's keys"
)
_EVIDENCE = "the oldest version is what was archived; find out whose keys did it, and change them"


def _refused_by(error: S3RefusedError) -> str:
    """Tell the lock's refusal from a policy's: AWS and Ceph say which in words."""
    said = str(error).lower()
    return "the lock" if "object lock" in said or "retention" in said else "the keys' rights"


def _not_looked(name: str, error: S3RefusedError) -> BucketFinding:
    if error.status in (405, 501) or error.code in _NOT_MADE:
        return BucketFinding("unknown", name, f"not checkable here: {error}")
    return BucketFinding(
        "unknown", name, str(error), "allow these keys to look, or look with others"
    )


def _of_probes(rule: Answer) -> bool:
    prefix = rule.get("Filter", {}).get("Prefix") or rule.get("Prefix") or ""
    return str(prefix).endswith(f"{PROBES}/")
