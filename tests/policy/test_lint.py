"""What lint finds: friction that does not match, promises that cannot be kept, silence."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from breakglass.errors import MalformedError
from breakglass.policy.compile import compile_policy
from breakglass.policy.lint import Level, lint
from breakglass.policy.parse import parse_bundle
from tests.kit.people import SoftPasskey, SoftSecurityKey
from tests.policy.kit import files_of, policy_of, text_of

_ROLLBACK = "    does: roll back production and restart the pipeline; nothing else\n"
_RADIUS = _ROLLBACK + "    blast_radius: contained"
_WHEN = "    for: 30m\n    who: [group:oncall]\n    when: {incident: [SEV1, SEV2], mfa_age: 5m}"


def found(name: str, *changes: Any, level: Level) -> list[str]:
    return [
        str(each) for each in lint(parse_bundle(files_of(name, *changes))) if each.level is level
    ]


def test_the_example_and_the_demonstration_are_free_of_errors() -> None:
    assert found("example", level=Level.ERROR) == []
    assert found("demo", level=Level.ERROR) == []
    assert found("demo", level=Level.WARNING) == []


ERRORS: list[tuple[str, list[tuple[str, str]], str]] = [
    (
        "example",
        [("members: [mira, teo]", "members: [mira]"), ("approved_by: sam", "approved_by: mira")],
        "factors.down.approved_by: mira alone could break 'deploy-rollback.mfa-down', and nobody",
    ),
    (
        "demo",
        [(_RADIUS, _RADIUS.replace("contained", "severe"))],
        "21:3: glasses.deploy-rollback.approvers: a severe glass without approvers",
    ),
    (
        "demo",
        [(_RADIUS, _RADIUS.replace("contained", "catastrophic"))],
        "a catastrophic glass that one person can open",
    ),
    (
        "example",
        [("threshold: 2", "threshold: 1")],
        "a catastrophic glass that one person can open",
    ),
    (
        "example",
        [("blast_radius: catastrophic", "blast_radius: contained")],
        "a seal on a contained glass: friction does not match the blast radius",
    ),
    (
        "example",
        [
            (
                "threshold: 2, custodians: [noor, sam, escrow]",
                "threshold: 2, custodians: [noor, sam]",
            )
        ],
        "too few can sign beside the breaker: 2 are asked for, and nobody signs for themselves",
    ),
    (
        "demo",
        [
            (
                "postgres: {minter: orders-db, database: orders, template:"
                " breakglass_orders_repair",
                "aws: {minter: account, role: Repair",
            ),
            ("for: 20m", "for: 14m"),
        ],
        "glasses.orders-repair.for: 14m cannot be honoured by aws, which gives 15m to 12h",
    ),
    (
        "example",
        [("    for: 30m\n", "    for: 9m\n")],
        "glasses.deploy-rollback.for: 9m cannot be honoured by kubernetes, which gives 10m to 12h",
    ),
    (
        "example",
        [("    for: 10m\n", "    for: 5m\n")],
        "glasses.deploy-rollback.mfa-down.for: 5m cannot be honoured by kubernetes",
    ),
    (
        "demo",
        [("glass: [file, hook]", "glass: [file]")],
        "alerts.glass: glass 'orders-repair' alerts on 1 channel; two independent ones at least",
    ),
    ("demo", [("glass: [file, hook]", "glass: [file, file]")], "alerts on 1 channel"),
    ("demo", [("glass: [file, hook]", "jit: [file, hook]")], "alerts on 0 channels"),
    (
        "demo",
        [('keys: ["sk:mira"]', 'keys: ["soft:mira"]')],
        "glasses.orders-repair.when: asks for two factors, and everybody who may break it holds"
        " software keys only",
    ),
    (
        "demo",
        [("fail: closed}\n  orders", "fail: open}\n  orders")],
        "gates.deploy-approval.fail: fails open without a written reason",
    ),
    (
        "demo",
        [("database: orders,", 'database: "*",')],
        "databases '*' on postgres is not contained: friction must match the blast radius",
    ),
    (
        "example",
        [("role: breakglass-rollback}", "role: cluster-admin}")],
        "roles 'cluster-admin' on kubernetes is not contained",
    ),
    (
        "demo",
        [("    opens_gates: [deploy-approval]\n", "")],
        "opens no gate, mints nothing and holds no seal: it does nothing",
    ),
    (
        "demo",
        [
            (_WHEN, _WHEN.replace(", mfa_age: 5m", "")),
            (_RADIUS, _RADIUS.replace("contained", "broad")),
        ],
        "one factor is enough: no 'mfa_age' and no 'factor', on a broad glass",
    ),
    (
        "example",
        [
            (
                "when: {incident: [SEV1], incident_source: outside, mfa_age: 2m, factor: "
                "phishing_resistant}",
                "when: {mfa_age: 2m}",
            )
        ],
        "a severe glass that asks for no incident",
    ),
    (
        "example",
        [
            ("    glass: deploy-rollback\n", "    glass: key-deletion\n"),
            ("    minter: prod-runner\n    key", "    key"),
            ("    act: undo-checkout ", "    act: schedule "),
        ],
        "a machine with severe glass 'key-deletion', which takes people",
    ),
    (
        "example",
        [
            (
                "run: [/usr/bin/kubectl, --namespace=shop, rollout, pause, deployment/checkout]",
                "run: [/usr/bin/env, bash, -ec, kubectl rollout pause deployment/checkout]",
            )
        ],
        "acts.pause-checkout.run: 'bash' is handed code",
    ),
    (
        "demo",
        [("    for: 30m", "    for: 30m\n    ahead: 1d")],
        "glasses.deploy-rollback.ahead: 'ahead' of a glass that nobody can ask for",
    ),
    (
        "demo",
        [("    for: 30m", "    for: 30m\n    silence: 60s")],
        "glasses.deploy-rollback.silence: 'silence' of a glass that nobody can ask for",
    ),
    (
        "example",
        [("    wait: 30m\n", "    wait: 10m\n")],
        "orders-migration.silence: an ask counts as unanswered after 15m, and its statement is too"
        " old after 10m",
    ),
    (
        "example",
        [("from: [group:security, group:sre-leads], ask_need: 2", "from: [sam], ask_need: 2")],
        "orders-migration.approvers: too few can sign beside the breaker: 2 are asked for",
    ),
    (
        "demo",
        [
            ('keys: ["sk:mira"]', f'keys: ["{SoftPasskey.of("mira").public}"]'),
            (_RADIUS, _RADIUS.replace("contained", "broad")),
        ],
        "glasses.deploy-rollback: everybody who may break it holds passkeys alone, and its"
        " 'passkeys' is 'approve': nobody could",
    ),
    (
        "demo",
        [
            ('keys: ["sk:noor"]', f'keys: ["{SoftPasskey.of("noor").public}"]'),
            (_RADIUS, _RADIUS.replace("contained", "severe")),
            ("    for: 30m", "    for: 30m\n    approvers: {from: [noor]}"),
        ],
        "glasses.deploy-rollback.approvers: too few can sign beside the breaker: 1 are asked for",
    ),
]


@pytest.mark.parametrize(("name", "changes", "says"), ERRORS, ids=[each[2][:60] for each in ERRORS])
def test_what_must_change_keeps_the_policy_from_compiling(
    name: str, changes: list[tuple[str, str]], says: str
) -> None:
    says = says.removeprefix("21:3: ")
    assert any(says in each for each in found(name, *changes, level=Level.ERROR))
    with pytest.raises(MalformedError) as caught:
        compile_policy(files_of(name, *changes))
    assert caught.value.name == "lint"
    assert says in str(caught.value)


WARNINGS: list[tuple[str, list[tuple[str, str]], str]] = [
    (
        "example",
        [("approved_by: sam", "approved_by: mira")],
        "factors.down.approved_by: mira may break 'deploy-rollback.mfa-down' too, and cannot",
    ),
    ("example", [], "calendar 'DE-BY' is not known here: only weekends are skipped"),
    ("example", [], "'rollback-fast-path.cedar' is not in the bundle: the way stays shut"),
    (
        "demo",
        [("database: orders, ", "database: orders, may_create: true, ")],
        "glasses.orders-repair.mint.postgres: whoever breaks 'orders-repair' may leave code in",
    ),
    ("demo", [("    for: 30m", "    for: 5h")], "5h is long for a contained glass"),
    ("demo", [("kill: [group:leads]\n", "")], "nobody can stop a grant"),
    (
        "demo",
        [("    opens_gates: [orders-write]\n", "")],
        "gates.orders-write: no glass opens this gate",
    ),
    (
        "example",
        [(f'"{SoftSecurityKey.of("teo").public}"', '"soft:teo"')],
        "asks for two factors; teo hold software keys only and cannot break it",
    ),
    (
        "demo",
        [
            (
                "review: {due: 3 business days, by: [group:leads]}\n  deploy",
                "review: {due: 3 business days, by: [mira]}\n  deploy",
            )
        ],
        "one breaker would be the only reviewer of their own grant",
    ),
    (
        "demo",
        [("    review: {due: 3 business days, by: [group:leads]}\n  deploy", "  deploy")],
        "nobody is named to review it",
    ),
    (
        "demo",
        [
            ("  oncall: {members: [mira]}", "  oncall: {members: [mira, sam]}"),
            ('keys: ["sk:sam"]', f'keys: ["{SoftPasskey.of("sam").public}"]'),
            (_RADIUS, _RADIUS.replace("contained", "broad")),
        ],
        "'passkeys' is 'approve' here; with passkeys alone, left out: sam",
    ),
    (
        "example",
        [("    for: 15m\n", "    for: 15m\n    passkeys: approve\n")],
        "passkeys may approve a severe glass: a page that shows one text can have another signed",
    ),
    (
        "demo",
        [(_RADIUS, _RADIUS.replace("contained", "broad") + "\n    passkeys: all")],
        "passkeys may break a broad glass",
    ),
    (
        "demo",
        [("    for: 30m", "    for: 30m\n    wait: 60s")],
        "two honest clocks may be 2m apart",
    ),
    (
        "demo",
        [("    for: 30m", "    for: 30m\n    approvers: {from: [sam], ask_need: 0}")],
        "glasses.deploy-rollback.approvers: approvers whom nobody ever asks",
    ),
    (
        "demo",
        [("    for: 30m", "    for: 30m\n    ahead: 1d\n    approvers: {from: [sam]}")],
        "what starts ahead opens no gate, and this glass mints nothing",
    ),
    ("example", [("[192.0.2.0/24]", '["::/0"]')], "networks.vpn: ::/0 is everywhere"),
]


@pytest.mark.parametrize(("name", "changes", "says"), WARNINGS, ids=[w[2][:50] for w in WARNINGS])
def test_what_deserves_a_second_thought_is_a_warning(
    name: str, changes: list[tuple[str, str]], says: str
) -> None:
    assert any(says in each for each in found(name, *changes, level=Level.WARNING))


def test_uniform_friction_is_a_warning() -> None:
    two_more = "\n".join(
        f"  more-{number}:\n    does: more\n    blast_radius: contained\n    for: 10m\n"
        "    opens_gates: [orders-write]\n    who: [group:oncall]\n"
        "    when: {incident: [SEV1, SEV2], mfa_age: 5m}"
        for number in (1, 2)
    )
    change = ("glasses:\n", f"glasses:\n{two_more}\n")
    said = found("demo", change, level=Level.WARNING)
    assert any("all 4 glasses ask for the same friction" in each for each in said)
    assert not any("same friction" in each for each in found("demo", level=Level.WARNING))


def test_a_finding_names_file_line_and_column_and_a_way_out() -> None:
    findings = lint(parse_bundle(files_of("demo", ("for: 20m", "for: 5h"))))
    assert str(findings[0]).startswith("breakglass.yaml:29:5: glasses.orders-repair.for: ")
    assert findings == sorted(findings, key=lambda each: list(Level).index(each.level))


def test_dates_are_looked_at_only_when_a_date_is_given() -> None:
    policy = policy_of("example")
    in_2027 = datetime(2027, 3, 1, tzinfo=UTC)
    late = {str(each) for each in lint(policy, now=in_2027)} - {str(each) for each in lint(policy)}
    assert any("may not act since 2026-12-31" in each for each in late)
    assert any("last certified 2026-10-01" in each for each in late)
    compile_policy(files_of("example"), now=in_2027)  # a bundle does not rot


def test_a_custodian_to_whom_no_share_can_be_given_is_named() -> None:
    said = found("example", level=Level.ADVICE)
    assert not any("no 'age' recipient" in each for each in said)
    age = next(line for line in text_of("example").splitlines() if "age: age1" in line) + "\n"
    said = found("example", (age, ""), level=Level.ADVICE)
    assert any("people.sam: custodian 'sam' has no 'age' recipient" in each for each in said)


def test_work_behind_a_ticket_is_not_told_to_ask_for_an_incident() -> None:
    def advised(*changes: Any) -> bool:
        said = found("example", *changes, level=Level.ADVICE)
        return any("orders-migration: a contained glass that asks for no" in each for each in said)

    assert not advised()
    assert advised(("ticket: required", "ticket: optional"))


def test_an_act_may_be_shorter_lived_than_a_credential_of_its_platform() -> None:
    # key-deletion has an act at aws, whose credentials live 15 min at least.
    assert found("example", ("    for: 15m\n", "    for: 5m\n"), level=Level.ERROR) == []
