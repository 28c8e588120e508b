"""``breakglass gates import``: a history folder from a repository, tables, or GitHub's exports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from breakglass.errors import MalformedError, MisconfiguredError

if TYPE_CHECKING:
    from breakglass.verdicts.imports.git_log import Imported

# The room is imported inside the commands: other commands should not wait for it.

GIT_EXAMPLE = """\
\b
Example:
  breakglass gates import git . --rules rules.yaml --out history --pseudonyms
"""
CSV_EXAMPLE = """\
\b
Example:
  breakglass gates import csv --events try.csv --weekly week.csv --out history
"""
GITHUB_EXAMPLE = """\
\b
Example:
  gh pr list --state merged --limit 5000 \\
      --json number,title,mergedAt,mergedBy,author,reviews > pulls.json
  breakglass gates import github --pulls pulls.json --out history
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
@_OUT
@_HIDE
@_SALT
def import_git(
    repository: Path,
    rule_file: Path | None,
    branch: str,
    since: str,
    out: Path,
    salt_file: Path | None,
    *,
    pseudonyms: bool,
) -> None:
    """Read a git history by a rule file: footers such as No-Try, [skip ci], TBR."""
    from breakglass.verdicts.imports.git_log import from_changes, read_log
    from breakglass.verdicts.imports.rules import read_rules
    from breakglass.verdicts.imports.usual_signs import gates_gone_round, usual_rules

    rules = read_rules(_file(rule_file), str(rule_file)) if rule_file else usual_rules()
    who = _who(salt_file, pseudonyms=pseudonyms)
    hidden = pseudonyms or salt_file is not None
    found = from_changes(read_log(repository, branch, since), rules, who, hidden=hidden)
    if rule_file is None:
        found = gates_gone_round(found)
    _save(found, out)


@import_.command("csv", epilog=CSV_EXAMPLE)
@click.option("--events", required=True, type=click.Path(path_type=Path))
@click.option("--weekly", required=True, type=click.Path(path_type=Path))
@click.option("--people", type=click.Path(path_type=Path))
@click.option("--map", "mapping", multiple=True, metavar="ROLE=COLUMN")
@_OUT
@_HIDE
@_SALT
def import_csv(
    events: Path,
    weekly: Path,
    people: Path | None,
    mapping: tuple[str, ...],
    out: Path,
    salt_file: Path | None,
    *,
    pseudonyms: bool,
) -> None:
    """Read tables of bypasses, of passages a week and of people."""
    from breakglass.verdicts.imports.tables import NAMES, from_tables

    mapped = dict(pair.split("=", 1) for pair in mapping if "=" in pair)
    wrong = [pair for pair in mapping if pair.partition("=")[0] not in NAMES or "=" not in pair]
    if wrong:
        raise MalformedError(
            f"--map {wrong[0]!r} is not ROLE=COLUMN", hint=f"roles: {', '.join(NAMES)}"
        )
    who = _who(salt_file, pseudonyms=pseudonyms)
    hidden = pseudonyms or salt_file is not None
    _save(from_tables(events, weekly, people, who, mapped, hidden=hidden), out)


@import_.command("github", epilog=GITHUB_EXAMPLE)
@click.option("--pulls", required=True, type=click.Path(path_type=Path))
@click.option("--audit-log", type=click.Path(path_type=Path))
@_OUT
@_HIDE
@_SALT
def import_github(
    pulls: Path, audit_log: Path | None, out: Path, salt_file: Path | None, *, pseudonyms: bool
) -> None:
    """Read GitHub's exports: merges without review, overrides of branch protection."""
    from breakglass.verdicts.imports.github import from_github

    who = _who(salt_file, pseudonyms=pseudonyms)
    hidden = pseudonyms or salt_file is not None
    _save(from_github(pulls, audit_log, who, hidden=hidden), out)


def _save(found: Imported, out: Path) -> None:
    from breakglass.verdicts.folder import write_folder

    if found.as_of is None:
        raise MalformedError("nothing was found to import; nothing was written")
    write_folder(out, found.as_of, found.events, found.passages, found.people)
    passed = sum(
        max((sum(weeks.values()) for weeks in found.passages.values()), default=0) for _ in [0]
    )
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
