"""``python -m breakglass.archiver FOLDER``."""

from __future__ import annotations

import sys

from breakglass.archiver.app import build
from breakglass.process.serving import process_main


def main(argv: list[str]) -> int:
    """Serve an archiver's folder; returns the exit code."""
    return process_main(argv, build, "archiver")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
