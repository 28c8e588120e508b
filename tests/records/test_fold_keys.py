"""A key that follows another: the record, the trust files around it, and who still counts."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

from breakglass.errors import MalformedError, MisconfiguredError, UnprovenError
from breakglass.node.first_trust import first_trust
from breakglass.records import all_kinds as kinds
from breakglass.records.fold.fold import Judged
from breakglass.records.key_rollover import Handover
from breakglass.records.record import Attachment
from breakglass.records.statement import digest_of
from breakglass.records.trust import Trust, accept_trust, parse_trust
from breakglass.records.trust_lines import next_text, with_both, with_one
from breakglass.tlog.note import ED25519, Note, SignerKey
from breakglass.tlog.policy import parse_policy

from ..kit.organisation import LOG, Organisation
from .folding import begun, holds, new_chain, pulse, void

PARTIES = ["log", "witness:w-sec", "witness:worm", "broker", "minter:orders-db",
           "gate:deploy-approval"]  # fmt: skip


def key_of(org: Organisation, party: str) -> SignerKey:
    if party == "log":
        return org.log.signer
    name = party.removeprefix("witness:")
    return org.witness_keys[name] if name != party else org.submitters[party]


def follower(org: Organisation, party: str) -> SignerKey:
    old = key_of(org, party)
    return SignerKey(old.name, old.kind, b"the next key of this one party!!")


def activate(org: Organisation, text: str, signers: Any = None) -> Judged:
    note = org.people_sign(text, "breakglass-trust@v1", signers)
    version = parse_trust(text).version
    body = kinds.TrustActivated(version, digest_of(text))
    return org.state_that("broker", body, f"trust/{version}", attachments=[note])


def both(org: Organisation, party: str) -> tuple[SignerKey, Trust]:
    """Put a next key beside a party's key, and that in force."""
    new = follower(org, party)
    assert org.state.governance.trust is not None
    text = next_text(
        org.state.governance.trust, lambda lines: with_both(lines, party, new.verifier)
    )
    holds(activate(org, text))
    return new, org.state.governance.trust


def body_of(org: Organisation, party: str, new: SignerKey, **changes: Any) -> kinds.KeyHandedOver:
    assert org.state.governance.trust is not None
    old = key_of(org, party)
    handover = Handover(LOG, party, old.verifier, new.verifier)
    return replace(
        kinds.KeyHandedOver.of(handover, old, new, org.state.governance.trust.version), **changes
    )


@pytest.mark.parametrize("party", PARTIES)
def test_a_key_that_both_signed_and_the_trust_file_names_follows(party):
    """(F-60) once; a second time it is a quiet race."""
    org = begun()
    new, trust = both(org, party)
    assert trust.version == 2
    body = body_of(org, party, new)
    holds(org.state_that("broker", body, "key/1"))
    assert list(org.state.governance.handed_over) == [str(new.verifier)]
    assert org.state.summary()["keys"] == {str(new.verifier): org.state.size - 1}
    void(org.state_that("broker", body, "key/2"), "lost_race", quiet=True)


def test_a_key_record_without_its_trust_file_or_a_signature_is_void_and_no_quiet_one():
    """(F-60) Both keys, the maintainers' file of that version, the party that it gives them to."""
    org = begun()
    early = body_of(org, "broker", follower(org, "broker"))
    void(org.state_that("broker", early, "key/1"), "mismatch")
    new, _ = both(org, "broker")
    good = body_of(org, "broker", new)
    stranger = SignerKey(new.name, ED25519, b"a key that nobody ever spoke of!")
    other = base64.b64encode(stranger.sign_bytes(b"x")).decode()
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"version": 1}, "mismatch"),
        ({"version": 3}, "mismatch"),
        ({"old_signature": other}, "signature"),
        ({"new_signature": other}, "signature"),
        ({"old_signature": good.new_signature}, "signature"),
        ({"party": "monitor"}, "signature"),
        ({"new": str(stranger.verifier)}, "signature"),
        ({"new": "no key"}, "bad_key"),
        ({"new": good.old}, "bad_key"),
        ({"old": str(org.log.signer.verifier)}, "bad_key"),
    ]
    for at, (changes, name) in enumerate(wrong):
        void(org.state_that("broker", replace(good, **changes), f"key/w{at}"), name)
    # Signed by both, and by a party of which the file names only one.
    swapped = Handover(LOG, "monitor", key_of(org, "broker").verifier, new.verifier)
    body = kinds.KeyHandedOver.of(swapped, key_of(org, "broker"), new, 2)
    void(org.state_that("broker", body, "key/m"), "mismatch")
    unknown = Handover(LOG, "broker", key_of(org, "broker").verifier, stranger.verifier)
    body = kinds.KeyHandedOver.of(unknown, key_of(org, "broker"), stranger, 2)
    void(org.state_that("broker", body, "key/u"), "mismatch")
    assert org.state.governance.handed_over == {}
    holds(org.state_that("broker", good, "key/good"))


