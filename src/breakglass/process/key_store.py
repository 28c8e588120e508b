"""How a process folder keeps its key, and the one way in which every process reads it.

The line ``key`` of ``settings.toml`` says how:

```
key = "file"                  the file ``key``, 0600, in clear; so also without the line
key = "sealed"                the file ``key.sealed``; its passphrase is asked for at a terminal
key = "sealed:NAME"           likewise; the passphrase is the systemd credential NAME
key = "credential:NAME"       the key itself is the systemd credential NAME
```

A key that is to take the place of this one is kept in the same way under ``key.next`` (a credential
under ``NAME.next``); ``key.past`` lists the public halves of those before it.

Source of ``$CREDENTIALS_DIRECTORY``: systemd.exec(5), «Credentials».
"""

from __future__ import annotations

import getpass
import os
import re
import sys
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MalformedError, MisconfiguredError, reason
from breakglass.process.folder import SETTINGS, sync_folder, write_whole
from breakglass.tlog.note import Signer, SignerKey, VerifierKey
from breakglass.tlog.sealed_key import SealedKey

KEY, NEXT, PAST = "key", "key.next", "key.past"
DOOR_KEY = "door-key"  # a broker's second submitter key, for door intents alone
KEPT = (KEY, NEXT, DOOR_KEY)  # all of a folder's keys are kept in one way
CREDENTIALS = "CREDENTIALS_DIRECTORY"
_CREDENTIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", re.ASCII)
_BYTES_AT_MOST = 4096


class Form(StrEnum):
    """How a key is kept."""

    FILE = "file"
    SEALED = "sealed"
    CREDENTIAL = "credential"


@dataclass(frozen=True)
class KeyStore:
    """How one folder keeps its keys.

    Attributes:
        folder: of the process.
        form: see the module.
        credential: the credential's name; empty if a person is asked, or none is needed.
    """

    folder: Path
    form: Form = Form.FILE
    credential: str = ""

    @classmethod
    def parse(cls, folder: Path, text: str) -> KeyStore:
        """Read the value of the line ``key``.

        Raises:
            MisconfiguredError: ``bad_keeping``; none of the forms.
        """
        word, colon, name = text.partition(":")
        named = {Form.FILE: not colon, Form.SEALED: True, Form.CREDENTIAL: bool(colon)}
        form = next((each for each in Form if each.value == word), None)
        if form is None or not named[form] or (colon and not _CREDENTIAL.fullmatch(name)):
            raise MisconfiguredError(
                f"{str(folder / SETTINGS)!r}: 'key' is {text[:40]!r}, wanted 'file', 'sealed',"
                " 'sealed:NAME' or 'credential:NAME'; not started",
                name=ErrorName.BAD_KEEPING,
            )
        return cls(folder, form, name)

    def __str__(self) -> str:
        return f"{self.form.value}:{self.credential}" if self.credential else self.form.value

    def path(self, which: str = KEY) -> Path:
        """Return the file that holds the key, or its credential."""
        if self.form is Form.CREDENTIAL:
            return _credentials() / which.replace(KEY, self.credential, 1)
        return self.folder / (f"{which}.sealed" if self.form is Form.SEALED else which)

    def stands(self, which: str) -> bool:
        """Say whether there is such a key at all."""
        return self.path(which).is_file()

    def read(self, which: str = KEY) -> SignerKey:
        """Read a key.

        Raises:
            MisconfiguredError: no such file or credential, others may read it, it is no key, or
                it does not open. No message and no cause quotes what was read.
        """
        path = self.path(which)
        text = _private_text(path, credential=self.form is Form.CREDENTIAL)
        if self.form is Form.SEALED:
            sealed = _sealed(path, text)
            try:
                return sealed.opened(self.passphrase(sealed.verifier))
            except BreakglassError as error:
                raise MisconfiguredError(
                    f"{str(path)!r}: {error}; not started", name=error.name
                ) from error
        try:
            return SignerKey.parse(text.strip())
        except MalformedError as error:  # which quotes nothing, and has no cause that would
            raise MisconfiguredError(
                f"{str(path)!r} holds no PRIVATE+KEY text; not started"
            ) from error

    def verifier(self, which: str = KEY) -> VerifierKey:
        """Return the public half; of a sealed key as it stands in clear, without a passphrase.

        Raises:
            MisconfiguredError: as ``read``.
        """
        if self.form is Form.SEALED:
            path = self.path(which)
            return _sealed(path, _private_text(path, credential=False)).verifier
        return self.read(which).verifier

    def write(self, which: str, key: SignerKey, passphrase: bytes = b"") -> None:
        """Keep a key; whole and on disk when this returns, or not there.

        Args:
            which: ``KEY`` or ``NEXT``.
            key: the key.
            passphrase: of a sealed one.

        Raises:
            MisconfiguredError: ``credential``; we write none, systemd does.
            OSError: the disk refused.
        """
        if self.form is Form.CREDENTIAL:
            raise MisconfiguredError(
                f"credential {which.replace(KEY, self.credential, 1)!r} is not ours to write",
                name=ErrorName.CREDENTIAL,
                hint="make it where systemd keeps them: systemd-creds encrypt --name=NAME",
            )
        text = f"{key.encoded()}\n"
        if self.form is Form.SEALED:
            text = SealedKey.of(key, passphrase).encoded()
        write_whole(self.path(which), text.encode(), 0o600)

    def promote(self) -> None:
        """Let the next key take the place of this one; on disk when this returns.

        Raises:
            MisconfiguredError: ``credential``.
            OSError: nothing changed.
        """
        if self.form is Form.CREDENTIAL:
            raise MisconfiguredError(
                f"credentials {self.credential!r} and '{self.credential}.next' are not ours to"
                " change; nothing was changed",
                name=ErrorName.CREDENTIAL,
                hint=f"make the next one {self.credential!r} in the unit, and take '.next' away",
            )
        # (1) What the old key signed stays true: who examines it later needs its public half.
        #     A crash behind this leaves both keys, and a name among the past ones too early.
        old = self.verifier()
        if old not in self.past():
            lines = [str(each) for each in (*self.past(), old)]
            write_whole(self.folder / PAST, "".join(f"{each}\n" for each in lines).encode())
        # (2) From here the next key is the key. There is no moment without one.
        os.replace(self.path(NEXT), self.path(KEY))
        sync_folder(self.folder)

    def past(self) -> list[VerifierKey]:
        """Return the public halves of this folder's keys before this one, the oldest first.

        Raises:
            MisconfiguredError: the file ``key.past`` cannot be read.
        """
        try:
            lines = (self.folder / PAST).read_text("ascii").splitlines()
            return [VerifierKey.parse(line) for line in lines]
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError, MalformedError) as error:
            raise MisconfiguredError(
                f"{str(self.folder / PAST)!r} cannot be read: {reason(error)}"
            ) from error

    def passphrase(self, of: VerifierKey | None = None, *, twice: bool = False) -> bytes:
        """Return the passphrase: the credential, or what a person types.

        Args:
            of: whose, for the question.
            twice: ask again, before something is sealed with it.

        Raises:
            MisconfiguredError: no such credential, or nobody is at a terminal.
        """
        if self.credential:
            text = _private_text(_credentials() / self.credential, credential=True)
            return text.removesuffix("\n").encode()
        whose = f"the key of {of.name!r}" if of else "the key"
        if not sys.stdin.isatty():
            raise MisconfiguredError(
                f"the passphrase of {whose} cannot be asked for: nobody is at a terminal;"
                " not started",
                name=ErrorName.NO_PASSPHRASE,
                hint='let systemd give it: key = "sealed:NAME" and LoadCredentialEncrypted=NAME',
            )
        typed = getpass.getpass(f"passphrase of {whose}: ")
        if twice and getpass.getpass("the same again: ") != typed:
            raise MisconfiguredError(
                "the two differ; nothing was changed", name=ErrorName.NO_PASSPHRASE
            )
        return typed.encode()


