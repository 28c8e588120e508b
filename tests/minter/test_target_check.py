"""What is wrong at the target is told when the minter starts, and once."""

from __future__ import annotations

from typing import Any

from breakglass.minter.platforms.platform import Finding
from breakglass.minter.target_check import TargetCheck
from tests.kit.one_minter import NAME, OneMinter


class Looked:
    """A platform's ``examine``, with what it is asked and what it says."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []
        self.says: tuple[Finding, ...] = ()

    def examine(self, scopes: Any, now: Any) -> tuple[Finding, ...]:
        self.scopes.append(list(scopes))
        return self.says


def test_each_finding_is_rung_once_and_shown_until_it_is_mended(minter: OneMinter) -> None:
    platform: Any = Looked()
    check = TargetCheck(NAME, minter.view, platform, minter.bell, minter.clock)
    platform.says = (
        Finding("the template 'x' does not exist", "create role x"),
        Finding("the session is not encrypted", "sslmode=verify-full", stops=False),
    )
    for _ in range(3):
        check.look()
    assert minter.rings() == [("target", NAME)]
    assert "hint: create role x" in (minter.folder / "rings.log").read_text()
    assert check.found == ("the template 'x' does not exist", "the session is not encrypted")
    platform.says = ()
    check.look()
    assert check.found == ()
    # What every card says that names this minter, and nothing of other minters.
    assert {tuple(scope) for scope in platform.scopes[0]} == {("databases", "roles")}


def test_the_simulators_absence_is_found_and_its_return(minter: OneMinter) -> None:
    check = TargetCheck(NAME, minter.view, minter.platform, minter.bell, minter.clock)
    minter.trouble(away=True)
    check.look()
    assert check.found == ("cannot reach the simulated target",)
    minter.trouble()
    check.look()
    assert check.found == ()
