from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakglass.errors import MalformedError, UnprovenError
from breakglass.tlog.merkle import (
    EMPTY_ROOT,
    TreeEdge,
    consistency_path,
    inclusion_path,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_growth,
    verify_inclusion,
)
from tests.tlog import slow_twins

SIZES = st.integers(1, 70)
WRONG = leaf_hash(b"of no tree")


def entries_of(size: int) -> list[bytes]:
    return [b"entry %d" % place for place in range(size)]


def leaves_of(size: int) -> list[bytes]:
    return [leaf_hash(entry) for entry in entries_of(size)]


@st.composite
def bent(draw: st.DrawFn, true_path: list[bytes]) -> list[bytes]:
    """A path that is not the true one: hashes changed, dropped, doubled, swapped or added."""
    path = list(true_path)
    place = draw(st.integers(0, len(path)))
    kinds = ["add"] if not path else ["add", "drop", "change", "double", "swap"]
    match draw(st.sampled_from(kinds)):
        case "add":
            path.insert(place, draw(st.sampled_from([WRONG, EMPTY_ROOT, *path])))
        case "drop":
            path.pop(place % len(path))
        case "change":
            at = place % len(path)
            bit = draw(st.integers(0, 255))
            path[at] = (int.from_bytes(path[at], "big") ^ 1 << bit).to_bytes(32, "big")
        case "double":
            path += path
        case "swap":
            path = path[::-1] if len(path) > 1 else [WRONG]
    return path


@given(st.lists(st.binary(max_size=5), max_size=70))
def test_the_root_is_that_of_the_definition(entries):
    leaves = [leaf_hash(entry) for entry in entries]
    edge = TreeEdge()
    edge.extend(leaves)
    assert root_of(leaves) == edge.root() == slow_twins.mth(entries)


@given(SIZES, st.data())
def test_paths_are_those_of_the_definition_and_verify(size, data):
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    entries, leaves = entries_of(size), leaves_of(size)
    path, growth = inclusion_path(leaves, index), consistency_path(leaves, old)
    assert path == slow_twins.path(index, entries)
    assert growth == slow_twins.proof(old, entries)
    verify_inclusion(leaves[index], index, size, path, root_of(leaves))
    verify_consistency(old, size, root_of(leaves[:old]), root_of(leaves), growth)
    verify_growth(old, root_of(leaves[:old]), size, root_of(leaves), growth)


@given(SIZES, st.data())
def test_no_other_path_shows_an_entry(size, data):
    index = data.draw(st.integers(0, size - 1))
    leaves = leaves_of(size)
    true = inclusion_path(leaves, index)
    path = data.draw(bent(true))
    if path != true:
        with pytest.raises(UnprovenError) as failure:
            verify_inclusion(leaves[index], index, size, path, root_of(leaves))
        assert failure.value.name == "inclusion"


@given(SIZES, st.data())
def test_an_entry_stands_at_one_index_only(size, data):
    index, other = data.draw(st.integers(0, size - 1)), data.draw(st.integers(-2, size + 2))
    leaves = leaves_of(size)
    if other != index:
        with pytest.raises(UnprovenError, match=f"entry {other}"):
            verify_inclusion(
                leaves[index], other, size, inclusion_path(leaves, index), root_of(leaves)
            )


@given(SIZES, st.data())
def test_no_other_path_shows_growth(size, data):
    old = data.draw(st.integers(1, size))
    leaves = leaves_of(size)
    true = consistency_path(leaves, old)
    path = data.draw(bent(true))
    if path != true:
        with pytest.raises(UnprovenError) as failure:
            verify_consistency(old, size, root_of(leaves[:old]), root_of(leaves), path)
        assert failure.value.name == "consistency"


@given(st.integers(1, 70), st.data())
def test_a_rewritten_history_has_no_proof_of_growth(size, data):
    old = data.draw(st.integers(1, size))
    changed = data.draw(st.integers(0, old - 1))
    leaves = leaves_of(size)
    rewritten = [*leaves[:changed], WRONG, *leaves[changed + 1 :]]
    name = "split_view" if old == size else "consistency"
    for path in (consistency_path(leaves, old), consistency_path(rewritten, old)):
        with pytest.raises(UnprovenError) as failure:
            verify_growth(old, root_of(leaves[:old]), size, root_of(rewritten), path)
        assert failure.value.name == name


@given(st.integers(0, 40), st.integers(-2, 40), st.lists(st.binary(max_size=33), max_size=5))
def test_junk_is_refused_and_never_crashes(size, other, path):
    leaves = leaves_of(size)
    root = root_of(leaves)
    for check in (
        lambda: verify_inclusion(WRONG, other, size, path, root),
        lambda: verify_consistency(size, other, root, WRONG, path),
        lambda: verify_consistency(other, size, WRONG, root, path),
    ):
        with pytest.raises(UnprovenError):
            check()


