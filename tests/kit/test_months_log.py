"""The log of months that the benches restart on holds, record by record."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from breakglass.ledger.sqlite_journal import SqliteJournal
from breakglass.records.fold.context import Entry
from breakglass.records.fold.fold import apply, attachments_read
from breakglass.records.fold.state import State
from breakglass.records.record import parse_outer
from breakglass.records.trust import accept_trust
from breakglass.tlog.note import Note
from breakglass.tlog.proof import verify_head

from .months_log import Life, make_months

UNTIL = datetime(2026, 11, 30, 12, tzinfo=UTC)


def test_every_record_of_it_holds_and_what_is_long_over_is_forgotten(tmp_path: Path) -> None:
    life = Life(days=100, grants=100, gates=2, records=2500)
    org = make_months(tmp_path / "org", life, UNTIL)
    trust = accept_trust(Note.parse((org / "broker" / "trust").read_bytes()), None)
    journal = SqliteJournal(org / "ledger" / "data" / "journal.sqlite")
    kept, state, at = org / "ledger" / "data" / "attachments", State(trust.genesis), 0
    newest = journal.newest()
    assert newest is not None
    while at < newest.size:
        head = journal.cosigned_after(at)
        assert head is not None
        assert head.cosigned is not None
        cosigned = verify_head(head.cosigned, trust.tlog).cosigners
        for index, note in enumerate(journal.notes(at, head.size), start=at):
            outer = parse_outer(note)
            names = [each.digest for each in attachments_read(state, outer)]
            read = {name: (kept / name[:2] / name).read_bytes() for name in names}
            judged = apply(state, Entry(index, note, cosigned, read), outer)
            assert judged.holds, (index, judged.void, judged.why)
        at = head.size
    journal.close()
    assert 0.9 * life.records < newest.size < 1.1 * life.records
    assert state.witnessed is not None
    assert UNTIL - state.witnessed < timedelta(days=1)
    assert len(state.grants.by_id.running) <= 1
    assert 30 <= len(state.grants.by_id.finished) <= 36
