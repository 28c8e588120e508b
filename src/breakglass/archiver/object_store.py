"""Write-once objects: the protocol, and its POSIX form."""

from __future__ import annotations

import contextlib
import io
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from breakglass.errors import MalformedError, UnavailableError
from breakglass.process.folder import make_folder, sync_folder, write_synced
from breakglass.submit.blob_upload import file_parts

UNFINISHED = ".unfinished"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*", re.ASCII)


class ObjectStore(Protocol):
    """Names bytes once and for ever; safe under threads.

    Nothing is ever overwritten or deleted. After an error nothing may be assumed: the object may
    stand, whole, or not at all. One contract suite: ``tests/contracts/test_object_store.py``.
    """

    def put_if_absent(self, name: str, data: bytes) -> bool:
        """Put ``data`` under ``name`` unless something stands there.

        When this returns, the object of that name is durable, whoever put it: ``True`` if it was
        this call, ``False`` if something stood already, which is unchanged. Of two calls at once
        with one name exactly one gets ``True``. Calling twice gives ``True``, then ``False``.

        Raises:
            MalformedError: a name that cannot be stored: lower-case letters, digits, ``._-``, and
                ``/`` between parts.
            UnavailableError: the store refuses or fails.
        """
        ...

    def put_file_if_absent(self, name: str, file: BinaryIO) -> bool:
        """As ``put_if_absent``, from a file read from its start, in parts; perhaps twice."""
        ...

    def get(self, name: str) -> bytes | None:
        """Return the object's bytes, or ``None``.

        Raises:
            UnavailableError: the store fails; that there is no such object must not be concluded.
        """
        ...

    def get_into(self, name: str, file: BinaryIO) -> bool:
        """As ``get``, in parts into an empty file; ``False`` if there is no such object.

        After an error the file holds nothing of use.
        """
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """Name the objects under a prefix that ends in ``/``, sorted; those put meanwhile may lack.

        Raises:
            UnavailableError: the store fails.
        """
        ...


class PosixObjectStore:
    """Objects as read-only files. Out of reach only if the folder is: on another host or account.

    A temporary file is linked to its name, which fails if the name is taken; a crash leaves it in
    the folder ``.unfinished``, where nothing is ever read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        make_folder(folder)

    def sweep(self) -> int:
        """Remove what a crash left; returns how many. For the one who writes, at its start."""
        left = list((self._folder / UNFINISHED).glob(".*"))
        for path in left:
            path.unlink()
        return len(left)

    def unfinished(self) -> list[Path]:
        """Return the files of puts that are under way or broke off; walks the whole store."""
        return sorted(path for path in self._folder.rglob(".*") if path.is_file())

    def put_if_absent(self, name: str, data: bytes) -> bool:
        """See ``ObjectStore.put_if_absent``."""
        return self.put_file_if_absent(name, io.BytesIO(data))

    def put_file_if_absent(self, name: str, file: BinaryIO) -> bool:
        """See ``ObjectStore.put_file_if_absent``."""
        path = self._path(name)
        temporary = self._folder / UNFINISHED / f".{secrets.token_hex(8)}"
        try:
            if path.exists():
                # Linked by a process that died before its fsync, perhaps.
                sync_folder(path.parent)
                return False
            make_folder(path.parent)
            make_folder(temporary.parent)
            # A crash here leaves a file that no object is, which the next start sweeps.
            write_synced(temporary, file_parts(file), 0o400)
            try:
                os.link(temporary, path)
                created = True
            except FileExistsError:
                created = False
            temporary.unlink()
            sync_folder(path.parent)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise UnavailableError(f"object {name!r} could not be stored: {error}") from error
        return created

    def get(self, name: str) -> bytes | None:
        """See ``ObjectStore.get``."""
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UnavailableError(f"object {name!r} could not be read: {error}") from error

    def get_into(self, name: str, file: BinaryIO) -> bool:
        """See ``ObjectStore.get_into``."""
        try:
            with self._path(name).open("rb") as stored:
                shutil.copyfileobj(stored, file)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise UnavailableError(f"object {name!r} could not be read: {error}") from error
        return True

    def list(self, prefix: str) -> Iterator[str]:
        """See ``ObjectStore.list``."""
        top = self._path(prefix.rstrip("/"))

        def failed(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):
                raise UnavailableError(f"{prefix!r} could not be listed: {error}") from error

        found = [
            str((Path(folder) / file).relative_to(self._folder))
            for folder, _, files in os.walk(top, onerror=failed)
            for file in files
            if not file.startswith(".")
        ]
        yield from sorted(found)

    def _path(self, name: str) -> Path:
        if len(name) > 512 or not _NAME.fullmatch(name):
            raise MalformedError(f"{name[:80]!r} cannot name an object")
        return self._folder / name
