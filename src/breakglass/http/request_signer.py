"""Who reads, on the asking side: a key, and the processes that may be told what it asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from breakglass.clock import Clock, SystemClock, to_milliseconds
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, UnavailableError
from breakglass.http.request_signature import REQUEST, SESSION, sign_request
from breakglass.tlog.key import VerifierKey
from breakglass.tlog.signer import Signer


@dataclass(frozen=True)
class RequestSigner:
    """Signs the reads of one caller; safe under threads.

    Attributes:
        log: the log's origin; empty to ask ledgers alone, whose key has that name.
        key: a submitter's record key, an archiver's, or a grant's holder key; or what returns a
            session's key with the header that shows the session. That is asked when there is a
            process to sign for, and not before: it may cost a person a touch.
        believes: whether a process with this key is one that we mean to ask. Its word alone
            counts: a request for anybody else would be shown on by whoever answered.
        clock: the caller's.
    """

    log: str
    key: Signer | Callable[[], tuple[Signer, str]]
    believes: Callable[[VerifierKey], bool]
    clock: Clock = field(default_factory=SystemClock)

    def headers(self, to: str, method: str, target: str, body: bytes) -> Mapping[str, str]:
        """Return the headers of one request to the process with key ``to``."""
        key, session = self.key() if callable(self.key) else (self.key, "")
        at = to_milliseconds(self.clock.now())  # behind the touch, which takes its time
        log = self.log or to.partition("+")[0]
        value = sign_request(key, log, to, method, target, body, at)
        return {REQUEST: value, SESSION: session} if session else {REQUEST: value}

    def choose(self, keys: object, by: str) -> str:
        """Return the key to ask for, of those that a process says are its own.

        Raises:
            UnavailableError: ``wrong_process``; it is none that we mean to ask.
            BreakglassError: there is no trust file to tell by.
        """
        for each in keys if isinstance(keys, list) else []:
            try:
                key = VerifierKey.parse(str(each))
            except MalformedError:
                continue
            if self.believes(key):
                return str(each)
        raise UnavailableError(
            f"{by} has no key that the trust file gives for it; it was asked nothing",
            name=ErrorName.WRONG_PROCESS,
            hint="is the address right, and the trust file of today: breakglass trust update",
        )
