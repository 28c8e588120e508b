"""Make a security key of software, in a file; for trying out, and never for real use.

    python -m breakglass.demo.software_key_file KEYFILE

writes KEYFILE (0600) and KEYFILE.pub. ``breakglass.demo.software_agent`` holds it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from breakglass.demo.software_keys import SoftSecurityKey
from breakglass.errors import MisconfiguredError


def make_key_file(path: Path) -> None:
    """Make a key that signs as one that is touched each time.

    Raises:
        OSError: the file exists, or cannot be written.
    """
    key = SoftSecurityKey.generate()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(key.encoded())
    path.with_name(f"{path.name}.pub").write_text(f"{key.public} {path.name}\n", "ascii")


def main(arguments: list[str]) -> int:
    """Make the file that is named."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        make_key_file(Path(arguments[0]))
    except OSError as error:
        print(f"breakglass: error: {error}", file=sys.stderr)
        return MisconfiguredError.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
