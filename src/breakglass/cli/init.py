"""``breakglass init``: a whole organisation in one folder."""

from __future__ import annotations

from pathlib import Path

import click

from breakglass.cli import output

EXAMPLE = """\
\b
Example:
  breakglass init org/
  breakglass init org/ --as mira --key ~/.ssh/id_ed25519_sk
"""


@click.command(epilog=EXAMPLE)
@click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option("--as", "who", default="", metavar="NAME", help="Your name in it; else your login.")
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Your SSH key, or its .pub if the agent holds it; else the agent's first, else ~/.ssh.",
)
@click.option("--organisation", default="try-out.example", show_default=True, metavar="NAME")
@click.option(
    "--custodians",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Generate N custodians, two needed, who approve grants while the ledger is down.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="IP",
    help="Where every process listens; off loopback with TLS. It stays at each start.",
)
@click.option(
    "--base-port",
    type=click.IntRange(1024, 65000),
    metavar="PORT",
    help="The first of their ports, one after the other.  [default: free ones, once]",
)
@output.says_json
def init(
    folder: Path,
    who: str,
    key: Path | None,
    organisation: str,
    custodians: int,
    host: str,
    base_port: int | None,
    as_json: bool,
) -> None:
    """Make an organisation in FOLDER: keys, settings, trust and a starter policy.

    Everything in it is real; that all of it lies on one machine is what `breakglass doctor` is
    about. Your commands use it from now on, as after `breakglass use FOLDER`.
    """
    from breakglass.cli.own_path import typed
    from breakglass.cli.sign_statement import now
    from breakglass.embedded.init import WHY_ONLY_FOR_TRYING
    from breakglass.embedded.quickstart import Where, make
    from breakglass.operate.person_join import fingerprint

    where = Where(host, base_port or 0, _taken_ports())
    made = make(folder, organisation, who, key, now(), output.talk, custodians, where)
    if as_json:
        output.tell_json(
            {
                "folder": str(made.folder),
                "fingerprint": fingerprint(made.genesis),
                "maintainers": made.maintainers,
                "processes": made.processes,
                "gates": made.gates,
                "glasses": made.glasses,
                "custodians": made.custodians,
            }
        )
    else:
        output.tell_rows(
            [
                ("made", f"{made.folder} ({len(made.processes)} processes, each with its own key)"),
                ("policy", f"glass {', '.join(made.glasses)}; signed, in {made.folder}/bundle"),
                ("signed by", " and ".join(made.maintainers)),
                ("fingerprint", fingerprint(made.genesis)),
            ]
        )
    if made.custodians:
        output.talk(
            f"{len(made.custodians)} custodians were generated, in {made.folder}/keys/custodians:"
            " give each folder to a person, on a machine of their own, who types there:"
            " breakglass use FOLDER"
        )
    output.talk(f"for trying out only: {WHY_ONLY_FOR_TRYING}")
    output.talk(
        "two of two maintainers sign: one lost key, and nobody can change anything. A third, on"
        " paper: breakglass trust maintainer add third --paper --sign-here. Give each person a"
        " second key as well"
    )
    _use(made.folder)
    output.talk(f"next: breakglass up --org {typed(made.folder)}")


def _taken_ports() -> frozenset[int]:
    """Return the ports of the organisations here that this person used; they may not run now."""
    from breakglass.cli.used_files import used_files
    from breakglass.errors import MisconfiguredError
    from breakglass.operate.fixed_address import ports_of

    try:
        folders = {file.parent for file in used_files()}
    except MisconfiguredError:
        return frozenset()  # without a home folder nothing is remembered
    return frozenset(port for each in folders for port in ports_of(each).values())


def _use(folder: Path) -> None:
    """Allow what was just made; the organisation stands also if that cannot be remembered."""
    from breakglass.cli.client_file import FILE, contents
    from breakglass.cli.used_files import remember
    from breakglass.errors import MisconfiguredError

    try:
        remember(folder / FILE, contents(folder / FILE))
    except MisconfiguredError as error:
        output.talk(f"{error.message}; {error.hint}")
