"""The archive alone rebuilds everything: the same tree and state, and a ledger that goes on."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from breakglass.archiver.s3_settings import S3Settings
from tests.embedded.isolated import Person, Typed, running_up
from tests.kit.port_rows import own_port
from tests.kit.processes import until
from tests.kit.reading import folder_peer
from tests.kit.s3 import CEPH, ceph_settings, made_bucket, settings_for, shared_strict

DECLARE = ("incident", "declare", "INC-1", "--severity", "SEV1", "--title", "checkout 5xx")


@dataclass
class Archived:
    """An organisation whose archiver moved into a store of its own, by ``join``."""

    mira: Person
    up: subprocess.Popen[str]
    where: tuple[str, ...]  # what ``ledger rebuild --from`` is told

    def types(self, *words: str) -> Typed:
        """Type a command of the organisation."""
        return self.mira.types("breakglass", *words, "--org", "org")

    def state(self, room: str) -> dict[str, Any]:
        """Ask a process for its state."""
        with folder_peer(self.mira.cwd / "org", room) as process:
            return process.get("/state").json()

    def rebuilt(self, to: str, *more: str) -> dict[str, Any]:
        """Rebuild, and return what it told."""
        shutil.rmtree(self.mira.cwd / to, ignore_errors=True)
        trust = ("--trust", "org/broker/trust")  # the first version: nothing newer is needed
        said = self.types("ledger", "rebuild", *self.where, "--to", to, *trust, *more, "--json")
        assert said.code == 0, said.err
        return json.loads(said.out)


def store_of(kind: str, folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what ``join`` and ``rebuild`` are told of the store."""
    if kind == "posix":
        return ("--folder", "kept"), ("--from", "kept")
    settings = ceph_settings(folder / "s3")
    s3 = f"s3://{settings.bucket}/{settings.prefix}"
    more = ("--endpoint", settings.endpoint, "--path-style", "--credentials")
    return (
        ("--s3", s3, *more, str(settings.credentials), "--kept-days", "1"),
        ("--from", s3, *more, str(settings.credentials)),
    )


@pytest.fixture(scope="module", params=["posix", CEPH])
def archived(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Archived]:
    folder = tmp_path_factory.mktemp(request.param)
    join_store, rebuild_from = store_of(request.param, folder)
    mira = Person.at(folder)
    init = ("breakglass", "init", "org", "--as", "mira", "--key", str(mira.key))
    assert mira.types(*init).code == 0
    with ExitStack() as stack:
        opened = mira.types(
            "breakglass", "join", "ledger", "--listen", f"127.0.0.1:{own_port()}", "--org", "org"
        )
        joined = mira.types(
            "breakglass", "join", "archiver", "--out", "moved", "--log", "org/trust",
            "--ledger", opened.row("ledger"), *join_store, within_s=120,
        )  # fmt: skip
        assert joined.code == 0, joined.err
        process = mira.starts_module("archiver", "moved")
        stack.callback(process.communicate, timeout=60)
        stack.callback(process.terminate)
        until(lambda: (mira.cwd / "moved" / "address").exists())
        up = stack.enter_context(running_up(mira))
        made = Archived(mira, up, rebuild_from)
        assert made.types(*DECLARE).code == 0
        assert made.types("trust", "next", "moved/lines", "--sign-here").code == 0
        active = made.types("trust", "activate", "org/trust.next")
        assert active.code == 0, active.err
        for number in range(3):
            why = f"number {number}"
            done = made.types("break", "hello", "--incident", "INC-1", "--why", why)
            assert done.code == 0, done.err
        yield made


