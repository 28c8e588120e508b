"""What a next policy changes is said in words, whatever it is, what widens power first."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, get_type_hints

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from breakglass.errors import MalformedError
from breakglass.policy.bundle import MAIN_FILE
from breakglass.policy.change import Effect, field_changes
from breakglass.policy.difference import difference, say_difference
from breakglass.policy.folder import read_bundle
from breakglass.policy.parse import parse_bundle
from breakglass.policy.people import GROUP
from tests.kit.people import SoftSecurityKey
from tests.policy.kit import EXAMPLE, files_of, with_keys

FILES = read_bundle(EXAMPLE)
BUNDLE = parse_bundle(FILES)
SK = "kim: {name: Kim, keys: ['sk:kim']}"


def told(*changes: tuple[str, str], name: str = "example", **more: Any) -> list[tuple[Effect, str]]:
    old, new = parse_bundle(files_of(name)), parse_bundle(files_of(name, *changes, **more))
    return [(each.effect, str(each)) for each in difference(old, new)]


def test_the_same_bundle_has_no_difference_and_another_text_is_said_to_mean_the_same() -> None:
    assert difference(BUNDLE, BUNDLE) == ()
    assert say_difference(FILES, FILES) == ["policy 7 stays as it is: the very same text"]
    other = {**FILES, MAIN_FILE: FILES[MAIN_FILE] + b"# a remark\n"}
    assert say_difference(FILES, other) == [
        "policy 7 stays as it is: another text that means the same"
    ]
    renewed = {**FILES, MAIN_FILE: FILES[MAIN_FILE].replace(b"version: 7", b"version: 8")}
    assert say_difference(FILES, renewed) == [
        "policy 7 -> 8: a new number, and the very same rules",
        "other     version: 8 (before: 7)",
    ]
    assert say_difference({}, FILES) == [
        "policy 7 is the first: there is nothing to compare it with"
    ]


WIDENS, NARROWS, OTHER = Effect
_ROLLBACK = "{incident: [SEV1, SEV2], mfa_age: 5m}\n    approvers: {from: [group:shop-leads]}"
_DELETION = "{incident: [SEV1], incident_source: outside, mfa_age: 2m, factor: phishing_resistant}"
_WAY = """    sanctioned:                            # recorded, counted apart from glass
      - when: "rollback to a version that passed within 7 days, during an open SEV1"
        cedar: rollback-fast-path.cedar
