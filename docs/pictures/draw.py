"""Draws a recorded terminal as SVG: ``python docs/pictures/draw.py`` records the demo and draws it.

The words are the demo's own, two of its scenes; a test holds the picture to the recording, and the
recording to what the demo says today.
"""

from __future__ import annotations

import html
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
RECORDING, PICTURE = HERE / "demo.txt", HERE / "demo.svg"
# Each scene that is shown, with the line that it is shown to.
SCENES = {
    "03:14, orders are stuck": "  ok    what the glass does not grant",
    "Keys are stolen: what a thief can do with them": "  ok    an intent dated 10 min back",
}
_COLUMNS = 80
_CHARACTER, _LINE, _MARGIN = 8.0, 18, 20
_STYLE = """
text { font: 13px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: #d5d8dc;
  white-space: pre; }
.head { fill: #ffffff; font-weight: bold; } .typed { fill: #8ecbff; } .ok { fill: #7bd88f; }
.alarm { fill: #ff9a76; } .note { fill: #98a1ab; }
"""


def scenes_of(said: str) -> list[str]:
    """Return the lines of the scenes that are shown, out of all that the demo said."""
    found: list[str] = []
    lines = said.splitlines()
    for title, last in SCENES.items():
        begin = lines.index(title)
        end = next(at for at in range(begin, len(lines)) if lines[at].startswith(last))
        # Where a file lies on the machine that was recorded says nothing to anybody.
        found += [each for each in lines[begin : end + 1] if "in use: '" not in each]
        found.append("")
    return found[:-1]


def draw(lines: list[str]) -> str:
    """Return the SVG of a terminal that shows ``lines``."""
    width = int(_COLUMNS * _CHARACTER + 2 * _MARGIN)
    height = (len(lines) + 1) * _LINE + 2 * _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
        f' height="{height}" role="img" aria-label="breakglass demo, a recorded terminal">',
        f"<style>{_STYLE}</style>",
        f'<rect width="{width}" height="{height}" rx="8" fill="#1c1f24"/>',
        *(
            f'<circle cx="{_MARGIN + 16 * at}" cy="{_MARGIN}" r="5" fill="{colour}"/>'
            for at, colour in enumerate(("#ff5f57", "#febc2e", "#28c840"))
        ),
    ]
    alarm = False
    for number, line in enumerate(lines):
        y = 2 * _MARGIN + _LINE * (number + 1) - 6
        # An alert that is wrapped goes on below its first word.
        goes_on = alarm and line.startswith(" " * 8)
        alarm = goes_on or line.strip().startswith(("GLASS BROKEN", "FORBIDDEN"))
        parts.append(f'<text x="{_MARGIN}" y="{y}">{_coloured(line, alarm)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _coloured(line: str, alarm: bool) -> str:
    text = html.escape(line, quote=False)
    if line and not line.startswith(" "):
        return f'<tspan class="head">{text}</tspan>'
    if line.startswith("  ok "):
        return f'  <tspan class="ok">ok</tspan>{text[4:]}'
    if line.startswith(("  $ ", '      "')):
        return f'<tspan class="typed">{text}</tspan>'
    if alarm:
        return f'<tspan class="alarm">{text}</tspan>'
    return f'<tspan class="note">{text}</tspan>' if "breakglass: " in line else text


def main() -> None:
    """Record the demo, and draw it."""
    played = [sys.executable, "-m", "breakglass.demo"]
    said = subprocess.run(played, capture_output=True, text=True, check=True).stdout
    RECORDING.write_text("\n".join([*scenes_of(said), ""]), "utf-8")
    PICTURE.write_text(draw(RECORDING.read_text("utf-8").splitlines()), "utf-8")


if __name__ == "__main__":
    main()
