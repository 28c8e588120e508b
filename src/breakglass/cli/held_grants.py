"""What a responder holds of a grant: a key made for it, the answer, nothing for others to read.

Each grant is a folder ``grants/<id>`` in the client's state, 0700: ``holder`` and ``holder.pub``,
the signed statement, the broker's answer. The credential itself is never written down: it stays
sealed in the answer and is opened in memory, by the holder key, when it is used.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from breakglass.cli.sign_statement import now
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, MisconfiguredError, UnavailableError, reason
from breakglass.person import ssh_keygen
from breakglass.process.folder import write_whole
from breakglass.records.presentation import Presentation, presentation_text
from breakglass.records.statement import Do, digest_of, parse_request

if TYPE_CHECKING:
    from breakglass.records.card import Card

NAMESPACE = "breakglass-token@v1"


@dataclass(frozen=True)
class Held:
    """A grant's folder on this machine."""

    grant: str
    folder: Path

    @property
    def statement(self) -> dict[str, Any]:
        """Return the signed statement as it was sent."""
        return _read(self.folder / "statement.json")

    @property
    def answer(self) -> dict[str, Any]:
        """Return what the broker answered; empty if its answer never came."""
        path = self.folder / "answer.json"
        return _read(path) if path.exists() else {}

    @property
    def asked(self) -> dict[str, Any]:
        """Return what people are asked under: the card's times; empty if nobody was asked."""
        path = self.folder / "asked.json"
        return _read(path) if path.exists() else {}

    @property
    def waited(self) -> timedelta:
        """Return how long after the statement its grant may begin: people may have to answer."""
        return timedelta(seconds=self.asked.get("wait_s", 0))

    @property
    def longest(self) -> datetime:
        """Return when what was asked for is over at the latest, by the statement itself."""
        from breakglass.records.handout import longest_end

        return longest_end(parse_request(self.statement["text"]), self.waited)

    @property
    def again(self) -> str:
        """Return what is typed to go on from here."""
        if parse_request(self.statement["text"]).do is Do.ASK:
            return f"breakglass ask --again {self.grant}"
        return f"breakglass break --again {self.grant}"

    def keep_asked(self, card: Card) -> None:
        """Keep that people are asked, and for how long they may be waited for.

        Raises:
            MisconfiguredError: ``not_kept``; the disk refused.
        """
        _write(self.folder / "asked.json", _asked(card))

    def keep_answer(self, answer: dict[str, Any]) -> None:
        """Keep the broker's answer."""
        _write(self.folder / "answer.json", answer)

    def present(self, log: str, door: str, run: str) -> dict[str, str]:
        """Sign a presentation with the holder key: this grant, to this door, for this run."""
        digest = digest_of(self.statement["text"])
        text = presentation_text(Presentation(log, digest, door, run, now()))
        key = ssh_keygen.read_key(self.folder / "holder")
        return {"text": text, "sshsig": ssh_keygen.sign(text, NAMESPACE, key)}

    def unseal(self, sealed: str) -> dict[str, Any]:
        """Open a credential that was sealed to the holder key.

        Raises:
            UnavailableError: it was sealed to another key, or is no credential.
        """
        import pyrage

        identity = pyrage.ssh.Identity.from_buffer((self.folder / "holder").read_bytes())
        try:
            value = json.loads(pyrage.decrypt(base64.b64decode(sealed), [identity]))
        except (pyrage.DecryptError, ValueError):
            value = None  # raised below, outside: the cause could quote what was opened
        if not isinstance(value, dict):
            raise UnavailableError(
                f"the credential of {self.grant!r} does not open with its holder key",
                name=ErrorName.NOT_SEALED_TO_US,
            )
        return value


def begin(state: Path) -> tuple[Path, str]:
    """Make the key of a grant that has no id yet; returns its folder and public line."""
    grants = state / "grants"
    folder = grants / f".new-{os.urandom(8).hex()}"
    try:
        grants.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise _unwritten(folder, error) from error
    return folder, ssh_keygen.make_key(folder / "holder", "breakglass holder key")


def settle(folder: Path, grant: str, signed: dict[str, Any], asked: Card | None = None) -> Held:
    """Give the folder its grant's name, with the statement inside: before anything is sent.

    Args:
        folder: of ``begin``.
        grant: its id.
        signed: the statement.
        asked: the card, where people are asked first.

    Raises:
        MisconfiguredError: ``not_kept``; the disk refused.
    """
    if asked is not None:
        _write(folder / "asked.json", _asked(asked))
    _write(folder / "statement.json", signed)
    final = folder.with_name(grant)
    try:
        folder.rename(final)
    except OSError as error:
        raise _unwritten(final, error) from error
    return Held(grant, final)


def _asked(card: Card) -> dict[str, Any]:
    return {"need": card.need, "silence_s": card.silence_s, "wait_s": card.wait_s}


def abandon(folder: Path) -> None:
    """Drop a key that no statement names."""
    shutil.rmtree(folder, ignore_errors=True)


def held(state: Path, grant: str) -> Held:
    """Return the folder of a grant that this machine holds.

    Raises:
        MalformedError: it is no grant's name.
        MisconfiguredError: its key is not here.
    """
    folder = state / "grants" / grant
    if not grant.startswith("g-"):
        raise MalformedError(
            f"{grant!r} is not a grant (g- and twelve characters)", hint="see: breakglass status"
        )
    if "/" in grant or grant.startswith(".") or not (folder / "holder").is_file():
        raise MisconfiguredError(
            f"the key of grant {grant!r} is not on this machine ({str(state)!r})",
            name=ErrorName.NOT_HELD,
            hint="only the machine that broke the glass holds its key; see: breakglass status",
        )
    return Held(grant, folder)


def all_held(state: Path) -> list[Held]:
    """Return every grant that this machine holds a key of, the newest first."""
    folders = [path for path in (state / "grants").glob("g-*") if (path / "holder").is_file()]
    folders.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    return [Held(path.name, path) for path in folders]


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise MisconfiguredError(f"{str(path)!r} cannot be read: {reason(error)}") from error
    if not isinstance(value, dict):
        raise MisconfiguredError(f"{str(path)!r} is not what a command of ours wrote")
    return value


def _write(path: Path, value: dict[str, Any]) -> None:
    try:
        write_whole(path, json.dumps(value).encode())
    except OSError as error:
        raise _unwritten(path, error) from error


def _unwritten(path: Path, error: OSError) -> MisconfiguredError:
    return MisconfiguredError(
        f"{str(path)!r} cannot be written: {error.strerror or error}",
        name=ErrorName.NOT_KEPT,
        hint="make room, or name another folder: 'state' in client.toml, or XDG_STATE_HOME",
    )
