"""A log that follows another one, whose key was stolen: what is known good of it is carried over.

The new log's genesis names two attachments: the old log's last good head with its cosignatures, and
the trust file under which that head is proven. Every later trust file pins the genesis, and so
them. The first trust file says it once more, for verifiers that see no log (`succeeds`).
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from breakglass.cli.verify_copy import Audited, Progress, audit
from breakglass.clock import to_milliseconds
from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, RefusedError, UnprovenError
from breakglass.ledger.verifier import root_at
from breakglass.process.folder import make_folder, sync_folder, write_synced
from breakglass.records.encoding.text_types import ZERO_DIGEST
from breakglass.records.kinds.genesis import Genesis
from breakglass.records.record import Attachment, Envelope, Record, record_text
from breakglass.records.trust import Succession, Trust, accept_trust, parse_trust
from breakglass.tlog.note import Note, SignerKey, sign_note
from breakglass.tlog.proof import ProvenHead, verify_head

TRUST_NEXT = "trust.next"


@dataclass(frozen=True)
class Succeeded:
    """What was prepared; ``lost`` is how many records of the copy lie behind the head."""

    folder: Path
    key: SignerKey
    head: ProvenHead
    lost: int


@dataclass(frozen=True)
class Link:
    """A log that provably follows another; ``behind`` entries of that one's copy are nobody's."""

    said: Succession
    behind: int


def succeed(
    out: Path,
    origin: str,
    head: bytes,
    copy: Path,
    trust: bytes,
    like: Path,
    now: datetime,
    progress: Progress,
) -> Succeeded:
    """Prepare the folder of a new log, and what its maintainers sign.

    Args:
        out: must not exist; appears when it is complete.
        origin: the new log's name, another one.
        head: the old log's last good head with its cosignatures, as it was kept.
        copy: of the old log, which leads to that head.
        trust: a trust file of the old log that came to us on another way.
        like: the old ledger's folder; its settings and submitters are taken over, not its key.
        now: the time of the genesis.
        progress: as ``audit``.

    Raises:
        RefusedError: ``exists``.
        MisconfiguredError: ``same_origin``.
        UnprovenError: the head is not proven, or the copy does not lead to it.
    """
    if out.exists():
        raise RefusedError(
            f"{str(out)!r} already exists; nothing was written", name=ErrorName.EXISTS
        )
    # (1) The copy holds, under the trust files of its own time; and so we know the last of them.
    audited = audit(copy, trust, progress)
    believed, begun = audited.state.governance.trust, audited.state.governance.begun
    if believed is None or begun is None:
        raise UnprovenError("the copy is of a log that never began", name=ErrorName.NO_TRUST)
    if believed.names_log(origin):
        raise MisconfiguredError(
            f"{origin!r} is the log that is given up; nothing was written",
            name=ErrorName.SAME_ORIGIN,
            hint="name the new log otherwise: its old name stays with the stolen key",
        )
    # (2) The head: signed by the log, seen by a quorum, and where the copy leads.
    proven = verify_head(head, believed.tlog)
    size, root = proven.checkpoint.size, proven.checkpoint.root
    if root_at(copy, size) != root:
        raise UnprovenError(
            f"the copy does not lead to the head of size {size}; nothing was written",
            name=ErrorName.ANOTHER_HISTORY,
            hint="one of the two is the thief's: compare with the witnesses and the archive",
        )
    # (3) All of it in a draft; a crash leaves that, which the next try removes.
    key = SignerKey.generate(origin)
    body: Genesis = begun.body
    note = _trust_note(copy, believed)
    files = _bootstrap(key, body.organisation, believed, (head, note), now)
    genesis = hashlib.sha256(Note.parse(files["bootstrap/genesis"]).text.encode()).hexdigest()
    said = Succession(proven.checkpoint.origin, believed.genesis, size, root.hex())
    files[TRUST_NEXT] = successor_text(believed, key, genesis, said).encode()
    files |= _ledger(like, believed, key)
    _write(out, files)
    return Succeeded(out, key, proven, audited.state.size - size)


def successor_text(before: Trust, key: SignerKey, genesis: str, said: Succession) -> str:
    """Return the new log's first trust file: the old one's, but for the log and what follows."""
    single = {"version": "version 1", "genesis": f"genesis {genesis}"}
    lines, placed = [], False
    for line in before.text.splitlines():
        word = line.split(" ")[0]
        if word == "succeeds" or (word == "log" and placed):
            continue
        placed = placed or word == "log"
        lines.append(f"log {key.verifier}" if word == "log" else single.get(word, line))
    lines.append(f"succeeds {said.origin} {said.genesis} {said.size} {said.root}")
    text = "\n".join([*lines, ""])
    parse_trust(text)
    return text


def check_link(new: Audited, copy: Path, old_copy: Path, progress: Progress) -> Link:
    """Check that a verified log follows another one, up to the head that its genesis holds.

    Args:
        new: the newer log, audited.
        copy: its copy.
        old_copy: a copy of the older one.
        progress: as ``audit``.

    Raises:
        UnprovenError: ``no_succession``, it follows none; ``another_history``, the copies do not
            meet; or what ``audit`` says of the older copy.
    """
    begun: Record[Genesis] | None = new.state.governance.begun
    said = new.state.governance.trust.succeeds if new.state.governance.trust else None
    if begun is None or said is None or len(begun.attachments) != 2:
        raise UnprovenError("this log follows no other one", name=ErrorName.NO_SUCCESSION)
    # ``audit`` has checked that these have the digests that the genesis, and so the log, pins.
    head, note = ((copy / "attachment" / each.digest).read_bytes() for each in begun.attachments)
    before = accept_trust(Note.parse(note), None)
    checkpoint = verify_head(head, before.tlog).checkpoint
    found = Succession(checkpoint.origin, before.genesis, checkpoint.size, checkpoint.root.hex())
    if found != said:
        raise UnprovenError(
            "the genesis holds another head than the trust file says", name=ErrorName.NO_SUCCESSION
        )
    old = audit(old_copy, note, progress)
    if root_at(old_copy, said.size).hex() != said.root:
        raise UnprovenError(
            f"the older copy does not lead to the head of size {said.size}",
            name=ErrorName.ANOTHER_HISTORY,
        )
    return Link(said, old.state.size - said.size)


def _bootstrap(
    key: SignerKey, organisation: str, before: Trust, attached: tuple[bytes, ...], now: datetime
) -> dict[str, bytes]:
    body = Genesis(organisation, dict(before.maintainers), before.maintainers_needed)
    envelope = Envelope(key.name, "genesis", to_milliseconds(now), 0, ZERO_DIGEST)
    named = tuple(map(Attachment.of, attached))
    # A note needs a line. The broker signs the same text as its own first record; this one says
    # only who prepared it.
    note = sign_note(record_text(envelope, body, named), key)
    files = {"bootstrap/genesis": note.encoded()}
    return files | {
        f"bootstrap/{each.digest}": data for each, data in zip(named, attached, strict=True)
    }


def _trust_note(copy: Path, believed: Trust) -> bytes:
    """Find the signed file of the trust in force among the copy's attachments."""
    for path in sorted((copy / "attachment").iterdir()):
        data = path.read_bytes()
        if data.startswith(believed.text.encode()):
            return data
    raise UnprovenError("the copy lacks its trust file", name=ErrorName.MISSING)


