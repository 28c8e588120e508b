"""A key that lay in clear is put under a passphrase, or taken out again; never both, never neither.

Each step leaves a folder whose settings name a key that is there. The process reads its key at its
start alone, so it may run meanwhile.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError
from breakglass.process.folder import SETTINGS, sync_folder, write_whole
from breakglass.process.key_store import KEPT, KEY, NEXT, Form, KeyStore, keeping_of
from breakglass.tlog.note import SignerKey, VerifierKey
from breakglass.tlog.sealed_key import SealedKey

_LINE = re.compile(r"[ \t]*key[ \t]*=")


def seal(folder: Path, credential: str = "") -> KeyStore:
    """Seal the keys of ``folder``; returns how they are kept now.

    Again after a crash it goes on where it was.

    Args:
        folder: of a process.
        credential: the systemd credential that holds the passphrase, now and at each start; if
            empty a person is asked, now and at each start.

    Raises:
        MisconfiguredError: the key is no plain file, or no passphrase is to be had.
        OSError: the disk refused; the key that the settings name is there.
    """
    before = keeping_of(folder)
    after = KeyStore.parse(folder, f"sealed:{credential}" if credential else "sealed")
    if before.form is Form.CREDENTIAL:
        raise MisconfiguredError(
            f"the key of {str(folder)!r} is a credential already; nothing was changed",
            name=ErrorName.SEALED_ALREADY,
        )
    if before.form is Form.FILE:
        passphrase = after.passphrase(before.verifier(), twice=True)
        for which in _standing(before):
            # (1) The sealed form, on disk and opened once more from there. A crash leaves it
            #     beside the plain key, which the settings still name.
            key = before.read(which)
            after.write(which, key, passphrase)
            SealedKey.parse(after.path(which).read_text("ascii")).opened(passphrase)
        # (2) From here each start takes the sealed form. A crash leaves the plain key too, which
        #     `key show` tells of and the same command again removes.
        _say_in_settings(after)
    return _without(KeyStore(folder), keeping_of(folder))


def unseal(folder: Path) -> KeyStore:
    """Put the keys of ``folder`` back in clear, 0600; returns how they are kept now.

    Raises:
        MisconfiguredError: they are not sealed, or do not open.
        OSError: as ``seal``.
    """
    before, after = keeping_of(folder), KeyStore(folder)
    if before.form is Form.CREDENTIAL:
        raise MisconfiguredError(
            f"the key of {str(folder)!r} is a credential, not a sealed file; nothing was changed",
            name=ErrorName.NOT_SEALED,
        )
    if before.form is Form.SEALED:
        passphrase = before.passphrase(before.verifier())
        for which in _standing(before):
            sealed = SealedKey.parse(before.path(which).read_text("ascii"))
            # (1) In clear, on disk; the settings still name the sealed one.
            after.write(which, sealed.opened(passphrase))
        # (2) From here each start takes the file. (3), below: the sealed one goes.
        _say_in_settings(after)
    return _without(KeyStore(folder, Form.SEALED), after)


def make_next(folder: Path) -> VerifierKey:
    """Make the key that is to follow, kept as the key is; one that is there stays.

    Raises:
        MisconfiguredError: the key is a credential, which is not ours to write; or no passphrase.
    """
    keeping = keeping_of(folder)
    if not keeping.stands(NEXT):
        old = keeping.verifier()
        phrase = keeping.passphrase(old) if keeping.form is Form.SEALED else b""
        keeping.write(NEXT, SignerKey.generate(old.name, old.kind), phrase)
    return keeping.verifier(NEXT)


def clear_copies(folder: Path) -> list[Path]:
    """Return plain key files that lie beside a key that is kept in another way."""
    keeping = keeping_of(folder)
    if keeping.form is Form.FILE:
        return []
    plain = KeyStore(folder)
    return [plain.path(which) for which in KEPT if plain.stands(which)]


def _standing(keeping: KeyStore) -> list[str]:
    return [which for which in KEPT if which == KEY or keeping.stands(which)]


def _without(gone: KeyStore, kept: KeyStore) -> KeyStore:
    """Remove the files of the form that the settings no longer name."""
    for which in KEPT:
        if not gone.stands(which):
            continue
        if not kept.stands(which) or gone.verifier(which) != kept.verifier(which):
            raise MisconfiguredError(
                f"{str(gone.path(which))!r} is another key than the one in use; it was left",
                name=ErrorName.OTHER_KEY,
                hint="look where it comes from, and remove it by hand",
            )
        gone.path(which).unlink()
    sync_folder(kept.folder)
    return kept


def _say_in_settings(keeping: KeyStore) -> None:
    path = keeping.folder / SETTINGS
    text = path.read_text("utf-8")
    lines = text.split("\n")
    tables = next(
        (at for at, line in enumerate(lines) if line.lstrip().startswith("[")), len(lines)
    )
    top = [line for line in lines[:tables] if not _LINE.match(line)]
    if keeping.form is not Form.FILE:
        top.insert(0, f'{KEY} = "{keeping}"')
    changed = "\n".join([*top, *lines[tables:]])
    wanted = tomllib.loads(text)
    wanted[KEY] = str(keeping)
    found = tomllib.loads(changed)
    found.setdefault(KEY, Form.FILE.value)
    if found != wanted:
        raise MisconfiguredError(
            f"{str(path)!r} is written so that the line 'key' cannot be put in; it was left",
            name=ErrorName.BAD_KEEPING,
            hint=f'write it yourself, above every table: key = "{keeping}"',
        )
    write_whole(path, changed.encode(), path.stat().st_mode & 0o777)
