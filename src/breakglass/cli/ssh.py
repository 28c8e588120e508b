"""``breakglass ssh``, ``scp`` and ``rsync``: OpenSSH's and rsync's own programs, by one grant."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from breakglass.cli import output
from breakglass.cli.client import find, takes_org
from breakglass.cli.completed_names import GRANT

if TYPE_CHECKING:
    from pathlib import Path

    from breakglass.cli.ssh_hosts import GrantedHosts

SSH_EXAMPLE = """\
\b
Example:
  breakglass ssh g-7kq3m2x4p5ab
  breakglass ssh g-7kq3m2x4p5ab web-1
  breakglass ssh g-7kq3m2x4p5ab deploy@web-1 -- systemctl status shop
  breakglass ssh g-7kq3m2x4p5ab web-1 --forward 5432:localhost:5432
"""
SCP_EXAMPLE = """\
\b
Example:
  breakglass scp g-7kq3m2x4p5ab web-1:/var/log/shop.log .
"""
RSYNC_EXAMPLE = """\
\b
Example:
  breakglass rsync g-7kq3m2x4p5ab -a web-1:/etc/shop/ shop/
"""
_EVERYTHING: dict[str, Any] = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.command(epilog=SSH_EXAMPLE, context_settings={"ignore_unknown_options": True})
@click.argument("grant", type=GRANT)
@click.argument("host", required=False, metavar="[[ACCOUNT@]HOST]")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--forward",
    "forwards",
    multiple=True,
    metavar="[ADDRESS:]PORT:HOST:PORT",
    help="Reach HOST:PORT from here; the glass must allow it.",
)
@click.option("--tty", is_flag=True, help="Give COMMAND a terminal, as a shell gets one.")
@takes_org
def ssh(
    grant: str,
    host: str | None,
    command: tuple[str, ...],
    forwards: tuple[str, ...],
    tty: bool,
    org: str | None,
) -> None:
    """Open a shell on a HOST of GRANT, or run COMMAND there; without HOST: list the hosts.

    It ends when the grant ends, and the host ends whatever is left there. Your own ssh
    configuration, keys, agent and known hosts are not used: the minter signed where each host is
    and which key it must show. Nothing is written down but names and public keys, while it runs.
    """
    with _begun(grant, org) as (hosts, config, run):
        if host is None:
            output.tell_rows(
                [(each.name, f"{each.address} port {each.port}") for each in hosts.hosts.values()]
                + [("accounts", ", ".join(hosts.accounts))]
            )
            return
        told = [word for each in forwards for word in ("-L", each)]
        words = ["ssh", "-F", str(config), *told, *(["-t"] if tty else []), "--"]
        code = run([*words, hosts.place(host), *command])
    sys.exit(code)


@click.command(epilog=SCP_EXAMPLE, context_settings=_EVERYTHING)
@click.argument("grant", type=GRANT)
@click.argument("arguments", nargs=-1, required=True, type=click.UNPROCESSED)
@takes_org
def scp(grant: str, arguments: tuple[str, ...], org: str | None) -> None:
    """Copy files to or from a host of GRANT; ARGUMENTS are scp's, [ACCOUNT@]HOST:PATH among them.

    As with 'breakglass ssh', nothing of your own ssh configuration is used.
    """
    with _begun(grant, org) as (_, config, run):
        code = run(["scp", "-F", str(config), *arguments])
    sys.exit(code)


@click.command(epilog=RSYNC_EXAMPLE, context_settings=_EVERYTHING)
@click.argument("grant", type=GRANT)
@click.argument("arguments", nargs=-1, required=True, type=click.UNPROCESSED)
@takes_org
def rsync(grant: str, arguments: tuple[str, ...], org: str | None) -> None:
    """Copy trees to or from a host of GRANT; ARGUMENTS are rsync's, [ACCOUNT@]HOST:PATH among them.

    As with 'breakglass ssh', nothing of your own ssh configuration is used.
    """
    with _begun(grant, org) as (_, config, run):
        from breakglass.cli.ssh_hosts import remote_shell

        code = run(["rsync", "-e", remote_shell(config), *arguments])
    sys.exit(code)


@contextlib.contextmanager
def _begun(
    grant: str, org: str | None
) -> Iterator[tuple[GrantedHosts, Path, Callable[[list[str]], int]]]:
    """Open the grant's certificate; yields its hosts, a configuration, and what runs a command."""
    from breakglass.cli.credential import cleared
    from breakglass.cli.run import begin, run_until_end
    from breakglass.cli.ssh_hosts import hosts_at_hand

    client = find(org)
    begun = begin(client, grant)
    with hosts_at_hand(begun) as (hosts, config):
        environment = {**cleared(os.environ, "ssh"), "BREAKGLASS_GRANT": grant}
        yield hosts, config, lambda words: run_until_end(client, begun, words, environment)
