"""``kinds N``: what a trust file puts in force, and key ids that nobody takes twice."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from breakglass.errors import MalformedError, UnprovenError
from breakglass.records import all_kinds as kinds
from breakglass.records import kind_sets
from breakglass.records.fold.fold import apply, fold
from breakglass.records.fold.kind_registry import Registry
from breakglass.records.grant import EndedWhy, Path
from breakglass.records.kind_sets import UnknownKindsError
from breakglass.records.kinds.answered import Reply
from breakglass.records.statement import Do, Target, digest_of
from breakglass.records.trust import accept_trust, parse_trust
from breakglass.tlog.note import Note, SignerKey
from tests.records.folding import begun, holds, pulse, void

from ..kit.older_kinds import SET_1
from ..kit.organisation import SECOND, Organisation


@pytest.fixture
def set_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be the release that knows set 1 alone."""
    monkeypatch.setattr(kind_sets, "NEWEST", 1)
    monkeypatch.setattr("breakglass.records.fold.fold.KINDS", SET_1)


def activate(org: Organisation, text: str) -> Any:
    version = parse_trust(text).version
    file = org.people_sign(text, "breakglass-trust@v1")
    return org.state_that(
        "broker", kinds.TrustActivated(version, digest_of(text)), attachments=[file]
    )


@pytest.mark.parametrize(("first", "second"), [("2", "1"), ("1", "3")])
def test_kinds_rise_by_one_and_never_go_down(first: str, second: str) -> None:
    """(R-21) Who was there would keep what it judged, and who comes later judge otherwise."""
    org = Organisation()
    standing = parse_trust(org.trust_text(kinds=first))
    with pytest.raises(UnprovenError, match="rise by one") as said:
        accept_trust(Note.parse(org.trust_note(version="2", kinds=second)), standing)
    assert said.value.name == "trust_order"


@pytest.mark.parametrize("changes", [{"kinds": None}, {"kinds": "0"}, {"kinds": "01"}])
def test_a_trust_file_says_once_which_kinds(changes: dict[str, str | None]) -> None:
    """(R-21)"""
    with pytest.raises(MalformedError) as said:
        parse_trust(Organisation().trust_text(**changes))
    assert said.value.name == "bad_trust"


def test_a_party_takes_no_trust_file_of_kinds_that_it_does_not_know() -> None:
    """(R-21)"""
    org = Organisation()
    standing = parse_trust(org.trust_text(kinds="3"))
    with pytest.raises(UnknownKindsError, match=r"puts kinds 4 in force.* kinds 3 at most") as said:
        accept_trust(Note.parse(org.trust_note(version="2", kinds="4")), standing)
    assert (said.value.exit_code, said.value.name) == (6, "kinds_unknown")
    with pytest.raises(UnknownKindsError):
        accept_trust(Note.parse(org.trust_note(kinds="4")), None)


def test_the_fold_stops_at_kinds_that_it_does_not_know_with_the_digest_of_before(
    set_1: None,
) -> None:
    """(F-76)"""
    org = begun()
    before, size = org.state.digest(), org.state.size
    with pytest.raises(UnknownKindsError):
        activate(org, org.trust_text(version="2", kinds="2"))
    assert (org.state.digest(), org.state.size) == (before, size)
    with pytest.raises(UnknownKindsError):
        apply(org.state, org.log.entries(size)[0])
    with pytest.raises(UnknownKindsError):
        fold(org.genesis, org.log.entries())


def test_a_trust_record_that_does_not_hold_stops_nobody() -> None:
    """(F-76) One maintainer cannot stop every process."""
    org = begun()
    text = org.trust_text(version="2", kinds="2")
    one = {"ana": org.maintainers["ana"]}
    file = org.people_sign(text, "breakglass-trust@v1", one)
    body = kinds.TrustActivated(2, digest_of(text))
    void(org.state_that("broker", body, attachments=[file]), "trust_signatures")
    whole = org.people_sign(text, "breakglass-trust@v1")
    other = kinds.TrustActivated(2, "ab" * 32)
    void(org.state_that("broker", other, attachments=[whole]), "mismatch")
    holds(pulse(org))


def test_a_kind_needs_a_name_of_its_own_and_a_set_that_is_known() -> None:
    rules = kinds.KINDS.rules
    with pytest.raises(ValueError, match="one name"):
        Registry((*rules, rules[0]))


def test_a_kind_of_a_later_set_is_unknown_under_an_earlier_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """(F-75) Two processes of two releases: tests/broker/test_kind_sets.py."""
    later = replace(kinds.KINDS.by_name["policy"], since=2)
    others = [each for each in kinds.KINDS.rules if each.form.kind != "policy"]
    registry = Registry((*others, later))
    assert registry.in_force("policy", 1, 1) is None
    assert registry.in_force("policy", 1, 2) is later
    assert registry.in_force("policy", 2, 2) is None
    assert (registry.reads("policy", 1), registry.reads("policy", 2)) == (False, True)
    monkeypatch.setattr(kind_sets, "NEWEST", 1)
    with pytest.raises(ValueError, match="above NEWEST"):
        Registry((*others, later))


