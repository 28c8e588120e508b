"""An exported folder verifies without us, by our verifier and by Go's."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.clock import SystemClock
from breakglass.errors import MalformedError, RefusedError, UnavailableError, UnprovenError
from breakglass.ledger.export import export
from breakglass.ledger.verifier import verify_attachments, verify_heads, verify_tree
from breakglass.submit.outbox import Outbox, Receipt
from breakglass.tlog.note import SignerKey
from tests.kit.processes import LogSet, draft, running_log_set

ROOT = Path(__file__).resolve().parents[2]
EVIDENCE = b"evidence" * 100


@dataclass
class Exported:
    """A log of 600 entries, in three commits and some, and its copy."""

    log_set: LogSet
    folder: Path
    receipts: list[Receipt]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exported]:
    folder = tmp_path_factory.mktemp("export")
    with running_log_set(folder / "set") as log_set:
        (folder / "outbox").mkdir()
        outbox = Outbox(
            log_set.ledger.neighbour(), log_set.submitters[0], folder / "outbox", SystemClock()
        )
        receipts: list[Receipt] = []
        for start, count in ((0, 1), (1, 255), (256, 200), (456, 144)):
            drafts = [draft(f"n-{start + at}") for at in range(count)]
            receipts += outbox.append(drafts, timedelta(seconds=10))
        receipts += outbox.append([draft("with", attachments=(EVIDENCE,))], timedelta(seconds=10))
        outbox.close()
        size = export(
            log_set.ledger.folder,
            folder / "copy",
            policy_text=log_set.policy.text,
            trust=b"the trust file\n",
        )
        assert size == 601
        yield Exported(log_set, folder / "copy", receipts)


@pytest.fixture
def copy(exported: Exported, tmp_path: Path) -> Path:
    """A copy that may be altered."""
    return Path(shutil.copytree(exported.folder, tmp_path / "copy"))


def test_it_verifies_and_gives_every_entry_with_its_own_head(exported: Exported) -> None:
    progress: list[tuple[int, int]] = []
    head = verify_tree(
        exported.folder, exported.log_set.policy, lambda *each: progress.append(each)
    )
    assert (head.checkpoint.size, progress[-1]) == (601, (601, 601))
    entries = list(verify_heads(exported.folder, exported.log_set.policy, head.checkpoint))
    assert [entry.note for entry in entries] == [each.note for each in exported.receipts]
    for entry, receipt in zip(entries, exported.receipts, strict=True):
        assert receipt.proof.endswith(entry.head)
        assert "worm" in entry.cosigned
    assert verify_attachments(exported.folder, 601) == 1
    assert (exported.folder / "trust").read_bytes() == b"the trust file\n"


def test_the_layout_is_that_of_tlog_tiles(exported: Exported) -> None:
    names = {str(path.relative_to(exported.folder)) for path in exported.folder.rglob("*")}
    assert {
        "checkpoint", "policy", "trust", "heads",
        "tile/0/000", "tile/0/001", "tile/0/002.p/89", "tile/1/000.p/2",
        "tile/entries/000", "tile/entries/001", "tile/entries/002.p/89",
    } <= names  # fmt: skip


def test_the_address_gives_the_same_folder_as_the_journal(
    exported: Exported, tmp_path: Path
) -> None:
    given = {"policy_text": exported.log_set.policy.text, "trust": b"the trust file\n"}
    ledger = exported.log_set.ledger
    export(ledger.address, tmp_path / "other", signer=ledger.reader, **given)  # type: ignore[arg-type]
    for path in exported.folder.rglob("*"):
        if path.is_file():
            other = tmp_path / "other" / path.relative_to(exported.folder)
            assert other.read_bytes() == path.read_bytes(), path


def test_nothing_is_overwritten_and_nothing_half_done_is_left(
    exported: Exported, tmp_path: Path
) -> None:
    text = exported.log_set.policy.text
    with pytest.raises(RefusedError, match="already exists"):
        export(exported.log_set.ledger.folder, exported.folder, policy_text=text)
    with pytest.raises(UnavailableError):
        export("http://127.0.0.1:1", tmp_path / "never", policy_text=text)
    assert list(tmp_path.iterdir()) == []


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def test_an_altered_byte_names_its_entry(exported: Exported, copy: Path) -> None:
    bundle = copy / "tile" / "entries" / "001"
    at = sum(2 + len(each.note) for each in exported.receipts[256:300]) + 60
    flip(bundle, at)
    with pytest.raises(UnprovenError, match="entry 300 is not the one that was logged") as caught:
        verify_tree(copy, exported.log_set.policy)
    assert caught.value.name == "altered_entry"


@pytest.mark.parametrize(
    ("alter", "name"),
    [
        (lambda copy: flip(copy / "tile/0/001", 100), "altered_entry"),
        (lambda copy: flip(copy / "tile/1/000.p/2", 40), "altered_tile"),
        (lambda copy: (copy / "tile/0/000").unlink(), "missing"),
        (lambda copy: (copy / "tile/entries/002.p/89").unlink(), "missing"),
        (lambda copy: (copy / "checkpoint").unlink(), "missing"),
        (lambda copy: flip(copy / "checkpoint", 30), "log_signature"),
    ],
)
def test_every_altered_file_is_found(
    exported: Exported, copy: Path, alter: Callable[[Path], None], name: str
) -> None:
    alter(copy)
    with pytest.raises((UnprovenError, MalformedError)) as caught:
        verify_tree(copy, exported.log_set.policy)
    assert caught.value.name in (name, "bad_checkpoint")


def test_a_whole_rewritten_tree_has_another_root(exported: Exported, copy: Path) -> None:
    """Entry, tiles and all consistent with each other: the signed root still says no."""
    from breakglass.tlog.hashing import leaf_hash, root_of
    from breakglass.tlog.tiles import decode_bundle, encode_bundle

    bundle = copy / "tile/entries/000"
    entries = decode_bundle(bundle.read_bytes())
    entries[7] = entries[7].replace(b"n-7", b"n-X")
    bundle.write_bytes(encode_bundle(entries))
    leaves = [leaf_hash(entry) for entry in entries]
    (copy / "tile/0/000").write_bytes(b"".join(leaves))
    above = (copy / "tile/1/000.p/2").read_bytes()
    (copy / "tile/1/000.p/2").write_bytes(root_of(leaves) + above[32:])
    with pytest.raises(UnprovenError, match="do not lead to the root"):
        verify_tree(copy, exported.log_set.policy)


def test_another_log_or_too_few_cosigners_do_not_verify(exported: Exported) -> None:
    from breakglass.tlog.policy import parse_policy

    text = exported.log_set.policy.text
    stranger = SignerKey.generate(exported.log_set.log.name).verifier
    other = parse_policy(text.replace(str(exported.log_set.log.verifier), str(stranger)))
    with pytest.raises(UnprovenError):
        verify_tree(exported.folder, other)
    line = next(line for line in text.split("\n") if line.startswith("witness worm"))
    replaced = SignerKey.generate("archiver.example", 4).verifier
    with pytest.raises(UnprovenError, match="quorum"):
        verify_tree(exported.folder, parse_policy(text.replace(line, f"witness worm {replaced}")))


def test_heads_that_were_left_out_or_mixed_up_are_found(exported: Exported, copy: Path) -> None:
    head = verify_tree(copy, exported.log_set.policy).checkpoint
    data = (copy / "heads").read_bytes()
    length = 2 + int.from_bytes(data[:2], "big")
    for altered in (data[:length], data[length:] + data[:length], b""):
        (copy / "heads").write_bytes(altered)
        with pytest.raises(UnprovenError):
            list(verify_heads(copy, exported.log_set.policy, head))


def test_an_altered_or_missing_attachment_is_found(copy: Path) -> None:
    (file,) = (copy / "attachment").iterdir()
    file.write_bytes(b"other")
    with pytest.raises(UnprovenError, match="was altered"):
        verify_attachments(copy, 601)
    file.unlink()
    with pytest.raises(UnprovenError, match="cannot be read"):
        verify_attachments(copy, 601)


def go_verify(folder: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    binary = tmp_path / "go-verify"
    if not binary.exists():
        source = ROOT / "integrations" / "go-verify"
        built = subprocess.run(
            ["go", "build", "-o", str(binary), "."], cwd=source, capture_output=True, text=True
        )
        if "dial tcp" in built.stderr or "no such host" in built.stderr:
            pytest.skip("golang.org/x/mod cannot be fetched here")
        assert built.returncode == 0, built.stderr
    return subprocess.run([str(binary), str(folder)], capture_output=True, text=True)


@pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed")
def test_go_sumdb_verifies_it(copy: Path, tmp_path: Path) -> None:
    """A foreign implementation: golang.org/x/mod/sumdb tlog and note, with the policy beside."""
    found = go_verify(copy, tmp_path)
    assert found.returncode == 0, found.stderr
    assert re.search(r"601 entries, 3 levels?|601 entries", found.stdout)
    flip(copy / "tile" / "entries" / "000", 2000)
    found = go_verify(copy, tmp_path)
    assert found.returncode == 1
    assert "entry" in found.stderr
