"""Policies and trust files take force through the broker, or nothing is written at all."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from breakglass.errors import BreakglassError, MalformedError, RefusedError, UnprovenError
from breakglass.policy.bundle import PACKED_BYTES_AT_MOST, bundle_digest, pack_bundle
from breakglass.records.policy_note import parse_policy_note, policy_text
from breakglass.records.signing.signature import POLICY_NAMESPACE, TRUST_NAMESPACE
from breakglass.tlog.note import Note
from tests.broker.shop import ORIGIN, Shop
from tests.kit.processes import until


@pytest.fixture(autouse=True)
def _nothing_void(shop: Shop) -> Iterator[None]:
    before = len(shop.void())
    yield
    assert shop.void()[before:] == []


def test_activating_the_same_policy_again_is_no_second_record(shop: Shop) -> None:
    written = shop.written_from_now()
    assert shop.post("/policy", shop.active)["version"] == shop.version
    assert written() == []


def test_a_new_policy_takes_force_with_its_cards_and_the_old_statement_is_refused(
    shop: Shop,
) -> None:
    old = shop.asking("deploy-rollback")
    shop.version += 1
    shop.does = f"repair rows, as version {shop.version} says"
    answer = shop.activate()
    assert answer["version"] == shop.version
    glasses = shop.get("/glasses")
    assert glasses["version"] == shop.version
    assert len(glasses["glasses"]) == 3
    with pytest.raises(RefusedError) as caught:
        shop.break_glass(old)
    assert caught.value.name == "wrong_policy"
    shop.break_glass(shop.asking("deploy-rollback"))


def test_cards_are_renewed_under_the_policy_that_stands(shop: Shop) -> None:
    before = {each["glass"]: each["card_expires"] for each in shop.get("/glasses")["glasses"]}
    asking = shop.asking()
    token = shop.recorded(asking).encoded()
    renewed = {**shop.active, "cards": shop.activation()["cards"]}
    shop.post("/policy", renewed)
    after = {each["glass"]: each["card_expires"] for each in shop.get("/glasses")["glasses"]}
    assert all(after[glass] > before[glass] for glass in before)
    # A minter takes the newest activated card alone; a token of the card before is too old for it.
    until(lambda: shop.minter_size() >= shop.get("/state")["size"])
    with pytest.raises(RefusedError) as caught:
        shop.mint(token)
    assert caught.value.name == "old_card"
    with pytest.raises(RefusedError) as older:
        shop.post("/policy", shop.active)
    assert older.value.name in ("card_order", "id_taken")
    shop.active = renewed


def test_what_the_fold_would_not_take_is_never_written(shop: Shop) -> None:
    written = shop.written_from_now()
    shop.version += 1
    good = shop.activation()
    shop.version -= 1
    old = shop.activation()
    alone = Note.parse(good["note"].encode())
    one_signature = Note(alone.text, alone.lines[:1]).encoded().decode()
    packed = pack_bundle({"breakglass.yaml": b"version: x\n"})
    broken = {
        **good,
        "note": _signed_again(shop, alone, bundle=bundle_digest(packed)),
        "bundle": base64.b64encode(packed).decode(),
    }
    cases = {
        "one maintainer": ({**good, "note": one_signature}, UnprovenError, RefusedError),
        "an older version": (old, RefusedError, RefusedError),
        "another bundle": ({**good, "bundle": old["bundle"]}, RefusedError, RefusedError),
        "a broken bundle": (broken, MalformedError, MalformedError),
        "other cards": ({**good, "cards": old["cards"]}, RefusedError, RefusedError),
        "no note": ({**good, "note": "x"}, MalformedError, MalformedError),
        "no base64": ({**good, "bundle": "===="}, MalformedError, MalformedError),
    }
    for name, (body, *kinds) in cases.items():
        with pytest.raises(BreakglassError) as caught:
            shop.post("/policy", body)
        assert isinstance(caught.value, tuple(kinds)), (name, caught.value)
    assert written() == []


def test_nothing_is_compiled_for_who_is_no_threshold_of_maintainers(shop: Shop) -> None:
    written = shop.written_from_now()
    old = shop.active
    shop.version += 1
    good = shop.activation()
    shop.version -= 1
    note = Note.parse(good["note"].encode())
    # This bundle does not compile: whoever hears that had it compiled.
    broken = base64.b64encode(pack_bundle({"breakglass.yaml": b"version: x\n"})).decode()
    other_log = note.text.replace(ORIGIN, "elsewhere.example/log")
    cases = {
        "policy_signatures": Note(note.text, note.lines[:1]).encoded().decode(),
        "mismatch": good["note"],
        "wrong_log": shop.maintained(other_log, POLICY_NAMESPACE).encoded().decode(),
        "policy_order": _signed_again(shop, note, version=shop.version, commit="other"),
    }
    for name, text in cases.items():
        with pytest.raises(BreakglassError) as caught:
            shop.post("/policy", {**good, "note": text, "bundle": broken})
        assert caught.value.name == name
    with pytest.raises(RefusedError, match="not the one that was signed"):
        shop.post("/policy", {**old, "bundle": broken})
    assert written() == []


def _signed_again(shop: Shop, note: Note, **changes: Any) -> str:
    said = replace(parse_policy_note(note), **changes)
    return shop.maintained(policy_text(said), POLICY_NAMESPACE).encoded().decode()


def test_the_next_trust_file_takes_force_and_an_unsigned_one_does_not(shop: Shop) -> None:
    text = shop.trust_text(2)
    one = shop.maintained(text, TRUST_NAMESPACE, "sam").encoded().decode()
    with pytest.raises(UnprovenError):
        shop.post("/trust", {"note": one})
    skipped = shop.maintained(shop.trust_text(3), TRUST_NAMESPACE).encoded().decode()
    with pytest.raises(UnprovenError) as caught:
        shop.post("/trust", {"note": skipped})
    assert caught.value.name == "trust_order"
    both = shop.maintained(text, TRUST_NAMESPACE).encoded().decode()
    assert shop.post("/trust", {"note": both})["version"] == 2
    assert shop.post("/trust", {"note": both})["index"] is None
    shop.break_glass(shop.asking())


def test_a_trust_file_that_nobody_could_read_first_or_that_ends_cards_is_not_recorded(
    shop: Shop,
) -> None:
    """(R-24) (R-25)"""
    written, standing = shop.written_from_now(), shop.get("/state")["summary"]["trust"]
    digests = [hashlib.sha256(shop.trust_text(n).encode()).hexdigest() for n in (1, 2)]
    version = 1 + digests.index(standing)
    people = {name: key.public for name, key in shop.people.items()}
    text = shop.trust_text(version + 1)
    for change, signers, name in (
        # Given to others, who did not sign: every new client and gate would be shut out.
        ({"sam": "mira", "bo": "teo"}, ("sam", "bo"), "not_carried"),
        # They signed it too; but the cards in force carry the names of those who go.
        ({"sam": "mira"}, ("sam", "bo", "mira"), "cards_die"),
    ):
        handed = text
        for old, new in change.items():
            handed = handed.replace(
                f"maintainer {old} {people[old]}", f"maintainer {new} {people[new]}"
            )
        note = shop.maintained(handed, TRUST_NAMESPACE, *signers).encoded().decode()
        with pytest.raises(RefusedError) as caught:
            shop.post("/trust", {"note": note})
        assert caught.value.name == name
    raised = text.replace("policy-at-least 0", f"policy-at-least {shop.version + 1}")
    with pytest.raises(RefusedError, match="would end 3 of 3 glass cards") as caught:
        shop.post("/trust", {"note": shop.maintained(raised, TRUST_NAMESPACE).encoded().decode()})
    assert caught.value.name == "cards_die"
    assert written() == []


def test_the_log_began_with_the_prepared_genesis_and_trust(shop: Shop) -> None:
    kinds = [each.body.kind for each in shop.records()[:4]]
    assert kinds == ["genesis", "trust", "policy", "cards"]
    assert shop.records()[0].note.text == shop.genesis().text


def test_the_state_has_a_digest_that_says_all(shop: Shop) -> None:
    until(lambda: shop.get("/healthz")["ok"])
    state = shop.get("/state")
    assert len(state["digest"]) == 64
    assert json.dumps(state["summary"])


def test_the_bundle_in_force_is_shown_whole_to_who_reads_all(shop: Shop) -> None:
    """Maintainers sign the next one against it; who else sees it stands with the readers."""
    told = shop.get("/policy")
    assert base64.b64decode(told["bundle"]) == pack_bundle(shop.bundle())
    assert told["policy"] == shop.get("/glasses")["policy"]


def test_a_bundle_of_almost_6_mib_takes_force_and_is_read_again_after_a_restart(
    shop: Shop,
) -> None:
    shop.version += 1
    shop.padding = 5_950_000
    try:
        size = len(pack_bundle(shop.bundle()))
        assert PACKED_BYTES_AT_MOST - 64 * 1024 < size <= PACKED_BYTES_AT_MOST
        assert shop.activate()["version"] == shop.version
        assert shop.break_glass(shop.asking())["minted"]  # the minter has read it too
        shop.restart(shop.brokers[0])
        until(lambda: shop.get("/healthz")["ok"])
        assert shop.get("/glasses")["version"] == shop.version
    finally:
        shop.padding = 0
        shop.version += 1
        shop.activate()


def test_a_bundle_over_6_mib_is_refused_by_that_number_and_never_written(shop: Shop) -> None:
    written = shop.written_from_now()
    cases = {1: "at most 8388608 characters", 1024: "at most 8388608 characters"}
    for more, says in cases.items():
        bundle = base64.b64encode(bytes(PACKED_BYTES_AT_MOST + more)).decode()
        with pytest.raises(MalformedError, match=says):
            shop.post("/policy", {**shop.active, "bundle": bundle})
    assert written() == []
