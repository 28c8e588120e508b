"""``breakglass join``: a witness or the archiver on a second host, in one command there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from breakglass.cli import output
from breakglass.cli.client import find, takes_org
from breakglass.cli.join_person import invite, person
from breakglass.errors import MalformedError, MisconfiguredError

if TYPE_CHECKING:
    from breakglass.operate.host_join import Joined, Listening
    from breakglass.tlog.note import VerifierKey

LEDGER_EXAMPLE = """\
\b
Example, on the first host:
  breakglass join ledger --listen 10.77.0.1:8443
"""
WITNESS_EXAMPLE = """\
\b
Example, on the second host:
  breakglass join witness --out witness-1 --listen 10.77.0.2:8443 \\
    --log 'ledger.example/one+4ab1c2d3+AVkd…'
"""
ARCHIVER_EXAMPLE = """\
\b
Example, on the second host:
  breakglass join archiver --out archiver --listen 10.77.0.2:8444 \\
    --log 'ledger.example/one+4ab1c2d3+AVkd…' \\
    --ledger 'https://10.77.0.1:8443#5f0c…' --folder /srv/archive
  breakglass join archiver --out archiver --listen 10.77.0.2:8444 \\
    --log 'ledger.example/one+4ab1c2d3+AVkd…' \\
    --ledger 'https://10.77.0.1:8443#5f0c…' \\
    --s3 s3://example-breakglass-archive --region eu-central-1
"""


@click.group(epilog=WITNESS_EXAMPLE)
def join() -> None:
    """Join a person's laptop, or move a witness and the archiver to a second host."""


join.add_command(person)
join.add_command(invite)


@join.command(epilog=LEDGER_EXAMPLE, short_help="On the first host: let the second one in.")
@click.option("--listen", required=True, metavar="IP:PORT", help="Where the ledger listens then.")
@takes_org
@output.says_json
def ledger(listen: str, org: str | None, as_json: bool) -> None:
    """Give the ledger an address off this host, with TLS, and say what to type on the second.

    Nothing secret is in what it prints. Restart the ledger afterwards.
    """
    from breakglass.cli.own_trust import own_trust
    from breakglass.cli.sign_statement import now
    from breakglass.operate.host_join import read_endpoint
    from breakglass.operate.ledger_exposure import open_ledger

    client = find(org)
    folder = client.file.absolute().parent / "ledger"
    url = open_ledger(folder, *read_endpoint(listen), now())
    trust = own_trust(client)
    key = str(trust.tlog.logs[0].vkey)
    if as_json:
        output.tell_json({"ledger": url, "log": key})
        return
    output.tell_rows([("ledger", url), ("log", key)])
    output.talk("restart it: Ctrl-C where 'breakglass up' runs, and start it again")
    output.talk("next, on the second host, with an address of that host:")
    for room in ("witness --out witness-1", "archiver --out archiver"):
        more = f" --ledger '{url}' --folder DIR" if room.startswith("archiver") else ""
        output.talk(f"breakglass join {room} --listen IP:PORT --log '{key}'{more}")


def _common(command: Any) -> Any:
    for option in reversed(
        (
            click.option("--out", required=True, type=click.Path(path_type=Path), metavar="DIR",
                         help="Its folder; made here, 0700."),
            click.option("--log", "log", required=True, metavar="VKEY|FILE",
                         help="The log's public key, or a trust file that names it."),
            click.option("--listen", metavar="IP:PORT",
                         help="Where it listens.  [default: a free port of 127.0.0.1]"),
            click.option("--known-as", metavar="IP:PORT",
                         help="Under which address others reach it, if another."),
        )
    ):  # fmt: skip
        command = option(command)
    return output.says_json(command)


@join.command(epilog=WITNESS_EXAMPLE, short_help="On the second host: make a witness.")
@click.option(
    "--name",
    default="witness-1",
    show_default=True,
    metavar="PLACE",
    help="Whose place it takes in the trust file; a new name is one witness more.",
)
@_common
def witness(
    name: str, out: Path, log: str, listen: str | None, known_as: str | None, as_json: bool
) -> None:
    """Make a witness with a key of its own, and print the lines for the trust file.

    It sees heads only, never records. A second run prints the same and changes nothing.
    """
    from breakglass.operate.host_join import WITNESS

    keys, group = _log(log, name)
    _tell(_join(WITNESS, out, name, keys, _listening(listen, known_as), ""), group, as_json)


