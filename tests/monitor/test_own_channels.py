"""A person's own channels: their signature alone changes them, and never in silence."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from breakglass.canonical import canonical
from breakglass.errors import BreakglassError, MalformedError, RefusedError
from breakglass.monitor.app import Monitor
from breakglass.monitor.people.own_channels import MeBody
from breakglass.records import all_kinds as kinds
from breakglass.records.me import OwnChannel, OwnType, me_text, parse_me
from breakglass.records.signing.signature import STATEMENT_NAMESPACE
from breakglass.records.statement import Target
from breakglass.strict_json import write
from tests.kit.mail_server import MailServer
from tests.monitor.people_kit import People, Start, Story, kept, phone, starts, texts
from tests.monitor.served import served
from tests.monitor.stand_ins import Shop, Sink, eventually, moment
from tests.monitor.test_readers import Asking


@pytest.fixture
def own() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


@pytest.fixture
def other() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


@pytest.fixture
def monitor(folder: Path, monitor_of: Start) -> Monitor:
    return starts(monitor_of, folder)


def test_channels_are_set_by_a_signature_and_shown_without_what_could_be_called(
    shop: Shop, monitor: Monitor, own: Sink
) -> None:
    shown = People(shop, monitor).sets("sam", phone(own))
    assert (shown.who, [each.name for each in shown.channels]) == ("sam", ["phone"])
    assert shown.channels[0].target == "http://127.0.0.1/…"
    assert own.address not in canonical(write(shown))


def test_a_new_channel_is_told_on_the_old_ones_and_an_old_one_may_be_kept_unread(
    shop: Shop, monitor: Monitor, own: Sink, other: Sink
) -> None:
    """(M-6) A thief of the key adds a telephone of theirs: the person hears it on their own."""
    people = People(shop, monitor)
    people.sets("sam", phone(own))
    assert texts(own, "own_channels") == []  # the first one: nobody is to be told yet
    people.sets("sam", kept(phone(own)), phone(other, "new"))
    eventually(lambda: texts(own, "own_channels"))
    (text,) = texts(own, "own_channels")
    assert "added new" in text
    assert "breakglass kill person:sam" in text
    assert texts(other, "own_channels") == []


def test_a_channel_that_is_taken_away_hears_of_it_first_even_if_it_is_down_meanwhile(
    shop: Shop, folder: Path, monitor_of: Start, own: Sink, other: Sink
) -> None:
    """(M-6)"""
    first = starts(monitor_of, folder)
    people = People(shop, first)
    people.sets("sam", phone(own))
    own.status = 503
    assert people.sets("sam").channels == ()
    Story(shop).answers("sam")  # a receipt: it is no channel of sam's any more
    eventually(lambda: first.ringing.waits("sam.phone"))
    with pytest.raises(RefusedError, match="already") as caught:
        people.sets("sam", phone(other))  # it would take what waits another way
    assert caught.value.name == "channel_exists"
    first.process.close()
    own.status = 200
    second = starts(monitor_of, folder)
    eventually(lambda: texts(own, "own_channels"))
    eventually(lambda: second.people.leaving() == [])
    assert "taken away phone" in texts(own, "own_channels")[0]
    assert texts(own, "receipt") == []


def test_the_first_channel_is_told_where_everybody_hears(
    shop: Shop, sink: Sink, monitor: Monitor, own: Sink
) -> None:
    """(M-6) A thief's would be the first, and nobody is called on an own channel yet."""
    People(shop, monitor).sets("sam", phone(own))
    eventually(lambda: texts(sink, "own_channels"))
    (text,) = texts(sink, "own_channels")
    assert text.startswith("OWN CHANNELS of sam changed, signed with their key: added phone.")
    assert "breakglass kill person:sam" in text
    assert own.address not in text
    assert texts(own, "own_channels") == []


def test_the_same_channel_may_come_back_before_it_is_gone(
    shop: Shop, monitor: Monitor, own: Sink
) -> None:
    people = People(shop, monitor)
    people.sets("sam", phone(own))
    own.status = 503
    people.sets("sam")
    assert [each.name for each in people.sets("sam", phone(own)).channels] == ["phone"]
    assert monitor.people.leaving() == []
    Story(shop).answers("sam")
    own.status = 200
    eventually(lambda: texts(own, "receipt"))
    eventually(lambda: "taken away phone" in " ".join(texts(own, "own_channels")))


