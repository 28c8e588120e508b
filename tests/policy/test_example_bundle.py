"""The bundle of the documentation holds, and uses every field that there is."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from breakglass.policy import alert_routes, conditions, glass, mint
from breakglass.policy.bundle import MAIN_FILE
from breakglass.policy.cards import make_cards
from breakglass.policy.compile import compile_policy
from breakglass.policy.decide import Refused, decide
from breakglass.policy.folder import read_bundle
from breakglass.policy.lint import Level, lint
from breakglass.policy.not_built import NOT_BUILT
from breakglass.policy.parse import FIELDS, parse_bundle
from breakglass.records.card import Card, Output, card_text
from tests.policy.kit import EXAMPLE, NOW, facts
from tests.policy.test_decide import MIGRATION

FILES = read_bundle(EXAMPLE)
POLICY = compile_policy(FILES)
PLACES = POLICY.bundle.places


def cards() -> dict[str, Card]:
    made = make_cards(
        POLICY, log="ledger.example/one", version=7, issued=NOW, expires=NOW + timedelta(days=92)
    )
    return {name: each.card for name, each in made.items()}


def test_it_has_no_error_and_every_card_of_it_can_be_signed() -> None:
    looked = datetime(2026, 10, 1, tzinfo=UTC)  # the day on which its groups are certified
    assert not [each for each in lint(POLICY, now=looked) if each.level is Level.ERROR]
    assert {name for name, card in cards().items() if card_text(card)} == set(POLICY.bundle.glasses)


def test_every_field_of_a_bundle_stands_in_it() -> None:
    wanted = {*FIELDS, *(f"glasses.*.{name}" for name in glass.FIELDS)}
    wanted |= {f"glasses.*.when.{name}" for name in conditions.FIELDS}
    wanted |= {
        "people.*.age", "glasses.*.approvers.need", "glasses.*.approvers.ask_need",
        "glasses.*.review.by", "glasses.*.mint.*.acts.*.run", "glasses.*.mint.*.acts.*.within",
        "glasses.*.mint.*.acts.*.output", f"glasses.*.mint.*.{mint.SOURCE}",
        "machines.*.key", "machines.*.act", "machines.*.minter",
        "incident_sources.*.secret_sha256", "incident_sources.*.key",
    }  # fmt: skip
    for pattern in wanted:
        expression = re.escape(pattern).replace(r"\*", r"[^.\[]+")
        assert any(re.fullmatch(expression, path) for path in PLACES), pattern
    assert set(alert_routes.ALERT_CLASSES) >= set(POLICY.bundle.alerts)


def test_every_new_number_of_a_card_is_said_by_some_glass() -> None:
    made = list(cards().values())
    assert {card.ask_need for card in made} == {0, 1, 2}
    assert any(card.ahead_s for card in made)
    assert len({card.silence_s for card in made}) > 1
    assert len({card.wait_s for card in made}) > 2
    acts = [act for card in made for each in card.mints for act in each.acts.values()]
    assert {act.output for act in acts} == {Output.NONE, Output.ASKER}
    assert any("source" in each.scope for card in made for each in card.mints)
    assert any(card.machines for card in made)


def test_what_nothing_reads_yet_is_said_once_for_each_field_where_it_stands() -> None:
    said = [each for each in lint(POLICY) if "not used by this version yet" in each.message]
    assert {each.level for each in said} == {Level.ADVICE}
    assert len(said) == len(NOT_BUILT)
    acts = next(each for each in said if each.path.endswith(".acts"))
    assert str(acts).endswith(
        ".mint.command.acts: not used by this version yet: no minter runs acts"
    )
    assert acts.place.line == 1 + FILES[MAIN_FILE].decode().splitlines().index("        acts:")


def test_what_is_not_used_is_not_spoken_of() -> None:
    files = {MAIN_FILE: re.sub(rb"    oidc: .*\n", b"", FILES[MAIN_FILE])}
    assert not any("oidc" in each.path for each in lint(parse_bundle(files)))


def test_its_own_policies_refuse_in_their_own_words() -> None:
    answer = decide(POLICY, facts(network="guests"))
    assert isinstance(answer, Refused)
    assert answer.why == (
        "nobody breaks a glass from the guests' network; use the office's or the VPN",
    )
    christmas = NOW.replace(month=12, day=24)
    asked = facts(
        **MIGRATION,
        starts=christmas,
        now=christmas - timedelta(days=1),
    )
    answer = decide(POLICY, asked)
    assert isinstance(answer, Refused)
    assert answer.policies == ("holiday-freeze",)
