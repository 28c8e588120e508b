"""How long what we read may be, and by which names the rest is refused."""

from __future__ import annotations

import pytest

from breakglass.errors import MalformedError
from breakglass.records.kinds.intent import Intent
from breakglass.records.proven import prove
from breakglass.records.signing.signature import Signed
from breakglass.strict_json import read
from breakglass.tlog.note import Note, sign_note
from breakglass.tlog.proof import TlogProof

from ..kit.organisation import signer
from .folding import begun, pulse

LINE = sign_note("x\n", signer("somebody.example")).lines[0]


def test_a_note_has_a_hundred_lines_and_64_kib_at_most() -> None:
    """(D-13)"""
    most = Note("x\n", (LINE,) * 100).encoded()
    assert len(Note.parse(most).lines) == 100
    more = most + most.splitlines(keepends=True)[-1]
    with pytest.raises(MalformedError) as caught:
        Note.parse(more)
    assert caught.value.name == "bad_note"
    with pytest.raises(MalformedError) as caught:
        Note.parse(b"x" * 65_536 + b"\n\n" + more)
    assert caught.value.name == "bad_note"


def test_a_proof_has_63_hashes_and_128_kib_at_most() -> None:
    """(D-13)"""
    org = begun()
    proof = org.log.proof(1, org.now)
    path = b"".join(b"%s\n" % line for line in [b"A" * 43 + b"="] * 64)
    head, _, rest = proof.partition(b"index 1\n")
    for altered in (head + b"index 1\n" + path + rest, proof + b"x" * 131_072):
        with pytest.raises(MalformedError) as caught:
            TlogProof.parse(altered)
        assert caught.value.name == "proof_malformed"


def test_another_kind_and_another_spelling_have_names() -> None:
    """(D-15)"""
    org = begun()
    pulse(org)
    index = org.log.size - 1
    with pytest.raises(MalformedError) as caught:
        prove(Intent, org.log.notes[index], org.log.proof(index, org.now), org.trust(), "broker")
    assert caught.value.name == "wrong_kind"
    with pytest.raises(MalformedError) as caught:
        read(Signed, {"text": "x", "sshsig": "AAB="}, "signed")
    assert caught.value.name == "bad_base64"
