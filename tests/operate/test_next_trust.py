"""The trust file's next version, and who could do what with the keys of one host."""

from __future__ import annotations

from dataclasses import replace

import pytest

from breakglass.errors import MalformedError, RefusedError
from breakglass.operate.compromise_matrix import next_step, powers
from breakglass.operate.key_inventory import HERE, UNSEEN, Archive, Holding, Installation
from breakglass.operate.next_trust import both, left, newcomers, next_text
from breakglass.records.trust import Level, Trust, parse_trust
from breakglass.tlog.note import COSIGNATURE
from breakglass.tlog.policy import parse_policy
from tests.kit.organisation import Organisation, signer

NEW = signer("new.example", COSIGNATURE).verifier
URL = f"https://10.0.0.9:8443#{'ab' * 32}"
ELSEWHERE = "10.0.0.9"


@pytest.fixture
def trust() -> Trust:
    return Organisation().trust()


def test_a_line_takes_the_place_of_who_stands_under_its_name(trust: Trust) -> None:
    after = parse_trust(next_text(trust, [f"witness w-sec {NEW} {URL}"]))
    assert after.version == trust.version + 1
    assert [each.name for each in newcomers(trust, after)] == ["w-sec"]
    assert [each.name for each in left(trust, after)] == ["w-sec"]
    assert [each.name for each in after.tlog.witnesses] == ["w-sec", "w-plat", "w-audit", "worm"]
    assert after.tlog.groups == trust.tlog.groups


def test_a_new_name_is_one_witness_more_among_the_witnesses(trust: Trust) -> None:
    after = parse_trust(next_text(trust, [f"witness w-new {NEW} {URL}"]))
    people = next(each for each in after.tlog.groups if each.name == "people")
    assert people.members == ("w-sec", "w-plat", "w-audit", "w-new")
    assert people.needed == 2
    gone = parse_trust(next_text(after, drop=["w-audit"]))
    assert "w-audit" not in gone.text


def test_the_archivers_place_is_taken_under_its_name_or_not_at_all(trust: Trust) -> None:
    line = f"witness worm {NEW} {URL}"
    after = parse_trust(next_text(trust, [line, "archiver worm"]))
    assert after.tlog.witnesses[3].vkey == NEW
    other = [f"witness worm-2 {NEW} {URL}", "archiver worm-2"]
    with pytest.raises(RefusedError, match="not met by the names of this one"):
        next_text(trust, other)


def test_a_quorum_that_the_names_of_now_do_not_meet_is_refused(trust: Trust) -> None:
    """Records behind the trust record in its own commit were cosigned under the old names."""
    grown = parse_trust(next_text(trust, [f"witness w-new {NEW} {URL}"]))
    with pytest.raises(RefusedError, match="nothing was written"):
        next_text(
            trust,
            [f"witness w-new {NEW} {URL}", "group people all w-sec w-plat w-audit w-new"],
        )
    next_text(grown, ["group people all w-sec w-plat w-audit w-new"])


@pytest.mark.parametrize("line", ["", "witness w-sec", "submitter broker x", "group nobody 1 x"])
def test_what_is_no_line_of_a_cosigner_is_refused(trust: Trust, line: str) -> None:
    with pytest.raises(MalformedError):
        next_text(trust, [line])


def test_the_level_alone_may_change(trust: Trust) -> None:
    after = parse_trust(next_text(trust, level="archived"))
    assert (after.level, after.tlog.text) == (Level.ARCHIVED, trust.tlog.text)


def test_the_joint_policy_is_met_only_by_what_meets_the_old_and_the_new(trust: Trust) -> None:
    lines = [f"witness w-sec {NEW} {URL}"]
    after = parse_trust(next_text(trust, lines))
    joint = parse_policy(both(trust.tlog, after.tlog))
    everybody = {each.name for each in joint.witnesses}
    assert everybody == {"w-sec", "w-sec.next", "w-plat", "w-audit", "worm"}
    assert joint.quorum_met(everybody)
    for missing in everybody:
        assert not joint.quorum_met(everybody - {missing})
    keys = {each.name: each for each in joint.witnesses}
    assert keys["w-sec.next"].vkey == NEW
    assert keys["w-sec.next"].url == URL
    assert keys["w-sec"].vkey == trust.tlog.witnesses[0].vkey


