"""What ends on a card: acts, networks, numbers of people, machines; and where an error points."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakglass.errors import MalformedError
from breakglass.policy.acts import shell_of
from breakglass.policy.networks import network_name
from breakglass.policy.parse import parse_bundle
from breakglass.records.card import Act, Output
from tests.kit.people import SoftKey, SoftPasskey, SoftSecurityKey
from tests.policy.kit import files_of, text_of

UNDO = "run: [/usr/bin/kubectl, --namespace=shop, rollout, undo, deployment/checkout]"
RUN = "mint.command.acts.undo-checkout.run"
ASKED = "approvers: {from: [group:shop-leads]}"
KEY = f'key: "{SoftKey.of("rollback-on-5xx").public}"'
SOURCE = f'key: "{SoftKey.of("status-page").public}"'
DIGEST = next(line for line in text_of("example").splitlines() if "{type: pagerduty" in line)
AGE = next(line for line in text_of("example").splitlines() if "age: age1" in line).strip()

BROKEN = [
    # What is changed, and what the error says.
    (UNDO, "run: /usr/bin/kubectl undo", "expected a list: the program and each of its arguments"),
    (UNDO, "run: []", f"glasses.deploy-rollback.{RUN}: expected 1 to 64 items, got 0"),
    (UNDO, "run: [kubectl]", f"{RUN}[0]: expected a program by its absolute path, got 'kubectl'"),
    (UNDO, "run: [./undo]", f"{RUN}[0]: expected a program by its absolute path, got './undo'"),
    (UNDO, 'run: [/bin/x, "--n={{ name }}"]', f"{RUN}[1]: expected a whole argument"),
    (UNDO, 'run: [/bin/x, "${NAME}"]', f"{RUN}[1]: expected a whole argument"),
    (UNDO, "run: [/bin/x, a$(id)]", "expected a whole argument: nothing is filled in, got '$('"),
    (UNDO, 'run: [/bin/x, "%(name)s"]', "nothing is filled in, got '%(name)s'"),
    (UNDO, "cmd: [/bin/x]", "expected a field of an act (run, within, output), got 'cmd'"),
    ("within: 2m", "within: 2h", "within: expected a duration from 1s to 1h"),
    ("within: 2m", "within: 0s", "within: expected a duration from 1s to 1h"),
    ("output: asker", "output: all", "output: expected one of none, asker, got 'all'"),
    ("            within: 2m\n", "", "expected 'within' in an act, got none"),
    ("          undo-checkout:", "          Undo:", "expected a name of a-z, 0-9"),
    (
        "kubernetes: {minter: prod-eu, namespace: shop, role: breakglass-rollback}",
        "ssh: {minter: prod-runner, host: a, account: b, acts: {}}",
        "mint.ssh.acts: expected 1 to 16 acts, got 0",
    ),
    (
        "{minter: prod-eu, namespace: shop, role: breakglass-rollback}",
        "{minter: prod-runner, namespace: shop, role: breakglass-rollback}",
        "mint: expected each minter once, got one twice",
    ),
    (
        "template: breakglass_orders_ddl, source: [office, vpn]",
        "template: breakglass_orders_ddl, source: [office, cafe]",
        "mint.postgres.source: expected networks of this bundle (guests, office, vpn), got 'cafe'",
    ),
    ("source: [office, vpn]", "source: []", "source: expected 1 to 16 items, got 0"),
    ("source: [office, vpn]", "source: [vpn, vpn]", "expected each network once, got one twice"),
    ("[192.0.2.0/24]", "[192.0.2.1/24]", "networks.vpn[0]: expected a network such as 10.0.0.0/8"),
    ("[192.0.2.0/24]", "[192.0.2.1]", "networks.vpn[0]: expected a network such as 10.0.0.0/8"),
    ("[192.0.2.0/24]", '["fe80::%1/64"]', "networks.vpn[0]: expected a network such as"),
    ("[192.0.2.0/24]", "[10.0.0.0/8]", "expected each block once, got 10.0.0.0/8 in 'office'"),
    ("[192.0.2.0/24]", "[]", "networks.vpn: expected 1 to 64 items, got 0"),
    (
        ASKED,
        "approvers: {from: [sam], need: 1}",
        "approvers.need: expected 0 on a contained glass: how many approve a break, got '1'",
    ),
    (
        "need: 1, ask_need: 2}",
        "need: 0, ask_need: 2}",
        "approvers.need: expected 1 or more on a severe glass: how many approve a break, got '0'",
    ),
    (
        "need: 1, ask_need: 2}",
        "need: 3, ask_need: 2}",
        "approvers.ask_need: expected 0 (nobody can ask), or 3 and more, as 'need' says, got '2'",
    ),
    (ASKED, "approvers: {from: [sam], ask_need: 17}", "a whole number from 0 to 16, got '17'"),
    (ASKED, "approvers: {ask_need: 1}", "expected 'from' in approvers, got none"),
    ("silence: 120s", "silence: 61m", "silence: expected a duration from 0s to 1h"),
    ("ahead: 2d", "ahead: 8d", "ahead: expected a duration from 0s to 7d"),
    ("wait: 30m", "wait: 90m", "wait: expected a duration from 0s to 1h"),
    ("passkeys: approve", "passkeys: some", "passkeys: expected one of none, approve, all"),
    ("ticket: required", "ticket: yes", "when.ticket: expected one of optional, required"),
    (
        "when: {ticket: required",
        "when: {incident_source: outside, ticket: required",
        "when: expected 'incident' beside 'incident_source', got none",
    ),
    (
        "when: {ticket: required",
        "when: {source: outside, ticket: required",
        "when.source: expected a field of 'when'",
    ),
    ("act: undo-checkout", "act: undo", "machines.rollback-on-5xx.act: expected an act that glass"),
    ("act: undo-checkout", "act: [kubectl]", "act: expected a name, got a list"),
    ("    minter: prod-runner\n    key", "    minter: prod-eu\n    key", "expected an act that"),
    ("    minter: prod-runner\n    key", "    minter: x\n    key", "expected a minter of glass"),
    (KEY, f'key: "{SoftSecurityKey.of("robot").public}"', "expected a software key: nobody is"),
    (KEY, f'key: "{SoftPasskey.of("robot").public}"', "expected a software key: nobody is there"),
    ("at_most: 3 per day", "at_most: 1001 per day", "expected a cap such as '3 per day', 1000"),
    ("cool_down: 30m", "cool_down: 8d", "cool_down: expected a duration from 0s to 7d"),
    ("type: pagerduty", "type: pager", "pagerduty.type: expected one of pagerduty, alertmanager"),
    (DIGEST, "  pagerduty: {type: pagerduty}", "expected 'secret_sha256', and only it, beside"),
    (
        DIGEST,
        "  pagerduty: {type: pagerduty, secret_sha256: swordfish}",
        "secret_sha256: expected 64 lower-case hexadecimal digits, a SHA-256, got 'swordfish'",
    ),
    (
        DIGEST,
        DIGEST + "\n" + DIGEST.replace("pagerduty:", "second:", 1),
        "expected each source with a secret or key of its own, got that of 'pagerduty' again",
    ),
    (SOURCE, "secret_sha256: x", "expected 'key', and only it, beside type 'generic'"),
    (
        SOURCE,
        f'key: "{SoftSecurityKey.of("x").public}"',
        "status-page.key: expected an ssh-ed25519 key, got 'sk-ssh-ed25519@openssh.com'",
    ),
    (SOURCE, KEY, "expected incident sources with keys of their own, got 'status-page', shared"),
    (AGE, AGE[:-1] + ("q" if AGE[-1] != "q" else "p"), "expected an age recipient (age1…), every"),
    (AGE, AGE.upper().replace("AGE:", "age:"), "expected an age recipient (age1…), every letter"),
    (
        AGE,
        f'age: "{SoftSecurityKey.of("sam").public}"',
        "people.sam.age: expected an age recipient (age1…): age cannot encrypt to sk- or P-256"
        " keys, got 'sk-ssh-ed25519@openssh.com'",
    ),
    ("    name: Ravi\n", f"    name: Ravi\n    {AGE}\n", "alias and recipient with one person"),
]


@pytest.mark.parametrize(("old", "new", "says"), BROKEN, ids=[each[2][:50] for each in BROKEN])
def test_what_is_wrong_is_named_with_its_place(old: str, new: str, says: str) -> None:
    with pytest.raises(MalformedError, match=r"^breakglass\.yaml:\d+:\d+: ") as caught:
        parse_bundle(files_of("example", (old, new)))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "word",
    ["{.items[0].metadata.name}", "{{.Names}}", "{{range .items}}{{end}}", "+%s", "%s", "$HOME"],
)
def test_what_a_program_fills_in_itself_is_no_template_of_ours(word: str) -> None:
    bundle = parse_bundle(files_of("example", (UNDO, f"run: [/bin/x, '{word}']")))
    assert bundle.glasses["deploy-rollback"].mints[1].acts["undo-checkout"].argv[1] == word


@pytest.mark.parametrize(
    ("argv", "shell"),
    [
        (("/bin/sh", "-c", "id"), "/bin/sh"),
        (("/bin/bash", "-lc", "id"), "/bin/bash"),
        (("/usr/bin/env", "bash", "--norc", "-c", "id"), "bash"),
        (("/usr/bin/sudo", "-u", "root", "/usr/bin/zsh", "-ec", "id"), "/usr/bin/zsh"),
        (("/usr/bin/fish", "--command=id"), "/usr/bin/fish"),
        (("/bin/bash", "/opt/rollback.sh"), ""),
        (("/usr/bin/git", "-c", "core.pager=cat", "log"), ""),
        (("/usr/bin/psql", "-c", "select 1"), ""),
        (("/opt/push.sh", "-c", "x"), ""),
    ],
)
def test_a_shell_that_is_handed_code_is_found_wherever_it_stands(
    argv: tuple[str, ...], shell: str
) -> None:
    assert shell_of(Act(argv, 1, Output.NONE)) == shell


def test_who_approves_an_ask_is_as_many_as_approve_a_break_and_one_at_least() -> None:
    def asked(approvers: str) -> tuple[int, int]:
        change = ("approvers: {from: [group:security], need: 1, ask_need: 2}", approvers)
        glass = parse_bundle(files_of("example", change)).glasses["key-deletion"]
        return glass.need, glass.ask_need

    assert asked("approvers: {from: [group:security]}") == (1, 1)
    assert asked("approvers: {from: [group:security], need: 2}") == (2, 2)
    assert asked("approvers: {from: [group:security], need: 2, ask_need: 0}") == (2, 0)
    assert asked("") == (1, 0)
    contained = parse_bundle(files_of("example")).glasses["deploy-rollback"]
    assert (contained.need, contained.ask_need) == (0, 1)


def test_the_minter_of_a_machine_is_the_one_that_has_its_act() -> None:
    change = ("    minter: prod-runner\n    key", "    key")
    machine = parse_bundle(files_of("example", change)).machines["rollback-on-5xx"]
    assert machine.minter == "prod-runner"


def test_two_minters_with_one_act_are_told_apart_by_name() -> None:
    again = "role: breakglass-rollback, acts: {undo-checkout: {run: [/bin/x], within: 1s}}}"
    changes = [
        ("role: breakglass-rollback}", again),
        ("    minter: prod-runner\n    key", "    key"),
    ]
    with pytest.raises(MalformedError, match="prod-eu, prod-runner have an act 'undo-checkout'"):
        parse_bundle(files_of("example", *changes))
    kept = parse_bundle(files_of("example", changes[0]))
    assert kept.machines["rollback-on-5xx"].minter == "prod-runner"


addresses = st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address)
blocks = st.builds(
    lambda address, length: ipaddress.ip_network((int(address), length), strict=False),
    addresses,
    st.integers(0, 32),
)


@given(st.lists(blocks, min_size=1, max_size=6, unique=True), addresses)
def test_the_name_of_an_address_is_that_of_the_smallest_block_around_it(
    found: list[Any], address: ipaddress.IPv4Address
) -> None:
    networks = {f"n{at}": (block,) for at, block in enumerate(found)}
    around = [block for block in found if address in block]
    name = network_name(networks, str(address))
    if around:
        assert networks[name][0] == min(around, key=lambda block: block.num_addresses)
    else:
        assert name == ""
    assert network_name(networks, f"::ffff:{address}") == name


def test_a_program_gives_roles_by_name_or_runs_acts_alone() -> None:
    written = "postgres: {minter: orders-db, database: orders, template: breakglass_orders_repair}"
    change = (written, "command: {minter: cache, role: [b, a]}")
    (mint,) = parse_bundle(files_of("demo", change)).glasses["orders-repair"].mints
    assert (mint.minter, mint.scope) == ("cache", {"roles": ("a", "b")})
