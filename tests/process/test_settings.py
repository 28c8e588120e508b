"""Settings are read once, and a mistake in them is named by file and key."""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.errors import MisconfiguredError
from breakglass.process.key_store import read_key
from breakglass.process.settings import read_settings
from breakglass.tlog.note import SignerKey


@dataclass(frozen=True)
class Inner:
    host: str = "127.0.0.1"
    port: int = 0


@dataclass(frozen=True)
class Some:
    ledger: Path
    wait: timedelta = timedelta(seconds=1)
    rest: timedelta | None = None
    names: tuple[str, ...] = ()
    where: Mapping[str, str] = field(default_factory=dict)
    on: bool = False
    share: float = 0.5
    inner: Inner = field(default_factory=Inner)


def read(folder: Path, text: str) -> Some:
    (folder / "settings.toml").write_text(text)
    return read_settings(folder, Some)


def test_everything_is_read(tmp_path: Path) -> None:
    text = (
        'ledger = "../ledger"\nwait_s = 0.5\nrest_s = 3\nnames = ["a", "b"]\non = true\nshare = 1\n'
    )
    text += '[where]\na = "x"\n[inner]\nport = 8443\n'
    assert read(tmp_path, text) == Some(
        tmp_path / "../ledger",
        timedelta(milliseconds=500),
        timedelta(seconds=3),
        ("a", "b"),
        {"a": "x"},
        True,
        1.0,
        Inner(port=8443),
    )


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    assert read(tmp_path, 'ledger = "/l"') == Some(Path("/l"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'ledger' is missing"),
        ('ledger = "l"\nwait = 1', "'wait' is unknown"),
        ('ledger = "l"\nwait_s = "1"', "'wait_s' is '1', wanted a number of seconds"),
        ('ledger = "l"\nwait_s = -1', "'wait_s' is '-1'"),
        ('ledger = "l"\nwait_s = true', "'wait_s' is 'True'"),
        ("ledger = 1", "'ledger' is '1', wanted a path"),
        ('ledger = "l"\non = 1', "'on' is '1', wanted true or false"),
        ('ledger = "l"\nnames = "a"', "'names' is 'a', wanted a list"),
        ('ledger = "l"\nnames = [1]', "'names' is '1', wanted a text"),
        ('ledger = "l"\ninner = 3', "'inner' is '3', wanted a table"),
        ('ledger = "l"\n[inner]\nprot = 3', "'inner.prot' is unknown"),
        ('ledger = "l"\n[where]\na = 3', "'where.a' is '3', wanted a text"),
        ("ledger = ", "cannot be read"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(MisconfiguredError, match=re.escape(said)) as caught:
        read(tmp_path, text)
    assert "settings.toml" in str(caught.value)


def test_a_folder_without_settings_is_no_process_folder(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match="is missing; not started"):
        read_settings(tmp_path, Some)


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    key = SignerKey.generate("broker.example")
    path = tmp_path / "key"
    path.write_text(key.encoded() + "\n")
    for mode in (0o644, 0o640, 0o604):
        path.chmod(mode)
        with pytest.raises(MisconfiguredError, match="wanted 0600"):
            read_key(tmp_path)
    path.chmod(0o600)
    assert read_key(tmp_path) == key


def test_a_broken_key_is_refused_without_being_quoted(tmp_path: Path) -> None:
    key = SignerKey.generate("broker.example").encoded()
    path = tmp_path / "key"
    path.write_text(key[:-5])
    path.chmod(0o600)
    with pytest.raises(MisconfiguredError, match="holds no PRIVATE") as caught:
        read_key(tmp_path)
    assert key[-30:-5] not in "".join(traceback.format_exception(caught.value))
    path.unlink()
    with pytest.raises(MisconfiguredError, match="cannot be read"):
        read_key(tmp_path)
