"""The table of grants is opened by the software that comes after the one that made it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from breakglass.minter.grant_store import _SCHEMA, Claim, GrantStore, SealedCredential

GRANT = "g-7kq3m2x4p5ab"
UNTIL = datetime(2026, 6, 22, 4, tzinfo=UTC)


def test_a_table_from_before_hand_outs_were_signed_is_read_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "grants.sqlite"
    old = _SCHEMA.replace(", handout text", "")
    assert old != _SCHEMA
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.executescript(old)
        file.execute(
            "insert into grants(grant_id, handle, who, glass, incident, index_, stage, expires,"
            " asked_at, sealed, connect, ids, probe, minted_ms, usable_ms) values"
            " (?, 'bg_1', 'mira', 'g', '', 4, 'minted', '2026-06-22T04:00:00.000Z', '', x'78',"
            " '{}', '{}', '', 1, 2)",
            [GRANT],
        )
    for _ in range(2):
        store = GrantStore(path)
        row = store.find(GRANT)
        assert row is not None
        assert row.made is not None
        assert row.made.handout == ""
        store.close()
    store = GrantStore(path)
    other = Claim("g-aaaaaaaaaaaa", "bg_2", "mira", "g", "", 5, UNTIL)
    store.claim(other, UNTIL)
    store.minted(other.grant, SealedCredential(b"s", {}, {}, "", 1, 2, "a text\n"))
    found = store.find(other.grant)
    assert found is not None
    assert found.made is not None
    assert found.made.handout == "a text\n"
    store.close()
