"""Proofs of logging: one file that shows offline that an entry is in a log, and who saw it.

Source: C2SP tlog-proof (untagged; text of May 2026).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, UnprovenError
from breakglass.tlog.checkpoint import Checkpoint, check_log_signature, parse_checkpoint
from breakglass.tlog.cosignature import cosigned_times
from breakglass.tlog.merkle import HASH_BYTES, leaf_hash, verify_inclusion
from breakglass.tlog.note import MAX_NOTE_BYTES
from breakglass.tlog.policy import TlogPolicy
from breakglass.tlog.spelling import MAX_NUMBER, exact_base64, exact_decimal, print_base64

HEADER = "c2sp.org/tlog-proof@v1"
MAX_PROOF_BYTES = 2 * MAX_NOTE_BYTES  # the head, and as much again for path and extra
MAX_PATH = 63  # a tree of 2^63 entries is 63 levels high


@dataclass(frozen=True)
class TlogProof:
    """A proof that was read; nothing in it is checked yet.

    Attributes:
        index: the entry's place, from zero.
        path: sibling hashes, the leaf's own sibling first.
        checkpoint: the head's note, to the byte.
        extra: bytes that nobody signed; never to be believed.
    """

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.index <= MAX_NUMBER or len(self.path) > MAX_PATH:
            raise _malformed(f"index {self.index} with a path of {len(self.path)}")
        if any(len(digest) != HASH_BYTES for digest in self.path):
            raise _malformed(f"a hash in the path is not {HASH_BYTES} bytes")

    def encoded(self) -> bytes:
        """Write the proof as a ``.tlog-proof`` file."""
        lines = [HEADER]
        if self.extra is not None:
            lines.append(f"extra {print_base64(self.extra)}")
        lines.append(f"index {self.index}")
        lines.extend(map(print_base64, self.path))
        return "\n".join([*lines, "", ""]).encode() + self.checkpoint

    @classmethod
    def parse(cls, data: bytes) -> TlogProof:
        """Read a proof; ``encoded`` gives the same bytes back.

        Raises:
            MalformedError: ``proof_malformed``; longer than 128 KiB, of another form, or with a
                checkpoint that cannot be read.
        """
        if len(data) > MAX_PROOF_BYTES:
            raise _malformed(f"{len(data)} bytes, at most {MAX_PROOF_BYTES} are read")
        head, gap, checkpoint = data.partition(b"\n\n")
        if not gap:
            raise _malformed("no empty line before the checkpoint")
        try:
            parse_checkpoint(checkpoint)
            return cls._of_lines(head.decode("ascii").split("\n"), checkpoint)
        except (MalformedError, UnicodeDecodeError) as error:
            raise _malformed(str(error)) from error

    @classmethod
    def _of_lines(cls, lines: list[str], checkpoint: bytes) -> TlogProof:
        header, *rest = lines
        if header != HEADER:
            raise _malformed(f"expected the first line {HEADER!r}")
        extra = None
        if rest and rest[0].startswith("extra "):
            extra = exact_base64(rest.pop(0).removeprefix("extra "), "extra")
        if not rest or not rest[0].startswith("index "):
            raise _malformed("expected a line 'index NUMBER'")
        index = exact_decimal(rest.pop(0).removeprefix("index "), "index")
        if len(rest) > MAX_PATH:
            raise _malformed(f"a path of {len(rest)} hashes, at most {MAX_PATH}")
        path = tuple(exact_base64(line, "path") for line in rest)
        return cls(index, path, checkpoint, extra)


@dataclass(frozen=True)
class ProvenHead:
    """A head that the policy believes.

    Attributes:
        checkpoint: what the log signed.
        cosigners: the policy's names of the witnesses that counted, with the time of each.
    """

    checkpoint: Checkpoint
    cosigners: dict[str, datetime]


@dataclass(frozen=True)
class ProvenEntry:
    """An entry whose place in a believed log was checked.

    Attributes:
        index: its place, from zero.
        checkpoint: the head that holds it.
        cosigners: the policy's names of the witnesses that counted, with the time of each.
    """

    index: int
    checkpoint: Checkpoint
    cosigners: dict[str, datetime]


def verify_head(
    data: bytes, policy: TlogPolicy, *, cosigned: Callable[[datetime], bool] = lambda at: True
) -> ProvenHead:
    """Check a head's signatures: its log's, and enough of its witnesses'.

    Args:
        data: the head's note.
        policy: who is believed. Witnesses with ML-DSA keys never count.
        cosigned: says of a cosignature's time whether it counts; others are checked and left out.

    Raises:
        MalformedError: ``bad_note`` or ``bad_checkpoint``.
        UnprovenError: ``unknown_log``; ``log_signature``; ``cosignature`` if one of a known
            witness does not hold; ``quorum``.
    """
    checkpoint, note = parse_checkpoint(data)
    check_log_signature(checkpoint, note, [log.vkey for log in policy.logs])
    names = {witness.vkey: witness.name for witness in policy.witnesses}
    cosigners: dict[str, datetime] = {}
    late = 0
    for key, at in cosigned_times(note, names):
        if cosigned(at):
            cosigners[names[key]] = min(at, cosigners.get(names[key], at))
        else:
            late += 1
    if not policy.quorum_met(cosigners):
        counted = ", ".join(map(repr, cosigners)) or "nobody"
        raise UnprovenError(
            f"head of {checkpoint.origin!r} at size {checkpoint.size}: quorum {policy.quorum!r}"
            f" is not met by {counted} ({late} cosignatures of other times)",
            name=ErrorName.QUORUM,
        )
    return ProvenHead(checkpoint, cosigners)


def verify_proof(
    entry: bytes,
    proof: TlogProof,
    policy: TlogPolicy,
    *,
    cosigned: Callable[[datetime], bool] = lambda at: True,
) -> ProvenEntry:
    """Check that ``entry`` is in a log that ``policy`` believes. Needs no network and no clock.

    Args:
        entry: the entry's own bytes, as stored; the leaf is computed from them here.
        proof: its proof.
        policy: who is believed.
        cosigned: says of a cosignature's time whether it counts to the quorum.

    Raises:
        MalformedError: ``proof_malformed``; the checkpoint in the proof cannot be read.
        UnprovenError: ``unknown_log``, ``log_signature``, ``cosignature`` or ``quorum`` as in
            ``verify_head``; ``inclusion`` if the entry is not at its place.
    """
    try:
        head = verify_head(proof.checkpoint, policy, cosigned=cosigned)
    except MalformedError as error:
        raise _malformed(str(error)) from error
    checkpoint = head.checkpoint
    verify_inclusion(leaf_hash(entry), proof.index, checkpoint.size, proof.path, checkpoint.root)
    return ProvenEntry(proof.index, checkpoint, head.cosigners)


def _malformed(why: str) -> MalformedError:
    return MalformedError(f"tlog-proof: {why}", name=ErrorName.PROOF_MALFORMED)
