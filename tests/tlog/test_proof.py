from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakglass.errors import BreakglassError, MalformedError, UnprovenError
from breakglass.tlog.checkpoint import Checkpoint, sign_checkpoint
from breakglass.tlog.cosignature import cosign
from breakglass.tlog.note import Note, SignatureLine, sign_note
from breakglass.tlog.policy import TlogPolicy, parse_policy
from breakglass.tlog.proof import TlogProof, verify_head, verify_proof
from tests.kit.made_log import NOON, MadeLog

LOG = MadeLog()
for _place in range(11):
    LOG.append(b"entry %d" % _place)
OTHER = MadeLog("ledger.example/other")
OTHER.append(b"entry 0")

NAMES = {"unknown_log", "log_signature", "cosignature", "quorum", "inclusion", "proof_malformed"}


def failure_of(proof: TlogProof, entry: bytes = b"entry 5", policy: TlogPolicy = LOG.policy) -> str:
    with pytest.raises(BreakglassError) as failure:
        verify_proof(entry, proof, policy)
    return failure.value.name


@pytest.mark.parametrize("index", range(11))
def test_a_proof_reads_back_and_holds(index):
    proof = LOG.proof(index)
    assert TlogProof.parse(proof.encoded()) == proof
    proven = verify_proof(b"entry %d" % index, proof, LOG.policy)
    assert (proven.index, proven.checkpoint) == (index, LOG.checkpoint())
    assert proven.cosigners == {"w0": NOON, "w1": NOON, "w2": NOON}


def test_an_entry_has_no_proof_but_its_own():
    proof = LOG.proof(5)
    assert failure_of(proof, b"entry 6") == "inclusion"
    assert failure_of(proof, b"") == "inclusion"
    assert failure_of(replace(proof, index=6)) == "inclusion"
    assert failure_of(replace(proof, index=11)) == "inclusion"
    assert failure_of(replace(proof, path=proof.path[:-1])) == "inclusion"
    assert failure_of(replace(proof, path=proof.path * 2)) == "inclusion"


def test_an_inner_node_is_not_an_entry():
    """Leaves and nodes are hashed apart, so two hashes side by side cannot pass for an entry."""
    log = MadeLog()
    log.append(b"a")
    log.append(b"b")
    pair = log.proof(1).path[0] + log.proof(0).path[0]
    assert failure_of(replace(log.proof(0), path=()), pair, log.policy) == "inclusion"


def test_a_log_that_the_policy_does_not_know_is_not_believed():
    assert failure_of(OTHER.proof(0), b"entry 0") == "unknown_log"


def test_a_head_that_its_log_did_not_sign_is_not_believed():
    proof = LOG.proof(5)
    note = Note.parse(proof.checkpoint)
    without = replace(proof, checkpoint=Note(note.text, note.lines[1:]).encoded())
    assert failure_of(without) == "log_signature"
    by_other = sign_note(note.text, OTHER.signer).with_lines(*note.lines[1:])
    assert failure_of(replace(proof, checkpoint=by_other.encoded())) == "log_signature"


def test_a_forged_cosignature_rejects_even_beside_a_quorum():
    note = Note.parse(LOG.head(by=("w0", "w1")))
    key = LOG.witnesses["w2"].verifier
    forged = SignatureLine(key.name, key.key_id, b"\x00" * 7 + b"\x09" + b"\x00" * 64)
    proof = replace(LOG.proof(5), checkpoint=note.with_lines(forged).encoded())
    assert failure_of(proof) == "cosignature"


def test_too_few_cosigners_are_no_quorum_however_often_they_stand_there():
    assert failure_of(LOG.proof(5, by=())) == "quorum"
    assert failure_of(LOG.proof(5, by=("w1",))) == "quorum"
    note = Note.parse(LOG.head(by=("w1",)))
    w1 = LOG.witnesses["w1"]
    again = [cosign(note.text, w1, NOON + timedelta(seconds=n)) for n in range(1, 5)]
    proof = replace(LOG.proof(5), checkpoint=note.with_lines(*again).encoded())
    assert failure_of(proof) == "quorum"


def test_strangers_do_not_count_to_the_quorum():
    note = Note.parse(LOG.head(by=("w1",)))
    stranger = replace(LOG.witnesses["w2"], name="stranger.example")
    proof = replace(
        LOG.proof(5), checkpoint=note.with_lines(cosign(note.text, stranger, NOON)).encoded()
    )
    assert failure_of(proof) == "quorum"


def test_only_cosignatures_of_the_wanted_times_count():
    note = Note.parse(LOG.head(by=("w0",)))
    late = NOON + timedelta(minutes=5)
    lines = [
        cosign(note.text, LOG.witnesses["w1"], late),
        cosign(note.text, LOG.witnesses["w2"], late),
    ]
    proof = replace(LOG.proof(5), checkpoint=note.with_lines(*lines).encoded())

    def near(at):
        return abs(at - NOON) <= timedelta(seconds=120)

    assert set(verify_proof(b"entry 5", proof, LOG.policy).cosigners) == {"w0", "w1", "w2"}
    with pytest.raises(UnprovenError, match=r"not met by 'w0' \(2 cosignatures of other") as f:
        verify_proof(b"entry 5", proof, LOG.policy, cosigned=near)
    assert f.value.name == "quorum"
    # The same cosigner, seen again at a time that counts, counts.
    again = [
        cosign(note.text, LOG.witnesses["w2"], NOON + timedelta(seconds=each)) for each in (3, 9)
    ]
    both = replace(proof, checkpoint=note.with_lines(*lines, *again).encoded())
    proven = verify_proof(b"entry 5", both, LOG.policy, cosigned=near)
    assert proven.cosigners == {"w0": NOON, "w2": NOON + timedelta(seconds=3)}


