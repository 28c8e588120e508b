"""Approvers are called where they are, with what they need; only all of them silence an ask."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from breakglass.clock import SystemClock
from breakglass.monitor.decision_replay import compiled
from breakglass.monitor.people.paging import present_approvers
from breakglass.policy.bundle import pack_bundle, unpack_bundle
from breakglass.policy.compile import CompiledPolicy
from breakglass.policy.parse import parse_bundle
from breakglass.records import all_kinds as kinds
from breakglass.records.kinds.alert import PAGE, Delivery
from breakglass.records.permit import check_permit
from breakglass.records.statement import Do, Target
from tests.monitor.people_kit import (
    People,
    Start,
    Story,
    phone,
    starts,
    texts,
    whole,
    with_approvers,
)
from tests.monitor.stand_ins import Shop, Sink, eventually, moment


@pytest.fixture
def shop() -> Shop:
    return with_approvers()


@pytest.fixture
def sam() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


@pytest.fixture
def mira() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


def test_who_is_present_follows_from_roster_and_days() -> None:
    text = unpack_bundle(with_approvers().org.bundle)["breakglass.yaml"].decode()
    text = text.replace("noor: {name: Noor,", "noor: {name: Noor, until: 2020-01-01,")
    bundle = parse_bundle({"breakglass.yaml": text.encode()})
    assert present_approvers(bundle, "deploy-rollback", {}, moment()) == ["sam"]
    assert present_approvers(bundle, "orders-repair", {}, moment()) == []
    assert present_approvers(bundle, "unknown", {}, moment()) == []


def test_an_approver_is_paged_on_their_own_channel_with_the_command_and_a_permit(
    shop: Shop, sink: Sink, sam: Sink, folder: Path, monitor_of: Start
) -> None:
    monitor = starts(monitor_of, folder)
    People(shop, monitor).sets("sam", phone(sam))
    story = Story(shop)
    eventually(lambda: texts(sam, PAGE))
    (text,) = texts(sam, PAGE)
    assert text.startswith("APPROVAL WANTED from you, sam: mira asks for 'deploy-rollback'")
    assert "roll back production" in text
    assert 'mira says: "checkout 5xx, approver not answering" [approver-silent]' in text
    found = re.search(rf"breakglass approve {story.grant} --permit (\S+)", text)
    assert found is not None
    assert f"Refuse: breakglass refuse {story.grant} --permit {found[1]} --why TEXT" in text
    trust = shop.org.state.governance.trust
    assert trust is not None
    permit = check_permit(found[1], story.grant, trust, SystemClock().now())
    assert (permit.to, permit.until) == ("sam", shop.org.state.grants.asked[story.grant].until)
    # Who has no channel of their own is called on the others', where no permit stands.
    eventually(lambda: texts(sink, PAGE))
    assert "called here: noor; called on their own channels: sam" in texts(sink, PAGE)[0]
    assert "--permit" not in whole(sink)
    pages = eventually(
        lambda: (
            found
            if len(found := [each for each in shop.bodies(kinds.Alert) if each.subject == PAGE]) > 2
            else []
        )
    )
    told = {(each.channel, each.to) for each in pages if each.delivery is Delivery.DELIVERED}
    assert told == {("sam.phone", ("sam",)), ("hook", ("noor",)), ("file", ("noor",))}
    notes = b"".join(shop.org.log.notes).decode()
    assert found[1] not in notes
    assert sam.address not in notes


def test_no_permit_stays_on_disk_once_its_page_was_heard(
    shop: Shop, sam: Sink, folder: Path, monitor_of: Start
) -> None:
    """(B-6)"""
    monitor = starts(monitor_of, folder)
    People(shop, monitor).sets("sam", phone(sam))
    Story(shop)
    eventually(lambda: texts(sam, PAGE))
    eventually(lambda: not monitor.ringing.waits("sam.phone"))
    monitor.process.close()
    (permit,) = set(re.findall(r"--permit (\S+)", texts(sam, PAGE)[0]))
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix != ".sqlite-wal":
            assert permit.encode() not in path.read_bytes(), path


def test_neither_asker_nor_suspended_nor_muted_people_are_paged(
    shop: Shop, sink: Sink, sam: Sink, mira: Sink, folder: Path, monitor_of: Start
) -> None:
    monitor = starts(monitor_of, folder)
    people = People(shop, monitor)
    people.sets("sam", phone(sam))
    people.sets("noor", phone(mira))
    assert people.mutes("sam", "mira").mutes.keys() == {"mira"}
    Story(shop)
    eventually(lambda: texts(mira, PAGE))
    assert texts(sam, PAGE) == []
    with shop.lock:
        shop.org.now = moment()
        word = shop.org.sign(shop.org.kill(Target.PERSON, "noor"))
        shop.org.state_that("broker", kinds.Suspended(Target.PERSON, "noor", True, word))
    Story(shop, who="teo")
    eventually(lambda: texts(sam, PAGE))
    Story(shop, who="sam")
    eventually(lambda: "NOBODY who may approve" in " ".join(texts(sink, PAGE)))
    assert (len(texts(mira, PAGE)), len(texts(sam, PAGE))) == (1, 1)


def test_where_everybody_muted_the_policys_channels_call_them_by_name(
    shop: Shop, sink: Sink, sam: Sink, folder: Path, monitor_of: Start
) -> None:
    monitor = starts(monitor_of, folder)
    people = People(shop, monitor)
    people.sets("sam", phone(sam))
    for who in ("sam", "noor"):
        people.mutes(who, "mira")
    Story(shop)
    eventually(lambda: texts(sink, PAGE))
    assert "called here: noor, sam" in texts(sink, PAGE)[0]
    assert texts(sam, PAGE) == []


def test_a_mute_ends(shop: Shop, sam: Sink, folder: Path, monitor_of: Start) -> None:
    monitor = starts(monitor_of, folder)
    people = People(shop, monitor)
    people.sets("sam", phone(sam))
    people.mutes("sam", "mira", timedelta(seconds=1))
    eventually(lambda: monitor.me.shown("sam").mutes == {})
    Story(shop)
    eventually(lambda: texts(sam, PAGE))


@pytest.mark.parametrize(
    ("end", "says"),
    [
        (Do.REFUSE, "refused by noor"),
        (Do.WITHDRAW, "taken back by mira"),
        (Do.APPROVE, "approved"),
        (Do.BREAK, "overtaken: the asker broke the glass"),
    ],
)
def test_the_answer_goes_once_to_the_asker_and_to_who_was_paged(
    shop: Shop, sam: Sink, mira: Sink, folder: Path, monitor_of: Start, end: Do, says: str
) -> None:
    monitor = starts(monitor_of, folder)
    people = People(shop, monitor)
    people.sets("sam", phone(sam))
    people.sets("mira", phone(mira))
    story = Story(shop)
    eventually(lambda: texts(sam, PAGE))
    if end is Do.BREAK:
        shop.breaks()
    elif end is Do.APPROVE:
        story.answers("noor", end)
        story.granted()
    else:
        story.answers("mira" if end is Do.WITHDRAW else "noor", end)
    for each in (sam, mira):
        eventually(lambda each=each: texts(each, "ask_answered"))
        assert texts(each, "ask_answered") == [
            f"ANSWER to {story.grant}: mira asked for 'deploy-rollback': {says}."
        ]


def test_who_refused_and_who_reviews_hear_that_it_was_broken_all_the_same(
    shop: Shop, sam: Sink, mira: Sink, folder: Path, monitor_of: Start
) -> None:
    monitor = starts(monitor_of, folder)
    people = People(shop, monitor)
    people.sets("sam", phone(sam))  # reviews by the card
    people.sets("noor", phone(mira))
    Story(shop).answers("noor", Do.REFUSE)
    broken = shop.breaks()
    for each in (sam, mira):
        eventually(lambda each=each: texts(each, "broke_after_no"))
        assert (
            "noor refused it, and mira broke 'deploy-rollback'" in texts(each, "broke_after_no")[0]
        )
        assert f"breakglass kill {broken.grant}" in texts(each, "broke_after_no")[0]


def test_a_page_that_a_crash_kept_from_leaving_leaves_after_the_restart_once(
    shop: Shop, sam: Sink, folder: Path, monitor_of: Start
) -> None:
    first = starts(monitor_of, folder)
    People(shop, first).sets("sam", phone(sam))
    sam.status = 503
    Story(shop)
    eventually(lambda: first.ringing.waits("sam.phone"))
    first.process.close()
    Story(shop, who="teo")  # asked while there was no monitor at all
    sam.status = 200
    starts(monitor_of, folder)
    eventually(lambda: len(texts(sam, PAGE)) == 2)
    assert all("--permit" in text for text in texts(sam, PAGE))


def test_an_ask_that_is_over_pages_nobody_after_a_restart(
    shop: Shop, sink: Sink, sam: Sink, folder: Path, monitor_of: Start
) -> None:
    first = starts(monitor_of, folder)
    People(shop, first).sets("sam", phone(sam))
    first.process.close()
    story = Story(shop)
    story.answers("noor", Do.REFUSE)
    starts(monitor_of, folder)
    eventually(lambda: "ask_answered" in sink.subjects())
    assert texts(sam, PAGE) == []


def test_a_page_waits_for_the_policy_and_nobody_waits_for_the_page(
    shop: Shop, sam: Sink, folder: Path, monitor_of: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large bundle takes its time; whoever reads the view must not wait for it."""
    monitor = starts(monitor_of, folder)
    People(shop, monitor).sets("sam", phone(sam))
    reads, done = threading.Event(), threading.Event()

    def slowly(bundle: bytes) -> CompiledPolicy:
        reads.set()
        assert done.wait(60)
        return compiled(bundle)

    monkeypatch.setattr("breakglass.monitor.people.paging.compiled", slowly)
    with shop.lock:
        shop.org.now = moment()
        files = dict(unpack_bundle(shop.org.bundle))
        text = files["breakglass.yaml"].decode()
        version = int(text.split("version: ")[1].split()[0])
        shop.org.policy_version = version + 1
        text = text.replace(f"version: {version}", f"version: {version + 1}")
        shop.org.bundle = pack_bundle({**files, "breakglass.yaml": text.encode()})
        shop.org.activate_policy()
    assert reads.wait(60)
    story = Story(shop)
    eventually(lambda: monitor.view.size > story.index)  # followed, and read here, all the while
    assert texts(sam, PAGE) == []
    done.set()
    eventually(lambda: texts(sam, PAGE))
