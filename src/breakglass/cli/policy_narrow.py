"""``breakglass policy narrow``: what a glass grants against what was used, as a change of it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from breakglass.cli import output
from breakglass.cli.client import find, takes_org
from breakglass.errors import MisconfiguredError, reason
from breakglass.shown_text import TEXT_AT_MOST, shown_lines

if TYPE_CHECKING:
    from breakglass.policy.glass import Glass
    from breakglass.policy.mint import Mint
    from breakglass.policy.parse import Bundle
    from breakglass.policy.used.grant_use import GrantUse
    from breakglass.policy.used.lived_grant import LivedGrant
    from breakglass.policy.used.log_file import LogForm
    from breakglass.policy.used.proposal import Proposal

EXAMPLE = """\
\b
Example:
  breakglass policy narrow orders-repair --copy copy/ --log postgres.csv
"""
DIFF_FILE, SQL_FILE = "narrow.diff", "narrow.sql"
_COMMANDS_SHOWN = 20


@click.command(epilog=EXAMPLE, short_help="Propose a glass that gives what was used.")
@click.argument("glass")
@click.option(
    "--log", "logs", multiple=True, required=True, type=click.Path(path_type=Path), metavar="FILE",
    help="A log of the target, in the order of their times; once for each.",
)  # fmt: skip
@click.option(
    "--copy", required=True, type=click.Path(path_type=Path), metavar="DIR",
    help="A copy of the ledger ('breakglass ledger export'): it proves which grants there were.",
)  # fmt: skip
@click.option(
    "--trust", type=click.Path(path_type=Path), metavar="FILE",
    help="The trust file to check the copy against; else your client's.",
)  # fmt: skip
@click.option("--bundle", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--since", metavar="DATE", help="Only grants that began then or later, in UTC.")
@click.option(
    "--leave-out", "left_out", multiple=True, metavar="GRANT",
    help="Do without a grant that was not wholly seen; what is seen of it counts.",
)  # fmt: skip
@click.option(
    "--to", "folder", type=click.Path(path_type=Path), metavar="DIR",
    help=f"Also write {DIFF_FILE} and {SQL_FILE} there.",
)  # fmt: skip
@takes_org
@output.says_json
def narrow(
    glass: str, logs: tuple[Path, ...], copy: Path, trust: Path | None, bundle: Path | None,
    since: str | None, left_out: tuple[str, ...], folder: Path | None, org: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Compare what GLASS grants with what its grants used, by the target's own log.

    Says what was granted, what was used and what never was, and proposes a narrower glass: a diff
    of the policy and, for PostgreSQL, the SQL of its template. Nothing is changed. Nothing is
    proposed on fewer than 5 grants, on less than 30 days, or where the log has holes.
    """
    from breakglass.cli.lived_grants import lived_grants
    from breakglass.policy.folder import read_bundle
    from breakglass.policy.parse import parse_bundle
    from breakglass.policy.used.log_file import form_of

    place = bundle or find(org).bundle
    files = read_bundle(place)
    read = parse_bundle(files)
    if glass not in read.glasses:
        raise click.UsageError(f"no glass {glass!r} in policy {read.version}")
    forms = [(each, form_of(each)) for each in logs]
    mint = _mint(read.glasses[glass], forms)
    grants, living = lived_grants(copy, _bytes(trust or find(org).trust), glass, _since(since))
    mine = [each for each in (*grants, *living) if each.minter == mint.minter]
    if strange := sorted({*left_out} - {each.grant for each in mine}):
        raise click.UsageError(f"--leave-out {strange[0]}: no such grant among those looked at")
    uses = _uses(mint, forms, mine, living)
    found = _proposal(read, read.glasses[glass], mint, uses, left_out)
    diff, script = _texts(files, found)
    if folder is not None and diff:
        _write(folder, diff, script)
    if as_json:
        output.tell_json(_as_json(found, left_out, diff, script))
        return
    output.tell_rows(_rows(found, left_out))
    for title, text in (("diff", diff), ("SQL", script)):
        if text:
            click.echo(f"\n# {title}\n{shown_lines(text, TEXT_AT_MOST)}", nl=False)
    _say_next(found, place, folder, script)


