"""Secrets lie in files of their own; what is wrong with one stops the start and shows nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from breakglass.errors import MisconfiguredError
from breakglass.monitor.alerts.secret_folder import SecretFolder
from breakglass.monitor.app import Monitor
from tests.monitor.stand_ins import Shop, Sink, StandInLedger, eventually, make_folder


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    return folder


def put(folder: Path, name: str, text: str, mode: int = 0o600) -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(mode)


def test_a_text_is_itself_and_a_name_is_its_file(secrets: Path) -> None:
    put(secrets, "chat", "https://hooks.example/T0/B0\n")
    found = SecretFolder(secrets)
    assert found.value("https://a.example") == "https://a.example"
    assert found.value("secret:chat") == "https://hooks.example/T0/B0"


@pytest.mark.parametrize(
    ("name", "text", "mode", "says"),
    [
        ("chat", "hush", 0o640, "can be read by others"),
        ("chat", "", 0o600, "is not one line"),
        ("chat", "hush\nhush", 0o600, "is not one line"),
        ("other", "hush", 0o600, "secret 'chat' cannot be read"),
    ],
)
def test_a_secret_that_cannot_be_used_is_named_and_not_shown(
    secrets: Path, name: str, text: str, mode: int, says: str
) -> None:
    put(secrets, name, text, mode)
    with pytest.raises(MisconfiguredError, match=says) as caught:
        SecretFolder(secrets).value("secret:chat")
    assert caught.value.name == "no_secret"
    assert "hush" not in f"{caught.value} {caught.value.hint}"


def test_no_name_leads_out_of_the_folder(secrets: Path) -> None:
    put(secrets.parent, "key", "the monitor's own")
    with pytest.raises(MisconfiguredError, match="a secret's name"):
        SecretFolder(secrets).value("secret:../key")


def test_a_monitor_reads_its_channels_secrets_and_names_the_channel_that_lacks_one(
    shop: Shop,
    ledger: StandInLedger,
    sink: Sink,
    tmp_path: Path,
    monitor_of: Callable[..., Monitor],
) -> None:
    sink.says = b"ok"
    channels = {"chat": {"type": "slack", "address": "secret:chat"}}
    folder = make_folder(tmp_path / "monitor", shop, ledger, channels)
    with pytest.raises(MisconfiguredError, match=r"\[channels.chat\]: secret 'chat'"):
        monitor_of(folder)
    (folder / "secrets").mkdir()
    put(folder / "secrets", "chat", sink.address)
    monitor = monitor_of(folder)
    eventually(lambda: monitor.following.live)
    shop.breaks()
    eventually(lambda: any("GLASS BROKEN" in body["text"] for body, _, _ in sink.taken))
