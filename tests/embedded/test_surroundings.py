"""Where ``up`` is typed, and by whom, changes nothing: PID 1, foreign modules, few files."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.embedded.isolated import Person, gone_within, running_up

UNSHARE = ("unshare", "-pf", "--mount-proc", "--kill-child")
INSTALLED = Path(sys.executable).parent


def _may_unshare() -> bool:
    try:
        return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture
def mira(tmp_path: Path) -> Person:
    person = Person.at(tmp_path)
    made = person.types("breakglass", "init", "org", "--as", "mira", "--key", str(person.key))
    assert made.code == 0, made.err
    return person


@contextmanager
def _up(mira: Person, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Run the installed command, which does not look for modules where it is typed."""
    mira.prefix, before = words, mira.prefix
    try:
        with running_up(mira, str(mira.home.parent / "org")) as process:
            yield process
    finally:
        mira.prefix = before


def _breaks(mira: Person) -> None:
    org = ("--org", str(mira.home.parent / "org"))
    incident = ("incident", "declare", "INC-1", "--severity", "SEV1", "--title", "checkout 5xx")
    declared = mira.types("breakglass", *incident, *org)
    assert declared.code == 0, declared.err
    glass = ("break", "hello", "--incident", "INC-1", "--why", "it fails")
    broken = mira.types("breakglass", *glass, *org)
    assert broken.code == 0, broken.err


@pytest.mark.skipif(not _may_unshare(), reason="no namespace of our own may be made here")
def test_up_runs_as_process_1_of_a_container(mira: Person) -> None:
    with _up(mira, *UNSHARE) as process:
        _breaks(mira)
        # unshare itself is deaf while it waits; what it started is process 1 inside.
        (inside,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(inside), signal.SIGTERM)
        assert process.wait(60) == 0
    assert gone_within(f"{mira.home.parent}/org/", 10) == []


def test_no_module_of_the_folder_where_up_is_typed_is_run(mira: Person, tmp_path: Path) -> None:
    bundle, marker = tmp_path / "org" / "bundle", tmp_path / "ran"
    planted = f"import os; open({str(marker)!r}, 'a').write(str(os.getpid()) + '\\n')\n"
    for name in ("secrets", "org", "uvicorn", "sitecustomize"):
        (bundle / f"{name}.py").write_text(planted)
    mira.cwd = bundle
    with _up(mira, "sh", "-c", f'shift 3; exec {INSTALLED}/breakglass "$@"', "up"):
        assert not marker.exists()
        mira.cwd = tmp_path
        _breaks(mira)
    assert not marker.exists()


def test_what_pythonpath_names_is_run_by_no_process(mira: Person, tmp_path: Path) -> None:
    planted, marker = tmp_path / "planted", tmp_path / "ran"
    planted.mkdir()
    (planted / "sitecustomize.py").write_text(
        f"import sys; open({str(marker)!r}, 'a').write(' '.join(sys.orig_argv) + '\\n')\n"
    )
    mira.extra["PYTHONPATH"] = str(planted)
    with _up(mira):
        pass
    # The command itself is whoever's who set it; its processes hold the keys.
    ran = marker.read_text().splitlines()
    assert not [line for line in ran if "--die-with-parent" in line], ran


def test_64_files_suffice_for_honest_load(mira: Person) -> None:
    with _up(mira, "sh", "-c", 'ulimit -n 64; exec "$0" "$@"'):
        _breaks(mira)
        for _ in range(12):
            status = mira.types("breakglass", "status", "--org", str(mira.cwd / "org"))
            assert status.code == 0, status.err


@pytest.mark.parametrize(
    "surroundings",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "en_US.ISO-8859-1", "PYTHONUTF8": "0"},
        {"PYTHONOPTIMIZE": "2"},
        {"PYTHONWARNINGS": "error"},
        {"TZ": "Asia/Kathmandu", "COLUMNS": "10"},
        {"TZ": ":bogus"},
        {"HOME": ""},
        {"HOME": "/proc/1/none"},
    ],
    ids=lambda given: "-".join(f"{name}={value}" for name, value in given.items()),
)
def test_processes_run_in_any_surroundings(mira: Person, surroundings: dict[str, str]) -> None:
    mira.extra = surroundings
    with _up(mira):
        mira.extra = {}
        _breaks(mira)


def test_processes_run_as_a_uid_without_a_name(mira: Person) -> None:
    """Root's power to read is left to it, or it could not read this test's interpreter."""
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can become a uid that nobody has")
    reads = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")
    nobody = ("setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups", *reads)
    with tempfile.TemporaryDirectory(prefix="breakglass-uid-") as where:
        org = Path(where) / "org"
        shutil.copytree(mira.home.parent / "org", org)
        for path in (Path(where), *Path(where).rglob("*")):
            os.chown(path, 12345, 12345)
        mira.prefix = (*nobody, "env", "-u", "HOME")
        with running_up(mira, str(org)):
            pass
        assert (org / "ledger" / "data").stat().st_uid == 12345
