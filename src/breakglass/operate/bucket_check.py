"""The bucket of an archiver that joins: looked at first, and refused if it does not lock."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from breakglass.archiver.bucket_examination import BucketExamination, BucketFinding
from breakglass.archiver.s3_settings import S3Settings
from breakglass.archiver.s3_store import S3ObjectStore
from breakglass.clock import SystemClock
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, RefusedError

# Without these nothing in the bucket is beyond deletion. What the others find (no policy, no
# default retention) can be mended later, and is told.
_NEEDED = frozenset({"versioning", "object_lock", "refused_delete"})


def s3_settings(
    where: str,
    region: str | None,
    endpoint: str | None,
    path_style: bool,
    credentials: Path | None,
    kept_days: int | None,
) -> S3Settings:
    """Read what was typed.

    Raises:
        MalformedError: no ``s3://bucket``.
    """
    parts = urlsplit(where)
    if parts.scheme != "s3" or not parts.netloc:
        raise MalformedError(f"{where[:80]!r} is not s3://BUCKET[/PREFIX]")
    prefix = parts.path.strip("/")
    more: dict[str, Any] = {}
    if region:
        more["region"] = region
    if kept_days is not None:
        more |= {"records_kept_days": kept_days}
    return S3Settings(
        parts.netloc,
        endpoint=endpoint or "",
        path_style=path_style,
        credentials=credentials.absolute() if credentials else None,
        prefix=f"{prefix}/" if prefix else "",
        **more,
    )


def check_bucket(settings: S3Settings) -> list[BucketFinding]:
    """Look at a bucket as the doctor does; returns what is not good, to be told.

    Raises:
        RefusedError: ``no_lock``: it does not keep what is put there, or could not be seen to.
            Nothing was put but the doctor's own small object.
    """
    clock = SystemClock()
    store = S3ObjectStore(settings, clock, alarm=lambda evidence: None)
    found = list(BucketExamination(store, clock).findings())
    for each in found:
        if each.name in _NEEDED and each.level in ("wrong", "unknown"):
            raise RefusedError(
                f"bucket {settings.bucket!r}: {each.what}; nothing was made",
                name=ErrorName.NO_LOCK,
                hint=each.hint or "docs/how-to/ledger-in-another-account.md makes one that does",
            )
    return [each for each in found if each.level != "good"]


def s3_table(settings: S3Settings) -> str:
    """Write the table ``[s3]`` of an archiver's settings."""
    given: dict[str, str | bool | int] = {"bucket": settings.bucket, "region": settings.region}
    if settings.endpoint:
        given["endpoint"] = settings.endpoint
    if settings.path_style:
        given["path_style"] = True
    if settings.credentials:
        given["credentials"] = str(settings.credentials)
    if settings.prefix:
        given["prefix"] = settings.prefix
    given["records_kept_days"] = settings.records_kept_days
    return "[s3]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in given.items())
