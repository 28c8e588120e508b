"""What stands under each name of a bucket: all versions, all markers, the oldest to be trusted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from breakglass.archiver.s3_calls import Answer, S3Calls, S3LostError
from breakglass.archiver.tamper_evidence import Alarm, Evidence

_PAGES_AT_MOST = 200  # 200,000 versions of one name: somebody stuffs it


@dataclass(frozen=True)
class Version:
    """One version, or one delete marker."""

    name: str
    id: str
    marker: bool
    etag: str
    size: int
    at: datetime | None
    latest: bool


@dataclass(frozen=True)
class Standing:
    """All that a listing shows under one name, the newest first."""

    name: str
    versions: tuple[Version, ...]
    markers: tuple[Version, ...]

    @property
    def oldest(self) -> Version | None:
        """The one version to trust: the first that was put; ``None`` if there are markers only."""
        return self.versions[-1] if self.versions else None

    def tell(self, alarm: Alarm) -> None:
        """Report every version but the oldest, and every marker."""
        oldest = self.oldest
        for marker in self.markers:
            trusted = f"version {oldest.id!r} is read" if oldest else "nothing was put here"
            says = f"object {self.name!r} has delete marker {marker.id!r}; {trusted}"
            alarm(Evidence("delete_marker", self.name, marker.id, says, marker.at))
        for version in self.versions[:-1]:
            assert oldest is not None
            same = version.etag == oldest.etag and version.size == oldest.size
            says = (
                f"object {self.name!r} has a later version {version.id!r} with"
                f" {'the same' if same else 'other'} bytes; the oldest, {oldest.id!r}, is read"
            )
            alarm(Evidence("second_version", self.name, version.id, says, version.at))


def standing(calls: S3Calls, name: str, until: float) -> Standing:
    """Return what stands under exactly this name; nothing is reported.

    Raises:
        UnavailableError: the store fails, or so many versions stand there that the oldest was
            not reached in time.
    """
    found: list[Version] = []
    for version in _listed(calls, name, until, "", _PAGES_AT_MOST):
        if version.name > name:
            break
        if version.name == name:
            found.append(version)
    return _sorted_out(name, found)


def walk(calls: S3Calls, prefix: str, page_within_s: float, after: str = "") -> Iterator[Standing]:
    """Go through all names under a prefix, in order; nothing is reported.

    Args:
        calls: the bucket.
        prefix: of the names.
        page_within_s: how long one page of 1,000 versions may take.
        after: begin behind this name.

    Raises:
        UnavailableError: the store fails.
    """
    listed = _listed(calls, prefix, 0, after, 0, page_within_s)
    for name, versions in groupby(listed, key=lambda each: each.name):
        yield _sorted_out(name, list(versions))


def _sorted_out(name: str, found: list[Version]) -> Standing:
    return Standing(
        name,
        tuple(each for each in found if not each.marker),
        tuple(each for each in found if each.marker),
    )


def _listed(
    calls: S3Calls,
    prefix: str,
    until: float,
    after: str,
    pages_at_most: int,
    page_within_s: float = 0,
) -> Iterator[Version]:
    where = {"KeyMarker": after} if after else {}
    page = 0
    while True:
        end = until or time.monotonic() + page_within_s
        answer = calls.call("list_object_versions", end, Prefix=prefix, **where)
        yield from _page(calls, answer)
        if answer.get("IsTruncated") is not True:
            return
        # A store that sends us round in circles would never let us reach the oldest.
        following = {
            key: str(answer[f"Next{key}"])
            for key in ("KeyMarker", "VersionIdMarker")
            if answer.get(f"Next{key}")
        }
        page += 1
        if not following or following == where or page == pages_at_most:
            raise S3LostError(f"bucket {calls.bucket!r}: the listing of {prefix!r} does not end")
        where = following


def _page(calls: S3Calls, answer: Answer) -> list[Version]:
    """Read a page; within a name, versions in the store's order, which is newest first."""
    try:
        if not isinstance(answer["IsTruncated"], bool):
            raise TypeError("IsTruncated is neither true nor false")
        found = [
            Version(
                str(each["Key"]),
                str(each["VersionId"]),
                marker,
                str(each.get("ETag", "")).strip('"'),
                int(each.get("Size", 0)),
                each.get("LastModified"),
                bool(each.get("IsLatest")),
            )
            for kind, marker in (("Versions", False), ("DeleteMarkers", True))
            for each in answer.get(kind, ())
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise S3LostError(f"bucket {calls.bucket!r}: a listing that makes no sense") from error
    return sorted(found, key=lambda each: each.name)  # stable: keeps the order within a name