def test_a_person_has_no_more_channels_than_eight_with_those_that_leave(
    shop: Shop, monitor: Monitor, own: Sink, other: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them has a file and a thread; and a day later their names are free again."""
    people = People(shop, monitor)
    own.status = 503
    for names in ("abcd", "efgh"):
        people.sets("sam", *(phone(own, name) for name in names))
    eventually(lambda: monitor.ringing.waits("sam.a"))
    with pytest.raises(
        RefusedError, match=r"would have 9 channels \(limit 8\), 4 of them"
    ) as caught:
        people.sets("sam", phone(own, "i"))
    assert caught.value.name == "too_many"
    people.sets("sam")
    assert len(monitor.people.leaving()) == 8
    monkeypatch.setattr("breakglass.monitor.people.store.LEAVING_AT_MOST", timedelta(0))
    eventually(lambda: monitor.people.leaving() == [])
    own.status = 200
    people.sets("sam", phone(other, "a"))
    assert people.tests("sam", "a").heard == "heard"
    assert [each["subject"] for each, _, _ in other.taken] == ["test"]  # nothing of the old one's


def test_a_monitor_starts_though_what_was_taken_away_cannot_be_called_any_more(
    shop: Shop, folder: Path, monitor_of: Start, own: Sink
) -> None:
    """The host is no longer one that may lie inside: nobody else's bells depend on it."""
    first = starts(monitor_of, folder)
    people = People(shop, first)
    people.sets("sam", phone(own))
    own.status = 503
    people.sets("sam")
    first.process.close()
    own.status = 200
    second = monitor_of(folder)
    eventually(lambda: second.following.live)
    assert [each.name for _, each in second.people.leaving()] == ["phone"]
    assert texts(own, "own_channels") == []
    second.process.close()
    third = starts(monitor_of, folder)  # what waits there was kept
    eventually(lambda: "taken away phone" in " ".join(texts(own, "own_channels")))
    eventually(lambda: third.people.leaving() == [])


def test_a_channel_that_this_monitor_cannot_call_does_not_look_healthy(
    shop: Shop, folder: Path, monitor_of: Start, own: Sink
) -> None:
    first = starts(monitor_of, folder)
    assert People(shop, first).sets("sam", phone(own)).channels[0].failure == ""
    first.process.close()
    second = monitor_of(folder)
    eventually(lambda: second.following.live)
    says = "it cannot be called by this monitor: the target of channel 'phone' does not begin"
    assert second.me.shown("sam").channels[0].failure.startswith(says)
    people = People(shop, second)
    people.words = 10
    assert people.tests("sam", "phone").heard.startswith(says)
    assert own.tried == 0


def test_a_test_that_hangs_holds_up_nobodys_word(
    shop: Shop, monitor: Monitor, own: Sink, other: Sink
) -> None:
    people = People(shop, monitor)
    people.sets("sam", phone(own))
    own.hanging.set()
    with ThreadPoolExecutor(1) as pool:
        hangs = pool.submit(people.tests, "sam", "phone")
        eventually(lambda: own.tried)
        assert [each.name for each in people.sets("noor", phone(other)).channels] == ["phone"]
        with pytest.raises(RefusedError, match="is under way") as caught:
            people.tests("sam", "phone")
        assert caught.value.name == "too_many"
        assert not hangs.done()
        own.hanging.clear()
        assert hangs.result().heard == "heard"
    assert people.tests("sam", "phone").heard == "heard"


def test_a_channels_name_in_the_records_has_its_bound(shop: Shop, monitor: Monitor) -> None:
    """(M-1) PERSON.NAME stands in the ledger, and one that is too long would never be stated."""
    people = People(shop, monitor)
    own = OwnChannel("phone", OwnType.WEBHOOK, "https://hooks.example/x")
    assert parse_me(me_text(people.channels("s" * 57, own))).who == "s" * 57
    with pytest.raises(MalformedError, match=r"64 characters together \(limit 63\)") as caught:
        parse_me(me_text(people.channels("s" * 58, own)))
    assert caught.value.name == "too_large"


@pytest.mark.parametrize("step", ["told", "kept"])
def test_a_crash_between_telling_and_keeping_is_loud_and_the_same_word_finishes_it(
    shop: Shop, folder: Path, monitor_of: Start, own: Sink, other: Sink, step: str
) -> None:
    first = starts(monitor_of, folder)
    people = People(shop, first)
    people.sets("sam", phone(own))

    def cut(here: str) -> None:
        if here == step:
            raise RuntimeError("cut off")

    first.me._at = cut
    word = people.signed(people.channels("sam", kept(phone(own)), phone(other, "new")))
    with pytest.raises(RuntimeError):
        first.me.take(word)
    first.process.close()
    second = starts(monitor_of, folder)
    if step == "told":
        assert [each.name for each in second.me.take(word).channels] == ["new", "phone"]
    else:
        with pytest.raises(RefusedError, match="this very thing"):
            second.me.take(word)
    eventually(lambda: len(texts(own, "own_channels")) == 1)
    assert second.ringing.own("sam") == ("sam.new", "sam.phone")


def test_no_word_counts_twice_and_no_older_one_behind_a_newer(
    shop: Shop, monitor: Monitor, own: Sink
) -> None:
    """(M-4)"""
    people = People(shop, monitor)
    old = people.signed(people.channels("sam", phone(own)))
    new = people.signed(people.channels("sam"))
    monitor.me.take(new)
    for word in (old, new):
        with pytest.raises(RefusedError, match="newer") as caught:
            monitor.me.take(word)
        assert caught.value.name == "repeated_request"
    assert monitor.me.shown("sam").channels == ()


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"log": "ledger.example/two"}, "wrong_log"),
        ({"to": "broker.example+3b870622+ASmsuuFBvMrwsi4alNNNC8c2HlJtC/4SyJeUvJMilm3X"},
         "wrong_process"),
        ({"at": moment() - timedelta(hours=1)}, "stale_request"),
        ({"who": "eve"}, "unknown_person"),
    ],
)  # fmt: skip
def test_what_is_not_for_this_monitor_now_changes_nothing(
    shop: Shop, monitor: Monitor, own: Sink, change: dict[str, Any], name: str
) -> None:
    """(M-2) (M-3)"""
    people = People(shop, monitor)
    given = {"who": "sam", **change}
    word = people.channels(given.pop("who"), phone(own), **given)
    with pytest.raises(BreakglassError) as caught:
        monitor.me.take(people.signed(word, by="sam"))
    assert caught.value.name == name
    assert monitor.me.shown("sam").channels == ()


