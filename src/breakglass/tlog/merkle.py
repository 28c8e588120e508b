"""The Merkle tree of a log: its hashes, its roots, its growing edge, and the two proofs.

Source: RFC 6962, section 2.1; RFC 9162, section 2.1, for the checking of proofs.
"""

from __future__ import annotations

from collections.abc import Sequence

from breakglass.error_names import ErrorName
from breakglass.errors import UnprovenError
from breakglass.tlog.edge import TreeEdge
from breakglass.tlog.hashing import EMPTY_ROOT, HASH_BYTES, leaf_hash, node_hash, root_of, split

__all__ = [
    "EMPTY_ROOT",
    "HASH_BYTES",
    "TreeEdge",
    "consistency_path",
    "inclusion_path",
    "leaf_hash",
    "node_hash",
    "root_of",
    "split",
    "verify_consistency",
    "verify_growth",
    "verify_inclusion",
]


def inclusion_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the siblings of leaf ``index``, its own first; hashes every leaf once.

    For a stored log use ``tiles.inclusion_from_tiles``, which reads a few tiles only.

    Raises:
        UnprovenError: no such leaf.

    Source: RFC 6962, section 2.1.1.
    """
    size = len(leaves)
    if not 0 <= index < size:
        raise UnprovenError(f"no leaf {index} in a tree of size {size}", name=ErrorName.INCLUSION)
    if size == 1:
        return []
    half = split(size)
    if index < half:
        return [*inclusion_path(leaves[:half], index), root_of(leaves[half:])]
    return [*inclusion_path(leaves[half:], index - half), root_of(leaves[:half])]


def consistency_path(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """Return the proof that the tree over ``leaves`` holds its own first ``old_size`` leaves.

    Empty for an old size of 0 (nothing to prove) and for the whole size.

    Raises:
        UnprovenError: the tree is smaller than ``old_size``.

    Source: RFC 6962, section 2.1.2.
    """
    if not 0 <= old_size <= len(leaves):
        raise UnprovenError(
            f"no growth from size {old_size} to size {len(leaves)}", name=ErrorName.CONSISTENCY
        )
    return _subproof(leaves, old_size, whole=True) if old_size else []


def _subproof(leaves: Sequence[bytes], old_size: int, *, whole: bool) -> list[bytes]:
    size = len(leaves)
    if old_size == size:
        # The verifier knows the old root; any other complete subtree it has to be told.
        return [] if whole else [root_of(leaves)]
    half = split(size)
    if old_size <= half:
        return [*_subproof(leaves[:half], old_size, whole=whole), root_of(leaves[half:])]
    return [*_subproof(leaves[half:], old_size - half, whole=False), root_of(leaves[:half])]


def verify_inclusion(
    leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes
) -> None:
    """Check that ``leaf`` is entry ``index`` of the tree of ``size`` entries under ``root``.

    Returns nothing: a proof holds or raises, so no caller can forget to look.

    Args:
        leaf: leaf hash, 32 bytes, from ``leaf_hash``; not the entry itself.
        index: counted in entries, from zero.
        size: entries in the tree that the checkpoint signs.
        path: sibling hashes, the leaf's own sibling first.
        root: root hash of a checkpoint whose signatures were already checked.

    Raises:
        UnprovenError: ``inclusion``; the index, the length of the path, or the root does not fit.

    Source: RFC 9162, section 2.1.3.2.

    >>> a, b = leaf_hash(b"a"), leaf_hash(b"b")
    >>> verify_inclusion(a, 0, 2, [b], node_hash(a, b))
    """
    if not 0 <= index < size:
        raise UnprovenError(
            f"entry {index} is not in a tree of size {size}", name=ErrorName.INCLUSION
        )
    _check_widths(ErrorName.INCLUSION, leaf, root, *path)
    at, last, reached = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise _wrong_length(ErrorName.INCLUSION, f"entry {index} of {size}", path)
        if at % 2 or at == last:
            reached = node_hash(sibling, reached)
            # A node without a right sibling is carried up until it has a left one.
            while not at % 2:
                at, last = at >> 1, last >> 1
        else:
            reached = node_hash(reached, sibling)
        at, last = at >> 1, last >> 1
    if last:
        raise _wrong_length(ErrorName.INCLUSION, f"entry {index} of {size}", path)
    if reached != root:
        raise UnprovenError(
            f"inclusion proof of entry {index} leads to another root than that of size {size}",
            name=ErrorName.INCLUSION,
        )


def verify_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]
) -> None:
    """Check that the tree of ``new_size`` begins with the whole tree of ``old_size``.

    The rule of log libraries: an old size of 0 proves nothing and is refused. A witness or a
    follower that starts from nothing wants ``verify_growth``.

    Raises:
        UnprovenError: ``tree_shrank`` if the new tree is smaller; ``split_view`` if the sizes are
            equal and the roots are not; ``consistency`` for everything else that does not fit.

    Source: RFC 9162, section 2.1.4.2.
    """
    if old_size <= 0:
        raise UnprovenError(
            f"a consistency proof from size {old_size} proves nothing", name=ErrorName.CONSISTENCY
        )
    if new_size < old_size:
        raise UnprovenError(
            f"the tree shrank from size {old_size} to size {new_size}", name=ErrorName.TREE_SHRANK
        )
    if old_size == new_size:
        if path:
            raise _wrong_length(ErrorName.CONSISTENCY, f"equal sizes {old_size}", path)
        if old_root != new_root:
            raise UnprovenError(
                f"two roots for one tree of size {old_size}", name=ErrorName.SPLIT_VIEW
            )
        return
    _check_widths(ErrorName.CONSISTENCY, old_root, new_root, *path)
    _check_growing(old_size, new_size, old_root, new_root, path)


def _check_growing(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]
) -> None:
    what = f"growth from size {old_size} to size {new_size}"
    # The old root itself stands in for the first hash when it is one complete subtree.
    hashes = list(path) if old_size & (old_size - 1) else [old_root, *path]
    at, last = old_size - 1, new_size - 1
    while at % 2:
        at, last = at >> 1, last >> 1
    if not hashes:
        raise _wrong_length(ErrorName.CONSISTENCY, what, path)
    old = new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise _wrong_length(ErrorName.CONSISTENCY, what, path)
        if at % 2 or at == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while at and not at % 2:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        at, last = at >> 1, last >> 1
    if last:
        raise _wrong_length(ErrorName.CONSISTENCY, what, path)
    if old != old_root or new != new_root:
        which = "old" if old != old_root else "new"
        raise UnprovenError(
            f"{what}: the proof leads to another {which} root", name=ErrorName.CONSISTENCY
        )


def verify_growth(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, path: Sequence[bytes]
) -> None:
    """Check a step of one follower: as ``verify_consistency``, but it may start from nothing.

    From size 0 the proof must be empty, and a tree of size 0 has the empty root. Mind the order
    of the arguments: it is the order of two heads, old and new.

    Args:
        old_size: entries in the last tree that was believed; 0 if there was none.
        old_root: its root; ``EMPTY_ROOT`` if there was none.
        new_size: entries in the tree to believe.
        new_root: its root.
        path: the consistency proof.

    Raises:
        UnprovenError: ``consistency``, ``tree_shrank`` or ``split_view``, as above.

    Source: C2SP tlog-witness, «add-checkpoint».
    """
    for size, root in ((old_size, old_root), (new_size, new_root)):
        if size == 0 and root != EMPTY_ROOT:
            raise UnprovenError(
                "size 0 with another root than the empty one", name=ErrorName.CONSISTENCY
            )
    if old_size != 0 or new_size < 0:
        verify_consistency(old_size, new_size, old_root, new_root, path)
        return
    _check_widths(ErrorName.CONSISTENCY, new_root)
    if path:
        raise _wrong_length(ErrorName.CONSISTENCY, f"growth from size 0 to size {new_size}", path)


def _check_widths(name: ErrorName, *hashes: bytes) -> None:
    for digest in hashes:
        if len(digest) != HASH_BYTES:
            raise UnprovenError(
                f"{name} proof: a hash is {HASH_BYTES} bytes, got {len(digest)}", name=name
            )


def _wrong_length(name: ErrorName, what: str, path: Sequence[bytes]) -> UnprovenError:
    return UnprovenError(f"{what}: a proof of {len(path)} hashes does not fit", name=name)
