"""One thing that a lint has to say, and how it finds its place."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from breakglass.policy.parse import Bundle
from breakglass.policy.yaml_nodes import Place


class Level(StrEnum):
    """How much a finding weighs: an error keeps a policy from taking force."""

    ERROR = "error"
    WARNING = "warning"
    ADVICE = "advice"


@dataclass(frozen=True)
class LintFinding:
    """One thing to look at, with its place and the way out."""

    level: Level
    place: Place
    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.path}: {self.message}"


@dataclass(frozen=True)
class Desk:
    """Makes findings about one bundle."""

    bundle: Bundle

    def error(self, path: str, message: str, hint: str = "") -> LintFinding:
        """Say what must change."""
        return LintFinding(Level.ERROR, self.bundle.place(path), path, message, hint)

    def warning(self, path: str, message: str, hint: str = "") -> LintFinding:
        """Say what deserves a second thought."""
        return LintFinding(Level.WARNING, self.bundle.place(path), path, message, hint)

    def advice(self, path: str, message: str, hint: str = "") -> LintFinding:
        """Say what would be better."""
        return LintFinding(Level.ADVICE, self.bundle.place(path), path, message, hint)