def test_a_cosignature_that_does_not_count_must_hold_all_the_same():
    note = Note.parse(LOG.head())
    key = LOG.witnesses["w2"].verifier
    forged = SignatureLine(key.name, key.key_id, b"\x00" * 7 + b"\x09" + b"\x00" * 64)
    with pytest.raises(UnprovenError, match="does not hold"):
        verify_head(
            note.with_lines(forged).encoded(), LOG.policy, cosigned=lambda at: at.year == 2026
        )


def test_a_head_of_an_older_key_holds_while_the_policy_lists_both():
    both = parse_policy(f"log {OTHER.signer.verifier}\n{LOG.policy.text}")
    assert verify_proof(b"entry 5", LOG.proof(5), both).index == 5
    only_logs = parse_policy(f"log {LOG.signer.verifier}\nquorum none\n")
    assert verify_head(LOG.head(by=()), only_logs).cosigners == {}


def test_signatures_do_not_make_a_wrong_tree_right():
    """A log and its witnesses may sign any root; the entry is under it or is not."""
    lie = Checkpoint(LOG.signer.name, 11, b"r" * 32)
    note = sign_checkpoint(lie, LOG.signer).with_lines(
        *(cosign(lie.text, key, NOON) for key in LOG.witnesses.values())
    )
    assert failure_of(replace(LOG.proof(5), checkpoint=note.encoded())) == "inclusion"


@pytest.mark.parametrize("extra", [None, b"", b"unsigned words"])
def test_extra_travels_and_means_nothing(extra):
    proof = replace(LOG.proof(5), extra=extra)
    assert TlogProof.parse(proof.encoded()) == proof
    assert verify_proof(b"entry 5", proof, LOG.policy) == verify_proof(
        b"entry 5", LOG.proof(5), LOG.policy
    )


HEAD_LINES = "c2sp.org/tlog-proof@v1\nindex 5\n"
HASH = "A" * 43 + "="


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("\n", "tlog-proof"),
        ("index 5\n", "expected the first line"),
        ("c2sp.org/tlog-proof@v2\nindex 5\n", "expected the first line"),
        ("c2sp.org/tlog-proof@v1\n", "expected a line 'index NUMBER'"),
        ("c2sp.org/tlog-proof@v1\r\nindex 5\r\n", "expected the first line"),
        ("c2sp.org/tlog-proof@v1\nindex 05\n", "not a decimal number"),
        (f"c2sp.org/tlog-proof@v1\nindex {2**63}\n", "not a decimal number"),
        ("c2sp.org/tlog-proof@v1\nIndex 5\n", "expected a line 'index NUMBER'"),
        ("c2sp.org/tlog-proof@v1\nextra aGk\nindex 5\n", "extra: base64 is broken"),
        ("c2sp.org/tlog-proof@v1\nextra aGk=\nextra aGk=\nindex 5\n", "expected a line 'index"),
        (HEAD_LINES + "extra aGk=\n", "path: base64 is broken"),
        (HEAD_LINES + "AAAA\n", "a hash in the path is not 32 bytes"),
        (HEAD_LINES + "A" * 42 + "B=\n", "path: base64 is not canonical"),
        (HEAD_LINES + f" {HASH}\n", "path: base64 is broken"),
        (HEAD_LINES + "é\n", "ascii"),
        (HEAD_LINES + f"{HASH}\n" * 64, "a path of 64 hashes"),
    ],
)
def test_a_proof_of_another_form_is_refused(lines, why):
    with pytest.raises(MalformedError, match=why) as failure:
        TlogProof.parse(lines.encode() + b"\n" + LOG.head())
    assert failure.value.name == "proof_malformed"


@pytest.mark.parametrize("tail", [b"", b"\n", b"\n\nnot a note\n", b"\no\n01\nroot\n\n"])
def test_a_proof_without_a_readable_checkpoint_is_refused(tail):
    with pytest.raises(MalformedError) as failure:
        TlogProof.parse(HEAD_LINES.encode() + tail)
    assert failure.value.name == "proof_malformed"
    broken = TlogProof(5, (), tail)
    assert failure_of(broken) == "proof_malformed"


def test_a_proof_cannot_be_made_wrong_and_is_read_up_to_a_length():
    for index, path in ((-1, ()), (2**63, ()), (0, (b"short",)), (0, (b"h" * 32,) * 64)):
        with pytest.raises(MalformedError):
            TlogProof(index, path, b"")
    with pytest.raises(MalformedError, match="131073 bytes, at most 131072 are read"):
        TlogProof.parse(b"x" * 131_073)


@settings(max_examples=300)
@given(st.data())
def test_one_changed_byte_never_makes_a_proof_say_something_else(data):
    """Whatever is changed, the proof fails by name, or proves the very same thing."""
    true = replace(LOG.proof(5, by=("w0", "w1")), extra=b"unsigned")
    whole = bytearray(true.encoded())
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] = data.draw(st.integers(0, 255))
    failed = None
    try:
        proven = verify_proof(b"entry 5", TlogProof.parse(bytes(whole)), LOG.policy)
    except BreakglassError as error:
        failed = error.name
    if failed is None:
        assert proven == verify_proof(b"entry 5", true, LOG.policy)
    else:
        assert failed in NAMES
