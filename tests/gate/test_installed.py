"""``breakglass-gate`` as the wheel installs it: isolated from what an earlier step left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.gate.conftest import GateHome

ROOT = Path(__file__).parents[2]
PASS, FAIL = ["true"], ["false"]  # a check in Python would itself read what was left behind


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel and install it alone; only ``cryptography`` is borrowed from here."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "-w",
        str(folder),
        str(ROOT),
    ]
    subprocess.run([*pip, *build], check=True)
    (wheel,) = folder.glob("*.whl")
    place = folder / "venv"
    venv.create(place, with_pip=False, symlinks=True)
    python = place / "bin" / "python"
    install = ["--python", str(python), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([*pip, *install], check=True)
    (site,) = place.glob("lib/python*/site-packages")
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return place / "bin" / "breakglass-gate"


def _answers(program: Path, home: GateHome, check: list[str], **given: str) -> int:
    words = [str(program), "run", "deploy-approval", "--folder", str(home.folder), "--", *check]
    environment = {"PATH": os.environ["PATH"], "HOME": "/nowhere", **given}
    done = subprocess.run(
        words, env=environment, cwd=home.folder.parent, capture_output=True, text=True, check=False
    )
    return done.returncode


def test_the_installed_gate_answers_as_its_check_says(program: Path, home: GateHome) -> None:
    assert _answers(program, home, PASS) == 0
    assert _answers(program, home, FAIL) == 3


def test_what_an_earlier_step_left_behind_does_not_open_it(
    program: Path, home: GateHome, tmp_path: Path
) -> None:
    planted = tmp_path / "planted"
    planted.mkdir()
    opens = "import os\nos._exit(0)\n"
    for name in ("sitecustomize", "usercustomize", "argparse", "json"):
        (planted / f"{name}.py").write_text(opens)
        (home.folder.parent / f"{name}.py").write_text(opens)  # where it is started
    (planted / "start.py").write_text(opens)
    for given in (
        {"PYTHONPATH": str(planted)},
        {"PYTHONUSERBASE": str(planted)},
        {"PYTHONSTARTUP": str(planted / "start.py"), "PYTHONINSPECT": "1"},
        {"PYTHONHOME": str(planted)},
        {"ENV": str(planted / "start.py"), "BASH_ENV": str(planted / "start.py")},
        {"PYTHONOPTIMIZE": "2"},
    ):
        assert _answers(program, home, FAIL, **given) == 3, given


def test_it_is_found_through_the_links_that_installers_make(
    program: Path, home: GateHome, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.symlink_to(program)
    second.symlink_to("first")
    assert _answers(second, home, PASS) == 0
    assert _answers(second, home, FAIL) == 3


def test_without_its_interpreter_it_stays_shut(home: GateHome, tmp_path: Path) -> None:
    alone = tmp_path / "breakglass-gate"
    alone.write_bytes((ROOT / "scripts" / "breakglass-gate").read_bytes())
    alone.chmod(0o755)
    assert _answers(alone, home, PASS) == 6


@pytest.mark.parametrize(
    "given",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "en_US.ISO-8859-1", "PYTHONIOENCODING": "latin-1"},
        {"TZ": ":bogus", "COLUMNS": "10"},
        {"PYTHONWARNINGS": "error"},
    ],
    ids=lambda given: "-".join(given),
)
def test_it_answers_in_any_surroundings(
    program: Path, home: GateHome, given: dict[str, str]
) -> None:
    assert _answers(program, home, PASS, **given) == 0
    assert _answers(program, home, FAIL, **given) == 3


def test_it_answers_without_a_home_and_as_a_uid_without_a_name(
    program: Path, home: GateHome
) -> None:
    """Root's power to read is left to it, or it could not read this test's interpreter."""
    words = ["env", "-u", "HOME", str(program), "run", "deploy-approval", "--folder"]
    if os.getuid() == 0 and shutil.which("setpriv"):
        for path in (home.folder, *home.folder.rglob("*")):
            os.chown(path, 12345, 12345)
        reads = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
        uid = ["--reuid", "12345", "--regid", "12345", "--clear-groups"]
        words = ["setpriv", *uid, *reads, *words]
    for check, code in ((PASS, 0), (FAIL, 3)):
        done = subprocess.run(
            [*words, str(home.folder), "--", *check], capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stderr
