"""The witness answers the C2SP conversation as written, and keeps what it promised."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from breakglass.clock import SystemClock
from breakglass.errors import MisconfiguredError, UnavailableError
from breakglass.http.client import Peer
from breakglass.tlog.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from breakglass.tlog.cosignature import verify_cosignature
from breakglass.tlog.hashing import leaf_hash
from breakglass.tlog.merkle import consistency_path, root_of
from breakglass.tlog.note import COSIGNATURE, SignerKey, VerifierKey, parse_signature_lines
from breakglass.tlog.spelling import print_base64
from breakglass.witness.cosigning import Cosigning
from breakglass.witness.heads import Heads
from tests.kit.ledger_vectors import load
from tests.kit.processes import Process, make_process

WITNESS = SignerKey.generate("example.com/witness", COSIGNATURE)
LOG = SignerKey.generate("ledger.example/one")
LEAVES = [leaf_hash(str(number).encode()) for number in range(20)]


def request(old: int, size: int, *, proof: list[bytes] | None = None, root: bytes = b"") -> bytes:
    """Make a body; an honest one unless told otherwise."""
    if proof is None:
        proof = consistency_path(LEAVES[:size], old)
    checkpoint = Checkpoint(LOG.name, size, root or root_of(LEAVES[:size]))
    lines = "".join(f"{print_base64(each)}\n" for each in proof)
    return f"old {old}\n{lines}\n".encode() + sign_checkpoint(checkpoint, LOG).encoded()


@pytest.fixture
def cosigning(tmp_path: Path) -> Cosigning:
    return opened(tmp_path)


def opened(folder: Path) -> Cosigning:
    return Cosigning([WITNESS], Heads(folder / "heads"), {LOG.name: [LOG.verifier]}, SystemClock())


def test_the_conversation_of_the_vectors(tmp_path: Path) -> None:
    vectors = load("witness-add-checkpoint.json")
    log = VerifierKey.parse(vectors["log_vkey"])
    cosigning = Cosigning([WITNESS], Heads(tmp_path / "heads"), {log.name: [log]}, SystemClock())
    for step in vectors["steps"]:
        answer = cosigning.add_checkpoint(step["body"].encode())
        assert answer.status == step["status"], step["name"]
        assert step["body_contains"] in answer.body.decode(), step["name"]
        if answer.status == 409:
            assert answer.body.decode() == step["body_contains"]
            assert answer.content_type == "text/x.tlog.size"


def test_a_cosignature_holds_and_says_now(cosigning: Cosigning) -> None:
    body = request(0, 7)
    answer = cosigning.add_checkpoint(body)
    (line,) = parse_signature_lines(answer.body.decode())
    text = parse_checkpoint(body.partition(b"\n\n")[2])[1].text
    at = verify_cosignature(text, line, WITNESS.verifier)
    assert abs((datetime.now(UTC) - at).total_seconds()) < 5


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 0\n",
        b"old -1\n\n" + request(0, 1).partition(b"\n\n")[2],
        b"old 01\n\n" + request(0, 1).partition(b"\n\n")[2],
        b"new 0\n\n" + request(0, 1).partition(b"\n\n")[2],
        b"old 0\nnot base64\n\n" + request(0, 1).partition(b"\n\n")[2],
        b"old 0\n" + b"AAAA\n" * 64 + b"\n" + request(0, 1).partition(b"\n\n")[2],
        request(0, 1).replace(b"old 0", b"old 2"),  # over the checkpoint's own size
        request(0, 1)[:-20],
        b"\xff\xfe\n\n" + request(0, 1).partition(b"\n\n")[2],
    ],
    # Named here, since the bodies hold keys that differ from one run to the next.
    ids=[
        "empty",
        "no proof",
        "minus",
        "leading zero",
        "new",
        "not base64",
        "64 hashes",
        "old over size",
        "cut short",
        "not utf-8",
    ],
)
def test_malformed_bodies_are_400_and_change_nothing(cosigning: Cosigning, body: bytes) -> None:
    assert cosigning.add_checkpoint(body).status == 400
    assert cosigning.checkpoint(LOG.name) == b""


def test_the_first_call_from_size_0_teaches_the_size(cosigning: Cosigning) -> None:
    assert cosigning.add_checkpoint(request(0, 7)).status == 200
    answer = cosigning.add_checkpoint(request(0, 9))
    assert (answer.status, answer.body) == (409, b"7\n")
    assert cosigning.add_checkpoint(request(7, 9)).status == 200


def test_a_rewritten_log_is_refused_with_422(cosigning: Cosigning) -> None:
    assert cosigning.add_checkpoint(request(0, 7)).status == 200
    other = root_of([leaf_hash(b"other"), *LEAVES[1:9]])
    assert cosigning.add_checkpoint(request(7, 9, root=other)).status == 422
    # One size, two roots: a split view.
    assert cosigning.add_checkpoint(request(7, 7, proof=[], root=other)).status == 422
    assert cosigning.add_checkpoint(request(7, 9)).status == 200


def test_a_size_0_head_has_the_empty_root(cosigning: Cosigning) -> None:
    assert cosigning.add_checkpoint(request(0, 0, proof=[], root=LEAVES[0])).status == 422
    assert cosigning.add_checkpoint(request(0, 5, proof=[LEAVES[0]])).status == 422


def test_a_known_key_with_a_broken_line_is_403(cosigning: Cosigning) -> None:
    body = request(0, 7)
    line = body.rstrip(b"\n").rpartition(b" ")[2]
    other = sign_checkpoint(Checkpoint(LOG.name, 3, LEAVES[0]), LOG).encoded()
    body = body.replace(line, other.rstrip(b"\n").rpartition(b" ")[2])
    assert cosigning.add_checkpoint(body).status == 403


def test_a_restarted_witness_remembers(tmp_path: Path) -> None:
    assert opened(tmp_path).add_checkpoint(request(0, 7)).status == 200
    again = opened(tmp_path)
    assert again.add_checkpoint(request(0, 7)).status == 409
    assert again.add_checkpoint(request(7, 7, proof=[])).status == 200


def test_a_damaged_head_stops_the_witness_instead_of_starting_it_from_0(tmp_path: Path) -> None:
    opened(tmp_path).add_checkpoint(request(0, 7))
    (file,) = (tmp_path / "heads").iterdir()
    file.write_bytes(b"")
    with pytest.raises(MisconfiguredError, match="damaged"):
        opened(tmp_path).add_checkpoint(request(0, 3))


@pytest.mark.parametrize("torn", [0, 4096])
def test_a_torn_copy_of_the_head_costs_nothing_and_two_torn_ones_stop_the_witness(
    tmp_path: Path, torn: int
) -> None:
    cosigning = opened(tmp_path)
    cosigning.add_checkpoint(request(0, 7))
    cosigning.add_checkpoint(request(7, 9))
    (file,) = (tmp_path / "heads").iterdir()
    data = bytearray(file.read_bytes())
    data[torn + 100 : torn + 512] = bytes(412)
    file.write_bytes(data)
    assert opened(tmp_path).add_checkpoint(request(7, 9)).body == b"9\n"
    other = 4096 - torn
    data[other + 100 : other + 512] = bytes(412)
    file.write_bytes(data)
    with pytest.raises(MisconfiguredError, match="neither copy is whole; stayed shut"):
        opened(tmp_path).add_checkpoint(request(0, 3))


@pytest.mark.parametrize("new_first", [True, False])
def test_a_crash_between_the_copies_leaves_the_new_head_or_the_old_one(
    tmp_path: Path, new_first: bool
) -> None:
    cosigning = opened(tmp_path)
    cosigning.add_checkpoint(request(0, 7))
    (file,) = (tmp_path / "heads").iterdir()
    old = file.read_bytes()[:4096]
    cosigning.add_checkpoint(request(7, 9))
    new = file.read_bytes()[:4096]
    assert old != new
    file.write_bytes(new + old if new_first else old + new)
    assert opened(tmp_path).add_checkpoint(request(7, 9)).body == b"9\n"


def test_a_head_is_kept_with_one_sync_and_a_restored_checkpoint_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cosigning = opened(tmp_path)
    cosigning.add_checkpoint(request(0, 7))
    (file,) = (tmp_path / "heads").iterdir()
    file.write_bytes(cosigning.checkpoint(LOG.name))  # as a person restores it
    cosigning = opened(tmp_path)
    assert cosigning.add_checkpoint(request(7, 8)).status == 200
    synced: list[int] = []
    for name in ("fsync", "fdatasync"):
        sync = getattr(os, name)
        monkeypatch.setattr(os, name, lambda file, sync=sync: (sync(file), synced.append(file)))
    assert cosigning.add_checkpoint(request(8, 9)).status == 200
    assert len(synced) == 1
    assert opened(tmp_path).add_checkpoint(request(0, 9)).body == b"9\n"


def test_what_a_failed_sync_leaves_is_written_anew_before_it_is_cosigned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes can be read back and yet stand on no disk: cosigned, they would be forgotten."""
    cosigning = opened(tmp_path)
    cosigning.add_checkpoint(request(0, 7))
    (file,) = (tmp_path / "heads").iterdir()

    def fails(file: int) -> None:
        raise OSError("input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", fails)
        with pytest.raises(UnavailableError, match="not cosigned"):
            cosigning.add_checkpoint(request(7, 9))
        patched.setattr(os, "fsync", fails)
        with pytest.raises(UnavailableError, match="not cosigned"):
            cosigning.add_checkpoint(request(9, 9, proof=[]))
    before = file.stat().st_ino
    assert cosigning.add_checkpoint(request(9, 9, proof=[])).status == 200
    assert file.stat().st_ino != before


