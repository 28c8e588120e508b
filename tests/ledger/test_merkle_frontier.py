"""The tree in memory agrees with the obvious one, at any size, from any restart."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakglass.errors import UnprovenError
from breakglass.ledger.merkle_frontier import GrowingTree
from breakglass.tlog.merkle import (
    consistency_path,
    inclusion_path,
    root_of,
    verify_consistency,
    verify_inclusion,
)

LEAVES = [sha256(str(number).encode()).digest() for number in range(1300)]


class Tiles:
    """Full tiles as stored, and the leaves of the rest."""

    def __init__(self) -> None:
        self.full: dict[tuple[int, int], bytes] = {}
        self.size = 0

    def hashes(self, level: int, start: int, stop: int) -> Sequence[bytes]:
        assert level > 0 or stop <= self.size
        width = 256**level
        return [root_of(LEAVES[at * width : (at + 1) * width]) for at in range(start, stop)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=12),
    st.integers(0, 10**6),
    st.integers(0, 12),
)
def test_roots_and_proofs_are_those_of_the_obvious_tree(
    steps: list[int], pick: int, restart: int
) -> None:
    tiles = Tiles()
    tree = GrowingTree(tiles, 0)
    for number, step in enumerate(steps):
        old, new = tree.size, min(len(LEAVES), tree.size + step)
        if old == new:
            break
        if number == restart:
            tree = GrowingTree(tiles, old)
        for level, n, hashes in tree.extend(LEAVES[old:new]):
            assert (level, n) not in tiles.full
            tiles.full[level, n] = hashes
        tiles.size = new
        tree.forget()
        assert tree.root() == root_of(LEAVES[:new])
        index = pick % new
        assert tree.inclusion(index) == inclusion_path(LEAVES[:new], index)
        assert tree.inclusion(new - 1) == inclusion_path(LEAVES[:new], new - 1)
        before = pick % (new + 1)
        assert tree.consistency(before) == consistency_path(LEAVES[:new], before)
    for n in range(tree.size // 256):
        assert tiles.full[0, n] == b"".join(LEAVES[n * 256 : (n + 1) * 256])
    rest = tree.size % 256
    unfinished = {(level, n): hashes for level, n, hashes in tree.unfinished()}
    if rest:
        assert unfinished[0, tree.size // 256] == b"".join(LEAVES[tree.size - rest : tree.size])
    if tree.size >= 256:
        assert len(unfinished[1, 0]) == 32 * (tree.size // 256)


def test_a_tile_of_tiles_is_filled() -> None:
    """At 65,536 entries the first tile of level 1 is full, and level 2 begins."""
    leaves = [sha256(number.to_bytes(4, "big")).digest() for number in range(65_537)]
    tree = GrowingTree(Tiles(), 0)
    full: dict[tuple[int, int], bytes] = {}
    for start in range(0, len(leaves), 97):
        for level, n, hashes in tree.extend(leaves[start : start + 97]):
            full[level, n] = hashes
        tree.forget()
    assert tree.root() == root_of(leaves)
    assert [key for key in full if key[0] == 1] == [(1, 0)]
    assert full[1, 0][:32] == root_of(leaves[:256])
    assert [(level, n) for level, n, _ in tree.unfinished()] == [(0, 256), (2, 0)]
    path = tree.inclusion(65_536)
    verify_inclusion(leaves[-1], 65_536, 65_537, path, tree.root())
    verify_consistency(
        65_000, 65_537, root_of(leaves[:65_000]), tree.root(), consistency_path(leaves, 65_000)
    )


def test_what_is_not_in_the_tree_cannot_be_proven() -> None:
    tree = GrowingTree(Tiles(), 0)
    tree.extend(LEAVES[:5])
    with pytest.raises(UnprovenError):
        tree.inclusion(5)
    with pytest.raises(UnprovenError):
        tree.consistency(6)