def log_of_set_1() -> Organisation:
    """Return a log of kinds 1 with everything in it that set 2 judges otherwise."""
    org = begun(killers=("sam", "noor"))
    signed = org.sign(org.statement(do=Do.ASK, nonce="a5" * 16))
    holds(org.state_that("broker", org.asked(signed, path=Path.JIT)))
    yes = org.sign(org.answer(digest_of(signed.text), nonce="b1" * 16))
    ask = org.asked(signed).grant
    holds(org.state_that("broker", kinds.Answered(ask, Reply.YES, yes, ())))
    for who, nonce in (("mira", "e1"), ("sam", "e2")):
        kill = org.sign(org.kill(Target.PERSON, who, who="noor", nonce=nonce * 16))
        holds(org.state_that("broker", kinds.Suspended(Target.PERSON, who, True, kill)))
    holds(org.state_that("monitor", kinds.Roster("oncall", (), "file:x", org.now), "roster/1"))
    word = org.sign(org.kill_all("noor"))
    holds(org.state_that("broker", kinds.AllSuspended(True, word), "all/1"))
    broken = org.break_glass(statement={"who": "teo"})
    held = kinds.Ended(broken.grant, EndedWhy.KILLED, "", word)
    void(org.state_that("broker", held), "malformed")
    # A word of set 2 wherever one of set 1 is wanted.
    void(org.state_that("broker", replace(org.asked(signed), statement=word)), "malformed")
    yes_of_all = kinds.Answered(ask, Reply.YES, word, ())
    void(org.state_that("broker", yes_of_all, "answered/all"), "malformed")
    for body in (kinds.Withdrawn(ask, word), kinds.Suspended(Target.PERSON, "bo", True, word)):
        void(org.state_that("broker", body, f"{body.kind}/all"), "malformed")
    org.break_glass(statement={"who": "teo", "nonce": "a7" * 16}, approvals=(word,))
    void(org.judged[-1], "malformed")
    org.break_glass(statement={"who": "teo", "nonce": "a8" * 16}, signed=word)
    void(org.judged[-1], "malformed")
    org.now += SECOND
    assert org.state.grants.asked[ask].answers
    return org


def test_a_log_of_set_1_folds_alike_in_the_release_that_knows_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """(F-75)"""
    org = log_of_set_1()
    today = fold(org.genesis, org.log.entries())
    with monkeypatch.context() as older:
        older.setattr(kind_sets, "NEWEST", 1)
        older.setattr("breakglass.records.fold.fold.KINDS", SET_1)
        then = fold(org.genesis, org.log.entries())
    assert then.digest() == today.digest()


def two_of_one_key_id() -> tuple[SignerKey, SignerKey]:
    """Find names that give two keys one id, as whoever wants another's place would."""
    seeds = [hashlib.sha256(each).digest() for each in (b"ours", b"theirs")]
    found: dict[bytes, str] = {}
    publics = [SignerKey("x.example", 1, seed).verifier.public for seed in seeds]
    for number in count():
        name = f"gate-{number}.shop.example"
        for which, public in enumerate(publics):
            key_id = hashlib.sha256(name.encode() + b"\n\x01" + public).digest()[:4]
            if which == 0:
                found[key_id] = name
            elif key_id in found and found[key_id] != name:
                return SignerKey(found[key_id], 1, seeds[0]), SignerKey(name, 1, seeds[1])
    raise AssertionError


def test_no_two_submitters_have_one_key_id_retired_ones_included() -> None:
    """(R-6) (F-77) Four bytes: a name was found that gives any key the broker's id."""
    ours, theirs = two_of_one_key_id()
    assert ours.verifier.key_id == theirs.verifier.key_id
    org = begun()
    lines = f"submitter gate:one {ours.verifier}\nsubmitter gate:two {theirs.verifier}\n"
    with pytest.raises(MalformedError, match=r"key id .* already exists") as said:
        parse_trust(org.trust_text() + lines)
    assert said.value.name == "bad_trust"
    second = org.trust_text(version="2") + f"submitter gate:one {ours.verifier}\n"
    holds(activate(org, second))
    holds(activate(org, org.trust_text(version="3")))
    taken = org.trust_text(version="4") + f"submitter gate:two {theirs.verifier}\n"
    void(activate(org, taken), "key_id_taken")
    back = org.trust_text(version="4") + f"submitter gate:one {ours.verifier}\n"
    holds(activate(org, back))