@join.command(epilog=ARCHIVER_EXAMPLE, short_help="On the second host: make the archiver.")
@click.option(
    "--name",
    default="archiver",
    show_default=True,
    metavar="PLACE",
    help="Whose place it takes in the trust file.",
)
@click.option(
    "--ledger",
    "ledger_url",
    required=True,
    metavar="URL",
    help="The ledger's address with its pin: attachments are fetched there.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Keep the archive in files here: out of reach of the first host only.",
)
@click.option(
    "--s3",
    metavar="s3://BUCKET[/PREFIX]",
    help="Keep it in a bucket with Object Lock: out of reach of everybody.",
)
@click.option("--region", metavar="NAME", help="Of the bucket.")
@click.option("--endpoint", metavar="URL", help="Of an S3 that is not AWS.")
@click.option("--path-style", is_flag=True, help="For an S3 that wants the bucket in the path.")
@click.option(
    "--credentials",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="AWS credentials file; else environment or instance role.",
)
@click.option(
    "--kept-days",
    type=int,
    metavar="N",
    help="For how long records are locked.  [default: seven years]",
)
@_common
def archiver(
    name: str,
    ledger_url: str,
    folder: Path | None,
    s3: str | None,
    region: str | None,
    endpoint: str | None,
    path_style: bool,
    credentials: Path | None,
    kept_days: int | None,
    out: Path,
    log: str,
    listen: str | None,
    known_as: str | None,
    as_json: bool,
) -> None:
    """Make an archiver with a key of its own, and print the lines for the trust file.

    A bucket is looked at first, and one that does not lock is refused: nothing is made then. A
    second run prints the same and changes nothing.
    """
    from breakglass.operate.bucket_check import check_bucket, s3_settings, s3_table
    from breakglass.operate.host_join import ARCHIVER

    if bool(folder) == bool(s3):
        raise MalformedError("an archive is in --folder PATH or in --s3 BUCKET: give one")
    if not ledger_url.startswith(("http://", "https://")):
        raise MalformedError(f"{ledger_url[:80]!r} is no address of a ledger")
    top = f'ledger = "{ledger_url}"\n'
    if s3:
        settings = s3_settings(s3, region, endpoint, path_style, credentials, kept_days)
        for each in check_bucket(settings):
            output.talk(f"{each.level:8} {each.what}")
        top += s3_table(settings)
    elif folder is not None:
        top += f'store = "{folder.absolute()}"\n'
    keys, group = _log(log, name)
    _tell(_join(ARCHIVER, out, name, keys, _listening(listen, known_as), top), group, as_json)


def _log(log: str, place: str) -> tuple[tuple[VerifierKey, ...], str]:
    """Return the log's keys and, if a trust file was given, the group line of the place."""
    from breakglass.operate.host_join import read_log_keys

    path = Path(log)
    if "+" in log and not path.exists():
        return read_log_keys(log), ""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MisconfiguredError(
            f"{log[:80]!r} is no log's key, and no file that can be read",
            hint="'breakglass join ledger' prints the key on the first host",
        ) from error
    groups = [line for line in text.splitlines() if line.startswith("group ")]
    return read_log_keys(text), next((each for each in groups if place in each.split()[3:]), "")


def _listening(listen: str | None, known_as: str | None) -> Listening | None:
    import ipaddress

    from breakglass.operate.host_join import Listening, read_endpoint

    if listen is None:
        return None
    host, port = read_endpoint(listen)
    if known_as is None and ipaddress.ip_address(host).is_unspecified:
        raise MalformedError(
            f"others cannot call {host!r}; say how they reach it: --known-as IP:PORT"
        )
    return Listening(host, port, *(read_endpoint(known_as) if known_as else (host, port)))


def _join(
    room: str,
    out: Path,
    name: str,
    keys: tuple[VerifierKey, ...],
    listening: Listening | None,
    settings: str,
) -> Joined:
    from breakglass.cli.sign_statement import now
    from breakglass.operate.host_join import HostJoin
    from breakglass.operate.host_join import join as make

    return make(HostJoin(room, out, name, keys, listening, settings), now())


def _tell(joined: Joined, group: str, as_json: bool) -> None:
    from breakglass.operate.host_join import ARCHIVER
    from breakglass.process.folder import write_whole

    second = f"archiver {joined.place}" if joined.room == ARCHIVER else group
    lines = [joined.witness_line, *([second] if second else [])]
    write_whole(joined.folder / "lines", "".join(f"{each}\n" for each in lines).encode(), 0o644)
    if as_json:
        output.tell_json(
            {
                "folder": str(joined.folder),
                "new": joined.new,
                "log": joined.origin,
                "url": joined.url,
                "trust_lines": lines,
                "neighbour": joined.neighbour_line,
                "start": joined.command,
            }
        )
        return
    made = "made" if joined.new else "stands"
    output.tell_rows(
        [
            (made, f"{joined.folder}, the folder of {joined.room} '{joined.place}'"),
            ("key", f"{joined.vkey.label}; it was made here and stays here"),
            ("serves", joined.origin),
        ]
    )
    click.echo("\nfor the trust file:")
    for each in lines:
        click.echo(each)
    if not second:
        click.echo(f"(and '{joined.place}' in one of its groups; 'trust next' sees to that)")
    click.echo("\nfor [neighbours] of the ledger, where its policy gives no address:")
    click.echo(joined.neighbour_line)
    click.echo("")
    output.talk(f"start it here: {joined.command}")
    output.talk(f"the lines for the trust file stand in {joined.folder}/lines")
    output.talk("next, on the first host, with that file: breakglass trust next FILE")
