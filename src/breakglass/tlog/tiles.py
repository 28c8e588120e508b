"""Tiles: how a log's hashes and entries are cut, named and laid out for reading.

Source: C2SP tlog-tiles v0.1.0. Go's ``sumdb`` and static-ct name their tiles otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError
from breakglass.tlog.spelling import MAX_NUMBER
from breakglass.tlog.tile_proofs import (
    TILE_WIDTH,
    HashReader,
    consistency_from_tiles,
    edge_from_tiles,
    inclusion_from_tiles,
    root_from_tiles,
)

__all__ = [
    "MAX_ENTRY_BYTES",
    "MAX_LEVEL",
    "TILE_WIDTH",
    "HashReader",
    "TileName",
    "consistency_from_tiles",
    "decode_bundle",
    "edge_from_tiles",
    "encode_bundle",
    "entries_path",
    "inclusion_from_tiles",
    "parse_tile_path",
    "partial_width",
    "root_from_tiles",
    "tile_path",
]

MAX_LEVEL = 63
MAX_ENTRY_BYTES = 0xFFFF  # its length is written in two bytes

_LEVEL = "entries|0|[1-9][0-9]?"
_PATH = re.compile(
    f"tile/({_LEVEL})/((?:x[0-9]{{3}}/){{0,6}}[0-9]{{3}})(?:\\.p/([1-9][0-9]{{0,2}}))?", re.ASCII
)


@dataclass(frozen=True)
class TileName:
    """Which tile a path means.

    Attributes:
        level: 0 to 63, or ``None`` for a bundle of entries.
        n: the tile's place in its level, from zero.
        width: hashes or entries in it: 256, or 1 to 255 in a partial one.
    """

    level: int | None
    n: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        if not (
            (self.level is None or 0 <= self.level <= MAX_LEVEL)
            and 0 <= self.n <= MAX_NUMBER
            and 1 <= self.width <= TILE_WIDTH
        ):
            raise MalformedError(
                f"no tile {self.n} of width {self.width} at level {self.level}",
                name=ErrorName.BAD_TILE,
            )

    @property
    def path(self) -> str:
        """Where the tile is found under a log's prefix, without a leading slash."""
        level = "entries" if self.level is None else str(self.level)
        digits = str(self.n)
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        place = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
        part = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{level}/{place}{part}"


def tile_path(level: int, n: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a tile of hashes.

    Raises:
        MalformedError: ``bad_tile``; no such level, place or width.

    >>> tile_path(0, 1234067)
    'tile/0/x001/x234/067'
    >>> tile_path(2, 0, 1)
    'tile/2/000.p/1'
    """
    return TileName(level, n, width).path


def entries_path(n: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a bundle of entries.

    >>> entries_path(1, 44)
    'tile/entries/001.p/44'
    """
    return TileName(None, n, width).path


def parse_tile_path(path: str) -> TileName:
    """Read the path of a tile or bundle; each has one spelling.

    Raises:
        MalformedError: ``bad_tile``; any other text.
    """
    if found := _PATH.fullmatch(path):
        level = None if found[1] == "entries" else int(found[1])
        width = int(found[3]) if found[3] else TILE_WIDTH
        name = TileName(level, int(re.sub("[x/]", "", found[2])), width)
        if name.path == path:
            return name
    raise MalformedError(f"{path[:80]!r} is not the path of a tile", name=ErrorName.BAD_TILE)


def partial_width(level: int, size: int) -> int:
    """Return how wide the partial tile at ``level`` is in a log of ``size`` entries; 0 for none.

    >>> [partial_width(level, 70_000) for level in (0, 1, 2)]
    [112, 17, 1]
    """
    return (size >> (8 * level)) % TILE_WIDTH


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Write up to 256 entries, each with its length before it; an entry may be empty.

    Raises:
        MalformedError: ``bad_bundle``; no entries, too many, or one longer than 65,535 bytes.
    """
    if not 1 <= len(entries) <= TILE_WIDTH:
        raise MalformedError(f"a bundle of {len(entries)} entries", name=ErrorName.BAD_BUNDLE)
    for place, entry in enumerate(entries):
        if len(entry) > MAX_ENTRY_BYTES:
            raise MalformedError(
                f"entry {place} of a bundle has {len(entry)} bytes, at most {MAX_ENTRY_BYTES} fit",
                name=ErrorName.BAD_BUNDLE,
            )
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def decode_bundle(data: bytes) -> list[bytes]:
    """Read what ``encode_bundle`` wrote; that it has as many as its path says, the caller checks.

    Raises:
        MalformedError: ``bad_bundle``; empty, cut short, or more than 256 entries.
    """
    entries: list[bytes] = []
    at = 0
    while at < len(data) or not entries:
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        if at > len(data) or len(entries) == TILE_WIDTH:
            raise MalformedError(
                f"bundle of {len(data)} bytes is broken at entry {len(entries)}",
                name=ErrorName.BAD_BUNDLE,
            )
        entries.append(data[start:at])
    return entries
