"""Disks that are small, read-only, slow, stuck or broken, under a process that knows nothing of it.

A small disk is a file system of its own in a file (needs root). The others are a few lines of C
before the C library's ``fsync`` (needs gcc), told by a file what to do at each call; they keep no
secret from the process and change no byte.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int told(char *word, size_t bytes) {
    int file = open(getenv("DISK_TROUBLE"), O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    ssize_t read_bytes = read(file, word, bytes - 1);
    close(file);
    word[read_bytes > 0 ? read_bytes : 0] = 0;
    return read_bytes > 0;
}

static int synced(const char *name, int file) {
    char word[32];
    while (told(word, sizeof word)) {
        if (!strncmp(word, "fail", 4)) { errno = EIO; return -1; }
        if (!strncmp(word, "slow ", 5)) { usleep(1000 * atoi(word + 5)); break; }
        usleep(1000);
    }
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    return real(file);
}

int fsync(int file) { return synced("fsync", file); }
int fdatasync(int file) { return synced("fdatasync", file); }
"""


@functools.cache
def _library() -> Path:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not here: no slow, stuck or broken disk")
    folder = Path(tempfile.mkdtemp(prefix="breakglass-disk-"))
    (folder / "disk.c").write_text(_SOURCE)
    made = folder / "disk.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-O1", "-o", str(made), str(folder / "disk.c"), "-ldl"],
        check=True,
    )
    return made


@dataclass(frozen=True)
class Disk:
    """What ``fsync`` does for one process; nothing but the truth until told otherwise."""

    file: Path

    def command(self, module: str) -> tuple[str, ...]:
        """Return how to start a process of ours on this disk, but for its folder."""
        told = f"DISK_TROUBLE={self.file}"
        return ("env", f"LD_PRELOAD={_library()}", told, sys.executable, "-m", module)

    @contextlib.contextmanager
    def slow(self, milliseconds: int) -> Iterator[None]:
        """Every sync takes so long, and then is one."""
        with self._told(f"slow {milliseconds}"):
            yield

    @contextlib.contextmanager
    def stuck(self) -> Iterator[None]:
        """No sync comes back before the end of the block."""
        with self._told("stuck"):
            yield

    @contextlib.contextmanager
    def failing(self) -> Iterator[None]:
        """Every sync says EIO and syncs nothing."""
        with self._told("fail"):
            yield

    @contextlib.contextmanager
    def _told(self, word: str) -> Iterator[None]:
        whole = self.file.with_suffix(".new")
        whole.write_text(word)
        os.replace(whole, self.file)
        try:
            yield
        finally:
            self.file.unlink()


class SmallDisk:
    """An ext4 of a few MiB at ``folder``; ``full`` and ``worn_out`` are its bad days."""

    def __init__(self, folder: Path, mib: int) -> None:
        self.folder = folder
        self._image = folder.with_name(f"{folder.name}.ext4")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._image.open("wb") as image:
            image.truncate(mib * 1024 * 1024)
        # Blocks of a page, as on real disks: SQLite allots its shared memory page by page.
        _run("mkfs.ext4", "-q", "-m", "0", "-b", "4096", str(self._image))
        self._mount()

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Nothing more fits before the end of the block."""
        ballast = self.folder / ".ballast"
        with ballast.open("wb", buffering=0) as file:
            for block in (65536, 512):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(block))
        try:
            yield
        finally:
            ballast.unlink()

    def worn_out(self) -> None:
        """From here nothing can be written: what a kernel does after a device's error."""
        _run("mount", "-o", "remount,abort", str(self.folder))

    def mended(self) -> None:
        """Be as new, with what had been written; nobody may use it at that moment."""
        _run("umount", str(self.folder))
        self._mount()

    def close(self) -> None:
        """Take it away, with all that is on it."""
        _run("umount", "--lazy", str(self.folder))

    def _mount(self) -> None:
        _run("mount", "-o", "loop", str(self._image), str(self.folder))
        self.folder.chmod(0o700)


@contextlib.contextmanager
def small_disk(folder: Path, mib: int = 4) -> Iterator[SmallDisk]:
    """Have a small disk at ``folder``; skips the test where nothing may be mounted."""
    try:
        disk = SmallDisk(folder, mib)
    except OSError as error:
        pytest.skip(f"no disk of our own: {error}")
    try:
        yield disk
    finally:
        disk.close()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