def test_no_other_key_and_no_other_purpose_speaks_for_a_person(
    shop: Shop, monitor: Monitor, own: Sink
) -> None:
    """(M-3)"""
    people = People(shop, monitor)
    word = people.channels("sam", phone(own))
    text = me_text(word)
    statement = MeBody(shop.org.people["sam"].sign(text, STATEMENT_NAMESPACE))
    for body, name in ((people.signed(word, by="teo"), "foreign_key"), (statement, "namespace")):
        with pytest.raises(BreakglassError) as caught:
            monitor.me.take(body)
        assert caught.value.name == name


def test_a_suspended_person_moves_no_channel(shop: Shop, monitor: Monitor, own: Sink) -> None:
    """(M-3)"""
    with shop.lock:
        shop.org.now = moment()
        word = shop.org.sign(shop.org.kill(Target.PERSON, "noor"))
        index = shop.org.state_that(
            "broker", kinds.Suspended(Target.PERSON, "noor", True, word)
        ).index
    eventually(lambda: monitor.view.size > index)
    with pytest.raises(RefusedError, match="suspended"):
        People(shop, monitor).sets("noor", phone(own))


@pytest.mark.parametrize(
    ("own_type", "target"),
    [
        (OwnType.WEBHOOK, "http://hooks.example/a-secret"),
        (OwnType.WEBHOOK, "https://192.168.1.7/a-secret"),
        (OwnType.WEBHOOK, "https://[::1]/a-secret"),
        (OwnType.SLACK, "file:///etc/a-secret"),
        (OwnType.WEBHOOK, "https://hooks.example:x/a-secret"),
    ],
)
def test_no_person_has_the_monitor_call_what_listens_inside(
    shop: Shop, monitor: Monitor, own_type: OwnType, target: str
) -> None:
    """(M-5)"""
    with pytest.raises(MalformedError, match="nothing was changed") as caught:
        People(shop, monitor).sets("sam", OwnChannel("phone", own_type, target))
    assert caught.value.name == "bad_target"
    assert "a-secret" not in str(caught.value)