def _uses(
    mint: Mint,
    forms: Sequence[tuple[Path, LogForm]],
    grants: Sequence[LivedGrant],
    living: Sequence[LivedGrant],
) -> list[GrantUse]:
    """Return what each used; one that goes on counts with what is seen of it, and as not seen."""
    from dataclasses import replace

    from breakglass.policy.used.postgres_acts import read_postgres
    from breakglass.policy.used.ssh_acts import read_ssh

    read = read_postgres if mint.platform == "postgres" else read_ssh
    acts = read(forms, grants)
    uses = [acts.use_of(each) for each in grants]
    going_on = ("it had not ended when the ledger was copied",)
    return [replace(each, lost=going_on) if each.grant in living else each for each in uses]


def _mint(glass: Glass, forms: Sequence[tuple[Path, LogForm]]) -> Mint:
    platforms = sorted({form.platform for _, form in forms})
    if len(platforms) > 1:
        raise click.UsageError("logs of PostgreSQL and of sshd together: give one kind at a time")
    for mint in glass.mints:
        if mint.platform == platforms[0] and not mint.acts:
            return mint
    raise click.UsageError(
        f"{glass.name!r} gives no credential on {platforms[0]}, and this is a log of it"
    )


def _proposal(
    read: Bundle, glass: Glass, mint: Mint, uses: list[GrantUse], left_out: Sequence[str]
) -> Proposal:
    from breakglass.policy.factors import MFA_DOWN
    from breakglass.policy.used.proposal import TEMPLATES, propose

    shared = {
        template
        for other in read.glasses.values()
        if other.name not in (glass.name, glass.name + MFA_DOWN)
        for each in other.mints
        if each.platform == mint.platform
        for template in each.scope.get(TEMPLATES, ())
    }
    return propose(glass, mint, uses, left_out=left_out, shared=shared)


def _texts(files: Mapping[str, bytes], found: Proposal) -> tuple[str, str]:
    from breakglass.policy.used.proposed_bundle import narrowed_files, unified_diff
    from breakglass.policy.used.template_sql import target_script, target_statements

    if not found.narrows:
        return "", ""
    diff = "".join(f"{line}\n" for line in unified_diff(files, narrowed_files(files, found)))
    statements = target_statements(found)
    return diff, target_script(statements) if statements else ""


def _rows(found: Proposal, left_out: Sequence[str]) -> Iterator[tuple[str, str]]:
    from breakglass.policy.used.proposed_bundle import span_text

    begun = sorted(each.grant.begins for each in found.uses)
    days = f" of {begun[0]:%Y-%m-%d} to {begun[-1]:%Y-%m-%d}" if begun else ""
    yield "grants", f"{len(begun)}{days} at minter {found.mint.minter}"
    for name, values in sorted(found.mint.scope.items()):
        yield "granted", f"{name}: {', '.join(values)}"
    yield "granted", f"for: {span_text(found.glass.for_)}"
    for name in sorted({each for use in found.uses for each in use.values}):
        yield "used", f"{name}: {', '.join(found.used(name)) or 'none'}"
    yield from (("used", line) for line in _tables(found))
    yield "used", f"for: {output.duration(found.longest.total_seconds())} at the longest"
    commands = sorted({each for use in found.uses for each in use.commands})
    yield from (("sudo", each) for each in commands[:_COMMANDS_SHOWN])
    if len(commands) > _COMMANDS_SHOWN:
        yield "sudo", f"and {len(commands) - _COMMANDS_SHOWN} commands more (--json has all)"
    for name, gone in sorted(found.never_used.items()):
        yield "never used", f"{name}: {', '.join(gone)}"
    for each in found.kept:
        yield "stays", each
    for use in found.uses:
        if use.lost and use.grant.grant in left_out:
            yield "left out", f"{use.grant.grant}, as you said: {'; '.join(use.lost)}"
    for each in found.stopped:
        yield "too little", each


