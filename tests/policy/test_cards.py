"""Cards hold everybody who can be meant, and read back as the records' own strict form."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from breakglass.errors import MisconfiguredError
from breakglass.policy.cards import card_people, make_cards, make_policy_note, policy_people
from breakglass.policy.compile import CompiledPolicy
from breakglass.records.card import (
    Act,
    Card,
    CardMachine,
    CardMint,
    Output,
    Tier,
    card_text,
    check_card_people,
    parse_card,
)
from breakglass.records.people_list import May, PersonLine
from breakglass.records.policy_note import parse_policy_note, policy_text
from breakglass.records.signing.signature import (
    CARD_NAMESPACE,
    POLICY_NAMESPACE,
    Factor,
    person_line,
)
from breakglass.tlog.note import Note
from tests.kit.people import SoftKey, SoftSecurityKey
from tests.policy.kit import NOW, policy_of

LOG = "ledger.example/one"
EXAMPLE = policy_of("example")


def cards_of(policy: CompiledPolicy) -> dict[str, Card]:
    return make_cards(policy, log=LOG, version=7, issued=NOW, expires=NOW + timedelta(days=92))


def people_of(policy: CompiledPolicy, glass: str) -> Mapping[str, PersonLine]:
    return card_people(policy, glass, NOW).by_name


def who_may(policy: CompiledPolicy, glass: str, may: May) -> set[str]:
    return {name for name, each in people_of(policy, glass).items() if may in each.may}


def signed(text: str, namespace: str) -> Note:
    return Note(text, (person_line("sam", SoftSecurityKey.of("sam").sshsig(text, namespace)),))


def test_every_card_reads_back_as_what_the_verifiers_read() -> None:
    for name, card in cards_of(EXAMPLE).items():
        assert parse_card(signed(card_text(card), CARD_NAMESPACE)) == card
        assert (card.glass, card.policy, card.log) == (name, EXAMPLE.digest, LOG)
        check_card_people(card, card_people(EXAMPLE, name, NOW))


def test_a_card_says_what_its_glass_grants() -> None:
    cards = cards_of(EXAMPLE)
    repair = cards["orders-repair"]
    assert repair.mints == (
        CardMint(
            "orders-db",
            "postgres",
            {"databases": ("orders",), "templates": ("breakglass_orders_repair",)},
            {},
        ),
    )
    assert (repair.for_s, repair.factor, repair.need, repair.tier) == (
        1200,
        Factor.TWO,
        0,
        Tier.SELF,
    )
    assert cards["deploy-rollback"].gates == ("deploy-approval",)
    assert cards["deploy-rollback"].mints[0].scope == {
        "namespaces": ("shop",),
        "roles": ("breakglass-rollback",),
    }
    deletion = cards["key-deletion"]
    assert (deletion.tier, deletion.need, deletion.factor) == (
        Tier.TWO,
        1,
        Factor.PHISHING_RESISTANT,
    )
    root = cards["aws-root"]
    assert (root.tier, root.need, root.for_s) == (Tier.SEALED, 2, 3600)
    assert who_may(EXAMPLE, "aws-root", May.APPROVE) == {"noor", "sam", "escrow"}


def test_a_glass_is_asked_for_where_somebody_answers() -> None:
    cards = cards_of(EXAMPLE)
    assert (cards["deploy-rollback"].need, cards["deploy-rollback"].ask_need) == (0, 1)
    assert (cards["orders-repair"].ask_need, cards["aws-root"].ask_need) == (0, 0)
    assert cards["key-deletion"].ask_need == 1
    assert {card.ahead_s for card in cards.values()} == {0}
    assert cards["deploy-rollback"].silence_s > 0


def test_who_reviews_a_glass_stands_on_its_card() -> None:
    reviewers = EXAMPLE.bundle.glasses["deploy-rollback"].review.by
    wanted = set(EXAMPLE.bundle.directory.everybody(reviewers))
    assert wanted
    assert who_may(EXAMPLE, "deploy-rollback", May.REVIEW) == wanted


def test_a_breaker_who_waits_for_nobody_has_the_skew_and_others_an_hour() -> None:
    cards = cards_of(EXAMPLE)
    assert cards["orders-repair"].wait_s == 120
    assert cards["deploy-rollback"].wait_s == 3600
    assert cards["key-deletion"].wait_s == 3600


def test_groups_are_expanded_to_people_with_all_their_keys() -> None:
    policy = policy_of("demo", ('keys: ["sk:mira"]', 'keys: ["sk:mira", "soft:mira"]'))
    person = people_of(policy, "deploy-rollback")["mira"]
    assert May.BREAK in person.may
    assert person.keys == (SoftSecurityKey.of("mira").public, SoftKey.of("mira").public)
    assert who_may(policy, "deploy-rollback", May.BREAK) == {"mira"}


def test_a_rostered_group_puts_everybody_who_can_be_on_the_roster_on_the_card() -> None:
    everybody = set(EXAMPLE.bundle.directory.people)
    assert who_may(EXAMPLE, "deploy-rollback", May.APPROVE) == everybody
    narrowed = policy_of(
        "example", ('roster: "pagerduty:PSHOP"', 'roster: "pagerduty:PSHOP", members: [ines]')
    )
    assert who_may(narrowed, "deploy-rollback", May.APPROVE) == {"ines", "sam"}


def test_whose_days_are_over_is_on_no_card() -> None:
    later = datetime(2027, 2, 1, tzinfo=UTC)
    cards = make_cards(EXAMPLE, log=LOG, version=7, issued=later, expires=later + timedelta(days=1))
    people = card_people(EXAMPLE, "orders-repair", later)
    assert cards["orders-repair"].people == people.root
    assert "teo" not in people.by_name
    assert "mira" in people.by_name


def test_the_stand_in_for_mfa_being_down_has_a_card_of_its_own() -> None:
    card = cards_of(EXAMPLE)["deploy-rollback.mfa-down"]
    assert (card.factor, card.for_s) == (Factor.ONE, 600)
    assert cards_of(EXAMPLE)["deploy-rollback"].factor is Factor.TWO


def test_a_machine_stands_on_a_card_once_it_has_a_key() -> None:
    assert cards_of(EXAMPLE)["deploy-rollback"].machines == {}
    keyed = ("at_most: 3 per day", 'at_most: 3 per day\n    key: "soft:robot"')
    policy = policy_of("example", keyed, ("act: [kubectl,", "act: [/usr/bin/kubectl,"))
    card = cards_of(policy)["deploy-rollback"]
    assert card.machines["rollback-on-5xx"] == CardMachine(
        SoftKey.of("robot").public, "prod-eu", "rollback-on-5xx", 3, 86_400, 1800
    )
    argv = ("/usr/bin/kubectl", "rollout", "undo", "deployment/checkout")
    assert card.mints[0].acts == {"rollback-on-5xx": Act(argv, 300, Output.NONE)}
    with pytest.raises(MisconfiguredError, match="no absolute path") as caught:
        cards_of(policy_of("example", keyed))
    assert caught.value.name == "bad_act"


@pytest.mark.parametrize("days", [0, -1, 93])
def test_a_card_of_a_life_that_no_verifier_takes_is_not_made(days: int) -> None:
    with pytest.raises(MisconfiguredError, match="92 days at most; none was made"):
        make_cards(EXAMPLE, log=LOG, version=7, issued=NOW, expires=NOW + timedelta(days=days))


def test_the_policy_note_names_everybody_and_who_may_kill() -> None:
    note = make_policy_note(
        EXAMPLE, log=LOG, bundle_digest=EXAMPLE.digest, commit="4f2a91c", issued=NOW
    )
    assert parse_policy_note(signed(policy_text(note), POLICY_NAMESPACE)) == note
    assert note.version == 7
    people = policy_people(EXAMPLE)
    assert note.people == people.root
    assert people.who_may(May.KILL) == {"ines", "noor", "ravi"}
    assert people.by_name["escrow"].keys == (SoftSecurityKey.of("escrow").public,)


def test_a_note_for_another_bundle_is_not_made() -> None:
    with pytest.raises(MisconfiguredError, match="nothing was made"):
        make_policy_note(EXAMPLE, log=LOG, bundle_digest="0" * 64, commit="-", issued=NOW)
