"""A ledger that dies as by a power cut at a step of a commit, whenever its folder's file says so.

``python tests/faults/doomed_ledger.py FOLDER``: at the step whose number is in the file ``doom``,
once. Unlike ``crashing_ledger.py`` it is told while it runs, so a crash needs no start before it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from functools import partial
from pathlib import Path

from breakglass.ledger.app import build
from breakglass.process.serving import process_main


def main(argv: list[str]) -> int:
    """Serve, and die when the step is reached."""
    file = Path(argv[0]) / "doom"

    def reached(number: int) -> None:
        with contextlib.suppress(FileNotFoundError):
            if file.read_text() == str(number):
                file.unlink()
                os._exit(137)

    return process_main(argv, partial(build, reached=reached), "ledger")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
