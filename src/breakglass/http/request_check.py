"""Whether a signed request is for this process, of now, and new: what each process asks first."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from datetime import timedelta

from breakglass.clock import Clock
from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError, UnavailableError, UnprovenError
from breakglass.http.request_signature import (
    REQUEST,
    SignedRequest,
    body_digest,
    read_request,
)
from breakglass.http.routes import Request, StatusError

_KEPT_OF_A_KEY = 65_536  # nonces in two skews: 270 requests a second
_KEYS = 4_096


class RequestCheck:
    """Checks the requests that one process receives; safe under threads.

    Args:
        log: the log's origin.
        keys: the process's own, each as its verifier key is written; any of them may be named.
        clock: the process's.
        skew: how far two clocks may lie apart, at this moment.
    """

    def __init__(
        self,
        log: str,
        keys: Collection[str],
        clock: Clock,
        skew: Callable[[], timedelta],
    ) -> None:
        self.log = log
        self.keys = tuple(keys)
        self.clock = clock
        self.skew = skew
        self._seen = NonceMemory()

    def signed(self, asked: Request[bytes]) -> SignedRequest:
        """Return the request that stands beside ``asked``, whoever made it.

        Whether it is new is for ``once`` to say, when it is known who made it: what strangers send
        must not fill the memory.

        Raises:
            StatusError: 401 ``unsigned_request``; there is none.
            MalformedError: ``bad_request``.
            RefusedError: ``wrong_log``, ``wrong_process`` or ``stale_request``.
            UnprovenError: ``signature``, or ``other_request`` for another method, target or body.
        """
        value = asked.headers.get(REQUEST, "")
        if not value:
            raise unsigned()
        found = read_request(value)
        text = found.text
        if text.log != self.log:
            raise RefusedError(
                f"the request is signed for log {text.log!r}, this is {self.log!r}",
                name=ErrorName.WRONG_LOG,
            )
        if text.to not in self.keys:
            raise RefusedError(
                f"the request is signed for the process with key {text.to!r}, this is"
                f" {self.keys[0]!r}; nothing is shown",
                name=ErrorName.WRONG_PROCESS,
            )
        wanted = (asked.method, asked.target, body_digest(asked.body))
        if (text.method, text.target, text.body) != wanted:
            raise UnprovenError(
                f"the request is signed for {text.method} {text.target[:200]!r} and body"
                f" {text.body[:16]}…, and came as {wanted[0]} {wanted[1][:200]!r},"
                f" {wanted[2][:16]}…",
                name=ErrorName.OTHER_REQUEST,
            )
        now, skew = self.clock.now(), self.skew()
        apart = now - text.at
        if abs(apart) > skew:
            raise RefusedError(
                f"this process's clock is {abs(apart).total_seconds():.0f} s"
                f" {'behind' if apart < timedelta(0) else 'ahead of'} the request's"
                f" (limit {skew.total_seconds():g} s)",
                name=ErrorName.STALE_REQUEST,
                hint="set both clocks: timedatectl set-ntp true",
            )
        return found

    def once(self, found: SignedRequest) -> None:
        """Take note of a request, and refuse one that was made before.

        Raises:
            RefusedError: ``repeated_request``.
            StatusError: 429 ``busy``; the memory for this key is full.
        """
        # Twice the skew: an asker whose clock is ahead is still fresh when ours gets there.
        if not self._seen.new(found.key, found.text.nonce, 2 * self.skew()):
            raise RefusedError(
                "this request was made before; each counts once", name=ErrorName.REPEATED_REQUEST
            )


class NonceMemory:
    """Which nonces each key used lately: bounded, in memory, safe under threads.

    A process that starts has none; docs/decisions/http-3-who-reads.md says what that costs.
    """

    def __init__(self, kept_of_a_key: int = _KEPT_OF_A_KEY) -> None:
        self._kept_of_a_key = kept_of_a_key
        self._lock = threading.Lock()
        self._of: dict[bytes, dict[bytes, float]] = {}

    def new(self, key: bytes, nonce: str, kept: timedelta) -> bool:
        """Say whether ``key`` has not used ``nonce`` within ``kept``, and remember it.

        Raises:
            StatusError: 429 ``busy``.
        """
        raw, now = bytes.fromhex(nonce), time.monotonic()
        with self._lock:
            if key not in self._of and len(self._of) >= _KEYS:
                self._forget(now)
            seen = self._of.setdefault(key, {})
            # The oldest stand first.
            while seen and (oldest := next(iter(seen))) and seen[oldest] <= now:
                del seen[oldest]
            if raw in seen:
                return False
            if len(seen) >= self._kept_of_a_key or len(self._of) > _KEYS:
                raise StatusError(
                    UnavailableError(
                        f"more than {self._kept_of_a_key} requests of one key within"
                        f" {kept.total_seconds():g} s; nothing is shown",
                        name=ErrorName.BUSY,
                        hint="ask again in a moment",
                    ),
                    429,
                )
            seen[raw] = now + kept.total_seconds()
            return True

    def _forget(self, now: float) -> None:
        for key in [key for key, seen in self._of.items() if max(seen.values(), default=0) <= now]:
            del self._of[key]


def unsigned() -> StatusError:
    """Refuse whoever does not say who they are."""
    error = RefusedError(
        "nobody signed this request; what is read here is shown to known callers alone",
        name=ErrorName.UNSIGNED_REQUEST,
        hint="docs/spec/request.md; people read with: breakglass status",
    )
    return StatusError(error, 401)
