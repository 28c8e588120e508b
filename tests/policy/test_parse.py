"""What a bundle may say, and where an error points when it says something else."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakglass.errors import MalformedError
from breakglass.policy.alert_routes import ChannelType
from breakglass.policy.conditions import IncidentFrom, Ticket
from breakglass.policy.gates import Fail
from breakglass.policy.glass import BlastRadius, Passkeys
from breakglass.policy.incident_sources import SourceType
from breakglass.policy.networks import network_name
from breakglass.policy.parse import parse_bundle
from breakglass.policy.yaml_fields import BusinessDays
from breakglass.records.card import Tier
from breakglass.records.signing.person_key import is_software_key
from breakglass.records.signing.signature import Factor
from tests.kit.people import (
    SoftKey,
    SoftP256Key,
    SoftP256SecurityKey,
    SoftPasskey,
    SoftSecurityKey,
)
from tests.policy.kit import files_of, text_of, with_keys


def test_everything_in_the_example_bundle_is_read() -> None:
    bundle = parse_bundle(files_of("example"))
    rollback = bundle.glasses["deploy-rollback"]
    assert (bundle.version, bundle.organisation) == (7, "shop.example")
    assert rollback.mints[0].scope == {"namespaces": ("shop",), "roles": ("breakglass-rollback",)}
    assert rollback.when.incident == ("SEV1", "SEV2")
    assert rollback.when.mfa_age == timedelta(minutes=5)
    assert (rollback.least, rollback.tier, rollback.need) == (Factor.TWO, Tier.SELF, 0)
    assert rollback.silence == timedelta(seconds=120)
    assert rollback.review.due == BusinessDays(3)
    deletion = bundle.glasses["key-deletion"]
    assert deletion.blast_radius is BlastRadius.SEVERE
    assert deletion.mints[0].acts["schedule"].argv[:3] == (
        "/usr/local/bin/aws",
        "kms",
        "schedule-key-deletion",
    )
    assert (deletion.when.incident_source, deletion.least) == (
        IncidentFrom.OUTSIDE,
        Factor.PHISHING_RESISTANT,
    )
    assert (deletion.need, deletion.ask_need, rollback.ask_need) == (1, 2, 1)
    migration = bundle.glasses["orders-migration"]
    assert (migration.when.ticket, migration.when.incident) == (Ticket.REQUIRED, ())
    assert (migration.need, migration.ask_need) == (0, 2)
    assert (migration.wait, migration.silence, migration.ahead) == (
        timedelta(minutes=30),
        timedelta(minutes=15),
        timedelta(days=2),
    )
    assert migration.passkeys is Passkeys.APPROVE
    assert migration.mints[0].scope["source"] == (
        "10.0.0.0/8",
        "192.0.2.0/24",
        "2001:db8:10::/48",
    )
    assert network_name(bundle.networks, "10.99.3.4") == "guests"
    assert bundle.incident_sources["pagerduty"].type is SourceType.PAGERDUTY
    assert bundle.incident_sources["status-page"].key.startswith("ssh-ed25519 ")
    machine = bundle.machines["rollback-on-5xx"]
    assert (machine.act, machine.minter) == ("undo-checkout", "prod-runner")
    assert bundle.directory.people["sam"].age.startswith("age1")
    assert (deletion.tier, deletion.need, deletion.review.second_reader) == (Tier.TWO, 1, True)
    root = bundle.glasses["aws-root"]
    assert (root.tier, root.need, root.second_signers) == (
        Tier.SEALED,
        2,
        ("noor", "sam", "escrow"),
    )
    assert bundle.machines["rollback-on-5xx"].at_most == 3
    assert bundle.machines["rollback-on-5xx"].per == timedelta(days=1)
    assert bundle.channels["mail"].type is ChannelType.SMTP
    assert bundle.channels["pager"].secret == "pager"
    assert bundle.gates["deploy-approval"].fail is Fail.CLOSED
    assert bundle.gates["deploy-approval"].sanctioned[0].cedar == "rollback-fast-path.cedar"
    assert bundle.maintainers.need == 2
    assert bundle.reviews.default["SEV1"] == BusinessDays(3)
    assert bundle.directory.people["teo"].until == date(2026, 12, 31)
    assert bundle.directory.groups["shop-leads"].fallback == ("sam",)
    assert bundle.reasons["gate-slow"].startswith("the gate takes longer")


def test_the_bundle_of_the_demonstration_is_read() -> None:
    bundle = parse_bundle(files_of("demo"))
    assert bundle.glasses["deploy-rollback"].mints == ()
    assert bundle.glasses["orders-repair"].mints[0].scope == {
        "databases": ("orders",),
        "templates": ("breakglass_orders_repair",),
    }


def test_a_glass_of_the_mfa_down_path_has_a_stand_in_that_is_shorter_and_named() -> None:
    stand_in = parse_bundle(files_of("example")).glasses["deploy-rollback.mfa-down"]
    assert (stand_in.least, stand_in.for_, stand_in.mfa_down) == (
        Factor.ONE,
        timedelta(minutes=10),
        True,
    )
    assert stand_in.opens_gates == ("deploy-approval",)
    assert (stand_in.second_signers, stand_in.need, stand_in.ask_need) == (("sam",), 1, 1)
    assert stand_in.wait == timedelta(hours=1)


def test_people_count_from_their_first_day_to_the_end_of_their_last() -> None:
    teo = parse_bundle(files_of("example")).directory.people["teo"]
    assert not teo.counts_at(datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC))
    assert teo.counts_at(datetime(2026, 1, 1, tzinfo=UTC))
    assert teo.counts_at(datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC))
    assert not teo.counts_at(datetime(2027, 1, 1, tzinfo=UTC))


BROKEN = [
    # What is changed, and all of the error behind the file's name.
    (
        "does: repair",
        "deos: repair",
        "25:5: glasses.orders-repair.deos: expected a field of a"
        " glass (does, blast_radius, who, opens_gates, mint, for, when, approvers, wait, silence,"
        " ahead, review, seal, passkeys, ends_with_incident, idle, extend), got 'deos'",
    ),
    (
        "for: 20m",
        "for: soon",
        "29:10: glasses.orders-repair.for: expected a duration from 1s to"
        " 12h, such as 30m or 120s, got 'soon'",
    ),
    (
        "for: 20m",
        "for: 13h",
        "29:10: glasses.orders-repair.for: expected a duration from 1s to"
        " 12h, such as 30m or 120s, got '13h'",
    ),
    ("for: 20m", "for: 0m", "29:10: glasses.orders-repair.for: expected a duration from 1s"),
    (
        "    for: 20m\n",
        "",
        "25:5: glasses.orders-repair: expected 'for' in a glass: the longest"
        " life of a grant, got none",
    ),
    (
        "version: 1",
        "version: on",
        "2:10: version: expected a whole number from 1 to 1000000000, got 'on'",
    ),
    (
        "version: 1",
        "version: 1.10",
        "2:10: version: expected a whole number from 1 to 1000000000, got '1.10'",
    ),
    ("version: 1", "version: '1'", "2:10: version: expected a whole number"),
    ("version: 1", "version: 0x10", "2:10: version: expected a whole number"),
    ("version: 1", "version: 01", "2:10: version: expected a whole number"),
    (
        "version: 1\n",
        "version: 1\nversion: 2\n",
        "3:1: bundle: expected each key once, got 'version' again (first in line 2)",
    ),
    ("version: 1", "version: &one 1", "2:10: version: expected no anchors, got an anchor or alias"),
    ("version: 1", "version: !!int 1", "2:10: version: expected no tags"),
    (
        "version: 1",
        "version: !!python/object/apply:os.system [id]",
        "2:10: version: expected no tags, got ",
    ),
    (
        "organisation: demo.example",
        "organisation:",
        "3:14: organisation: expected a name, got nothing",
    ),
    (
        "organisation: demo.example",
        "organisation: [a]",
        "3:15: organisation: expected a name, got a list",
    ),
    (
        'keys: ["sk:sam"]',
        'keys: ["sk:mira"]',
        "7:9: people.sam: expected each key, name, alias and recipient with one person, once,"
        " got 'sk-ssh",
    ),
    (
        'keys: ["sk:sam"]',
        "keys: [ssh-rsa AAAA]",
        "7:29: people.sam.keys[0]: expected an SSH public key of Ed25519 or P-256, or a",
    ),
    ('keys: ["sk:sam"]', "keys: []", "7:28: people.sam.keys: expected 1 to 16 items, got 0"),
    (
        'keys: ["sk:sam"]}',
        'keys: ["sk:sam"], aliases: [mira]}',
        "7:9: people.sam: expected"
        " each key, name, alias and recipient with one person, once, got 'mira' with 'mira' and"
        " 'sam'",
    ),
    (
        'keys: ["sk:sam"]}',
        'keys: ["sk:sam"], from: 2026-02-30}',
        "people.sam.from: expected a date such as 2026-12-31, got '2026-02-30'",
    ),
    (
        'keys: ["sk:sam"]}',
        'keys: ["sk:sam"], until: 9999-12-31}',
        "people.sam.until: expected a date such as 2026-12-31, got '9999-12-31'",
    ),
    (
        "oncall: {members: [mira]}",
        "oncall: {members: [mria]}",
        "11:22: groups.oncall.members[0]:"
        " expected a person of this bundle, or group:NAME, got 'mria'",
    ),
    (
        "oncall: {members: [mira]}",
        "oncall: {members: [group:oncall]}",
        "11:11: groups.oncall:"
        " expected groups that do not contain themselves, got 'oncall' in 'oncall'",
    ),
    (
        "oncall: {members: [mira]}",
        "oncall: {members: [mira, mira@demo.example]}",
        "11:21: groups.oncall.members: expected each once, got a name twice",
    ),
    (
        "oncall: {members: [mira]}",
        "oncall: {roster: x}",
        "11:11: groups.oncall: expected 'at_most_old' beside 'roster', got none",
    ),
    (
        "opens_gates: [deploy-approval]",
        "opens_gates: [deploy]",
        "expected gates of this bundle (deploy-approval, orders-write), got 'deploy'",
    ),
    (
        "mint: {postgres:",
        "mint: {mysql:",
        "glasses.orders-repair.mint.mysql: expected a platform"
        " of postgres, kubernetes, aws, ssh, azure, gcp, command, got 'mysql'",
    ),
    (
        "postgres: {minter: orders-db, database: orders, template: breakglass_orders_repair}",
        "command: {minter: cache}",
        "expected 'role' or 'acts' in a mint on command, got none",
    ),
    ("database: orders, ", "", "expected 'database' in a mint on postgres, got none"),
    (
        "database: orders, ",
        "database: orders, may_create: false, ",
        "may_create: expected true, or nothing, got false",
    ),
    (
        "database: orders, ",
        "database: orders, may_destroy: true, ",
        "may_destroy: expected a field of a mint on postgres",
    ),
    (
        'hook: {webhook: "secret:hook"}',
        "hook: {webhook: https://hook.example/T0K3N}",
        "channels.hook.webhook: expected 'secret:NAME', got something else",
    ),
    (
        "file: {log_file: alerts.log}",
        'file: {log_file: a, slack: "secret:s"}',
        "channels.file: expected exactly one of webhook, log_file, slack, pagerduty, smtp, got 2",
    ),
    (
        "file: {log_file: alerts.log}",
        "file: {log_file: channels/pager.sqlite}",
        "channels.file.log_file: expected the name of a file in the monitor's data folder that ends"
        " in .log or .jsonl, got 'channels/pager.sqlite'",
    ),
    (
        "file: {log_file: alerts.log}",
        "file: {log_file: alerts.log}\n  sam.phone: {log_file: b.log}",
        "channels: expected a name of a-z, 0-9, '_', '-' (a dot is a person's)",
    ),
    (
        "file: {log_file: alerts.log}",
        "file: {log_file: alerts.log}"
        + "".join(f"\n  c{each}: {{log_file: a.log}}" for each in range(63)),
        "channels: expected 64 channels at most, got 65",
    ),
    (
        "glass: [file, hook]",
        "glass: [hook]\n  pulse: [file]",
        "alerts.pulse: expected a webhook, as what hears the sign of life alone, got 'file'"
        " (log_file)",
    ),
    ("glass: [file, hook]", "glas: [file, hook]", "alerts.glas: expected a field of alerts"),
    (
        "glass: [file, hook]",
        "glass: [file, horn]",
        "alerts.glass: expected channels of this bundle, got 'horn'",
    ),
    (
        "maintainers: {need: 2,",
        "maintainers: {need: 1,",
        "maintainers.need: expected a whole number from 2 to 64, got '1'",
    ),
    ("maintainers: {need: 2,", "maintainers: {need: 3,", "maintainers.need: expected 2 at most"),
    (
        "maintainers: {need: 2, of: [sam, noor]}",
        "maintainers: {need: 2, of: [sam, group:leads]}",
        "maintainers.of[1]: expected a person of this bundle, got 'group:leads'",
    ),
    (
        "kill: [group:leads]",
        "kill: [leads]",
        "kill[0]: expected a person of this bundle, or group:NAME, got 'leads'",
    ),
    ("kill: [group:leads]", "kill: group:leads", "kill: expected a list, got 'group:leads'"),
    (
        "fail: closed}\n  orders",
        "fail: ajar}\n  orders",
        "gates.deploy-approval.fail: expected one of closed, open, got 'ajar'",
    ),
    ("  deploy-rollback:\n", "  Deploy_Rollback:\n", "glasses: expected a name of a-z, 0-9"),
    (
        "  deploy-rollback:\n",
        "  x.mfa-down:\n",
        "expected a name of 54 characters at most that does not end in '.mfa-down'",
    ),
    ("other: none of these", 'other: "two\\nlines"', "reasons.other: a line break"),
    ("other: none of these", 'other: "hid\\u202eden"', "reasons.other: character U+202E"),
    (
        "version: 1\n",
        "version: 1\n---\nversion: 1\n",
        "3:1: bundle: expected one document, got a second '---'",
    ),
    ("version: 1\n", "version: [1\n", "bundle: expected YAML, got "),
    ("version: 1\n", 'version: "\\UFFFFFFFF"\n', "bundle: expected YAML"),
    ("version: 1\n", "<<: {version: 1}\n", "expected no merge keys"),
]


@pytest.mark.parametrize(("old", "new", "says"), BROKEN, ids=[each[2][:50] for each in BROKEN])
def test_what_is_wrong_is_named_with_its_place(old: str, new: str, says: str) -> None:
    with pytest.raises(MalformedError, match=r"^breakglass\.yaml:\d+:\d+: ") as caught:
        parse_bundle(files_of("demo", (old, new)))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_field_comes_with_the_nearest_known_one() -> None:
    with pytest.raises(MalformedError) as caught:
        parse_bundle(files_of("demo", ("does: repair", "deos: repair")))
    assert caught.value.hint == "did you mean 'does'?"


def test_words_that_yaml_would_turn_into_something_else_stay_words() -> None:
    bundle = parse_bundle(
        files_of("demo", ("database: orders,", "database: on,"), ("{name: Sam,", "{name: No,"))
    )
    assert bundle.glasses["orders-repair"].mints[0].scope["databases"] == ("on",)
    assert bundle.directory.people["sam"].full_name == "No"


def test_a_secret_written_into_the_bundle_is_not_repeated_in_the_error() -> None:
    change = ('hook: {webhook: "secret:hook"}', "hook: {webhook: https://hook.example/T0K3N}")
    with pytest.raises(MalformedError) as caught:
        parse_bundle(files_of("demo", change))
    assert "T0K3N" not in str(caught.value) + caught.value.hint


def test_a_bomb_of_nested_aliases_is_refused_at_once() -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
        for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    with pytest.raises(MalformedError, match="expected no anchors"):
        parse_bundle({"breakglass.yaml": bomb.encode()})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 5000, "nesting depth"),
        ("a:\n- " + "- " * 500 + "a", "levels at most"),
        ("a: " + "{a: " * 5000, "levels at most"),
        ("a: 1\n" * 1_300_000, "bytes at most"),
        ("a: [" + "1," * 600_000 + "]", "values at most"),
        ("", "expected a mapping"),
        ("- a", "expected a mapping"),
        ("a: \x00", "expected YAML"),
        ("\ufeffversion: 1", "'organisation' in a policy bundle"),
    ],
    ids=lambda text: text[:12],
)
def test_texts_that_are_no_bundle_are_refused(text: str, says: str) -> None:
    with pytest.raises(MalformedError, match=says):
        parse_bundle({"breakglass.yaml": text.encode()})


_WORDS = [
    "",
    "null",
    "on",
    "1.10",
    "[]",
    "{}",
    "group:oncall",
    "group:leads",
    "mira",
    "30m",
    '"\\0"',
    "'",
    "&a",
    "*a",
    "- x",
    "!!str x",
    "?",
    "2026-01-01",
    "SEV1",
    "99999999999",
    "secret:x",
    "\u2028",
    "{a: 1, a: 2}",
    "|",
    "%YAML 1.1",
    "---",
    "<<",
    "3 per day",
]


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_mutated_bundle_is_read_or_malformed_and_never_anything_else(data: st.DataObject) -> None:
    lines = text_of(data.draw(st.sampled_from(["demo", "example"]))).splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        line, cut = lines[at], data.draw(st.integers(0, len(lines[at])))
        word = data.draw(st.sampled_from(_WORDS) | st.text(max_size=5))
        lines[at] = data.draw(
            st.sampled_from([line[:cut] + word, line[:cut] + word + line[cut:], word, line * 2])
        )
    with suppress(MalformedError):
        parse_bundle({"breakglass.yaml": with_keys("\n".join(lines))})


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=300)
    | st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace"))
)
def test_any_bytes_at_all_are_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_bundle({"breakglass.yaml": data})


@pytest.mark.parametrize(
    ("key", "two"),
    [
        (SoftKey.of("p"), False),
        (SoftP256Key.of("p"), False),
        (SoftSecurityKey.of("p"), True),
        (SoftP256SecurityKey.of("p"), True),
        (SoftPasskey.of("p"), True),
    ],
)
def test_a_software_key_of_either_curve_is_never_two_factors(
    key: SoftKey | SoftSecurityKey | SoftPasskey, two: bool
) -> None:
    assert is_software_key(key.public) is not two


@pytest.mark.parametrize(("glass", "takes"), [("key-deletion", "takes 2"), ("aws-root", "takes 2")])
def test_a_glass_of_more_people_has_no_stand_in(glass: str, takes: str) -> None:
    text = files_of("example")["breakglass.yaml"].decode()
    named = text.replace("glasses: [deploy-rollback]", f"glasses: [{glass}]")
    named = named.replace("need: 1, ask_need: 2", "need: 2")
    with pytest.raises(MalformedError, match=f"one more person at most signs for, got.*{takes}"):
        parse_bundle({**files_of("example"), "breakglass.yaml": named.encode()})
