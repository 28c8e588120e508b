"""``breakglass minter``: a new minter beside its target, and a look at whether it can work."""

from __future__ import annotations

import json
import secrets
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from breakglass.cli import output
from breakglass.cli.client import Client, find, takes_org
from breakglass.cli.next_trust import signs_trust_here
from breakglass.cli.own_trust import own_trust
from breakglass.errors import BreakglassError, MalformedError, MisconfiguredError

if TYPE_CHECKING:
    from breakglass.minter.platforms.ssh_host import SshHost
    from breakglass.operate.new_minter import NewMinter

ADD_EXAMPLE = """\
\b
Example:
  breakglass minter add orders-db --platform postgres --server 18 \\
    --dsn 'host=10.77.0.9 port=5432 dbname=orders' \\
    --template breakglass_orders_repair --right 'select, update on orders'
  breakglass minter add cache --platform command -- /opt/redis-minter
  breakglass minter add web --platform ssh \\
    --host 'web-1 10.77.0.9 22 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA…'
"""
CONFORM_EXAMPLE = """\
\b
Example:
  breakglass minter conform --role flush-checkout -- ./redis-minter
"""
CHECK_EXAMPLE = """\
\b
Example:
  breakglass minter check orders-db
"""
ROLE = "breakglass_minter"


@click.group(epilog=ADD_EXAMPLE)
def minter() -> None:
    """Make a minter for a database, hosts or a program of yours; try whether it can work."""


@minter.command(epilog=ADD_EXAMPLE, short_help="Make a minter: key, folder, settings, lines.")
@click.argument("name")
@click.argument("program", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--platform",
    type=click.Choice(["postgres", "command", "ssh"]),
    required=True,
    help="What the target is; command: whatever PROGRAM serves.",
)
@click.option(
    "--dsn",
    metavar="DSN",
    help="PostgreSQL, where: host, port, dbname. User and password are made if it has none.",
)
@click.option("--server", type=click.IntRange(1), metavar="N", help="PostgreSQL's major version.")
@click.option(
    "--template", "templates", multiple=True, metavar="ROLE", help="A role that a glass grants."
)
@click.option(
    "--right", "rights", multiple=True, metavar="SQL", help="What stands between GRANT and TO."
)
@click.option("--shut-public", is_flag=True, help="Also take CONNECT there from PUBLIC.")
@click.option(
    "--sql", type=click.Path(path_type=Path), metavar="FILE", help="Write the SQL there, 0600."
)
@click.option("--host", "hosts", multiple=True, metavar="LINE", help="NAME ADDRESS PORT KEY.")
@signs_trust_here
@takes_org
@output.says_json
def add(
    name: str,
    program: tuple[str, ...],
    platform: str,
    dsn: str | None,
    server: int | None,
    templates: tuple[str, ...],
    rights: tuple[str, ...],
    shut_public: bool,
    sql: Path | None,
    hosts: tuple[str, ...],
    sign_here: bool,
    org: str | None,
    as_json: bool,
) -> None:
    """Make the minter NAME, let it in at ledger and broker, and print the SQL for its target.

    Killed anywhere and typed again it goes on and ends the same. The password is made here and
    stays in the minter's settings; the SQL holds a verifier of it, from which nobody gets it back.
    With --platform command it calls PROGRAM, by the contract of docs/reference/command-minter.md.
    With --platform ssh its keys are made; type it again with more --host to add hosts.
    """
    from breakglass.cli.join_person import check_name
    from breakglass.cli.sign_statement import now
    from breakglass.operate.new_minter import MinterOrder, make_minter
    from breakglass.process.folder import write_whole

    check_name(name)
    client = find(org)
    folder = client.file.absolute().parent
    order = MinterOrder(folder, name, client.log, client.trust.read_bytes(), "")
    script, table = "", ""
    sql_words = bool(dsn or server or templates or rights or shut_public or sql)
    if platform != "ssh" and hosts:
        raise click.UsageError("--host is for --platform ssh")
    if platform == "command":
        if sql_words:
            raise click.UsageError("give the program alone, behind '--'")
        table = _command_table(program)
    elif platform == "ssh":
        if sql_words or program:
            raise click.UsageError("an SSH minter takes --host alone")
        from breakglass.cli import minter_ssh

        table = minter_ssh.TABLE
    else:
        if dsn is None or server is None or program:
            raise click.UsageError("a PostgreSQL minter takes --dsn and --server, and no program")
        whole = _whole_dsn(order.folder, dsn)
        script = _sql(server, whole, templates, rights, shut_public)
        table = f"\n[postgres]\ndsn = {json.dumps(whole)}\n"
    order = MinterOrder(folder, name, client.log, order.trust, f'platform = "{platform}"\n{table}')
    lines = _host_lines(hosts)
    made = make_minter(order, now())
    keys: dict[str, str] = {}
    if platform == "ssh":
        from breakglass.cli.minter_ssh import add_hosts, make_keys

        keys = dict(zip(("ca_key", "control_key"), make_keys(made.folder), strict=True))
        added = tuple(f"host {each}" for each in add_hosts(made.folder, lines))
        made = replace(made, changed=(*made.changed, *added))
    if sql is not None:
        write_whole(sql.absolute(), f"{script}\n".encode())
    signed = sign_line(client, made, sign_here)
    if as_json:
        output.tell_json(
            {
                "minter": name,
                "folder": str(made.folder),
                "listens": made.address,
                "trust_line": made.trust_line,
                "trusted": is_trusted(client, made.trust_line),
                "changed": made.changed,
                "sql": script,
                **keys,
            }
        )
        return
    changed = ", ".join(made.changed) or "nothing; it stood already"
    rows = [
        ("minter", f"{name}, at {made.address}; {made.folder}"),
        ("changed", changed),
        ("trust line", made.trust_line),
    ]
    rows += list(zip(("authority", "control"), keys.values(), strict=False))
    output.tell_rows([*rows, *signed])
    if script:
        click.echo(f"\n-- as an administrator of the database (PostgreSQL {server}), once:")
        click.echo(f"{script}\n" if sql is None else f"-- psql -f {sql}\n")
    if keys:
        output.talk("next, on each host: let it trust both keys, as docs/how-to/ssh.md shows;")
        output.talk("with each host's line, type this again: --host 'NAME ADDRESS PORT KEY'")
    _tell_next(client, made, name)


