"""Large files for tests: the same bytes each time, plain or encrypted."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pyrage

MIB = 1024 * 1024
LARGEST = 64 * MIB


def plain_file(path: Path, size: int, seed: int = 1) -> Path:
    """Write ``size`` bytes that no compression shortens."""
    dice = random.Random(seed)
    with path.open("wb") as file:
        while left := size - file.tell():
            file.write(dice.randbytes(min(left, MIB)))
    return path


def encrypted_file(path: Path, size: int) -> Path:
    """Write an age file over ``size`` bytes, as a recorder would; it is a little longer."""
    recipient = pyrage.x25519.Identity.generate().to_public()
    source = io.BytesIO(random.Random(2).randbytes(size))
    with path.open("wb") as file:
        pyrage.encrypt_io(source, file, [recipient])
    return path
