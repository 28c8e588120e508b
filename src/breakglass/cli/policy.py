"""``breakglass policy``: check, explain, sign and activate the rules."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from breakglass.cli import output
from breakglass.cli.client import Client, find, takes_org
from breakglass.cli.policy_cases import test
from breakglass.cli.policy_change import channel, person, renew
from breakglass.cli.policy_difference import diff, tell_difference
from breakglass.cli.policy_narrow import narrow
from breakglass.cli.policy_schema import schema
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, MisconfiguredError

if TYPE_CHECKING:
    from breakglass.policy.compile import CompiledPolicy
    from breakglass.policy.lint_finding import LintFinding
    from breakglass.policy.parse import Bundle

CHECK_EXAMPLE = """\
\b
Example:
  breakglass policy check org/bundle
"""
LINT_EXAMPLE = """\
\b
Example:
  breakglass policy lint org/bundle --json
"""
EXPLAIN_EXAMPLE = """\
\b
Example:
  breakglass policy explain --as-of 2026-12-31 --person mira
"""
SIGN_EXAMPLE = """\
\b
Example:
  breakglass policy sign org/bundle
"""
ACTIVATE_EXAMPLE = """\
\b
Example:
  breakglass policy activate org/bundle
"""
_BEGINS_WITHIN = timedelta(seconds=20)
_ACTIVATED_WITHIN = timedelta(seconds=60)  # 10,000 people compile for some seconds
_BUNDLE = click.argument("bundle", required=False, type=click.Path(path_type=Path))


@click.group(epilog=CHECK_EXAMPLE)
def policy() -> None:
    """Check, explain, change, sign and activate the policy."""


policy.add_command(diff)
policy.add_command(test)
policy.add_command(schema)
policy.add_command(narrow)
policy.add_command(renew)
policy.add_command(person)
policy.add_command(channel)


@policy.command(epilog=CHECK_EXAMPLE, short_help="Say whether it could take force.")
@_BUNDLE
@takes_org
@output.says_json
def check(bundle: Path | None, org: str | None, as_json: bool) -> None:
    """Say whether the policy in BUNDLE could take force here.

    It reads, compiles, has no error, answers its own cases as they want it (else exit code 2),
    and asks for nothing that this version or this installation cannot do (else exit code 3).
    """
    from breakglass.cli.sign_statement import now
    from breakglass.errors import RefusedError
    from breakglass.policy.bundle import bundle_digest, pack_bundle
    from breakglass.policy.case_run import run_cases

    files, read, findings = _read(_folder(bundle, org))
    errors = [each for each in findings if each.level.value == "error"]
    if not errors:
        compiled = _rehearse(files)
        failed = [each.finding() for each in run_cases(compiled, now()) if not each.holds]
        findings, errors = [*failed, *findings], failed
    glasses = sorted(read.glasses)
    refused = _not_offered(read, org)
    if as_json:
        output.tell_json(
            {
                "holds": not errors and not refused,
                "not_offered": [_plain(each) for each in refused],
                "version": read.version,
                "digest": bundle_digest(pack_bundle(files)),
                "glasses": glasses,
                "findings": [_plain(each) for each in findings],
            }
        )
    else:
        places = {each.path for each in refused}
        for each in [*refused, *(one for one in findings if one.path not in places)]:
            _tell(each)
        if not errors and not refused:
            rows = [("OK", f"policy {read.version}: {len(glasses)} glasses, {', '.join(glasses)}")]
            output.tell_rows(rows)
    if errors:
        output.talk(f"{len(errors)} errors; this policy cannot take force")
        sys.exit(MalformedError.exit_code)
    if refused:
        output.talk(
            f"the form is right; {len(refused)} things are not offered here: this policy is not"
            " activated"
        )
        sys.exit(RefusedError.exit_code)


@policy.command(epilog=LINT_EXAMPLE, short_help="List what deserves a second look.")
@_BUNDLE
@takes_org
@output.says_json
def lint(bundle: Path | None, org: str | None, as_json: bool) -> None:
    """List everything that deserves a second look in BUNDLE, errors first."""
    _, _, findings = _read(_folder(bundle, org))
    if as_json:
        output.tell_json({"findings": [_plain(each) for each in findings]})
        return
    for each in findings:
        _tell(each)
    if not findings:
        output.talk("nothing to say")


@policy.command(epilog=EXPLAIN_EXAMPLE)
@click.argument("name", required=False, metavar="[PERSON]")
@click.option("--person", metavar="P", help="The same, as an option.")
@click.option("--as-of", metavar="DATE", help="That day or moment, in UTC; else now.")
@click.option("--glass", metavar="G", help="Only this glass.")
@click.option("--bundle", type=click.Path(path_type=Path), metavar="DIR")
@takes_org
@output.says_json
def explain(
    name: str | None,
    person: str | None,
    as_of: str | None,
    glass: str | None,
    bundle: Path | None,
    org: str | None,
    as_json: bool,
) -> None:
    """Say in words what PERSON may do on a day, and what it takes.

    Nobody is asked: what stands in the ledger alone, as a suspension does, is left out.
    """
    from breakglass.cli.sign_statement import now
    from breakglass.clock import format_time
    from breakglass.policy.explain import explain as say

    if bool(name) == bool(person):
        raise click.UsageError("name one person")
    who, moment = person or name or "", now() if as_of is None else _moment(as_of)
    files, _, _ = _read(_folder(bundle, org))
    lines = say(_compile(files), who, glass, moment)
    if as_json:
        output.tell_json({"person": who, "as_of": format_time(moment), "lines": lines})
        return
    for line in lines:
        click.echo(line)


@policy.command(epilog=SIGN_EXAMPLE, short_help="Sign it and its cards, as one maintainer.")
@_BUNDLE
@click.option(
    "--sign-here",
    is_flag=True,
    help="Embedded set-up: also sign with the maintainers' keys that lie in its folder.",
)
@click.option("--yes", is_flag=True, help="Do not ask whether this is to be signed.")
@takes_org
@output.says_json
def sign(bundle: Path | None, sign_here: bool, yes: bool, org: str | None, as_json: bool) -> None:
    """Sign the policy in BUNDLE and its cards, as one maintainer, beside who signed before.

    What it changes in the policy in force is shown first: in words, what widens power before all
    else, then the lines, removed ones with -, added ones with +.
    The signatures stand in BUNDLE/signed: commit them, so that the next maintainer gets them.
    """
    from breakglass.cli.own_trust import own_trust
    from breakglass.cli.sign_statement import now
    from breakglass.operate import repository
    from breakglass.operate.installation_check import check_offered
    from breakglass.operate.maintainer_signing import Maintainer, sign_policy
    from breakglass.operate.new_gate import local_maintainers
    from breakglass.person import ssh_keygen
    from breakglass.policy.folder import read_bundle

    client = find(org)
    client.announce()
    folder = bundle or client.bundle
    changed = repository.uncommitted(folder)
    if changed:
        raise MisconfiguredError(
            f"{changed[0]!r} is not committed; what is signed must be what is reviewed",
            name=ErrorName.UNCOMMITTED,
            hint=f"git -C {folder} commit {changed[0]}",
        )
    # Two people's signatures under what cannot be had here would be found out at 03:00.
    check_offered(_not_offered(_read(folder)[1], org))
    trust = own_trust(client)
    signers = [Maintainer(client.who, ssh_keygen.read_key(client.key))]
    if sign_here:
        signers = local_maintainers(client.file.absolute().parent, trust, client.who, client.key)
    for line in tell_difference(client, read_bundle(folder)):
        output.talk(line)
    if not yes and output.somebody_is_there():
        click.confirm("sign this policy", abort=True, err=True)
    commit = repository.head(folder)
    signed = sign_policy(folder, client.log, commit, signers, now(), output.talk)
    people, needed = sorted(signed.signers(trust)), trust.maintainers_needed
    if as_json:
        output.tell_json({"version": signed.policy.version, "signed": people, "needed": needed})
        return
    output.tell_rows(
        [
            (
                "signed",
                f"policy {signed.policy.version}, {len(signed.cards)} cards: {', '.join(people)}",
            )
        ]
    )
    if len(people) < needed:
        output.talk(f"{len(people)} of {needed} maintainers; next: commit {folder}/signed")
    else:
        output.talk(f"next: breakglass policy activate {folder}")


@policy.command(epilog=ACTIVATE_EXAMPLE, short_help="Put the signed policy in force.")
@_BUNDLE
@takes_org
@output.says_json
def activate(bundle: Path | None, org: str | None, as_json: bool) -> None:
    """Put the signed policy in BUNDLE in force, with its cards; an alert is sent."""
    from breakglass.cli.sign_statement import now
    from breakglass.operate.installation_check import check_offered
    from breakglass.operate.maintainer_signing import read_signed
    from breakglass.policy.case_run import check_cases
    from breakglass.policy.folder import read_bundle

    check_offered(_not_offered(_read(_folder(bundle, org))[1], org))
    client = find(org)
    folder = bundle or client.bundle
    signed = read_signed(folder)
    check_cases(_compile(read_bundle(folder)), now())
    for line in tell_difference(client, read_bundle(folder)):
        output.talk(line)
    answer = _activated(client, signed.activation())
    if as_json:
        output.tell_json(answer)
        return
    glasses = ", ".join(sorted(signed.cards))
    rows = [("in force", f"policy {answer['version']}, entry {answer['index']}: {glasses}")]
    output.tell_rows(rows)


def _activated(client: Client, activation: dict[str, Any]) -> dict[str, Any]:
    """Hand it to the broker; a log that has just been started is waited for, 20 s at most."""
    from breakglass.clock import Deadline
    from breakglass.errors import BreakglassError

    for _ in Deadline(_BEGINS_WITHIN).tries(0.5):
        try:
            return client.broker("POST", "/policy", activation, within=_ACTIVATED_WITHIN)
        except BreakglassError as error:
            if error.name is not ErrorName.NO_TRUST:
                raise
    return client.broker("POST", "/policy", activation, within=_ACTIVATED_WITHIN)


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.UsageError(
            f"--as-of {text[:40]!r}: give a day or a time, as 2026-12-31 or 2026-12-31T03:14:00Z"
        ) from error
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _folder(bundle: Path | None, org: str | None) -> Path:
    return bundle or find(org).bundle


def _read(folder: Path) -> tuple[dict[str, bytes], Bundle, list[LintFinding]]:
    from breakglass.cli.sign_statement import now
    from breakglass.policy.folder import read_bundle
    from breakglass.policy.lint import lint as look
    from breakglass.policy.parse import parse_bundle

    files = read_bundle(folder)
    bundle = parse_bundle(files)
    return files, bundle, look(bundle, now=now())


def _not_offered(read: Bundle, org: str | None) -> list[LintFinding]:
    """Compare with this installation, if there is one here; with this version always."""
    from breakglass.operate.installation_check import not_offered

    try:
        client = find(org)
    except MisconfiguredError:
        if org is not None:
            raise
        return not_offered(read, None, None)
    here = client.file.absolute().parent
    return not_offered(read, here, lambda: client.broker("GET", "/minters"))


def _compile(files: dict[str, bytes]) -> CompiledPolicy:
    from breakglass.cli.sign_statement import now
    from breakglass.policy.compile import compile_policy

    return compile_policy(files, now=now())


def _rehearse(files: dict[str, bytes]) -> CompiledPolicy:
    from breakglass.cli.sign_statement import now
    from breakglass.policy.cards import rehearse

    compiled = _compile(files)
    rehearse(compiled, now())
    return compiled


def _plain(finding: LintFinding) -> dict[str, str]:
    return {
        "level": finding.level.value,
        "place": str(finding.place),
        "path": finding.path,
        "message": finding.message,
        "hint": finding.hint,
    }


def _tell(finding: LintFinding) -> None:
    click.echo(f"{finding.level.value}: {finding}")
    if finding.hint:
        click.echo(f"  hint: {finding.hint}")
