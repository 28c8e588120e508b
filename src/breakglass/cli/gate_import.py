"""``breakglass gate import``: a history folder from a repository, tables, or a forge's exports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from breakglass.clock import SystemClock
from breakglass.errors import MalformedError, MisconfiguredError

if TYPE_CHECKING:
    from breakglass.verdicts.imports.imported import Imported

# The room is imported inside the commands: other commands should not wait for it.

GIT_EXAMPLE = """\
\b
Example:
  breakglass gate import git . --rules rules.yaml --out history --pseudonyms
"""
CSV_EXAMPLE = """\
\b
Example:
  breakglass gate import csv --events try.csv --weekly week.csv --out history
"""
GITHUB_EXAMPLE = """\
\b
Example:
  gh pr list --state merged --limit 5000 > pulls.json --json \\
      number,title,mergedAt,mergedBy,author,reviews,baseRefName
  breakglass gate import github --pulls pulls.json --out history
"""
GITLAB_EXAMPLE = """\
\b
Example:
  breakglass gate import gitlab --merges chain-of-custody.csv --out history
"""


@click.group("import", epilog=GIT_EXAMPLE)
def import_() -> None:
    """Make a history folder from what is already there."""


_OUT = click.option("--out", required=True, type=click.Path(path_type=Path), help="New folder.")
_HIDE = click.option("--pseudonyms", is_flag=True, help="Write people as keyed hashes.")
_SALT = click.option(
    "--salt-file",
    type=click.Path(path_type=Path),
    help="Key of the hashes; without it a random one is used and thrown away.",
)


@import_.command("git", epilog=GIT_EXAMPLE)
@click.argument("repository", type=click.Path(path_type=Path))
@click.option(
    "--rules",
    "rule_file",
    type=click.Path(path_type=Path),
    help="Your rule file; without it the signs that many repositories use.",
)
@click.option("--branch", default="HEAD", show_default=True, help="The main line.")
@click.option("--since", default="", help="Leave older changes out: 2023-01-01.")
@click.option("--bot", "bots", multiple=True, metavar="NAME", help="A machine: 'Merger <*'.")
@click.option("--explain", is_flag=True, help="Print every sign: commit, gate, line.")
@_OUT
@_HIDE
@_SALT
def import_git(
    repository: Path,
    rule_file: Path | None,
    branch: str,
    since: str,
    bots: tuple[str, ...],
    out: Path,
    salt_file: Path | None,
    *,
    explain: bool,
    pseudonyms: bool,
) -> None:
    """Read a git history by a rule file: footers such as No-Try, [skip ci], TBR."""
    from breakglass.verdicts.imports.git_changes import from_changes
    from breakglass.verdicts.imports.git_log import read_log
    from breakglass.verdicts.imports.rules import read_rules
    from breakglass.verdicts.imports.usual_signs import gates_gone_round, gates_seen, usual_rules

    rules = read_rules(_file(rule_file), str(rule_file)) if rule_file else usual_rules()
    who = _who(salt_file, pseudonyms=pseudonyms)
    hidden = pseudonyms or salt_file is not None
    rules = replace(rules, bots=(*rules.bots, *bots))
    changes = read_log(repository, branch, since)
    found = from_changes(changes, rules, who, hidden=hidden, now=SystemClock().now())
    if explain:
        for hit in found.hits:
            click.echo(f"{hit.where}  {hit.gate}  {hit.line}")
    _save(gates_seen(found, rules) if rule_file else gates_gone_round(found), out)


@import_.command("csv", epilog=CSV_EXAMPLE)
@click.option("--events", required=True, type=click.Path(path_type=Path))
@click.option("--weekly", type=click.Path(path_type=Path), help="Passages; without, no rate.")
@click.option("--people", type=click.Path(path_type=Path))
@click.option("--map", "mapping", multiple=True, metavar="ROLE=COLUMN")
@click.option("--zone", default="", help="Of times that name none: Europe/Berlin. Else UTC.")
@click.option("--time-format", default="", metavar="FORM", help="Of the times: '%d/%m/%Y %H:%M'.")
@click.option("--encoding", default="", help="Of the files, where it is not UTF-8: cp1252.")
@_OUT
@_HIDE
@_SALT
def import_csv(
    events: Path,
    weekly: Path | None,
    people: Path | None,
    mapping: tuple[str, ...],
    zone: str,
    time_format: str,
    encoding: str,
    out: Path,
    salt_file: Path | None,
    *,
    pseudonyms: bool,
) -> None:
    """Read tables of bypasses, of passages a week or month, and of people."""
    from breakglass.verdicts.imports.table_files import Reading
    from breakglass.verdicts.imports.tables import NAMES, from_tables

    mapped = dict(pair.split("=", 1) for pair in mapping if "=" in pair)
    wrong = [pair for pair in mapping if pair.partition("=")[0] not in NAMES or "=" not in pair]
    if wrong:
        raise MalformedError(
            f"--map {wrong[0]!r} is not ROLE=COLUMN", hint=f"roles: {', '.join(NAMES)}"
        )
    who = _who(salt_file, pseudonyms=pseudonyms)
    hidden = pseudonyms or salt_file is not None
    reading = Reading(zone, encoding, time_format)
    _save(from_tables(events, weekly, people, who, mapped, hidden=hidden, reading=reading), out)


_BASE = click.option("--base", default="", help="Branch that is meant; else that of most merges.")


@import_.command("github", epilog=GITHUB_EXAMPLE)
@click.option("--pulls", type=click.Path(path_type=Path), help="Merged pull requests.")
@click.option("--audit-log", type=click.Path(path_type=Path), help="Overrides; JSON or CSV.")
@click.option("--rule-suites", type=click.Path(path_type=Path), help="Evaluations of rulesets.")
@click.option("--repo", default="", metavar="ORG/NAME", help="The one meant in the audit log.")
@_BASE
@_OUT
@_HIDE
@_SALT
def import_github(
    pulls: Path | None,
    audit_log: Path | None,
    rule_suites: Path | None,
    repo: str,
    base: str,
    out: Path,
    salt_file: Path | None,
    *,
    pseudonyms: bool,
) -> None:
    """Read GitHub's exports: merges without review, overrides of its rules."""
    from breakglass.verdicts.imports.github import from_github

    who = _who(salt_file, pseudonyms=pseudonyms)
    hidden = pseudonyms or salt_file is not None
    found = from_github(
        pulls, audit_log, who, hidden=hidden, suites=rule_suites, repository=repo, base=base
    )
    _save(found, out)