# --- who could do what --------------------------------------------------------------------------


def installation(trust: Trust, **hosts: str) -> Installation:
    """Everything on this host but what is named; names with ``_`` for ``-``."""
    at = {name.replace("_", "-"): host for name, host in hosts.items()}
    rooms = [("ledger", ""), ("broker", ""), ("monitor", "")]
    rooms += [("witness", name) for name in ("w-sec", "w-plat", "w-audit")]
    rooms += [("archiver", "worm"), ("maintainer", "ana"), ("maintainer", "ben")]
    holdings = tuple(
        Holding(room, name, at.get(name or room, HERE), "root") for room, name in rooms
    )
    archive = Archive(at.get("worm", HERE), "/srv/archive", locked=False, outcome="held")
    return Installation(trust, holdings, archive)


def by(found: Installation) -> dict[str, tuple[str, ...]]:
    return {each.name: each.by for each in powers(found)}


def test_on_one_host_root_can_do_everything_and_the_second_host_comes_first(trust: Trust) -> None:
    found = installation(trust)
    assert {name: hosts for name, hosts in by(found).items() if hosts != (HERE,)} == {"mint": ()}
    assert next_step(found, 1).name == "second_host"


def test_the_archiver_elsewhere_is_what_a_quorum_takes(trust: Trust) -> None:
    only_witness = installation(trust, w_sec=ELSEWHERE)
    assert by(only_witness)["rewrite"] == (HERE,)  # two witnesses and the archiver are left
    only_archiver = installation(trust, worm=ELSEWHERE)
    assert by(only_archiver)["rewrite"] == ()
    assert by(only_archiver)["lose_all"] == ()
    assert by(only_archiver)["erase"] == (ELSEWHERE,)


def test_the_log_key_beside_a_quorum_is_what_forging_takes_wherever_that_is(trust: Trust) -> None:
    there = dict.fromkeys(("w_sec", "w_plat", "worm"), ELSEWHERE)
    assert by(installation(trust, **there))["rewrite"] == ()
    assert by(installation(trust, **there, ledger=ELSEWHERE))["rewrite"] == (ELSEWHERE,)


def test_the_hosts_that_must_fall_together_are_named(trust: Trust) -> None:
    found = installation(trust, worm=ELSEWHERE)
    said = next(each for each in powers(found) if each.name == "rewrite").said
    assert said == f"no one host; {HERE} and {ELSEWHERE} together"


def test_what_cannot_be_seen_is_nobodys_power_and_never_a_comfort(trust: Trust) -> None:
    found = installation(trust, monitor=UNSEEN, w_sec=UNSEEN)
    silence = next(each for each in powers(found) if each.name == "silence")
    assert (silence.by, silence.said) == ((), "a host not seen from here")
    edit = next(each for each in powers(found) if each.name == "edit")
    assert edit.noticed == "no other host"  # not by one whom we only suppose elsewhere


def test_the_next_step_follows_from_what_is_left(trust: Trust) -> None:
    moved = installation(trust, worm=ELSEWHERE, w_sec=ELSEWHERE)
    assert next_step(moved, 1).name == "second_maintainer"
    apart = installation(trust, worm=ELSEWHERE, w_sec=ELSEWHERE, ben=UNSEEN)
    assert next_step(apart, 1).name == "object_lock"
    locked = replace(apart, archive=replace(apart.archive, where="s3://b/", locked=True))
    assert by(locked)["erase"] == ()
    assert next_step(locked, 1).name == "channels"
    assert next_step(locked, 2).name == "monitor"
    away = installation(trust, worm=ELSEWHERE, ben=UNSEEN, monitor="10.0.0.5")
    away = replace(away, archive=locked.archive)
    assert next_step(away, 2).name == "none"
