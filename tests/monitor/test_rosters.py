"""The monitor reads who is on call where the policy says, and states it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from breakglass.clock import SystemClock, format_time
from breakglass.errors import BreakglassError, MalformedError, UnavailableError
from breakglass.monitor.alerts.secret_folder import SecretFolder
from breakglass.monitor.app import Monitor
from breakglass.monitor.rosters.pagerduty_schedule import PagerDutySchedules
from breakglass.monitor.rosters.roster_file import RosterFiles
from breakglass.monitor.settings import RosterSettings
from breakglass.policy.bundle import pack_bundle, unpack_bundle
from breakglass.records import all_kinds as kinds
from tests.kit.bad_server import BadServer
from tests.kit.pagerduty import TOKEN, PagerDutyApi
from tests.monitor.stand_ins import Shop, Sink, bundle, eventually, moment

Start = Callable[..., Monitor]
MEMBERS = "oncall: {members: [mira, teo, bo]}"
ROSTERED = (
    'oncall: {roster: "file:oncall.json", members: [mira, teo, bo], at_most_old: 12h, else: [bo]}'
)


@pytest.fixture
def in_force() -> int:
    return 2


@pytest.fixture
def shop(in_force: int) -> Shop:
    shop = Shop()
    shop.org.bundle = rostered()
    shop.begin()
    if in_force > 1:
        assert shop.org.activate_trust(version="2", kinds=str(in_force)).holds
    return shop


@pytest.fixture
def api() -> Iterator[PagerDutyApi]:
    api = PagerDutyApi()
    yield api
    api.close()


def rostered(source: str = "file:oncall.json", **changes: str) -> bytes:
    text = unpack_bundle(bundle())["breakglass.yaml"].decode()
    assert MEMBERS in text
    new = ROSTERED.replace("file:oncall.json", source)
    text = text.replace(MEMBERS, new).replace(
        "name: Teo,", "name: Teo, aliases: [teo@shop.example],"
    )
    for old, new in changes.items():
        text = text.replace(old, new)
    return pack_bundle({"breakglass.yaml": text.encode()})


def lists(folder: Path, *people: str, at: Any = None, name: str = "oncall.json") -> None:
    """Write the file as whoever plans shifts does: whole, and then in its place."""
    (folder / "rosters").mkdir(exist_ok=True)
    said = {"people": list(people), "taken_at": format_time(at or moment())}
    new = folder / "rosters" / "new"
    new.write_text(json.dumps(said))
    new.rename(folder / "rosters" / name)


def quick(**changes: Any) -> dict[str, Any]:
    return {"rosters": RosterSettings(every=timedelta(seconds=0.1), **changes)}


def stated(shop: Shop) -> list[tuple[str, ...]]:
    return [each.people for each in shop.bodies(kinds.Roster)]


def test_a_list_is_stated_by_the_policys_names_once_and_again_when_it_changed(
    shop: Shop, sink: Sink, folder: Path, monitor_of: Start
) -> None:
    lists(folder, "teo@shop.example", "mira")
    monitor = monitor_of(folder, **quick())
    eventually(lambda: stated(shop))
    (first,) = shop.bodies(kinds.Roster)
    assert (first.group, first.people, first.source) == (
        "oncall",
        ("mira", "teo"),
        "file:oncall.json",
    )
    lists(folder, "mira", "teo")  # the same people a moment later are nothing new
    looked = monitor.rosters.looks
    eventually(lambda: monitor.rosters.looks > looked + 3)
    lists(folder, "bo")
    eventually(lambda: len(stated(shop)) == 2)
    looked = monitor.rosters.looks
    eventually(lambda: monitor.rosters.looks > looked + 3)
    assert stated(shop) == [("mira", "teo"), ("bo",)]
    assert not {each for each in sink.subjects() if each.startswith("roster")}


def test_a_list_is_stated_again_when_half_of_its_time_is_over_and_not_by_a_restart(
    shop: Shop, folder: Path, monitor_of: Start
) -> None:
    lists(folder, "mira", at=moment() - timedelta(hours=7))
    first = monitor_of(folder, **quick())
    eventually(lambda: stated(shop))
    eventually(lambda: first.view.size == shop.org.log.size)
    first.process.close()
    second = monitor_of(folder, **quick())
    eventually(lambda: second.rosters.looks > 3)
    assert len(stated(shop)) == 1
    lists(folder, "mira", at=moment() - timedelta(hours=1, minutes=1))
    eventually(lambda: second.rosters.looks > 8)
    assert len(stated(shop)) == 1
    lists(folder, "mira")
    eventually(lambda: len(stated(shop)) == 2)


def test_who_is_unknown_is_named_aloud_and_the_others_stand(
    shop: Shop, sink: Sink, folder: Path, monitor_of: Start
) -> None:
    lists(folder, "mira", "ghost@shop.example", "noor")
    monitor = monitor_of(folder, **quick())
    eventually(lambda: "roster_unknown" in sink.subjects())
    text = sink.message("roster_unknown")["text"]
    assert "'ghost@shop.example', on call for 'oncall', is nobody of the policy" in text
    assert "'noor', on call for 'oncall', is not among its 'members'" in text
    assert "'aliases'" in text
    looked = monitor.rosters.looks
    eventually(lambda: monitor.rosters.looks > looked + 3)
    assert sink.subjects().count("roster_unknown") == 1
    assert stated(shop) == [("mira",)]
    lists(folder, "teo", "ghost2")
    eventually(lambda: sink.subjects().count("roster_unknown") == 2)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "oncall.json' cannot be read: No such file"),
        ("{", "oncall.json': "),
        ('{"people": []}', "taken_at"),
        ('{"people": [], "taken_at": "2026-11-30T18:00:00.000Z", "who": 1}', "who"),
        ('{"people": ["mira"], "taken_at": "2020-01-01T00:00:00.000Z"}', "it is of 2020-01-01"),
        ('{"people": ["mira"], "taken_at": "2999-01-01T00:00:00.000Z"}', "which has not come"),
        ("nobody", "it names nobody whom the policy knows"),
    ],
)
def test_a_list_that_says_nothing_rings_once_with_who_counts_meanwhile(
    shop: Shop, sink: Sink, folder: Path, monitor_of: Start, text: str | None, says: str
) -> None:
    if text == "nobody":
        lists(folder)
    elif text is not None:
        (folder / "rosters").mkdir()
        (folder / "rosters" / "oncall.json").write_text(text)
    monitor = monitor_of(folder, **quick())
    eventually(lambda: "roster_missing" in sink.subjects())
    told = sink.message("roster_missing")["text"]
    assert says in told
    assert "group 'oncall' (file:oncall.json) has no fresh roster" in told
    assert "meanwhile these count: bo" in told
    looked = monitor.rosters.looks
    eventually(lambda: monitor.rosters.looks > looked + 3)
    assert sink.subjects().count("roster_missing") == 1
    assert stated(shop) == ([()] if text == "nobody" else [])


def test_the_same_trouble_in_other_words_or_behind_a_restart_rings_nobody_again(
    shop: Shop, sink: Sink, folder: Path, monitor_of: Start
) -> None:
    first = monitor_of(folder, **quick())
    eventually(lambda: "roster_missing" in sink.subjects())
    (folder / "rosters").mkdir()
    (folder / "rosters" / "oncall.json").write_text("{")
    looked = first.rosters.looks
    eventually(lambda: first.rosters.looks > looked + 3)
    first.process.close()
    second = monitor_of(folder, **quick())
    eventually(lambda: second.rosters.looks > 3)
    shop.breaks()
    eventually(lambda: "broke_glass" in sink.subjects())
    assert sink.subjects().count("roster_missing") == 1


def test_a_source_that_fails_rings_when_half_of_the_rosters_time_is_over(
    shop: Shop, sink: Sink, folder: Path, monitor_of: Start
) -> None:
    taken = moment() - timedelta(hours=7)
    assert shop.states("monitor", kinds.Roster("oncall", ("teo",), "file:oncall.json", taken)).holds
    monitor_of(folder, **quick())
    eventually(lambda: "roster_missing" in sink.subjects())
    text = sink.message("roster_missing")["text"]
    assert "group 'oncall' (file:oncall.json) cannot be read again: " in text
    assert f"its roster counts until {format_time(taken + timedelta(hours=12))}" in text


def test_a_source_that_fails_for_a_moment_rings_nobody(
    shop: Shop, sink: Sink, folder: Path, monitor_of: Start
) -> None:
    taken = moment() - timedelta(hours=5)
    assert shop.states("monitor", kinds.Roster("oncall", ("teo",), "file:oncall.json", taken)).holds
    monitor = monitor_of(folder, **quick())
    eventually(lambda: monitor.rosters.looks > 4)
    assert "roster_missing" not in sink.subjects()


@pytest.mark.parametrize("in_force", [1])
def test_under_kinds_1_nothing_is_stated_and_the_way_out_is_said(
    sink: Sink, folder: Path, shop: Shop, monitor_of: Start
) -> None:
    lists(folder, "mira")
    monitor_of(folder, **quick())
    eventually(lambda: "roster_missing" in sink.subjects())
    assert "breakglass trust next --kinds 2" in sink.message("roster_missing")["text"]
    assert stated(shop) == []


# --- PagerDuty ----------------------------------------------------------------------------------


def asking(api: PagerDutyApi, folder: Path, token: str = TOKEN) -> PagerDutySchedules:
    secrets = folder / "secrets"
    secrets.mkdir(exist_ok=True, parents=True)
    (secrets / "pagerduty-api").write_text(token)
    (secrets / "pagerduty-api").chmod(0o600)
    return PagerDutySchedules(
        api.address,
        "secret:pagerduty-api",
        SecretFolder(secrets),
        SystemClock(),
        timedelta(seconds=2),
    )


def test_everybody_on_call_is_read_by_e_mail_over_every_page(
    api: PagerDutyApi, tmp_path: Path
) -> None:
    many = [(f"p{number}", f"p{number}@shop.example") for number in range(230)]
    api.schedules = {"PX7QA": [*many, *many[:1]]}
    found = asking(api, tmp_path).read("PX7QA")
    assert found.names == tuple(mail for _, mail in many)
    assert len(api.asked) == 3
    assert abs(found.taken_at - moment()) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ((429, b"{}"), "answered 429"),
        ((500, b"{}"), "answered 500"),
        ((200, b"[]"), "documented form"),
        ((200, b'{"oncalls": [{"user": null}], "more": false}'), "documented form"),
        ((200, b'{"oncalls": [{"user": {"email": 7}}], "more": false}'), "documented form"),
        ((200, b'{"oncalls": []}'), "documented form"),
        ((200, b"x" * 3_000_000), "more than 2097152 bytes"),
        (None, "answered 404"),
    ],
)
def test_half_an_answer_is_none(
    api: PagerDutyApi, tmp_path: Path, broken: tuple[int, bytes] | None, says: str
) -> None:
    api.broken = broken
    with pytest.raises(UnavailableError, match=says):
        asking(api, tmp_path).read("PX7QA")


def test_a_wrong_or_open_token_reads_nothing_and_is_not_quoted(
    api: PagerDutyApi, tmp_path: Path
) -> None:
    api.schedules = {"PX7QA": []}
    wrong = asking(api, tmp_path, "s3cret-token")
    with pytest.raises(UnavailableError, match="answered 401") as said:
        wrong.read("PX7QA")
    assert "s3cret" not in str(said.value)
    (tmp_path / "secrets" / "pagerduty-api").chmod(0o644)
    with pytest.raises(BreakglassError, match="can be read by others"):
        wrong.read("PX7QA")


@pytest.mark.parametrize("mood", ["hangup", "hang", "drip"])
def test_an_api_that_hangs_or_drips_is_given_up_in_time(tmp_path: Path, mood: str) -> None:
    server = BadServer(mood=mood)
    try:
        source = PagerDutySchedules(
            server.address, "x", SecretFolder(tmp_path), SystemClock(), timedelta(seconds=0.3)
        )
        with pytest.raises(UnavailableError):
            source.read("PX7QA")
    finally:
        server.close()


def test_a_schedule_becomes_a_roster_and_its_change_the_next(
    api: PagerDutyApi, sink: Sink, folder: Path, shop: Shop, monitor_of: Start
) -> None:
    shop.org.policy_version, shop.org.bundle = (
        8,
        rostered("pagerduty:PX7QA", **{"version: 7": "version: 8"}),
    )
    shop.org.now = moment()
    shop.org.activate_policy()
    api.schedules = {"PX7QA": [("Teo T", "Teo@shop.example")]}
    asking(api, folder)
    monitor_of(folder, **quick(pagerduty=api.address))
    eventually(lambda: stated(shop) == [("teo",)])
    api.schedules["PX7QA"] = [("Mira", "mira")]
    eventually(lambda: stated(shop) == [("teo",), ("mira",)])


def test_a_file_is_bounded_and_its_name_stays_in_its_folder(tmp_path: Path) -> None:
    files = RosterFiles(tmp_path)
    (tmp_path / "long").write_bytes(b" " * 300_000)
    with pytest.raises(MalformedError, match="more than 262144 bytes"):
        files.read("long")
    many = json.dumps({"people": ["x"] * 501, "taken_at": format_time(moment())})
    (tmp_path / "many").write_text(many)
    with pytest.raises(MalformedError, match="0 to 500 items"):
        files.read("many")
