"""The sample report: the public histories of data/bypass, read and drawn.

    python bench/report.py build/report                # one page a history and day, and an index
    python bench/report.py --pictures docs/explanation/verdicts   # the pictures of the documents
    python bench/report.py --readings                  # one line a gate and half-year

Deterministic: the same data gives the same bytes.
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from breakglass.verdicts.charts.gate_chart import WIDE, gate_chart
from breakglass.verdicts.charts.page import NAMES, page
from breakglass.verdicts.charts.series import shown
from breakglass.verdicts.charts.style import STYLE, standalone
from breakglass.verdicts.folder import read_folder, write_folder
from breakglass.verdicts.history import History
from breakglass.verdicts.imports.tables import from_tables
from breakglass.verdicts.sentence import percent
from breakglass.verdicts.verdict import judge_all, judge_one

DATA = Path(__file__).parents[1] / "data" / "bypass"
DAYS = {
    "webrtc": ("2016-07-01", "2017-01-01", "2020-01-01"),
    "catapult": ("2016-07-01", "2021-01-01", "2022-01-01"),
    "skia-buildbot": ("2016-01-01", "2017-01-01", "2022-01-01"),
}
YEARS = {"webrtc": (2012, 2020), "catapult": (2016, 2025), "skia-buildbot": (2014, 2026)}
PICTURES = (
    ("webrtc", "tryjobs", "2019-01-01"),
    ("webrtc", "review-post-hoc", "2020-01-01"),
    ("catapult", "review-post-hoc", "2022-01-01"),
    ("catapult", "presubmit", "2023-01-01"),
    ("skia-buildbot", "review-post-hoc", "2018-01-01"),
    ("skia-buildbot", "tryjobs", "2017-01-01"),
)


def folder(name: str, place: Path) -> Path:
    """Write the history folder of one public set, once."""
    if not (place / name).exists():
        tables = [DATA / f"{name}.{table}.csv" for table in ("events", "weekly", "people")]
        found = from_tables(*tables, str.strip, {}, hidden=False)
        if found.as_of is None:
            raise SystemExit(f"'{name}' holds no event")
        write_folder(place / name, found.as_of, found.events, found.passages, found.people)
    return place / name


def at(path: Path, day: str) -> History:
    """Read a history as it stood when ``day`` began."""
    return read_folder(path, datetime.fromisoformat(day).replace(tzinfo=UTC))


def report(out: Path, place: Path) -> None:
    """Write the pages and their index."""
    out.mkdir(parents=True, exist_ok=True)
    items = []
    for name, days in DAYS.items():
        path = folder(name, place)
        for day in days:
            history = at(path, day)
            verdicts = judge_all(history)
            file, title = f"{name}-{day}.html", f"{name}, as of {day}"
            (out / file).write_text(page(history, verdicts, title, whole=True), encoding="utf-8")
            told = ", ".join(f"{v.gate}: {NAMES[v.reading]}" for v in verdicts)
            items.append(f'<li><a href="{file}">{title}</a><br><small>{escape(told)}</small></li>')
    (out / "index.html").write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Public histories</title><style>{STYLE}</style></head><body><main>"
        "<h1>Public commit queues, read as gates</h1><p>What the bypasses of three public "
        "histories say, on days of which something is known. The data and its licences: "
        f"data/bypass/README.md.</p><ul>{''.join(items)}</ul></main></body></html>\n",
        encoding="utf-8",
    )
    print(f"written    {len(items)} pages and {out / 'index.html'}")


def pictures(out: Path, place: Path) -> None:
    """Write the documents' pictures, each a file by itself."""
    out.mkdir(parents=True, exist_ok=True)
    for name, gate, day in PICTURES:
        history = at(folder(name, place), day)
        found = history.gate(gate)
        if found is None:
            raise SystemExit(f"no gate '{gate}' in '{name}'")
        verdict = judge_one(history, found)
        series = shown(verdict.evidence, whole=True)
        svg = gate_chart(gate, series, NAMES[verdict.reading], WIDE, "g")
        (out / f"{name}-{gate}.svg").write_text(standalone(svg), encoding="utf-8")
    print(f"written    {len(PICTURES)} pictures to {out}")


def readings(place: Path) -> None:
    """Print what is said of every gate, every half-year: the tables of the documents."""
    for name, (first, last) in YEARS.items():
        print(f"\n{name}")
        path = folder(name, place)
        for year in range(first, last + 1):
            for day in (f"{year}-01-01", f"{year}-07-01"):
                history = at(path, day)
                for gate in history.gates:
                    v = judge_one(history, gate)
                    e = v.evidence
                    if e.recent.k or e.before.k:
                        rate = percent(e.rate.middle)
                        print(f"| {day} | {gate.name} | {e.recent.k} | {rate} | {v.reading} |")


def main() -> None:
    """Run one of the three."""
    parser = argparse.ArgumentParser(description="Build the sample report.")
    parser.add_argument("out", nargs="?", type=Path, default=Path("build/report"))
    parser.add_argument("--pictures", type=Path, help="write the documents' pictures here instead")
    parser.add_argument("--readings", action="store_true", help="print the readings instead")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        if chosen.pictures is not None:
            pictures(chosen.pictures, Path(place))
        elif chosen.readings:
            readings(Path(place))
        else:
            report(chosen.out, Path(place))


if __name__ == "__main__":
    main()
