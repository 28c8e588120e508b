"""No candidate keeps a decision waiting, and none takes the place of the policy in force."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from breakglass.broker import policies
from breakglass.broker.policies import Policies
from breakglass.errors import MalformedError
from breakglass.http.routes import StatusError
from breakglass.policy.bundle import bundle_digest, pack_bundle
from breakglass.policy.compile import CompiledPolicy, compile_policy
from breakglass.records.fold.state import State
from tests.kit.organisation import Organisation
from tests.policy.kit import files_of

PACKED = [
    pack_bundle(files_of("demo", cedar={"x.cedar": f"// candidate {number}\n"}))
    for number in range(12)
]


class Compiler:
    """The compiler, with a switch that holds it up and a list of what it was given."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.began = threading.Event()

    def __call__(self, files: Mapping[str, bytes]) -> CompiledPolicy:
        self.seen.append(bundle_digest(pack_bundle(files)))
        self.began.set()
        assert self.goes_on.wait(60)
        return compile_policy(files)


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[Compiler]:
    found = Compiler()
    monkeypatch.setattr(policies, "compile_policy", found)
    yield found
    found.goes_on.set()


@pytest.fixture
def in_force() -> Callable[[int], State]:
    org = Organisation(bundle=PACKED[0])
    org.begin()
    state = org.state

    def of(number: int) -> State:
        policy = state.governance.policy
        assert policy is not None
        state.governance.policy = replace(policy, bundle=bundle_digest(PACKED[number]))
        state.governance.bundle = PACKED[number]
        return state

    return of


def _candidate(held: Policies, number: int) -> CompiledPolicy:
    return held.candidate(bundle_digest(PACKED[number]), PACKED[number])


def test_a_decision_does_not_wait_for_a_candidate_and_a_second_one_is_told_to_come_back(
    compiler: Compiler, in_force: Callable[[int], State]
) -> None:
    held = Policies()
    state = in_force(0)
    standing = held.in_force(state)
    compiler.goes_on.clear()
    compiler.began.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(_candidate, held, 1)
        try:
            assert compiler.began.wait(60)
            assert held.in_force(state) is standing
            with pytest.raises(StatusError, match="another policy is being compiled") as caught:
                _candidate(held, 2)
            assert (caught.value.http_status, caught.value.name) == (429, "busy")
            assert caught.value.hint == "send the same policy again in a few seconds"
        finally:
            compiler.goes_on.set()
        assert first.result(60).digest == bundle_digest(PACKED[1])
    assert _candidate(held, 2).digest == bundle_digest(PACKED[2])


def test_ten_candidates_never_evict_the_policy_in_force(
    compiler: Compiler, in_force: Callable[[int], State]
) -> None:
    held = Policies()
    state = in_force(0)
    standing = held.in_force(state)
    for number in range(1, 11):
        _candidate(held, number)
    assert held.in_force(state) is standing
    assert _candidate(held, 0) is standing  # its cards are renewed: nothing is compiled again
    assert len(compiler.seen) == 11


def test_what_was_compiled_to_be_activated_is_what_decides(
    compiler: Compiler, in_force: Callable[[int], State]
) -> None:
    held = Policies()
    held.in_force(in_force(0))
    wanted = _candidate(held, 1)
    assert held.in_force(in_force(1)) is wanted
    for number in (2, 3, 4):
        assert held.in_force(in_force(number)).digest == bundle_digest(PACKED[number])
    assert len(compiler.seen) == 5


def test_a_candidate_that_does_not_compile_leaves_room_for_the_next(compiler: Compiler) -> None:
    held, broken = Policies(), pack_bundle({"breakglass.yaml": b"version: x\n"})
    for _ in range(2):
        with pytest.raises(MalformedError):
            held.candidate(bundle_digest(broken), broken)
    assert _candidate(held, 1).digest == bundle_digest(PACKED[1])
