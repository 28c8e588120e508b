"""Cards hold everybody who can be meant, and read back as the records' own strict form."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from breakglass.errors import MisconfiguredError
from breakglass.policy.cards import CardWithPeople, make_cards, make_policy_note
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
from breakglass.records.people_list import May, PersonLine, parse_people
from breakglass.records.policy_note import check_policy_people, parse_policy_note, policy_text
from breakglass.records.signing.signature import (
    CARD_NAMESPACE,
    POLICY_NAMESPACE,
    Factor,
    person_line,
)
from breakglass.tlog.note import Note
from tests.kit.people import SoftKey, SoftPasskey, SoftSecurityKey
from tests.policy.kit import NOW, policy_of

LOG = "ledger.example/one"
EXAMPLE = policy_of("example")


def made_of(policy: CompiledPolicy) -> dict[str, CardWithPeople]:
    return make_cards(policy, log=LOG, version=7, issued=NOW, expires=NOW + timedelta(days=92))


def cards_of(policy: CompiledPolicy) -> dict[str, Card]:
    return {name: each.card for name, each in made_of(policy).items()}


def lines_of(policy: CompiledPolicy, glass: str) -> dict[str, PersonLine]:
    return dict(made_of(policy)[glass].people.by_name)


def who_may(right: May, lines: dict[str, PersonLine]) -> set[str]:
    return {name for name, line in lines.items() if right in line.may}


def signed(text: str, namespace: str) -> Note:
    return Note(text, (person_line("sam", SoftSecurityKey.of("sam").sshsig(text, namespace)),))


def test_every_card_reads_back_as_what_the_verifiers_read() -> None:
    for name, made in made_of(EXAMPLE).items():
        card = made.card
        check_card_people(card, parse_people(made.people.encoded()))
        assert parse_card(signed(card_text(card), CARD_NAMESPACE)) == card
        assert (card.glass, card.policy, card.log) == (name, EXAMPLE.digest, LOG)


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
    # What a minter refuses unless maintainers signed it stands in the scope, which they sign.
    assert cards["orders-migration"].mints[0].scope["may"] == ("create",)
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
    assert (deletion.tier, deletion.need, deletion.ask_need, deletion.factor) == (
        Tier.TWO,
        1,
        2,
        Factor.PHISHING_RESISTANT,
    )
    root = cards["aws-root"]
    assert (root.tier, root.need, root.ask_need, root.for_s) == (Tier.SEALED, 2, 0, 3600)
    assert who_may(May.APPROVE, lines_of(EXAMPLE, "aws-root")) == {"noor", "sam", "escrow"}


def test_a_breaker_who_waits_for_nobody_has_the_skew_and_others_an_hour() -> None:
    cards = cards_of(EXAMPLE)
    assert cards["orders-repair"].wait_s == 120
    assert cards["deploy-rollback"].wait_s == 3600
    assert cards["key-deletion"].wait_s == 3600


def test_a_card_says_how_an_ask_is_answered_and_how_far_ahead_it_may_start() -> None:
    migration = cards_of(EXAMPLE)["orders-migration"]
    assert (migration.need, migration.ask_need) == (0, 2)
    assert (migration.wait_s, migration.silence_s, migration.ahead_s) == (1800, 900, 172_800)
    assert migration.mints[0].scope["source"] == ("10.0.0.0/8", "192.0.2.0/24", "2001:db8:10::/48")
    repair = cards_of(EXAMPLE)["orders-repair"]
    assert (repair.ask_need, repair.ahead_s) == (0, 0)


def test_an_act_stands_on_the_card_as_the_bundle_writes_it() -> None:
    acts = cards_of(EXAMPLE)["deploy-rollback"].mints[1].acts
    vector = ("/usr/bin/kubectl", "--namespace=shop", "rollout", "undo", "deployment/checkout")
    assert acts["undo-checkout"] == Act(vector, 120, Output.ASKER)
    assert acts["pause-checkout"].output is Output.NONE


def test_gates_are_sorted_on_a_card_whatever_their_order_in_the_bundle() -> None:
    gates = "opens_gates: [orders-write, deploy-approval]"
    policy = policy_of("demo", ("opens_gates: [orders-write]", gates))
    assert cards_of(policy)["orders-repair"].gates == ("deploy-approval", "orders-write")


def test_groups_are_expanded_to_people_with_all_their_keys() -> None:
    policy = policy_of("demo", ('keys: ["sk:mira"]', 'keys: ["sk:mira", "soft:mira"]'))
    lines = lines_of(policy, "deploy-rollback")
    assert lines["mira"].may == (May.BREAK,)
    assert lines["mira"].keys == (SoftSecurityKey.of("mira").public, SoftKey.of("mira").public)
    assert set(lines) == {"mira", "sam", "noor"}


def test_who_reviews_a_glass_stands_on_its_card() -> None:
    lines = lines_of(EXAMPLE, "orders-repair")
    assert who_may(May.REVIEW, lines) == {"sam", "noor", "ines", "ravi"}
    assert lines["noor"].may == (May.REVIEW,)
    assert lines_of(EXAMPLE, "key-deletion")["noor"].may == (May.APPROVE, May.REVIEW)


def test_a_rostered_group_puts_everybody_who_can_be_on_the_roster_on_the_card() -> None:
    lines = lines_of(EXAMPLE, "deploy-rollback")
    assert who_may(May.APPROVE, lines) == set(EXAMPLE.bundle.directory.people)
    narrowed = policy_of(
        "example", ('roster: "pagerduty:PSHOP"', 'roster: "pagerduty:PSHOP", members: [ines]')
    )
    assert who_may(May.APPROVE, lines_of(narrowed, "deploy-rollback")) == {"ines", "sam"}


PASSKEY = SoftPasskey.of("mira").public
MIRA = 'keys: ["sk:mira"]'
BROAD = (
    "    blast_radius: contained\n    opens_gates: [deploy-approval]",
    "    blast_radius: broad\n    opens_gates: [deploy-approval]",
)


def test_a_contained_glass_takes_passkeys() -> None:
    policy = policy_of("demo", (MIRA, f'keys: ["sk:mira", "{PASSKEY}"]'))
    assert PASSKEY in lines_of(policy, "deploy-rollback")["mira"].keys


def test_a_passkey_breaks_no_broad_glass_and_approves_one() -> None:
    both = policy_of("demo", (MIRA, f'keys: ["sk:mira", "{PASSKEY}"]'), BROAD)
    mira = lines_of(both, "deploy-rollback")["mira"]
    assert (mira.may, mira.keys) == ((May.BREAK,), (SoftSecurityKey.of("mira").public,))
    noor = SoftPasskey.of("noor").public
    approvers = ("    for: 30m", "    for: 30m\n    approvers: {from: [mira, noor]}")
    keys = ('keys: ["sk:noor"]', f'keys: ["{noor}"]')
    lines = lines_of(policy_of("demo", BROAD, approvers, keys), "deploy-rollback")
    assert (lines["noor"].may, lines["noor"].keys) == ((May.APPROVE, May.REVIEW), (noor,))
    keys = ('keys: ["sk:noor"]', f'keys: ["sk:noor", "{noor}"]')
    lines = lines_of(policy_of("demo", BROAD, approvers, keys), "deploy-rollback")
    assert lines["noor"].keys == (SoftSecurityKey.of("noor").public, noor)


def test_who_has_passkeys_alone_keeps_the_right_that_they_are_good_for() -> None:
    group = ("oncall: {members: [mira]}", "oncall: {members: [mira, teo]}")
    teo = ("  sam:  {", '  teo: {name: Teo, keys: ["sk:teo"]}\n  sam:  {')
    approvers = ("    for: 30m", "    for: 30m\n    approvers: {from: [mira, sam]}")
    policy = policy_of("demo", (MIRA, f'keys: ["{PASSKEY}"]'), group, teo, BROAD, approvers)
    assert lines_of(policy, "deploy-rollback")["mira"].may == (May.APPROVE,)


def test_no_passkey_stands_on_the_card_of_a_grave_glass() -> None:
    ines = SoftPasskey.of("ines").public
    assert ines in EXAMPLE.bundle.directory.people["ines"].keys
    for glass in ("key-deletion", "aws-root"):
        lines = lines_of(EXAMPLE, glass)
        assert not any(key.startswith("passkey ") for each in lines.values() for key in each.keys)
        assert "ines" in lines
    assert ines in lines_of(EXAMPLE, "deploy-rollback")["ines"].keys


def test_a_glass_may_say_itself_what_passkeys_are_good_for() -> None:
    keys = (MIRA, f'keys: ["sk:mira", "{PASSKEY}"]')
    none = ("    for: 30m", "    for: 30m\n    passkeys: none")
    lines = lines_of(policy_of("demo", keys, none), "deploy-rollback")
    assert lines["mira"].keys == (SoftSecurityKey.of("mira").public,)
    every = ("    for: 30m", "    for: 30m\n    passkeys: all")
    lines = lines_of(policy_of("demo", keys, every, BROAD), "deploy-rollback")
    assert PASSKEY in lines["mira"].keys


def test_whose_days_are_over_is_on_no_card() -> None:
    later = datetime(2027, 2, 1, tzinfo=UTC)
    made = make_cards(EXAMPLE, log=LOG, version=7, issued=later, expires=later + timedelta(days=1))
    assert "teo" not in made["orders-repair"].people.by_name
    assert "mira" in made["orders-repair"].people.by_name


def test_the_stand_in_for_mfa_being_down_has_a_card_of_its_own() -> None:
    card = cards_of(EXAMPLE)["deploy-rollback.mfa-down"]
    assert (card.factor, card.for_s, card.need, card.ask_need) == (Factor.ONE, 600, 1, 1)
    lines = lines_of(EXAMPLE, "deploy-rollback.mfa-down")
    assert [who for who, line in lines.items() if May.APPROVE in line.may] == ["sam"]
    assert cards_of(EXAMPLE)["deploy-rollback"].factor is Factor.TWO


def test_a_machine_stands_on_a_card_once_it_has_a_key() -> None:
    key = SoftKey.of("rollback-on-5xx").public
    machines = cards_of(EXAMPLE)["deploy-rollback"].machines
    expected = CardMachine(key, "prod-runner", "undo-checkout", 3, 86_400, 1800)
    assert machines == {"rollback-on-5xx": expected}
    assert cards_of(EXAMPLE)["orders-repair"].machines == {}
    keyless = policy_of("example", (f'    key: "{key}"\n    condition', "    condition"))
    assert cards_of(keyless)["deploy-rollback"].machines == {}


@pytest.mark.parametrize("days", [0, -1, 93])
def test_a_card_of_a_life_that_no_verifier_takes_is_not_made(days: int) -> None:
    with pytest.raises(MisconfiguredError, match="92 days at most; none was made"):
        make_cards(EXAMPLE, log=LOG, version=7, issued=NOW, expires=NOW + timedelta(days=days))


def test_the_policy_note_names_everybody_and_who_may_kill() -> None:
    made = make_policy_note(
        EXAMPLE, log=LOG, bundle_digest=EXAMPLE.digest, commit="4f2a91c", issued=NOW
    )
    note, lines = made.note, made.people.by_name
    check_policy_people(note, parse_people(made.people.encoded()))
    assert parse_policy_note(signed(policy_text(note), POLICY_NAMESPACE)) == note
    assert note.version == 7
    assert who_may(May.KILL, dict(lines)) == {"ines", "noor", "ravi"}
    assert lines["escrow"] == PersonLine("escrow", (), (SoftSecurityKey.of("escrow").public,))
    assert set(lines) == set(EXAMPLE.bundle.directory.people)


def test_a_note_for_another_bundle_is_not_made() -> None:
    with pytest.raises(MisconfiguredError, match="nothing was made"):
        make_policy_note(EXAMPLE, log=LOG, bundle_digest="0" * 64, commit="-", issued=NOW)
