"""A set of kinds comes into force: who knows it goes on, who does not stops and says so."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from breakglass.cli import main
from breakglass.clock import to_milliseconds
from breakglass.errors import RefusedError
from breakglass.ledger.export import export
from breakglass.node.submitter import Fact
from breakglass.operate.known_kinds import check_all_know, folding
from breakglass.records import kind_sets
from breakglass.records.kinds.roster import Roster
from breakglass.records.kinds.trust import TrustActivated
from breakglass.records.signing.signature import TRUST_NAMESPACE
from breakglass.records.statement import digest_of
from breakglass.records.trust import parse_trust
from tests.broker.shop import SIMULATED, Shop, make_shop
from tests.kit.processes import until

ROOT = Path(__file__).resolve().parents[2]


def roster(number: int) -> Fact:
    """Make a record that the earlier release does not know."""
    now = to_milliseconds(datetime.now(UTC))
    return Fact(f"roster/{number}", Roster("oncall", ("mira",), "file:oncall.json", now))


def puts_in_force(shop: Shop, kinds: int) -> None:
    text = shop.trust_text(2).replace("kinds 1\n", f"kinds {kinds}\n")
    file = shop.maintained(text, TRUST_NAMESPACE).encoded()
    shop.state_as("broker", Fact("trust/2", TrustActivated(2, digest_of(text)), (file,)))


def would_stop(shop: Shop, behind: set[str]) -> None:
    """(R-23) A maintainer of this release is told who of these processes would stop."""
    before = shop.trust()
    after = parse_trust(shop.trust_text(2).replace("kinds 1\n", "kinds 2\n"))
    brokers = [each.folder / "address" for each in shop.brokers]
    told = shop.get("/minters")
    # There is no monitor in this shop; the later broker says what one of its release would say.
    asked = list(folding(before, brokers, brokers[1], told))
    assert [each.name for each in asked] == [
        "broker",
        "broker-2",
        "monitor",
        "minter:orders-db",
    ]
    with pytest.raises(RefusedError, match="nothing was signed") as said:
        check_all_know(before, after, asked)
    assert said.value.name == "kinds_behind"
    for each in asked:
        assert (f"{each.name!r} knows kinds 1 at most" in said.value.message) == (
            each.name in behind
        )
    check_all_know(before, after, asked, behind)


def digests(shop: Shop) -> list[str]:
    """Return each follower's digest, once all of them have folded as much."""
    found: list[dict[str, object]] = []

    def level() -> bool:
        found.clear()
        for each in [*shop.brokers, *shop.minters]:
            with each.neighbour() as neighbour:
                found.append(neighbour.get("/state").json())
        return len({each["size"] for each in found}) == 1

    until(level)
    return [str(each["digest"]) for each in found]


def test_two_releases_fold_alike_until_a_set_comes_into_force_and_the_old_one_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """(R-21) (F-75) (F-76)"""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), str(ROOT)]))
    shop = make_shop(tmp_path, SIMULATED)
    old, newer, minter = *shop.brokers, *shop.minters
    old.command = (sys.executable, "-m", "tests.kit.older_kinds", "broker")
    minter.command = (sys.executable, "-m", "tests.kit.older_kinds", "minter")
    try:
        shop.start()
        newer.start()
        shop.state_as("monitor", roster(1))
        assert len(set(digests(shop))) == 1
        before = shop.get("/state")["digest"]
        would_stop(shop, {"broker", "minter:orders-db"})
        assert shop.get("/state", broker=1)["summary"]["rosters"] == {}
        puts_in_force(shop, 2)
        for each in (old, minter):
            assert each.wait_ended(20) == 6
            assert "kinds 2" in each.said()
            assert "kinds 1 at most" in each.said()
            assert (
                "hint: install a later release on this machine, one that knows kinds 2"
                in each.said()
            )
        # What stands from before stays unknown; what comes now is judged.
        shop.state_as("monitor", roster(2))
        until(lambda: list(shop.get("/state", 1)["summary"]["rosters"]) == ["oncall"])
        assert shop.get("/state", 1)["digest"] != before
        # So does whoever checks a copy.
        copy, trust = tmp_path / "copy", shop.brokers[0].folder / "trust"
        export(shop.logs.ledger.folder, copy, policy_text=shop.trust().tlog.text)
        monkeypatch.setattr(kind_sets, "NEWEST", 1)
        with pytest.raises(SystemExit) as ended:
            main.main(["ledger", "verify", str(copy), "--trust", str(trust)])
        said = capsys.readouterr().err
        assert (ended.value.code, "one that knows kinds 2" in said) == (6, True)
        assert "puts kinds 2 in force, and this software knows kinds 1 at most" in said
        # Started again, the old one comes to the same entry and stops there.
        old.start(wait=False)
        assert old.wait_ended(20) == 6
    finally:
        shop.stop()


def test_the_old_release_does_not_even_put_it_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), str(ROOT)]))
    shop = make_shop(tmp_path, SIMULATED)
    shop.brokers[0].command = (sys.executable, "-m", "tests.kit.older_kinds", "broker")
    try:
        shop.start()
        text = shop.trust_text(2).replace("kinds 1\n", "kinds 2\n")
        file = shop.maintained(text, TRUST_NAMESPACE).encoded().decode()
        size = shop.get("/state")["size"]
        with shop.brokers[0].neighbour() as broker:
            told = broker.send("POST", "/trust", b'{"note": %s}' % _json(file), "application/json")
        assert told.json()["error"] == "kinds_unknown"
        assert [each.body.kind for each in shop.records()[size:]].count("trust") == 0
    finally:
        shop.stop()


def _json(text: str) -> bytes:
    import json

    return json.dumps(text).encode()
