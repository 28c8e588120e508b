"""Write the vectors of ``docs/spec/token.md``: the same bytes each time, from names and one time.

    .venv/bin/python -m vectors.token.make          write cases/ and trust/
    .venv/bin/python -m vectors.token.make --check  say whether they are what would be written

Each case forges exactly one thing in a whole organisation and says by which name a verifier must
refuse it. The table ``CASES`` is what a verifier is tested against; see README.md beside this.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from breakglass.clock import format_time
from breakglass.errors import BreakglassError, MalformedError, RefusedError, UnprovenError
from breakglass.records.trust import accept_trust
from breakglass.tlog.note import Note
from breakglass.token.token import parse_token
from breakglass.token.verify import Verifier, verify_token

from . import (
    asks_and_lists,
    good,
    intent_and_people,
    now_and_holder,
    proof_and_door,
    terms,
    text_and_card,
)
from .forging import CASES, Case

HERE = Path(__file__).resolve().parent
PARTS = (
    good,
    text_and_card,
    intent_and_people,
    asks_and_lists,
    terms,
    proof_and_door,
    now_and_holder,
)

# --- writing --------------------------------------------------------------------------------------

KINDS = {MalformedError: "malformed", RefusedError: "refused", UnprovenError: "unproven"}


def outcome(found: Case) -> dict[str, object]:
    """Run our own verifier on a case and say what came of it."""
    org = found.org
    trust = accept_trust(Note.parse(org.trust_note(**found.trust)), None)
    verifier = Verifier(trust, found.door, found.newest_seen)
    try:
        shown = verify_token(parse_token(data_of(found)), verifier, found.run, found.now or org.now)
    except BreakglassError as error:
        return {"accepted": False, "kind": KINDS[type(error)], "name": error.name}
    return {
        "accepted": True,
        "grant": shown.intent.grant,
        "who": shown.intent.who,
        "index": shown.index,
        "factors": {who: factor.value for who, factor in sorted(shown.asking.factors.items())},
        "cosigned": {name: format_time(at) for name, at in sorted(shown.cosigned.items())},
    }


def data_of(found: Case) -> bytes:
    """Return the token's bytes."""
    return found.token if isinstance(found.token, bytes) else found.token.encoded().encode()


def files() -> dict[str, str]:
    """Return every file of the vectors, by its path here."""
    written: dict[str, str] = {}
    trusts: dict[bytes, str] = {}
    for name, (about, refused, maker) in sorted(CASES.items()):
        found = maker()
        result = outcome(found)
        wanted = (not refused, refused)
        got = (result["accepted"], result.get("name", ""))
        if got != wanted:
            raise AssertionError(f"{name}: wanted {wanted}, got {got}")
        note = found.org.trust_note(**found.trust)
        path = trusts.setdefault(note, f"trust/{len(trusts) + 1}.trust")
        written[path] = note.decode()
        value = {
            "about": about,
            "trust": path,
            "door": found.door,
            "run": found.run,
            "now": format_time(found.now or found.org.now),
            "newest_seen": format_time(found.newest_seen) if found.newest_seen else None,
            "token": data_of(found).decode(),
            "outcome": result,
        }
        written[f"cases/{name}.json"] = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    return written


def main(arguments: list[str]) -> int:
    """Write the files, or check them."""
    wanted = files()
    found = {
        str(path.relative_to(HERE)): path.read_bytes().decode()
        for folder in ("cases", "trust")
        for path in sorted((HERE / folder).glob("*"))
    }
    if "--check" in arguments:
        wrong = sorted(
            name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)
        )
        print("\n".join(wrong) or f"{len(CASES)} cases are as they would be written")
        return 1 if wrong else 0
    for name in found.keys() - wanted.keys():
        (HERE / name).unlink()
    for name, text in wanted.items():
        (HERE / name).parent.mkdir(exist_ok=True)
        (HERE / name).write_bytes(text.encode())
    print(f"wrote {len(CASES)} cases")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
