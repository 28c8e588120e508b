"""Which statements of people were used."""

from __future__ import annotations

from dataclasses import dataclass, field

from breakglass.canonical import Json
from breakglass.records.fold.slices.overlay import Overlay


@dataclass
class Statements:
    """``nonces`` gives, by person and nonce, the digest of the statement that used it."""

    nonces: dict[tuple[str, str], str] = field(default_factory=dict)

    def trial(self) -> Statements:
        """Return a thin copy that changes alone."""
        return Statements(Overlay(self.nonces))

    def summary(self) -> dict[str, Json]:
        """Return this part of the state as plain JSON."""
        return {"nonces": len(self.nonces)}
