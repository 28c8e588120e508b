"""The ledger's own records as a history: tallies, bypasses and decisions as plain mappings.

The monitor hands over what its fold knows, so that this room needs none of its types: ``passages``
and ``bypassed`` as the gate stated them, each bypass joined with the person, incident and reason of
its statement, and ``gate_reviewed``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError
from breakglass.verdicts.history import Bypass, Gate, GateReview, History, monday
from breakglass.verdicts.rows import day_in, is_yes, time_in, word_in
from breakglass.verdicts.windows import end_of

TALLIED = ("passed", "blocked", "could_not_evaluate")
"""Outcomes of a tally that are opportunities: a gate that stayed shut was one too."""


def from_records(
    records: Iterable[Mapping[str, Any]],
    as_of: datetime,
    people: Mapping[str, Mapping[str, Mapping[str, float]]] | None = None,
) -> History:
    """Return the history that ``records`` tell.

    Args:
        records: mappings with ``kind``; ``bypassed`` has ``id``, ``time``, ``gate`` and, joined by
            the monitor, ``person``, ``incident``, ``parent_incident``, ``reason``,
            ``reason_code``, ``drill`` and ``machine``; ``passages`` has ``gate``, ``start``,
            ``passed``, ``blocked``, ``could_not_evaluate``, ``bypassed`` and ``sanctioned``;
            ``gate_reviewed`` the fields of ``GateReview``; ``broken`` a grant that opens no gate,
            as ``bypassed`` with the glass for a gate. Other kinds are passed over.
        as_of: what came later is not known yet.
        people: passages per gate, quarter and person, where gates count them.

    A run that was shut and then bypassed is one passage: a tally's ``bypassed`` runs are among its
    shut ones. Sanctioned runs of a tally become events of their own series, without a person.

    Raises:
        MalformedError: a record lacks a field of its kind; names the record.
    """
    events: dict[str, list[Bypass]] = defaultdict(list)
    passages: dict[str, dict[date, float]] = defaultdict(lambda: defaultdict(float))
    reviews, grants = [], []
    for number, record in enumerate(records, 1):
        kind, where = record.get("kind"), f"record {record.get('id') or number}"
        if kind not in _TIME:
            continue
        moment = time_in(record.get(_TIME[kind]), _TIME[kind], where)
        if moment > as_of:
            continue
        gate = word_in(record, "gate", where)
        if kind == "broken":
            grants.append(_bypass(record, gate, moment, where))
        elif kind == "bypassed":
            events[gate].append(_bypass(record, gate, moment, where))
        elif kind == "passages":
            runs = sum(_count(record, key, where) for key in TALLIED)
            sanctioned = _count(record, "sanctioned", where)
            passages[gate][monday(moment.date())] += runs + sanctioned
            events[gate] += _sanctioned(gate, moment, sanctioned, where)
        else:
            reviews.append(_review(record, gate, moment, where))
    names = sorted({*events, *passages})
    return History(
        as_of.astimezone(UTC),
        tuple(
            Gate(
                name=name,
                events=tuple(sorted(events[name], key=lambda e: (e.time, e.id))),
                passages=dict(sorted(passages[name].items())),
                people=(people or {}).get(name, {}),
                counted_to=end_of(as_of),
            )
            for name in names
        ),
        tuple(sorted(reviews, key=lambda review: (review.at, review.gate))),
        tuple(sorted(grants, key=lambda grant: (grant.time, grant.id))),
    )


_TIME = {"bypassed": "time", "broken": "time", "passages": "start", "gate_reviewed": "at"}


def _bypass(record: Mapping[str, Any], gate: str, moment: datetime, where: str) -> Bypass:
    kind = "drill" if is_yes(record.get("drill")) else "bypass"
    return Bypass(
        id=word_in(record, "id", where),
        time=moment,
        gate=gate,
        person=str(record.get("person") or ""),
        incident=str(record.get("incident") or ""),
        parent_incident=str(record.get("parent_incident") or ""),
        reason=str(record.get("reason") or ""),
        reason_code=str(record.get("reason_code") or ""),
        kind="machine" if is_yes(record.get("machine")) else kind,
    )


def _sanctioned(gate: str, moment: datetime, runs: int, where: str) -> list[Bypass]:
    return [
        Bypass(f"{where}-sanctioned-{i}", moment, gate, "", sanctioned=True) for i in range(runs)
    ]


def _review(record: Mapping[str, Any], gate: str, moment: datetime, where: str) -> GateReview:
    again = record.get("look_again")
    return GateReview(
        gate=gate,
        at=moment,
        verdict=word_in(record, "verdict", where),
        decision=word_in(record, "decision", where),
        by=word_in(record, "by", where),
        look_again=day_in(again, "look_again", where) if again else None,
    )


def _count(record: Mapping[str, Any], key: str, where: str) -> int:
    value = record.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise MalformedError(
            f"{where}: '{key}' is {value!r}, wanted a count", name=ErrorName.BAD_NUMBER
        )
    return value
