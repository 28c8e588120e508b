"""Reads the monitor's alarm file as it grows, so that whoever runs ``up`` hears what rings."""

from __future__ import annotations

import json
from pathlib import Path

from breakglass.shown_text import TEXT_AT_MOST, shown

ALARMS = "data/alarms.log"  # below the monitor's folder; the monitor writes, we only read


class AlertLog:
    """New alarms since this was made; what rang before is told nobody again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = path.stat().st_size if path.exists() else 0

    def new(self) -> list[str]:
        """Return the words of each alarm that is whole in the file by now."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                data = file.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._at += len(whole)
        return [words for line in whole.splitlines() if (words := _words(line))]


def _words(line: bytes) -> str:
    try:
        value = json.loads(line)
    except ValueError:
        return ""
    return shown(str(value.get("text", "")), TEXT_AT_MOST) if isinstance(value, dict) else ""
