"""A person's laptop joins an organisation: addresses from the broker, trust from the genesis.

Whoever answers is not believed: the fingerprint, which people compare on two screens, names the
genesis; the genesis names the maintainers of the first trust file, and each file those of the
next. The addresses confer no trust: whatever comes from there is checked by that file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import (
    MalformedError,
    MisconfiguredError,
    RefusedError,
    UnavailableError,
    UnprovenError,
)
from breakglass.http.client import Peer
from breakglass.node.first_trust import first_trust
from breakglass.operate.client_toml import client_toml
from breakglass.operate.trust_copies import follow
from breakglass.process.folder import make_folder, sync_folder, write_synced, write_whole
from breakglass.records.trust import Trust
from breakglass.records.trust_handover import check_carried
from breakglass.tlog.note import Note

CLIENT, TRUST, PUBLIC = "client.toml", "trust", "key.pub"
_GROUP = 4


@dataclass(frozen=True)
class Place:
    """What a broker says of its organisation: public, and not believed by itself."""

    broker: str
    log: str
    ledger: str
    monitor: str


def fingerprint(genesis: str) -> str:
    """Write the digest of a genesis so that two people can compare it aloud.

    >>> fingerprint("5f0c" * 16)[:14]
    '5f0c-5f0c-5f0c'
    """
    return "-".join(genesis[at : at + _GROUP] for at in range(0, len(genesis), _GROUP))


def read_fingerprint(text: str) -> str:
    """Read what ``fingerprint`` wrote, however it was grouped and copied.

    Raises:
        MalformedError: no 64 digits of hexadecimal.
    """
    digits = "".join(text.split()).replace("-", "").replace(":", "").lower()
    if len(digits) != 64 or set(digits) - set("0123456789abcdef"):
        raise MalformedError(
            f"{text[:100]!r} is no fingerprint: 64 digits 0-9 and a-f, with or without '-'"
        )
    return digits


def ask_broker(broker: str) -> Place:
    """Ask a broker where its organisation's ledger and monitor are.

    Raises:
        UnavailableError: it does not answer, or not in that form.
    """
    with Peer(broker, name=f"broker at {broker.partition('#')[0]}") as peer:
        told = peer.get("/join").json()
    found = [told.get(each) for each in ("log", "ledger", "monitor")]
    if not all(isinstance(each, str) and each.isprintable() and each for each in found):
        raise UnavailableError(
            "the broker's answer to /join makes no sense", name=ErrorName.NONSENSE
        )
    return Place(broker, *map(str, found))


def follow_trust(ledger: Peer, broker: Peer, genesis: str) -> tuple[Trust, bytes]:
    """Return the newest trust file of the log with this genesis, and its bytes.

    Args:
        ledger: shows how the log began.
        broker: hands on the trust files, each signed by the maintainers of the one before.
        genesis: the fingerprint that was compared.

    Raises:
        UnprovenError: ``wrong_fingerprint``, another log; or a file that its maintainers did not
            sign.
        UnavailableError: one of them does not answer.
    """
    entries = [str(each).encode() for each in ledger.get("/genesis").json().get("entries", ())]
    if len(entries) < 2:
        raise UnavailableError("the log has not begun", name=ErrorName.NOT_BEGUN)
    found = genesis_digest(entries[0])
    if found != genesis:
        raise UnprovenError(
            f"the log has the fingerprint {fingerprint(found)}, not {fingerprint(genesis)}; nothing"
            " was written",
            name=ErrorName.WRONG_FINGERPRINT,
            hint="compare it with a maintainer's screen ('breakglass join invite'); where they"
            " differ somebody stands between you and the ledger",
        )
    first, *later = _trust_files(broker)

    def attachment(digest: str) -> bytes:
        if hashlib.sha256(first).hexdigest() != digest:
            raise UnprovenError(
                f"the broker does not give trust file {digest[:12]}, with which the log began;"
                " nothing was written",
                name=ErrorName.TRUST_GENESIS,
            )
        return first

    # What is kept is always the bytes that were proven last, whatever else a broker hands on.
    newest, data = first_trust(genesis, entries, attachment), first
    for follower, trust in follow(newest, _notes(later)):
        with contextlib.suppress(RefusedError):
            # One that its own maintainers did not sign could not be read again from the file.
            check_carried(follower, trust)
            newest, data = trust, follower.encoded()
    return newest, data


def write_client_folder(
    folder: Path, place: Place, trust: bytes, who: str, key: Path | str
) -> bool:
    """Write a person's folder, whole or not at all; returns whether it is new.

    Args:
        folder: new, or of an earlier run for the same person and log, which is brought up to date.
        place: from ``ask_broker``.
        trust: from ``follow_trust``.
        who: the person's handle.
        key: the path of their key, or the one line of a public key that the agent holds.

    Raises:
        MisconfiguredError: ``not_empty``: the folder holds something else. Nothing was changed.
    """
    public = f"{key} {who}\n" if isinstance(key, str) else ""
    text = client_toml(
        who,
        Path(PUBLIC) if public else Path(key),
        place.log,
        {each: getattr(place, each) for each in ("broker", "monitor", "ledger")},
        state="state",
    )
    files = {TRUST: trust, CLIENT: text.encode()} | ({PUBLIC: public.encode()} if public else {})
    if folder.exists() and any(folder.iterdir()):
        _check_same(folder, who, place.log)
        for name, data in reversed(files.items()):
            write_whole(folder / name, data)
        return False
    draft = folder.with_name(f".{folder.name}.joining")
    make_folder(folder.parent)
    shutil.rmtree(draft, ignore_errors=True)  # of a run that was cut off
    draft.mkdir(0o700)
    for name, data in files.items():
        write_synced(draft / name, data)
    sync_folder(draft)
    # A crash before this leaves no folder of that name, behind it the whole one.
    os.rename(draft, folder)
    sync_folder(folder.parent)
    return True


def genesis_digest(note: bytes) -> str:
    """Return the digest by which entry 0 names its log."""
    return hashlib.sha256(Note.parse(note).text.encode()).hexdigest()


def _trust_files(broker: Peer) -> list[bytes]:
    """Give every trust file that took force, in order, the first one at least.

    Raises:
        UnavailableError: there is none, or the answer makes no sense.
    """
    found: list[bytes] = []
    while True:
        told = broker.get(f"/trust?after={len(found)}").json()
        files = told.get("files")
        if not isinstance(files, list) or not (files or found):
            raise UnavailableError(
                "the broker's answer to /trust makes no sense", name=ErrorName.NONSENSE
            )
        found += [str(each).encode() for each in files]
        if not told.get("more") or not files:
            return found


def _notes(files: Iterable[bytes]) -> Iterator[Note]:
    """Read what are notes; what is none is passed over, as a file that nobody signed is."""
    for each in files:
        with contextlib.suppress(MalformedError):
            yield Note.parse(each)


def _check_same(folder: Path, who: str, log: str) -> None:
    try:
        text = (folder / CLIENT).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        text = ""
    if f"who = {json.dumps(who)}\n" not in text or f"log = {json.dumps(log)}\n" not in text:
        raise MisconfiguredError(
            f"{str(folder)!r} holds something else; nothing was changed",
            name=ErrorName.NOT_EMPTY,
            hint="name a new folder: --out DIR",
        )