def _tables(found: Proposal) -> Iterator[str]:
    rights = sorted({each for use in found.uses for each in use.rights})
    for (database, relation), each in groupby(rights, lambda one: (one.database, one.relation)):
        yield f"{database}: {', '.join(one.right for one in each)} on {relation}"
    for database in sorted({each for use in found.uses for each in use.truncated}):
        yield f"{database}: truncate on a table that the log does not name"


def _say_next(found: Proposal, place: Path, folder: Path | None, script: str) -> None:
    if found.stopped:
        output.talk("nothing is proposed: what the log does not show was not unused")
        hidden = [each.grant for each in found.uses if each.lost]
        if hidden:
            output.talk(
                "give its missing files too, or say which grants to leave out (--leave-out)"
            )
    elif not found.narrows:
        output.talk("nothing is proposed: everything that the log can show was used")
    elif folder is None:
        output.talk(f"to have it in files ({DIFF_FILE}, {SQL_FILE}), say it again with --to DIR")
    else:
        bundle, diff = shlex.quote(str(place)), shlex.quote(str(folder / DIFF_FILE))
        output.talk(f"next: patch -d {bundle} -p1 < {diff}")
        output.talk(f"then: breakglass policy check {bundle}")
        if script:
            sql = shlex.quote(str(folder / SQL_FILE))
            output.talk(f"and before it takes force, as an administrator: psql -f {sql}")


def _as_json(found: Proposal, left_out: Sequence[str], diff: str, script: str) -> dict[str, Any]:
    from breakglass.clock import format_time

    return {
        "glass": found.glass.name,
        "minter": found.mint.minter,
        "proposed": found.narrows,
        "granted": {
            **{name: list(values) for name, values in found.mint.scope.items()},
            "for_s": int(found.glass.for_.total_seconds()),
        },
        "scope": {
            **{name: list(values) for name, values in found.scope.items()},
            "for_s": int(found.for_.total_seconds()),
        },
        "never_used": {name: list(gone) for name, gone in found.never_used.items()},
        "stays": list(found.kept),
        "too_little": list(found.stopped),
        "grants": [
            {
                "grant": use.grant.grant,
                "who": use.grant.who,
                "incident": use.grant.incident,
                "begins": format_time(use.grant.begins),
                "ends": format_time(use.grant.ends),
                "used": {name: sorted(values) for name, values in use.values.items()},
                "tables": [[e.database, e.relation, e.right] for e in sorted(use.rights)],
                "truncates": sorted(use.truncated),
                "beyond": sorted(use.beyond),
                "unproven": sorted(use.unproven),
                "sudo": sorted(use.commands),
                "lasted_s": int(use.lasted.total_seconds()),
                "lost": list(use.lost),
                "left_out": use.grant.grant in left_out,
            }
            for use in found.uses
        ],
        "diff": diff,
        "sql": script,
    }


def _since(text: str | None) -> datetime | None:
    from datetime import UTC

    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.UsageError(
            f"--since {text[:40]!r}: give a day or a time, as 2026-06-30 or 2026-06-30T03:14:00Z"
        ) from error
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise MisconfiguredError(
            f"trust file {str(path)!r} cannot be read: {reason(error)}"
        ) from error


def _write(folder: Path, diff: str, script: str) -> None:
    from breakglass.process.folder import write_whole

    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Replaced, never written through: what lies there may be somebody's link to another file.
        write_whole(folder / DIFF_FILE, diff.encode(), 0o644)
        if script:
            write_whole(folder / SQL_FILE, script.encode(), 0o644)
        else:
            (folder / SQL_FILE).unlink(missing_ok=True)  # an earlier proposal's
    except OSError as error:
        raise MisconfiguredError(f"{str(folder)!r} cannot be written: {reason(error)}") from error
