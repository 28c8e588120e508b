"""``python -m breakglass.ledger FOLDER``."""

from __future__ import annotations

import sys

from breakglass.ledger.app import build
from breakglass.process.serving import process_main


def main(argv: list[str]) -> int:
    """Serve a ledger's folder; returns the exit code."""
    return process_main(argv, build, "ledger")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
