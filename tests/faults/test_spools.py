"""A spool that is full stops new work, says so, and lets it go on when the ledger took it all."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from breakglass.errors import UnavailableError
from breakglass.records.kinds.gap import Gap
from tests.broker.shop import SIMULATED, running_shop
from tests.gate.conftest import FAIL, GateHome, home, org
from tests.kit.disks import small_disk
from tests.kit.processes import until

__all__ = ["home", "org"]


def test_a_minter_whose_spool_is_full_mints_nothing_says_so_and_goes_on_by_itself(
    tmp_path: Path,
) -> None:
    with running_shop(tmp_path, f"spool_notes = 3\n{SIMULATED}") as shop:
        shop.pulse()
        tokens = [shop.recorded(shop.asking()) for _ in range(3)]
        until(lambda: shop.minter_size() == len(shop.records()))
        shop.logs.ledger.signal(signal.SIGSTOP)
        try:
            # What is minted is told later: minted and usable, twice.
            for token in tokens[:2]:
                assert shop.mint(token.encoded())["sealed"]
            with pytest.raises(UnavailableError, match="nothing was minted") as caught:
                shop.mint(tokens[2].encoded())
            assert caught.value.name == "spool_full"
            assert "bring the ledger back" in caught.value.hint
        finally:
            shop.logs.ledger.signal(signal.SIGCONT)

        def minted() -> bool:
            try:
                return bool(shop.mint(tokens[2].encoded())["sealed"])
            except UnavailableError as error:
                if error.name != "spool_full":
                    raise
                return False

        until(minted, 30)
        told = [each.body.kind for each in shop.records()]
        until(lambda: [each.body.kind for each in shop.records()].count("usable") == 3)
        assert told.count("intent") == 3
        # It was a short outage: no gap is told for what came within the time that is allowed.
        assert not [each for each in shop.records() if isinstance(each.body, Gap)]
        assert shop.void() == []


def test_a_gate_whose_spool_is_full_stays_shut_and_says_why(
    home: GateHome, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = home.folder / "settings.toml"
    settings.write_text("spool_notes = 2\n" + settings.read_text())

    def opened(run: str) -> int:
        broken = home.org.token(home.org.break_glass(statement={"nonce": f"{run:0>32}"}), run)
        token = home.token_file(broken.encoded(), f"token-{run}")
        return home.run("run", "deploy-approval", "--token", token, "--for", run, "--", *FAIL)

    answers = [opened(str(run)) for run in range(1, 5)]
    assert answers[0] == 0
    assert answers[-1] == 5
    assert "wait for the ledger, 2 at most; the gate stays shut" in capfd.readouterr().err


def test_a_gate_on_a_full_disk_stays_shut(
    home: GateHome, capfd: pytest.CaptureFixture[str]
) -> None:
    token = home.token_file(home.org.token(home.org.break_glass()).encoded())
    with small_disk(home.folder / "data") as disk:
        with disk.full():
            code = home.run("run", "deploy-approval", "--token", token, "--for", "42", "--", *FAIL)
        assert code == 5
        said = capfd.readouterr().err
        assert "full" in said or "No space left" in said
        assert "Traceback" not in said
        code = home.run("run", "deploy-approval", "--token", token, "--for", "42", "--", *FAIL)
        assert code == 0
