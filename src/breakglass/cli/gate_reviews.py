"""``gate verdict``, ``report``, ``review``, ``decide``: what the bypasses say of the gates.

Reads the running organisation's monitor, or a history folder (``events.jsonl``,
``opportunities.csv``, ``people.csv``, ``meta.json``), which ``gate import`` makes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from breakglass.cli import output
from breakglass.cli.client import Client, find, takes_org
from breakglass.cli.gate_import import import_
from breakglass.errors import MalformedError, MisconfiguredError

if TYPE_CHECKING:
    from breakglass.verdicts.history import Gate, History
    from breakglass.verdicts.verdict import Verdict

# The room is imported inside the commands: other commands should not wait for it.

F = TypeVar("F", bound=Callable[..., Any])
VERDICTS = ("healthy", "gate_wrong", "root_cause", "bad_month", "one_person", "not_enough_data")

VERDICT_EXAMPLE = """\
\b
Example:
  breakglass gate verdict --json
"""
REPORT_EXAMPLE = """\
\b
Example:
  breakglass gate report --html gates.html
"""
REVIEW_EXAMPLE = """\
\b
Example:
  breakglass gate review deploy-approval > issue.md
"""
DECIDE_EXAMPLE = """\
\b
Example:
  breakglass gate decide deploy-approval --verdict gate_wrong \\
      --decision "split the slow suite off" --look-again 2027-03-01
