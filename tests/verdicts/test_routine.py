"""What a policy would sanction is set apart; what a person writes at 03:00 is counted."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from breakglass.verdicts.history import Bypass
from breakglass.verdicts.reason_topics import speaks
from breakglass.verdicts.routine import Series, series_of


def said(reason: str, **more: object) -> Series:
    at = datetime(2026, 6, 22, tzinfo=UTC)
    return series_of(Bypass("1", at, "g", "p", reason=reason, **more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "reason",
    [
        'Revert "Add the cart"',
        "Revert of Safe numeric library (patchset #1 id:1 of <url>)",
        "Reverting changelist 666 since it broke the build on Mac",
        "Reverting rev 929 due to failing assert on Linux",
        "Backed out changeset 3f2a91c0de12 for test failures",
        "Back out bug 575740",
        "Backout 4a5b6c7d8e9f",
        "Roll chromium_revision 0cb2549..ec5b768 (327252:328242",
        "Roll src/third_party/catapult/ 59e5e1f91..2b8ee23c5",
        "No bug, Automatic version bump. CLOSED TREE",
        "Bump version to 3.31",
        "Updated WebRTC version to 3.36",
        "Added tag RELEASE_3_0_BUILD1 for changeset 8a6f",
        "Breaks Chromium FYI bots",
        "This CL seems to break downstream tests",
        "Speculative revert",
        "Skipping CQ checks because original CL landed less than 1 days ago",
    ],
)
def test_the_fixed_forms_of_tools_and_release_scripts_are_set_apart(reason: str) -> None:
    assert said(reason) is Series.ROUTINE


@pytest.mark.parametrize(
    "reason",
    [
        "reverting the cart, customers cannot pay",
        "rolling deploy d-9f3a2 back, checkout 5xx",
        "rollback of payments",
        "backed out of the parking lot",
        "broke checkout for every customer",
        "flaky integration suite, rerun takes 40 minutes",
        "fix bustage on Windows",
        "undo yesterday's change to billing",
        "the version of the api is wrong in prod",
        "roll out the hotfix to all regions",
        "",
    ],
)
def test_a_persons_own_words_are_counted(reason: str) -> None:
    assert said(reason) is Series.COUNTED


def test_flags_come_before_words() -> None:
    assert said("flaky suite", sanctioned=True) is Series.SANCTIONED
    assert said("flaky suite", kind="drill") is Series.DRILL
    assert said("flaky suite", kind="machine", sanctioned=True) is Series.MACHINE


@pytest.mark.parametrize(
    ("reason", "gate", "production", "breakage"),
    [
        ("integration suite flaky again", True, False, False),
        ("checkout 5xx spike", False, True, False),
        ("fix bustage after bug 575740", False, False, True),
        ("port bug 1234 to fix the build", False, False, True),
        ("vatamibo rodubivi zolavi", False, False, False),
    ],
)
def test_a_reason_speaks_of_the_gate_production_or_a_breakage(
    reason: str, gate: bool, production: bool, breakage: bool
) -> None:
    assert speaks(reason) == (gate, production, breakage)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("docs: mend a link [skip ci]", Series.DOCUMENTATION),
        ("Fix typo in README", Series.DOCUMENTATION),
        ("chore(docs): reorder the guide", Series.DOCUMENTATION),
        ("Update CHANGELOG for 1.2", Series.DOCUMENTATION),
        ("fix docs build, it is red again", Series.COUNTED),
        ("config typo in cart", Series.COUNTED),
        ("document store down, customers wait", Series.COUNTED),
        ("hotfix of the docs-api service", Series.COUNTED),
    ],
)
def test_documents_alone_are_set_apart_and_code_is_not(reason: str, kind: Series) -> None:
    event = Bypass("1", datetime(2026, 6, 22, tzinfo=UTC), "g", "p", reason=reason)
    assert series_of(event) is kind
