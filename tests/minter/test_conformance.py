"""``minter conform``: a good platform answers every question, and each fault fails its own."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from breakglass.clock import SystemClock
from breakglass.minter.platforms.conformance import Trial, ask_all
from breakglass.minter.platforms.platform import Account, Credential, Order
from breakglass.minter.platforms.simulated import LIMITS, Simulated
from breakglass.records.statement import grant_of_digest


class Faulty(Simulated):
    """The simulator with one fault."""

    def __init__(self, file: Path, fault: str) -> None:
        limits = replace(LIMITS, dimensions={"role": "roles"})
        super().__init__(file, "orders-db", SystemClock(), limits)
        self.fault = fault
        self.first: dict[str, Credential] = {}

    def mint(self, order: Order) -> Any:
        if order.scope.get("roles", ("all",)) != ("all",) and self.fault != "takes any role":
            order = replace(order, scope={})
        if self.fault == "keeps the first secret" and order.handle in self.first:
            return self.first[order.handle]
        made = super().mint(order)
        assert isinstance(made, Credential)
        self.first[order.handle] = made
        if self.fault == "shows its secret":
            return replace(made, connect=made.secret)
        if self.fault == "tells its secret":
            return replace(made, ids={"token": str(made.secret["password"])})
        return made

    def cut(self, account: Account) -> int:
        if self.fault == "cuts nothing":
            return 0
        if self.fault == "cuts all":
            for each in self.handles():
                super().cut(Account(each))
        return super().cut(account)

    def probe_dead(self, account: Account) -> str:
        return "dead" if self.fault == "calls all dead" else super().probe_dead(account)

    def tidy(self, account: Account) -> tuple[str, ...]:
        if self.fault == "tidies the living":
            super().cut(account)
        return () if self.fault == "tidies nothing" else super().tidy(account)

    def handles(self) -> list[str]:
        return [] if self.fault == "lists nothing" else super().handles()


def failed(file: Path, fault: str) -> list[str]:
    trial = Trial(
        Faulty(file, fault),
        {"roles": ("all",)},
        lambda: grant_of_digest(secrets.token_hex(32)),
        lambda: datetime.now(UTC),
    )
    return [each.question for each in ask_all(trial) if each.wrong]


def test_a_platform_that_owes_nothing_answers_everything_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    assert failed(tmp_path / "target", "") == []
    assert Faulty(tmp_path / "target", "").handles() == []


@pytest.mark.parametrize(
    ("fault", "question"),
    [
        ("shows its secret", "What is minted works"),
        ("tells its secret", "What is minted works"),
        ("lists nothing", "What is minted works"),
        ("calls all dead", "A living account is never called dead"),
        ("tidies the living", "A living account is never called dead"),
        ("cuts nothing", "After a cut nothing works"),
        ("tidies nothing", "After a cut nothing works"),
        ("keeps the first secret", "Minting again replaces"),
        ("cuts all", "Two accounts share nothing"),
        ("takes any role", "A scope that means nothing here"),
    ],
)
def test_each_fault_fails_its_question(tmp_path: Path, fault: str, question: str) -> None:
    assert any(each.startswith(question) for each in failed(tmp_path / "target", fault))
