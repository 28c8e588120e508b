"""An attachment on its way in: who may bring how much, and what a broken upload leaves (nothing).

Nobody fills the disk with uploads alone: each needs a submitter's signature, counts against what
that submitter may bring in a day, and is gone after ``unnamed_for`` if no record names it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, MisconfiguredError, RefusedError, UnavailableError
from breakglass.http.routes import Request, Response, StatusError, json_response
from breakglass.ledger.attachments import Attachments, check_digest, not_stored
from breakglass.ledger.settings import KnownSubmitter, KnownSubmitters
from breakglass.process.folder import make_folder
from breakglass.submit.blob_upload import PERMIT, Permit, read_permit
from breakglass.tlog.key import check_signature

_AT_ONCE = 8  # of all submitters; each holds 256 KiB
_AT_ONCE_EACH = 2  # so that one that drips does not hold up the others
_A_DAY = timedelta(days=1)
_FORGET_EVERY_S = 60.0


class Uploads:
    """Takes uploads of one ledger; safe under threads.

    Args:
        folder: for unfinished files; on the file system of the store, used by nobody else. What
            lies there stems from a process that died: it is swept.
        store: where they go when they are whole.
        submitters: who may, at this moment.
        unnamed_for: how long an attachment is kept that no record names.

    Raises:
        MisconfiguredError: the folder cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        store: Attachments,
        submitters: Callable[[], KnownSubmitters],
        *,
        unnamed_for: timedelta,
    ) -> None:
        self._folder = folder
        self._store = store
        self._submitters = submitters
        self._unnamed_for = unnamed_for
        self._lock = threading.Lock()
        self._brought: dict[bytes, deque[tuple[float, int]]] = defaultdict(deque)
        self._under_way: list[bytes] = []
        self._forgot = float("-inf")
        try:
            make_folder(folder)
            for path in folder.iterdir():
                path.unlink()
        except OSError as error:
            raise MisconfiguredError(
                f"{str(folder)!r} cannot be used: {error}; not started"
            ) from error

    def begin(self, asked: Request[None], size: int) -> Upload | Response:
        """Answer ``PUT /attachment/<digest>`` before its body is read.

        Raises:
            MalformedError: no digest, or no permit; ``too_large``.
            RefusedError: no submitter of ours, or one that may not attach.
            UnprovenError: the permit's signature does not hold.
            StatusError: 429; ``quota`` or ``uploads_full``: later.
        """
        # (1) Who, and what; nothing is written before that is known.
        digest = check_digest(asked.path["digest"])
        permit = read_permit(asked.headers.get(PERMIT, ""))
        if (permit.digest, permit.size) != (digest, size):
            raise MalformedError(
                f"permit is for {permit.size} bytes of {permit.digest}, the request for {size} of"
                f" {digest}; nothing was read",
                name=ErrorName.NO_PERMIT,
            )
        submitter = self._allowed(permit)
        # (2) What is here already is not taken again: a lost answer costs no second upload.
        if self._store.size(digest) == size:
            return _stored(size)
        self._forget()
        # (3) A place, and the submitter's allowance of the day.
        self._reserve(submitter, size)
        try:
            return Upload(self, submitter.vkey.public, digest, size)
        except OSError as error:
            self.done(submitter.vkey.public, size, kept=False)
            raise not_stored(digest, error) from error

    def draft(self) -> Path:
        """Name a new file for an upload."""
        return self._folder / f".{secrets.token_hex(8)}"

    def take(self, file: BinaryIO, digest: str, size: int, key: bytes) -> None:
        """Hand a whole file to the store."""
        self._store.take(file, digest, size, key)

    def done(self, key: bytes, size: int, *, kept: bool) -> None:
        """Free an upload's place; what was not kept does not count against its submitter."""
        with self._lock:
            self._under_way.remove(key)
            if not kept:
                for at, (_, brought) in enumerate(self._brought[key]):
                    if brought == size:
                        del self._brought[key][at]
                        break

    def _allowed(self, permit: Permit) -> KnownSubmitter:
        submitters = self._submitters()
        for line in permit.note.lines:
            submitter = submitters.get((line.name, line.key_id))
            if submitter is not None and submitter.appends:
                check_signature(submitter.vkey, permit.note.text.encode(), line.signature)
                if not submitter.attachments:
                    raise RefusedError(
                        f"submitter {submitter.vkey.name!r} may not attach anything",
                        name=ErrorName.ATTACHMENTS,
                    )
                return submitter
        raise RefusedError(
            "the permit is signed by no submitter of this log; nothing was read",
            name=ErrorName.UNKNOWN_SUBMITTER,
            hint="the ledger's file 'submitters' names who may append",
        )

    def _reserve(self, submitter: KnownSubmitter, size: int) -> None:
        key, most = submitter.vkey.public, submitter.attach_bytes_per_day
        waiting = self._store.waiting_bytes(key)  # counts after a restart, too
        now = time.monotonic()
        with self._lock:
            if len(self._under_way) >= _AT_ONCE or self._under_way.count(key) >= _AT_ONCE_EACH:
                raise _later(
                    f"{len(self._under_way)} uploads are under way,"
                    f" {self._under_way.count(key)} of them by {submitter.vkey.name!r}",
                    ErrorName.UPLOADS_FULL,
                )
            brought = self._brought[key]
            while brought and now - brought[0][0] > _A_DAY.total_seconds():
                brought.popleft()
            had = max(sum(each for _, each in brought), waiting)
            if had + size > most:
                raise _later(
                    f"submitter {submitter.vkey.name!r} has brought {had} bytes of attachments"
                    f" within a day, and may bring {most}",
                    ErrorName.QUOTA,
                )
            brought.append((now, size))
            self._under_way.append(key)

    def _forget(self) -> None:
        with self._lock:
            if time.monotonic() - self._forgot < _FORGET_EVERY_S:
                return
            self._forgot = time.monotonic()
        self._store.forget(self._unnamed_for)


