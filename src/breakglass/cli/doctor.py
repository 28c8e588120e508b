"""``breakglass doctor``: who holds what, who could still do what, and what this does not give."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from breakglass.cli import output
from breakglass.cli.client import find, takes_org
from breakglass.cli.doctor_without import LOST, tell_without

if TYPE_CHECKING:
    from breakglass.operate.doctor import Examined

EXAMPLE = """\
\b
Example:
  breakglass doctor --org org/
  breakglass doctor --without ledger --glass orders-repair
"""
_COLUMNS = 80


@click.command(epilog=EXAMPLE)
@click.option(
    "--without",
    type=click.Choice(LOST),
    metavar="PROCESS",
    help="Rehearse the loss of ledger, monitor, archiver or broker, in a twin. Minutes.",
)
@click.option("--glass", default="", metavar="G", help="Rehearse this glass alone.")
@takes_org
@output.says_json
def doctor(without: str | None, glass: str, org: str | None, as_json: bool) -> None:
    """Say who holds which key, who could still erase what, and the next cheapest step.

    Looked at from this host: what lies elsewhere is known by its address alone.

    --without starts a twin on this machine, with your policy and generated keys,
    and breaks every glass of it while that process is ended. Nothing of yours is
    called or cut.
    """
    from breakglass.cli.sign_statement import now
    from breakglass.operate.doctor import Weight, examine

    client = find(org)
    if without:
        tell_without(client.file.absolute().parent, without, glass, as_json)
        return
    if glass:
        raise click.UsageError("--glass belongs to --without")
    found = examine(client.file.absolute().parent, client.who, client.key, now())
    if as_json:
        output.tell_json(_json(found))
    else:
        _tell(found)
    if any(each.weight is Weight.FAIL for each in found.findings):
        sys.exit(6)


def _tell(found: Examined) -> None:
    if found.installation is not None:
        _tell_keys(found)
        click.echo("")
        rows = [(each.what, each.said, each.noticed) for each in found.powers]
        output.tell_wrapped(
            ("what could be done", "who could", "noticed by"), rows, (22, 25), _COLUMNS
        )
    click.echo("")
    for each in found.findings:
        output.tell_rows([(each.weight.value, each.says)])
        if each.step:
            output.tell_rows([("", f"fix: {each.step}")])
    if found.step is not None:
        click.echo("")
        output.tell_rows([("next", found.step.says)])
        if found.step.command:
            output.tell_rows([("", found.step.command)])


def _tell_keys(found: Examined) -> None:
    """Print the keys, those of one host and account together."""
    assert found.installation is not None
    groups: dict[tuple[str, str], list[str]] = {}
    for each in found.installation.holdings:
        groups.setdefault((each.host, each.account or "-"), []).append(each.party)
    rows = [(host, account, ", ".join(names)) for (host, account), names in groups.items()]
    archive = found.installation.archive
    if archive.where:
        lock = "locked" if archive.locked else "not locked"
        rows.append((archive.host, "-", f"the archive itself, {archive.where} ({lock})"))
    width = max(11, *(len(host) for host, _, _ in rows))
    account = max(7, *(len(each) for _, each, _ in rows))
    output.tell_wrapped(("host", "account", "holds the keys of"), rows, (width, account), _COLUMNS)


def _json(found: Examined) -> dict[str, Any]:
    installation = found.installation
    return {
        "keys": [asdict(each) for each in installation.holdings] if installation else [],
        "archive": asdict(installation.archive) if installation else None,
        "powers": [asdict(each) for each in found.powers],
        "next": asdict(found.step) if found.step else None,
        "findings": [
            {
                "weight": each.weight.value,
                "name": each.name,
                "says": each.says,
                "step": each.step,
            }
            for each in found.findings
        ],
    }
