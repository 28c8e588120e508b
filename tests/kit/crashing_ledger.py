"""A ledger that dies as by a power cut at one numbered step of a commit: for crash tests only.

``python tests/kit/crashing_ledger.py STEP TIME FOLDER``: at the TIMEth time that STEP is reached.
"""

from __future__ import annotations

import os
import sys
from functools import partial

from breakglass.ledger.app import build
from breakglass.process.serving import process_main


def main(argv: list[str]) -> int:
    """Serve until the step is reached."""
    step, left = int(argv[0]), int(argv[1])

    def reached(number: int) -> None:
        nonlocal left
        if number == step:
            left -= 1
            if left == 0:
                os._exit(137)

    return process_main(argv[2:], partial(build, reached=reached), "ledger")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
