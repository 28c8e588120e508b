"""A person's own channels: their signature alone changes them, and never in silence."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
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
    shop: Shop, folder: Path, monitor_of: Start, own: Sink
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
        people.sets("sam", phone(own))  # it would take what waits another way
    assert caught.value.name == "channel_exists"
    first.process.close()
    own.status = 200
    second = starts(monitor_of, folder)
    eventually(lambda: texts(own, "own_channels"))
    eventually(lambda: second.people.leaving() == [])
    assert "taken away phone" in texts(own, "own_channels")[0]
    assert texts(own, "receipt") == []


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
