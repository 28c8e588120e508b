"""The demo holds, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from breakglass.demo.ssh_host import DemoHost, make_ssh_host
from breakglass.demo.stage import Stage
from tests.embedded.isolated import Person, gone_within, processes_naming
from tests.kit.picture import drawing, recorded, steady


@pytest.fixture
def visitor(tmp_path: Path) -> Iterator[Person]:
    person = Person.at(tmp_path)
    # All that the demo makes lies there, so the command lines of all that it starts name it. The
    # database must be able to walk to it under a user of its own.
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    person.extra["TMPDIR"] = str(folder)
    yield person
    shutil.rmtree(folder)


def test_every_check_of_the_demo_holds(visitor):
    text = visitor.extra["TMPDIR"]
    said = visitor.types("breakglass", "demo", within_s=240)
    last = said.out.rstrip().splitlines()[-1]
    assert said.code == 0, said.out[-3000:] + said.err
    count = re.fullmatch(r"demo: ([0-9]+) of \1 checks passed", last)
    assert count is not None, last
    assert int(count[1]) >= 35
    assert re.search(r"orders-repair: usable [0-9]+ ms after she asked", said.out)
    assert "sam reads what was checked on his machine, and approves" in said.out
    assert "she breaks the glass alone, and it is recorded as that" in said.out
    assert ("sshd's own log says who it was" in said.out) == (isinstance(told_host(), DemoHost))
    assert said.err == ""
    check_picture(said.out)
    assert max(len(line) for line in said.out.splitlines()) <= 80
    assert list(Path(text).iterdir()) == []
    assert sorted(path.name for path in visitor.home.iterdir()) == []
    assert gone_within(text, 1) == []


def told_host() -> DemoHost | str:
    made = make_ssh_host()
    if isinstance(made, DemoHost):
        made.stop()
    return made


def test_without_root_the_story_says_why_it_has_no_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert make_ssh_host() == "a mount namespace and a control group take root"


def check_picture(said: str) -> None:
    """Be sure that the picture shows what the demo says today, but for numbers and ids."""
    now = {steady(line) for line in drawing().scenes_of(said)}
    old = [each for each in recorded() if each.startswith(("  ok", "  $")) or each[:1].strip()]
    missing = [line for line in old if steady(line) not in now]
    assert missing == [], "record it anew: python docs/pictures/draw.py"


def test_a_demo_killed_with_9_leaves_no_process(visitor):
    process = visitor.starts("breakglass", "demo")
    text = visitor.extra["TMPDIR"]
    until = time.monotonic() + 120
    while len(processes_naming(text)) < 9:  # the database and eight processes
        assert time.monotonic() < until, "it did not come up"
        time.sleep(0.05)
    process.kill()
    process.communicate()
    assert gone_within(text, 10) == []


def test_a_check_that_breaks_does_not_hold_and_the_story_goes_on(capsys):
    stage = Stage()
    with stage.check("the first"):
        raise RuntimeError("boom")
    with stage.check("the second") as check:
        check.require(False, "got 4, wanted 5")
    with stage.check("the third"):
        pass
    assert stage.end() == 1
    out = capsys.readouterr().out
    assert "because: RuntimeError('boom')" in out
    assert "because: got 4, wanted 5" in out
    assert out.splitlines()[-1] == "demo: 1 of 3 checks passed"


def test_a_stage_on_which_nothing_happened_is_no_success(capsys):
    assert Stage().end() == 1
    assert capsys.readouterr().out.splitlines()[-1] == "demo: 0 of 0 checks passed"
