"""A recorder hands the commit of its own records to its view, which need not ask for it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from breakglass.errors import UnavailableError
from breakglass.http.client import Peer, Reply
from breakglass.node.recorder import Recorder
from breakglass.node.replica import Replica
from breakglass.node.submitter import Fact, Submitter
from breakglass.records import all_kinds as kinds
from breakglass.records.statement import Do, Target, digest_of
from breakglass.submit.append_batch import Receipt
from breakglass.submit.queue_items import Drafting, made
from breakglass.submit.record_header import numbered
from breakglass.tlog.note import sign_note
from tests.kit.organisation import Organisation
from tests.node.test_replica import told

SOON = timedelta(seconds=30)
AT_ONCE = timedelta(seconds=0.2)


class ShownLog(Peer):
    """The organisation's log as a ledger that shows followers its first ``shown`` entries."""

    def __init__(self, org: Organisation) -> None:
        super().__init__("http://127.0.0.1:1", name="ledger")
        self.org = org
        self.shown = org.log.size

    def send(self, method: str, path: str, *unused: Any, **how: Any) -> Reply:
        kind, _, asked = path.removeprefix("/").partition("/")
        if kind == "attachment":
            return Reply(200, self.org.log.attachments[asked], "", "'ledger'")
        start = int(path.partition("from=")[2].partition("&")[0])
        found = [self.commit(at) for at in range(start, self.shown)]
        if not found:
            time.sleep(0.01)
        return Reply(200, json.dumps({"commits": found}).encode(), "", "'ledger'")

    def commit(self, index: int) -> dict[str, Any]:
        """Return the commit that holds one entry and no other."""
        log = self.org.log
        head = log.head(log.covered[index], size=index + 1)
        return {
            "first": index,
            "head": head.decode(),
            "entries": [log.notes[index].decode()],
        }


class OutboxInMemory:
    """Appends as the broker, at once; receipts bring their commit if ``commits``."""

    def __init__(self, ledger: ShownLog) -> None:
        self.ledger = ledger
        self.commits = True

    def append(self, drafts: Sequence[Drafting], within: timedelta) -> list[Receipt]:
        org = self.ledger.org
        (drafting,) = drafts
        chain = org.chains["broker"]
        text = numbered(made(drafting).text, chain.seq, chain.prev)
        chain.seq, chain.prev = chain.seq + 1, digest_of(text)
        note = sign_note(text, org.submitters["broker"]).encoded()
        assert org.append(note).holds
        index = org.log.size - 1
        commit = self.ledger.commit(index) if self.commits else None
        return [Receipt(index, note, org.log.proof(index, org.now), commit)]


class OneClock:
    def __init__(self, org: Organisation) -> None:
        self.org = org

    def now(self) -> Any:
        return self.org.now


@pytest.fixture
def ledger() -> ShownLog:
    org = Organisation()
    org.begin()
    return ShownLog(org)


@pytest.fixture
def view(ledger: ShownLog, tmp_path: Path) -> Iterator[Replica]:
    made = Replica(ledger, ledger.org.trust(), tmp_path / "view").start()
    made.wait_for(ledger.shown - 1, SOON)
    yield made
    made.close()


def suspend(ledger: ShownLog) -> Fact:
    org = ledger.org
    word = org.sign(org.kill(Target.PERSON, "teo"))
    return Fact("suspended/teo", kinds.Suspended(Target.PERSON, "teo", True, word))


def test_a_record_of_ours_is_folded_when_its_receipt_is_there(
    ledger: ShownLog, view: Replica
) -> None:
    outbox: Any = OutboxInMemory(ledger)
    org, clock = ledger.org, OneClock(ledger.org)
    stating = Submitter(outbox, org.log_name, clock)
    recording = Recorder(view, stating, org.submitters["broker"], clock, AT_ONCE, AT_ONCE)
    (receipt,) = recording.record([suspend(ledger)])
    assert view.size == receipt.index + 1 > ledger.shown
    outbox.commits = False
    lift = org.sign(org.kill(Target.PERSON, "teo", do=Do.LIFT, nonce="33" * 16))
    fact = Fact("suspended/teo/2", kinds.Suspended(Target.PERSON, "teo", False, lift))
    with pytest.raises(UnavailableError, match="was not seen"):
        recording.record([fact])
    ledger.shown = org.log.size
    assert view.wait_for(receipt.index + 1, SOON).holds
    with view.reading() as state:
        assert told(state) == told(org.state)


def test_a_commit_with_attachments_is_left_to_the_follower_which_may_wait_for_them(
    ledger: ShownLog, view: Replica
) -> None:
    before = view.size
    ledger.org.policy_version += 1
    ledger.org.activate_policy()
    view.offer(ledger.commit(before))
    assert view.size == before
    view.offer({"first": before, "head": "", "entries": "nonsense"})
    ledger.shown = ledger.org.log.size
    view.wait_for(ledger.shown - 1, SOON)
    with view.reading() as state:
        assert told(state) == told(ledger.org.state)
