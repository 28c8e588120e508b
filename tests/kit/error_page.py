"""The page of all error names, written from the enum: ``python -m tests.kit.error_page``."""

from __future__ import annotations

from pathlib import Path

from breakglass import errors
from breakglass.error_names import ErrorName

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "errors.md"
KINDS: dict[str, type[errors.BreakglassError]] = {
    str(kind.exit_code): kind
    for kind in (
        errors.BreakglassError,
        errors.MalformedError,
        errors.RefusedError,
        errors.UnprovenError,
        errors.UnavailableError,
        errors.MisconfiguredError,
    )
}
VOID = "0"

_HEAD = """\
# Error names

Every failure has a name that does not change: programs, test vectors and alerts go by it. This page
is written from `src/breakglass/error_names.py` (`python -m tests.kit.error_page`), and a test
compares the two.

- *kind* says what sort of failure it is. A name may occur with more than one. *void* is no error of
  a command: the record is in the ledger, and verifiers ignore it under this name.
- *exit code* is what the command line ends with, *HTTP status* what a process usually answers with.
  Some answers have a status that says more (409, 413, 429).
- A name that is not in this table comes from a neighbour of another version. It is told as is.

| name | kind | exit code | HTTP status | meaning |
| --- | --- | --- | --- | --- |
"""


def page() -> str:
    """Return the whole page as Markdown."""
    return _HEAD + "".join(map(_row, ErrorName))


def _row(name: ErrorName) -> str:
    kinds = [KINDS[each] for each in name.kinds if each != VOID]
    words = ["void"] * (VOID in name.kinds) + [
        each.default_name if each is not errors.BreakglassError else "any" for each in kinds
    ]
    codes = [str(each.exit_code) for each in kinds] or ["–"]
    statuses = [str(each.http_status) for each in kinds] or ["–"]
    cells = (f"`{name}`", ", ".join(words), ", ".join(codes), ", ".join(statuses), name.meaning)
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    PAGE.write_text(page())
