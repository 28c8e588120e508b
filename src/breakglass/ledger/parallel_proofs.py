"""Checks the heads of a long log on all cores, ahead of who reads them in order.

A head costs one signature and as many cosignatures as it carries, and says nothing of the one
before it: heads are the part of a full verification that can be shared out.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice

from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, UnavailableError
from breakglass.tlog.policy import TlogPolicy
from breakglass.tlog.proof import ProvenHead, verify_head

_CHUNK = 64  # heads: some 20 ms of work
_CHUNKS_AHEAD = 4  # of each core; bounds memory
WORTH_IT = 1024  # heads; fewer are checked before the other processes have started


@dataclass(frozen=True)
class _Chunk:
    """Heads on their way, and the policy that they are checked under."""

    heads: Sequence[bytes]
    policy: TlogPolicy
    proven: Future[list[ProvenHead | None]]


def prove_heads(
    heads: Iterator[bytes], policy: Callable[[], TlogPolicy], cores: int = 0
) -> Iterator[tuple[bytes, ProvenHead]]:
    """Give each head with what ``verify_head`` says of it.

    Args:
        heads: cosigned heads, in order.
        policy: asked for each head when its turn comes; heads that were checked ahead under
            another one are checked again.
        cores: how many to use; 0 takes all that we may.

    Raises:
        MalformedError: as ``verify_head``, at that head's turn.
        UnprovenError: likewise.
        UnavailableError: ``worker``; one of our processes was ended from outside.
    """
    cores = cores or len(os.sched_getaffinity(0))
    first = list(islice(heads, WORTH_IT))
    if cores == 1 or len(first) < WORTH_IT:
        for head in [*first, *heads]:
            yield head, verify_head(head, policy())
        return
    yield from _proven_by_many(_chained(first, heads), policy, cores)


def _proven_by_many(
    heads: Iterator[bytes], policy: Callable[[], TlogPolicy], cores: int
) -> Iterator[tuple[bytes, ProvenHead]]:
    # Processes of their own, not copies of this one: its threads and locks are not theirs.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(cores, mp_context=context, initializer=_leave_signals) as pool:
        ahead: deque[_Chunk] = deque()
        try:
            while True:
                while len(ahead) < cores * _CHUNKS_AHEAD and (some := list(islice(heads, _CHUNK))):
                    now = policy()
                    ahead.append(_Chunk(some, now, pool.submit(_prove, some, now)))
                if not ahead:
                    return
                yield from _in_turn(ahead.popleft(), policy)
        except BrokenExecutor as error:
            raise UnavailableError(
                "a process that checks signatures was ended; nothing is verified",
                name=ErrorName.WORKER,
                hint="is there enough memory? run it again",
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _in_turn(chunk: _Chunk, policy: Callable[[], TlogPolicy]) -> Iterator[tuple[bytes, ProvenHead]]:
    for head, proven in zip(chunk.heads, chunk.proven.result(), strict=True):
        now = policy()
        # What did not hold is checked again here, for its error.
        if proven is None or now != chunk.policy:
            proven = verify_head(head, now)
        yield head, proven


def _prove(heads: Sequence[bytes], policy: TlogPolicy) -> list[ProvenHead | None]:
    return [_proven(head, policy) for head in heads]


def _proven(head: bytes, policy: TlogPolicy) -> ProvenHead | None:
    try:
        return verify_head(head, policy)
    except BreakglassError:
        return None


def _chained(first: Sequence[bytes], rest: Iterator[bytes]) -> Iterator[bytes]:
    yield from first
    yield from rest


def _leave_signals() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever reads the heads
