"""The morning after: the review is open and filled in, and a copy of the ledger can be checked."""

from __future__ import annotations

import re
import shutil
from datetime import timedelta
from pathlib import Path

from breakglass.clock import Deadline
from breakglass.demo.night import INCIDENT, Night
from breakglass.demo.shop import GATE


def evidence(night: Night) -> None:
    """Review, export, verify, and one byte altered."""
    _review(night)
    _copy(night)


def _review(night: Night) -> None:
    stage, mira = night.stage, night.mira
    stage.scene("The morning after: looking back without blame")
    grant = night.rollback.get("grant", "none")
    with stage.check("both reviews are open, with their deadlines") as check:
        listed = mira.asks("review", "list")["reviews"]
        found = {each["grant"] for each in listed}
        wanted = {grant, night.repair.get("grant", "none")}
        check.require(wanted <= found, f"open are {sorted(found)}")
    with stage.check("a review is filled in from the records") as check:
        # The monitor follows the ledger; the bypass arrived there a moment ago.
        for _ in Deadline(timedelta(seconds=10)).tries(0.2):
            said = mira.types("review", "show", grant, "--yaml", show=False)
            if f"{GATE} gate" in said.out:
                break
        stage.command("breakglass", "review", "show", grant, "--yaml")
        stage.said(said.out)
        check.took = said.took
        for field in (f"incident:        {INCIDENT}", "broke_glass:     mira", "audit_verified:  "):
            check.require(field in said.out, f"no {field.strip()!r} in it")
        check.require(f"{GATE} gate" in said.out, "the bypassed gate is not in it")


def _copy(night: Night) -> None:
    stage, mira = night.stage, night.mira
    stage.scene("The ledger, checked without the ledger")
    copy = night.folder / "copy"
    with stage.check("a copy is made and verified: hashes, heads, signatures, rules") as check:
        exported = mira.types("ledger", "export", "--to", "copy")
        check.require(exported.code == 0, exported.last)
        said = mira.types("ledger", "verify", "copy", "--trust", "org/trust")
        check.took = exported.took + said.took
        check.require(said.code == 0, said.last)
    with stage.check("one byte of a stored record altered in a copy: it is named") as check:
        altered = night.folder / "altered"
        shutil.copytree(copy, altered)
        wanted = _alter(altered, night.rollback.get("grant", ""))
        said = mira.types("ledger", "verify", "altered", "--trust", "org/trust")
        check.took = said.took
        check.require(said.code == 4, f"exit {said.code}: {said.last}")
        check.require(f"'{wanted}'" in said.err, f"it named another record: {said.last}")


def _alter(copy: Path, grant: str) -> str:
    """Change one letter of the intent's incident in the stored bytes; returns the record's id."""
    wanted = f"{grant}/intent"
    for path in sorted((copy / "tile" / "entries").rglob("*")):
        data = path.read_bytes() if path.is_file() else b""
        at = data.find(f'"id":"{wanted}"'.encode())
        if at < 0:
            continue
        found = re.compile(b'"incident":"INC-4821"').search(data, data.rfind(b"{", 0, at), at + 200)
        place = found.end() - 2 if found else at + len('"id":"')
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        return wanted if found else ""
    return ""
