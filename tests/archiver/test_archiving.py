"""The archiver stores, then cosigns; and cosigns nothing that it has not stored."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import pytest

from breakglass.archiver.archive import Archive
from breakglass.archiver.cosigning import ArchiveCosigning
from breakglass.archiver.object_store import PosixObjectStore
from breakglass.archiver.segment import Segment, segment_digest
from breakglass.clock import SystemClock
from breakglass.errors import MisconfiguredError, UnavailableError
from breakglass.http.client import Incoming, Peer, Reply
from breakglass.http.routes import Response
from breakglass.tlog.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from breakglass.tlog.cosignature import verify_cosignature
from breakglass.tlog.hashing import leaf_hash
from breakglass.tlog.merkle import root_of
from breakglass.tlog.note import COSIGNATURE, SignerKey, parse_signature_lines
from breakglass.tlog.tiles import decode_bundle, root_from_tiles
from tests.kit.processes import draft, signed

KEY = SignerKey.generate("archiver.example", COSIGNATURE)
LOG = SignerKey.generate("ledger.example/one")
SUBMITTER = SignerKey.generate("submitter.example")
ENTRIES = [f"entry {number}".encode() for number in range(1000)]
PREFIX = hashlib.sha256(LOG.name.encode()).hexdigest()


class LedgerWithAttachments(Peer):
    """Gives attachments; can be away, and can lie."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1", name="ledger")
        self.held: dict[str, bytes] = {}

    def send(self, method: str, path: str, *args: object, **given: object) -> Reply:
        data = self.held.get(path.rpartition("/")[2])
        if data is None:
            raise UnavailableError("ledger is away")
        into = given["into"]
        assert isinstance(into, Incoming)
        into.file.write(data)
        return Reply(200, b"", "application/octet-stream", "ledger")


class World:
    """An archiver without HTTP around it, restartable."""

    def __init__(self, folder: Path) -> None:
        self.store = PosixObjectStore(folder)
        self.ledger = LedgerWithAttachments()
        self.restart()

    def restart(self) -> None:
        def opened(origin: str) -> Archive:
            return Archive(self.store, origin, b"genesis\n")

        self.archiver = ArchiveCosigning(
            [KEY], opened, {LOG.name: [LOG.verifier]}, self.ledger, SystemClock()
        )

    def push(
        self, old: int, new: int, entries: list[bytes] | None = None, **more: bytes
    ) -> Response:
        given = ENTRIES if entries is None else entries
        return self.archiver.add_segment(pushed(old, new, given, **more))


def head(size: int, entries: list[bytes] = ENTRIES) -> bytes:
    root = root_of([leaf_hash(entry) for entry in entries[:size]])
    return sign_checkpoint(Checkpoint(LOG.name, size, root), LOG).encoded()


def pushed(
    old: int, new: int, entries: list[bytes], *, last: bytes = b"", by: bytes = b""
) -> bytes:
    signed_head = by or head(new, entries)
    body = f"old {old}\nhead {len(signed_head)}\nlast {len(last)}\n\n".encode() + signed_head + last
    return body + b"".join(len(each).to_bytes(2, "big") + each for each in entries[old:new])


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "store")


def test_what_is_cosigned_is_stored(world: World) -> None:
    answer = world.push(0, 3)
    (line,) = parse_signature_lines(answer.body.decode())
    verify_cosignature(parse_checkpoint(head(3))[1].text, line, KEY.verifier)
    data = world.store.get(f"{PREFIX}/seg/{0:012d}")
    assert data is not None
    segment = Segment.parse(data)
    assert (segment.first, segment.entries) == (0, tuple(ENTRIES[:3]))
    assert world.store.get(f"{PREFIX}/meta/genesis") == b"genesis\n"


def test_segments_form_a_chain_and_full_tiles_lead_to_the_root(world: World) -> None:
    sizes = [0, 3, 200, 256, 257, 512, 700, 956]
    for old, new in itertools.pairwise(sizes):
        assert world.push(old, new).status == 200
    names = list(world.store.list(f"{PREFIX}/seg/"))
    assert [name[-12:] for name in names] == [f"{number:012d}" for number in range(7)]
    before, entries = "0" * 64, []
    for name in names:
        data = world.store.get(name)
        assert data is not None
        segment = Segment.parse(data)
        assert (segment.previous, segment.first) == (before, len(entries))
        before, entries = segment_digest(data), [*entries, *segment.entries]
    assert entries == ENTRIES[:956]
    archive = Archive(world.store, LOG.name, b"")
    assert root_from_tiles(archive, 956) == root_of([leaf_hash(each) for each in ENTRIES[:956]])
    bundle = world.store.get(f"{PREFIX}/tile/entries/002")
    assert bundle is not None
    assert decode_bundle(bundle) == ENTRIES[512:768]
    # Partial tiles are never stored: up to 255 for each full one, for years.
    assert not [name for name in world.store.list(f"{PREFIX}/") if ".p/" in name]


@pytest.mark.parametrize("size", [1, 255, 256, 300, 513])
def test_a_restart_goes_on_from_its_last_segment(world: World, size: int) -> None:
    for at in range(0, size, 100):
        world.push(at, min(size, at + 100))
    world.restart()
    assert world.push(0, 1).body == f"{size}\n".encode()
    assert world.push(size, size + 300).status == 200
    world.restart()
    assert world.push(size + 300, size + 301).status == 200


