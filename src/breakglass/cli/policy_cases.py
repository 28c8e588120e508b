"""``breakglass policy test``: a bundle's own cases, each through the function that decides."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from breakglass.cli import output
from breakglass.cli.client import find, takes_org
from breakglass.errors import MalformedError

EXAMPLE = """\
\b
Example:
  breakglass policy test org/bundle
"""


@click.command(epilog=EXAMPLE, short_help="Run the policy's own cases.")
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@takes_org
@output.says_json
def test(bundle: Path | None, org: str | None, as_json: bool) -> None:
    """Run the cases of BUNDLE's cases.yaml: who asks for what, and the answer that is wanted.

    Each goes through the very function that decides at night. `policy check`, `sign` and
    `activate` run them too, and refuse a policy that answers one otherwise (exit code 2).
    """
    from breakglass.cli.sign_statement import now
    from breakglass.policy.case_run import run_cases
    from breakglass.policy.compile import compile_policy
    from breakglass.policy.folder import read_bundle

    folder = bundle or find(org).bundle
    found = run_cases(compile_policy(read_bundle(folder), now=now()), now())
    failed = [each for each in found if not each.holds]
    if as_json:
        rows = [
            {
                "name": each.case.name,
                "holds": each.holds,
                "wanted": each.case.wanted,
                "got": each.got,
                "why": each.why,
                "place": str(each.case.place),
            }
            for each in found
        ]
        output.tell_json({"holds": not failed, "cases": rows})
    else:
        output.tell_rows(
            ("OK", f"{each.case.name}: {each.got}") if each.holds else ("FAIL", str(each.finding()))
            for each in found
        )
    if not found:
        output.talk("no cases: write some in cases.yaml beside breakglass.yaml")
    if failed:
        output.talk(f"{len(failed)} of {len(found)} cases failed; this policy is not signed")
        sys.exit(MalformedError.exit_code)
