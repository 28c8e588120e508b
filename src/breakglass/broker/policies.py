"""The policy in force, compiled once for each bundle."""

from __future__ import annotations

import threading

from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError
from breakglass.policy.bundle import unpack_bundle
from breakglass.policy.compile import CompiledPolicy, compile_policy
from breakglass.records.fold.state import State

_KEPT = 4


class Policies:
    """Compiled bundles by their digest; safe under threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, CompiledPolicy] = {}

    def in_force(self, state: State) -> CompiledPolicy:
        """Return the policy of ``state``.

        Raises:
            RefusedError: ``no_policy``: none was activated yet.
            MalformedError: the bundle in force does not compile; nothing can be decided.
        """
        if state.governance.policy is None:
            raise RefusedError(
                "no policy is in force yet",
                name=ErrorName.NO_POLICY,
                hint="two maintainers activate one with: breakglass policy activate",
            )
        return self.of(state.governance.policy.bundle, state.governance.bundle)

    def of(self, digest: str, bundle: bytes) -> CompiledPolicy:
        """Return a compiled bundle.

        Raises:
            MalformedError: it does not compile.
        """
        with self._lock:
            if digest not in self._kept:
                while len(self._kept) >= _KEPT:
                    self._kept.pop(next(iter(self._kept)))
                self._kept[digest] = compile_policy(unpack_bundle(bundle))
            return self._kept[digest]
