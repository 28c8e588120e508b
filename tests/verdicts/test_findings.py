"""Histories by hand on which the verdict was once wrong, each with the reason that mended it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from breakglass.verdicts.history import Bypass, Gate, History
from breakglass.verdicts.sentence import sentence
from breakglass.verdicts.verdict import Verdict, judge_all
from breakglass.verdicts.verdict_json import answer

END = datetime(2026, 6, 29, tzinfo=UTC)
EVERYDAY = tuple(
    f"{a} {b}"
    for a in ("hotfix of", "config of", "partner launch on", "restore row of", "limit of")
    for b in ("mailer", "pricing", "edge", "stock", "ledger", "media", "orders", "cart")
)
COMPLAINT = ("gate takes 40 min, cannot wait", "queue over half an hour again", "slow check")
CREW = {f"p{i}": 0.1 for i in range(10)}
LEAD = {"p0": 0.34, **{f"p{i}": 0.66 / 9 for i in range(1, 10)}}
Part = tuple[int, str, str, Sequence[str], tuple[float, float]]


def made(
    name: str, people: dict[str, float], a_week: float, parts: Sequence[Part], weeks: int = 104
) -> Gate:
    """Lay bypasses over ``weeks``: count, person, incident, reasons, span in weeks before the end.

    An empty person is anybody by share; an empty incident is a new one for each.
    """
    rng = random.Random(name)
    events = []
    for count, person, incident, reasons, (first, last) in parts:
        for _ in range(count):
            at = END - timedelta(weeks=rng.uniform(last + 0.02, first - 0.02))
            who = person or rng.choices(list(people), list(people.values()))[0]
            what = incident or f"INC-{rng.randrange(10**6)}"
            events.append(
                Bypass(f"e{len(events)}", at, name, who, what, reason=rng.choice(reasons))
            )
    start = END.date() - timedelta(weeks=weeks)
    return Gate(
        name,
        tuple(sorted(events, key=lambda event: (event.time, event.id))),
        {start + timedelta(weeks=i): a_week for i in range(weeks)},
        {"": people},
    )


def others() -> list[Gate]:
    rest = [(18, "", "", EVERYDAY, (104, 26)), (6, "", "", EVERYDAY, (26, 0))]
    return [made(f"other-{i}", CREW, 120, rest) for i in range(5)]  # type: ignore[arg-type]


BEFORE, NOW = (104.0, 26.0), (26.0, 0.0)
SUITE = ("CheckoutFlowIT red on main, not our change", "CheckoutFlowIT failed, then passed",
         "payments shard of the suite red again")  # fmt: skip
ON_CALL = [
    (n, who, f"INC-8{k}000", ["shard of orders unreadable"], (24 - 3 * k, 23.7 - 3 * k))
    for k in range(7)
    for n, who in ((4, "p0"), (2, f"p{1 + k % 5}"))
]
SMUDGE = ("la bascule {} affiche un poids faux", "bascule {} faussée, camion conforme",
          "poids refusé à tort par la bascule {}")  # fmt: skip
UNHEARD = [line.format(place) for line in SMUDGE for place in ("nord", "sud", "est", "A", "B")]
TRIO = {"p0": 0.4, "p1": 0.33, "p2": 0.27}
SHARD = ["shard of orders unreadable"]
CASES = {
    "the others rose as well, so nobody is blamed": (
        "gate_wrong",
        made("deploy", LEAD, 400, [(48, "", "", EVERYDAY, BEFORE), (76, "p0", "", COMPLAINT, NOW),
                                   (61, "", "", COMPLAINT, NOW)]),
    ),
    "a person's own path on a busy gate": (
        "one_person",
        made("deploy", {"p0": 0.04, **{f"p{i}": 0.096 for i in range(1, 11)}}, 380,
             [(86, "", "", EVERYDAY, BEFORE), (18, "", "", EVERYDAY, NOW),
              (16, "p0", "", ["read replica for the monthly export"], NOW)]),
    ),
    "a plateau of two years above its siblings": (
        "gate_wrong",
        made("suite", CREW, 120, [(110, "", "", COMPLAINT * 30 + EVERYDAY, BEFORE),
                                  (37, "", "", COMPLAINT * 30 + EVERYDAY, NOW)]),
    ),
    "components called like troubles": (
        "gate_wrong",
        made("suite", CREW, 300, [(20, "", "", EVERYDAY, BEFORE), (60, "", "", SUITE, NOW)]),
    ),
    "one named incident on a busy gate": (
        "bad_month",
        made("deploy", CREW, 270, [(110, "", "", EVERYDAY, BEFORE), (26, "", "", EVERYDAY, NOW),
             (9, "", "INC-900000", ["cluster of orders lost its leader"], (9, 6.5))]),
    ),
    "a young gate without a time before": (
        "not_enough_data",
        made("young", {f"p{i}": 0.2 for i in range(5)}, 60 / 18,
             [(10, "", "", EVERYDAY, (18, 0))], weeks=18),
    ),
    "no passage was counted": (
        "not_enough_data",
        made("deploy", CREW, 0, [(40, "", "", EVERYDAY, BEFORE), (20, "", "", EVERYDAY, NOW)]),
    ),
    "incidents that come back, one person on call": (
        "root_cause",
        made("deploy", LEAD, 200, [(20, "", "", EVERYDAY, BEFORE), *ON_CALL]),
    ),
    "documentation alone goes round": (
        "healthy",
        made("ci", CREW, 60, [(300, "", "", ["docs: mend a link", "Update README.md"], BEFORE),
                              (150, "", "", ["docs: mend a link", "Fix typo in README"], NOW)]),
    ),
    "a plateau whose complaint is in words that no list knows": (
        "gate_wrong",
        made("scale", CREW, 120, [(76, "", "", UNHEARD, BEFORE), (34, "", "", EVERYDAY, BEFORE),
                                  (26, "", "", UNHEARD, NOW), (11, "", "", EVERYDAY, NOW)]),
    ),
    "one of three has risen alone, and no share can stand out": (
        "one_person",
        made("small", TRIO, 40, [(11, "", "", EVERYDAY, BEFORE), (5, "", "", EVERYDAY, NOW),
                                 (13, "p0", "", ["read replica for the export"], NOW)]),
    ),
    "a second incident nearly as large as the burst's": (
        "root_cause",
        made("deploy", CREW, 250, [(60, "", "", EVERYDAY, BEFORE), (22, "", "", EVERYDAY, NOW),
             (9, "", "INC-91", SHARD, (9, 8.6)), (5, "", "", SHARD, (9, 8.6)),
             (5, "", "INC-92", SHARD, (20, 19.6))]),
    ),
    "two large incidents on a gate so busy that its rate hardly moves": (
        "root_cause",
        made("deploy", CREW, 400, [(180, "", "", EVERYDAY, BEFORE), (60, "", "", EVERYDAY, NOW),
             (7, "", "INC-91", SHARD, (6, 5.6)), (6, "", "INC-92", SHARD, (18, 17.6))]),
    ),
    "a named incident, and a rest that nobody would call raised": (
        "bad_month",
        made("deploy", CREW, 270, [(60, "", "", EVERYDAY, BEFORE), (36, "", "", EVERYDAY, NOW),
             (12, "", "INC-900000", ["cluster of orders lost its leader"], (9, 6.5))]),
    ),
    "one reason of twenty that is given more often by chance": (
        "healthy",
        made("deploy", CREW, 200, [(58, "", "", EVERYDAY, BEFORE), (24, "", "", EVERYDAY, NOW),
             (2, "", "", ["samples for the fair"], BEFORE),
             (6, "", "", ["samples for the fair"], NOW)]),
    ),
    "zero in hundreds of passages": ("healthy", made("quiet", CREW, 6, [])),
}  # fmt: skip


def told(name: str) -> Verdict:
    gate = CASES[name][1]
    return judge_all(History(END, (gate, *others())))[0]


@pytest.mark.parametrize("name", CASES)
def test_a_history_that_was_misread_is_read_right(name: str) -> None:
    assert told(name).reading.value == CASES[name][0], sentence(told(name))


def test_without_a_counted_passage_no_rate_is_told_but_the_gate_and_the_week() -> None:
    read = told("no passage was counted")
    row = answer(read)
    assert (row["rate"], row["rate_low"], row["rate_high"]) == (None, None, None)
    assert row["data_errors"][0]["passages"] == 0
    week = date.fromisoformat(row["data_errors"][0]["week"])
    assert week.weekday() == 0
    assert f"in the week of {week}" in sentence(read)
    assert "error of the data" in sentence(read)


def test_a_plateau_needs_its_siblings_and_its_complaint() -> None:
    plain = [(110, "", "", EVERYDAY, BEFORE), (37, "", "", EVERYDAY, NOW)]
    quiet = made("suite", CREW, 120, plain)  # type: ignore[arg-type]
    assert judge_all(History(END, (quiet, *others())))[0].reading.value == "healthy"
    complained = CASES["a plateau of two years above its siblings"][1]
    assert judge_all(History(END, (complained,)))[0].reading.value == "healthy"


def test_a_private_note_never_says_that_the_others_are_fine_where_they_rose() -> None:
    assert "everybody else" not in sentence(told("the others rose as well, so nobody is blamed"))
    assert "everybody else as before" in sentence(told("a person's own path on a busy gate"))


def test_who_repairs_with_others_what_broke_is_on_duty_and_not_on_a_path_of_their_own() -> None:
    """Four of ten of one person's bypasses, in incidents of others too, on a busy gate."""
    duty = [
        (n, who, f"INC-7{k}000", ["shard of orders unreadable"], (24 - 3 * k, 23.7 - 3 * k))
        for k in range(7)
        for n, who in ((3, "p0"), (2, f"p{1 + k % 5}"))
    ]
    usual = [(90, "", "", EVERYDAY, BEFORE), (30, "", "", EVERYDAY, NOW)]
    gate = made("deploy", CREW, 300, [*usual, *duty])  # type: ignore[list-item]
    assert judge_all(History(END, (gate, *others())))[0].reading.value == "root_cause"


