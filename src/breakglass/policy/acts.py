"""Commands that a minter runs in place of handing out a credential: nothing is filled in.

Source: docs/spec/card.md, C-10. What maintainers sign is what runs: no shell, no template.
"""

from __future__ import annotations

import re
from datetime import timedelta

from breakglass.error_names import ErrorName
from breakglass.policy import yaml_fields
from breakglass.policy.yaml_nodes import Items, Node, wrong
from breakglass.records.card import Act, Output

ACTS_AT_MOST = 16
_WORDS_AT_MOST = 64
_WITHIN = (timedelta(seconds=1), timedelta(hours=1))
# Surely meant to be filled in by somebody: ${name}, $(command), %(name)s, {{ name }}. Not these:
# Go templates that the program itself fills ({{.Name}}, {{end}}), jsonpath ({.items}), date's +%s.
_TEMPLATE = re.compile(
    r"\$[{(]|%\([A-Za-z_][A-Za-z0-9_]*\)[sdr]"
    r"|\{\{\s*(?!(?:end|else|break|continue)\b)[A-Za-z_][A-Za-z0-9_.]*\s*\}\}",
    re.ASCII,
)
_SHELL = re.compile(r"(.*/)?(r?bash|sh|dash|ash|zsh|[ckt]?csh|m?ksh|fish|pwsh)", re.ASCII)
_CODE = re.compile(r"-[A-Za-z]*c[A-Za-z]*|--command(=.*)?|-Command", re.ASCII)


def shell_of(act: Act) -> str:
    """Return the shell that an act hands code to, wherever it stands; empty if none.

    >>> shell_of(Act(("/usr/bin/env", "sh", "-ec", "date"), 1, Output.NONE))
    'sh'
    """
    for at, word in enumerate(act.argv):
        if _SHELL.fullmatch(word) and any(map(_CODE.fullmatch, act.argv[at + 1 :])):
            return word
    return ""


def parse_acts(node: Node) -> dict[str, Act]:
    """Read ``acts:`` of a mint, name to act.

    Raises:
        MalformedError: with the place: no act or too many, a vector whose program is no absolute
            path, or a word that waits for somebody to fill it in.
    """
    acts = yaml_fields.named(node, "acts", lambda _, each: _act(each))
    if not 1 <= len(acts) <= ACTS_AT_MOST:
        raise wrong(node, f"1 to {ACTS_AT_MOST} acts", str(len(acts)))
    return acts


def _act(node: Node) -> Act:
    at = yaml_fields.fields(node, "an act", need=("run", "within"), may=("output",))
    if not isinstance(at["run"], Items):
        raise wrong(
            at["run"],
            "a list: the program and each of its arguments",
            hint="nothing splits a line into words here: run: [/usr/bin/kubectl, rollout, undo]",
        )
    argv = yaml_fields.items(at["run"], _word, least=1, most=_WORDS_AT_MOST)
    if not argv[0].startswith("/"):
        raise wrong(
            at["run"].items[0],
            "a program by its absolute path",
            repr(argv[0][:60]),
            name=ErrorName.NO_ABSOLUTE_PATH,
            hint="the minter has no search path; it compares the file with the digest it knows",
        )
    output = yaml_fields.choice(at["output"], Output) if "output" in at else Output.NONE
    within = yaml_fields.span(at["within"], *_WITHIN)
    return Act(argv, int(within.total_seconds()), output)


def _word(node: Node) -> str:
    found = yaml_fields.word(node)
    if match := _TEMPLATE.search(found):
        raise wrong(
            node,
            "a whole argument: nothing is filled in",
            repr(match[0]),
            name=ErrorName.TEMPLATE,
            hint="write one act for each value; what maintainers sign is what runs",
        )
    return found
