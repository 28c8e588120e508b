"""``breakglass standing``: privileged access that no grant explains, and what could replace it."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import click

from breakglass.cli import output
from breakglass.cli.client import find, takes_org
from breakglass.cli.minter import is_trusted, sign_line
from breakglass.cli.next_trust import signs_trust_here

if TYPE_CHECKING:
    from breakglass.surveyor.inventory_store import InventoryStore

ADD_EXAMPLE = """\
\b
Example:
  breakglass standing add orders-db \\
    --dsn 'host=10.77.0.9 port=5432 dbname=orders'
"""
EXAMPLE = """\
\b
Example:
  breakglass standing scan orders-db
  breakglass standing show orders-db --days 90
"""
ROLE = "breakglass_surveyor"


@click.group(epilog=EXAMPLE)
def standing() -> None:
    """Show privileged access that stands without a grant; make who looks for it.

    Names are read on the surveyor's host, by who may read its folder; the ledger has counts alone.
    """


@standing.command(epilog=ADD_EXAMPLE, short_help="Make a surveyor beside a minter's target.")
@click.argument("target")
@click.option("--dsn", metavar="DSN", required=True, help="PostgreSQL: host, port, dbname.")
@click.option(
    "--database", "databases", multiple=True, metavar="NAME", help="That lets in who is told."
)
@click.option(
    "--sql", type=click.Path(path_type=Path), metavar="FILE", help="Write the SQL there, 0600."
)
@signs_trust_here
@takes_org
@output.says_json
def add(
    target: str,
    dsn: str,
    databases: tuple[str, ...],
    sql: Path | None,
    sign_here: bool,
    org: str | None,
    as_json: bool,
) -> None:
    """Make the surveyor of TARGET, a minter's name: folder, key, settings, and SQL for its role.

    Its role reads and can change nothing; it looks at nothing where that is not so. Typed again it
    changes nothing. The password is made here and stays in its settings.
    """
    from breakglass.cli.join_person import check_name
    from breakglass.cli.sign_statement import now
    from breakglass.minter.platforms.postgres_dsn import read_dsn
    from breakglass.minter.platforms.scram_verifier import scram_verifier
    from breakglass.operate.new_minter import MinterOrder, make_minter, settings_of
    from breakglass.process.folder import write_whole
    from breakglass.surveyor.postgres_setup import setup_statements

    check_name(target)
    client = find(org)
    place = client.file.absolute().parent
    order = MinterOrder(place, target, client.log, client.trust.read_bytes(), "", "surveyor")
    whole = _whole_dsn(dsn, settings_of(order.folder))
    table = f'platform = "postgres"\n\n[postgres]\ndsn = {json.dumps(whole)}\n'
    made = make_minter(MinterOrder(place, target, order.log, order.trust, table, "surveyor"), now())
    where = read_dsn(whole)
    verifier = scram_verifier(where["password"]) if "password" in where else ""
    named = list(dict.fromkeys([where["dbname"], *databases]))
    script = "".join(f"{each};\n" for each in setup_statements(where["user"], named, verifier))
    if sql is not None:
        write_whole(sql.absolute(), script.encode())
    signed = sign_line(client, made, sign_here)
    if as_json:
        output.tell_json(
            {
                "surveyor": target,
                "folder": str(made.folder),
                "listens": made.address,
                "trust_line": made.trust_line,
                "changed": made.changed,
                "sql": script,
            }
        )
        return
    output.tell_rows(
        [
            ("surveyor", f"of {target}, at {made.address}; {made.folder}"),
            ("changed", ", ".join(made.changed) or "nothing; it stood already"),
            ("trust line", made.trust_line),
            *signed,
        ]
    )
    click.echo(f"\n-- as a superuser, in database {where['dbname']}, once:")
    click.echo(script if sql is None else f"-- psql -f {sql}\n")
    if not is_trusted(client, made.trust_line):
        output.talk(f"next, a maintainer at home: breakglass trust next '{made.trust_line}'")
        output.talk("then each other maintainer signs, one activates; it takes kinds 3")
    output.talk("then start it ('breakglass up', or its unit), and look:")
    output.talk(f"breakglass standing scan {target}")


@standing.command(epilog=EXAMPLE, short_help="Have the surveyor look now, and show it.")
@click.argument("target")
@click.option("--days", default=30, show_default=True, metavar="N", help="Of the trend.")
@click.option(
    "--within", "within_s", default=120, show_default=True, metavar="SECONDS", help="Wait so long."
)
@takes_org
@output.says_json
def scan(target: str, days: int, within_s: int, org: str | None, as_json: bool) -> None:
    """Have the running surveyor of TARGET look now, record the counts, and show what stands."""
    from datetime import timedelta

    from breakglass.cli.sign_statement import now
    from breakglass.clock import Deadline
    from breakglass.errors import UnavailableError
    from breakglass.http.client import Peer

    folder = _folder(target, org)
    with Peer(folder, name=f"surveyor of {target}") as process:
        process.get("/healthz", within=timedelta(seconds=5))
    store = _store(folder)
    asked = now()
    store.ask(asked)
    for _ in Deadline(timedelta(seconds=within_s)).tries(0.2):
        newest = store.newest()
        if newest is not None and newest.taken_at >= asked:
            break
    else:
        raise UnavailableError(
            f"no survey of {target!r} within {within_s} s; it is still asked for",
            hint=f"why: {folder / 'data' / 'rings.log'}, and the process's own log",
        )
    _show(target, store, days, as_json)


@standing.command(epilog=EXAMPLE, short_help="Show the newest survey, and the trend.")
@click.argument("target")
@click.option("--days", default=30, show_default=True, metavar="N", help="Of the trend.")
@takes_org
@output.says_json
def show(target: str, days: int, org: str | None, as_json: bool) -> None:
    """Show what stands at TARGET without a grant, with the glass that could replace each."""
    _show(target, _store(_folder(target, org)), days, as_json)


def _whole_dsn(dsn: str, before: dict[str, object]) -> str:
    from psycopg.conninfo import make_conninfo

    from breakglass.errors import MalformedError
    from breakglass.minter.platforms.postgres_dsn import read_dsn

    asked = read_dsn(dsn)
    if not asked.get("dbname"):
        raise MalformedError("the dsn names no database; add dbname=…")
    table = before.get("postgres", {})
    kept = read_dsn(str(table.get("dsn", ""))) if isinstance(table, dict) else {}
    asked.setdefault("user", kept.get("user") or ROLE)
    if "password" not in asked and "sslcert" not in asked:
        asked["password"] = kept.get("password") or secrets.token_urlsafe(24)
    return make_conninfo("", **asked)


def _folder(target: str, org: str | None) -> Path:
    from breakglass.errors import MisconfiguredError
    from breakglass.process.folder import SETTINGS

    folder = find(org).file.absolute().parent / f"surveyor-{target}"
    if not (folder / SETTINGS).is_file():
        raise MisconfiguredError(
            f"no surveyor of {target[:60]!r} here: {str(folder)!r} is missing",
            hint="type this on its host, or make it: breakglass standing add TARGET --dsn DSN",
        )
    return folder


def _store(folder: Path) -> InventoryStore:
    from breakglass.errors import MisconfiguredError
    from breakglass.surveyor.app import SURVEYS
    from breakglass.surveyor.inventory_store import InventoryStore

    if not (folder / SURVEYS).exists():
        raise MisconfiguredError(
            f"the surveyor in {str(folder)!r} has never run",
            hint="start it: breakglass up, or its unit",
        )
    return InventoryStore(folder / SURVEYS)


def _show(target: str, store: InventoryStore, days: int, as_json: bool) -> None:
    from datetime import timedelta

    from breakglass.cli.sign_statement import now
    from breakglass.cli.standing_table import json_of, tell_survey
    from breakglass.errors import RefusedError

    newest = store.newest()
    if newest is None:
        raise RefusedError(
            f"{target!r} was not surveyed yet", hint=f"breakglass standing scan {target}"
        )
    trend = store.trend(now() - timedelta(days=days))
    if as_json:
        output.tell_json(json_of(newest, trend))
    else:
        tell_survey(newest, trend, now())