@minter.command(epilog=CHECK_EXAMPLE, short_help="Try what it will need at its target.")
@click.argument("name")
@takes_org
@output.says_json
def check(name: str, org: str | None, as_json: bool) -> None:
    """Try what the minter NAME will need: settings, target, trust, and whether it answers.

    Read on the minter's own host, where its settings are. Nothing is made at the target.
    """
    from breakglass.cli.minter_check import check_minter
    from breakglass.cli.sign_statement import now

    client = find(org)
    folder = client.file.absolute().parent / f"minter-{name}"
    try:
        told = client.broker("GET", "/glasses")["glasses"]
    except BreakglassError as error:
        told, asked = [], str(error)  # what the policy asks is one of many things that are tried
    else:
        asked = ""
    scopes = [
        {key: tuple(value) for key, value in each["scope"].items()}
        for glass in told
        for each in glass["mints"]
        if each["minter"] == name
    ]
    trust = own_trust(client)
    found = check_minter(folder, name, scopes, trust, now(), asked)
    if as_json:
        output.tell_json(
            {
                "minter": name,
                "findings": [
                    {"says": each.says, "hint": each.hint, "stops": each.stops} for each in found
                ],
            }
        )
    else:
        for each in found:
            output.tell_rows([("FAIL" if each.stops else "WARN", each.says)])
            if each.hint:
                output.tell_rows([("", f"fix: {each.hint}")])
        if not found:
            glasses = sum(1 for _ in scopes)
            output.tell_rows([("OK", f"'{name}' can mint: {glasses} scopes of glasses tried")])
    if any(each.stops for each in found):
        sys.exit(MisconfiguredError.exit_code)


