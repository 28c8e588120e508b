"""Write the vectors of people's signatures: the same bytes each time, from names alone.

    .venv/bin/python -m vectors.signing.make          write the files
    .venv/bin/python -m vectors.signing.make --check  say whether they are what would be written

Each case forges exactly one thing and says by which name a verifier must refuse it; see README.md
beside this. Nothing is written where our own verifier says otherwise.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from breakglass.errors import BreakglassError, MalformedError, UnprovenError
from breakglass.records.signing.passkey import Assertion
from breakglass.records.signing.person_key import check_keys, key_identity
from breakglass.records.signing.signature import (
    CARD_NAMESPACE,
    Signed,
    SignedByPasskey,
    people_who_signed,
    verify_signature,
)
from breakglass.tlog.note import Note

from .cases import signature_cases
from .lines import key_cases, note_cases

HERE = Path(__file__).resolve().parent
KINDS = {MalformedError: "malformed", UnprovenError: "unproven"}


def signature_of(value: dict[str, Any]) -> Signed | SignedByPasskey:
    """Read the signature of a case, as a verifier is given it."""
    if "sshsig" in value["signature"]:
        return Signed(value["text"], value["signature"]["sshsig"])
    return SignedByPasskey(value["text"], Assertion(**value["signature"]["passkey"]))


def answer(file: str, value: dict[str, Any]) -> dict[str, Any]:
    """Run our own verifier on a case of ``file`` and say what came of it."""
    try:
        if file == "signatures":
            found = verify_signature(signature_of(value), value["keys"], value["namespace"])
            return {"factor": found.value}
        if file == "keys":
            check_keys(value["people"], "people")
            keys = [key for each in value["people"].values() for key in each]
            return {"points": {key: key_identity(key).hex() for key in keys}}
        note = Note.parse(value["note"].encode())
        signed = people_who_signed(note, value["people"], value["namespace"])
        return {"signed": {name: factor.value for name, factor in signed.items()}}
    except BreakglassError as error:
        return {"kind": KINDS[type(error)], "name": error.name}


def files() -> dict[str, str]:
    """Return every file of the vectors, by its path here."""
    made: dict[str, list[dict[str, Any]]] = {"signatures": [], "keys": [], "notes": []}
    wanted: dict[tuple[str, str], Any] = {}
    for name, case in sorted(signature_cases().items()):
        signed = case.signed
        signature: dict[str, Any] = (
            {"sshsig": signed.sshsig}
            if isinstance(signed, Signed)
            else {"passkey": dict(vars(signed.passkey))}
        )
        made["signatures"].append(
            {
                "name": name,
                "about": case.about,
                "keys": list(case.keys),
                "namespace": case.namespace,
                "text": signed.text,
                "signature": signature,
            }
        )
        wanted["signatures", name] = case.expect
    for name, each in sorted(key_cases().items()):
        people = {who: list(keys) for who, keys in each.people.items()}
        made["keys"].append({"name": name, "about": each.about, "people": people})
        wanted["keys", name] = each.expect
    for name, note in sorted(note_cases().items()):
        people = {who: list(keys) for who, keys in note.people.items()}
        made["notes"].append(
            {
                "name": name,
                "about": note.about,
                "people": people,
                "namespace": CARD_NAMESPACE,
                "note": note.note.decode(),
            }
        )
        wanted["notes", name] = note.expect
    for file, values in made.items():
        for value in values:
            found = answer(file, value)
            said = found.get("name") or found.get("factor") or found.get("signed", "")
            if said != wanted[file, value["name"]]:
                raise AssertionError(f"{value['name']}: {wanted[file, value['name']]}, got {found}")
            value["expect"] = found
    return {
        f"{file}.json": json.dumps(values, indent=1, ensure_ascii=False) + "\n"
        for file, values in made.items()
    }


def main(arguments: list[str]) -> int:
    """Write the files, or check them."""
    wanted = files()
    count = sum(text.count('\n  "name": ') for text in wanted.values())
    if "--check" in arguments:
        found = {path.name: path.read_text("utf-8") for path in HERE.glob("*.json")}
        wrong = sorted(
            name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)
        )
        print("\n".join(wrong) or f"{count} cases are as they would be written")
        return 1 if wrong else 0
    for name, text in wanted.items():
        (HERE / name).write_text(text, "utf-8")
    print(f"wrote {count} cases")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
