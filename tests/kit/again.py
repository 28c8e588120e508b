"""Try once more, alone and by name, the few tests that failed: ``python -m tests.kit.again``.

Many tests start real processes, and one may lose a race on a loaded machine. What failed first
stays in the output above and is named here again; what fails twice fails, and so do more than
three. docs/decisions/tests-1 says why.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

FAILED = Path(".pytest_cache/v/cache/lastfailed")
AT_MOST = 3


def failed_once(file: Path) -> list[str]:
    """Return what the last run of all tests noted as failed; nothing if it noted nothing."""
    try:
        return sorted(json.loads(file.read_text("utf-8")))
    except FileNotFoundError:
        return []


def main() -> int:
    """Run them; returns 0 where each passes, else what pytest returned, or 2."""
    names = failed_once(FAILED)
    if not 0 < len(names) <= AT_MOST:
        print(f"again: {len(names)} tests are noted as failed, 1 to {AT_MOST} are tried again")
        return 2
    for name in names:
        print(f"again: failed once, and is to be mended: {name}")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", *names], check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