def _ledger(like: Path, before: Trust, key: SignerKey) -> Mapping[str, bytes]:
    tlog = {"witness", "group", "quorum"}
    lines = [line for line in before.text.splitlines() if line.split(" ")[0] in tlog]
    policy = "\n".join([f"log {key.verifier}", *lines, ""])
    try:
        settings = (like / "settings.toml").read_text("utf-8")
        submitters = (like / "submitters").read_bytes()
    except OSError as error:
        raise MisconfiguredError(
            f"{str(like)!r} is no ledger's folder: {error.strerror}; nothing was written",
            hint="name the old ledger's: --like FOLDER",
        ) from error
    kept = [line for line in settings.split("\n") if not line.startswith(("key ", "key="))]
    return {
        "ledger/key": f"{key.encoded()}\n".encode(),
        "ledger/settings.toml": "\n".join(kept).encode(),
        "ledger/submitters": submitters,
        "ledger/policy": policy.encode(),
    }


def _write(out: Path, files: Mapping[str, bytes]) -> None:
    draft = out.with_name(f".{out.name}.partial")
    shutil.rmtree(draft, ignore_errors=True)
    for name, data in files.items():
        make_folder((draft / name).parent)
        write_synced(draft / name, data)
    make_folder(draft / "ledger" / "data")
    for folder in (draft / "ledger", draft / "bootstrap", draft):
        sync_folder(folder)
    os.rename(draft, out)
    sync_folder(out.absolute().parent)
