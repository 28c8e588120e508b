"""Cedar and the plain explanation agree, and the same facts always give the same answer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from breakglass.policy.compile import compile_policy
from breakglass.policy.decide import Allowed, Refused, decide
from breakglass.policy.denial_reasons import why_not
from breakglass.policy.facts import Facts, IncidentFacts
from breakglass.records.grant import Path
from breakglass.records.signing.signature import Factor
from tests.policy.kit import NOW, facts, files_of, policy_of

EXAMPLE = policy_of("example")
AGAIN = compile_policy(dict(reversed(list(files_of("example").items()))))
FAILING = policy_of(
    "example",
    cedar={
        "fails.cedar": '@id("fails") forbid (principal, action, resource)'
        " when { context.factor * 9223372036854775807 > 9223372036854775807"
        " || context.factor + 9223372036854775807 > 1 };"
    },
)
_PEOPLE = [*EXAMPLE.bundle.directory.people, "mira@shop.example", "rollback-on-5xx", "eve"]
_SCOPES: list[dict[str, tuple[str, ...]]] = [
    {},
    {"namespaces": ("shop",), "roles": ("breakglass-rollback",)},
    {"namespaces": ("shop", "x"), "roles": ("breakglass-rollback",)},
    {"databases": ("orders",), "templates": ("breakglass_orders_repair",)},
    {"roles": ("BreakGlassKeyAdmin",)},
    {
        "databases": ("orders",),
        "may": ("create",),
        "templates": ("breakglass_orders_ddl",),
        "source": ("10.0.0.0/8", "192.0.2.0/24", "2001:db8:10::/48"),
    },
    {
        "databases": ("orders",),
        "may": ("create",),
        "templates": ("breakglass_orders_ddl",),
        "source": ("10.0.0.0/8", "198.51.100.0/24"),
    },
]
some_people = st.lists(st.sampled_from(_PEOPLE), max_size=4).map(tuple)
CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "who": st.sampled_from(_PEOPLE),
    "glass": st.sampled_from([*EXAMPLE.bundle.glasses, "none"]),
    "incident": st.none()
    | st.builds(
        IncidentFacts,
        st.just("INC-1"),
        st.sampled_from(["SEV1", "SEV2", "SEV3"]),
        st.booleans(),
        st.booleans(),
    ),
    "factor": st.sampled_from(Factor),
    "age": st.integers(-120, 400).map(lambda seconds: timedelta(seconds=seconds)),
    "path": st.sampled_from(Path),
    "for_": st.sampled_from([60, 600, 900, 1200, 1800, 1801]).map(lambda s: timedelta(seconds=s)),
    "minter": st.sampled_from(["", "prod-eu", "prod-runner", "orders-db", "prod-account", "x"]),
    "scope": st.sampled_from(_SCOPES),
    "reason": st.sampled_from(["other", "gate-slow", "because"]),
    "act": st.sampled_from(["", "undo-checkout", "pause-checkout", "schedule", "x"]),
    "ticket": st.sampled_from(["", "OPS-311"]),
    "starts": st.none()
    | st.integers(-2, 50).map(lambda hours: NOW + timedelta(hours=hours))
    | st.sampled_from([NOW - timedelta(seconds=4), NOW + timedelta(days=2, seconds=-4)]),
    "network": st.sampled_from(["", "office", "guests"]),
    "drill_of_ask": st.booleans(),
    "approvals": some_people,
    "suspended": st.frozensets(
        st.sampled_from(["person:mira", "person:noor", "glass:aws-root", "stop"]), max_size=2
    ),
    "now": st.integers(-400, 400).map(lambda days: NOW + timedelta(days=days)),
    "mfa_down": st.booleans(),
    "rosters": st.sampled_from([{}, {"shop-leads": ("ines",)}, {"shop-leads": ()}]),
}
_STRONG: dict[str, Any] = {"factor": Factor.PHISHING_RESISTANT, "who": "sam"}
ORDINARY: list[dict[str, Any]] = [
    {},
    {"minter": "prod-eu", "scope": _SCOPES[1]},
    {"path": Path.JIT, "approvals": ("sam",)},
    {"glass": "orders-repair", "minter": "orders-db", "scope": _SCOPES[3]},
    {"glass": "key-deletion", "approvals": ("ines",), **_STRONG},
    {"glass": "aws-root", "approvals": ("noor", "escrow"), **_STRONG},
    {
        "glass": "deploy-rollback.mfa-down",
        "factor": Factor.ONE,
        "mfa_down": True,
        "approvals": ("sam",),
    },
    {
        "path": Path.MACHINE,
        "who": "rollback-on-5xx",
        "minter": "prod-runner",
        "act": "undo-checkout",
    },
    {"minter": "prod-runner", "act": "pause-checkout"},
    {"path": Path.DRILL, "drill_of_ask": True, "approvals": ("sam",)},
    {"glass": "orders-migration", "incident": None, "ticket": "OPS-311"},
    {
        "glass": "orders-migration",
        "path": Path.JIT,
        "ticket": "OPS-311",
        "starts": NOW + timedelta(days=1),
        "minter": "orders-db",
        "scope": _SCOPES[5],
        "approvals": ("noor", "sam"),
    },
]


@st.composite
def nearly_ordinary(draw: st.DrawFn) -> Facts:
    """An allowed request with up to three things changed, so that both answers are common."""
    values = dict(draw(st.sampled_from(ORDINARY)))
    for name in draw(st.lists(st.sampled_from(sorted(CHANGES)), max_size=3)):
        values[name] = draw(CHANGES[name])
    return facts(**values)


any_facts = nearly_ordinary()


def test_what_the_properties_start_from_is_allowed() -> None:
    for values in ORDINARY:
        assert isinstance(decide(EXAMPLE, facts(**values)), Allowed), values


@settings(max_examples=600, deadline=None)
@given(any_facts)
def test_the_broker_and_the_monitor_reach_the_same_answer(asked: Facts) -> None:
    answer = decide(EXAMPLE, asked)
    assert answer == decide(EXAMPLE, asked) == decide(AGAIN, asked)


@settings(max_examples=600, deadline=None)
@given(any_facts)
def test_cedar_says_no_exactly_when_there_is_something_to_explain(asked: Facts) -> None:
    glass = EXAMPLE.bundle.glasses.get(asked.glass)
    answer = decide(EXAMPLE, asked)
    stranger = asked.path == "machine" and asked.who not in EXAMPLE.bundle.machines
    if (
        glass is None
        or stranger
        or (isinstance(answer, Refused) and answer.name in {"unknown_person", "unknown_reason"})
    ):
        assert isinstance(answer, Refused)
        return
    reasons = why_not(EXAMPLE.bundle, glass, asked)
    if reasons:
        assert answer == Refused(
            reasons[0].name, tuple(reason.text for reason in reasons), answer.policies
        )
    else:
        assert not isinstance(answer, Refused) or answer.name in {"no_approvers", "self_declared"}


@settings(max_examples=300, deadline=None)
@given(any_facts)
def test_nothing_is_allowed_while_a_forbid_cannot_be_evaluated(asked: Facts) -> None:
    assert isinstance(decide(FAILING, asked), Refused)


@settings(max_examples=300, deadline=None)
@given(any_facts, some_people)
def test_more_approvals_never_turn_a_yes_into_a_no(asked: Facts, more: tuple[str, ...]) -> None:
    if isinstance(decide(EXAMPLE, asked), Allowed):
        changed: dict[str, Any] = {**vars(asked), "approvals": asked.approvals + more}
        assert isinstance(decide(EXAMPLE, Facts(**changed)), Allowed)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_names_that_nobody_has_are_refused_in_printable_words(a: str, b: str, c: str) -> None:
    odd = {"who": a, "minter": b, "scope": {c: (a, b)}, "approvals": (c,)}
    ordinary = {
        "glass": "deploy-rollback",
        "incident": None,
        "factor": Factor.TWO,
        "age": timedelta(0),
        "path": "glass",
        "for_": timedelta(seconds=1),
        "now": NOW,
    }
    for who in (a, "mira"):
        values: dict[str, Any] = {**ordinary, **odd, "who": who}
        answer = decide(EXAMPLE, Facts(**values))
        assert isinstance(answer, Refused)
        assert all(line.isprintable() for line in answer.why)
