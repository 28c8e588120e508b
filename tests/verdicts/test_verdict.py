"""The reading of one gate, story by story: each pitfall of DEVIANCE.md 7 has a test here."""

from __future__ import annotations

from datetime import date, timedelta

from breakglass.verdicts.history import Bypass, GateChange
from breakglass.verdicts.sentence import sentence
from breakglass.verdicts.verdict import Reading, Verdict, judge
from breakglass.verdicts.verdict_json import answer

from .kit import AS_OF, PEOPLE, bypass, gate, monday_of, steady

FLAKY = ("suite flaky on {}", "flaky integration suite, {} failed", "flake in suite {} again")


def flaky(i: int) -> str:
    return FLAKY[i % 3].format(("cart", "search", "login", "mail")[i % 4])


def read(events: list[Bypass], **more: object) -> Verdict:
    passages = more.pop("passages", 200.0)
    return judge(gate(events, passages, **more), AS_OF)  # type: ignore[arg-type]


def test_a_rise_over_many_people_and_weeks_is_the_gate() -> None:
    told = read(steady(0.3, 0, 84) + steady(2.0, 84, 104, flaky, first=500))
    assert told.reading is Reading.GATE_WRONG
    assert "flak" in sentence(told)


def test_zero_in_thousands_of_passages_is_certainty() -> None:
    told = read([])
    assert told.reading is Reading.HEALTHY
    assert "not bypassed in 5,200 passages" in sentence(told)


def test_zero_in_thirty_passages_is_not() -> None:
    told = read([bypass(103, 1)], passages=1.0, weeks=20)
    assert told.reading is Reading.NOT_ENOUGH_DATA
    assert told.weeks_needed is not None
    assert told.weeks_needed > 10


def test_one_incident_in_one_fortnight_is_a_bad_month_even_with_several_ids() -> None:
    burst = [
        bypass(
            92 + i * 0.08,
            700 + i,
            reason="checkout 5xx, rolling the cart back",
            incident=f"INC-90{i % 4}",
            parent_incident="INC-900",
        )
        for i in range(24)
    ]
    told = read(steady(0.3) + burst)
    assert told.reading is Reading.BAD_MONTH
    assert told.runner_up is not Reading.BAD_MONTH


def test_incidents_that_come_back_are_a_root_cause() -> None:
    waves = [
        bypass(82 + wave * 3 + n * 0.1, 800 + wave * 10 + n, reason=f"DLQ full, {n} starved",
               incident=f"INC-8{wave}")
        for wave in range(7)
        for n in range(4)
    ]  # fmt: skip
    told = read(steady(0.3) + waves)
    assert told.reading is Reading.ROOT_CAUSE


def test_one_path_is_about_access_and_not_about_everybody() -> None:
    theirs = steady(1.0, 80, 104, lambda i: f"publish the price list {i}", 900, person=PEOPLE[3])
    told = read(steady(0.3) + theirs)
    assert told.reading is Reading.ONE_PERSON
    assert PEOPLE[3] not in sentence(told)


def test_the_busiest_committer_is_judged_by_their_share_of_the_same_window() -> None:
    events = steady(0.3) + steady(0.5, 78, 104, first=900, person=PEOPLE[3])
    recent = {f"2026-Q{q}": {PEOPLE[3]: 80.0, PEOPLE[1]: 20.0} for q in (1, 2)}
    old = {
        f"{year}-Q{q}": dict.fromkeys(PEOPLE, 10.0) for year in (2024, 2025) for q in range(1, 5)
    }
    one = gate(events)
    told = judge(type(one)(one.name, one.events, one.passages, recent | old), AS_OF)
    assert told.reading is not Reading.ONE_PERSON


def test_five_of_seven_by_one_person_mean_nothing_at_a_low_rate() -> None:
    events = [bypass(80 + 3 * i, i, person=PEOPLE[0] if i < 5 else PEOPLE[i]) for i in range(7)]
    assert read(steady(0.15, 0, 78) + events).reading is Reading.HEALTHY


def test_a_plateau_of_years_is_wrong_though_no_trend_shows_it() -> None:
    told = read(steady(24.0))
    assert told.reading is Reading.GATE_WRONG
    assert told.evidence.ratio.middle < 1.2


def test_a_plateau_of_breakages_week_after_week_has_its_cause_upstream() -> None:
    words = ("fix bustage after upstream change {}", "unbreak the tests after upstream {}")
    told = read(steady(24.0, reason=lambda i: words[i % 2].format(i)))
    assert told.reading is Reading.ROOT_CAUSE


def test_silence_is_no_root_cause() -> None:
    told = read(steady(0.3) + steady(2.0, 84, 104, lambda _: "", first=500))
    assert told.reading is Reading.GATE_WRONG
    assert "suite" not in sentence(told)


def test_what_a_policy_sanctions_does_not_count_and_is_shown() -> None:
    automatic = steady(3.0, 60, 104, lambda i: f'Revert "change {i}"', first=300)
    told = read(steady(0.3) + automatic)
    assert told.reading is Reading.HEALTHY
    assert told.evidence.set_apart["routine"] == 78
    assert "78 routine" in sentence(told)


def test_drills_and_machines_are_series_of_their_own() -> None:
    drills = steady(1.0, 78, 104, first=300, kind="drill")
    machines = steady(1.0, 78, 104, first=400, kind="machine")
    told = read(steady(0.3) + drills + machines)
    assert told.reading is Reading.HEALTHY
    assert told.evidence.set_apart == {"drill": 26, "machine": 26}