def test_the_two_rules_of_an_old_size_of_zero_stay_apart():
    root = leaf_hash(b"first")
    verify_growth(0, EMPTY_ROOT, 1, root, [])
    verify_growth(0, EMPTY_ROOT, 0, EMPTY_ROOT, [])
    with pytest.raises(UnprovenError, match="from size 0 proves nothing"):
        verify_consistency(0, 1, EMPTY_ROOT, root, [])
    with pytest.raises(UnprovenError, match="a proof of 1 hashes does not fit"):
        verify_growth(0, EMPTY_ROOT, 1, root, [root])
    with pytest.raises(UnprovenError, match="from size 0 proves nothing"):
        verify_growth(0, EMPTY_ROOT, -1, root, [])
    with pytest.raises(UnprovenError, match="another root than the empty one"):
        verify_growth(0, EMPTY_ROOT, 0, root, [])
    with pytest.raises(UnprovenError, match="another root than the empty one"):
        verify_growth(0, root, 1, root, [])


def test_a_smaller_tree_and_a_second_root_have_names_of_their_own():
    a, b = leaf_hash(b"a"), leaf_hash(b"b")
    with pytest.raises(UnprovenError, match="shrank from size 2 to size 1") as failure:
        verify_growth(2, node_hash(a, b), 1, a, [])
    assert failure.value.name == "tree_shrank"
    with pytest.raises(UnprovenError, match="two roots for one tree of size 1") as failure:
        verify_growth(1, a, 1, b, [])
    assert failure.value.name == "split_view"
    with pytest.raises(UnprovenError, match="shrank from size 1 to size 0"):
        verify_growth(1, a, 0, EMPTY_ROOT, [])


@pytest.mark.parametrize("many", [1, 64, 10_000])
def test_a_proof_that_goes_on_above_the_root_is_refused_for_its_length(many):
    leaves = leaves_of(5)
    inclusion = [*inclusion_path(leaves, 2), *[WRONG] * many]
    growth = [*consistency_path(leaves, 3), *[WRONG] * many]
    with pytest.raises(UnprovenError, match=f"a proof of {len(inclusion)} hashes does not fit"):
        verify_inclusion(leaves[2], 2, 5, inclusion, root_of(leaves))
    with pytest.raises(UnprovenError, match=f"a proof of {len(growth)} hashes does not fit"):
        verify_consistency(3, 5, root_of(leaves[:3]), root_of(leaves), growth)


def test_a_proof_is_not_asked_of_what_is_not_there():
    with pytest.raises(UnprovenError, match="no leaf 3 in a tree of size 3"):
        inclusion_path(leaves_of(3), 3)
    with pytest.raises(UnprovenError, match="no growth from size 4 to size 3"):
        consistency_path(leaves_of(3), 4)
    assert consistency_path(leaves_of(3), 0) == []


@given(st.integers(0, 600), st.integers(0, 40))
def test_an_edge_taken_up_again_goes_on_as_if_never_put_down(size, more):
    leaves = leaves_of(size + more)
    edge = TreeEdge()
    edge.extend(leaves[:size])
    again, copy = TreeEdge.parse(edge.encoded()), edge.copy()
    assert again == copy == TreeEdge(edge.size, edge.hashes)
    for leaf in leaves[size:]:
        again.append(leaf)
        copy.append(leaf)
    assert again == copy
    assert again.size == size + more
    assert again.root() == root_of(leaves)
    assert edge.root() == root_of(leaves[:size]), "a copy's growth is its own"
    assert len(again.hashes) == again.size.bit_count() <= 10


@given(st.binary(max_size=200))
def test_a_broken_edge_is_refused(data):
    failed, edge = None, None
    try:
        edge = TreeEdge.parse(data)
    except MalformedError as error:
        failed = error.name
    assert failed == "bad_edge" if edge is None else edge.encoded() == data


def test_an_edge_takes_hashes_and_not_entries():
    edge = TreeEdge()
    with pytest.raises(MalformedError, match="a leaf hash is 32 bytes, got 5"):
        edge.append(b"entry")
    with pytest.raises(MalformedError, match="edge of size 3 with 1 hashes"):
        TreeEdge(3, [WRONG])
    with pytest.raises(MalformedError, match="a hash is not 32 bytes"):
        TreeEdge(1, [b"short"])
    assert repr(edge) == "TreeEdge(size=0, root=e3b0c44298fc1c14…)"
