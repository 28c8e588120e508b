"""Heads checked on several cores come out as if each had been checked in its turn."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

import pytest

from breakglass.errors import UnavailableError, UnprovenError
from breakglass.ledger.parallel_proofs import WORTH_IT, prove_heads
from breakglass.tlog.policy import TlogPolicy
from breakglass.tlog.proof import verify_head
from tests.kit.made_log import MadeLog

MANY = WORTH_IT + 300


@pytest.fixture(scope="module")
def log() -> MadeLog:
    made = MadeLog()
    for number in range(40):
        made.append(b"entry %d" % number)
    return made


@pytest.fixture(scope="module")
def heads(log: MadeLog) -> list[bytes]:
    some = [log.head(size=size) for size in range(1, 41)]
    return (some * (MANY // 40 + 1))[:MANY]


@pytest.mark.parametrize("cores", [1, 3])
@pytest.mark.parametrize("count", [0, 1, WORTH_IT - 1, WORTH_IT, MANY])
def test_every_head_is_given_once_in_order(
    log: MadeLog, heads: list[bytes], count: int, cores: int
) -> None:
    found = list(prove_heads(iter(heads[:count]), lambda: log.policy, cores))
    assert found == [(head, verify_head(head, log.policy)) for head in heads[:count]]


@pytest.mark.parametrize("at", [0, 700, MANY - 1])
def test_a_head_that_does_not_hold_ends_it_at_its_turn(
    log: MadeLog, heads: list[bytes], at: int
) -> None:
    read = [*heads[:at], log.head(by=("w0",)), *heads[at + 1 :]]
    found = prove_heads(iter(read), lambda: log.policy, 2)
    assert [head for head, _ in islice(found, at)] == heads[:at]
    with pytest.raises(UnprovenError, match="quorum"):
        next(found)


def stricter(policy: TlogPolicy) -> TlogPolicy:
    (group,) = policy.groups
    return replace(policy, groups=(replace(group, needed=3),))


@pytest.mark.parametrize("at", [5, 640, MANY - 1])
def test_a_policy_that_changes_counts_from_that_head_on(
    log: MadeLog, heads: list[bytes], at: int
) -> None:
    # Two of three suffice until, in the reader's own words, three are asked for.
    weak = [*heads[:at], log.head(by=("w0", "w1")), *heads[at + 1 :]]
    read = 0

    def policy() -> TlogPolicy:
        return stricter(log.policy) if read >= at else log.policy

    found = prove_heads(iter(weak), policy, 2)
    for _ in islice(found, at):
        read += 1
    with pytest.raises(UnprovenError, match="quorum"):
        next(found)
    assert read == at


def test_a_head_that_only_a_later_policy_believes_is_believed_then(
    log: MadeLog, heads: list[bytes]
) -> None:
    weak = [*heads[:700], *[log.head(by=("w0", "w1"))] * 50]
    weak += heads[: MANY - len(weak)]
    read = 0

    def policy() -> TlogPolicy:
        return log.policy if read >= 650 else stricter(log.policy)

    for _ in prove_heads(iter(weak), policy, 2):
        read += 1
    assert read == len(weak)


def test_a_worker_that_is_killed_ends_it_with_an_error_of_ours(
    log: MadeLog, heads: list[bytes]
) -> None:
    def killing(some: Sequence[bytes]) -> Iterator[bytes]:
        for number, head in enumerate(some * 20):
            if number == WORTH_IT + 1000:
                for child in multiprocessing.active_children():
                    os.kill(child.pid or 0, signal.SIGKILL)
            yield head

    with pytest.raises(UnavailableError) as raised:
        for _ in prove_heads(killing(heads), lambda: log.policy, 2):
            pass
    assert raised.value.name == "worker"
