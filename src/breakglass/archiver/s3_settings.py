"""The table ``[s3]`` of an archiver's settings, and for how long each object is locked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from breakglass.archiver.retention import (
    PROBES,
    SEVEN_YEARS_DAYS,
    THIRTEEN_MONTHS_DAYS,
    check_kept,
    kept_for,
)

__all__ = ["PROBES", "SEVEN_YEARS_DAYS", "THIRTEEN_MONTHS_DAYS", "S3Settings"]


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
        check_kept("s3", self.records_kept_days, self.recordings_kept_days)
        if self.prefix and not self.prefix.endswith("/"):
            raise ValueError(f"'s3.prefix' {self.prefix!r} does not end in '/'")

    def kept(self, name: str) -> timedelta:
        """Return how long the object ``name`` (without our prefix) is locked, from its put."""
        return kept_for(name, self.records_kept_days, self.recordings_kept_days)
