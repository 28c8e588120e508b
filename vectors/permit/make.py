"""Write the vectors of permits: the same bytes each time, from names alone.

    .venv/bin/python -m vectors.permit.make          write the file
    .venv/bin/python -m vectors.permit.make --check  say whether it is what would be written

Each case forges exactly one thing and says by which name a broker must refuse it; see README.md
beside this. Nothing is written where our own verifier says otherwise.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.kit.organisation import SECOND, SKEW, Organisation, signer

from breakglass.clock import format_time, parse_time
from breakglass.errors import BreakglassError, MalformedError, RefusedError, UnprovenError
from breakglass.records.permit import (
    LONGEST,
    Permit,
    check_permit,
    make_permit,
    permit_text,
)
from breakglass.records.trust import parse_trust
from breakglass.tlog.note import Note, sign_note

FILE = Path(__file__).resolve().parent / "permits.json"
KINDS = {MalformedError: "malformed", RefusedError: "refused", UnprovenError: "unproven"}
GRANT = "g-7kq3m2x4p5ab"


def of(org: Organisation, **changes: Any) -> Permit:
    """Return the honest permit, but for some fields."""
    until = org.now + timedelta(minutes=5)
    return replace(Permit(org.log_name, GRANT, "sam", until), **changes)


def honest() -> str:
    """Return the permit that the specification shows."""
    org = Organisation()
    return make_permit(of(org), org.submitters["monitor"])


def cases(org: Organisation) -> dict[str, tuple[str, str]]:
    """Return every case by its name: the header's value, and the name of what is wrong."""
    monitor = org.submitters["monitor"]

    def given(role: str = "monitor", **changes: Any) -> str:
        return make_permit(of(org, **changes), org.submitters[role])

    def rewritten(change: Callable[[str], str]) -> str:
        note = sign_note(change(permit_text(of(org))), monitor)
        return base64.b64encode(note.encoded()).decode()

    good = Note.parse(base64.b64decode(given()))
    beside = good.with_lines(signer("somebody.else.example").sign(good.text))
    altered = Note(good.text.replace('"sam"', '"mallory"'), good.lines)
    who, over = "permit_signer", "permit_over"
    return {
        "holds": (given(), ""),
        "as-long-as-may-be": (given(until=org.now + LONGEST + SKEW), ""),
        "last-second": (given(until=org.now + SECOND), ""),
        "empty": ("", "bad_permit"),
        "no-base64": ("?" + given(), "bad_permit"),
        "no-note": (base64.b64encode(b"sam").decode(), "bad_permit"),
        "too-long": (given() + "A" * 2048, "bad_permit"),
        "under-another-header": (rewritten(lambda t: t.replace("permit", "record")), "bad_permit"),
        "with-a-field-more": (rewritten(lambda t: t.replace("{", '{"a":1,', 1)), "bad_permit"),
        "with-a-field-less": (rewritten(lambda t: t.replace(',"to":"sam"', "")), "bad_permit"),
        "not-canonical": (rewritten(lambda t: t.replace("{", "{ ", 1)), "bad_permit"),
        "by-a-stranger": (make_permit(of(org), signer("monitor.evil.example")), who),
        "by-the-broker": (given("broker"), who),
        "by-a-gate": (given("gate:orders-write"), who),
        "with-a-line-beside": (base64.b64encode(beside.encoded()).decode(), who),
        "altered": (base64.b64encode(altered.encoded()).decode(), "signature"),
        "of-another-log": (given(log="ledger.example/two"), "wrong_log"),
        "of-another-ask": (given(grant="g-aaaaaaaaaaaa"), "wrong_grant"),
        "is-over": (given(until=org.now), over),
        "lasts-too-long": (given(until=org.now + LONGEST + SKEW + SECOND), over),
    }


def answer(value: dict[str, Any]) -> dict[str, Any]:
    """Run our own verifier on a case and say what came of it."""
    trust, now = parse_trust(value["trust"]), parse_time(value["now"])
    try:
        return {"to": check_permit(value["permit"], value["grant"], trust, now).to}
    except BreakglassError as error:
        return {"kind": KINDS[type(error)], "name": str(error.name)}


def file() -> str:
    """Return the file."""
    org, made = Organisation(), []
    for name, (permit, expect) in sorted(cases(org).items()):
        value: dict[str, Any] = {
            "name": name,
            "trust": org.trust_text(),
            "grant": GRANT,
            "now": format_time(org.now),
            "permit": permit,
        }
        value["expect"] = answer(value)
        if value["expect"].get("name", "") != expect:
            raise AssertionError(f"{name}: {expect!r}, got {value['expect']}")
        made.append(value)
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """Write the file, or with ``--check`` say whether it stands."""
    if arguments != ["--check"]:
        FILE.write_text(file(), "utf-8")
        return 0
    if FILE.read_text("utf-8") == file():
        return 0
    print(f"{FILE.name} is not what would be written")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