def test_each_key_has_a_chain_of_its_own_and_after_the_drop_the_old_one_states_nothing():
    """(F-5) (F-7) (R-6)"""
    org = begun()
    old = org.submitters["monitor"]
    holds(pulse(org))
    new, trust = both(org, "monitor")
    org.submitters["monitor"], kept = new, org.chains["monitor"]
    org.chains["monitor"] = new_chain()
    holds(pulse(org))
    org.submitters["monitor"], org.chains["monitor"] = old, kept
    holds(pulse(org))
    holds(activate(org, next_text(trust, lambda lines: with_one(lines, "monitor", new.verifier))))
    void(pulse(org), "submitter")


def test_one_name_under_two_roles_is_refused_and_under_one_role_is_a_key_and_the_next():
    """(R-6)"""
    org = Organisation()
    text = org.trust_text()
    new = follower(org, "broker").verifier
    line = f"submitter broker {key_of(org, 'broker').verifier}"
    assert line in text
    two = parse_trust(text.replace(line, f"{line}\nsubmitter broker {new}"))
    assert [str(role) for key, role in two.submitters.items() if key.name == new.name] == [
        "broker",
        "broker",
    ]
    for role in ("monitor", "gate:broker"):
        with pytest.raises(MalformedError, match="this key or name already exists"):
            parse_trust(text.replace(line, f"{line}\nsubmitter {role} {new}"))


@pytest.mark.parametrize("party", ["witness:w-sec", "witness:worm"])
def test_two_keys_of_one_witness_never_count_as_two(party):
    """(R-15) They are the members of one group that either meets."""
    org = Organisation()
    new = follower(org, party).verifier
    name = party.removeprefix("witness:")
    lines = with_both(org.trust_text().splitlines(), party, new)
    trust = parse_trust("\n".join([*lines, ""]))
    everybody = {"w-sec", "w-plat", "worm"}
    others = everybody - {name}
    for either in ({name}, {f"{name}.next"}, {name, f"{name}.next"}):
        assert trust.tlog.quorum_met(others | either)
    assert not trust.tlog.quorum_met(others)
    assert not trust.tlog.quorum_met({"w-sec", "w-sec.next", "worm"})
    # A file that lets both count would let one witness be two.
    if name == "w-sec":
        loose = "\n".join([*lines, ""]).replace("group w-sec.either any w-sec w-sec.next\n", "")
        loose = loose.replace("w-sec.either", "w-sec w-sec.next")
        with pytest.raises(MalformedError, match="2 keys; they must be the members of one group"):
            parse_trust(loose)
        for worse in ("any w-sec w-sec.next w-plat", "2 w-sec w-sec.next"):
            text = "\n".join([*lines, ""]).replace("any w-sec w-sec.next", worse)
            with pytest.raises(MalformedError):
                parse_trust(text)


@pytest.mark.parametrize("party", [*PARTIES, "monitor"])
def test_with_both_and_then_with_the_old_one_is_the_file_again(party):
    """The lines change where they must and nowhere else, for a foreign reader of policies too."""
    org = Organisation()
    lines = org.trust_text().splitlines()
    old, new = key_of(org, party).verifier, follower(org, party).verifier
    together = with_both(lines, party, new)
    assert with_one(together, party, old) == lines
    alone = with_one(together, party, new)
    assert [line.replace(str(new), str(old)) for line in alone] == lines
    assert str(old) not in "\n".join(alone)
    tlog = [line for line in together if line.split()[0] in {"log", "witness", "group", "quorum"}]
    parse_policy("\n".join([*tlog, ""]))
    for wrong in (lambda: with_both(together, party, new), lambda: with_one(lines, party, new)):
        with pytest.raises(MisconfiguredError, match="nothing was changed") as said:
            wrong()
        assert said.value.name == "rotation"


def test_a_quorum_of_one_witness_is_renamed_with_its_group():
    org = Organisation()
    key = key_of(org, "witness:worm").verifier
    lines = [f"log {org.log.signer.verifier}", f"witness worm {key} http://w", "quorum worm"]
    new = follower(org, "witness:worm").verifier
    together = with_both(lines, "witness:worm", new)
    assert together[-1] == "quorum worm.either"
    assert f"witness worm.next {new} http://w" in together
    policy = parse_policy("\n".join([*together, ""]))
    assert policy.quorum_met({"worm.next"})


def test_the_first_trust_file_is_found_in_the_log_by_the_pinned_genesis_alone():
    """(R-16)"""
    org = begun()
    first = org.trust_note()
    notes = list(org.log.notes[:2])

    def fetched(digest: str) -> bytes:
        assert digest == Attachment.of(first).digest
        return first

    found = first_trust(org.genesis, notes, fetched)
    assert found == accept_trust(Note.parse(first), None)
    with pytest.raises(UnprovenError) as said:
        first_trust("ab" * 32, notes, fetched)
    assert said.value.name == "trust_genesis"
    for few in ([], notes[:1], [notes[0], notes[0]]):
        with pytest.raises(UnprovenError) as said:
            first_trust(org.genesis, few, fetched)
        assert said.value.name == "trust_genesis"
