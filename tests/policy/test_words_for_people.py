"""Explanations, deadlines and the starter bundle."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from breakglass.cli.main import breakglass
from breakglass.errors import RefusedError
from breakglass.policy.compile import compile_policy
from breakglass.policy.decide import Allowed, decide
from breakglass.policy.explain import explain
from breakglass.policy.lint import Level, lint
from breakglass.policy.review_deadline import after, review_due
from breakglass.policy.starter import starter_bundle
from breakglass.policy.yaml_fields import BusinessDays
from breakglass.records.signing.signature import Factor
from tests.kit.people import SoftKey
from tests.policy.kit import EXAMPLE as FOLDER
from tests.policy.kit import NOW, facts, policy_of

EXAMPLE = policy_of("example")
FRIDAY = datetime(2026, 6, 26, 23, 30, tzinfo=UTC)


def test_a_responder_reads_what_a_glass_asks() -> None:
    assert explain(EXAMPLE, "mira", "orders-repair", NOW) == [
        "'mira' may break 'orders-repair': repair rows of orders and order_items",
        "  for     20m at most, alone (contained)",
        "  when    incident: SEV1 or SEV2; factor: two, signed within 5m",
        "  ends    when its incident is closed (10m later, at once by its holder's word)"
        " or when it was not used for 10m",
        "  opens   gates: orders-write; mints: postgres by orders-db",
        "  alerts  pager, chat",
        "  review  within 3 business days by group:sre-leads, group:security",
    ]


def test_who_may_not_is_told_who_may() -> None:
    lines = explain(EXAMPLE, "noor", "deploy-rollback", NOW)
    assert lines[0] == "'noor' may not break 'deploy-rollback'; who may: mira, teo"
    assert (
        "'noor' may approve 'deploy-rollback' while on the roster of group:shop-leads, never for"
        " themselves" in lines
    )


def test_without_a_glass_only_what_touches_the_person_is_told() -> None:
    heads = [line for line in explain(EXAMPLE, "sam", None, NOW) if not line.startswith(" ")]
    assert "'sam' may hold a share of 'aws-root', never for themselves" in heads
    assert not any("orders-repair" in line for line in heads)


def test_days_that_are_over_are_told_first() -> None:
    lines = explain(EXAMPLE, "teo", "orders-repair", datetime(2027, 1, 1, tzinfo=UTC))
    assert lines[0] == "'teo' may not act on 2027-01-01: only from 2026-01-01 to 2026-12-31"


def test_days_that_are_to_come_are_counted_and_who_is_able_to_sign_that_day_is_named() -> None:
    lines = explain(EXAMPLE, "teo", "deploy-rollback", NOW)
    assert lines[0] == "'teo' may act until 2026-12-31: 192 days more"
    assert lines[1] == (
        "'teo' may break 'deploy-rollback': roll back production and restart the pipeline;"
        " nothing else"
    )
    asked = "  asked   with 1 of group:shop-leads ({} able to sign: escrow, ines, mira, noor, ravi,"
    assert any(each.startswith(asked.format(7)) for each in lines)
    later = explain(EXAMPLE, "mira", "deploy-rollback", datetime(2027, 1, 1, tzinfo=UTC))
    assert any(each.startswith(asked.format(6)) for each in later)


def test_two_people_custodians_and_rosters_are_told_in_full() -> None:
    assert explain(EXAMPLE, "sam", "key-deletion", NOW)[:4] == [
        "'sam' may break 'key-deletion': schedule the deletion of a production encryption key",
        "  for     15m at most, with 1 of group:security (severe, 3 able to sign: ines, noor,"
        " ravi)",
        "  when    incident: SEV1, from an outside source; factor: phishing_resistant, signed"
        " within 2m",
        "  asked   with 2 of group:security (3 able to sign: ines, noor, ravi), unanswered after"
        " 2m",
    ]
    root = explain(EXAMPLE, "sam", "aws-root", NOW)
    assert root[1] == "'sam' may hold a share of 'aws-root', never for themselves"
    assert root[2] == (
        "  for     1h at most, with 2 custodians of noor, sam, escrow (catastrophic, 3 able to"
        " sign: escrow, noor, sam)"
    )
    assert root[-1].endswith("by group:security, and a second reader")
    assert (
        "'sam' may approve 'deploy-rollback' while on the roster of group:shop-leads or while"
        " group:shop-leads has no fresh roster, never for themselves"
    ) in explain(EXAMPLE, "sam", "deploy-rollback", NOW)
    down = explain(EXAMPLE, "mira", "deploy-rollback.mfa-down", NOW)
    assert any(each.endswith("; only while MFA is declared down") for each in down)


def test_the_command_explains_a_day_and_says_what_a_day_is() -> None:
    run, here = CliRunner(), ["--bundle", str(FOLDER)]
    said = run.invoke(
        breakglass, ["policy", "explain", "--as-of", "2027-01-01", "--person", "teo", *here]
    )
    assert said.exit_code == 0
    assert said.stdout.startswith(
        "'teo' may not act on 2027-01-01: only from 2026-01-01 to 2026-12-31\n"
    )
    same = run.invoke(breakglass, ["policy", "explain", "teo", "--as-of", "2027-01-01", *here])
    assert same.stdout == said.stdout
    wrong = run.invoke(breakglass, ["policy", "explain", "teo", "--as-of", "tomorrow", *here])
    assert wrong.exit_code == 2
    assert "give a day or a time, as 2026-12-31" in wrong.output
    both = run.invoke(breakglass, ["policy", "explain", "teo", "--person", "teo", *here])
    assert "name one person" in both.output


def test_names_that_the_policy_does_not_know_are_refused_with_those_it_knows() -> None:
    with pytest.raises(RefusedError, match="knows nobody called 'eve'") as caught:
        explain(EXAMPLE, "eve", None, NOW)
    assert "mira" in caught.value.hint
    with pytest.raises(RefusedError, match="there is no glass 'x'"):
        explain(EXAMPLE, "mira", "x", NOW)


def test_a_review_is_due_in_working_days_at_the_same_time_of_day() -> None:
    monday = review_due(EXAMPLE, "deploy-rollback", "SEV1", NOW)
    assert monday == datetime(2026, 6, 25, 3, 14, 9, 221000, UTC)
    assert review_due(EXAMPLE, "deploy-rollback", "SEV1", FRIDAY) == datetime(
        2026, 7, 1, 23, 30, tzinfo=UTC
    )


def test_a_glass_without_a_deadline_takes_the_one_of_its_incident() -> None:
    own = "    review: {due: 3 business days, by: [group:leads]}\n  deploy"
    default = (
        "maintainers:",
        "reviews: {default: {SEV1: 24h, other: 2 business days}}\nmaintainers:",
    )
    policy = policy_of("demo", (own, "    review: {by: [group:leads]}\n  deploy"), default)
    assert review_due(policy, "orders-repair", "SEV1", NOW) == NOW + timedelta(hours=24)
    assert review_due(policy, "orders-repair", "SEV2", NOW) == NOW + timedelta(days=2)
    assert review_due(policy, "orders-repair", "", NOW) == NOW + timedelta(days=2)


@pytest.mark.parametrize(
    ("start", "days", "end"),
    [
        (FRIDAY, 1, datetime(2026, 6, 29, 23, 30, tzinfo=UTC)),
        (FRIDAY + timedelta(days=1), 1, datetime(2026, 6, 29, 23, 30, tzinfo=UTC)),
        (FRIDAY + timedelta(days=2), 5, datetime(2026, 7, 3, 23, 30, tzinfo=UTC)),
        (datetime(2026, 12, 24, 9, tzinfo=UTC), 1, datetime(2026, 12, 28, 9, tzinfo=UTC)),
    ],
)
def test_weekends_and_named_holidays_are_no_working_days(
    start: datetime, days: int, end: datetime
) -> None:
    holidays = [datetime(2026, 12, 25, tzinfo=UTC).date()]
    assert after(start, BusinessDays(days), holidays) == end


def test_holidays_are_read_as_days() -> None:
    policy = policy_of("example", ("holidays: DE-BY", "holidays: [2026-06-24]"))
    assert review_due(policy, "deploy-rollback", "SEV1", NOW).date().isoformat() == "2026-06-26"


def test_the_starter_bundle_works_at_once_for_a_person_with_a_software_key() -> None:
    policy = compile_policy(
        starter_bundle(
            organisation="me.example",
            person="mira",
            key=SoftKey.of("mira").public + ' a "comment": that # yaml minds',
            second="second",
            second_key=SoftKey.of("second").public,
        )
    )
    assert {each.level for each in lint(policy)} <= {Level.ADVICE}
    assert policy.bundle.maintainers.need == 2
    assert policy.bundle.glasses["hello"].mints == ()
    asked = facts(glass="hello", incident=None, factor=Factor.ONE)
    assert isinstance(decide(policy, asked), Allowed)


def test_the_starter_bundle_explains_every_field_of_its_glass() -> None:
    text = starter_bundle(
        organisation="me", person="a", key="ssh-ed25519 A", second="b", second_key="ssh-ed25519 B"
    )["breakglass.yaml"].decode()
    for word in ("blast_radius:", "mfa_age", "log_file", "webhook", "need: 2", "ed25519-sk"):
        assert word in text
