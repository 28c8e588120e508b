"""Every reader in the room, on bytes of no form and on true texts bent a little."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakglass.errors import MalformedError
from breakglass.tlog.checkpoint import Checkpoint, parse_checkpoint
from breakglass.tlog.merkle import TreeEdge, leaf_hash
from breakglass.tlog.note import (
    Note,
    SignatureLine,
    SignerKey,
    VerifierKey,
    parse_signature_lines,
)
from breakglass.tlog.policy import parse_policy
from breakglass.tlog.proof import TlogProof
from breakglass.tlog.tiles import decode_bundle, encode_bundle, parse_tile_path
from tests.kit.made_log import MadeLog

LOG = MadeLog()
for _place in range(5):
    LOG.append(b"entry %d" % _place)
HEAD = LOG.head()
EDGE = TreeEdge()
EDGE.extend(map(leaf_hash, LOG.entries))


def of_text(read: Callable[[str], str]) -> Callable[[bytes], bytes]:
    """Let a reader of text take bytes, with half characters for what is not UTF-8."""
    return lambda data: read(data.decode(errors="surrogateescape")).encode()


# Name -> what reads and writes again, and a true text.
READERS: dict[str, tuple[Callable[[bytes], bytes], bytes]] = {
    "note": (lambda data: Note.parse(data).encoded(), HEAD),
    "checkpoint": (lambda data: parse_checkpoint(data)[1].encoded(), HEAD),
    "checkpoint text": (
        of_text(lambda text: Checkpoint.parse_text(text).text),
        LOG.checkpoint().text.encode(),
    ),
    "signature line": (
        of_text(lambda text: str(SignatureLine.parse(text)).removesuffix("\n")),
        str(Note.parse(HEAD).lines[0]).removesuffix("\n").encode(),
    ),
    "signature lines": (
        of_text(lambda text: "".join(map(str, parse_signature_lines(text)))),
        "".join(map(str, Note.parse(HEAD).lines)).encode(),
    ),
    "proof": (lambda data: TlogProof.parse(data).encoded(), LOG.proof(3).encoded()),
    "verifier key": (
        of_text(lambda text: str(VerifierKey.parse(text))),
        str(LOG.signer.verifier).encode(),
    ),
    "private key": (
        of_text(lambda text: SignerKey.parse(text).encoded()),
        LOG.signer.encoded().encode(),
    ),
    "tile path": (of_text(lambda text: parse_tile_path(text).path), b"tile/0/x001/x234/067.p/8"),
    "bundle": (lambda data: encode_bundle(decode_bundle(data)), encode_bundle(LOG.entries)),
    "edge": (lambda data: TreeEdge.parse(data).encoded(), EDGE.encoded()),
}

bends = st.lists(
    st.tuples(
        st.sampled_from(["insert", "replace", "delete", "double", "cut"]),
        st.floats(0, 1, exclude_max=True),
        st.sampled_from(
            [b"\n", b"\n\n", b" ", b"+", b"=", b"0", b"\x00", b"\xff", b"\r", "é".encode()]
        )
        | st.binary(min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=3,
)


def bent(data: bytes, how: list[tuple[str, float, bytes]]) -> bytes:
    for kind, where, piece in how:
        at = int(where * len(data))
        match kind:
            case "insert":
                data = data[:at] + piece + data[at:]
            case "replace":
                data = data[:at] + piece + data[at + len(piece) :]
            case "delete":
                data = data[:at] + data[at + len(piece) :]
            case "double":
                data = data[:at] + data[at // 2 : at] + data[at:]
            case "cut":
                data = data[:at]
    return data


def check(reader: str, data: bytes) -> None:
    """A reader refuses in our own words, or there is one spelling and this is it."""
    again, _ = READERS[reader]
    written, failed = data, "bad"
    try:
        written = again(data)
    except MalformedError as error:
        failed = error.name
    assert written == data
    assert failed != "malformed", "a failure has a name of its own"


@pytest.mark.parametrize("reader", READERS)
def test_a_true_text_is_read(reader):
    again, true = READERS[reader]
    assert again(true) == true


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=200)
@given(how=bends)
def test_a_bent_text_is_refused_by_name_or_is_another_true_one(reader, how):
    check(reader, bent(READERS[reader][1], how))


@pytest.mark.parametrize("reader", READERS)
@given(data=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode()))
def test_bytes_of_no_form_are_refused_by_name(reader, data):
    check(reader, data)


@given(how=bends)
def test_a_bent_policy_is_refused_by_name_or_means_what_its_canonical_text_means(how):
    data = bent(LOG.policy.text.encode(), how)
    policy = None
    try:
        policy = parse_policy(data.decode(errors="surrogateescape"))
    except MalformedError as error:
        failed = error.name
    if policy is None:
        assert failed == "bad_policy"
    else:
        assert parse_policy(policy.text) == policy