@import_.command("gitlab", epilog=GITLAB_EXAMPLE)
@click.option("--merges", required=True, type=click.Path(path_type=Path))
@_BASE
@_OUT
@_HIDE
@_SALT
def import_gitlab(
    merges: Path, base: str, out: Path, salt_file: Path | None, *, pseudonyms: bool
) -> None:
    """Read GitLab's exports: merges that nobody else had approved."""
    from breakglass.verdicts.imports.gitlab import from_gitlab

    who = _who(salt_file, pseudonyms=pseudonyms)
    hidden = pseudonyms or salt_file is not None
    _save(from_gitlab(merges, who, hidden=hidden, base=base), out)


def _save(found: Imported, out: Path) -> None:
    from breakglass.verdicts.folder import write_folder

    if found.as_of is None:
        raise MalformedError("nothing was found to import; nothing was written")
    write_folder(out, found.as_of, found.events, found.passages, found.people)
    passed = max((sum(weeks.values()) for weeks in found.passages.values()), default=0)
    for note in found.notes:
        click.echo(f"note       {note}", err=True)
    click.echo(
        f"imported   {len(found.events)} bypasses of {len(found.passages)} gates in {passed:,.0f} "
        f"passages to {out}; {found.left_out} of machines left out",
        err=True,
    )


def _who(salt_file: Path | None, *, pseudonyms: bool) -> Callable[[str], str]:
    from breakglass.verdicts.imports import pseudonyms as hashing

    if salt_file is None:
        return hashing.pseudonyms() if pseudonyms else str.strip
    salt = _file(salt_file).strip().encode()
    if len(salt) < hashing.SHORTEST_SALT:
        raise MisconfiguredError(
            f"'{salt_file}' holds {len(salt)} bytes, wanted {hashing.SHORTEST_SALT} or more; "
            "nothing was written",
            hint="make one with: openssl rand -hex 32 > salt",
        )
    return hashing.pseudonyms(salt)


def _file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise MisconfiguredError(f"'{path}' cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise MalformedError(f"'{path}' is not UTF-8 text: {error}") from error
