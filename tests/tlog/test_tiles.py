from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakglass.errors import MalformedError, UnprovenError
from breakglass.tlog.merkle import (
    EMPTY_ROOT,
    TreeEdge,
    consistency_path,
    inclusion_path,
    leaf_hash,
    root_of,
)
from breakglass.tlog.tiles import (
    TileName,
    consistency_from_tiles,
    decode_bundle,
    edge_from_tiles,
    encode_bundle,
    entries_path,
    inclusion_from_tiles,
    parse_tile_path,
    partial_width,
    root_from_tiles,
    tile_path,
)
from tests.tlog import slow_twins

ENTRIES = [b"%d" % place for place in range(66_000)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]


class Rows:
    """Stored hashes of the log above, as a ledger keeps them: only complete subtrees."""

    def __init__(self) -> None:
        self.rows = [LEAVES]
        while len(self.rows[-1]) >= 256:
            row = self.rows[-1]
            self.rows.append(
                [root_of(row[at : at + 256]) for at in range(0, len(row) // 256 * 256, 256)]
            )
        self.read: list[tuple[int, int, int]] = []

    def hashes(self, level: int, start: int, stop: int) -> list[bytes]:
        self.read.append((level, start, stop))
        return self.rows[level][start:stop]


ROWS = Rows()
EDGES = st.sampled_from([1, 2, 255, 256, 257, 511, 512, 513, 1000, 65_535, 65_536, 65_537, 66_000])
SIZES = st.integers(1, 700) | EDGES


def test_the_rows_are_those_of_the_definition():
    slow = slow_twins.SlowTiles(ENTRIES[:600])
    assert list(slow.hashes(0, 0, 600)) == ROWS.rows[0][:600]
    assert list(slow.hashes(1, 0, 2)) == ROWS.rows[1][:2]


@settings(deadline=None, max_examples=60)
@given(SIZES, st.data())
def test_proofs_from_tiles_are_those_from_all_leaves(size, data):
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))
    leaves = LEAVES[:size]
    edge = TreeEdge()
    edge.extend(leaves)
    assert root_from_tiles(ROWS, size) == root_of(leaves)
    assert inclusion_from_tiles(ROWS, index, size) == inclusion_path(leaves, index)
    assert consistency_from_tiles(ROWS, old, size) == consistency_path(leaves, old)
    assert edge_from_tiles(ROWS, size) == edge


@settings(deadline=None)
@given(SIZES, st.data())
def test_few_tiles_are_read_each_once_and_none_that_the_size_does_not_imply(size, data):
    ROWS.read.clear()
    inclusion_from_tiles(ROWS, data.draw(st.integers(0, size - 1)), size)
    assert len(ROWS.read) == len(set(ROWS.read)) <= 6  # one a level, and the right edge
    for level, start, stop in ROWS.read:
        assert start % 256 == 0
        assert stop == min(start + 256, size >> 8 * level) > start


def test_an_empty_log_has_a_root_and_no_proofs():
    assert root_from_tiles(ROWS, 0) == EMPTY_ROOT
    assert edge_from_tiles(ROWS, 0) == TreeEdge()
    assert consistency_from_tiles(ROWS, 0, 0) == []
    with pytest.raises(UnprovenError, match="entry 0 is not in a tree of size 0"):
        inclusion_from_tiles(ROWS, 0, 0)
    with pytest.raises(UnprovenError, match="no growth from size 2 to size 1"):
        consistency_from_tiles(ROWS, 2, 1)


def test_a_reader_that_gives_too_few_hashes_is_not_believed():
    with pytest.raises(UnprovenError, match="tile 0 at level 2: wanted 2 hashes") as failure:
        root_from_tiles(ROWS, 131_072)
    assert failure.value.name == "tiles"


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (TileName(0, 0), "tile/0/000"),
        (TileName(0, 5), "tile/0/005"),
        (TileName(0, 999), "tile/0/999"),
        (TileName(0, 1000), "tile/0/x001/000"),
        (TileName(0, 1234067), "tile/0/x001/x234/067"),
        (TileName(0, 273, 112), "tile/0/273.p/112"),
        (TileName(63, 0, 1), "tile/63/000.p/1"),
        (TileName(None, 1, 44), "tile/entries/001.p/44"),
    ],
)
def test_a_tile_has_one_path(name, path):
    assert name.path == path
    assert parse_tile_path(path) == name


@given(st.none() | st.integers(0, 63), st.integers(0, 2**63 - 1), st.integers(1, 256))
def test_every_path_reads_back(level, n, width):
    path = entries_path(n, width) if level is None else tile_path(level, n, width)
    assert parse_tile_path(path) == TileName(level, n, width)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "checkpoint",
        "/tile/0/000",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/0",
        "tile/0/1000",
        "tile/0/001/000",
        "tile/0/x000/001",
        "tile/0/x001",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/999",
        "tile/0/000.p",
        "tile/0/000\n",
        "tile/0/٠٠٠",
        "tile/8/0/000",
        "tile/data/000",
        "tile/0/" + "x999/" * 6 + "999",
    ],
)
def test_any_other_path_is_refused(path):
    with pytest.raises(MalformedError) as failure:
        parse_tile_path(path)
    assert failure.value.name == "bad_tile"


@pytest.mark.parametrize(("level", "n", "width"), [(-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, 0, 0)])
def test_no_path_is_made_for_a_tile_that_cannot_be(level, n, width):
    with pytest.raises(MalformedError, match="no tile"):
        tile_path(level, n, width)


def test_partial_tiles_are_as_wide_as_the_size_says():
    assert [partial_width(level, 256) for level in (0, 1, 2)] == [0, 1, 0]
    assert [partial_width(level, 70_000) for level in (0, 1, 2)] == [112, 17, 1]


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=256))
def test_a_bundle_reads_back(entries):
    assert decode_bundle(encode_bundle(entries)) == entries


def test_a_bundle_holds_the_longest_and_the_shortest_entry():
    entries = [b"", b"x" * 65_535, b""]
    assert decode_bundle(encode_bundle(entries)) == entries
    with pytest.raises(MalformedError, match="entry 1 of a bundle has 65536 bytes"):
        encode_bundle([b"", b"x" * 65_536])
    for many in (0, 257):
        with pytest.raises(MalformedError, match=f"a bundle of {many} entries"):
            encode_bundle([b""] * many)


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x00\x01", b"\x00\x00\x00", b"\x00\x00" * 257])
def test_a_broken_bundle_is_refused(data):
    with pytest.raises(MalformedError, match="is broken at entry"):
        decode_bundle(data)
