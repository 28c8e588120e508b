"""What ``settings.toml`` of an archiver may say."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from breakglass.archiver.retention import FilesSettings
from breakglass.archiver.s3_settings import S3Settings
from breakglass.process.serving import Serving


@dataclass(frozen=True)
class ArchiverSettings:
    """``settings.toml`` of an archiver; the file ``logs`` beside it holds one log key a line."""

    ledger: str  # the address, or the folder, from which attachments are fetched
    store: Path | None = None  # where objects go; ``data/store`` if not given
    files: FilesSettings = field(default_factory=FilesSettings)  # of ``store``
    s3: S3Settings | None = None  # a bucket with object lock, instead of ``store``
    serving: Serving = field(default_factory=Serving)
    doctor_every: timedelta = timedelta(days=1)  # and at every start; heard of after 26 h at most

    def __post_init__(self) -> None:
        if self.store is not None and self.s3 is not None:
            raise ValueError("'store' and 's3' are two places; name one")

    def archive(self, folder: Path) -> str:
        """Say where the archive of the archiver in ``folder`` is, for people."""
        if self.s3 is None:
            return str(self.store or folder / "data" / "store")
        return f"s3://{self.s3.bucket}/{self.s3.prefix}"
