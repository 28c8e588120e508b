"""The house stays in order: what reviewers would otherwise have to say again and again."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.plain_english import check_wording

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "breakglass"
FILES = sorted(SOURCE.rglob("*.py"))
LINES_AT_MOST = 480


def _names(files: list[Path]) -> list[str]:
    return [str(path.relative_to(SOURCE)) for path in files]


def test_no_file_is_a_drawer_for_whatever() -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "service"}
    assert [name for name in _names(FILES) if Path(name).stem in drawers] == []


def test_no_file_tells_so_much_that_it_tells_two_stories() -> None:
    long = {
        str(path.relative_to(SOURCE)): lines
        for path in FILES
        if (lines := len(path.read_text().splitlines())) > LINES_AT_MOST
    }
    assert long == {}


@pytest.mark.parametrize("path", FILES, ids=_names(FILES))
def test_what_is_public_says_what_it_does(path: Path) -> None:
    tree = ast.parse(path.read_text())
    bare = [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and ast.get_docstring(node) is None
        and node in tree.body
    ]
    assert ast.get_docstring(tree) or path.stat().st_size == 0, f"{path.name} has no docstring"
    assert bare == []


def test_nothing_waits_for_nobody() -> None:
    wishes = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b(?!\([a-z-]+\))")
    found = [
        name
        for path, name in zip(FILES, _names(FILES), strict=True)
        if wishes.search(path.read_text())
    ]
    assert found == []


def test_every_file_that_contributors_are_sent_to_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(r"`((?:src|tests|docs)/[a-z0-9_/]+\.(?:py|md))`", text)
    assert len(named) > 15
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_a_broad_except_stands_only_where_it_says_why() -> None:
    silent = []
    for path, name in zip(FILES, _names(FILES), strict=True):
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines):
            if re.search(r"except (Base)?Exception\b", line) and "#" not in line:
                behind = " ".join(lines[number + 1 : number + 8])
                if "raise" not in behind and "log.exception" not in behind:
                    silent.append(f"{name}:{number + 1}")
    assert silent == []


def test_the_client_starts_without_what_it_does_not_need() -> None:
    heavy = {"cryptography", "httpx", "cedarpy", "starlette", "yaml"}
    code = (
        "import sys, breakglass.cli.main, breakglass.records.statement, breakglass.http.client;"
        "print(' '.join(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert heavy & set(loaded) == set()


def test_the_offline_gate_starts_with_cryptography_alone(tmp_path: Path) -> None:
    # An organisation beside it: the standard library itself tries 'import org…'.
    (tmp_path / "org").mkdir()
    code = (
        "import sys, breakglass.gate.main;"
        "print(' '.join(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    loaded = set(
        subprocess.run(
            [sys.executable, "-P", "-c", code],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
        ).stdout.split()
    )
    ours = {"breakglass", "cryptography"}
    foreign = loaded - set(sys.stdlib_module_names) - ours
    # Modules that the interpreter's own start-up or cffi bring in are not ours to judge.
    assert {name for name in foreign if not name.startswith("_")} <= {"sitecustomize"}


def test_the_offline_gate_starts_without_the_fold_and_the_kinds_that_it_does_not_need() -> None:
    code = "import sys, breakglass.gate.main; print(' '.join(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    inner = "breakglass.records."
    assert {f"{inner}{each}" for each in ("fold.fold", "fold.state", "all_kinds")}.isdisjoint(
        loaded
    )
    loaded_kinds = {each for each in loaded if each.startswith(f"{inner}kinds.")}
    wanted = ("bypassed", "door", "intent", "justified", "passages")
    assert loaded_kinds == {f"{inner}kinds.{each}" for each in wanted}


def test_without_the_clients_libraries_breakglass_says_so_in_words() -> None:
    code = "import sys; sys.modules['click'] = None;from breakglass.cli.start import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 6
    assert "'click' is not installed" in done.stderr
    assert "breakglass[cli]" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_readme_says_how_long_the_tests_take_and_what_they_want_as_make_does() -> None:
    made, read = (ROOT / "Makefile").read_text(), (ROOT / "README.md").read_text()
    told = re.search(r"^MINUTES := (\d+)$", made, re.MULTILINE)
    assert told
    assert f"about {told[1]} minutes on two cores" in read
    targets = set(re.findall(r"^([a-z]+):", made, re.MULTILINE))
    said = set(re.findall(r"`make ([a-z]+)`|^make ([a-z]+)$", read, re.MULTILINE))
    assert {"demo", "test", "system"} <= {a or b for a, b in said} <= targets


@pytest.mark.parametrize("path", FILES, ids=_names(FILES))
def test_no_text_for_people_holds_a_wording_that_was_replaced(path: Path) -> None:
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            check_wording(node.value)
