"""Attachments on their way in and out of a real ledger: streamed, bounded, whole or not at all."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import io
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from breakglass.errors import BreakglassError, MalformedError, UnavailableError
from breakglass.http.client import Outgoing, Peer
from breakglass.submit.blob_upload import (
    PERMIT,
    file_parts,
    get_attachment,
    measured,
    put_attachment,
    signed_permit,
)
from breakglass.submit.record_header import NO_PREV, text_digest
from breakglass.submit.spool import Draft
from breakglass.tlog.note import Note, SignerKey
from breakglass.tlog.tiles import encode_bundle
from tests.kit.large import LARGEST, MIB, encrypted_file, plain_file
from tests.kit.processes import ORIGIN, LogSet, draft, make_log_set, signed, until

GROWTH_AT_MOST = 24 * MIB


class Uploader:
    """A submitter that does everything by hand."""

    def __init__(self, log_set: LogSet, number: int = 0) -> None:
        self.log_set = log_set
        self.signer = log_set.submitters[number]
        self.seq, self.prev = 0, NO_PREV

    @property
    def ledger(self) -> Peer:
        return self.log_set.ledger.neighbour(within_s=60)

    def put(self, data: bytes) -> str:
        return put_attachment(self.ledger, io.BytesIO(data), self.signer)[0]

    def note(self, digest: str, size: int) -> bytes:
        """Sign the next record, which names this."""
        text = draft(f"n-{self.seq}").text.replace("/v1\n", f"/v1\nattach sha256:{digest} {size}\n")
        note = signed(Draft(f"n-{self.seq}", text), self.signer, self.seq, self.prev)
        self.seq, self.prev = self.seq + 1, text_digest(Note.parse(note).text)
        return note

    def record(self, digest: str, size: int) -> None:
        """Have a record accepted and archived that names this."""
        bundle = encode_bundle([self.note(digest, size)])
        until(lambda: self.ledger.send("POST", "/append", bundle).status == 200, within_s=60)

    def started(self, size: int, sent: bytes, **given: str) -> socket.socket:
        """Begin an upload and leave it there."""
        digest = hashlib.sha256(sent + str(given).encode()).hexdigest()
        headers = {
            "Content-Length": str(size),
            PERMIT: signed_permit(digest, size, self.signer),
            **given,
        }
        at = urlsplit(self.log_set.ledger.address)
        opened = socket.create_connection((at.hostname or "", at.port or 0), timeout=20)
        head = f"PUT /attachment/{digest} HTTP/1.1\r\nHost: ledger\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value)
        opened.sendall(f"{head}\r\n".encode() + sent)
        return opened


def unfinished(log_set: LogSet) -> list[Path]:
    return list((log_set.ledger.folder / "data" / "attachments" / ".unfinished").iterdir())


def stored(log_set: LogSet) -> list[str]:
    folder = log_set.ledger.folder / "data" / "attachments"
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(path.name for path in files if len(path.name) == 64)


@pytest.fixture
def log_set(tmp_path: Path) -> Iterator[LogSet]:
    made = make_log_set(tmp_path, submitters=2, witnesses=1, needed=1)
    try:
        yield made.start()
    finally:
        made.kill()


def test_64_mib_go_in_and_out_and_into_the_archive_without_lying_in_memory(
    log_set: LogSet, tmp_path: Path
) -> None:
    uploader = Uploader(log_set)
    small = uploader.put(b"age-encryption.org/v1\nwarm")
    uploader.record(small, 26)  # every import and every buffer is there from now on
    for process in (log_set.ledger, log_set.archiver):
        process.forget_peak()
    before = {process.module: process.peak_bytes for process in (log_set.ledger, log_set.archiver)}
    file = encrypted_file(tmp_path / "recording", LARGEST - MIB)
    with file.open("rb") as source, (tmp_path / "back").open("w+b") as back:
        digest, size = put_attachment(uploader.ledger, source, uploader.signer)
        uploader.record(digest, size)
        assert get_attachment(uploader.ledger, digest, LARGEST, back) == size
    assert (tmp_path / "back").read_bytes() == file.read_bytes()
    for process in (log_set.ledger, log_set.archiver):
        growth = process.peak_bytes - before[process.module]
        assert growth < GROWTH_AT_MOST, f"{process.module} grew by {growth / MIB:.1f} MiB"
    prefix = hashlib.sha256(ORIGIN.encode()).hexdigest()
    archived = log_set.archiver.folder / "data" / "store" / prefix
    with (archived / "recording" / digest).open("rb") as kept:
        assert measured(kept) == (digest, size)
    assert not (archived / "attachment").exists()


def test_an_upload_over_the_cap_is_refused_before_a_byte_of_it_is_read(log_set: LogSet) -> None:
    started = time.monotonic()
    with Uploader(log_set).started(LARGEST + 1, b"") as opened:
        assert b" 413 " in opened.recv(4096)
    assert time.monotonic() - started < 5, "it waited for the body"
    assert unfinished(log_set) == []


def test_the_cap_can_be_set_lower_and_never_higher(tmp_path: Path) -> None:
    made = make_log_set(
        tmp_path / "low", witnesses=1, needed=1, ledger_settings="attachment_bytes = 1000"
    )
    try:
        made.start()
        Uploader(made).put(b"x" * 1000)
        with pytest.raises(MalformedError, match="over 1000 bytes"):
            Uploader(made).put(b"x" * 1001)
    finally:
        made.kill()
    high = make_log_set(tmp_path / "high", ledger_settings=f"attachment_bytes = {LARGEST + 1}")
    high.ledger.start(wait=False)
    assert high.ledger.wait_ended() == 6
    assert "'attachment_bytes' is 1 to 67108864" in high.ledger.said()


def test_a_body_whose_length_nobody_tells_is_refused(log_set: LogSet) -> None:
    uploader = Uploader(log_set)
    with uploader.started(
        5, b"5\r\nhello\r\n0\r\n\r\n", **{"Content-Length": "", "Transfer-Encoding": "chunked"}
    ) as opened:
        assert b" 411 " in opened.recv(4096)
    assert stored(log_set) == []


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("", "no_permit"),
        ("bm9uc2Vuc2U=", "no_permit"),
        ("stranger", "unknown_submitter"),
        ("other digest", "no_permit"),
        ("other size", "no_permit"),
        ("forged", "signature"),
    ],
)
def test_only_a_submitters_own_permit_for_these_very_bytes_lets_them_in(
    log_set: LogSet, header: str, name: str
) -> None:
    data = b"some evidence"
    digest, size = hashlib.sha256(data).hexdigest(), len(data)
    signer = log_set.submitters[0]
    good = signed_permit(digest, size, signer)
    forged = signed_permit(digest, size, SignerKey.generate(signer.name))
    headers = {
        "stranger": signed_permit(digest, size, SignerKey.generate("stranger.example")),
        "other digest": signed_permit("0" * 64, size, signer),
        "other size": signed_permit(digest, size + 1, signer),
        "forged": _with_key_id_of(forged, good),
    }
    ledger = log_set.ledger.neighbour()
    path = f"/attachment/{digest}"
    reply = ledger.send("PUT", path, data, headers={PERMIT: headers.get(header, header)})
    assert reply.json()["error"] == name
    assert (stored(log_set), unfinished(log_set)) == ([], [])
    assert ledger.send("PUT", path, data, headers={PERMIT: good}).status == 200


def _with_key_id_of(forged: str, good: str) -> str:
    """Put the key id of a good permit's line on a forged one's signature."""
    ours, theirs = (Note.parse(base64.b64decode(each)) for each in (good, forged))
    line = dataclasses.replace(ours.lines[0], signature=theirs.lines[0].signature)
    return base64.b64encode(dataclasses.replace(ours, lines=(line,)).encoded()).decode()


def test_a_submitter_that_may_not_attach_brings_nothing(log_set: LogSet) -> None:
    path = log_set.ledger.folder / "submitters"
    gate = SignerKey.generate("gate.example")
    path.write_text(f"{path.read_text()}{gate.verifier} gate attachments=no\n")
    log_set.submitters.append(gate)

    def said() -> str:
        with contextlib.suppress(BreakglassError):
            Uploader(log_set, 2).put(b"evidence")
            return ""
        reply = log_set.ledger.neighbour().send(
            "PUT",
            f"/attachment/{hashlib.sha256(b'x').hexdigest()}",
            b"x",
            headers={PERMIT: signed_permit(hashlib.sha256(b"x").hexdigest(), 1, gate)},
        )
        return str(reply.json()["error"])

    until(lambda: said() == "attachments")
    assert stored(log_set) == []


def test_other_bytes_than_were_said_leave_nothing(log_set: LogSet) -> None:
    uploader = Uploader(log_set)
    digest = hashlib.sha256(b"said").hexdigest()
    headers = {PERMIT: signed_permit(digest, 4, uploader.signer)}
    reply = uploader.ledger.send("PUT", f"/attachment/{digest}", b"lied", headers=headers)
    assert (reply.status, reply.json()["error"]) == (400, "wrong_digest")
    assert (stored(log_set), unfinished(log_set)) == ([], [])


def test_an_upload_that_breaks_off_leaves_nothing_and_frees_its_place(log_set: LogSet) -> None:
    uploader = Uploader(log_set)
    for number in range(5):  # more than may be under way
        opened = uploader.started(10 * MIB, bytes([number]) * MIB)
        until(lambda: len(unfinished(log_set)) == 1)
        opened.close()
        until(lambda: unfinished(log_set) == [])
    assert stored(log_set) == []
    uploader.put(b"others go on")


def test_kill_9_in_the_middle_of_an_upload_leaves_nothing_that_counts(
    log_set: LogSet, tmp_path: Path
) -> None:
    uploader = Uploader(log_set)
    file = plain_file(tmp_path / "file", LARGEST)
    data = file.read_bytes()
    with uploader.started(LARGEST, data[: LARGEST // 2]):
        until(lambda: sum(each.stat().st_size for each in unfinished(log_set)) > LARGEST // 2 - MIB)
        log_set.ledger.kill()
    assert len(unfinished(log_set)) == 1, "what a power cut leaves"
    log_set.ledger.start()
    assert (stored(log_set), unfinished(log_set)) == ([], [])
    with file.open("rb") as source:
        digest, size = put_attachment(uploader.ledger, source, uploader.signer)
    uploader.record(digest, size)
    assert stored(log_set) == [digest]


def test_kill_9_between_upload_and_record_keeps_what_was_acknowledged(log_set: LogSet) -> None:
    uploader = Uploader(log_set)
    digest = uploader.put(b"acknowledged")
    log_set.ledger.kill()
    log_set.ledger.start()
    uploader.record(digest, len(b"acknowledged"))
    assert uploader.ledger.get(f"/attachment/{digest}").body == b"acknowledged"


def test_kill_9_in_the_middle_of_the_archivers_fetch_leaves_nothing_that_counts(
    log_set: LogSet, tmp_path: Path
) -> None:
    uploader = Uploader(log_set)
    with encrypted_file(tmp_path / "recording", LARGEST - MIB).open("rb") as file:
        digest, size = put_attachment(uploader.ledger, file, uploader.signer)
    # The ledger freezes while the archiver reads from it: the fetch has begun and cannot end.
    bundle = encode_bundle([uploader.note(digest, size)])
    archiver = log_set.archiver
    store = archiver.folder / "data" / "store"
    with contextlib.suppress(BreakglassError):
        log_set.ledger.neighbour(0.05).send("POST", "/append", bundle)
    until(lambda: fetched_bytes(archiver.popen.pid) > 0)  # type: ignore[union-attr]
    log_set.ledger.signal(signal.SIGSTOP)
    archiver.kill()
    log_set.ledger.signal(signal.SIGCONT)
    whole = [path for path in store.rglob("*") if path.name == digest and path.is_file()]
    assert [path.stat().st_size for path in whole] in ([], [size])
    archiver.start()
    left = [path for path in archiver.folder.rglob(".*") if path.is_file()]
    assert left == [], "what the fetch had written is gone"
    until(lambda: uploader.ledger.send("POST", "/append", bundle).status == 200, within_s=60)
    (kept,) = store.rglob(digest)
    with kept.open("rb") as file:
        assert measured(file) == (digest, size)
    assert kept.parent.name == "recording"


def fetched_bytes(pid: int) -> int:
    """Return the size of the nameless files that a process holds open."""
    found = 0
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if "(deleted)" in os.readlink(each):
                found += each.stat().st_size
    return found


def test_one_that_drips_holds_up_nobody_else(log_set: LogSet) -> None:
    dripping, other = Uploader(log_set, 0), Uploader(log_set, 1)
    with dripping.started(MIB, b"a"), dripping.started(MIB, b"b"):
        until(lambda: len(unfinished(log_set)) == 2)
        with pytest.raises(UnavailableError, match="2 of them by") as caught:
            dripping.put(b"a third")
        assert caught.value.name == "uploads_full"
        other.put(b"another's")
    until(lambda: unfinished(log_set) == [])
    dripping.put(b"a third")


def test_a_submitter_brings_so_much_in_a_day_also_after_a_restart(log_set: LogSet) -> None:
    path = log_set.ledger.folder / "submitters"
    first, *others = path.read_text().splitlines()
    path.write_text("\n".join([f"{first} attach-mib-per-day=1", *others]) + "\n")
    log_set.ledger.stop()
    log_set.ledger.start()
    uploader = Uploader(log_set)
    uploader.put(b"x" * (MIB - 100))
    for _ in range(2):
        with pytest.raises(UnavailableError, match="may bring 1048576") as caught:
            uploader.put(b"y" * 101)
        assert caught.value.name == "quota"
        log_set.ledger.stop()
        log_set.ledger.start()
    uploader.put(b"y" * 100)
    uploader.put(b"x" * (MIB - 100))  # is here already: not counted twice
    Uploader(log_set, 1).put(b"y" * 101)


def test_what_no_record_names_goes_after_a_day_and_what_one_names_stays(log_set: LogSet) -> None:
    uploader = Uploader(log_set)
    unnamed, named = uploader.put(b"unnamed"), uploader.put(b"named")
    uploader.record(named, 5)
    two_days_ago = time.time() - 48 * 3600
    folder = log_set.ledger.folder / "data" / "attachments"
    for path in folder.rglob("*"):
        if path.name in (unnamed, named):
            os.utime(path, (two_days_ago, two_days_ago))
    log_set.ledger.stop()
    log_set.ledger.start()
    fresh = uploader.put(b"the next upload looks")
    assert stored(log_set) == sorted([named, fresh])
    bundle = encode_bundle([uploader.note(unnamed, 7)])
    reply = uploader.ledger.send("POST", "/append", bundle)
    assert (reply.status, reply.json()["error"]) == (403, "attachment_missing")


def test_a_file_that_changes_while_it_is_sent_is_not_stored(log_set: LogSet) -> None:
    uploader = Uploader(log_set)
    file = io.BytesIO(b"x" * MIB)
    digest, size = measured(file)
    file.truncate(MIB // 2)
    outgoing = Outgoing(size, lambda: file_parts(file))
    headers = {PERMIT: signed_permit(digest, size, uploader.signer)}
    with pytest.raises(MalformedError, match="has another size"):
        uploader.ledger.send("PUT", f"/attachment/{digest}", outgoing, headers=headers)
    until(lambda: unfinished(log_set) == [])
    assert stored(log_set) == []