def test_a_lost_answer_is_given_again_for_the_same_head(world: World) -> None:
    assert world.push(0, 5).status == 200
    before = list(world.store.list(f"{PREFIX}/"))
    reply = world.push(0, 5)
    assert (reply.status, reply.body, reply.content_type) == (409, b"5\n", "text/x.tlog.size")
    assert world.push(5, 5).status == 200
    assert list(world.store.list(f"{PREFIX}/")) == before


def test_a_crash_between_tiles_and_segment_is_repaired_by_the_same_commit(world: World) -> None:
    """The segment's put fails after the full tile's; the retry finds its own tile."""
    put = world.store.put_if_absent

    def failing(name: str, data: bytes) -> bool:
        if "/seg/" in name:
            raise UnavailableError("store is away")
        return put(name, data)

    world.store.put_if_absent = failing  # type: ignore[method-assign]
    assert world.push(0, 256).status == 503
    assert world.store.get(f"{PREFIX}/tile/0/000") is not None
    world.store.put_if_absent = put  # type: ignore[method-assign]
    assert world.push(0, 256).status == 200


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([*ENTRIES[:4], b"another"], "do not lead to the head"),
        (ENTRIES[:4], "do not lead to the head"),
        ([*ENTRIES[:5], b"one more"], "do not lead to the head"),
    ],
)
def test_entries_that_do_not_make_the_signed_root_are_refused(
    world: World, entries: list[bytes], why: str
) -> None:
    answer = world.push(0, len(entries), entries, by=head(5))
    assert (answer.status, why in answer.body.decode()) == (422, True)
    assert list(world.store.list(f"{PREFIX}/")) == []


def test_a_rewritten_log_is_not_archived(world: World) -> None:
    assert world.push(0, 5).status == 200
    other = [b"another", *ENTRIES[1:]]
    assert world.push(5, 9, other).status == 422
    assert world.push(5, 5, other).status == 422
    assert world.push(5, 9).status == 200


def test_a_head_of_another_key_or_log_is_refused(world: World) -> None:
    stranger = SignerKey.generate(LOG.name)
    root = root_of([leaf_hash(ENTRIES[0])])
    forged = sign_checkpoint(Checkpoint(LOG.name, 1, root), stranger).encoded()
    assert world.push(0, 1, by=forged).status == 403
    other = SignerKey.generate("ledger.example/two")
    assert (
        world.push(
            0, 1, by=sign_checkpoint(Checkpoint(other.name, 1, root), other).encoded()
        ).status
        == 404
    )
    assert world.archiver.add_segment(b"nonsense").status == 400


def test_attachments_are_stored_before_the_entry_that_names_them(world: World) -> None:
    data = b"evidence"
    digest = hashlib.sha256(data).hexdigest()
    note = signed(draft("a", LOG.name, attachments=(data,)), SUBMITTER, 0, "0" * 64)
    assert world.push(0, 1, [note]).status == 503  # the ledger does not give it
    assert list(world.store.list(f"{PREFIX}/")) == []
    world.ledger.held[digest] = b"other bytes"
    assert world.push(0, 1, [note]).status == 422
    assert list(world.store.list(f"{PREFIX}/")) == []
    world.ledger.held[digest] = data
    assert world.push(0, 1, [note]).status == 200
    assert world.store.get(f"{PREFIX}/attachment/{digest}") == data
    world.ledger.held.clear()
    again = signed(draft("b", LOG.name, attachments=(data,)), SUBMITTER, 1, "0" * 64)
    assert world.push(1, 2, [note, again]).status == 200  # stored already: not fetched again


def test_other_bytes_planted_under_an_attachments_name_are_never_cosigned(world: World) -> None:
    data = b"evidence"
    digest = hashlib.sha256(data).hexdigest()
    world.store.put_if_absent(f"{PREFIX}/attachment/{digest}", b"planted before us")
    world.ledger.held[digest] = data
    note = signed(draft("a", LOG.name, attachments=(data,)), SUBMITTER, 0, "0" * 64)
    answer = world.push(0, 1, [note])
    assert answer.status == 422
    assert b"stands with other bytes" in answer.body
    assert list(world.store.list(f"{PREFIX}/seg/")) == []


def test_the_final_form_of_a_head_is_kept_with_the_next_commit(world: World) -> None:
    world.push(0, 2)
    final = head(2) + "— somebody.example AAAAAAAA\n".encode()
    assert world.push(2, 3, last=final).status == 200
    assert world.store.get(f"{PREFIX}/cp/{2:012d}") == final
    stranger = SignerKey.generate(LOG.name)
    forged = sign_checkpoint(Checkpoint(LOG.name, 3, b"\0" * 32), stranger).encoded()
    assert world.push(3, 4, last=forged).status == 422


def test_another_writer_in_our_store_is_an_alarm_not_a_cosignature(world: World) -> None:
    world.push(0, 2)
    world.store.put_if_absent(f"{PREFIX}/seg/{1:012d}", b"somebody else's")
    answer = world.push(2, 3)
    assert answer.status == 422
    assert "two writers" in answer.body.decode()


def test_an_archive_that_contradicts_itself_is_not_opened(world: World, tmp_path: Path) -> None:
    for at in range(3):
        world.push(at * 100, at * 100 + 100)
    tile = tmp_path / "store" / PREFIX / "tile" / "0" / "000"
    tile.chmod(0o600)
    tile.write_bytes(bytes([tile.read_bytes()[0] ^ 1]) + tile.read_bytes()[1:])
    with pytest.raises(MisconfiguredError, match="does not lead to its last head"):
        world.restart()
