"""What a responder types at 03:00 imports nothing heavy."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

import breakglass

SOURCE = Path(breakglass.__file__).parent

HEAVY = ("cryptography", "httpx", "starlette", "uvicorn", "cedarpy", "yaml")
CLIENT = (
    "breaking",
    "broken_glass",
    "glass_request",
    "ask",
    "ask_view",
    "ask_watch",
    "ask_waiting",
    "ask_proof",
    "answer",
    "asked_requests",
    "statement_copy",
    "status",
    "run",
    "early_end",
    "incident",
    "gate",
    "door",
    "door_bell",
    "door_request",
    "review",
    "gate_reviews",
    "completed_names",
    "client",
    "client_file",
    "use",
    "sign_statement",
    "held_grants",
    "credential",
    "own_trust",
)


@pytest.mark.parametrize("name", CLIENT)
def test_a_client_command_imports_nothing_heavy(name):
    code = (
        "import sys\n"
        f"import breakglass.cli.main, breakglass.cli.{name}, breakglass.cli.sign_statement\n"
        "import breakglass.cli.held_grants, breakglass.records.statement\n"
        f"print([each for each in {HEAVY!r} if each in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_list_of_commands_imports_no_command():
    code = (
        "import sys\n"
        "from breakglass.cli import main\n"
        "try:\n    main.main(['--help'])\nexcept SystemExit:\n    pass\n"
        "known = [each for each in sys.modules if each.startswith('breakglass.')]\n"
        "print(known, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "breakglass.cli.breaking" not in done.stderr
    assert "breakglass.records" not in done.stderr


LINUX_ALONE = re.compile(
    r"\b(prctl|pidfd_open|epoll|inotify|O_TMPFILE|O_PATH|memfd_create|pipe2|setresuid)\b|/proc/"
)


def _needed(names: Iterable[str]) -> set[Path]:
    """Return the files that these modules import, at their top or inside a function."""
    waiting, found = [f"breakglass.cli.{name}" for name in names], set[Path]()
    while waiting:
        path = SOURCE.joinpath(*waiting.pop().split(".")[1:])
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if file in found or not file.exists():
            continue
        found.add(file)
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("breakglass"):
                waiting += [
                    str(node.module),
                    *(f"{node.module}.{each.name}" for each in node.names),
                ]
    return found


def test_a_responders_commands_need_nothing_that_linux_alone_has():
    """Laptops are of every kind; whatever a command imports must be there on a Mac too."""
    needed = _needed(CLIENT)
    assert SOURCE / "token" / "verify.py" in needed
    wrong = {
        str(file.relative_to(SOURCE)): found[0]
        for file in needed
        if (found := LINUX_ALONE.search(file.read_text()))
    }
    assert wrong == {}