def test_nothing_is_cosigned_that_could_not_be_kept(
    cosigning: Cosigning, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("breakglass.witness.heads.write_whole", full)
        with pytest.raises(UnavailableError, match="not cosigned"):
            cosigning.add_checkpoint(request(0, 7))
    assert cosigning.add_checkpoint(request(0, 8)).status == 200


def test_of_many_requests_from_one_size_one_wins(cosigning: Cosigning) -> None:
    """Check and keep are one step: else two heads from one old size could both be cosigned."""
    statuses: list[int] = []
    start = threading.Barrier(8)

    def ask(size: int) -> None:
        start.wait()
        statuses.append(cosigning.add_checkpoint(request(0, size)).status)

    threads = [threading.Thread(target=ask, args=(size,)) for size in range(5, 13)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [409] * 7


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    made = make_process(tmp_path / "w", "breakglass.witness", WITNESS, "")
    (made.folder / "logs").write_text(f"# ours\n{LOG.verifier}\n")
    try:
        yield made.start()
    finally:
        made.kill()


def test_over_http_with_kill_9_between(process: Process) -> None:
    neighbour: Peer = process.neighbour()
    assert neighbour.send("POST", "/add-checkpoint", request(0, 7)).status == 200
    process.kill()
    process.start()
    reply = neighbour.send("POST", "/add-checkpoint", request(0, 9))
    assert (reply.status, reply.body, reply.content_type) == (409, b"7\n", "text/x.tlog.size")
    heads = Heads(process.folder / "data" / "heads")
    origin = next((process.folder / "data" / "heads").iterdir()).name
    assert neighbour.get(f"/{origin}/checkpoint").body == heads.last(LOG.name).note
    assert neighbour.send("GET", f"/{'0' * 64}/checkpoint").status == 404


def test_a_witness_needs_a_cosigners_key_and_a_log(tmp_path: Path) -> None:
    made = make_process(tmp_path / "w", "breakglass.witness", LOG, "")
    (made.folder / "logs").write_text(f"{LOG.verifier}\n")
    assert made.start(wait=False).wait_ended() == 6
    assert "not for cosignatures" in made.said()
    (made.folder / "logs").write_text("\n")
    (made.folder / "key").write_text(WITNESS.encoded())
    assert made.start(wait=False).wait_ended() == 6
    assert "names no log" in made.said()