def rebuilt_at_rest(archived: Archived, to: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Rebuild at a moment when nothing is written meanwhile; returns it and the broker's state."""
    end = time.monotonic() + 90
    while True:
        assert time.monotonic() < end
        before = archived.state("broker")
        time.sleep(2.5)  # the newest head's final form comes when the log is quiet
        told = archived.rebuilt(to)
        if before["size"] == told["size"] == archived.state("broker")["size"]:
            return told, before


def test_the_archive_alone_gives_the_same_tree_and_the_same_state(archived: Archived) -> None:
    copy, other = (archived.mira.cwd / each for each in ("copy", "exported"))
    monitor: dict[str, Any] = {"size": -1}
    told, broker = rebuilt_at_rest(archived, "copy")
    while monitor["size"] != told["size"]:  # until no pulse of the monitor came in between
        shutil.rmtree(other, ignore_errors=True)
        told, broker = rebuilt_at_rest(archived, "copy")
        exported = archived.types("ledger", "export", "--to", "exported")
        assert exported.code == 0
        until(lambda: archived.state("monitor")["size"] >= told["size"])  # noqa: B023
        monitor = archived.state("monitor")
    assert told["state"] == broker["digest"] == monitor["digest"]
    assert told["forbidden"] == 0
    assert (copy / "checkpoint").read_bytes() == (other / "checkpoint").read_bytes()
    assert (copy / "heads").read_bytes() == (other / "heads").read_bytes()
    shutil.rmtree(other)


def test_a_head_that_somebody_kept_must_be_reached(archived: Archived) -> None:
    rebuilt_at_rest(archived, "copy")
    kept = archived.mira.cwd / "copy" / "checkpoint"
    shutil.copy(kept, archived.mira.cwd / "kept-head")
    assert archived.rebuilt("again", "--head", "kept-head")["size"] >= 1
    # The head of a longer log, under the log's own key, and the archive ends before it.
    from breakglass.tlog.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
    from breakglass.tlog.note import SignerKey

    found, _ = parse_checkpoint(kept.read_bytes())
    key = SignerKey.parse((archived.mira.cwd / "org" / "ledger" / "key").read_text().strip())
    longer = sign_checkpoint(Checkpoint(found.origin, found.size + 50, found.root), key)
    (archived.mira.cwd / "longer").write_bytes(longer.encoded())
    words = ("ledger", "rebuild", *archived.where, "--to", "short", "--head", "longer")
    said = archived.types(*words)
    assert (said.code, "is missing: the segments end at" in said.err) == (4, True)
    assert not (archived.mira.cwd / "short").exists()


def test_a_ledger_goes_on_from_a_journal_made_from_the_archive(archived: Archived) -> None:
    """Last in this file: the ledger's own journal is taken away."""
    told, broker = rebuilt_at_rest(archived, "copy")
    stands = archived.types("ledger", "rebuild", *archived.where, "--to", "no", "--journal",
                            "org/ledger")  # fmt: skip
    assert stands.code != 0
    archived.up.send_signal(signal.SIGTERM)
    archived.up.wait(60)
    org = archived.mira.cwd / "org"
    shutil.rmtree(org / "archiver")  # what the first archiver kept is not needed either
    (org / "ledger" / "data").rename(archived.mira.cwd / "lost")
    again = archived.rebuilt("from-nothing", "--journal", "org/ledger")
    assert again["size"] >= told["size"]
    checked = archived.types("ledger", "rebuild", *archived.where, "--to", "no2", "--journal",
                             "org/ledger")  # fmt: skip
    assert (checked.code, "already exists; nothing was written" in checked.err) == (3, True)
    fsck = archived.mira.types("breakglass", "ledger", "fsck", "org/ledger")
    assert (fsck.code, fsck.out.count("wrong")) == (0, 0)
    with running_up(archived.mira):
        done = archived.types("break", "hello", "--incident", "INC-1", "--why", "it goes on")
        assert done.code == 0, done.err
        assert archived.state("broker")["size"] > broker["size"]


def test_a_bucket_that_does_not_lock_is_refused_and_nothing_is_made(tmp_path: Path) -> None:
    settings: S3Settings = settings_for(tmp_path, shared_strict(), "access-archiver", "secret")
    made_bucket(settings, locks=False)
    mira = Person.at(tmp_path)
    init = ("breakglass", "init", "org", "--as", "mira", "--key", str(mira.key))
    assert mira.types(*init).code == 0
    words = (
        "join", "archiver", "--out", "moved", "--log", "org/trust",
        "--ledger", "https://127.0.0.1:1#00", "--s3", f"s3://{settings.bucket}",
        "--endpoint", settings.endpoint, "--path-style", "--credentials", str(settings.credentials),
    )  # fmt: skip
    said = mira.types("breakglass", *words)
    assert said.code == 3, said.err
    assert "nothing was made" in said.err
    assert not (tmp_path / "moved").exists()
