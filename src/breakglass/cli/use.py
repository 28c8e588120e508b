"""``breakglass use``: which ``client.toml`` counts, said by the person."""

from __future__ import annotations

import os

import click

from breakglass.cli import output

EXAMPLE = """\
\b
Example:
  breakglass use
  breakglass use org/
"""


@click.command(epilog=EXAMPLE, short_help="Allow a folder's client.toml for your commands.")
@click.argument("folder", required=False, metavar="[FOLDER]")
@click.option("--forget", is_flag=True, help="Allow it no longer.")
@output.says_json
def use(folder: str | None, forget: bool, as_json: bool) -> None:
    """Allow the client.toml of FOLDER (or the file itself) and use it from now on.

    It says who you are, whom to ask, and which programs to run: read it first. It is used in its
    folder and below, and elsewhere if it was the last one. When it changes it is refused until
    you type this again. Without FOLDER: what is allowed.
    """
    from breakglass.cli import used_files

    if folder is None:
        if forget:
            raise click.UsageError("say which folder: use --forget FOLDER")
        _tell_allowed(as_json)
        return
    if forget:
        _forget(folder, as_json)
        return
    from breakglass.cli.client import parse
    from breakglass.cli.client_file import named

    path, data = named(folder)
    client = parse(path, data)
    used_files.remember(path, data)
    place = used_files.placed(path)
    if as_json:
        output.tell_json({"file": str(place), "who": client.who, "log": client.log})
        return
    bells = [("rings", each) for each in (client.door_webhook, client.door_command) if each]
    brokers = ", ".join(map(str, client.brokers))
    output.tell_rows(
        [
            ("in use", f"{place}, until it changes"),
            ("you are", f"{client.who}, with key {client.key}"),
            ("log", client.log),
            ("broker", brokers),
            ("trust", str(client.trust)),
            *bells,
        ]
    )


def _tell_allowed(as_json: bool) -> None:
    from breakglass.cli.used_files import digest, used_files

    rows = []
    for file, wanted in reversed(used_files().items()):
        try:
            state = "allowed" if digest(file.read_bytes()) == wanted else "changed"
        except OSError as error:
            state = (error.strerror or "unreadable").lower()
        rows.append((state, str(file)))
    if as_json:
        output.tell_json({"files": [{"file": file, "state": state} for state, file in rows]})
    elif rows:
        output.tell_rows(rows)
    else:
        output.talk("nothing is allowed yet: breakglass use FOLDER")


def _forget(folder: str, as_json: bool) -> None:
    from breakglass.cli.client_file import FILE, expanded
    from breakglass.cli.used_files import forget

    path = expanded(folder)
    # A folder that is gone was meant as one too.
    known = forget(path) if os.path.isfile(path) else forget(path / FILE) or forget(path)
    if as_json:
        output.tell_json({"forgotten": known})
    else:
        output.talk(f"{folder!r} {'is no longer allowed' if known else 'was not allowed'}")
