"""The Python form: the body runs only behind an open gate."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from breakglass.errors import BreakglassError, RefusedError, UnavailableError
from breakglass.gate.guard import guard
from breakglass.token.answer import Opens
from tests.gate.conftest import GateHome


def test_the_body_runs_behind_a_passing_check(home: GateHome) -> None:
    with guard("deploy-approval", lambda: True, folder=home.folder, clock=home.clock) as answer:
        assert answer.opens is Opens.OPEN


def test_a_failing_check_raises_and_names_the_way_out(home: GateHome) -> None:
    with pytest.raises(RefusedError, match="shut: check failed") as caught:
        with guard("deploy-approval", lambda: False, folder=home.folder, clock=home.clock):
            pytest.fail("the body ran behind a shut gate")
    assert "breakglass break deploy-rollback" in caught.value.hint


@pytest.mark.parametrize("said", [1, "yes", None, object(), [True]])
def test_only_true_itself_opens(home: GateHome, said: Any) -> None:
    with pytest.raises(UnavailableError, match="could not evaluate"):
        with guard("deploy-approval", lambda: said, folder=home.folder, clock=home.clock):
            pytest.fail("the body ran behind a shut gate")


def test_a_check_that_raises_tells_its_type_and_not_its_secret(home: GateHome) -> None:
    def check() -> bool:
        raise ConnectionError("password=hunter2")

    with pytest.raises(UnavailableError, match="raised ConnectionError") as caught:
        with guard("deploy-approval", check, folder=home.folder, clock=home.clock):
            pytest.fail("the body ran behind a shut gate")
    assert "hunter2" not in str(caught.value)


def test_a_check_that_hangs_shuts_the_gate(home: GateHome) -> None:
    toml = home.folder / "settings.toml"
    toml.write_text(toml.read_text().replace("check_within_s = 10", "check_within_s = 0.1"))
    with pytest.raises(UnavailableError, match=r"no answer within 0\.1 s"):
        with guard(
            "deploy-approval", lambda: bool(time.sleep(2)), folder=home.folder, clock=home.clock
        ):
            pytest.fail("the body ran behind a shut gate")


def test_glass_opens_for_its_run(home: GateHome) -> None:
    token = home.org.token(home.org.break_glass()).encoded().encode()
    with guard(
        "deploy-approval",
        lambda: False,
        folder=home.folder,
        run="42",
        token=token,
        clock=home.clock,
    ) as answer:
        assert answer.opens is Opens.OPEN_BY_GLASS
        assert answer.shown is not None
        assert answer.shown.intent.who == "mira"


@pytest.mark.parametrize(
    ("run", "said"), [("", "the run is empty"), ("43", "is for run '42'")], ids=["empty", "other"]
)
def test_an_empty_run_and_another_one_open_nothing(home: GateHome, run: str, said: str) -> None:
    """An unset variable of a job must not make one token open every run."""
    token = home.org.token(home.org.break_glass()).encoded().encode()
    with pytest.raises(RefusedError, match=said) as caught:
        with guard(
            "deploy-approval",
            lambda: False,
            folder=home.folder,
            run=run,
            token=token,
            clock=home.clock,
        ):
            pytest.fail("the body ran behind a shut gate")
    assert caught.value.name == "wrong_run"


def test_a_drill_would_open_and_leaves_the_gate_shut(home: GateHome) -> None:
    """(T-36) Nothing is counted as a bypass, and nothing waits to be recorded as one."""
    token = home.org.token(home.org.break_glass(statement={"drill": True})).encoded().encode()
    with pytest.raises(RefusedError, match="would open 'gate:deploy-approval'") as caught:
        with guard(
            "deploy-approval",
            lambda: False,
            folder=home.folder,
            run="42",
            token=token,
            clock=home.clock,
        ):
            pytest.fail("the body ran behind a shut gate")
    assert caught.value.name == "wrong_gate"
    assert "this is a drill, and the gate stays shut" in str(caught.value)
    assert not list((home.folder / "data").glob("**/*bypass*"))


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_no_altered_token_opens_and_none_escapes_our_errors(
    home: GateHome, data: st.DataObject
) -> None:
    whole = bytearray(home.org.token(_broken(home)).encoded().encode())
    at = data.draw(st.integers(0, len(whole) - 1))
    new = data.draw(st.integers(0, 255).filter(lambda byte: byte != whole[at]))
    whole[at] = new
    ran = False
    with (
        contextlib.suppress(BreakglassError),
        guard(
            "deploy-approval",
            lambda: False,
            folder=home.folder,
            run="42",
            token=bytes(whole),
            clock=home.clock,
        ),
    ):
        ran = True
    assert not ran, f"byte {at} set to {new} still opened the gate"


def _broken(home: GateHome) -> Any:
    kept = getattr(home, "_kept", None)
    if kept is None:
        kept = home.org.break_glass()
        object.__setattr__(home, "_kept", kept)
    return kept