@minter.command(epilog=CONFORM_EXAMPLE, short_help="Ask a program of yours what it owes.")
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option(
    "--role", "roles", multiple=True, required=True, metavar="ROLE", help="A role that it knows."
)
@click.option("--env", multiple=True, metavar="NAME=VALUE", help="Goes into its environment.")
@output.says_json
def conform(
    program: tuple[str, ...], roles: tuple[str, ...], env: tuple[str, ...], as_json: bool
) -> None:
    """Ask PROGRAM, at its real target, nine things that a platform owes.

    Each question makes accounts and takes them away again. The contract, and what is not asked, is
    docs/reference/command-minter.md.
    """
    from breakglass.cli.sign_statement import now
    from breakglass.minter.platforms.command import Command
    from breakglass.minter.platforms.conformance import Trial, ask_all
    from breakglass.minter.platforms.program import CommandSettings
    from breakglass.records.statement import grant_of_digest

    if any("=" not in each for each in env):
        raise click.UsageError("--env takes NAME=VALUE")
    run = (str(Path(program[0]).absolute()), *program[1:])
    told = dict(each.split("=", 1) for each in env)
    platform = Command(CommandSettings(run, environment=told))
    if not as_json:
        output.tell_rows([("target", platform.describe().target)])
    trial = Trial(
        platform,
        {"roles": tuple(sorted(set(roles)))},
        lambda: grant_of_digest(secrets.token_hex(32)),
        now,
    )
    answers = []
    for each in ask_all(trial):
        answers.append(each)
        if not as_json:
            output.tell_rows([("FAIL" if each.wrong else "OK", each.question)])
            if each.wrong:
                output.tell_rows([("", each.wrong)])
    if as_json:
        asked = [{"question": each.question, "wrong": each.wrong} for each in answers]
        output.tell_json({"target": platform.describe().target, "answers": asked})
    if any(each.wrong for each in answers):
        sys.exit(MisconfiguredError.exit_code)


def _command_table(program: tuple[str, ...]) -> str:
    from breakglass.minter.platforms.command import Command
    from breakglass.minter.platforms.program import CommandSettings

    # It has to describe itself before anything is made: a slip of the pen is said here.
    Command(CommandSettings(program))
    return f"\n[command]\nrun = {json.dumps(list(program))}\n"


def _host_lines(lines: tuple[str, ...]) -> list[SshHost]:
    from breakglass.minter.platforms.ssh_host import read_host

    return [read_host(each) for each in lines]


def _whole_dsn(folder: Path, dsn: str) -> str:
    """Return the connection string with user and password; those of an earlier run stay."""
    from psycopg.conninfo import make_conninfo

    from breakglass.minter.platforms.postgres_dsn import read_dsn
    from breakglass.operate.new_minter import settings_of

    asked = read_dsn(dsn)
    table = settings_of(folder).get("postgres", {})
    before = read_dsn(str(table.get("dsn", ""))) if isinstance(table, dict) else {}
    asked.setdefault("user", before.get("user") or ROLE)
    if "password" not in asked and "sslcert" not in asked:
        asked["password"] = before.get("password") or secrets.token_urlsafe(24)
    return make_conninfo("", **asked)


def _sql(
    server: int, dsn: str, templates: tuple[str, ...], rights: tuple[str, ...], shut_public: bool
) -> str:
    from breakglass.minter.platforms.postgres_dsn import read_dsn
    from breakglass.minter.platforms.postgres_setup import Template, setup_statements, setup_text
    from breakglass.minter.platforms.scram_verifier import scram_verifier

    where = read_dsn(dsn)
    database = where.get("dbname", "")
    if not database:
        raise MalformedError("the dsn names no database; add dbname=…")
    if rights and len(templates) != 1:
        raise MalformedError("--right belongs to one --template; give exactly one of these")
    made = tuple(
        Template(each, (database,), {database: rights} if rights else {}) for each in templates
    )
    password = where.get("password", "")
    verifier = scram_verifier(password) if password else ""
    found = setup_statements(server, where["user"], made, verifier, shut_public=shut_public)
    return setup_text(server, found)


def sign_line(client: Client, made: NewMinter, sign_here: bool) -> list[tuple[str, str]]:
    """Put the line of a new minter or surveyor in force here, if asked to; says what was done."""
    from breakglass.cli.next_trust import change_of
    from breakglass.records.trust_lines import next_text, with_submitter

    if not sign_here or is_trusted(client, made.trust_line):
        return []
    client.announce()
    change = change_of(client, sign_here=True)
    text = next_text(change.standing(), lambda lines: with_submitter(lines, made.trust_line))
    done = change.enact(text)
    said = f"trust file {done.version}, by {' and '.join(done.signed)}, entry {done.index}"
    return [("in force", said)]


def is_trusted(client: Client, line: str) -> bool:
    """Say whether the trust file at hand has this line."""
    return line in own_trust(client).text.splitlines()


def _tell_next(client: Client, made: NewMinter, name: str) -> None:
    if not is_trusted(client, made.trust_line):
        output.talk(f"next, a maintainer at home: breakglass trust next '{made.trust_line}'")
        output.talk("then each other maintainer: breakglass trust sign trust.next")
        output.talk("then one of them: breakglass trust activate trust.next")
    output.talk("then restart the broker, and start the minter ('breakglass up', or its unit)")
    output.talk(f"then try it: breakglass minter check {name}")
