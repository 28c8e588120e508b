"""Where ``breakglass`` starts: says in one line what an installation lacks.

The base installation is for gates and brings ``breakglass-gate`` alone; the client needs more.
"""

from __future__ import annotations

import sys
from typing import NoReturn

EXIT_MISCONFIGURED = 6


def main() -> NoReturn:
    """Run the client, which ends the process, or say how to install it and end with 6."""
    try:
        from breakglass.cli.main import main as client
    except ModuleNotFoundError as error:
        if not error.name or error.name.partition(".")[0] == "breakglass":
            raise  # a mistake of ours, not of the installation
        print(
            f"breakglass: error: {error.name!r} is not installed; this is an installation for"
            " gates\nbreakglass: hint: pip install 'breakglass[cli]' for a client,"
            " 'breakglass[server]' for processes",
            file=sys.stderr,
        )
        sys.exit(EXIT_MISCONFIGURED)
    client()
