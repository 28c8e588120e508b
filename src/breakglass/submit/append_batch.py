"""One run of notes on its way to the ledger: numbered, signed, sent, answered."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from breakglass.error_names import ErrorName, name_of
from breakglass.errors import BreakglassError, RefusedError, UnavailableError
from breakglass.http.client import Peer, Reply
from breakglass.submit.blob_upload import PERMIT, signed_permit, transfer_within
from breakglass.submit.record_header import COMMIT, POSTED, numbered, text_digest
from breakglass.submit.spool import Draft
from breakglass.tlog.note import Signer, sign_note
from breakglass.tlog.tiles import encode_bundle

_OF_SEVERAL = timedelta(seconds=2)  # an answer takes 1.5 s at most; then the other ledger
_BELIEVED_S = 3600.0  # the ledger forgets after a day what no record names
_LATER = frozenset(
    {ErrorName.UNKNOWN_SUBMITTER, ErrorName.POOL_FULL, ErrorName.QUOTA}
)  # not the note's fault: try again
_TOO_MANY = 429  # nothing of this sending was taken


@dataclass(frozen=True)
class Receipt:
    """A note that is recorded: its place, its bytes as stored, and its tlog-proof.

    ``commit`` is the one that holds it, as the ledger showed it; nothing of that is checked.
    """

    index: int
    note: bytes
    proof: bytes
    commit: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class _Signed:
    """A draft at its place in the chain; ``digest`` is of the text, for the next one's ``prev``."""

    draft: Draft
    seq: int
    prev: str
    note: bytes
    digest: str


class Unsent(RefusedError):
    """The run was numbered wrongly; nothing of the rest is the notes' fault."""


@dataclass(frozen=True)
class Run:
    """What became of a run: receipts of its first notes, and why the next one has none."""

    receipts: list[Receipt]
    refusal: BreakglassError | None