def test_what_names_no_incident_on_the_days_of_one_is_of_it_too() -> None:
    """Whoever is on call names half of the incidents; the days tell the rest."""
    duty = [
        (n, who, f"INC-7{k}000" if named else " ", ["shard unreadable"], (24 - 3 * k, 23.7 - 3 * k))
        for k in range(7)
        for n, who, named in ((1, "p0", True), (2, "p0", False), (2, f"p{1 + k % 5}", True))
    ]
    usual = [(90, "", "", EVERYDAY, BEFORE), (30, "", "", EVERYDAY, NOW)]
    gate = made("deploy", CREW, 300, [*usual, *duty])  # type: ignore[list-item]
    silent = tuple(replace(event, incident=event.incident.strip()) for event in gate.events)
    gate = replace(gate, events=silent)
    assert judge_all(History(END, (gate, *others())))[0].reading.value == "root_cause"


def test_a_plateau_is_measured_against_the_time_before_and_not_against_todays_troubles() -> None:
    risen = [(18, "", "", EVERYDAY, BEFORE), (90, "", "", EVERYDAY, NOW)]
    sick = [made(f"sick-{i}", CREW, 120, risen) for i in range(5)]  # type: ignore[arg-type]
    complained = CASES["a plateau of two years above its siblings"][1]
    assert judge_all(History(END, (complained, *sick)))[0].reading.value == "gate_wrong"
