"""Write the vectors of hand-outs: the same bytes each time, from names alone.

    .venv/bin/python -m vectors.handout.make          write the file
    .venv/bin/python -m vectors.handout.make --check  say whether it is what would be written

Each case forges exactly one thing and says by which name a holder must refuse it; see README.md
beside this. Nothing is written where our own verifier says otherwise.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.kit.organisation import SECOND, SKEW, Organisation, signer

from breakglass.clock import format_time, parse_time
from breakglass.errors import BreakglassError, MalformedError, UnprovenError
from breakglass.records.handout import (
    HandedCredential,
    Handout,
    check_handout,
    digest_of_connect,
    digest_of_sealed,
    handout_text,
    sign_handout,
)
from breakglass.records.statement import Do, digest_of, grant_id, statement_text
from breakglass.records.trust import parse_trust
from breakglass.tlog.note import Note

HERE = Path(__file__).resolve().parent
FILE = HERE / "handouts.json"
KINDS = {MalformedError: "malformed", UnprovenError: "unproven"}
SEALED = b"these bytes stand for a sealed credential"
DAY = timedelta(days=1)
CONNECT = {"host": "orders.example", "port": 5432, "user": "bg_x"}


@dataclass(frozen=True)
class Case:
    """One credential as it lies before its holder, and the only right answer."""

    about: str
    given: HandedCredential
    expect: str
    later: timedelta = timedelta(0)
    statement: str = ""  # another one than the shop's


@dataclass(frozen=True)
class Shop:
    """A small organisation, one statement in it, and what its minter hands out for that."""

    org: Organisation
    statement: str

    @classmethod
    def begin(cls, **changes: Any) -> Shop:
        """Let mira ask for the orders database."""
        org = Organisation()
        scope = {"databases": ("orders",), "roles": ("repair",)}
        said = org.statement(glass="orders-repair", minter="orders-db", scope=scope, **changes)
        return cls(org, statement_text(said))

    def handout(self, **changes: Any) -> Handout:
        """Return the honest hand-out, but for some fields."""
        found = Handout(
            log=self.org.log_name,
            grant=grant_id(self.statement),
            statement=digest_of(self.statement),
            minter="orders-db",
            platform="postgres",
            holder=self.org.holder.public,
            sealed=digest_of_sealed(SEALED),
            connect=digest_of_connect(CONNECT),
            until=self.org.now + timedelta(minutes=10),
        )
        return replace(found, **changes)

    def given(self, role: str = "minter:orders-db", **changes: Any) -> HandedCredential:
        """Return what ``role`` signed of a hand-out, with the credential beside it."""
        note = sign_handout(handout_text(self.handout(**changes)), self.org.submitters[role])
        return HandedCredential(note, base64.b64encode(SEALED).decode(), CONNECT)

    def rewritten(self, change: Callable[[str], str], sign: bool = True) -> HandedCredential:
        """Return a hand-out whose text was changed, before the minter signed it or behind."""
        honest = self.given()
        text = change(handout_text(self.handout()))
        if sign:
            return replace(honest, note=sign_handout(text, self.org.submitters["minter:orders-db"]))
        lines = Note.parse(honest.note.encode()).lines
        return replace(honest, note=Note(text, lines).encoded().decode())


def cases() -> dict[str, Case]:
    """Return every case by its name; ``expect`` is empty where it holds."""
    shop = Shop.begin()
    honest, now, org = shop.given(), shop.org.now, shop.org
    other = SEALED + b"!"
    beside = Note.parse(honest.note.encode())
    beside = beside.with_lines(signer("somebody.else.example").sign(beside.text))
    stranger = sign_handout(handout_text(shop.handout()), signer("orders-db.evil.example"))
    longest = org.now + timedelta(seconds=1200) + SKEW
    put_off = Shop.begin(do=Do.ASK, starts=format_time(now + DAY))
    off = org.holder.of("another holder").public
    mismatch, who, until = "handout_mismatch", "handout_signer", "handout_until"
    return {
        "holds": Case("as the minter gave it", honest, ""),
        "lives-as-long-as-asked": Case("and a skew", shop.given(until=longest), ""),
        "unsigned": Case("no note at all", replace(honest, note=""), "bad_note"),
        "by-a-stranger": Case("of no trust file", replace(honest, note=stranger), who),
        "by-the-broker": Case("who carries it", shop.given("broker"), who),
        "by-a-gate": Case("of the same log", shop.given("gate:orders-write"), who),
        "with-a-line-beside": Case(
            "two lines", replace(honest, note=beside.encoded().decode()), who
        ),
        "altered": Case(
            "behind the signature",
            shop.rewritten(lambda text: text.replace("postgres", "postgrez"), sign=False),
            "signature",
        ),
        "under-another-header": Case(
            "a record's",
            shop.rewritten(lambda text: text.replace("handout", "record")),
            "bad_lines",
        ),
        "with-a-field-more": Case(
            "unknown", shop.rewritten(lambda text: text.replace("{", '{"a":1,', 1)), "unknown_field"
        ),
        "not-canonical": Case(
            "a space", shop.rewritten(lambda text: text.replace("{", "{ ", 1)), "not_canonical"
        ),
        "of-another-log": Case("", shop.given(log="ledger.example/two"), mismatch),
        "of-another-grant": Case("", shop.given(grant="g-aaaaaaaaaaaa"), mismatch),
        "of-another-statement": Case("", shop.given(statement="0" * 64), mismatch),
        "names-another-minter": Case("", shop.given(minter="billing-db"), mismatch),
        "for-another-holder": Case("", shop.given(holder=off), mismatch),
        "another-credential": Case(
            "the broker's own, beside an honest note",
            replace(honest, sealed=base64.b64encode(other).decode()),
            mismatch,
        ),
        "connects-elsewhere": Case(
            "another host", replace(honest, connect={**CONNECT, "host": "evil.example"}), mismatch
        ),
        "lives-too-long": Case("by 1 s", shop.given(until=longest + SECOND), until),
        "is-over": Case("by 1 s", shop.given(until=now - SECOND), until),
        "shown-again-later": Case("after its end", honest, until, timedelta(minutes=11)),
        "sealed-is-no-base64": Case("", replace(honest, sealed="?"), "malformed"),
        "starts-later": Case(
            "its life counts from its start",
            put_off.given(until=longest + DAY),
            "",
            DAY,
            put_off.statement,
        ),
        "starts-later-and-lives-too-long": Case(
            "by 1 s", put_off.given(until=longest + DAY + SECOND), until, DAY, put_off.statement
        ),
    }


def answer(value: dict[str, Any]) -> dict[str, Any]:
    """Run our own verifier on a case and say what came of it."""
    given = HandedCredential(value["note"], value["sealed"], value["connect"])
    trust, now = parse_trust(value["trust"]), parse_time(value["now"])
    try:
        return {"grant": check_handout(given, value["statement"], trust, now).grant}
    except BreakglassError as error:
        return {"kind": KINDS[type(error)], "name": str(error.name)}


def file() -> str:
    """Return the file."""
    shop, made = Shop.begin(), []
    for name, case in sorted(cases().items()):
        value: dict[str, Any] = {
            "name": name,
            "about": case.about,
            "trust": shop.org.trust_text(),
            "statement": case.statement or shop.statement,
            "now": format_time(shop.org.now + case.later),
            "note": case.given.note,
            "sealed": case.given.sealed,
            "connect": dict(case.given.connect),
        }
        value["expect"] = answer(value)
        if value["expect"].get("name", "") != case.expect:
            raise AssertionError(f"{name}: {case.expect!r}, got {value['expect']}")
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
