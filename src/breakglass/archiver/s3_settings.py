"""The table ``[s3]`` of an archiver's settings, and for how long each object is locked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from breakglass.archiver.attachment_names import RECORDINGS

SEVEN_YEARS_DAYS = 2557  # with two leap days: what auditors of accounts ask for
THIRTEEN_MONTHS_DAYS = 397  # a year to look back on, and the month in which one looks
PROBES = "doctor"  # objects by which ``archiver doctor`` tries the lock; kept for a day


@dataclass(frozen=True)
class S3Settings:
    """Where the bucket is, and how long what lies in it is beyond deletion.

    ```toml
    [s3]
    bucket = "example-breakglass-archive"
    region = "eu-central-1"
    ```

    On Ceph also ``endpoint = "https://rgw.example:443"`` and ``path_style = true``.
    """

    bucket: str
    region: str = "us-east-1"
    endpoint: str = ""  # empty: AWS
    path_style: bool = False
    credentials: Path | None = None  # AWS credentials file; else environment or instance role
    certificate: Path | None = None  # PEM of the endpoint's authority, if it is not a public one
    prefix: str = ""  # before every name, ending in ``/``
    records_kept_days: int = SEVEN_YEARS_DAYS
    recordings_kept_days: int = THIRTEEN_MONTHS_DAYS
    within: timedelta = timedelta(seconds=10)  # one put or get, all attempts together
    answer_within: timedelta = timedelta(seconds=3)  # one request, as long as nothing moves

    def __post_init__(self) -> None:
        if min(self.records_kept_days, self.recordings_kept_days) < 1:
            raise ValueError("'s3' keeps records and recordings for at least 1 day")
        if self.prefix and not self.prefix.endswith("/"):
            raise ValueError(f"'s3.prefix' {self.prefix!r} does not end in '/'")

    def kept(self, name: str) -> timedelta:
        """Return how long the object ``name`` (without our prefix) is locked, from its put."""
        first, _, rest = name.partition("/")
        if first == PROBES:
            return timedelta(days=1)
        if rest.startswith(f"{RECORDINGS}/"):
            return timedelta(days=self.recordings_kept_days)
        return timedelta(days=self.records_kept_days)
