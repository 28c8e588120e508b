"""``breakglass gate``: a token for a gate's run, the folder of a new gate, and its reviews."""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path

import click

from breakglass.cli import output
from breakglass.cli.client import find, takes_org
from breakglass.cli.completed_names import GRANT
from breakglass.cli.gate_reviews import REVIEWING
from breakglass.cli.next_trust import signs_trust_here
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, MisconfiguredError, RefusedError

TOKEN_EXAMPLE = """\
\b
Example:
  breakglass gate token g-7kq3m2x4p5ab --gate canary --for 812 --out token
  breakglass-gate run canary --token token --for 812 -- ./checks.sh
"""
ADD_EXAMPLE = """\
\b
Example:
  breakglass gate add canary --out gates/canary --glass deploy-rollback
"""


@click.group(epilog=TOKEN_EXAMPLE)
def gate() -> None:
    """Sign a token for a gate; make, look at and review gates."""


for _each in REVIEWING:
    gate.add_command(_each)


@gate.command(epilog=TOKEN_EXAMPLE, short_help="Sign a token for one run of one gate.")
@click.argument("grant", type=GRANT)
@click.option("--gate", "gate_name", required=True, metavar="G", help="The gate's name.")
@click.option("--for", "run", required=True, metavar="RUN", help="The one run that it may open.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write it there, 0600; - prints it.",
)
@takes_org
@output.says_json
def token(
    grant: str, gate_name: str, run: str, out: Path | None, org: str | None, as_json: bool
) -> None:
    """Sign the token of GRANT for one run of one gate, with the grant's holder key.

    The token opens nothing else and nothing later; who reads it can open that one run.
    """
    from breakglass.cli import held_grants
    from breakglass.cli.grant_proof import proven_grant
    from breakglass.cli.sign_statement import now

    printed = out is None or str(out) == "-"
    if out is None and not as_json and sys.stdout.isatty():
        raise click.UsageError("say where the token goes: --out FILE (or --out - to print it)")
    if not run:
        raise MalformedError(
            "say which run it may open: --for RUN; it is empty",
            hint="is the variable set that names this run",
        )
    client = find(org)
    client.announce()
    held = held_grants.held(client.state, grant)
    bare = held.answer.get("token") or client.broker("GET", f"/grants/{grant}/token")["token"]
    # What the gate would refuse is refused here: later there is nobody to ask.
    intent = proven_grant(client, held, {"token": bare}, now())[0].intent
    if gate_name not in intent.gates:
        raise RefusedError(
            f"grant {grant!r} does not open gate {gate_name!r}; nothing was signed",
            name=ErrorName.WRONG_GATE,
            hint=f"it opens: {', '.join(intent.gates) or 'no gate'}",
        )
    if intent.not_after <= now():
        raise RefusedError(
            f"grant {grant!r} ended {output.clock_time(intent.not_after, now())}; nothing was"
            " signed",
            name=ErrorName.EXPIRED,
            hint="break the glass again: a grant is never extended",
        )
    shown = held.present(client.log, f"gate:{gate_name}", run)
    text = base64.b64encode(shown["text"].encode()).decode()
    presented = f"{bare}presentation {text} {shown['sshsig']}\n"
    if not printed:
        assert out is not None
        _write_private(out, presented)
        output.talk(f"token for run {run!r} of gate {gate_name!r} is in {out}")
    if as_json:
        output.tell_json({"grant": grant, "gate": gate_name, "run": run, "token": presented})
    elif printed:
        click.echo(presented, nl=False)


@gate.command(epilog=ADD_EXAMPLE, short_help="Make the folder of a new gate.")
@click.argument("name")
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--glass", "glasses", multiple=True, metavar="G", help="What opens it, for its hints."
)
@signs_trust_here
@takes_org
@output.says_json
def add(
    name: str,
    out: Path,
    glasses: tuple[str, ...],
    sign_here: bool,
    org: str | None,
    as_json: bool,
) -> None:
    """Make the folder of gate NAME in DIR: trust file, key, settings, spool.

    The gate stays shut to tokens until its trust file names its key; the line for it is printed.
    """
    from breakglass.cli.next_trust import change_of
    from breakglass.operate.new_gate import let_in, make_gate
    from breakglass.operate.signed_file import read_note
    from breakglass.operate.trust_copies import hand_to_gate
    from breakglass.records.trust_lines import next_text, with_submitter

    client = find(org)
    line = make_gate(out, name, client.log, glasses, client.ledger, client.trust)
    told: dict[str, object] = {"gate": name, "folder": str(out), "trust_line": line}
    rows = [("made", f"{out}, the folder of gate '{name}'"), ("trust line", line)]
    let_in(client.file.absolute().parent, line)
    if sign_here:
        client.announce()
        change = change_of(client, sign_here=True)
        done = change.enact(next_text(change.standing(), lambda lines: with_submitter(lines, line)))
        hand_to_gate(out, read_note(client.trust))
        told["trust_version"] = done.version
        signed = f"trust file {done.version}, by {' and '.join(done.signed)}"
        rows.append(("in force", f"{signed}, entry {done.index}"))
    if as_json:
        output.tell_json(told)
        return
    output.tell_rows(rows)
    if not sign_here:
        output.talk(f"next, as a maintainer: breakglass trust next '{line}'")


def _write_private(path: Path, text: str) -> None:
    try:
        path.unlink(missing_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise MisconfiguredError(f"{str(path)!r} cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)
    except OSError as error:
        path.unlink(missing_ok=True)  # half a token opens nothing, and says so in the wrong place
        raise MisconfiguredError(f"{str(path)!r} cannot be written: {error.strerror}") from error
