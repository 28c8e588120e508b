"""What the monitor does about grants that start later, and about a close that ends some."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from breakglass.monitor.alert_rules import alert_for
from breakglass.monitor.decision_replay import Unjustified, case_of, replay_decision, replay_start
from breakglass.monitor.early_end_texts import closing
from breakglass.monitor.overdue_records import Patience, missing
from breakglass.monitor.scheduled_starts import (
    ScheduledStarts,
    decides_now,
    scheduled,
    start_case,
    starting,
    stood_against,
)
from breakglass.policy.bundle import pack_bundle
from breakglass.records import all_kinds as kinds
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.kinds.incident import IncidentChange
from breakglass.records.kinds.justified import Justified
from breakglass.records.statement import Do, Target
from tests.kit.lives import changes_incident
from tests.kit.organisation import Organisation
from tests.kit.people import PRESENT, SoftKey, SoftPasskey, SoftSecurityKey
from tests.kit.scheduled import GLASS, HOUR, decided_again, put_kinds_2_in_force, schedule
from tests.monitor.stand_ins import BUNDLE, SCOPE, Shop, history_of

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
SAID = """    for: 20m
    ahead: 7d
    ends_with_incident: true
    approvers: {{from: ["group:leads"]}}
"""


def packed() -> bytes:
    text = BUNDLE.replace("    for: 20m\n", SAID)
    keys = {
        "mira": SoftSecurityKey.of("mira").public,
        "teo": SoftSecurityKey.of("teo", PRESENT).public,
        "sam": SoftSecurityKey.of("sam").public,
        "noor": SoftPasskey.of("noor").public,
        "bo": SoftKey.of("bo").public,
    }
    return pack_bundle({"breakglass.yaml": text.format(**keys).encode()})


class Kept:
    """An organisation with one scheduled grant of mira's, in an hour, approved by sam."""

    def __init__(self) -> None:
        shop = Shop()
        self.org: Organisation = shop.org
        self.org.bundle = packed()
        self.org.begin()
        put_kinds_2_in_force(self.org)
        self.card = self.org.card_note(GLASS)
        self.broken = schedule(self.org, self.card, scope=SCOPE)
        assert self.org.judged[-1].holds, self.org.judged[-1]

    @property
    def grant(self) -> GrantState:
        return self.org.state.grants.by_id[self.broken.grant]

    def starts(self, now_before: timedelta = 4 * MINUTE) -> Any:
        """Decide about the start, so long before it."""
        self.org.now = self.grant.not_before - now_before
        case = start_case(self.grant, self.org.state, history_of(self.org))
        return replay_start(case, self.org.now)


@pytest.fixture
def kept() -> Kept:
    return Kept()


def test_an_ask_that_starts_later_is_justified_when_it_is_granted(kept: Kept) -> None:
    found = replay_decision(case_of(kept.broken.grant, kept.org.state, history_of(kept.org)))
    assert isinstance(found, Justified), found


def test_its_start_is_decided_by_the_ledger_of_that_moment(kept: Kept) -> None:
    found = kept.starts()
    assert isinstance(found, Justified), found
    assert (found.index, found.policy) == (kept.broken.index, kept.broken.intent.policy)


def closes(kept: Kept) -> None:
    assert changes_incident(kept.org, "bo", Do.CLOSE, "c1").holds


def stops(kept: Kept) -> None:
    word = kept.org.sign(kept.org.kill(Target.PERSON, "mira"))
    kept.org.state_that("broker", kinds.Suspended(Target.PERSON, "mira", True, word))


@pytest.mark.parametrize(("does", "name"), [(closes, "incident_closed"), (stops, "suspended")])
def test_a_start_that_is_not_allowed_any_more_is_not_justified(
    kept: Kept, does: Callable[[Kept], None], name: str
) -> None:
    does(kept)
    found = kept.starts()
    assert isinstance(found, Unjustified)
    assert found.name == name


def test_it_is_decided_once_it_is_near_and_only_what_was_allowed_before(kept: Kept) -> None:
    start = kept.grant.not_before
    assert not decides_now(kept.grant, start)  # nobody justified it when it was granted
    assert decided_again(kept.org, kept.broken).holds
    assert not decides_now(kept.grant, start - 4 * MINUTE - SECOND)
    assert decides_now(kept.grant, start - 4 * MINUTE)
    kept.org.now = start - 4 * MINUTE
    assert decided_again(kept.org, kept.broken).holds
    assert not decides_now(kept.grant, start)