"""
SENTENCES: list[tuple[str, tuple[str, str], Effect, str]] = [
    ("a group gains somebody", ("members: [mira, teo]", "members: [mira, teo, ravi]"), WIDENS,
     "ravi may now break deploy-rollback, orders-migration, orders-repair alone (as"
     " group:oncall-shop)"),
    ("a group loses somebody", ("members: [mira, teo]", "members: [mira]"), NARROWS,
     "teo may no longer break deploy-rollback, deploy-rollback.mfa-down, orders-migration,"
     " orders-repair"),
    ("who approves", ("members: [noor, ines, ravi]", "members: [noor, ines, ravi, teo]"), WIDENS,
     "teo may now approve key-deletion, orders-migration (as group:security)"),
    ("the fallback of a roster", ("else: [sam]", "else: [noor]"), WIDENS,
     "noor may approve deploy-rollback only while on the roster of group:shop-leads or while"
     " group:shop-leads has no fresh roster (before: while on the roster of group:shop-leads)"),
    ("nobody stands in for a roster any more", ("else: [sam]", "else: [noor]"), NARROWS,
     "sam may approve deploy-rollback only while on the roster of group:shop-leads (before: while"
     " on the roster of group:shop-leads or while group:shop-leads has no fresh roster)"),
    ("the longest life", ("for: 20m", "for: 30m"), WIDENS,
     "orders-repair: lasts at most 30m (before: 20m)"),
    ("a gate more", ("opens_gates: [deploy-approval]",
                     "opens_gates: [deploy-approval, orders-write]"), WIDENS,
     "deploy-rollback, deploy-rollback.mfa-down: also opens gate orders-write"),
    ("a scope", ("database: orders, template: breakglass_orders_repair",
                 "database: [orders, users], template: breakglass_orders_repair"), WIDENS,
     "orders-repair: at orders-db: reaches databases also of users"),
    ("no network bound", (", source: [office, vpn]", ""), WIDENS,
     "orders-migration: at orders-db: works from everywhere (before: 10.0.0.0/8, 192.0.2.0/24,"
     " 2001:db8:10::/48)"),
    ("no leave to create", ("may_create: true, ", ""), NARROWS,
     "orders-migration: at orders-db: may not create"),
    ("a weaker factor", (_DELETION, _DELETION.replace(", factor: phishing_resistant", "")), WIDENS,
     "key-deletion: takes a factor of at least two (before: phishing_resistant)"),
    ("an incident of one's own word", (_DELETION, _DELETION.replace("outside", "any")), WIDENS,
     "key-deletion: takes an incident from any (before: outside)"),
    ("one severity more", (_ROLLBACK, _ROLLBACK.replace("SEV2]", "SEV2, SEV3]")), WIDENS,
     "deploy-rollback, deploy-rollback.mfa-down: also opens for an incident of SEV3"),
    ("no incident", ("{incident: [SEV1], incident_source: outside, factor: phishing_resistant}",
                     "{factor: phishing_resistant}"), WIDENS,
     "aws-root: needs an incident: none (before: SEV1)"),
    ("an older signature", ("mfa_age: 2m", "mfa_age: 1h"), WIDENS,
     "key-deletion: a signature may be old 1h (before: 2m)"),
    ("a ticket", ("{ticket: required, mfa_age: 5m}", "{mfa_age: 5m}"), WIDENS,
     "orders-migration: a ticket is optional (before: required)"),
    ("silence", ("silence: 15m", "silence: 5m"), WIDENS,
     "orders-migration: an ask counts as unanswered after 5m (before: 15m)"),
    ("wait", ("wait: 30m", "wait: 20m"), NARROWS,
     "orders-migration: its statement is good for 20m (before: 30m)"),
    ("ahead", ("ahead: 2d", "ahead: 7d"), WIDENS,
     "orders-migration: may be asked for ahead by 7d (before: 2d)"),
    ("fewer asked", ("need: 1, ask_need: 2", "need: 1, ask_need: 1"), WIDENS,
     "key-deletion: an ask takes 1 approval (before: 2)"),
    ("nobody asked", ("ask_need: 2}\n    wait", "ask_need: 0}\n    wait"), NARROWS,
     "orders-migration: can no longer be asked for"),
    ("a custodian fewer", ("threshold: 2", "threshold: 1"), WIDENS,
     "ines, noor, ravi, sam may now break aws-root with 1 custodian of noor, sam, escrow"
     " (before: with 2 custodians of noor, sam, escrow)"),
    ("a later review", ("due: 5 business days", "due: 60d"), WIDENS,
     "orders-migration: its review is due within 60d (before: 5 business days)"),
    ("no second reader", ("group:security], second_reader: true}\n  aws-root:",
                          "group:security]}\n  aws-root:"), WIDENS,
     "key-deletion: a second reader: no (before: yes)"),
    ("passkeys", ("passkeys: approve", "passkeys: all"), WIDENS,
     "orders-migration: takes passkeys for all (before: approve)"),
    ("another act", ("rollout, pause", "rollout, restart"), WIDENS,
     "deploy-rollback, deploy-rollback.mfa-down: at prod-runner: act pause-checkout runs"
     " /usr/bin/kubectl --namespace=shop rollout restart deployment/checkout (before:"
     " /usr/bin/kubectl --namespace=shop rollout pause deployment/checkout)"),
    ("a gate that fails open", ("owner: group:sre-leads\n    fail: closed",
                                "owner: group:sre-leads\n    fail: open"), WIDENS,
     "gate orders-write: when its check cannot be evaluated it fails open (before: closed)"),
    ("a quieter alert", ("severe: [pager, chat, mail]", "severe: [pager, chat]"), WIDENS,
     "aws-root, key-deletion: its use no longer alerts mail"),
    ("a channel elsewhere", ("secret:pager", "secret:other"), WIDENS,
     "channel pager: goes elsewhere: secret:other (before: secret:pager)"),
    ("who may kill", ("kill: [group:security]", "kill: [group:security, sam]"), WIDENS,
     "sam may now stop grants"),
    ("who reads", ("readers: [noor]", "readers: [ines]"), WIDENS, "ines may now read every grant"),
    ("maintainers", ("of: [sam, noor]}", "of: [sam, noor, ines]}"), WIDENS,
     "new maintainers: ines"),
    ("custodians", ("custodians: {need: 2", "custodians: {need: 1"), WIDENS,
     "custodians needed: 1 (before: 2)"),
    ("a later end", ("until: 2026-12-31", "until: 2027-12-31"), WIDENS,
     "teo: counts until: 2027-12-31 (before: 2026-12-31)"),
    ("no end", ("    until: 2026-12-31\n", ""), WIDENS,
     "teo: counts until: none (before: 2026-12-31)"),
    ("a longer path without MFA", ("for: 10m", "for: 20m"), WIDENS,
     "deploy-rollback.mfa-down: lasts at most 20m (before: 10m)"),
    ("an older roster", ("at_most_old: 12h", "at_most_old: 24h"), WIDENS,
     "group shop-leads: its roster may be old 24h (before: 12h)".replace("24h", "1d")),
    ("an incident source", ("alertmanager: {type: alertmanager, secret_sha256: 72c",
                            "alertmanager: {type: alertmanager, secret_sha256: 73c"), WIDENS,
     "incident source alertmanager: is known by another secret:"),
    ("a machine more often", ("at_most: 3 per day", "at_most: 9 per day"), WIDENS,
     "machine rollback-on-5xx: acts at most so often: 9 (before: 3)"),
    ("no end with the incident", ("ends_with_incident: true", "ends_with_incident: false"), WIDENS,
     "orders-repair: ends with its incident: no (before: yes)"),
    ("idle for longer", ("idle: 10m", "idle: 15m"), WIDENS,
     "orders-repair: limit of its idle time: 15m (before: 10m)"),
    ("idle for ever", ("    idle: 10m                              #", "    #"), WIDENS,
     "orders-repair: limit of its idle time: none (before: 10m)"),
    ("more in a row", ("at_most: 6h", "at_most: 12h"), WIDENS,
     "orders-migration: limit of its asks in a row: 12h (before: 6h)"),
    ("a network that keeps nobody out or in", ("  guests: [", "  lab: [10.9.0.0/16]\n  guests: ["),
     OTHER, "addresses 10.9.0.0/16 are of network lab (before: office)"),
    ("a review that is later in one case", ("over\n    review: {due: 3 business days, ",
                                            "over\n    review: {"), WIDENS,
     "orders-repair: its review after an incident is due within 5 business days (before: 3"),
    ("approvers alone", ("from: [group:security], need", "from: [group:security, sam], need"),
     WIDENS, "sam may now approve key-deletion"),
    ("a reason", ("  planned: work that was planned, behind a ticket\n", ""), OTHER,
     "reason planned is gone"),
    ("the same people in another order", ("who: [group:sre-leads, group:security]",
                                          "who: [group:security, group:sre-leads]"), OTHER,
     "aws-root: who is written otherwise, and means the same"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "effect", "sentence"),
    [each[1:] for each in SENTENCES],
    ids=[each[0] for each in SENTENCES],
)
def test_each_change_has_its_sentence_and_its_mark(
    change: tuple[str, str], effect: Effect, sentence: str
) -> None:
    found = told(change)
    assert any(mark is effect and text.startswith(sentence) for mark, text in found), "\n".join(
        f"{mark} {text}" for mark, text in found
    )
    if "means the same" not in sentence:
        assert not [text for _, text in found if "means the same" in text]


def test_acts_that_go_leave_a_credential_and_the_other_way_round() -> None:
    glass = BUNDLE.glasses["deploy-rollback"]
    bare = replace(glass, mints=tuple(replace(each, acts={}) for each in glass.mints))
    other = replace(BUNDLE, glasses={**BUNDLE.glasses, glass.name: bare})
    found = [(each.effect, str(each)) for each in difference(BUNDLE, other)]
    at = "deploy-rollback: at prod-runner:"
    assert found[0] == (WIDENS, f"{at} hands out a credential now")
    assert (NARROWS, f"{at} act pause-checkout is gone") in found
    back = [(each.effect, str(each)) for each in difference(other, BUNDLE)]
    assert (NARROWS, f"{at} hands out no credential any more") in back


def test_a_file_that_changes_sides_between_gates_and_glasses_widens_either_way() -> None:
    cedar = {"rollback-fast-path.cedar": '@id("fast")\npermit (principal, action, resource);\n'}
    owned, free = (files_of("example", *change, cedar=cedar) for change in ((), [(_WAY, "")]))
    for before, after, line in (
        (owned, free, "now decides glasses; read its lines:\n+ @id"),
        (free, owned, "no longer decides glasses; read its lines:\n- @id"),
    ):
        found = difference(parse_bundle(before), parse_bundle(after))
        assert [each.effect for each in found if line in str(each)] == [WIDENS]


def test_a_network_widens_power_where_cedar_compares_it() -> None:
    cedar = {
        "a.cedar": '@id("a")\nforbid (principal, action, resource)'
        ' when {context.network == "guests"};'
    }
    lab = ("  guests: [", "  lab: [10.99.7.0/24]\n  guests: [")
    old, new = (parse_bundle(files_of("example", *each, cedar=cedar)) for each in ((), [lab]))
    assert [(each.effect, str(each)) for each in difference(old, new)] == [
        (WIDENS, "new network lab: 10.99.7.0/24"),
        (WIDENS, "addresses 10.99.7.0/24 are of network lab (before: guests)"),
    ]
    assert {each.effect for each in difference(new, old)} == {WIDENS}


def test_a_certification_gives_power_where_an_old_one_refuses() -> None:
    later, other = (
        ("on: 2026-10-01", "on: 2026-11-01"),
        ("by: sam, on: 2026-10-01", "by: noor, on: 2026-10-01"),
    )
    refuse = ("then: advise}", "then: refuse}")
    text = "group oncall-shop: certified by sam on 2026-11-01 (before: by sam on 2026-10-01)"
    assert told(later) == [(OTHER, text)]
    assert (WIDENS, text) in told(later, refuse)
    assert all(effect is OTHER for effect, text in told(other, refuse) if "certified by" in text)
    old, new = (parse_bundle(files_of("example", refuse, *each)) for each in ([later], ()))
    assert [each.effect for each in difference(old, new)] == [NARROWS]


def test_nobody_named_beside_a_roster_is_everybody() -> None:
    roster = '{roster: "pagerduty:PSHOP"'
    found = told((roster, '{members: [sam, teo], roster: "pagerduty:PSHOP"'))
    about = [each for each in found if each[1].startswith("group shop-leads")]
    assert about == [
        (NARROWS, "group shop-leads: escrow, ines, mira, noor, ravi can no longer be of it"),
    ]


def test_a_glass_that_took_two_people_and_takes_one_is_told_of_each_who_gains_it() -> None:
    found = told(
        ("blast_radius: severe", "blast_radius: broad"), ("need: 1, ask_need: 2", "ask_need: 2")
    )
    assert (WIDENS, "sam may now break key-deletion alone (before: with 1 of group:security)") in (
        found
    )
    assert (WIDENS, "key-deletion: counts as broad (before: severe)") in found
    assert (WIDENS, "key-deletion: its use no longer alerts mail") in found


def test_what_widens_power_is_said_before_anything_else() -> None:
    effects = [effect for effect, _ in told(
        ("version: 7", "version: 8"), ("members: [mira, teo]", "members: [mira, sam]"),
        ("for: 20m", "for: 10m"), ("for: 2h", "for: 3h"),
    )]  # fmt: skip
    assert effects == sorted(effects, key=list(Effect).index)
    assert set(effects) == set(Effect)


def test_a_new_person_and_a_new_key_are_named_by_fingerprint() -> None:
    joins = told(("people:\n", f"people:\n  {SK}\n"), name="demo")
    ((effect, text),) = joins
    assert effect is WIDENS
    assert text.startswith("kim joins, with key SHA256:")
    assert text.endswith(" (security key)")
    old = SoftSecurityKey.of("mira").public
    files = files_of("demo")
    changed = files[MAIN_FILE].replace(old.encode(), SoftSecurityKey.of("other").public.encode())
    said = difference(parse_bundle(files), parse_bundle({MAIN_FILE: changed}))
    assert [each.effect for each in said] == [WIDENS, NARROWS]
    assert str(said[0]).startswith("mira: new key: SHA256:")
    assert str(said[1]).startswith("mira: key taken away: SHA256:")


def test_a_new_glass_is_told_with_its_terms_and_a_gone_one_in_one_sentence() -> None:
    small, large = parse_bundle(files_of("demo")), files_of("demo")
    text = large[MAIN_FILE].decode()
    begin, end = text.index("  deploy-rollback:\n"), text.index("channels:")
    smaller = parse_bundle({MAIN_FILE: (text[:begin] + text[end:]).encode()})
    came = [str(each) for each in difference(smaller, small)]
    assert came == [
        "mira may now break deploy-rollback alone (as group:oncall)",
        "noor, sam may now review deploy-rollback (as group:leads)",
        "new glass deploy-rollback: roll back production and restart the pipeline; nothing else",
        "deploy-rollback: for 30m at most, alone (contained)",
        "deploy-rollback: when incident: SEV1 or SEV2; factor: two, signed within 5m",
        "deploy-rollback: opens gates: deploy-approval; mints: nothing",
        "deploy-rollback: alerts file, hook",
        "deploy-rollback: review within 3 business days by group:leads",
    ]
    (gone,) = difference(small, smaller)
    assert str(gone) == "deploy-rollback is gone: mira may no longer break it"
    assert gone.effect is NARROWS


def test_cedar_is_shown_by_its_lines_because_no_words_say_it() -> None:
    ((effect, text),) = told(cedar={"freeze.cedar": '@id("freeze")\nforbid (principal);\n'})
    assert effect is WIDENS
    assert text.splitlines() == [
        "freeze.cedar is new; read its lines:",
        '+ @id("freeze")',
        "+ forbid (principal);",
    ]
    ((_, long),) = told(cedar={"a.cedar": "".join(f"forbid {n};\n" for n in range(40))})
    assert long.splitlines()[-1] == "… and 28 lines more"


def crowd(number: int, also: int = 0) -> dict[str, bytes]:
    people = "\n".join(f"  p{n}: {{name: P, keys: ['sk:p{n}']}}" for n in range(number + also))
    text = files_of("demo")[MAIN_FILE].decode()
    text = text.replace("people:\n", f"people:\n{people}\n")
    text = text.replace(
        "members: [mira]", f"members: [mira, {', '.join(f'p{n}' for n in range(number))}]"
    )
    return {MAIN_FILE: with_keys(text)}


def test_hundreds_of_people_are_a_number_and_the_first_names() -> None:
    lines = say_difference(crowd(1), crowd(400))
    assert len(lines) < 12
    assert any("399 people (p1, p10, p100, p101, p102, p103 and 393 more)" in each
               for each in lines)  # fmt: skip
    assert any("399 people (p1, p2, p3, p4, p5, p6 and 393 more) join" in each for each in lines)
    assert max(map(len, lines)) <= 100


# Every field of every part of a bundle, changed alone.

_REFS = {"who", "members", "fallback", "by", "kill", "readers"}
_OWN = {"name", "names", "places"}


def variants(thing: Any, name: str = "", *, optional: bool = False) -> Iterator[Any]:
    """Yield values of the same form that say something else, at each leaf once."""
    if optional and thing is not None:
        yield None
    if is_dataclass(thing) and not isinstance(thing, type):
        hints = get_type_hints(type(thing))
        for each in fields(thing):
            if each.name not in _OWN:
                may = "None" in str(hints[each.name])
                for other in variants(getattr(thing, each.name), each.name, optional=may):
                    yield replace(thing, **{each.name: other})
    elif isinstance(thing, Mapping):
        for key in thing:
            yield MappingProxyType({one: each for one, each in thing.items() if one != key})
            for other in variants(thing[key]):
                yield MappingProxyType({**thing, key: other})
    elif isinstance(thing, tuple) and thing:
        yield thing[:-1]
        yield from (thing[::-1],) if thing[::-1] != thing else ()
        if name not in _REFS and name not in {"custodians", "of"}:
            yield from ((other, *thing[1:]) for other in variants(thing[0]))
    elif isinstance(thing, StrEnum):
        members = list(type(thing))
        yield members[members.index(thing) - 1]
    elif isinstance(thing, bool):
        yield not thing
    elif isinstance(thing, int):
        yield thing + 1
    elif isinstance(thing, timedelta):
        yield thing + timedelta(seconds=1)
    elif isinstance(thing, date):
        yield thing + timedelta(days=1)
    elif isinstance(thing, str) and thing:
        yield f"{thing}x" if not thing.startswith("ssh-") else thing.replace("A", "B", 1)
    elif isinstance(thing, ipaddress.IPv4Network | ipaddress.IPv6Network):
        yield ipaddress.ip_network("203.0.113.0/24")


def consistent(bundle: Any) -> bool:
    """Say whether every group and person that is named is there, as a reader makes sure of."""
    directory = bundle.directory
    names = [
        *bundle.kill, *bundle.readers,
        *(ref for each in directory.groups.values() for ref in (*each.members, *each.fallback)),
        *(ref for glass in bundle.glasses.values()
          for ref in (*glass.who, *glass.second_signers, *glass.review.by)),
    ]  # fmt: skip
    known = {*directory.people, *(GROUP + name for name in directory.groups)}
    return known >= set(names) and "other" in bundle.reviews.default


def test_no_field_of_a_bundle_changes_without_a_sentence() -> None:
    tried = 0
    for other in variants(BUNDLE):
        if not consistent(other) or other == BUNDLE:
            continue
        tried += 1
        found = [str(each) for each in difference(BUNDLE, other)]
        assert found, field_changes(BUNDLE, other, {})
        assert not [each for each in found if _WRITTEN_BY_A_MACHINE.search(each)]
        if any("means the same" in each for each in found):
            assert in_no_order(other) == in_no_order(BUNDLE), found
    assert tried > 300


_WRITTEN_BY_A_MACHINE = re.compile(r"\(with_|datetime\.|\b[A-Z]\w*\(|<\w+")


def in_no_order(thing: Any) -> Any:
    """Return a bundle without the order of its lists: two such that are equal mean the same."""
    if is_dataclass(thing) and not isinstance(thing, type):
        return {each.name: in_no_order(getattr(thing, each.name)) for each in fields(thing)}
    if isinstance(thing, Mapping):
        return {key: in_no_order(each) for key, each in thing.items()}
    if isinstance(thing, tuple):
        return sorted((in_no_order(each) for each in thing), key=repr)
    return thing


_TREE: dict[str, Any] = yaml.load(FILES[MAIN_FILE], yaml.BaseLoader)


def leaves(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    below = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, each in below if isinstance(tree, dict | list) else ():
        yield (*path, key)
        yield from leaves(each, (*path, key))


LEAVES = sorted(leaves(_TREE), key=str)


def at(tree: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def changed_at(path: tuple[Any, ...], new: Any) -> bytes:
    tree = yaml.load(FILES[MAIN_FILE], yaml.BaseLoader)
    above = at(tree, path[:-1])
    if new is None:
        del above[path[-1]]
    else:
        above[path[-1]] = new
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True).replace("'", "").encode()


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(LEAVES), st.none() | st.sampled_from(LEAVES))
def test_a_bundle_that_says_something_else_has_a_difference(
    path: tuple[Any, ...], other: tuple[Any, ...] | None
) -> None:
    try:
        new = parse_bundle({**FILES, MAIN_FILE: changed_at(path, other and at(_TREE, other))})
    except MalformedError:
        return  # nobody can sign it
    found = difference(BUNDLE, new)
    assert bool(found) == (new != BUNDLE)
    assert bool(difference(new, BUNDLE)) == bool(found)
