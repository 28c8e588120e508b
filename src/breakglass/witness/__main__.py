"""``python -m breakglass.witness FOLDER``."""

from __future__ import annotations

import sys

from breakglass.process.serving import process_main
from breakglass.witness.app import build


def main(argv: list[str]) -> int:
    """Serve a witness's folder; returns the exit code."""
    return process_main(argv, build, "witness")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