def test_it_rings_an_hour_before_and_at_its_start_with_the_way_to_stop_it(kept: Kept) -> None:
    grant = kept.grant
    start = grant.not_before
    assert list(starting(grant, start - HOUR - SECOND)) == []
    (soon,) = starting(grant, start - HOUR)
    assert soon.subject == "starts_soon"
    assert soon.fields["approvers"] == "sam"
    assert f"breakglass kill {grant.grant}" in soon.text
    (now,) = starting(grant, start)
    assert now.subject == "starts_now"
    assert soon.key != now.key
    assert list(starting(grant, start + 10 * MINUTE)) == []


class Looks:
    """A monitor's looks at the starts of an organisation: what they rang and stated."""

    def __init__(self, kept: Kept) -> None:
        self.rung: list[Any] = []
        self.stated: list[Any] = []

        @contextlib.contextmanager
        def reading() -> Iterator[Any]:
            yield kept.org.state

        self._starts = ScheduledStarts(
            SimpleNamespace(reading=reading),  # type: ignore[arg-type]
            SimpleNamespace(chronicle=history_of(kept.org)),  # type: ignore[arg-type]
            SimpleNamespace(ring=lambda news, heard: self.rung.extend(news)),  # type: ignore[arg-type]
            SimpleNamespace(post=self.stated.append),  # type: ignore[arg-type]
            SimpleNamespace(now=lambda: kept.org.now),  # type: ignore[arg-type]
        )
        self._kept = kept

    def at(self, behind: timedelta) -> list[str]:
        """Look, so long behind the start; returns the subjects that this look rang for all."""
        self._kept.org.now = self._kept.grant.not_before + behind
        self.rung.clear()
        self.stated.clear()
        self._starts.look()
        return [each.subject for each in self.rung if not each.person]


def test_a_look_rings_and_states_and_a_second_one_does_the_same(kept: Kept) -> None:
    assert decided_again(kept.org, kept.broken).holds
    looks = Looks(kept)
    for _ in range(2):
        assert looks.at(-3 * MINUTE) == ["starts_soon"]
        assert looks.rung[0].key == f"starts_soon/{kept.broken.index}"
        assert {each.person for each in looks.rung} > {kept.grant.who}
        assert [each.id for each in looks.stated] == [f"{kept.broken.grant}/justified/start"]
        assert isinstance(looks.stated[0].body, Justified)
    stops(kept)
    looks.at(-3 * MINUTE)
    assert looks.stated == []
    assert not list(scheduled(kept.org.state, history_of(kept.org)))


def test_what_is_refused_is_told_before_it_would_begin_and_never_as_begun(kept: Kept) -> None:
    assert decided_again(kept.org, kept.broken).holds
    looks = Looks(kept)
    closes(kept)
    assert looks.at(-3 * MINUTE) == ["will_not_start"]
    assert looks.rung[0].text.startswith("WILL NOT START as things stand: 'orders-repair' of mira")
    assert {each.person for each in looks.rung} == {"", "mira"}
    assert looks.at(-SECOND) == ["will_not_start"]
    assert looks.at(timedelta(0)) == ["start_refused"]
    assert looks.rung[0].text.startswith("NOT STARTED: 'orders-repair' of mira was to begin")
    assert looks.at(5 * SECOND) == ["start_refused"]
    assert looks.stated == []


def test_what_was_refused_and_is_allowed_again_is_told_as_begun(kept: Kept) -> None:
    assert decided_again(kept.org, kept.broken).holds
    looks = Looks(kept)
    closes(kept)
    assert looks.at(-2 * MINUTE) == ["will_not_start"]
    kept.org.now = kept.grant.not_before - MINUTE
    assert changes_incident(kept.org, "bo", Do.DECLARE, "c2").holds
    assert looks.at(-30 * SECOND) == ["starts_soon"]
    (stated,) = looks.stated
    assert kept.org.state_that("monitor", stated.body, stated.id).holds
    assert looks.at(SECOND) == ["starts_now"]


