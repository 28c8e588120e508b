"""Single calls to S3, each of which ends in time, and what can come of one.

boto3 (extra ``aws``) is imported when a client is made. Its own retries are off: a put that it
repeats after a lost answer would, where ``If-None-Match`` is ignored, leave a second version.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, BinaryIO, TypeVar

from breakglass.archiver.s3_settings import S3Settings
from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, UnavailableError

T = TypeVar("T")
Answer = dict[str, Any]

_AT_ONCE = 64  # calls under way, those that hang included
_CHUNK = 256 * 1024


class S3RefusedError(UnavailableError):
    """The store understood and said no; ``status`` and ``code`` are its own."""

    def __init__(self, message: str, status: int, code: str) -> None:
        super().__init__(message, name=ErrorName.STORE_REFUSED)
        self.status = status
        self.code = code


class S3LostError(UnavailableError):
    """No answer that makes sense: what was asked may have been done, or not."""

    default_name = ErrorName.STORE_UNANSWERED


def make_client(settings: S3Settings) -> Any:
    """Make a boto3 client; nothing is sent.

    Raises:
        MisconfiguredError: the extra ``aws`` is not installed, or the credentials' file may be
            read by others, or lacks.
    """
    try:
        import boto3
        import botocore.session
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError as error:
        raise MisconfiguredError(
            "an archive on S3 needs boto3; not started", hint="pip install 'breakglass[aws]'"
        ) from error
    base = botocore.session.Session()
    if settings.credentials is not None:
        _check_private(settings)
        base.set_config_variable("credentials_file", str(settings.credentials))
    seconds = settings.answer_within.total_seconds()
    config = Config(
        connect_timeout=seconds,
        read_timeout=seconds,
        retries={"total_max_attempts": 1},
        max_pool_connections=_AT_ONCE,
        signature_version="s3v4",
        # Ceph 16 knows no checksum trailers; we send our own SHA-256 and MD5.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={
            "addressing_style": "path" if settings.path_style else "virtual",
            "payload_signing_enabled": True,
        },
    )
    try:
        return boto3.Session(botocore_session=base).client(
            "s3",
            region_name=settings.region,
            endpoint_url=settings.endpoint or None,
            verify=str(settings.certificate) if settings.certificate else None,
            config=config,
        )
    except (BotoCoreError, ValueError) as error:
        raise MisconfiguredError(f"'s3' cannot be used: {error}; not started") from error


def _check_private(settings: S3Settings) -> None:
    path = settings.credentials
    assert path is not None
    try:
        mode = path.stat().st_mode & 0o777
    except OSError as error:
        raise MisconfiguredError(f"{str(path)!r} cannot be read: {error}; not started") from error
    if mode & 0o077:
        raise MisconfiguredError(f"{str(path)!r} has mode {mode:04o}, wanted 0600; not started")


class S3Calls:
    """Makes calls on one bucket; safe under threads.

    A read timeout alone would let a store drip one byte at a time for ever, so each call runs in
    a thread that is left behind when its time is over. At most 64 are under way.
    """

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self.bucket = bucket
        self._free = threading.BoundedSemaphore(_AT_ONCE)

    def call(self, operation: str, until: float, **parameters: Any) -> Answer:
        """Make one call and return its answer.

        Args:
            operation: boto3's name of it.
            until: on the clock of ``time.monotonic``.
            parameters: all but the bucket.

        Raises:
            S3RefusedError: the store said no.
            S3LostError: no answer in time, or one that makes no sense.
        """
        ask = getattr(self._client, operation)
        return self._bounded(lambda: dict(ask(Bucket=self.bucket, **parameters)), operation, until)

    def read(self, until: float, bytes_at_most: int, into: BinaryIO, **parameters: Any) -> Answer:
        """Get one object into a file, which is emptied first.

        Nothing is written to it any more when this has returned or raised.

        Raises:
            S3RefusedError, S3LostError: as ``call``; the latter also for too many bytes.
        """
        writing = threading.Lock()
        over = False

        def ask() -> Answer:
            answer = dict(self._client.get_object(Bucket=self.bucket, **parameters))
            read = 0
            with answer.pop("Body") as body:
                while chunk := body.read(_CHUNK):
                    read += len(chunk)
                    if read > bytes_at_most or time.monotonic() > until:
                        raise TimeoutError(f"stopped at {read} bytes")
                    with writing:
                        if over:  # left behind: the file belongs to the next try
                            return answer
                        into.write(chunk)
            return answer

        into.seek(0)
        into.truncate()
        try:
            return self._bounded(ask, "get_object", until)
        finally:
            with writing:
                over = True

    def _bounded(self, ask: Callable[[], T], operation: str, until: float) -> T:
        left = until - time.monotonic()
        if left <= 0 or not self._free.acquire(timeout=left):
            raise S3LostError(f"bucket {self.bucket!r}: no time left for {operation}")
        done: queue.SimpleQueue[tuple[T | None, Exception | None]] = queue.SimpleQueue()

        def run() -> None:
            try:
                done.put((ask(), None))
            except Exception as error:  # noqa: BLE001  carried to the caller, judged by _judged
                done.put((None, error))
            finally:
                self._free.release()

        threading.Thread(target=run, name=f"s3-{operation}", daemon=True).start()
        try:
            answer, error = done.get(timeout=max(until - time.monotonic(), 0))
        except queue.Empty:
            raise S3LostError(
                f"bucket {self.bucket!r} did not answer {operation} in time"
            ) from None
        if error is not None:
            raise _judged(error, f"bucket {self.bucket!r}: {operation}") from error
        assert answer is not None
        return answer


def _judged(error: Exception, what: str) -> UnavailableError:
    """Say whether the store refused, or nobody knows."""
    answer = getattr(error, "response", None)
    if isinstance(answer, dict):
        status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        code = str(answer.get("Error", {}).get("Code", ""))
        said = str(answer.get("Error", {}).get("Message") or "")[:200]
        # 400 RequestTimeout is S3's word for a body that came too slowly.
        if 400 <= status < 500 and status not in (408, 429) and code != "RequestTimeout":
            return S3RefusedError(f"{what} was refused: {status} {code} {said}", status, code)
        return S3LostError(f"{what} failed: {status} {code} {said}")
    return S3LostError(f"{what} failed: {type(error).__name__}: {str(error)[:200]}")
