"""What a gate answers, with reasons that a person can act on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from breakglass.token.verify import VerifiedToken


class Opens(StrEnum):
    """The four answers; only two of them open."""

    OPEN = "open"
    OPEN_BY_GLASS = "open by glass"
    SHUT_FAILED = "shut: check failed"
    SHUT_COULD_NOT_EVALUATE = "shut: could not evaluate"


@dataclass(frozen=True)
class Answer:
    """One answer of one gate.

    ``reason`` says what the check said; ``hint`` is what would open a shut gate; ``shown`` is what
    the token proved, where glass opened it.
    """

    gate: str
    opens: Opens
    reason: str
    hint: str = ""
    shown: VerifiedToken | None = None

    @property
    def open(self) -> bool:
        """Say whether the guarded act may go on."""
        return self.opens in (Opens.OPEN, Opens.OPEN_BY_GLASS)

    @property
    def exit_code(self) -> int:
        """Return 0 (open), 3 (the check failed) or 5 (it could not be evaluated)."""
        if self.open:
            return 0
        return 3 if self.opens is Opens.SHUT_FAILED else 5
