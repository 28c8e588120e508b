"""The picture of the demo that README shows, and the script that draws it."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

_FOLDER = Path(__file__).resolve().parents[2] / "docs" / "pictures"
_CHANGING = re.compile(r"[0-9.]+ m?s$|g-[a-z2-7]{12}|[0-9]+")


def drawing() -> ModuleType:
    """Return the script as a module."""
    found = importlib.util.spec_from_file_location("draw", _FOLDER / "draw.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def recorded() -> list[str]:
    """Return the recorded lines."""
    return (_FOLDER / "demo.txt").read_text("utf-8").splitlines()


def steady(line: str) -> str:
    """Return a line without what differs from night to night."""
    return " ".join(_CHANGING.sub(" ", line).split())
