"""``breakglass key``: how a process keeps its key, and how another takes its place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from breakglass.cli import output
from breakglass.cli.client import find, takes_org

if TYPE_CHECKING:
    from breakglass.process.key_store import KeyStore

ROTATE_EXAMPLE = """\
\b
Example:
  breakglass key rotate ledger
  breakglass key rotate ledger --finish
"""
NEXT_EXAMPLE = """\
\b
Example:
  breakglass key next org/broker --party broker --log ledger.example/one
"""
TURN_EXAMPLE = """\
\b
Example:
  breakglass key turn /srv/breakglass/broker
"""
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
@output.says_json
def show(folder: Path, as_json: bool) -> None:
    """Say whose key FOLDER holds and how it is kept; never the key."""
    _show(folder, as_json)


@key.command(epilog=SEAL_EXAMPLE)
@click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option(
    "--credential",
    default="",
    metavar="NAME",
    help="The systemd credential with the passphrase, now and at each start.",
)
@output.says_json
def seal(folder: Path, credential: str, as_json: bool) -> None:
    """Put the key in FOLDER under a passphrase.

    It is asked for here, and at each start, or is the credential NAME. The process may run
    meanwhile; it reads its key at its start alone.
    """
    from breakglass.process.key_sealing import seal as put_under

    _tell(put_under(folder, credential), [], as_json)
    output.talk("the plain file is gone; a backup or a copy of the disk may still hold it")


@key.command(epilog=UNSEAL_EXAMPLE)
@click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))
@output.says_json
def unseal(folder: Path, as_json: bool) -> None:
    """Put the sealed key in FOLDER back into a plain file, 0600."""
    from breakglass.process.key_sealing import unseal as take_out

    _tell(take_out(folder), [], as_json)


@key.command(epilog=ROTATE_EXAMPLE, short_help="Replace the key of a party of this organisation.")
@click.argument("party", metavar="PARTY")
@click.option("--finish", is_flag=True, help="Let the old key go.")
@click.option("--anyway", is_flag=True, help="With --finish: even if a live grant stops working.")
@takes_org
@output.says_json
def rotate(party: str, finish: bool, anyway: bool, org: str | None, as_json: bool) -> None:
    """Replace the key of PARTY, a folder of an organisation that runs here.

    First the new key stands beside the old one and either is accepted; --finish removes the old
    one. Maintainers sign both steps. After a crash, type the same again.
    """
    from breakglass.cli.next_trust import change_of
    from breakglass.operate.key_rotation import Rotation

    client = find(org)
    client.announce()
    rotation = Rotation(change_of(client, sign_here=True), party.rstrip("/"))
    version = rotation.finish(anyway=anyway) if finish else rotation.begin()
    if as_json:
        told = [{"step": step, "what": what} for step, what in rotation.done]
        output.tell_json({"party": rotation.party, "trust_version": version, "done": told})
        return
    output.tell_rows(rotation.done)
    if finish:
        output.talk(f"whoever has trust file {version} no longer accepts the old key")
        return
    output.talk(f"bring trust file {version} to every gate: put it over its file 'trust'")
    output.talk(f"then, when no older grant lives: breakglass key rotate {party} --finish")


@key.command("next", epilog=NEXT_EXAMPLE, short_help="Make the key that is to follow this one.")
@click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option("--party", required=True, metavar="P", help="log, witness:NAME, or a role.")
@click.option("--log", required=True, metavar="ORIGIN", help="The log that it is for.")
@output.says_json
def next_(folder: Path, party: str, log: str, as_json: bool) -> None:
    """Make the next key in FOLDER; with --json, print what both keys sign about it.

    Nothing changes until the process starts again: then a ledger, a witness and an archiver sign
    with both. What is printed is for maintainers (trust activate --key FILE); it is no secret.
    """
    from dataclasses import asdict

    from breakglass.process.key_sealing import make_next
    from breakglass.process.key_store import KEY, NEXT, keeping_of
    from breakglass.records.key_rollover import Handover
    from breakglass.records.kinds.key import KeyHandedOver

    make_next(folder)
    if not as_json:
        _show(folder, as_json)
        return
    keeping = keeping_of(folder)
    old, new = keeping.read(KEY), keeping.read(NEXT)
    handover = Handover(log, party, old.verifier, new.verifier)
    output.tell_json(asdict(KeyHandedOver.of(handover, old, new, 1)))


@key.command(epilog=TURN_EXAMPLE, short_help="Make the next key the key; stop the process first.")
@click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))
@output.says_json
def turn(folder: Path, as_json: bool) -> None:
    """Make the next key in FOLDER its key; the process must be stopped.

    What a broker, minter, monitor or gate still has to say is said under the old key first; if the
    ledger does not take it, the old key stays. A ledger must have signed a head with both.
    """
    from breakglass.cli.key_rollover import turned

    turned(folder)
    _show(folder, as_json)


def _show(folder: Path, as_json: bool) -> None:
    from breakglass.process.key_sealing import clear_copies
    from breakglass.process.key_store import keeping_of

    _tell(keeping_of(folder), clear_copies(folder), as_json)


def _tell(keeping: KeyStore, clear: list[Path], as_json: bool) -> None:
    from breakglass.process.key_store import NEXT

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
        output.tell_json(told)
        return
    rows = [
        ("key", now.label),
        ("vkey", str(now)),
        ("kept", f'{_IN_WORDS[keeping.form.value]} (key = "{keeping}")'),
    ]
    if following is not None:
        rows.append(("next", str(following)))
    rows += [("in clear", f"{each} lies there too: run `key seal` again") for each in clear]
    output.tell_rows(rows)


_IN_WORDS = {
    "file": "in a plain file, 0600",
    "sealed": "in a file under a passphrase",
    "credential": "as a systemd credential",
}
