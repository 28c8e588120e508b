"""A mistake in the settings of a process is told when it starts, not at three in the morning."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from breakglass.errors import MisconfiguredError
from breakglass.process.serving import Serving
from breakglass.process.settings import neighbour_at, read_settings


@dataclass(frozen=True)
class Some:
    serving: Serving = field(default_factory=Serving)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("port = 70000", "'serving.port' is 70000, wanted 0 to 65535"),
        ("port = -1", "'serving.port' is -1"),
        ("threads = 0", "'serving.threads' is 0, wanted 1 or more"),
        ('certificate = "nothing.pem"', "nothing.pem', which is no file"),
        ("prot = 8700", "'serving.prot' is unknown"),
    ],
)
def test_where_a_process_listens_is_judged_when_it_starts(
    tmp_path: Path, table: str, said: str
) -> None:
    (tmp_path / "settings.toml").write_text(f"[serving]\n{table}\n")
    with pytest.raises(MisconfiguredError, match=f"{re.escape(said)}.*; not started"):
        read_settings(tmp_path, Some)


@pytest.mark.parametrize(
    "where",
    [
        "htps://10.77.0.1:8701",
        "https://:8701",
        "https://10.77.0.1:port",
        "https://10.77.0.1:87010",
        "https://10.77.0.1:8701, ftp://10.77.0.2:8701",
    ],
)
def test_an_address_that_cannot_be_called_is_refused(tmp_path: Path, where: str) -> None:
    with pytest.raises(MisconfiguredError, match="which cannot be called; not started"):
        neighbour_at(tmp_path, where)


def test_a_neighbour_that_is_not_here_keeps_nobody_from_starting(tmp_path: Path) -> None:
    """It may come later, or have moved to another host."""
    assert neighbour_at(tmp_path, "../nowhere/address") == tmp_path / "../nowhere/address"
    both = "https://10.77.0.1:8701#5f, http://127.0.0.1:8701"
    assert neighbour_at(tmp_path, both) == both
