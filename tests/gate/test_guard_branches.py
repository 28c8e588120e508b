"""Each way through the gate's story: what is written on it, and what is handed over behind it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from datetime import timedelta

import pytest

from breakglass.errors import BreakglassError, RefusedError, UnavailableError
from breakglass.gate.check import Check, Checked
from breakglass.gate.gate_config import GateConfig
from breakglass.gate.guard import answer_check, answer_with_token, guard
from breakglass.records.kinds.bypassed import Bypassed, GateState
from breakglass.records.kinds.passages import Passages
from breakglass.token.answer import Answer, Opens
from tests.gate.conftest import FAIL, GateHome

GATE = "deploy-approval"


def _token(home: GateHome, run: str = "42") -> bytes:
    return home.org.token(home.org.break_glass(), run).encoded().encode()


def _place(home: GateHome) -> GateConfig:
    return GateConfig.open(home.folder, GATE)


def _raises() -> bool:
    raise ConnectionError


def _counts(home: GateHome) -> dict[str, int]:
    tally = _place(home).memory.close_period()
    return tally.counts if tally else {}


def _tallies(home: GateHome) -> list[tuple[int, int, int, int]]:
    return [
        (each.passed, each.blocked, each.could_not_evaluate, each.bypassed)
        for each in home.spooled()
        if isinstance(each, Passages)
    ]


# --- the check ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "opens", "code"),
    [
        (Checked.PASSED, Opens.OPEN, 0),
        (Checked.FAILED, Opens.SHUT_FAILED, 3),
        (Checked.COULD_NOT_EVALUATE, Opens.SHUT_COULD_NOT_EVALUATE, 5),
    ],
)
def test_each_outcome_of_a_check_has_its_answer_and_is_counted_as_itself(
    home: GateHome, outcome: Checked, opens: Opens, code: int
) -> None:
    check = Check(outcome, "as it said", timedelta(milliseconds=7))
    answer = answer_check(_place(home), check, home.clock)
    assert (answer.opens, answer.exit_code, answer.reason) == (opens, code, "as it said")
    assert ("breakglass break deploy-rollback" in answer.hint) == (not answer.open)
    assert _counts(home) == {outcome.value: 1}


def test_a_gate_that_no_glass_opens_names_a_place_holder_in_its_hint(home: GateHome) -> None:
    toml = home.folder / "settings.toml"
    toml.write_text(toml.read_text().replace('glasses = ["deploy-rollback"]\n', ""))
    check = Check(Checked.FAILED, "exit 1", timedelta(0))
    hint = answer_check(_place(home), check, home.clock).hint
    assert "breakglass break GLASS --incident INCIDENT --why REASON; then" in hint
    assert f"breakglass gate token GRANT --gate {GATE} --for RUN > token" in hint


def test_a_passage_that_cannot_be_counted_does_not_pass(home: GateHome) -> None:
    (home.folder / "data").mkdir()
    (home.folder / "data" / "memory.sqlite").mkdir()
    with pytest.raises(UnavailableError, match="the gate stays shut"):
        with guard(GATE, lambda: True, folder=home.folder, clock=home.clock):
            pytest.fail("the body ran behind a gate that lost its count")


# --- the token ----------------------------------------------------------------------------------


def test_an_open_gate_is_returned_as_it_is_and_its_token_is_not_even_read(home: GateHome) -> None:
    open_answer = Answer(GATE, Opens.OPEN, "exit 0")
    for data in (b"no token at all", _token(home)):
        assert answer_with_token(_place(home), open_answer, data, "42", home.clock) is open_answer
    assert not (home.folder / "data").exists()  # nothing was spooled, counted or remembered


@pytest.mark.parametrize(
    ("check", "state"),
    [(lambda: False, GateState.FAILED), (_raises, GateState.COULD_NOT_EVALUATE)],
)
def test_a_bypass_says_whether_the_check_failed_or_could_not_be_evaluated(
    home: GateHome, check: Callable[[], bool], state: GateState
) -> None:
    """The verdicts read it: a check that is often away is not one that is often wrong."""
    token = _token(home)
    with guard(GATE, check, folder=home.folder, run="42", token=token, clock=home.clock) as answer:
        assert answer.opens is Opens.OPEN_BY_GLASS
        bypass = home.spooled()[0]  # written before the gate opened
    assert isinstance(bypass, Bypassed)
    assert (bypass.state, bypass.run, bypass.gate) == (state, "42", GATE)
    assert bypass.detail == answer.reason
    blocked = state is GateState.FAILED
    assert _tallies(home) == [(0, int(blocked), int(not blocked), 1)]


def test_the_command_says_so_too_by_its_checks_exit_code(home: GateHome) -> None:
    token = home.token_file(_token(home))
    check = [sys.executable, "-c", "raise SystemExit(75)"]
    assert home.run("run", GATE, "--token", token, "--for", "42", "--", *check) == 0
    assert home.spooled()[0].state is GateState.COULD_NOT_EVALUATE


def test_a_token_that_opened_is_remembered_with_the_newest_time_that_it_proves(
    home: GateHome,
) -> None:
    place, shut = _place(home), Answer(GATE, Opens.SHUT_FAILED, "exit 1")
    answer = answer_with_token(place, shut, token := _token(home), "42", home.clock)
    assert answer.shown is not None
    assert place.memory.newest_seen() == max(answer.shown.cosigned.values())
    assert place.memory.used(answer.shown.intent.grant, "42", None) == 2
    with pytest.raises(RefusedError) as caught:
        answer_with_token(place, shut, token, "43", home.clock)
    assert caught.value.name == "wrong_run"


def test_without_its_record_a_bypass_is_no_bypass_and_is_not_counted(home: GateHome) -> None:
    home.spool.parent.mkdir()
    home.spool.mkdir()
    with pytest.raises(UnavailableError, match=r"spool .* cannot be written"):
        answer_with_token(
            _place(home), Answer(GATE, Opens.SHUT_FAILED, ""), _token(home), "42", home.clock
        )
    assert _counts(home) == {}


# --- handing over -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("check", "kind", "tally"),
    [
        (lambda: False, RefusedError, (0, 1, 0, 0)),
        (_raises, UnavailableError, (0, 0, 1, 0)),
    ],
)
@pytest.mark.parametrize("token", [None, b"no token at all"])
def test_what_was_blocked_is_handed_over_at_once(
    home: GateHome,
    check: Callable[[], bool],
    kind: type[BreakglassError],
    tally: tuple[int, int, int, int],
    token: bytes | None,
) -> None:
    """A gate that blocks for weeks and never opens would be heard of by nobody."""
    with pytest.raises(BreakglassError) as caught:
        with guard(GATE, check, folder=home.folder, run="42", token=token, clock=home.clock):
            pytest.fail("the body ran behind a shut gate")
    assert token is not None or isinstance(caught.value, kind)
    assert (caught.value.name == "shut") == (token is None)
    assert _tallies(home) == [tally]
    assert _counts(home) == {}


def test_what_passed_is_handed_over_behind_the_body_also_when_the_body_fails(
    home: GateHome,
) -> None:
    def deploy() -> None:
        with guard(GATE, lambda: True, folder=home.folder, clock=home.clock):
            assert _tallies(home) == []
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        deploy()
    assert _tallies(home) == [(1, 0, 0, 0)]


def test_trouble_with_handing_over_changes_no_answer_and_loses_no_count(home: GateHome) -> None:
    home.spool.parent.mkdir()
    home.spool.mkdir()
    with guard(GATE, lambda: True, folder=home.folder, clock=home.clock) as answer:
        assert answer.open
    with pytest.raises(RefusedError, match="shut: check failed"):
        with guard(GATE, lambda: False, folder=home.folder, clock=home.clock):
            pytest.fail("the body ran behind a shut gate")
    assert home.run("check", GATE, "--", *FAIL) == 3
    shutil.rmtree(home.spool)
    # The first tally was frozen under its own name; what came after it is the second.
    for _ in range(2):
        with guard(GATE, lambda: True, folder=home.folder, clock=home.clock):
            pass
    assert sum(each[0] for each in _tallies(home)) == 3
    assert sum(each[1] for each in _tallies(home)) == 2
