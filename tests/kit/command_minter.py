"""A minter's program for tests: the simulator behind the contract (``simulated_program``)."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from breakglass.minter.platforms.command import Command
from breakglass.minter.platforms.program import CommandSettings

ROOT = Path(__file__).parents[2]


def argv(folder: Path, minter: str) -> tuple[str, ...]:
    """Return the program's argument vector; its target is ``folder / "target"``."""
    # Not the environment's own link: who may write a folder above that is nobody's business here.
    program = str(Path(sys.executable).resolve())
    return (program, "-m", "tests.kit.simulated_program", str(folder / "target"), minter)


def environment() -> dict[str, str]:
    """Return what the program needs to find its modules."""
    return {"PYTHONPATH": ":".join([str(ROOT), *(each for each in sys.path if each)])}


def command(folder: Path, minter: str = "orders-db", **changes: Any) -> Command:
    """Return the platform that calls it."""
    given = {"within": timedelta(seconds=30), **changes}
    return Command(CommandSettings(argv(folder, minter), environment=environment(), **given))
