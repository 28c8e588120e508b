"""The policies in force, and the one that somebody wants to put in force, compiled once each."""

from __future__ import annotations

import threading
from datetime import datetime

from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError, UnavailableError
from breakglass.http.routes import StatusError
from breakglass.node.readers import ReadingRights
from breakglass.policy.bundle import unpack_bundle
from breakglass.policy.compile import CompiledPolicy, compile_policy
from breakglass.records.fold.state import State

_IN_FORCE_KEPT = 2  # the one before too: a decision under way may still hold its state


class Policies:
    """Compiled bundles by their digest; safe under threads.

    A decision waits for no bundle but the one in force, and no candidate takes that one's place.
    """

    def __init__(self) -> None:
        self._deciding = threading.Lock()
        self._in_force: dict[str, CompiledPolicy] = {}
        self._trying = threading.Lock()
        self._candidate: CompiledPolicy | None = None

    def in_force(self, state: State) -> CompiledPolicy:
        """Return the policy of ``state``.

        Raises:
            RefusedError: ``no_policy``: none was activated yet.
            MalformedError: the bundle in force does not compile; nothing can be decided.
        """
        policy = state.governance.policy
        if policy is None:
            raise RefusedError(
                "no policy is in force yet",
                name=ErrorName.NO_POLICY,
                hint="two maintainers activate one with: breakglass policy activate",
            )
        with self._deciding:
            found = self._in_force.get(policy.bundle)
            if found is None:
                # Activated here, it is compiled already. Else (by another broker, or before we
                # started) now, once: every decision needs it.
                found = self._tried(policy.bundle) or compile_policy(
                    unpack_bundle(state.governance.bundle)
                )
                while len(self._in_force) >= _IN_FORCE_KEPT:
                    self._in_force.pop(next(iter(self._in_force)))
                self._in_force[policy.bundle] = found
            return found

    def rights(self, state: State, who: str, now: datetime) -> ReadingRights:
        """Say what the policy of ``state`` lets ``who`` read, one of its people.

        Raises:
            BreakglassError: as ``in_force``; nothing is shown.
        """
        bundle = self.in_force(state).bundle
        return ReadingRights(bundle.directory.people[who].counts_at(now), bundle.reads_all(who))

    def candidate(self, digest: str, bundle: bytes) -> CompiledPolicy:
        """Compile a bundle that may take force; its maintainers' signatures were checked.

        Raises:
            MalformedError: it does not compile.
            StatusError: 429 ``busy``: another is being compiled.
        """
        if not self._trying.acquire(blocking=False):
            error = UnavailableError(
                "another policy is being compiled; nothing was recorded",
                name=ErrorName.BUSY,
                hint="send the same policy again in a few seconds",
            )
            raise StatusError(error, 429)
        try:
            found = self._in_force.get(digest) or self._tried(digest)
            if found is None:
                found = self._candidate = compile_policy(unpack_bundle(bundle))
            return found
        finally:
            self._trying.release()

    def _tried(self, digest: str) -> CompiledPolicy | None:
        found = self._candidate
        return found if found is not None and found.digest == digest else None
