"""A bundle carries what it must answer, and a policy that answers otherwise is not signed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from breakglass.cli.main import breakglass
from breakglass.errors import MalformedError
from breakglass.operate.maintainer_signing import Maintainer, sign_policy
from breakglass.person import ssh_keygen
from breakglass.policy.bundle import CASES_FILE, MAIN_FILE, pack_bundle, unpack_bundle
from breakglass.policy.case_run import check_cases, facts_of, run_cases
from breakglass.policy.cases import MAY, NEED, Case
from breakglass.policy.compile import CompiledPolicy, compile_policy
from breakglass.policy.decide import decide
from breakglass.policy.folder import read_bundle
from breakglass.policy.starter import starter_bundle
from breakglass.records.grant import Path as GrantPath
from breakglass.records.signing.signature import Factor
from tests.kit.people import SoftKey
from tests.policy.kit import EXAMPLE, NOW, OWN_WORD, facts, files_of

FILES = read_bundle(EXAMPLE)


def demo(*cases: str) -> CompiledPolicy:
    lines = "".join(f"  c{number}: {{{case}}}\n" for number, case in enumerate(cases))
    return compile_policy(files_of("demo") | {CASES_FILE: f"cases:\n{lines}".encode()})


def test_the_examples_cases_hold_on_any_day_and_use_every_field() -> None:
    policy = compile_policy(FILES)
    for day in (NOW, datetime(2026, 12, 24, 12, tzinfo=UTC), datetime(2035, 1, 1, tzinfo=UTC)):
        assert [str(each.finding()) for each in run_cases(policy, day) if not each.holds] == []
    text = FILES[CASES_FILE].decode()
    shown = {*NEED, *MAY} - {"signed_ago", "for", "reason", "suspended", "mfa_down"}
    assert {name for name in shown if f"{name}: " not in text} == set()


def test_a_case_is_the_very_request_that_is_decided_at_night() -> None:
    policy = demo(
        "who: mira, glass: deploy-rollback, incident: {severity: SEV1, source: own}, for: 10m,"
        " signed_ago: 4s, factor: two, wanted: allowed"
    )
    (case,) = policy.bundle.cases.values()
    made = facts_of(case, policy, NOW)
    wanted = facts(incident=OWN_WORD, factor=Factor.TWO, path=GrantPath.GLASS)
    assert made.incident is not None
    assert {**vars(made), "incident": None} == {**vars(wanted), "incident": None}
    assert (made.incident.severity, made.incident.self_declared, made.incident.open) == (
        "SEV1", True, True,
    )  # fmt: skip
    assert decide(policy, made) == decide(policy, wanted)


@pytest.mark.parametrize(
    ("case", "got"),
    [
        ("who: mira, glass: deploy-rollback, incident: SEV1, wanted: refused", "allowed"),
        ("who: sam, glass: deploy-rollback, incident: SEV1, wanted: allowed",
         "refused not_listed"),
        ("who: mira, glass: deploy-rollback, incident: SEV1, mfa_down: true,"
         " suspended: ['glass:deploy-rollback'], wanted: allowed", "refused suspended"),
        ("who: mira, glass: deploy-rollback, incident: {severity: SEV1, open: false},"
         " wanted: allowed", "refused incident_closed"),
        ("who: mira, glass: deploy-rollback, incident: SEV1, do: drill, signed_ago: 6m,"
         " wanted: allowed", "refused stale_factor"),
        ("who: mira, glass: deploy-rollback, incident: SEV1, minter: orders-db, wanted: allowed",
         "refused wrong_minter"),
    ],
)  # fmt: skip
def test_a_case_that_comes_out_otherwise_is_named_by_line_and_column(case: str, got: str) -> None:
    policy = demo("who: mira, glass: deploy-rollback, incident: SEV1, wanted: allowed", case)
    first, second = run_cases(policy, NOW)
    assert first.holds
    assert (second.got, second.holds) == (got, False)
    column = f"  c1: {{{case}}}".index("wanted: ") + len("wanted: ") + 1
    with pytest.raises(MalformedError) as caught:
        check_cases(policy, NOW)
    assert caught.value.name == "case_failed"
    assert caught.value.message.startswith(f"cases.yaml:3:{column}: cases.c1.wanted: wanted '")
    assert f"and the policy says '{got}'" in caught.value.message


def test_refused_alone_takes_any_refusal_and_a_name_takes_that_one() -> None:
    asks = "who: sam, glass: deploy-rollback, incident: SEV1, wanted: refused"
    check_cases(demo(asks, f"{asks} not_listed"), NOW)
    with pytest.raises(MalformedError, match="wanted 'refused no_incident'"):
        check_cases(demo(f"{asks} no_incident"), NOW)


@pytest.mark.parametrize(
    ("case", "wanted"),
    [
        ("who: eve, glass: deploy-rollback, wanted: refused", r"2:13: cases.c0.who: expected a p"),
        ("who: mira, glass: rollback, wanted: refused", "a glass of this bundle, got 'rollback'"),
        ("who: mira, glass: deploy-rollback, wanted: maybe", "'allowed', 'needs 1', 'refused'"),
        ("who: mira, glass: deploy-rollback, wanted: refused nobody_knows", "name of a refusal"),
        ("who: mira, glass: deploy-rollback, wants: allowed", "did you mean|a field of a case"),
        ("who: mira, glass: deploy-rollback, at: 2026-13-01T00:00:00Z, wanted: refused",
         "a time such as 2026-12-24T03:14:00Z"),
        ("who: mira, glass: deploy-rollback, approvals: [mirra], wanted: refused",
         r"cases.c0.approvals\[0\]: expected a person of this bundle, got 'mirra'"),
        ("who: mira, glass: deploy-rollback, suspended: ['glass:rollback'], wanted: refused",
         "expected person:NAME or glass:NAME of this bundle, got 'glass:rollback'"),
        ("who: mira, glass: deploy-rollback, suspended: [mira], wanted: refused", "person:NAME"),
        ("who: mira, glass: deploy-rollback, network: ofice, wanted: refused",
         "a network of this bundle, got 'ofice'"),
        ("who: mira, glass: deploy-rollback, reason: because, wanted: refused",
         "a coded reason of this bundle, got 'because'"),
        ("who: mira, glass: deploy-rollback, minter: orders, wanted: refused",
         "a minter of this bundle, got 'orders'"),
        ("who: mira, glass: deploy-rollback, act: undo, wanted: refused",
         "an act of this bundle, got 'undo'"),
    ],
)  # fmt: skip
def test_a_slip_of_the_pen_in_a_case_is_told_where_it_stands(case: str, wanted: str) -> None:
    with pytest.raises(MalformedError, match=wanted) as caught:
        demo(case)
    assert str(caught.value).startswith("cases.yaml:2:")


def test_cases_are_part_of_what_is_signed_and_an_old_bundle_is_unchanged() -> None:
    files = files_of("demo")
    packed = pack_bundle(files)
    assert b"cases" not in packed
    assert compile_policy(files).bundle.cases == {}
    more = files | {CASES_FILE: b"cases: {}\n"}
    assert unpack_bundle(pack_bundle(more)) == more
    assert pack_bundle(more) != packed


def test_a_stranger_is_refused_as_one_where_the_case_wants_just_that() -> None:
    check_cases(demo("who: eve, glass: deploy-rollback, wanted: refused unknown_person"), NOW)


def test_a_minter_an_act_or_a_reason_that_is_none_stands_where_that_refusal_is_wanted() -> None:
    asks = "who: mira, glass: orders-repair, incident: SEV1, minter"
    check_cases(
        demo(
            f"{asks}: another, wanted: refused wrong_minter",
            f"{asks}: orders-db, act: x, wanted: refused wrong_act",
            f"{asks}: orders-db, reason: because, wanted: refused unknown_reason",
        ),
        NOW,
    )


def test_a_machine_that_nobody_knows_is_refused_as_one() -> None:
    machine = "who: rollback-on-6xx, glass: deploy-rollback, do: machine"
    check_cases(demo(f"{machine}, wanted: refused unknown_machine"), NOW)
    with pytest.raises(MalformedError, match="the policy says 'refused unknown_machine'"):
        check_cases(demo(f"{machine}, wanted: refused unknown_person"), NOW)


def test_every_field_of_a_case_is_a_field_of_its_reader() -> None:
    fields = {name.rstrip("_") for name in Case.__dataclass_fields__}
    assert fields == {*NEED, *MAY, "name", "place"}


def test_the_starters_cases_hold_and_its_words_are_read_by_nobody_but_people() -> None:
    files = starter_bundle(
        organisation="me.example", person="mira", key=SoftKey.of("mira").public,
        second="second", second_key=SoftKey.of("second").public,
    )  # fmt: skip
    policy = compile_policy(files)
    assert len(policy.bundle.cases) == 3
    check_cases(policy, NOW + timedelta(days=4000))


def broken(folder: Path) -> Path:
    folder.mkdir()
    files = files_of("demo") | {
        CASES_FILE: b"cases:\n  two: {who: sam, glass: deploy-rollback, wanted: allowed}\n"
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_policy_test_and_check_say_which_case_failed(tmp_path: Path) -> None:
    folder = str(broken(tmp_path / "bundle"))
    said = CliRunner().invoke(breakglass, ["policy", "test", folder])
    assert said.exit_code == 2
    assert (
        "FAIL       cases.yaml:2:51: cases.two.wanted: wanted 'allowed', and the policy says"
        in (said.stdout)
    )
    check = CliRunner().invoke(breakglass, ["policy", "check", folder])
    assert check.exit_code == 2
    assert "error: cases.yaml:2:51: cases.two.wanted: wanted 'allowed'" in check.stdout
    good = CliRunner().invoke(breakglass, ["policy", "test", str(EXAMPLE), "--json"])
    assert good.exit_code == 0
    assert '"holds": true' in good.stdout


def test_nothing_is_signed_while_a_case_fails(tmp_path: Path) -> None:
    folder = broken(tmp_path / "bundle")
    key = tmp_path / "key"
    ssh_keygen.make_key(key, "sam")
    signers = [Maintainer("sam", ssh_keygen.read_key(key))]
    with pytest.raises(MalformedError, match="wanted 'allowed', and the policy says 'refused"):
        sign_policy(folder, "ledger.example/one", "-", signers, NOW)
    assert sorted(each.name for each in folder.iterdir()) == [MAIN_FILE, CASES_FILE]
