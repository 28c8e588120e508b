"""The ``*.cedar`` files of a bundle: they may widen conditions, forbid, and never lower a floor."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from breakglass.errors import MalformedError
from breakglass.policy.decide import Allowed, Refused, decide
from breakglass.policy.lint import Level, lint
from breakglass.policy.schema import SCHEMA
from breakglass.records.signing.signature import Factor
from tests.policy.kit import facts, files_of, policy_of

FREEZE = """
// nothing changes over the holidays; a semicolon in a comment ends nothing
@id("holiday-freeze")
@says("the holiday freeze is on until 2 January; call the change manager")
forbid (principal, action, resource == Glass::"deploy-rollback")
when {
  context.now >= datetime("2026-12-20T00:00:00Z") &&
  context.now < datetime("2027-01-02T00:00:00Z")
};
"""
OVERFLOW = """
@id("overflows")
forbid (principal, action, resource) when { context.factor + 9223372036854775807 > 1 };
"""
ANYTHING = '@id("anything-goes") permit (principal, action, resource);'


def test_a_forbid_of_the_bundle_refuses_in_its_own_words() -> None:
    policy = policy_of("demo", cedar={"freeze.cedar": FREEZE})
    assert isinstance(decide(policy, facts()), Allowed)
    december = facts().now.replace(month=12)
    answer = decide(policy, facts(now=december))
    assert isinstance(answer, Refused)
    assert (answer.name, answer.policies) == ("forbidden", ("holiday-freeze",))
    assert answer.why == ("the holiday freeze is on until 2 January; call the change manager",)
    assert isinstance(decide(policy, facts(now=december, glass="orders-repair")), Allowed)


@pytest.mark.parametrize("glass", ["deploy-rollback", "orders-repair"])
def test_a_forbid_that_fails_is_a_refusal_even_beside_an_allow(glass: str) -> None:
    # Cedar skips the failing policy and says Allow; the error stands in its diagnostics only.
    policy = policy_of("demo", cedar={"overflow.cedar": OVERFLOW})
    answer = decide(policy, facts(glass=glass))
    assert isinstance(answer, Refused)
    assert answer.name == "policy_error"
    assert "could not be evaluated" in answer.why[0]
    assert "integer overflow" in answer.why[0]


FLOORS: list[tuple[dict[str, Any], str]] = [
    ({"who": "sam"}, "not_listed"),
    ({"factor": Factor.ONE}, "weak_factor"),
    ({"for_": timedelta(hours=1)}, "too_long"),
    ({"minter": "orders-db"}, "wrong_minter"),
    ({"suspended": frozenset({"person:mira"})}, "suspended"),
]


@pytest.mark.parametrize(("changes", "name"), FLOORS, ids=[name for _, name in FLOORS])
def test_a_permit_for_anything_lowers_no_floor(changes: dict[str, Any], name: str) -> None:
    policy = policy_of("demo", cedar={"wide.cedar": ANYTHING})
    answer = decide(policy, facts(**changes))
    assert isinstance(answer, Refused)
    assert answer.name == name


def test_a_permit_widens_the_conditions_and_lint_says_so() -> None:
    policy = policy_of("demo", cedar={"wide.cedar": ANYTHING})
    assert decide(policy, facts(incident=None)) == Allowed(("anything-goes",))
    found = [each for each in lint(policy) if "anything-goes" in each.message]
    assert [(each.level, str(each.place)) for each in found] == [(Level.ADVICE, "wide.cedar:1:1")]


BROKEN = [
    (
        "permit (principal, action, resource) when { foo bar };",
        "x.cedar:1:1: policy: expected a Cedar",
    ),
    ("permit (principal, action, resource);", "x.cedar:1:1: policy: expected an annotation"),
    (f"{ANYTHING}\n\n{ANYTHING}", "x.cedar:3:1: policy: expected each @id once"),
    (
        '\n\n@id("a") forbid (principal, action, resource) when { context.mfa_doom };',
        "x.cedar:3:1: policy: expected a policy that fits the schema, got attribute `mfa_doom`",
    ),
    (
        '@id("a") forbid (principal == Person::"mria", action, resource);',
        "x.cedar:1:1: policy: expected a person of this bundle, got 'mria'",
    ),
    (
        '@id("a") forbid (principal in Group :: "nobody", action, resource);',
        "expected a group of this bundle, got 'nobody'",
    ),
    (
        '@id("a") forbid (principal, action, resource) when { context.network != "ofice" };',
        "expected a network of this bundle, got 'ofice'",
    ),
    ('@id("a") forbid (principal == ?principal, action, resource);', "a template or nothing"),
    ('@id("a") forbid (principal, action, resource)', "expected a Cedar policy"),
    (";", "x.cedar:1:1: policy: expected a Cedar policy"),
    ('@id("a") forbid (principal, action, resource) when { "unended };', "expected a Cedar policy"),
    (
        '@id("a") forbid (principal, action, resource) when { '
        + "(" * 5000
        + "true"
        + ")" * 5000
        + " };",
        "x.cedar:1:1: policy: expected a policy of few brackets",
    ),
    (
        '@id("a") forbid (principal, action, resource) when { '
        + "if true then " * 600
        + "true"
        + " else true" * 600
        + " };",
        "few brackets and branches",
    ),
    (
        '@id("a") forbid (principal, action, resource) when { 1' + " + 1" * 3000 + " > 1 };",
        "8192 characters at most",
    ),
    (
        '@id("a") permit (principal, action, resource) when { context has '
        + " . ".join(["a"] * 800)
        + " };",
        "x.cedar:1:1: policy: expected 4 names in a chain at most, got more",
    ),
    (
        '@id("a") forbid (principal, action, resource) when { context'
        + "\n.//\na" * 4
        + " == 1 };",
        "4 names in a chain at most",
    ),
    (
        '@id("a") forbid (principal, action, resource) when { 1' + "+1" * 3800 + " > 1 };",
        "expected a policy of few operators",
    ),
    (
        '@id("a") forbid (principal, action, resource) when { context.now'
        + ".toDate()" * 600
        + " == context.now };",
        "expected a policy of few operators",
    ),
]


@pytest.mark.parametrize(("text", "says"), BROKEN, ids=[says[:60] for _, says in BROKEN])
def test_a_broken_policy_is_named_with_its_line(text: str, says: str) -> None:
    with pytest.raises(MalformedError) as caught:
        policy_of("demo", cedar={"x.cedar": text})
    assert says in str(caught.value)


def test_many_policies_beside_many_glasses_are_bounded_together() -> None:
    long = " ".join(
        f'@id("a{n}") permit (principal, action, resource) when {{ "{"x" * 8000}" == "" }};'
        for n in range(45)
    )
    with pytest.raises(MalformedError, match="349525 characters of Cedar beside 6 glasses"):
        policy_of("example", cedar={"x.cedar": long})
    policy_of("demo", cedar={"x.cedar": long})  # two glasses


DEEPEST = [
    "context has incident.severity && context.incident.severity == context.incident.id",
    'context.now.toDate().offset(duration("1h")) == context.now',
    " || ".join(["context.suspended"] * 360),
]


@pytest.mark.parametrize("condition", DEEPEST, ids=["chain", "calls", "operators"])
def test_what_the_schema_needs_stays_below_the_bounds_on_chains_and_operators(
    condition: str,
) -> None:
    text = f'@id("a") forbid (principal, action, resource) when {{ {condition} }};'
    policy_of("demo", cedar={"x.cedar": text})


def test_the_file_of_a_sanctioned_way_decides_no_glass() -> None:
    files = files_of("example", cedar={"rollback-fast-path.cedar": ANYTHING})
    from breakglass.policy.compile import compile_policy

    policy = compile_policy(files)
    assert policy.extras == ()
    assert isinstance(decide(policy, facts(incident=None)), Refused)


def test_the_reference_page_prints_the_schema_that_policies_are_validated_against() -> None:
    from pathlib import Path

    page = Path(__file__).parents[2] / "docs" / "reference" / "policy.md"
    assert SCHEMA.strip() in page.read_text()
