"""What the fold forgets: after how long, how a late comer is told, and that nobody gains by it."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest

from breakglass.records import all_kinds as kinds
from breakglass.records.fold.fold import Judged, fold
from breakglass.records.fold.slices import grant_table
from breakglass.records.fold.slices.grant_ids import GrantIds, id_of, number_of
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.grant import EndedWhy
from breakglass.records.kinds.answered import Reply
from breakglass.records.kinds.bypassed import GateState
from breakglass.records.kinds.incident import IncidentChange
from breakglass.records.record_reader import parse_record
from breakglass.records.statement import Do, Target, digest_of

from ..kit.organisation import SECOND, SKEW, Broken, Organisation, signer
from ..kit.twins import Twins, alike
from .folding import (
    MINUTE,
    begun,
    broken_digest,
    ended,
    holds,
    minted,
    orders,
    pulse,
    refused,
    void,
)

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MINTER, GATE = "minter:orders-db", "gate:deploy-approval"


def later(org: Organisation, by: timedelta) -> None:
    """Let time pass, and let the log see that it has."""
    org.now += by
    holds(pulse(org))


def checked(org: Organisation) -> Twins:
    return alike(org.genesis, org.log.entries())


def lived(org: Organisation, **how: Any) -> Broken:
    """Break a glass, use it, end it and show that access is gone."""
    broken = orders(org, **how)
    holds(minted(org, broken))
    org.now = broken.intent.not_after
    holds(ended(org, broken.grant, EndedWhy.EXPIRED, role=MINTER))
    holds(dead(org, broken))
    return broken


def dead(org: Organisation, broken: Broken) -> Judged:
    return org.state_that(MINTER, kinds.Dead(broken.grant, "", 1, 0, ()))


def opened(org: Organisation) -> Broken:
    """Break a glass without a credential, open a gate with it, and end it."""
    card = org.state.governance.cards["deploy-rollback"].note
    broken = org.break_glass(statement={"nonce": "0e" * 16, "at": org.now}, card=card)
    holds(bypass(org, broken))
    org.now = broken.intent.not_after
    holds(ended(org, broken.grant, EndedWhy.EXPIRED))
    return broken


def bypass(org: Organisation, broken: Broken, run: str = "42", **how: Any) -> Judged:
    shown = org.token(broken, run).presentation
    assert shown is not None
    digest = broken_digest(broken)
    body = kinds.Bypassed("deploy-approval", broken.grant, digest, run, GateState.FAILED, "", shown)
    return org.state_that(GATE, body, **how)


def suspended(org: Organisation, active: bool, nonce: str) -> tuple[kinds.Suspended, Judged]:
    do = Do.KILL if active else Do.LIFT
    said = org.kill(Target.PERSON, "mira", do=do, nonce=nonce, at=org.now)
    body = kinds.Suspended(Target.PERSON, "mira", active, org.sign(said))
    return body, org.state_that("broker", body)


def test_a_used_word_is_forgotten_after_two_days_and_never_taken_again() -> None:
    """(F-80) A key stolen two months later, a chain without a past, a gap, and an old lift."""
    org = begun()
    holds(suspended(org, True, "a1" * 16)[1])
    org.now += DAY
    then, (lift, judged) = org.now, suspended(org, False, "a2" * 16)
    holds(judged)
    org.now += 30 * DAY
    holds(suspended(org, True, "a3" * 16)[1])
    org.now += 30 * DAY
    second = signer("broker-b.shop.example")
    text = org.trust_text(version="2") + f"submitter broker {second.verifier}\n"
    file = org.people_sign(text, "breakglass-trust@v1")
    holds(org.state_that("broker", kinds.TrustActivated(2, digest_of(text)), attachments=[file]))
    org.submitters["broker-b"] = second
    later(org, 2 * DAY)
    assert org.state.statements.nonces == {}
    gap = kinds.Gap(then, then + 5 * MINUTE, "the ledger was away", 1, 2)
    holds(org.state_that("broker-b", gap, envelope={"at": then}))
    void(org.state_that("broker-b", lift, envelope={"at": then}), "late")
    void(org.state_that("broker-b", lift), "statement_old")
    assert ("person", "mira") in org.state.governance.suspended
    checked(org)


def test_a_nonce_stays_for_two_days_of_the_folds_own_time() -> None:
    """(F-80)"""
    org = begun()
    org.break_glass(statement={"nonce": "cd" * 16})
    org.now += 47 * HOUR
    later(org, HOUR)
    assert ("mira", "cd" * 16) in org.state.statements.nonces
    later(org, 24 * HOUR)
    assert ("mira", "cd" * 16) not in org.state.statements.nonces


def test_a_word_of_before_what_is_remembered_is_void_by_its_age() -> None:
    """(F-80) Here the clocks of a submitter and of a quorum of witnesses went back for a moment."""
    org = begun()
    asked = org.asked(org.sign(org.statement(do=Do.ASK, glass="orders-repair")))
    holds(org.state_that("broker", asked))
    broken = org.break_glass(statement={"nonce": "ab" * 16})
    holds(org.judged[-1])
    then = org.now
    later(org, 48 * HOUR + SECOND)
    org.now = then
    void(org.state_that("broker", asked), "statement_old")
    void(org.state_that("broker", refused(org, asked.statement)), "statement_old")
    org.break_glass(said=broken.statement, signed=broken.signed)
    void(org.judged[-1], "statement_old")
    checked(org)


def test_a_withdrawal_is_two_days_old_at_most() -> None:
    """(F-80)"""
    org = begun()
    asked = org.asked(org.sign(org.statement(do=Do.ASK, glass="orders-repair")))
    holds(org.state_that("broker", asked))
    digest = digest_of(asked.statement.text)
    for at, name in ((org.now - 48 * HOUR - SECOND, "statement_old"), (org.now - 48 * HOUR, "")):
        said = org.answer(digest, do=Do.WITHDRAW, who="mira", at=at)
        judged = org.state_that("broker", kinds.Withdrawn(asked.grant, org.sign(said)))
        assert judged.void == name


def test_asks_and_refusals_are_gone_after_two_days() -> None:
    """(F-80) Whatever became of them; a late answer to one finds nobody that waits."""
    org = begun()
    waits = org.asked(org.sign(org.statement(do=Do.ASK, glass="orders-repair")))
    holds(org.state_that("broker", waits))
    no = org.sign(org.statement(nonce="ab" * 16))
    holds(org.state_that("broker", refused(org, no)))
    other = org.asked(org.sign(org.statement(do=Do.ASK, nonce="bb" * 16)))
    holds(org.state_that("broker", other))
    word = org.answer(digest_of(other.statement.text), do=Do.REFUSE, who="sam")
    answer = kinds.Answered(other.grant, Reply.NO, org.sign(word), ())
    holds(org.state_that("broker", answer))
    grants = org.state.grants
    assert all((grants.asked, grants.refused, grants.ended_asks, grants.last_ask))
    later(org, 3 * DAY)
    assert not any((grants.asked, grants.refused, grants.ended_asks, grants.last_ask))
    silent = kinds.Answered(waits.grant, Reply.NOBODY, None, ())
    void(org.state_that("broker", silent), "no_grant")
    void(org.state_that("broker", replace(answer, grant=other.grant)), "no_grant")
    checked(org)


def test_an_ask_is_not_found_from_the_second_in_which_it_is_old() -> None:
    """(F-80) The sweep may come hours later; what is judged does not wait for it."""
    org = begun()
    org.now += timedelta(hours=1)  # 04:14: no day begins between
    asked = org.asked(org.sign(org.statement(do=Do.ASK, glass="orders-repair", at=org.now)))
    holds(org.state_that("broker", asked))
    later(org, 48 * HOUR)
    silent = kinds.Answered(asked.grant, Reply.NOBODY, None, ())
    void(org.state_that("broker", silent), "not_paged")
    later(org, SECOND)
    assert asked.grant in org.state.grants.asked
    void(org.state_that("broker", silent), "no_grant")
    checked(org)


def test_a_withdrawal_is_of_no_time_that_has_not_come() -> None:
    """(F-80) Its nonce would be kept until then."""
    org = begun()
    asked = org.asked(org.sign(org.statement(do=Do.ASK, glass="orders-repair")))
    holds(org.state_that("broker", asked))
    digest = digest_of(asked.statement.text)
    for at, name in ((org.now + SKEW + SECOND, "statement_old"), (org.now + SKEW, "")):
        said = org.answer(digest, do=Do.WITHDRAW, who="mira", at=at)
        judged = org.state_that("broker", kinds.Withdrawn(asked.grant, org.sign(said)))
        assert judged.void == name


def test_a_finished_grant_shrinks_and_answers_as_before() -> None:
    """(F-81)"""
    org = begun()
    first, second = lived(org), opened(org)
    grants = org.state.grants.by_id
    whole = {name: grants[name] for name in (first.grant, second.grant)}
    assert all(each.intent is not None for each in whole.values())
    later(org, DAY)
    assert grants.running == {}
    for name, before in whole.items():
        assert grants[name] == replace(before, intent=None, note=b"", card=None)
        assert len(grants.finished[number_of(name)]) < 800
    void(minted(org, first), "after_end")
    void(dead(org, first), "lost_race", quiet=True)
    void(org.state_that("minter:orders-db", kinds.Usable(second.grant, "", 1)), "role")
    leaf = org.log.leaves[first.index].hex()
    justified = kinds.Justified(first.grant, leaf, first.index, first.intent.policy)
    void(org.state_that("monitor", replace(justified, leaf="ab" * 32)), "mismatch")
    holds(org.state_that("monitor", justified))
    assert grants[first.grant].justified
    times = ("not_before", "not_after", "review_by")
    same = {name: getattr(first.intent, name) for name in times}
    org.break_glass(said=first.statement, signed=first.signed, intent=same)
    void(org.judged[-1], "lost_race", quiet=True)
    org.break_glass(said=first.statement, signed=first.signed)
    void(org.judged[-1], "id_taken")
    later(org, 2 * DAY)
    org.break_glass(said=first.statement, signed=first.signed, intent=same)
    void(org.judged[-1], "statement_old")
    checked(org)


def test_a_late_bypass_counts_for_a_grant_that_has_shrunk() -> None:
    """(F-81) A gate that was away for days tells of what it opened."""
    org = begun()
    broken = org.break_glass()
    org.now += MINUTE
    then, shown = org.now, org.token(broken, "42").presentation
    assert shown is not None
    org.now = broken.intent.not_after
    holds(ended(org, broken.grant, EndedWhy.EXPIRED))
    later(org, 5 * DAY)
    assert broken.grant not in org.state.grants.by_id.running
    gap = kinds.Gap(then, org.now, "the ledger was away", 1, 3)
    holds(org.state_that(GATE, gap, envelope={"at": then}))
    said = kinds.Bypassed(
        "deploy-approval",
        broken.grant,
        broken_digest(broken),
        "42",
        GateState.FAILED,
        "",
        shown,
    )
    holds(org.state_that(GATE, said, envelope={"at": then}))
    assert org.state.grants.by_id[broken.grant].runs == {("deploy-approval", "42")}
    void(org.state_that(GATE, said, envelope={"at": then}), "lost_race", quiet=True)
    later(org, DAY)
    assert broken.grant not in org.state.grants.by_id.running
    assert org.state.grants.by_id[broken.grant].bypasses == 1
    checked(org)


def test_every_record_of_a_grant_that_has_left_is_closed_and_quiet() -> None:
    """(F-81) `no_grant` would ring, and accuse a gate that was away for a month."""
    org = begun(door="yes")
    first, second = lived(org), opened(org)
    over = first.intent.review_by + 30 * DAY
    org.now = over
    holds(pulse(org))
    void(minted(org, first), "after_end")
    org.now = over + 2 * HOUR  # behind the second's, too
    holds(pulse(org))
    leaf = org.log.leaves[first.index].hex()
    kill = org.sign(org.kill(Target.GRANT, first.grant, at=org.now, nonce="f1" * 16))
    late: list[tuple[str, Any]] = [
        (MINTER, kinds.Minted(first.grant, "postgres", "x", {}, first.intent.not_after, 3)),
        (MINTER, kinds.Usable(first.grant, "", 1)),
        (MINTER, kinds.Ended(first.grant, EndedWhy.EXPIRED, "", None)),
        (MINTER, kinds.Dead(first.grant, "", 1, 0, ())),
        ("monitor", kinds.Justified(first.grant, leaf, first.index, first.intent.policy)),
        ("broker", kinds.Answered(first.grant, Reply.NOBODY, None, ())),
        ("broker", kinds.Withdrawn(first.grant, kill)),
        ("broker", kinds.Suspended(Target.GRANT, first.grant, True, kill)),
        (
            GATE,
            kinds.Door(
                first.grant,
                "ab" * 32,
                "mira",
                "orders-repair",
                "42",
                org.now,
                ("ines", "ravi"),
                "away",
            ),
        ),
    ]
    for swept in (False, True):
        for role, body in late:
            void(org.state_that(role, body), "closed", quiet=True)
        void(bypass(org, second), "closed", quiet=True)
        assert (first.grant in org.state.grants.by_id) is not swept
        if not swept:
            later(org, DAY)
            kill = org.sign(org.kill(Target.GRANT, first.grant, at=org.now, nonce="f2" * 16))
            late[6:8] = [
                ("broker", kinds.Withdrawn(first.grant, kill)),
                ("broker", kinds.Suspended(Target.GRANT, first.grant, True, kill)),
            ]
    assert org.state.grants.by_id == {}
    assert len(org.state.grants.closed) == 2
    void(org.state_that(MINTER, kinds.Dead("g-aaaaaaaaaaaa", "", 1, 0, ())), "no_grant")
    checked(org)


def test_what_stopped_a_grant_leaves_with_it_and_a_person_stays_stopped() -> None:
    """(F-81)"""
    org = begun()
    broken = orders(org)
    kill = org.sign(org.kill(Target.GRANT, broken.grant, nonce="f1" * 16))
    holds(org.state_that("broker", kinds.Suspended(Target.GRANT, broken.grant, True, kill)))
    holds(suspended(org, True, "f2" * 16)[1])
    early = org.sign(org.kill(Target.GRANT, "g-aaaaaaaaaaaa", nonce="f3" * 16))
    holds(org.state_that("broker", kinds.Suspended(Target.GRANT, "g-aaaaaaaaaaaa", True, early)))
    holds(ended(org, broken.grant, EndedWhy.KILLED, kill, role=MINTER))
    later(org, 60 * DAY)
    assert set(org.state.governance.suspended) == {
        ("person", "mira"),
        ("grant", "g-aaaaaaaaaaaa"),  # of a wish that never came: it would stop that one still
    }
    checked(org)


def test_a_grant_that_never_finished_stays() -> None:
    """(F-81) It is debt, and somebody is rung for it."""
    org = begun()
    broken, killed = orders(org), orders(org, statement={"nonce": "ab" * 16})
    holds(minted(org, broken))
    org.now = broken.intent.not_after
    holds(ended(org, broken.grant, EndedWhy.EXPIRED, role=MINTER))
    later(org, 90 * DAY)
    assert set(org.state.grants.by_id.running) == {broken.grant, killed.grant}
    holds(dead(org, broken))
    checked(org)


def test_a_door_leaves_with_its_grant_and_one_without_its_intent_stays() -> None:
    """(F-82)"""
    org = begun(door="yes")
    note = org.door_intent()
    intent, digest = parse_record(note).body, parse_record(note).text_digest
    told = kinds.Door(
        intent.grant, digest, "mira", intent.glass, "42", intent.not_after, ("ines", "ravi"), "away"
    )
    holds(org.state_that(GATE, told))
    holds(org.state_that(GATE, replace(told, intent="ab" * 32)))
    holds(org.append(note))
    org.now = intent.not_after
    holds(ended(org, intent.grant, EndedWhy.EXPIRED))
    later(org, 60 * DAY)
    assert set(org.state.gates.doors) == {"ab" * 32}
    assert [each.intent for each in org.state.unappended_doors()] == ["ab" * 32]
    void(org.state_that(GATE, replace(told, run="43", not_after=org.now)), "closed", quiet=True)
    checked(org)


def test_an_incident_that_closed_a_month_ago_is_none() -> None:
    """(F-83)"""
    org = begun()

    def close() -> Judged:
        said = org.declare(do=Do.CLOSE, nonce=f"{org.state.size:032x}", at=org.now)
        body = kinds.Incident(
            said.incident,
            IncidentChange.CLOSED,
            said.severity,
            said.title,
            "breakglass",
            True,
            org.sign(said),
        )
        return org.state_that("broker", body)

    holds(close())
    later(org, 30 * DAY)
    void(close(), "lost_race", quiet=True)
    later(org, SECOND)
    void(close(), "no_incident")
    later(org, DAY)
    assert org.state.incidents.by_id == {}
    checked(org)


def test_the_log_alone_says_when_the_fold_forgets() -> None:
    """(F-84) Whoever folds it whole has the same state, and a trial drops nothing."""
    org = begun()
    lived(org)
    opened(org)
    for _ in range(4):
        later(org, 20 * DAY)
    assert fold(org.genesis, org.log.entries()).digest() == org.state.digest()
    trial = org.state.trial(org.submitters["monitor"].verifier.label)
    assert not trial.forgets
    assert len(org.state.grants.closed) == 2
    checked(org)


def test_the_digest_covers_what_is_kept() -> None:
    """(F-84)"""
    org = begun()
    broken = lived(org)
    later(org, DAY)
    before = org.state.digest()
    key, used = next(iter(org.state.statements.nonces.items()))
    org.state.statements.nonces[key] = replace(used, digest="ab" * 32)
    assert org.state.digest() != before
    org.state.statements.nonces[key] = used
    assert org.state.digest() == before
    org.state.grants.by_id[broken.grant] = replace(
        org.state.grants.by_id[broken.grant], runs=frozenset({("a", "b")})
    )
    assert org.state.digest() != before


def test_a_shrunk_grant_holds_every_field_but_what_can_be_read_again() -> None:
    named = {*grant_table.TEXTS, *grant_table.DIGESTS, *grant_table.TIMES, *grant_table.PLAIN}
    named |= {"grant", "at", "path", "tier", "ended", "scope", "gates", "labels", "runs"}
    assert {each.name for each in fields(GrantState)} - named == {"intent", "note", "card"}


@pytest.mark.parametrize("text", ["", "g-", "g-aaaaaaaaaaa1", "h-aaaaaaaaaaaa", "g-aaaaaaaaaaaaa"])
def test_what_is_no_id_is_in_no_set_of_grants(text: str) -> None:
    assert number_of(text) == -1
    assert text not in GrantIds([0])


def test_a_set_of_grant_ids_has_one_form() -> None:
    ids = GrantIds([5, 3, 5])
    ids.add([4, 3])
    assert [id_of(each) in ids for each in (3, 4, 5, 6)] == [True, True, True, False]
    assert (len(ids), GrantIds.read_form(ids.form())) == (3, ids)
    backward = "AAAAAAAAAAUAAAAAAAAAAw=="
    for text in ("AAAA", backward, "!"):
        with pytest.raises(ValueError, match=r"grant ids|base64|alphabet"):
            GrantIds.read_form(text)