"""


def _reads(command: F) -> F:
    """Give a command the two places that a history comes from, and the day to look from."""
    for option in (
        click.option(
            "--as-of", default="", metavar="DAY", help="Look as it stood on this day: 2026-09-21."
        ),
        takes_org,
        click.option(
            "--history",
            "folder",
            type=click.Path(path_type=Path),
            help="A history folder; without it the organisation's monitor.",
        ),
    ):
        command = option(command)
    return command


@click.command(epilog=VERDICT_EXAMPLE)
@_reads
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, one line a gate.")
def verdict(folder: Path | None, org: str | None, as_of: str, *, as_json: bool) -> None:
    """Say what the numbers say of every gate."""
    from breakglass.verdicts.sentence import points, what_would_change
    from breakglass.verdicts.verdict_json import answer

    history, _ = _read(folder, org, as_of)
    judged = _judged(history)
    for each in judged:
        if as_json:
            click.echo(json.dumps(answer(each), ensure_ascii=False))
        else:
            click.echo(f"{each.gate}  {each.reading.value}  (runner-up {each.runner_up.value})")
            for point in points(each):
                click.echo(f"  {point}")
            for line in what_would_change(each):
                click.echo(f"  - {line}")
    _say_if_none(judged)


@click.command(epilog=REPORT_EXAMPLE, short_help="Show every gate on a line, or on one page.")
@_reads
@click.option("--html", "out", type=click.Path(path_type=Path), help="Write one page here.")
@click.option("--title", default="", help="Heading of the page; else where it was read from.")
@click.option("--whole", is_flag=True, help="Charts show all that is recorded, not two years.")
def report(
    folder: Path | None, org: str | None, as_of: str, out: Path | None, title: str, *, whole: bool
) -> None:
    """Show every gate on one line; with --html, on one self-contained page."""
    from breakglass.verdicts.charts.page import page

    history, where = _read(folder, org, as_of)
    judged = _judged(history)
    _lines(history, judged)
    _say_if_none(judged)
    if out is not None:
        _write(out, page(history, judged, title or f"Gates of {where}", whole=whole))
        click.echo(f"written    {out}", err=True)


@click.command(epilog=REVIEW_EXAMPLE, short_help="Draft the issue against GATE as Markdown.")
@click.argument("gate")
@_reads
def review(gate: str, folder: Path | None, org: str | None, as_of: str) -> None:
    """Draft the issue against GATE as Markdown; decides and records nothing."""
    from breakglass.verdicts.drafts import draft
    from breakglass.verdicts.siblings import displacements
    from breakglass.verdicts.verdict import judge_one

    history, where = _read(folder, org, as_of)
    read = judge_one(history, _found(history, gate, where))
    click.echo(draft(read, history.reviews, displacements(history)), nl=False)


@click.command(epilog=DECIDE_EXAMPLE, short_help="Record what the review of GATE decided.")
@click.argument("gate")
@_reads
@click.option("--decision", required=True, metavar="TEXT", help="What the review decided.")
@click.option(
    "--verdict",
    "verdict_",
    type=click.Choice(VERDICTS),
    metavar="WORD",
    help=f"What the review found: {', '.join(VERDICTS)}. Else what the numbers say.",
)
@click.option("--look-again", default="", metavar="DAY", help="When to look again: 2026-09-21.")
@click.option("--by", default="", metavar="NAME", help="Who decided; with --history alone.")
@output.says_json
def decide(
    gate: str,
    folder: Path | None,
    org: str | None,
    as_of: str,
    decision: str,
    verdict_: str | None,
    look_again: str,
    by: str,
    as_json: bool,
) -> None:
    """Record what the review of GATE decided: signed by you, in the ledger.

    With --history, a line in reviews.jsonl of that folder, unsigned.
    """
    day = _day(look_again, "--look-again") if look_again else None
    if folder is not None:
        told = _append(folder, gate, as_of, decision, verdict_, day, by)
    elif by or as_of:
        raise MalformedError(
            "--by and --as-of belong to a history folder; nothing was recorded",
            hint="in the ledger it is you who signs, now; for a folder: --history DIR",
        )
    else:
        told = _sign(find(org), gate, decision, verdict_, day)
    if as_json:
        output.tell_json(told)
        return
    where = f", entry {told['index']}" if "index" in told else ""
    output.tell_rows(
        [
            ("recorded", f"gate_reviewed {gate}: {told['verdict']}, by {told['by']}{where}"),
            ("decision", told["decision"]),
            ("look again", str(told["look_again"])[:10]),
        ]
    )


def _append(
    folder: Path,
    gate: str,
    as_of: str,
    decision: str,
    verdict_: str | None,
    day: date | None,
    by: str,
) -> dict[str, Any]:
    from breakglass.verdicts.drafts import look_again
    from breakglass.verdicts.folder import append_review
    from breakglass.verdicts.history import GateReview
    from breakglass.verdicts.verdict import judge_one

    history, where = _read(folder, None, as_of)
    read = judge_one(history, _found(history, gate, where))
    if not by.strip() or not decision.strip():
        raise MalformedError(
            "a decision in a folder needs --decision and --by; nothing was written",
            hint='say who decided: --by mira --decision "split the slow suite off"',
        )
    found, again = verdict_ or read.reading.value, day or look_again(read)
    # The decision stands at the history's own time, so that a chart of that time shows it.
    append_review(
        folder, GateReview(gate, history.as_of, found, decision.strip(), by.strip(), again)
    )
    return {
        "gate": gate,
        "verdict": found,
        "decision": decision.strip(),
        "by": by.strip(),
        "look_again": again.isoformat(),
    }


def _sign(
    client: Client, gate: str, decision: str, verdict_: str | None, day: date | None
) -> dict[str, Any]:
    from breakglass.cli import sign_statement
    from breakglass.records.statement import Do, GateVerdict, ReviewGate
    from breakglass.verdicts.history import midnight

    # (1) What was not said is what the numbers say now.
    if verdict_ is None or day is None:
        from breakglass.verdicts.drafts import look_again
        from breakglass.verdicts.verdict import judge_one

        history = _ask(client)
        read = judge_one(history, _found(history, gate, client.log))
        verdict_, day = verdict_ or read.reading.value, day or look_again(read)
    now = sign_statement.now()
    if midnight(day) <= now:
        raise MalformedError(
            f"--look-again is {day}, which is not after today; nothing was recorded",
            hint=f"such as --look-again {(now + timedelta(weeks=13)).date()}",
        )
    # (2) Sign, and hand it to the monitor, which states it.
    said = sign_statement.say(
        client,
        ReviewGate(
            do=Do.REVIEW_GATE,
            log=client.log,
            gate=gate,
            verdict=GateVerdict(verdict_),
            decision=decision,
            look_again=midnight(day),
            who=client.who,
            at=now,
            nonce=sign_statement.nonce(),
        ),
    )
    return client.tell_monitor(f"/gates/{gate}/reviewed", {"statement": said.signed})


def _read(folder: Path | None, org: str | None, as_of: str) -> tuple[History, str]:
    """Return the history, and the name of where it was read from."""
    from breakglass.verdicts.folder import read_folder
    from breakglass.verdicts.history import midnight

    at = midnight(_day(as_of, "--as-of")) if as_of else None
    if folder is not None:
        return read_folder(folder, at), folder.resolve().name
    try:
        client = find(org)
    except MisconfiguredError as error:
        error.hint = f"{error.hint}; or read a folder: --history DIR"
        raise
    return _ask(client, at), client.log


def _ask(client: Client, at: datetime | None = None) -> History:
    """Read the history that the monitor makes from the ledger, as any history folder."""
    from tempfile import TemporaryDirectory

    from breakglass.verdicts.folder import FILES, read_folder

    answer = client.ask_monitor("/gates/history")
    with TemporaryDirectory(prefix="breakglass-history-") as name:
        for file in FILES:  # never a name that the monitor chose
            text = answer["files"].get(file)
            if text is not None:
                (Path(name) / file).write_text(text, encoding="utf-8")
        return read_folder(Path(name), at)


def _found(history: History, gate: str, where: str) -> Gate:
    found = history.gate(gate)
    if found is None:
        names = ", ".join(g.name for g in history.gates[:8]) or "none"
        raise MisconfiguredError(
            f"no gate '{gate}' in '{where}'; nothing was written", hint=f"gates there: {names}"
        )
    return found


def _judged(history: History) -> list[Verdict]:
    from breakglass.verdicts.verdict import judge_all

    return judge_all(history)


def _say_if_none(judged: list[Verdict]) -> None:
    if not judged:
        output.talk("no gate has stated a passage or a bypass yet")


def _lines(history: History, judged: list[Verdict]) -> None:
    from breakglass.verdicts.charts.series import shown
    from breakglass.verdicts.charts.sparkline import sparkline
    from breakglass.verdicts.glasses import glass_rates, glass_sentence
    from breakglass.verdicts.rising_gates import rising
    from breakglass.verdicts.sentence import percent
    from breakglass.verdicts.siblings import displacements

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
    for rate in glass_rates(history):
        click.echo(f"glass      {glass_sentence(rate)}")
    for d in displacements(history):
        click.echo(f"moved      '{d.fell}' fell and '{d.rose}' rose: judge both together")


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


REVIEWING = (import_, verdict, report, review, decide)
