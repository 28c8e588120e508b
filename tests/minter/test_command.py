"""A minter's program: what is given to it, what is taken from it, and what it cannot do to us."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from breakglass.clock import SystemClock
from breakglass.errors import MisconfiguredError, RefusedError, UnavailableError
from breakglass.minter.platforms.command import Command
from breakglass.minter.platforms.platform import Account, Credential, Order, Pending
from breakglass.minter.platforms.program import CommandSettings
from breakglass.minter.platforms.simulated import Simulated, Trouble
from tests.kit.command_minter import command
from tests.kit.processes import until


def order() -> Order:
    now = datetime.now(UTC)
    lives = timedelta(minutes=5)
    return Order("g-1", "bg_1", "s", {"roles": ("all",)}, now, now + lives, (), "key", b"token")


def misbehaves(folder: Path, how: str) -> None:
    (folder / "target.trouble").write_text(how)


def script(folder: Path, text: str) -> Path:
    made = folder / "program"
    made.write_text(f"#!/bin/sh\n{text}\n")
    made.chmod(0o755)
    return made


def describes(folder: Path) -> str:
    """Return the beginning of a program that describes itself as the simulated one does."""
    said = command(folder)._program.call("describe", {}, lambda answer: answer)
    (folder / "description").write_text(json.dumps(said))
    return f"""if [ "$1" = describe ]; then cat {folder}/description; exit; fi"""


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("die", "ended with exit -9"),
        ("nonsense", "answered nonsense: answer is not JSON"),
        ("floods", "answered more than 64 KiB"),
    ],
)
def test_what_goes_wrong_proves_nothing_and_tells_no_secret(
    tmp_path: Path, how: str, why: str
) -> None:
    platform = command(tmp_path)
    misbehaves(tmp_path, how)
    for call in (lambda: platform.mint(order()), lambda: platform.cut(Account("bg_1"))):
        with pytest.raises(UnavailableError, match=why) as caught:
            call()
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("how", ["hang", "leaves"])
def test_a_program_that_hangs_is_killed_with_its_children(tmp_path: Path, how: str) -> None:
    platform = command(tmp_path)
    short = Command(replace(platform._program.settings, within=timedelta(seconds=5)))
    misbehaves(tmp_path, how)
    with pytest.raises(UnavailableError, match="did not end within 5 s"):
        short.cut(Account("bg_1"))
    until(
        lambda: not [each for each in Path("/proc").glob("[0-9]*/cmdline") if _of(each, tmp_path)]
    )


def _of(cmdline: Path, folder: Path) -> bool:
    try:
        return str(folder).encode() in cmdline.read_bytes()
    except OSError:
        return False


def test_what_it_says_on_standard_error_is_logged_and_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    platform = command(tmp_path)
    misbehaves(tmp_path, "talks")
    with caplog.at_level(logging.INFO, "breakglass.minter"):
        assert platform.handles() == []
    assert "the cupboard is locked" in caplog.text


def test_what_is_pending_is_asked_for_again(tmp_path: Path) -> None:
    platform = command(tmp_path)
    Simulated(tmp_path / "target", "x", SystemClock()).trouble = Trouble(pending_mints=1)
    waits = platform.mint(order())
    assert isinstance(waits, Pending)
    assert waits.again_in == timedelta(seconds=1)
    assert isinstance(platform.mint(order()), Credential)


def test_it_gets_no_environment_and_no_folder_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    shows = script(
        tmp_path,
        describes(tmp_path)
        + """
names=$(env | cut -d= -f1 | sort | tr '\\n' ' ')
echo "{\\"evidence\\": \\"$names$(pwd)\\"}"
""",
    )
    settings = CommandSettings((str(shows),), environment={"REDIS_URL": "x"})
    said = Command(settings).probe_dead(Account("bg_1"))
    assert set(said.split()) - {"_"} == {"LANG", "PATH", "PWD", "REDIS_URL", "/"}


def test_only_names_of_the_contract_are_taken_from_a_refusal(tmp_path: Path) -> None:
    text = """
echo '{"error": "ended", "says": "I say so"}'; exit 3"""
    refuses = script(tmp_path, describes(tmp_path) + text)
    with pytest.raises(RefusedError, match="the target says: I say so") as caught:
        Command(CommandSettings((str(refuses),))).mint(order())
    assert caught.value.name == "refused"


@pytest.mark.parametrize("named", ["root", "bg_x\\nbg_y", "bg_", "BG_1"])
def test_a_list_that_names_what_cannot_be_ours_is_nonsense_and_cuts_nothing(
    tmp_path: Path, named: str
) -> None:
    text = f"""
echo '{{"handles": ["bg_1", "{named}"]}}'"""
    lists = script(tmp_path, describes(tmp_path) + text)
    with pytest.raises(UnavailableError, match="answered nonsense"):
        Command(CommandSettings((str(lists),))).handles()


@pytest.mark.parametrize(("mode", "why"), [(0o777, "written by others"), (0o644, "is no program")])
def test_a_program_that_others_could_change_is_never_run(
    tmp_path: Path, mode: int, why: str
) -> None:
    made = script(tmp_path, "exit 0")
    made.chmod(mode)
    with pytest.raises(MisconfiguredError, match=why):
        Command(CommandSettings((str(made),)))


def test_a_folder_above_it_that_others_could_change_is_enough(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    made = script(tmp_path / "open", "exit 0")
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(MisconfiguredError, match="open' can be written by others"):
        Command(CommandSettings((str(made),)))


def test_a_link_to_it_that_others_could_change_is_enough(tmp_path: Path) -> None:
    made = script(tmp_path, "exit 0")
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "second").symlink_to(made)
    (tmp_path / "first").symlink_to(tmp_path / "open" / "second")
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(MisconfiguredError, match="open' can be written by others"):
        Command(CommandSettings((str(tmp_path / "first"),)))


def test_a_link_of_somebody_else_is_enough(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("giving a link away takes root")
    link = tmp_path / "link"
    link.symlink_to(script(tmp_path, "exit 0"))
    os.chown(link, 65534, 65534, follow_symlinks=False)
    with pytest.raises(MisconfiguredError, match="link' can be written by others"):
        Command(CommandSettings((str(link),)))


@pytest.mark.parametrize("run", [(), ("relative",), ("/nowhere/program",)])
def test_a_program_is_named_by_its_whole_path(run: tuple[str, ...]) -> None:
    with pytest.raises(MisconfiguredError, match="not started"):
        Command(CommandSettings(run))


def test_a_program_that_does_not_describe_itself_is_none(tmp_path: Path) -> None:
    for text in ("exit 0", "echo '{}'", "exit 7"):
        made = script(tmp_path, text)
        with pytest.raises(MisconfiguredError, match="does not describe itself"):
            Command(CommandSettings((str(made),)))
