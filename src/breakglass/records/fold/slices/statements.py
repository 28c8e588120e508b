"""Which statements of people were used."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from breakglass.canonical import Json
from breakglass.clock import format_time
from breakglass.records.fold.slices.overlay import Overlay

if TYPE_CHECKING:
    from breakglass.records.statement import Statement


@dataclass(frozen=True, slots=True)
class UsedNonce:
    """The digest of the statement that used a nonce, and when that was signed."""

    digest: str
    said_at: datetime


@dataclass
class Statements:
    """``nonces`` gives, by person and nonce, which statement used it."""

    nonces: dict[tuple[str, str], UsedNonce] = field(default_factory=dict)

    def use(self, said: Statement, digest: str) -> None:
        """Take a statement's nonce for good; ``digest`` is of its text."""
        self.nonces[said.who, said.nonce] = UsedNonce(digest, said.at)

    def trial(self) -> Statements:
        """Return a thin copy that changes alone."""
        return Statements(Overlay(self.nonces))

    def summary(self) -> dict[str, Json]:
        """Return this part of the state as plain JSON."""
        return {
            "nonces": {
                f"{who} {nonce}": f"{each.digest} {format_time(each.said_at)}"
                for (who, nonce), each in self.nonces.items()
            }
        }
