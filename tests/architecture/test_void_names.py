"""Each name by which the fold voids a record stands in a test of the fold: no rule goes untried.

Where in ``records`` a rule lives does not matter: whatever raises ``Void`` is read, and the errors
of our own that stand in the same files.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from breakglass.error_names import ErrorName

ROOT = Path(__file__).resolve().parents[2]
RECORDS = ROOT / "src" / "breakglass" / "records"
TESTS = ROOT / "tests" / "records"
VOIDING = {"Void", "MalformedError", "RefusedError", "UnprovenError", "end_ask"}


def _calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
            if name in VOIDING:
                yield name, node


def _members(node: ast.AST) -> set[str]:
    return {
        ErrorName[each.attr].value
        for each in ast.walk(node)
        if isinstance(each, ast.Attribute) and ast.unparse(each.value) == "ErrorName"
    }


def _texts(node: ast.AST) -> set[str]:
    return {
        each.value
        for each in ast.walk(node)
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    }


def _raised() -> dict[str, set[str]]:
    """Return the names of void, each with the places that raise it."""
    found: dict[str, set[str]] = {}
    for path in sorted(RECORDS.rglob("*.py")):
        calls = list(_calls(ast.parse(path.read_text())))
        if not any(name == "Void" for name, _ in calls):
            continue
        for name, call in calls:
            given = {"Void": call.args[:1], "end_ask": call.args[2:3]}.get(name, [])
            given += [each.value for each in call.keywords if each.arg == "name"]
            texts = set().union(*map(_members, given))
            where = f"{path.relative_to(ROOT)}:{call.lineno}"
            handed_on = any(ast.unparse(each) == "ended.name" for each in given)  # by end_ask
            assert texts or handed_on or name != "Void", f"{where} voids by no name of the enum"
            for text in texts:
                found.setdefault(text, set()).add(where)
    return found


def test_every_name_of_void_stands_in_a_test_of_the_fold() -> None:
    raised = _raised()
    assert len(raised) >= 35, f"only {len(raised)} names found: is the fold raising otherwise now?"
    tried = set().union(*(_texts(ast.parse(path.read_text())) for path in TESTS.glob("test_*.py")))
    assert {name: where for name, where in raised.items() if name not in tried} == {}