def test_an_old_incident_does_not_hide_a_new_rise() -> None:
    old = [bypass(40 + i * 0.05, 600 + i, reason="outage", incident="INC-1") for i in range(40)]
    told = read(steady(0.3, 0, 84) + old + steady(1.6, 84, 104, flaky, first=500))
    assert told.reading is Reading.GATE_WRONG


def test_twice_the_traffic_is_not_twice_the_rate() -> None:
    busy = gate(steady(1.0, 0, 78) + steady(3.0, 78, 104, first=500))
    later = monday_of(78)
    passages = {week: n * (3 if week >= later else 1) for week, n in busy.passages.items()}
    told = judge(type(busy)(busy.name, busy.events, passages, busy.people), AS_OF)
    assert told.reading is Reading.HEALTHY


def test_a_fall_is_healthy_and_says_since_when() -> None:
    told = read(steady(1.5, 0, 78) + steady(0.1, 78, 104, first=500))
    assert told.reading is Reading.HEALTHY
    assert any(q.startswith("improving since") for q in told.qualifiers)


def test_a_gate_born_last_month_is_judged_on_its_own_days() -> None:
    told = read(steady(0.5, 98, 104), born=monday_of(98))
    assert told.evidence.recent.days <= 42
    assert "has existed only since" in sentence(told)


def test_a_changed_gate_is_compared_with_its_past_from_the_day_of_the_change() -> None:
    change = GateChange(monday_of(90), "split the slow suite off")
    told = read(steady(2.0, 0, 90) + steady(0.2, 90, 104, first=500), changes=(change,))
    assert told.reading is Reading.HEALTHY
    assert told.evidence.recent.start == monday_of(90)
    assert "split the slow suite off" in sentence(told)


def test_a_retired_gate_is_judged_up_to_its_last_day() -> None:
    told = read(steady(0.3, 0, 60), retired=monday_of(60))
    assert told.evidence.recent.end == monday_of(60) + timedelta(days=1)
    assert "retired on" in sentence(told)


def test_two_people_are_named_as_a_path_and_never_by_name() -> None:
    events = [bypass(79 + i, i, person=PEOPLE[i % 2], reason=f"publish {i}") for i in range(24)]
    told = read(steady(0.2, 0, 78) + events)
    assert "two people's path" in told.qualifiers


def test_the_same_history_is_the_same_words() -> None:
    events = steady(0.3, 0, 84) + steady(2.0, 84, 104, flaky, first=500)
    assert answer(read(events)) == answer(read(list(reversed(events))))


def test_nothing_is_shown_per_person_under_five_uses() -> None:
    told = answer(read([bypass(90 + i, i, person=PEOPLE[0]) for i in range(4)]))
    assert told["without_top_person"] is None


def test_more_bypasses_than_passages_is_an_error_of_the_data_and_no_rate() -> None:
    told = answer(read(steady(5.0), passages=2.0))
    assert told["rate"] is None
    assert told["verdict"] == "not_enough_data"


def test_a_gate_without_anything_is_not_judged() -> None:
    empty = type(gate([]))("deploy", (), {})
    told = judge(empty, AS_OF)
    assert told.reading is Reading.NOT_ENOUGH_DATA
    assert "nothing passed" in sentence(told)
    assert answer(told)["window"][1] == date(2026, 6, 29).isoformat()


def test_a_class_of_changes_is_named_only_when_it_is_small_and_not_all() -> None:
    def told(reason: str, per_week: float, passages: float) -> tuple[str, ...]:
        same = steady(per_week, 0, 104, lambda i: f"{reason} {i}")
        rest = steady(0.4, 0, 104, lambda i: f"{PEOPLE[i % 12]} wrote {i} otherwise", first=5000)
        return read(same + rest, passages=passages).qualifiers

    small = told("third-party chart without a label", 0.6, 200.0)
    assert any(note.startswith("wrong for a small class of changes") for note in small)
    large = told("third-party chart without a label", 0.6, 12.0)
    assert not any("small class" in note for note in large)
    alone = read(steady(0.6, 0, 104, lambda i: f"chart without a label {i}")).qualifiers
    assert not any("small class" in note for note in alone)


def test_two_who_do_most_of_the_work_are_no_path_of_two() -> None:
    events = [bypass(79 + i, i, person=PEOPLE[i % 2], reason=f"publish {i}") for i in range(24)]
    two = gate(steady(0.2, 0, 78) + events)
    shares = {"": {PEOPLE[0]: 0.4, PEOPLE[1]: 0.4, **dict.fromkeys(PEOPLE[2:], 0.02)}}
    told = judge(type(two)(two.name, two.events, two.passages, shares), AS_OF)
    assert "two people's path" not in told.qualifiers


def test_a_burst_by_one_person_has_that_person_as_runner_up() -> None:
    burst = [
        bypass(95 + i * 0.05, 700 + i, reason="cart down", incident="INC-900", person=PEOPLE[0])
        for i in range(20)
    ]
    told = read(steady(0.3) + burst)
    assert (told.reading, told.runner_up) == (Reading.BAD_MONTH, Reading.ONE_PERSON)


def test_a_gate_that_was_over_the_line_stays_so_until_it_is_clearly_under_it() -> None:
    over, near = steady(14.0, 0, 80), steady(9.0, 80, 104, first=5000)
    assert 0.04 < read(over + near).evidence.low_rate < 0.05
    assert read(over + near).reading is Reading.GATE_WRONG
    never = steady(10.6, 0, 104)
    assert 0.04 < read(never).evidence.low_rate < 0.05
    assert read(never).reading is Reading.HEALTHY