class Upload:
    """One upload: a dotted file that grows, and either becomes an attachment or goes away."""

    def __init__(self, uploads: Uploads, key: bytes, digest: str, size: int) -> None:
        self._uploads = uploads
        self._key, self._digest, self._size = key, digest, size
        self._sha256, self._written = hashlib.sha256(), 0
        self._kept = False
        self._path = uploads.draft()
        mode = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        os.close(os.open(self._path, mode, 0o600))
        self._file = self._path.open("r+b", buffering=0)

    def part(self, data: bytes) -> None:
        """Write the next bytes."""
        # A crash anywhere here leaves a dotted file without a name that counts.
        left = memoryview(data)
        try:
            while left:
                left = left[self._file.write(left) or 0 :]
        except OSError as error:
            raise not_stored(self._digest, error) from error
        self._sha256.update(data)
        self._written += len(data)

    def finish(self) -> Response:
        """Keep the file if it is what it was said to be; durable before the answer."""
        found = (self._sha256.hexdigest(), self._written)
        if found != (self._digest, self._size):
            raise MalformedError(
                f"attachment is not the {self._size} bytes of {self._digest}; nothing was kept",
                name=ErrorName.WRONG_DIGEST,
            )
        self._uploads.take(self._file, self._digest, self._size, self._key)
        self._kept = True
        return _stored(self._size)

    def abandon(self) -> None:
        """Let go of the file and of the place."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
        self._uploads.done(self._key, self._size, kept=self._kept)


def _stored(size: int) -> Response:
    return json_response({"stored": size})


def _later(why: str, name: ErrorName) -> StatusError:
    error = UnavailableError(
        f"{why}; nothing was kept", name=name, hint="send it again later; the record waits for it"
    )
    return StatusError(error, 429)
