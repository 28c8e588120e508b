"""What did not hold: how many records, and by which names, in one digest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from breakglass.canonical import Json
from breakglass.records.encoding.text_types import ZERO_DIGEST


@dataclass(frozen=True)
class Voids:
    """The number of void entries, and the SHA-256 chained over the index and name of each."""

    count: int = 0
    chained: str = ZERO_DIGEST

    def plus(self, index: int, name: str) -> Voids:
        """Return these and one more."""
        link = hashlib.sha256(f"{self.chained} {index} {name}".encode())
        return Voids(self.count + 1, link.hexdigest())

    def summary(self) -> dict[str, Json]:
        """Return this part of the state as plain JSON."""
        return {"void": {"count": self.count, "chained": self.chained}}
