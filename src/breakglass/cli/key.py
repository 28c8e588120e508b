"""``breakglass key``: how a process keeps its key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from breakglass.cli import speaking

if TYPE_CHECKING:
    from breakglass.wire.keeping import Keeping

SHOW_EXAMPLE = """\
\b
Example:
  breakglass key show org/ledger
"""
SEAL_EXAMPLE = """\
\b
Example:
  breakglass key seal org/ledger
  breakglass key seal org/ledger --credential breakglass-ledger
"""
UNSEAL_EXAMPLE = """\
\b
Example:
  breakglass key unseal org/ledger
"""


@click.group(epilog=SHOW_EXAMPLE)
def key() -> None:
    """Show, seal and replace the keys of processes."""


@key.command(epilog=SHOW_EXAMPLE)
@click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))
@speaking.says_json
def show(folder: Path, as_json: bool) -> None:
    """Say whose key FOLDER holds and how it is kept; never the key."""
    from breakglass.wire.keeping import keeping_of
    from breakglass.wire.sealing import clear_copies

    _tell(keeping_of(folder), clear_copies(folder), as_json)


@key.command(epilog=SEAL_EXAMPLE)
@click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option(
    "--credential",
    default="",
    metavar="NAME",
    help="The systemd credential with the passphrase, now and at each start.",
)
@speaking.says_json
def seal(folder: Path, credential: str, as_json: bool) -> None:
    """Put the key in FOLDER under a passphrase.

    It is asked for here, and at each start, or is the credential NAME. The process may run
    meanwhile; it reads its key at its start alone.
    """
    from breakglass.wire.sealing import seal as put_under

    _tell(put_under(folder, credential), [], as_json)
    speaking.talk("the plain file is gone; a backup or a copy of the disk may still hold it")


@key.command(epilog=UNSEAL_EXAMPLE)
@click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))
@speaking.says_json
def unseal(folder: Path, as_json: bool) -> None:
    """Put the sealed key in FOLDER back into a plain file, 0600."""
    from breakglass.wire.sealing import unseal as take_out

    _tell(take_out(folder), [], as_json)


def _tell(keeping: Keeping, clear: list[Path], as_json: bool) -> None:
    from breakglass.wire.keeping import NEXT

    now = keeping.verifier()
    following = keeping.verifier(NEXT) if keeping.stands(NEXT) else None
    if as_json:
        told: dict[str, object] = {
            "name": now.name,
            "id": now.key_id.hex(),
            "vkey": str(now),
            "kept": str(keeping),
            "next": None if following is None else str(following),
            "clear_copies": [str(each) for each in clear],
        }
        speaking.tell_json(told)
        return
    rows = [
        ("key", now.label),
        ("vkey", str(now)),
        ("kept", f'{_IN_WORDS[keeping.form.value]} (key = "{keeping}")'),
    ]
    if following is not None:
        rows.append(("next", str(following)))
    rows += [("in clear", f"{each} lies there too: run `key seal` again") for each in clear]
    speaking.tell_rows(rows)


_IN_WORDS = {
    "file": "in a plain file, 0600",
    "sealed": "in a file under a passphrase",
    "credential": "as a systemd credential",
}
