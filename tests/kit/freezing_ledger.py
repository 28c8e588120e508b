"""A ledger that freezes itself (SIGSTOP) at a step of a commit: for tests only.

``python tests/kit/freezing_ledger.py FOLDER``: at the step whose number is in the folder's file
``freeze``, once. Two more than the steps of ``sequencing.py``: 0 is inside the transaction of a
commit, with everything written, all locks held and nothing committed; 7 the same for the final
form of its head.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from breakglass.ledger.app import build
from breakglass.ledger.postgres_journal import PostgresJournal
from breakglass.process.serving import process_main


def main(argv: list[str]) -> int:
    """Serve, and freeze when the step is reached."""
    file = Path(argv[0]) / "freeze"

    def reached(number: int) -> None:
        with contextlib.suppress(FileNotFoundError):
            if file.read_text() == str(number):
                file.unlink()
                os.kill(os.getpid(), signal.SIGSTOP)

    fenced = PostgresJournal._fenced

    @contextlib.contextmanager
    def freezing(journal: PostgresJournal) -> Iterator[Any]:
        commits = sys._getframe(2).f_code.co_name == "commit"
        with fenced(journal) as transaction:
            yield transaction
            reached(0 if commits else 7)

    PostgresJournal._fenced = freezing  # type: ignore[method-assign]
    return process_main(argv, partial(build, reached=reached), "ledger")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
