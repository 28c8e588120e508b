"""A grant that begins later, at real processes: asked for, approved, handed out at its start."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.clock import SystemClock, format_time, parse_time, to_milliseconds
from breakglass.errors import BreakglassError
from breakglass.records.statement import Do
from tests.broker.shop import ORIGIN, SIMULATED, Shop, make_shop
from tests.broker.test_requests import AskingShop
from tests.cli.test_ask_terminals import place
from tests.embedded.monitored import CHANNEL, wait_current
from tests.kit.people import SoftSecurityKey
from tests.kit.processes import make_process, until
from tests.kit.soft_agent import SoftAgent

BEGINS_IN = timedelta(seconds=8)


class ScheduledShop(AskingShop):
    """A shop under the set of kinds that has starts, whose glass may be asked for ahead.

    Wait and skew are short, so that seconds ahead are further than both together.
    """

    def bundle(self) -> dict[str, bytes]:
        (name, text), *others = super().bundle().items()
        ahead = b"    wait: 10s\n    silence: 5s\n    ahead: 2d\n"
        assert b"    silence: 3s\n" in text
        return {name: text.replace(b"    silence: 3s\n", ahead), **dict(others)}

    def trust_text(self, version: int = 1) -> str:
        text = super().trust_text(version)
        return text.replace("\nkinds 1\n", "\nkinds 2\n").replace("skew 120s", "skew 5s")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = make_shop(tmp_path, SIMULATED, ScheduledShop)
    monitor = make_process(
        made.folder / "monitor",
        "breakglass.monitor",
        made.keys["monitor"],
        f'log = "{ORIGIN}"\nledger = "../ledger/address"\n{CHANNEL}',
    )
    (monitor.folder / "trust").write_bytes(made.trust_note().encoded())
    made.minters.append(monitor)  # ended with them
    try:
        made.start()
        monitor.start()
        wait_current(monitor)
        yield made
    finally:
        made.stop()


def test_what_was_approved_ahead_is_minted_at_its_start_and_not_before(shop: Shop) -> None:
    begins = to_milliseconds(SystemClock().now() + BEGINS_IN)
    asking = shop.asking(do=Do.ASK, starts=format_time(begins))
    shop.hands_in(asking)
    assert shop.answer(Do.APPROVE, asking, "sam")["ask"]["state"] == "granted"
    with pytest.raises(BreakglassError):
        shop.break_glass(asking)
    assert shop.target().handles() == []
    grant = shop.get(f"/grants/{asking.grant}")
    assert (grant["state"], parse_time(grant["not_before"])) == ("scheduled", begins)
    until(lambda: SystemClock().now() > begins, 20)
    until(lambda: "justified" in shop.kinds(asking.grant), 20)
    granted = shop.break_glass(asking)
    assert asking.opened(granted["minted"])["password"]
    shop.done(asking)
    until(lambda: shop.get(f"/grants/{asking.grant}")["state"] == "dead", 20)
    assert shop.void() == []


def test_two_people_type_it_and_it_is_used_once_it_has_begun(shop: Shop, tmp_path: Path) -> None:
    """Its life counts from its start, which lies behind the wait and the skew of its ask."""
    keys = [each for each in shop.people.values() if isinstance(each, SoftSecurityKey)]
    with SoftAgent(shop.folder / "agent", keys):
        mira, sam = (place(shop, tmp_path, who) for who in ("mira", "sam"))
        begins = (SystemClock().now() + 3 * BEGINS_IN).replace(microsecond=0)
        wish = ("--start", begins.isoformat(), "--incident", "INC-4821", "--why", "orders stuck")
        asked = mira.types("breakglass", "ask", "orders-repair", *wish, "--no-wait")
        assert asked.code == 0, asked.err
        grant = asked.row("asked").split(",")[0]
        said = sam.types("breakglass", "approve", grant, "--yes")
        assert said.code == 0, said.err
        early = mira.types("breakglass", "ask", "--again", grant)
        assert (early.code, early.row("then")) == (0, f"breakglass ask --again {grant}"), early.err
        until(lambda: SystemClock().now() > begins, 60)
        until(lambda: "justified" in shop.kinds(grant), 20)
        found = mira.types("breakglass", "ask", "--again", grant)
        assert found.code == 0, found.err
        assert found.row("granted").startswith("orders-repair on database 'orders' (orders-db)")
        done = mira.types("breakglass", "run", grant, "--", "printenv", "PGUSER")
        assert (done.code, done.out.split()) == (0, shop.target().handles()), done.err
        assert mira.types("breakglass", "done", grant).code == 0
    assert shop.void() == []


def test_what_is_granted_is_handed_back_before_it_begins(shop: Shop, tmp_path: Path) -> None:
    """It is withdrawn no more, and the client says by which command it ends."""
    keys = [each for each in shop.people.values() if isinstance(each, SoftSecurityKey)]
    with SoftAgent(shop.folder / "agent", keys):
        mira, sam = (place(shop, tmp_path, who) for who in ("mira", "sam"))
        wish = ("--start", "+2h", "--incident", "INC-4821", "--why", "orders stuck")
        asked = mira.types("breakglass", "ask", "orders-repair", *wish, "--no-wait")
        assert asked.code == 0, asked.err
        grant = asked.row("asked").split(",")[0]
        assert sam.types("breakglass", "approve", grant, "--yes").code == 0
        said = mira.types("breakglass", "withdraw", grant)
        assert said.code == 3, said.err
        told = f"nothing was withdrawn; hand it back: breakglass done {grant}"
        assert told in " ".join(said.err.split())
        done = mira.types("breakglass", "done", grant)
        assert done.code == 0, done.err
        until(lambda: shop.get(f"/grants/{grant}")["state"] in ("ended", "dead"), 20)
        over = mira.types("breakglass", "ask", "--again", grant)
        assert (over.code, "begins" in over.out) == (3, False), over.err
    assert shop.target().handles() == []
    assert shop.void() == []
