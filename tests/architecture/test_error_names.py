"""Names of failures are members of one enum, and each is raised, by the kinds that it says."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from breakglass.error_names import ErrorName, ForeignName, name_of
from tests.kit.error_page import KINDS, PAGE, VOID, page

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "breakglass"
ENUM = SOURCE / "error_names.py"
VALUES = {each.value for each in ErrorName}


@dataclass
class Uses:
    """Where one member stands: raised by a kind at once, handed on to be raised, or compared."""

    kinds: set[str] = field(default_factory=set)
    handed_on: int = 0
    compared: int = 0


def _trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        if path != ENUM:
            yield str(path.relative_to(SOURCE)), ast.parse(path.read_text())


def _kinds_of_classes() -> dict[str, str]:
    """Return the exit code of every kind of error and of every class under one."""
    found = {kind.__name__: code for code, kind in KINDS.items()} | {"Void": VOID}
    classes = [
        (node.name, ast.unparse(node.bases[0]))
        for _, tree in _trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.bases
    ]
    for _ in range(3):  # no class stands deeper
        found = {name: found[base] for name, base in classes if base in found} | found
    return found


def _uses() -> dict[str, Uses]:
    codes = _kinds_of_classes()
    found = {each.name: Uses() for each in ErrorName}

    def look(node: ast.AST, inside: str) -> None:
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "ErrorName":
            use = found[node.attr]
            if inside in codes.values():
                use.kinds.add(inside)
            elif inside == "compared":
                use.compared += 1
            else:
                use.handed_on += 1
        for child, where in _parts(node, inside, codes):
            look(child, where)

    for _, tree in _trees():
        look(tree, "")
    return found


def _parts(node: ast.AST, inside: str, codes: dict[str, str]) -> Iterator[tuple[ast.AST, str]]:
    """Give what stands right below ``node``, each with what it is a part of."""
    looks_up = isinstance(node, ast.Compare | ast.Set)
    called = node.func if isinstance(node, ast.Call) else None
    name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
    for child in ast.iter_child_nodes(node):
        if looks_up or (isinstance(node, ast.Dict) and child in node.keys):
            yield child, "compared"
        elif isinstance(node, ast.Call):
            yield child, codes.get(name, "")
        elif isinstance(node, ast.ClassDef):
            yield child, codes.get(node.name, "")
        elif isinstance(node, ast.FunctionDef):
            yield child, ""
        else:
            yield child, inside


def test_every_name_is_raised_somewhere() -> None:
    uses = _uses()
    assert [name for name, use in uses.items() if not use.kinds and not use.handed_on] == []


def test_every_name_says_by_which_kinds_it_is_raised() -> None:
    wrong = {
        name: (ErrorName[name].kinds, sorted(use.kinds))
        for name, use in _uses().items()
        if not use.kinds <= set(ErrorName[name].kinds)
        or (not use.handed_on and use.kinds != set(ErrorName[name].kinds))
    }
    assert wrong == {}


def test_no_name_of_an_error_is_a_bare_string() -> None:
    """The type checker refuses one where an error is made; here it is refused in comparisons."""
    bare = [
        f"{path}:{node.lineno}: {ast.unparse(node)}"
        for path, tree in _trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare) and _compares_by_text(node, _caught(tree))
    ]
    assert bare == []


def _caught(tree: ast.Module) -> set[str]:
    """Return the names that this file gives to what it catches."""
    return {
        node.name for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.name
    }


def _compares_by_text(node: ast.Compare, caught: set[str]) -> bool:
    sides = [node.left, *node.comparators]
    asked = [each for each in sides if isinstance(each, ast.Attribute)]
    asked = [each for each in asked if each.attr in ("name", "void")]
    texts = [
        part.value
        for side in sides
        for part in ast.walk(side)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    ]
    if any(ast.unparse(each.value) in caught | {"error", "judged"} for each in asked):
        return bool(texts)
    if not asked and "get('error')" not in ast.unparse(node):
        return False
    return bool(VALUES.intersection(texts) - {"error"})


def test_a_name_is_spelt_as_its_member_and_explained_in_plain_words() -> None:
    assert [each.value for each in ErrorName] == sorted(VALUES)
    for each in ErrorName:
        assert each.value == each.name.lower()
        assert each.kinds == "".join(sorted(set(each.kinds)))
        assert {""} < {*each.kinds, ""} <= {*KINDS, VOID, ""}
        assert each.meaning.rstrip(".") == each.meaning > ""


def test_the_names_cost_no_other_import() -> None:
    imported = [
        ast.unparse(node)
        for node in ast.walk(ast.parse(ENUM.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert imported == ["from enum import StrEnum"]


def test_a_name_of_a_neighbour_that_is_not_known_is_told_as_it_came() -> None:
    assert name_of("unreachable") is ErrorName.UNREACHABLE
    strange = name_of("x" * 100)
    assert isinstance(strange, ForeignName)
    assert strange == "x" * 64


def test_the_page_of_names_is_the_enum() -> None:
    assert PAGE.read_text() == page(), "write it anew: python -m tests.kit.error_page"
