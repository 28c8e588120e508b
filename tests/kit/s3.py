"""Buckets for tests: on Ceph, on moto and on the strict store of our own."""

from __future__ import annotations

import atexit
import contextlib
import functools
import itertools
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from breakglass.archiver.s3_calls import make_client
from breakglass.archiver.s3_settings import S3Settings
from tests.kit.ceph import Ceph, dying_with_us, missing_programs, running_ceph
from tests.kit.port_rows import own_port
from tests.kit.strict_s3_server import running_strict_s3

_number = itertools.count()
_clients: dict[object, Any] = {}


def settings_for(
    folder: Path, endpoint: str, access: str, secret: str, name: str = "archive", **more: Any
) -> S3Settings:
    """Settings of a bucket that nobody has made yet, with a credentials file in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"credentials-{access}"
    path.touch(0o600)
    path.write_text(f"[default]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\n")
    given = {
        "bucket": f"{name}-{next(_number)}-{time.time_ns() % 10**6}",
        "endpoint": endpoint,
        "path_style": True,
        "credentials": path,
        "records_kept_days": 2,
        "recordings_kept_days": 1,
        "within": timedelta(seconds=20),
        "answer_within": timedelta(seconds=10),
    }
    return S3Settings(**{**given, **more})


def client_for(settings: S3Settings) -> Any:
    """A client of these keys and bounds; made once, since making one takes 0.1 s of CPU."""
    assert settings.credentials is not None
    key = (settings.endpoint, settings.credentials.read_text(), settings.answer_within)
    if key not in _clients:
        _clients[key] = make_client(settings)
    return _clients[key]


def made_bucket(settings: S3Settings, *, locks: bool = True) -> Any:
    """Make the bucket; returns a client for attackers, who know the address and have keys."""
    client = client_for(settings)
    client.create_bucket(Bucket=settings.bucket, ObjectLockEnabledForBucket=locks)
    return client


def with_keys(settings: S3Settings, folder: Path, access: str, secret: str) -> S3Settings:
    """The same bucket, asked with other keys."""
    other = settings_for(folder, settings.endpoint, access, secret)
    return replace(settings, credentials=other.credentials)


@contextlib.contextmanager
def running_moto() -> Iterator[str]:
    """Start moto's server on a free port; gives its address."""
    port = own_port()
    command = [*dying_with_us(), sys.executable, "-m", "moto.server"]
    command += ["-H", "127.0.0.1", "-p", str(port)]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet)
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{address}/moto-api/", timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > until:
                    raise
                time.sleep(0.05)
        yield address
    finally:
        process.kill()
        process.wait()


@functools.cache
def shared_ceph() -> Ceph:
    """One Ceph for all tests of this process; skips where its programs lack."""
    if missing_programs():
        pytest.skip(
            f"Ceph is missing ({', '.join(missing_programs())}); apt-get install"
            " --no-install-recommends ceph-mon ceph-osd radosgw ceph-common"
        )
    stack = _until_exit()
    return stack.enter_context(running_ceph(Path(stack.enter_context(_folder()))))


@functools.cache
def shared_strict() -> str:
    """One strict store for all tests that want none of its troubles."""
    return _until_exit().enter_context(running_strict_s3())[1]


@functools.cache
def shared_moto() -> str:
    """One moto for all tests of this process."""
    return _until_exit().enter_context(running_moto())


def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="bg-s3-", ignore_cleanup_errors=True)


def _until_exit() -> contextlib.ExitStack:
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    return stack


CEPH = pytest.param("ceph", marks=pytest.mark.xdist_group("ceph"))
MOTO = pytest.param("moto", marks=pytest.mark.xdist_group("moto"))


@contextlib.contextmanager
def bucket_on(kind: str, folder: Path, **more: Any) -> Iterator[S3Settings]:
    """A place with object lock on one of the three; gives its settings.

    On Ceph a bucket takes a second or two to make: tests share one, under prefixes of their own.
    """
    if kind == "ceph":
        yield ceph_settings(folder, **more)
        return
    address = shared_strict() if kind == "strict" else shared_moto()
    settings = settings_for(folder, address, "access-archiver", "secret", **more)
    made_bucket(settings)
    yield settings


def ceph_settings(folder: Path, **more: Any) -> S3Settings:
    """A prefix of its own in the bucket that tests share on Ceph."""
    ceph = shared_ceph()
    given = {
        "bucket": _ceph_bucket(),
        "prefix": f"t{next(_number)}/",
    }
    return settings_for(folder, ceph.endpoint, ceph.access, ceph.secret, **{**given, **more})


@functools.cache
def _ceph_bucket() -> str:
    ceph = shared_ceph()
    with _folder() as folder:
        slow = timedelta(seconds=30)
        settings = settings_for(
            Path(folder), ceph.endpoint, ceph.access, ceph.secret, answer_within=slow
        )
        made_bucket(settings)
    return settings.bucket
