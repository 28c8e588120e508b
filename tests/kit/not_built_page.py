"""Write docs/reference/not-built-yet.md from its table."""

from __future__ import annotations

from pathlib import Path

from breakglass.policy.not_built import PAGE, page

ROOT = Path(__file__).resolve().parents[2]

if __name__ == "__main__":
    (ROOT / PAGE).write_text(page())