def test_what_is_lost_behind_the_decision_is_refused_as_well(kept: Kept) -> None:
    assert decided_again(kept.org, kept.broken).holds
    kept.org.now = kept.grant.not_before - 3 * MINUTE
    assert decided_again(kept.org, kept.broken).holds
    looks = Looks(kept)
    closes(kept)
    assert looks.at(-MINUTE) == ["will_not_start"]
    assert "is not open" in looks.rung[0].text
    assert looks.at(SECOND) == ["start_refused"]


def test_nothing_is_told_as_begun_before_the_ledger_shows_our_word(kept: Kept) -> None:
    assert decided_again(kept.org, kept.broken).holds
    looks = Looks(kept)
    assert looks.at(SECOND) == []  # a monitor that was away until then
    assert [each.id for each in looks.stated] == [f"{kept.broken.grant}/justified/start"]


def test_what_was_not_justified_when_it_was_granted_does_not_start(kept: Kept) -> None:
    looks = Looks(kept)
    assert looks.at(-3 * MINUTE) == ["will_not_start"]
    assert "did not find it justified" in looks.rung[0].text
    assert looks.stated == []
    assert stood_against(kept.grant, kept.org.state, kept.grant.not_before)
    just_granted = replace(kept.grant, at=kept.grant.not_before - MINUTE)
    assert not stood_against(just_granted, kept.org.state, kept.grant.not_before - SECOND)


def test_nobody_misses_what_is_still_to_begin(kept: Kept) -> None:
    chronicle = history_of(kept.org)
    found = missing(kept.org.state, chronicle, kept.grant.at + 30 * MINUTE, Patience())
    assert [each.subject for each in found] == []
    late = missing(kept.org.state, chronicle, kept.grant.not_after + 11 * MINUTE, Patience())
    assert [each.subject for each in late] == ["not_ended"]


def last_alerts(org: Organisation) -> list[Any]:
    entry = org.log.entries(org.log.size - 1)[0]
    return list(alert_for(org.judged[-1], entry, org.state, history_of(org)))


def test_a_close_warns_whose_grants_end_with_it_and_says_how_to_keep_them(kept: Kept) -> None:
    org = kept.org
    running = org.statement(glass=GLASS, nonce="77" * 16, who="teo", scope=SCOPE)
    signed = org.sign(running)
    org.state_that("broker", org.asked(signed))
    teo = org.break_glass(said=running, signed=signed, card=kept.card)
    assert org.judged[-1].holds, org.judged[-1]
    closes(kept)
    told = last_alerts(org)
    assert [each.subject for each in told] == ["incident", "incident_closing"]
    assert teo.grant in told[1].text
    assert "breakglass incident declare INC-4821" in told[1].fields["keep"]
    assert told[1].fields["who"] == "mira, teo"
    at = org.state.incidents.by_id["INC-4821"].closed_at
    assert at is not None
    assert f"at {at + 10 * MINUTE:%H:%M} UTC" in told[1].text


def test_a_close_by_the_brokers_word_alone_warns_of_nothing(kept: Kept) -> None:
    body = kinds.Incident(
        "INC-4821", IncidentChange.CLOSED, "SEV1", "checkout 5xx", "pagerduty", False, None
    )
    assert kept.org.state_that("broker", body, attachments=[b"says the broker"]).holds
    assert [each.subject for each in last_alerts(kept.org)] == ["incident"]
    history = history_of(kept.org)
    assert closing(body, 1, kept.org.now, kept.org.state, history) is None


def test_an_activation_names_the_starts_that_it_ends(kept: Kept) -> None:
    org = kept.org
    del org.people["sam"]
    org.policy_version += 1
    org.activate_policy()
    (told,) = last_alerts(org)
    assert told.subject == "cards_activated"
    assert f"{kept.broken.grant} of mira" in told.text


def test_when_it_is_granted_it_is_told_as_scheduled(kept: Kept) -> None:
    org = kept.org
    entry = org.log.entries(kept.broken.index)[0]
    (told,) = alert_for(org.judged[kept.broken.index], entry, org.state, history_of(org))
    start = kept.grant.not_before
    assert told.text.startswith(f"SCHEDULED: mira gets 'orders-repair' from {start:%Y-%m-%d %H:%M}")
    assert told.fields["starts"]


def test_a_case_of_a_start_takes_the_card_in_force(kept: Kept) -> None:
    case = start_case(kept.grant, kept.org.state, history_of(kept.org))
    assert case.grant.card == kept.org.state.governance.cards[GLASS]