def keeping_of(folder: Path) -> KeyStore:
    """Return how ``folder`` keeps its key; a folder without the line, or settings, has a file.

    Raises:
        MisconfiguredError: ``settings.toml`` cannot be read, or the line is of another form.
    """
    path = folder / SETTINGS
    try:
        value = tomllib.loads(path.read_text("utf-8")).get(KEY, Form.FILE.value)
    except FileNotFoundError:
        return KeyStore(folder)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MisconfiguredError(
            f"{str(path)!r} cannot be read: {reason(error)}; not started"
        ) from error
    return KeyStore.parse(folder, value if isinstance(value, str) else str(value))


def read_key(folder: Path) -> SignerKey:
    """Read the key of the process in ``folder``; every process does it here.

    Raises:
        MisconfiguredError: see ``KeyStore.read``.
    """
    return keeping_of(folder).read()


def read_next_key(folder: Path) -> Signer | None:
    """Read the key that is to take its place, if there is one.

    Raises:
        MisconfiguredError: see ``KeyStore.read``; or ``next_key``: it has another name or kind, or
            it is the same key.
    """
    keeping = keeping_of(folder)
    if not keeping.stands(NEXT):
        return None
    key, now = keeping.read(NEXT), keeping.verifier()
    if (key.name, key.kind) != (now.name, now.kind) or key.verifier.public == now.public:
        raise MisconfiguredError(
            f"{str(keeping.path(NEXT))!r} is {key.verifier.label!r}, which cannot follow"
            f" {now.label!r}: the name and the kind stay, and the key is another; not started",
            name=ErrorName.NEXT_KEY,
        )
    return key


def read_signers(folder: Path) -> tuple[Signer, ...]:
    """Read the key, and behind it the next one if there is one: who signs with both for a while.

    Raises:
        MisconfiguredError: see ``read_key`` and ``read_next_key``.
    """
    following = read_next_key(folder)
    return (read_key(folder), *([following] if following else []))


def _credentials() -> Path:
    folder = os.environ.get(CREDENTIALS, "")
    if not folder:
        raise MisconfiguredError(
            f"no credentials are here: ${CREDENTIALS} is not set; not started",
            name=ErrorName.NO_CREDENTIAL,
            hint="start it by systemd, with LoadCredentialEncrypted= in the unit",
        )
    return Path(folder)


def _private_text(path: Path, *, credential: bool) -> str:
    try:
        mode = path.stat().st_mode & 0o777
        with path.open("rb") as file:
            text = file.read(_BYTES_AT_MOST + 1)
    except OSError as error:
        raise MisconfiguredError(
            f"{str(path)!r} cannot be read: {reason(error)}; not started"
        ) from error
    # systemd lets a unit's user in by an access list, which shows as the group's bits.
    if mode & (0o007 if credential else 0o077):
        raise MisconfiguredError(
            f"{str(path)!r} has mode {mode:04o}, wanted 0600; not started",
            hint=f"if nobody else can have read it: chmod 0600 {path}; otherwise make a new key",
        )
    # Decoded so that no failure can carry the bytes.
    if len(text) > _BYTES_AT_MOST or not text.isascii():
        raise MisconfiguredError(f"{str(path)!r} holds no key; not started")
    return text.decode("ascii")


def _sealed(path: Path, text: str) -> SealedKey:
    try:
        return SealedKey.parse(text)
    except MalformedError as error:
        raise MisconfiguredError(f"{str(path)!r}: {error}; not started", name=error.name) from error
