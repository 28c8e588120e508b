"""Where a request comes from is the connection's word, and a header's only behind our own proxy."""

from __future__ import annotations

from pathlib import Path

import pytest

from breakglass.broker.grants.request import address_of
from breakglass.broker.settings import BrokerSettings
from breakglass.errors import MisconfiguredError
from breakglass.http.routes import Request
from breakglass.process.settings import read_settings


def asked(peer: str, forwarded: str = "") -> Request[None]:
    headers = {"x-forwarded-for": forwarded} if forwarded else {}
    return Request({}, {}, None, headers, "POST", "/break", peer)


PROXIES = ("10.0.0.1", "10.0.0.2")


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "seen"),
    [
        ("192.0.2.7", "", (), "192.0.2.7"),
        ("192.0.2.7", "10.1.1.1", (), "192.0.2.7"),  # nobody's header is believed unasked
        ("192.0.2.7", "10.1.1.1", PROXIES, "192.0.2.7"),  # nor from beside the proxy
        ("10.0.0.1", "192.0.2.7", PROXIES, "192.0.2.7"),
        ("10.0.0.1", "10.1.1.1, 192.0.2.7", PROXIES, "192.0.2.7"),  # the asker wrote the first
        ("10.0.0.1", "10.1.1.1, 192.0.2.7, 10.0.0.2", PROXIES, "192.0.2.7"),  # two proxies
        ("10.0.0.1", "", PROXIES, ""),  # a proxy that says nothing: no network
        ("10.0.0.1", "10.0.0.2, 10.0.0.1", PROXIES, "10.0.0.2"),
        ("10.0.0.1", "rubbish", PROXIES, "rubbish"),  # no network holds it
    ],
)
def test_the_address_is_the_connections_unless_a_proxy_of_ours_says_another(
    peer: str, forwarded: str, proxies: tuple[str, ...], seen: str
) -> None:
    assert address_of(asked(peer, forwarded), proxies) == seen


def test_a_proxy_that_is_no_address_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text(
        'log = "ledger.example/one"\nledger = "x"\nproxies = ["proxy.example"]\n'
    )
    with pytest.raises(MisconfiguredError, match=r"proxy\.example"):
        read_settings(tmp_path, BrokerSettings)
