"""What a message tells people to type can be typed: every such line of the source is parsed.

A command between quotes or backticks is spoken of: it and its options must exist. Any other is an
instruction: its arguments must be there too, filled where the message is.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import breakglass
from breakglass.cli import main
from breakglass.gate.main import _parser as gate_parser

SOURCE = Path(breakglass.__file__).parent
_START = re.compile(r"(?P<quote>['`]?)\bbreakglass(?P<gate>-gate)? (?=[a-z{])")
_WORD = re.compile(r" (\"[^\"]*\"|'[^']*'|\S+)")
_STOPS = {">", "|", "…"}
# What stands for a value in an f-string, where one word is not as good as another.
_FILLED = {"more": "", "room": "witness --out witness-1"}
_NO_COMMANDS = {"broker", "holder", "journal", "monitor"}  # names of things: 'breakglass monitor'


def _texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield every string literal whole, with its line; placeholders are filled."""
    inside: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            inside |= {id(part) for part in node.values}
            yield node.lineno, "".join(map(_filled, node.values))
        elif isinstance(node, ast.Constant) and id(node) not in inside:
            yield node.lineno, node.value if isinstance(node.value, str) else ""


def _filled(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    assert isinstance(part, ast.FormattedValue)
    return _FILLED.get(ast.unparse(part.value), "word")


def _lines(text: str) -> Iterator[tuple[bool, bool, list[str]]]:
    """Yield the commands in a text: of the gate's program or ours, only spoken of, its words."""
    text = re.sub(r"\\\n\s*", "", text)
    for found in _START.finditer(text):
        at, spoken_of, words = found.end() - 1, bool(found["quote"]), []
        end = text.find(found["quote"], at) if spoken_of else len(text)
        while word := _WORD.match(text, at, end):
            at = word.end()
            if word[1] in _STOPS or word[1].startswith("("):
                spoken_of = spoken_of or word[1] == "…"  # the rest is left to the reader
                break
            last = word[1][0] not in "\"'" and len(word[1]) > 1 and word[1][-1] in ".,;:)"
            words.append(word[1].rstrip(".,;:)") if last else word[1].strip("\"'"))
            if last:
                break
        yield bool(found["gate"]), spoken_of, words


def _wrong(words: list[str], spoken_of: bool) -> str:
    """Say what is wrong with a line of ours; '' if it parses."""
    command: click.Command | None = main.breakglass
    rest = list(words)
    while isinstance(command, click.Group):
        if not rest:
            return "" if spoken_of else "a group of commands, not a command"
        command = command.get_command(click.Context(command), rest[0])
        if command is None:
            return f"no command {rest[0]!r}"
        rest = rest[1:]
    assert command is not None
    command = copy.copy(command)
    command.params = [_by_name(each) for each in command.params]
    try:
        command.make_context("hint", rest, resilient_parsing=spoken_of)
    except click.UsageError as error:
        return error.format_message()
    return ""


def _by_name(param: click.Parameter) -> click.Parameter:
    """Return a parameter that takes any path, there or not."""
    param = copy.copy(param)
    if isinstance(param.type, click.Path):
        param.type = click.STRING
    return param


def _wrong_at_the_gate(words: list[str], spoken_of: bool) -> str:
    ours = words[: words.index("--")] if "--" in words else words
    try:
        gate_parser().parse_args([*ours, *(["gate"] if spoken_of else [])])
    except SystemExit:
        return "no such line of breakglass-gate"
    return ""


def _found() -> list[tuple[str, bool, bool, list[str]]]:
    every = []
    for path in sorted(SOURCE.rglob("*.py")):
        where = path.relative_to(SOURCE)
        for line, text in _texts(ast.parse(path.read_text("utf-8"))):
            every += [(f"{where}:{line}", *each) for each in _lines(text)]
    return [each for each in every if each[3][0] not in _NO_COMMANDS]


def test_every_command_that_a_message_names_can_be_typed():
    found = _found()
    wrong = [
        f"{where}: {'breakglass-gate' if gate else 'breakglass'} {' '.join(words)}: {why}"
        for where, gate, spoken_of, words in found
        if (why := (_wrong_at_the_gate if gate else _wrong)(words, spoken_of))
    ]
    assert wrong == []
    assert len(found) > 150  # it still looks


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("end it: breakglass kill --grant GRANT", "No such option"),
        ("answer: breakglass permit g-7kq3m2x4p5ab", "no command 'permit'"),
        ("declare one: breakglass incident declare", "Missing"),
        ("see: breakglass incident", "a group of commands"),
        ("'breakglass incident declair' does it", "no command 'declair'"),
        ("breakglass door list shows it", "unexpected extra argument"),
        ("flush: breakglass-gate flush", "no such line"),
    ],
)
def test_a_line_that_cannot_be_typed_is_found(text, says):
    ((gate, spoken_of, words),) = _lines(text)
    assert says in (_wrong_at_the_gate if gate else _wrong)(words, spoken_of)


@pytest.mark.parametrize(
    "text",
    [
        "'breakglass incident declare' does it; see `breakglass incident`",
        'type: breakglass break x --incident INC-1 --why "a, b; c", and wait',
        "run: breakglass ledger fsck x; then breakglass status.",
        "breakglass gate token GRANT --gate GATE --for RUN > token",
        "breakglass-gate run deploy --token T --for 812 -- ./check.sh --all",
    ],
)
def test_a_line_that_can_be_typed_passes(text):
    for gate, spoken_of, words in _lines(text):
        assert (_wrong_at_the_gate if gate else _wrong)(words, spoken_of) == ""
