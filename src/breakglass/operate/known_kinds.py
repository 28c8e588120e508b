"""Before a set of kinds comes into force: does every process that folds know it.

Whoever does not know it stops at the record that puts it in force. An old minter would stop ending
grants in time, an old monitor would send no alert; so who signs asks all of them first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MalformedError, RefusedError
from breakglass.http.client import Peer
from breakglass.records.kind_sets import check_known
from breakglass.records.trust import Trust

_WITHIN = timedelta(seconds=5)


@dataclass(frozen=True)
class Folding:
    """A process that folds: its role (``broker-2``: the second one), and where it is, or empty."""

    name: str
    where: str | Path


def folding(
    trust: Trust,
    brokers: Sequence[str | Path],
    monitor: str | Path,
    minters: Mapping[str, str],
) -> Iterator[Folding]:
    """Return who folds: each broker, the monitor, and each minter that the trust file names.

    Args:
        trust: the version in force.
        brokers: where each replica is.
        monitor: where it is.
        minters: where each is, as far as a broker knows; one that is not in it cannot be asked.
    """
    for number, where in enumerate(brokers, 1):
        yield Folding("broker" if number == 1 else f"broker-{number}", where)
    yield Folding("monitor", monitor)
    for role in sorted({str(role) for role in trust.submitters.values()}):
        kind, _, name = role.partition(":")
        if kind == "minter":
            yield Folding(role, minters.get(name, ""))


def check_all_know(
    before: Trust, after: Trust, asked: Iterable[Folding], without: Collection[str] = ()
) -> None:
    """Check that everybody who folds knows the kinds that ``after`` puts in force.

    Args:
        before: the version in force; where it has the same kinds nobody is asked.
        after: the next one.
        asked: who folds.
        without: names of those that shall stop. Each maintainer who signs has to name them, and two
            sign at least (trust.md, R-8).

    Raises:
        UnknownKindsError: we do not know them ourselves.
        MalformedError: ``without`` names nobody who folds.
        RefusedError: ``kinds_behind``: one does not know them or does not answer.
    """
    if after.kinds == before.kinds:
        return
    check_known(after.kinds, after.version)
    everybody = list(asked)
    for name in sorted(set(without) - {each.name for each in everybody}):
        names = ", ".join(each.name for each in everybody)
        raise MalformedError(f"no process {name[:60]!r} follows the ledger; there are: {names}")
    others = [each for each in everybody if each.name not in without]
    with ThreadPoolExecutor(max(1, len(others))) as pool:
        told = pool.map(_known, others)
        behind = [
            f"{each.name!r} {said if isinstance(said, str) else f'knows kinds {said} at most'}"
            for each, said in zip(others, told, strict=True)
            if isinstance(said, str) or said < after.kinds
        ]
    if behind:
        raise RefusedError(
            f"kinds {after.kinds} would stop {len(behind)} of {len(everybody)} processes:"
            f" {'; '.join(behind)}; nothing was signed",
            name=ErrorName.KINDS_BEHIND,
            hint=f"install a release there that knows kinds {after.kinds}; what shall stop is named"
            " by each maintainer who signs: --without NAME",
        )


def _known(each: Folding) -> int | str:
    """Return the newest kinds that a process knows, or why that is unknown."""
    if not each.where:
        return "is at no address that the broker knows"
    try:
        with Peer(each.where, name=each.name, within=_WITHIN) as peer:
            known = peer.get("/healthz").json().get("kinds")
    except BreakglassError as error:
        return f"does not answer ({error.message})"
    # A release from before this check does not say: it knows the first set.
    return known if type(known) is int else 1