class Sender:
    """Holds a submitter's place in the log, and the run that is not answered yet.

    Used by one thread, ``post`` alone by any. Signing again after an unanswered ``post`` keeps the
    old bytes, so the caller passes the same drafts until it gets an answer.
    """

    def __init__(
        self,
        ledger: Peer,
        signer: Signer,
        within: timedelta,
        stranger: Callable[[str], None] = lambda words: None,
        commits: bool = False,
    ) -> None:
        self._ledger = ledger
        self._commits = commits
        self._stranger = stranger
        self._signer = signer
        self._within = within
        self._known = False
        self.next_seq = 0
        self._prev = ""
        self._signed: list[_Signed] = []
        self._ahead: list[_Signed] = []  # never sent: what may follow the run under way
        self.unanswered = False  # whether the ledger may hold what is signed
        self._put: dict[str, float] = {}  # when the ledger said that it has it

    def know_place(self) -> None:
        """Ask the ledger for our last ``seq`` and hash, unless we know.

        Raises:
            UnavailableError: no answer, or one that makes no sense.
        """
        if not self._known:
            path = f"/submitter/{self._signer.verifier.label}"
            try:
                self._stand(self._ledger.get(path, within=self._within).json())
            except BreakglassError as error:
                # Whatever it says, we cannot number our notes: wait, as if it were away.
                raise UnavailableError(str(error), name=error.name) from error

    def put(self, attachments: Sequence[bytes]) -> None:
        """Bring attachments into the ledger; again is harmless.

        Raises:
            UnavailableError: the ledger did not take one.
        """
        for data in attachments:
            digest = hashlib.sha256(data).hexdigest()
            if time.monotonic() - self._put.get(digest, -_BELIEVED_S) < _BELIEVED_S:
                continue
            reply = self._ledger.send(
                "PUT",
                f"/attachment/{digest}",
                data,
                within=transfer_within(len(data), self._within),
                headers={PERMIT: signed_permit(digest, len(data), self._signer)},
            )
            if reply.status == _TOO_MANY or reply.status >= 500:
                reply.checked()
            # Any other refusal will be told again of the note that names it.
            if 200 <= reply.status < 300:
                self._put[digest] = time.monotonic()

    def sign(self, drafts: Sequence[Draft]) -> None:
        """Make a run of 1 to 256 drafts ready for ``post``; one that is unanswered stays."""
        if not self._signed:
            self._signed = self._made(drafts, self.next_seq, self._prev)
            self._ahead = []

    def sign_ahead(self, drafts: Sequence[Draft]) -> None:
        """Sign what will follow the run under way if all of that is taken.

        It saves time and promises nothing: any other outcome has the same drafts signed anew.
        """
        last = self._signed[-1]
        self._ahead = self._made(drafts, last.seq + 1, last.digest)

    def post(self, *, urgent: bool) -> Reply:
        """Send the run that is signed; its reply, or whatever is raised, is for ``settle``.

        Of a run that is not urgent the ledger may make one commit with others, 0.5 s later.
        """
        body = encode_bundle([each.note for each in self._signed])
        within = min(self._within, _OF_SEVERAL) if self._ledger.several else self._within
        headers = {} if urgent else {POSTED: "1"}
        if urgent and self._commits:
            headers[COMMIT] = "1"
        return self._ledger.send("POST", "/append", body, within=within, headers=headers)

    def settle(self, answer: Callable[[], Reply]) -> Run:
        """Take the answer to ``post``.

        Raises:
            UnavailableError: it settles nothing; the same run must be sent again.
        """
        try:
            reply = answer()
        except UnavailableError as error:
            self.unanswered = self.unanswered or error.name != ErrorName.UNREACHABLE
            raise
        if reply.status == 200:
            return self._accepted(reply)
        if reply.status in (400, 403, 409, 413, 422):
            return self._refused(reply)
        # Committed and not witnessed, or a crash inside: nobody knows. Of a full pool or a spent
        # quota it is known that nothing was taken this time; what an earlier sending left stays.
        self.unanswered = self.unanswered or reply.status != _TOO_MANY
        reply.checked()
        raise UnavailableError(
            f"ledger answered {reply.status} to an append", name=ErrorName.NONSENSE
        )

    def forget(self) -> None:
        """Drop a run that the ledger cannot hold (``unanswered`` is false); it is signed anew."""
        self._signed = []

    def _made(self, drafts: Sequence[Draft], seq: int, prev: str) -> list[_Signed]:
        ready = {(each.seq, each.prev, id(each.draft)): each for each in self._ahead}
        made: list[_Signed] = []
        for draft in drafts:
            one = ready.get((seq, prev, id(draft))) or self._signed_one(draft, seq, prev)
            made.append(one)
            seq, prev = seq + 1, one.digest
        return made

    def _signed_one(self, draft: Draft, seq: int, prev: str) -> _Signed:
        text = numbered(draft.text, seq, prev)
        note = sign_note(text, self._signer)
        return _Signed(draft, seq, prev, note.encoded(), text_digest(text))

    def _accepted(self, reply: Reply) -> Run:
        answer = reply.json()
        proofs, refused = answer.get("proofs"), answer.get("refused")
        if not isinstance(proofs, list) or not len(proofs) <= len(self._signed):
            raise UnavailableError(
                "ledger's answer to an append makes no sense", name=ErrorName.NONSENSE
            )
        commit = answer.get("commit") if isinstance(answer.get("commit"), dict) else None
        receipts = [
            Receipt(_index(proof), signed.note, proof.encode(), commit)
            for proof, signed in zip(proofs, self._signed, strict=False)
        ]
        self._advance(len(receipts))
        if not refused:
            return Run(receipts, None)
        return Run(receipts, self._refusal(RefusedError, refused))

    def _refused(self, reply: Reply) -> Run:
        answer = reply.json()
        try:
            reply.checked()
        except UnavailableError:
            raise
        except BreakglassError as error:
            if error.name in _LATER:
                raise UnavailableError(str(error), name=error.name) from error
            # Before the place is learnt anew: nothing of ours can have moved it.
            self._look_for_strangers(answer)
            self._advance(0)
            return Run([], self._refusal(type(error), answer))
        raise AssertionError("unreachable: the status is an error")

    def _look_for_strangers(self, told: dict[str, Any]) -> None:
        following = told.get("next")
        if self.unanswered or not isinstance(following, int) or following <= self.next_seq:
            return
        name, last = self._signer.verifier.name, following - 1
        self._stranger(
            f"somebody else writes with the key of {name!r}: its records {self.next_seq} to {last}"
            " in the ledger are not ours. Take that key out of the ledger's file 'submitters' and"
            " out of the trust file, and read what they say"
        )

    def _refusal(self, kind: type[BreakglassError], told: dict[str, Any]) -> BreakglassError:
        name, message = name_of(str(told.get("error", ""))), str(told.get("message", ""))
        if name in (ErrorName.BAD_SEQ, ErrorName.BAD_PREV):
            # Another place than we thought: take the ledger's word and number again.
            self._stand(told)
            return Unsent(message, name=name)
        if name in _LATER:
            return Unsent(message, name=name)  # what stands behind those that were taken, later
        return kind(message[:2000], name=name)

    def _advance(self, count: int) -> None:
        if count:
            self.next_seq += count
            self._prev = self._signed[count - 1].digest
        self._signed = []
        self.unanswered = False

    def _stand(self, told: dict[str, Any]) -> None:
        following, prev = told.get("next"), told.get("prev")
        if not isinstance(following, int) or not isinstance(prev, str) or len(prev) != 64:
            raise UnavailableError("ledger does not say where we stand", name=ErrorName.NONSENSE)
        self.next_seq, self._prev, self._known = following, prev, True


def _index(proof: Any) -> int:
    for line in proof.split("\n", 3)[:3] if isinstance(proof, str) else ():
        if line.startswith("index ") and line[6:].isdigit():
            return int(line[6:])
    raise UnavailableError("ledger's proof names no index", name=ErrorName.NONSENSE)
