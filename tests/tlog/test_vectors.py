"""Every file in ``vectors/ledger``: foreign ones from other implementations, and ours."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from breakglass.errors import BreakglassError, MalformedError, RefusedError, UnprovenError
from breakglass.tlog.checkpoint import Checkpoint, check_log_signature, parse_checkpoint
from breakglass.tlog.cosignature import cosign, cosignatures, verify_cosignature
from breakglass.tlog.merkle import (
    TreeEdge,
    consistency_path,
    inclusion_path,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_growth,
    verify_inclusion,
)
from breakglass.tlog.note import (
    COSIGNATURE,
    ML_DSA_44,
    Note,
    SignatureLine,
    VerifierKey,
    check_signature,
    sign_note,
    verified_lines,
)
from breakglass.tlog.proof import TlogProof, verify_head, verify_proof
from breakglass.tlog.tiles import (
    consistency_from_tiles,
    edge_from_tiles,
    encode_bundle,
    inclusion_from_tiles,
    root_from_tiles,
)
from tests.kit.ledger_vectors import (
    MADE_LOG_A,
    TESSERA_LOG,
    VECTORS,
    load,
    made_log_a_signers,
    witness_conversation,
)

OUT_OF_SCOPE = {
    "merkle-subtreeinclusion.json": "subtrees serve sign-subtree and mirrors, which we are not",
    "merkle-subtreeconsistency.json": "the same",
    "made-log-a/keys.json: pq.a.example": "ML-DSA-44 cosignatures are read and never counted",
}
READ_HERE = {
    "README.md",
    "checkpoint-bodies.json",
    "cosignatures.json",
    "made-log-a",
    "merkle-consistency.json",
    "merkle-inclusion.json",
    "rfc6962-tree.json",
    "signed-notes.json",
    "tessera-log",
    "tlog-proof-syntax.json",
    "vkeys.json",
    "witness-add-checkpoint.json",
}


def by(key):
    return {"ids": lambda case: case[key] if isinstance(case, dict) else None}


def decoded(hashes):
    return [base64.b64decode(each) for each in hashes or []]


def test_every_vector_is_read_here_or_named_as_out_of_scope():
    files = {each.partition(":")[0] for each in OUT_OF_SCOPE}
    for each in files:
        assert (VECTORS / each).exists()
    assert {each.name for each in VECTORS.iterdir()} == READ_HERE | (
        files - {"made-log-a/keys.json"}
    )


@pytest.mark.parametrize("case", load("merkle-inclusion.json"), **by("file"))
def test_inclusion(case):
    leaf, root = base64.b64decode(case["leafHash"]), base64.b64decode(case["root"])
    args = (leaf, case["leafIdx"], case["treeSize"], decoded(case["proof"]), root)
    if case["wantErr"]:
        with pytest.raises(UnprovenError):
            verify_inclusion(*args)
    else:
        verify_inclusion(*args)


@pytest.mark.parametrize("case", load("merkle-consistency.json"), **by("file"))
def test_consistency(case):
    old, new = base64.b64decode(case["root1"]), base64.b64decode(case["root2"])
    args = (case["size1"], case["size2"], old, new, decoded(case["proof"]))
    if case["wantErr"]:
        with pytest.raises(UnprovenError):
            verify_consistency(*args)
    else:
        verify_consistency(*args)


def test_the_classic_tree():
    tree = load("rfc6962-tree.json")
    leaves = [leaf_hash(bytes.fromhex(each)) for each in tree["leaf_inputs_hex"]]
    for height, row in enumerate(tree["node_hashes_hex"]):
        span = 1 << height
        nodes = [root_of(leaves[at : at + span]) for at in range(0, len(leaves), span)]
        assert [node.hex() for node in nodes] == row
    edge = TreeEdge()
    for size, root in enumerate(tree["roots_hex_by_size"]):
        assert root_of(leaves[:size]).hex() == edge.root().hex() == root
        edge.append(leaves[size])


@pytest.mark.parametrize("case", load("signed-notes.json"), **by("name"))
def test_signed_notes(case):
    def read():
        note = Note.parse(bytes.fromhex(case["note_hex"]))
        keys = [VerifierKey.parse(each) for each in case["vkeys"]]
        return note, verified_lines(note, keys)

    if case["want"] != "ok":
        kind, name = {
            "malformed": (MalformedError, "bad_note"),
            "unverified": (UnprovenError, "unsigned"),
            "invalid-signature": (UnprovenError, "signature"),
            "error": (UnprovenError, "ambiguous_key"),
        }[case["want"]]
        with pytest.raises(kind) as failure:
            read()
        assert failure.value.name == name
        return
    note, found = read()
    verified = [key.name for key, _ in found]
    assert verified == case["verified"]
    assert [line.name for line in note.lines if line.name not in verified] == case["unverified"]
    assert note.encoded().hex() == case["note_hex"]


@pytest.mark.parametrize("case", load("vkeys.json"), **by("vkey"))
def test_vkeys(case):
    if case["valid"]:
        key = VerifierKey.parse(case["vkey"])
        assert (key.kind, str(key)) == (case["type"], case["vkey"])
    else:
        with pytest.raises(MalformedError):
            VerifierKey.parse(case["vkey"])


@pytest.mark.parametrize("case", load("checkpoint-bodies.json"), **by("name"))
def test_checkpoint_bodies(case):
    text = bytes.fromhex(case["body_hex"]).decode()
    # Legal upstream, refused here on purpose: nobody vouches for what they say.
    if case["valid"] and case["name"] != "extension lines":
        assert Checkpoint.parse_text(text).text == text
    else:
        with pytest.raises(MalformedError):
            Checkpoint.parse_text(text)


@pytest.mark.parametrize("case", load("tlog-proof-syntax.json"), **by("name"))
def test_proof_syntax(case):
    data = bytes.fromhex(case["proof_hex"])
    if case["parses"]:
        assert TlogProof.parse(data).encoded() == data
    else:
        with pytest.raises(MalformedError) as failure:
            TlogProof.parse(data)
        assert failure.value.name == "proof_malformed"


NOTES = [case for case in load("cosignatures.json") if "checkpoint" in case]
(SIGSUM,) = [case for case in load("cosignatures.json") if "checkpoint" not in case]


@pytest.mark.parametrize("case", NOTES, **by("source"))
def test_cosignatures_of_a_foreign_witness(case):
    _, note = parse_checkpoint(case["checkpoint"].encode())
    keys = [VerifierKey.parse(each) for each in case["vkeys"]]
    assert cosignatures(note, keys) == {
        key: datetime.fromtimestamp(case["time"], UTC) for key in keys
    }


def test_a_sigsum_proof_given_as_fields():
    checkpoint = Checkpoint.parse_text(SIGSUM["body"])
    assert checkpoint.origin == SIGSUM["origin"]
    log = VerifierKey.of(SIGSUM["origin"], 0x01, bytes.fromhex(SIGSUM["log_pubkey_hex"]))
    witness = VerifierKey.of("w", COSIGNATURE, bytes.fromhex(SIGSUM["witness_pubkey_hex"]))
    check_signature(log, SIGSUM["body"].encode(), bytes.fromhex(SIGSUM["log_signature_hex"]))
    stamp = SIGSUM["cosignature_time"].to_bytes(8, "big")
    signature = stamp + bytes.fromhex(SIGSUM["cosignature_hex"])
    line = SignatureLine("w", witness.key_id, signature)
    at = verify_cosignature(SIGSUM["body"], line, witness)
    assert int(at.timestamp()) == SIGSUM["cosignature_time"]


def test_the_made_log_holds_from_its_first_entry_to_its_last():
    log = MADE_LOG_A
    checkpoint, note = parse_checkpoint(log.checkpoint())
    check_log_signature(checkpoint, note, [log.vkey])
    entries = log.entries(300)
    leaves = [leaf_hash(entry) for entry in entries]
    assert list(log.hashes(0, 0, 256)) == leaves[:256]
    assert list(log.hashes(0, 256, 300)) == leaves[256:]
    assert list(log.hashes(1, 0, 1)) == [root_of(leaves[:256])]
    assert encode_bundle(entries[256:]) == (log.root / "tile/entries/001.p/44").read_bytes()
    edge = TreeEdge()
    edge.extend(leaves)
    assert edge.root() == root_of(leaves) == root_from_tiles(log, 300) == checkpoint.root
    assert edge == edge_from_tiles(log, 300)
    for old in (1, 256):
        before = verify_head(log.checkpoint(old), log.policy).checkpoint
        path = consistency_from_tiles(log, old, 300)
        verify_growth(old, before.root, 300, checkpoint.root, path)
        assert before.root == root_of(leaves[:old])


@pytest.mark.parametrize("index", [0, 255, 256, 299])
def test_the_made_log_s_proofs_hold_and_are_what_we_would_write(index):
    log, folder = MADE_LOG_A, MADE_LOG_A.root / "proofs"
    data, entry = (folder / f"{index}.tlog-proof").read_bytes(), log.entries(300)[index]
    assert (folder / f"{index}.entry").read_bytes() == entry
    proof = TlogProof.parse(data)
    proven = verify_proof(entry, proof, log.policy)
    assert (proven.index, proven.checkpoint.size) == (index, 300)
    assert set(proven.cosigners) == {"W0", "W1", "W2"}
    path = inclusion_from_tiles(log, index, 300)
    assert TlogProof(index, tuple(path), log.checkpoint(), proof.extra).encoded() == data


def test_the_made_log_s_policy_is_printed_as_it_was_written():
    assert MADE_LOG_A.policy.text == (MADE_LOG_A.root / "policy").read_text()


@pytest.mark.parametrize("old", [None, 1, 256])
def test_the_made_log_s_signatures_are_made_again_to_the_byte(old):
    """Ed25519 gives one signature, so we also write what other implementations read."""
    note = Note.parse(MADE_LOG_A.checkpoint(old))
    signers = made_log_a_signers()
    keys = [witness.vkey for witness in MADE_LOG_A.policy.witnesses]
    times = {key.name: at for key, at in cosignatures(note, keys).items()}
    made = sign_note(note.text, signers[MADE_LOG_A.vkey.name]).with_lines(
        *(cosign(note.text, signers[name], at) for name, at in times.items())
    )
    assert made.lines == tuple(line for line in note.lines if line.name != "pq.a.example")


def test_a_post_quantum_cosignature_is_read_and_never_counts():
    key = VerifierKey.parse(load("made-log-a/keys.json")["pq.a.example"]["vkey"])
    note = Note.parse(MADE_LOG_A.checkpoint())
    (line,) = (line for line in note.lines if line.key_id == key.key_id)
    assert (key.kind, len(line.signature)) == (ML_DSA_44, 8 + 2420)
    assert cosignatures(note, [key]) == {}
    with pytest.raises(UnprovenError) as failure:
        verify_cosignature(note.text, line, key)
    assert failure.value.name == "ml_dsa_unsupported"


def test_every_head_of_the_tessera_log_grows_from_every_earlier_one():
    log = TESSERA_LOG
    leaves = [leaf_hash(entry) for entry in log.entries(10)]
    heads = []
    for size in range(11):
        checkpoint, note = parse_checkpoint(log.checkpoint(None if size == 10 else size))
        check_log_signature(checkpoint, note, [log.vkey])
        assert (checkpoint.size, checkpoint.root) == (size, root_of(leaves[:size]))
        assert root_from_tiles(log, size) == checkpoint.root
        if size:
            assert log.entries(size) == log.entries(10)[:size]
        heads.append(checkpoint)
    for new in heads:
        for old in heads[: new.size + 1]:
            path = consistency_from_tiles(log, old.size, new.size)
            assert path == consistency_path(leaves[: new.size], old.size)
            verify_growth(old.size, old.root, new.size, new.root, path)
        for index in range(new.size):
            path = inclusion_from_tiles(log, index, new.size)
            assert path == inclusion_path(leaves[: new.size], index)
            verify_inclusion(leaves[index], index, new.size, path, new.root)


def answer(body: bytes, log: VerifierKey, last: Checkpoint | None) -> tuple[int, Checkpoint | None]:
    """What a witness says, by this room's rules alone (C2SP tlog-witness, the order of checks)."""
    head, _, data = body.partition(b"\n\n")
    first, *path = head.decode().split("\n")
    old = int(first.removeprefix("old "))
    checkpoint, note = parse_checkpoint(data)
    try:
        check_log_signature(checkpoint, note, [log])
        size, root = (last.size, last.root) if last else (0, root_of([]))
        if old != size:
            raise RefusedError("not the size that was cosigned last", name="conflict")
        verify_growth(size, root, checkpoint.size, checkpoint.root, decoded(path))
    except BreakglassError as error:
        named = {"unknown_log": 404, "log_signature": 403, "conflict": 409}
        return named.get(error.name, 422), last
    return 200, checkpoint


def test_the_rules_answer_a_foreign_conversation_as_its_witness_did():
    log, steps = witness_conversation()
    last = None
    for step in steps:
        status, last = answer(step.body, log, last)
        assert (step.name, status) == (step.name, step.status)
    assert last is not None
