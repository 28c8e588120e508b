"""Where a request comes from is the connection's word, and a header's only behind our own proxy."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from starlette.types import Message

from breakglass.broker.grants.request import address_of
from breakglass.broker.settings import BrokerSettings
from breakglass.errors import MisconfiguredError
from breakglass.http.edge import application
from breakglass.http.routes import Nobody, Request, Response, get, nobody
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
        ("::ffff:10.0.0.1", "192.0.2.7", PROXIES, "192.0.2.7"),  # a socket of both families
        ("fd00::1", "192.0.2.7", ("FD00:0::1",), "192.0.2.7"),  # one address, written twice
    ],
)
def test_the_address_is_the_connections_unless_a_proxy_of_ours_says_another(
    peer: str, forwarded: str, proxies: tuple[str, ...], seen: str
) -> None:
    assert address_of(asked(peer, forwarded), proxies) == seen


def test_what_the_asker_wrote_in_a_line_of_its_own_does_not_hide_the_proxys() -> None:
    # A proxy may add a line rather than lengthen the one that came (RFC 9110, section 5.3).
    seen: list[str] = []

    def note(who: Nobody, asked: Request[None]) -> Response:
        seen.append(address_of(asked, PROXIES))
        return Response(b"")

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        pass

    lines = [(b"x-forwarded-for", each) for each in (b"10.1.1.1", b"192.0.2.7", b"10.0.0.2")]
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": lines}
    app = application([get("/", nobody, note, Response)])
    asyncio.run(app({**scope, "client": ("10.0.0.1", 1)}, receive, send))
    assert seen == ["192.0.2.7"]


def test_a_proxy_that_is_no_address_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text(
        'log = "ledger.example/one"\nledger = "x"\nproxies = ["proxy.example"]\n'
    )
    with pytest.raises(MisconfiguredError, match=r"proxy\.example"):
        read_settings(tmp_path, BrokerSettings)