@pytest.mark.parametrize("target", ["sam", "sam@shop.example, eve@evil.example", "a b@c"])
def test_mail_goes_to_one_address(
    shop: Shop, folder: Path, monitor_of: Start, tmp_path: Path, target: str
) -> None:
    """(M-5)"""
    server = MailServer(tmp_path)
    monitor = starts(monitor_of, folder, mail=server.url)
    people = People(shop, monitor)
    with pytest.raises(MalformedError, match="is no mail address"):
        people.sets("sam", OwnChannel("post", OwnType.MAIL, target))
    shown = people.sets("sam", OwnChannel("post", OwnType.MAIL, "sam@shop.example"))
    assert shown.channels[0].target == "s…@shop.example"
    heard = eventually(lambda: people.tests("sam", "post").heard)
    server.close()
    assert heard == "heard"
    assert [to for to, _ in server.taken] == [["sam@shop.example"]]


def test_without_a_mail_server_nobody_names_mail(shop: Shop, monitor: Monitor) -> None:
    with pytest.raises(RefusedError, match="no mail server for people") as caught:
        People(shop, monitor).sets("sam", OwnChannel("post", OwnType.MAIL, "sam@shop.example"))
    assert caught.value.name == "no_mail_server"


def test_a_test_rings_one_channel_and_says_how_it_went(
    shop: Shop, monitor: Monitor, own: Sink
) -> None:
    people = People(shop, monitor)
    people.sets("sam", phone(own))
    assert people.tests("sam", "phone").heard == "heard"
    assert texts(own, "test")[0].startswith("TEST of sam's own channel 'phone'")
    own.status = 500
    assert people.tests("sam", "phone").heard == "the receiver answered 500"
    with pytest.raises(RefusedError, match="no own channel 'other'"):
        people.tests("sam", "other")


def test_a_mute_is_told_on_ones_own_channels_and_lasts_12_h_at_most(
    shop: Shop, monitor: Monitor, own: Sink
) -> None:
    """(M-7) A thief of an approver's key could mute what another thief asks."""
    people = People(shop, monitor)
    people.sets("sam", phone(own))
    people.mutes("sam", "mira")
    eventually(lambda: texts(own, "own_channels"))
    assert "not paged for what mira asks" in texts(own, "own_channels")[0]
    with pytest.raises(MalformedError, match="12 h at most"):
        people.mutes("sam", "mira", timedelta(hours=13))


def test_the_form_is_strict(shop: Shop, monitor: Monitor, own: Sink) -> None:
    """(M-1)"""
    people = People(shop, monitor)
    good = me_text(people.channels("sam", phone(own)))
    twice = me_text(people.channels("sam", phone(own), phone(own)))
    for text in (
        good.replace("/me/", "/statement/"),
        good.replace('"channels"', '"chanels"', 1),
        good.replace('{"at"', '{"also":1,"at"'),
        good.replace("phone", "sam.phone"),
        twice,
        good + "x" * 4096,
    ):
        with pytest.raises(MalformedError):
            parse_me(text)
    assert parse_me(good).who == "sam"


def test_the_file_is_the_monitors_alone(
    shop: Shop, monitor: Monitor, folder: Path, own: Sink
) -> None:
    People(shop, monitor).sets("sam", phone(own))
    assert os.stat(folder / "kept" / "people.sqlite").st_mode & 0o777 == 0o600


def test_over_http_a_person_sees_their_own_and_nobody_elses(
    shop: Shop, folder: Path, monitor_of: Start, own: Sink
) -> None:
    from breakglass.http.client import Peer

    monitor = starts(monitor_of, folder)
    eventually(lambda: monitor.process.catching_up.current)
    people = People(shop, monitor)
    body = people.signed(people.channels("sam", phone(own)))
    with served(monitor) as address, Peer(address, within=timedelta(seconds=15)) as peer:
        sent = canonical(write(body)).encode()
        said = peer.send("POST", "/me", sent, "application/json")
        assert (said.status, json.loads(said.body)["who"]) == (200, "sam")
        asking = Asking(shop, monitor, peer)
        status, shown = asking.as_person("sam", "/me")
        assert (status, [each["name"] for each in shown["channels"]]) == (200, ["phone"])
        assert asking.as_person("mira", "/me")[1]["channels"] == []
        key = shop.org.submitters["broker"]
        reply = peer.send("GET", "/me", headers=asking.signed(key, "/me"))
        assert reply.status == 403
