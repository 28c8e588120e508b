"""``breakglass gates``: what the bypasses say of the gates. Prints; never decides.

Reads a history folder (``events.jsonl``, ``opportunities.csv``, ``people.csv``, ``meta.json``),
which ``gates import`` makes from a repository, from tables or from GitHub's exports.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from breakglass.errors import MalformedError, MisconfiguredError

if TYPE_CHECKING:
    from breakglass.monitor.deviance.history import History
    from breakglass.monitor.deviance.imports.git_log import Imported
    from breakglass.monitor.deviance.verdict import Verdict

# The room is imported inside the commands: other commands should not wait for it.


@click.group()
def gates() -> None:
    """What the bypasses say of the gates: rates, verdicts, drafts.

    \b
    breakglass gates import git . --rules rules.yaml --out history
    breakglass gates report --history history --html gates.html
    """


_HISTORY = click.option(
    "--history",
    "folder",
    required=True,
    type=click.Path(path_type=Path),
    help="The history folder.",
)


_AS_OF = click.option(
    "--as-of", default="", metavar="DAY", help="Look at the history as it stood on this day."
)


@gates.command()
@_HISTORY
@_AS_OF
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, one line a gate.")
def verdict(folder: Path, as_of: str, *, as_json: bool) -> None:
    """Say what the numbers say of every gate.

    \b
    breakglass gates verdict --history history --json
    """
    from breakglass.monitor.deviance.answer import answer
    from breakglass.monitor.deviance.sentence import sentence, what_would_change

    history = _read(folder, as_of)
    for each in _judged(history):
        if as_json:
            click.echo(json.dumps(answer(each), ensure_ascii=False))
        else:
            click.echo(f"{each.gate}  {each.reading.value}  (runner-up {each.runner_up.value})")
            click.echo(f"  {sentence(each)}")
            for line in what_would_change(each):
                click.echo(f"  - {line}")


@gates.command()
@_HISTORY
@_AS_OF
@click.option("--html", "out", type=click.Path(path_type=Path), help="Write one page here.")
@click.option("--title", default="", help="Heading of the page; the folder's name otherwise.")
@click.option("--whole", is_flag=True, help="Charts show all that is recorded, not two years.")
def report(folder: Path, as_of: str, out: Path | None, title: str, *, whole: bool) -> None:
    """Show every gate on one line; with --html, on one self-contained page.

    \b
    breakglass gates report --history history --html gates.html
    """
    from breakglass.monitor.deviance.charts.page import page

    history = _read(folder, as_of)
    judged = _judged(history)
    _lines(history, judged)
    if out is not None:
        name = title or f"Gates of {folder.resolve().name}"
        _write(out, page(history, judged, name, whole=whole))
        click.echo(f"written    {out}", err=True)


@gates.command()
@click.argument("gate")
@_HISTORY
@_AS_OF
@click.option("--decide", "decision", default="", help="What the review decided; appended.")
@click.option("--by", default="", help="Who decided; needed with --decide.")
@click.option("--look-again", default="", metavar="DAY", help="When to look again: 2026-09-21.")
def review(gate: str, folder: Path, as_of: str, decision: str, by: str, look_again: str) -> None:
    """Draft the issue against GATE as Markdown, or record what its review decided.

    \b
    breakglass gates review deploy-approval --history history > issue.md
    breakglass gates review deploy-approval --history history \\
        --decide "split the slow suite off" --by mira --look-again 2026-09-21
    """
    from breakglass.monitor.deviance.drafting import draft
    from breakglass.monitor.deviance.drafting import look_again as due
    from breakglass.monitor.deviance.folder import append_review
    from breakglass.monitor.deviance.history import GateReview
    from breakglass.monitor.deviance.siblings import displacements
    from breakglass.monitor.deviance.verdict import judge

    history = _read(folder, as_of)
    found = history.gate(gate)
    if found is None:
        names = ", ".join(g.name for g in history.gates[:8])
        raise MisconfiguredError(
            f"no gate '{gate}' in '{folder}'; nothing was written", hint=f"gates there: {names}"
        )
    read = judge(found, history.as_of)
    if not decision:
        click.echo(draft(read, history.reviews, displacements(history)), nl=False)
        return
    if not by.strip():
        raise MalformedError(
            "--decide without --by; nothing was written", hint="say who decided: --by mira"
        )
    day = _day(look_again, "--look-again") if look_again else due(read)
    # The decision stands at the history's own time, so that a chart of that time shows it.
    append_review(
        folder,
        GateReview(gate, history.as_of, read.reading.value, decision.strip(), by.strip(), day),
    )
    click.echo(f"recorded   gate_reviewed {gate}: {decision.strip()}; look again {day}")


@gates.group("import")
def import_() -> None:
    """Make a history folder from what is already there."""


_OUT = click.option("--out", required=True, type=click.Path(path_type=Path), help="New folder.")
_HIDE = click.option("--pseudonyms", is_flag=True, help="Write people as keyed hashes.")
_SALT = click.option(
    "--salt-file",
    type=click.Path(path_type=Path),
    help="Key of the hashes; without it a random one is used and thrown away.",
)


@import_.command("git")
@click.argument("repository", type=click.Path(path_type=Path))
@click.option("--rules", "rule_file", required=True, type=click.Path(path_type=Path))
@click.option("--branch", default="HEAD", show_default=True, help="The main line.")
@click.option("--since", default="", help="Leave older changes out: 2023-01-01.")
@_OUT
@_HIDE
@_SALT
def import_git(
    repository: Path,
    rule_file: Path,
    branch: str,
    since: str,
    out: Path,
    salt_file: Path | None,
    *,
    pseudonyms: bool,
) -> None:
    """Read a git history by a rule file: footers such as No-Try, [skip ci], TBR.

    \b
    breakglass gates import git . --rules rules.yaml --out history --pseudonyms
    """
    from breakglass.monitor.deviance.imports.git_log import from_changes, read_log
    from breakglass.monitor.deviance.imports.rules import read_rules

    rules = read_rules(_file(rule_file), str(rule_file))
    who = _who(salt_file, pseudonyms=pseudonyms)
    hidden = pseudonyms or salt_file is not None
    _save(from_changes(read_log(repository, branch, since), rules, who, hidden=hidden), out)


@import_.command("csv")
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
    """Read tables of bypasses, of passages a week and of people.

    \b
    breakglass gates import csv --events webrtc.events.csv \\
        --weekly webrtc.weekly.csv --people webrtc.people.csv --out history
    """
    from breakglass.monitor.deviance.imports.tables import NAMES, from_tables

    mapped = dict(pair.split("=", 1) for pair in mapping if "=" in pair)
    wrong = [pair for pair in mapping if pair.partition("=")[0] not in NAMES or "=" not in pair]
    if wrong:
        raise MalformedError(
            f"--map {wrong[0]!r} is not ROLE=COLUMN", hint=f"roles: {', '.join(NAMES)}"
        )
    who = _who(salt_file, pseudonyms=pseudonyms)
    hidden = pseudonyms or salt_file is not None
    _save(from_tables(events, weekly, people, who, mapped, hidden=hidden), out)


@import_.command("github")
@click.option("--pulls", required=True, type=click.Path(path_type=Path))
@click.option("--audit-log", type=click.Path(path_type=Path))
@_OUT
@_HIDE
@_SALT
def import_github(
    pulls: Path, audit_log: Path | None, out: Path, salt_file: Path | None, *, pseudonyms: bool
) -> None:
    """Read GitHub's exports: merges without review, overrides of branch protection.

    \b
    gh pr list --state merged --limit 5000 \\
        --json number,title,mergedAt,mergedBy,author,reviews > pulls.json
    breakglass gates import github --pulls pulls.json --out history
    """
    from breakglass.monitor.deviance.imports.github import from_github

    who = _who(salt_file, pseudonyms=pseudonyms)
    hidden = pseudonyms or salt_file is not None
    _save(from_github(pulls, audit_log, who, hidden=hidden), out)


def _read(folder: Path, as_of: str = "") -> History:
    from breakglass.monitor.deviance.folder import read_folder
    from breakglass.monitor.deviance.history import midnight

    return read_folder(folder, midnight(_day(as_of, "--as-of")) if as_of else None)


def _judged(history: History) -> list[Verdict]:
    from breakglass.monitor.deviance.verdict import judge

    return [judge(gate, history.as_of) for gate in history.gates]


def _lines(history: History, judged: list[Verdict]) -> None:
    from breakglass.monitor.deviance.alerts import rising
    from breakglass.monitor.deviance.charts.series import shown
    from breakglass.monitor.deviance.charts.sparkline import sparkline
    from breakglass.monitor.deviance.sentence import percent
    from breakglass.monitor.deviance.siblings import displacements

    width = max((len(each.gate) for each in judged), default=4)
    for each in judged:
        e = each.evidence
        spark = sparkline(shown(e).weeks)
        click.echo(
            f"{each.gate:<{width}}  {each.reading.value:<15} {e.recent.k:>5} of "
            f"{e.recent.passages:>7,.0f} {percent(e.rate.middle):>7}  {spark}"
        )
    for r in rising(judged):
        sure = "" if r.sure else ", not sure among so many gates"
        click.echo(f"rising     '{r.gate}' since the week of {r.since}{sure}")
    for d in displacements(history):
        click.echo(f"moved      '{d.fell}' fell and '{d.rose}' rose: judge both together")


def _save(found: Imported, out: Path) -> None:
    from breakglass.monitor.deviance.folder import write_folder

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
    from breakglass.monitor.deviance.imports import pseudonyms as hashing

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


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise MisconfiguredError(f"'{path}' cannot be written: {error.strerror}") from error


def _day(text: str, option: str) -> date:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).date()
    except ValueError as error:
        raise MalformedError(f"{option} is {text!r}, wanted a day such as 2026-09-21") from error


if __name__ == "__main__":
    from breakglass.cli.main import main

    main(["gates", *sys.argv[1:]])
