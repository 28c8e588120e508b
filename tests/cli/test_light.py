"""What a responder types at 03:00 imports nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("cryptography", "httpx", "starlette", "uvicorn", "cedarpy", "yaml")
CLIENT = (
    "breaking",
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
