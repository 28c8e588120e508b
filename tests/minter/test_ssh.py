"""The minter's half of SSH, at simulated hosts: who is asked, what is believed, and who is away."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from breakglass.errors import MalformedError, MisconfiguredError, RefusedError, UnavailableError
from breakglass.minter.platforms.platform import Account, Order
from breakglass.minter.platforms.ssh import Ssh
from breakglass.minter.platforms.ssh_host import SshHost, read_host
from tests.kit.ssh_platform import SshPlace, ssh_order

TWO = ("web-1", "web-2")


@pytest.fixture
def place(tmp_path: Path) -> SshPlace:
    return SshPlace(tmp_path, *TWO)


def account(order: Order, place: SshPlace) -> Account:
    return Account(order.handle, place.platform.mint(order).ids)


def test_a_grant_lives_at_all_its_hosts_and_is_dead_at_all(place: SshPlace) -> None:
    order = ssh_order(*TWO)
    credential = place.platform.mint(order)
    certificate = str(credential.secret["certificate"])
    assert place.platform.probe(credential) == (
        f"{order.handle}: web-1 lets {order.handle} in as deploy; likewise web-2"
    )
    assert all(place.host(name).log_in(certificate) for name in TWO)
    ended = Account(order.handle, credential.ids)
    assert place.platform.used_within(ended, timedelta(minutes=5))
    assert place.platform.cut(ended) == 2
    evidence = place.platform.probe_dead(ended)
    assert evidence.startswith("login refused at web-1, web-2: web-1 refuses")
    assert evidence.count("certificate tried") == 2
    place.host("web-2").leaves(order.handle, "crontab of deploy: 1 line more")
    assert place.platform.tidy(ended) == ("web-2: crontab of deploy: 1 line more",)
    assert place.platform.handles() == []


def test_a_holder_is_told_where_each_host_is_and_which_key_it_must_show(place: SshPlace) -> None:
    order = ssh_order(*TWO)
    key = place.settings.hosts[0].key
    assert place.platform.mint(order).connect == {
        "accounts": "deploy",
        "host.web-1": f"127.0.0.1 22 {key}",
        "host.web-2": f"127.0.0.1 22 {key}",
    }


def test_one_host_away_keeps_nobody_out_of_the_others(place: SshPlace) -> None:
    place.trouble("web-1", "away")
    credential = place.platform.mint(ssh_order(*TWO))
    assert credential.ids["hosts-1"] == "web-1 web-2"
    assert credential.ids["away-1"] == "web-1"
    assert place.platform.probe(credential).endswith("; not told yet: web-1")
    assert "host.web-1" in credential.connect  # it lets the holder in by the token, once it is back


def test_all_hosts_away_mint_nothing(place: SshPlace) -> None:
    for name in TWO:
        place.trouble(name, "away")
    with pytest.raises(UnavailableError, match="'web-1' did not answer 'open': ssh: connect"):
        place.platform.mint(ssh_order(*TWO))


def test_a_grant_is_not_dead_while_one_of_its_hosts_is_away(place: SshPlace) -> None:
    order = ssh_order(*TWO)
    ended = account(order, place)
    place.trouble("web-2", "away")
    for call in (place.platform.cut, place.platform.probe_dead, place.platform.tidy):
        with pytest.raises(UnavailableError, match="host 'web-2' did not answer"):
            call(ended)
    assert not place.host("web-1").sessions(order.handle)
    place.trouble("web-2", "")
    place.platform.cut(ended)
    place.platform.probe_dead(ended)


def test_a_host_outside_the_scope_holds_up_no_end(place: SshPlace) -> None:
    ended = account(ssh_order("web-1"), place)
    place.trouble("web-2", "away")
    place.platform.cut(ended)
    assert "web-2" not in place.platform.probe_dead(ended)


def test_of_what_a_crash_left_every_host_is_asked(place: SshPlace) -> None:
    order = ssh_order("web-2")
    place.platform.mint(order)
    unknown = Account(order.handle)
    assert place.platform.handles() == [order.handle]
    place.platform.cut(unknown)
    assert place.platform.probe_dead(unknown).startswith("login refused at web-1, web-2")


def test_a_minter_that_started_again_tries_the_death_by_the_handle(place: SshPlace) -> None:
    ended = account(ssh_order("web-1"), place)
    again = Ssh(place.settings, "web", place.folder)
    again.cut(ended)
    assert "KRL asked" in again.probe_dead(ended)


def test_a_host_that_was_taken_out_of_the_settings_must_still_say_it(place: SshPlace) -> None:
    ended = account(ssh_order("web-2"), place)
    fewer = replace(place.settings, hosts=place.settings.hosts[:1])
    with pytest.raises(UnavailableError, match="'web-2' is not in this minter's settings") as seen:
        Ssh(fewer, "web", place.folder).cut(ended)
    assert "until its grants are dead" in seen.value.hint


def test_a_host_that_is_away_hides_nothing_of_the_others(place: SshPlace) -> None:
    order = ssh_order("web-1")
    place.platform.mint(order)
    place.trouble("web-2", "away")
    assert place.platform.handles() == [order.handle]
    place.trouble("web-1", "away")
    with pytest.raises(UnavailableError, match="'web-1' did not answer 'list'"):
        place.platform.handles()


def test_a_host_that_names_thousands_hides_nothing_of_the_others(place: SshPlace) -> None:
    standing = {"accounts": ["deploy"], "cut": False, "tidied": False, "sessions": 0, "left": []}
    with place.host("web-1").grants() as grants:
        grants |= {f"bg_a{number}": standing for number in range(1000)}
    order = ssh_order("web-2")
    place.platform.mint(order)
    assert order.handle in place.platform.handles()[:2]


def test_what_was_cut_is_never_minted_again(place: SshPlace) -> None:
    order = ssh_order("web-1")
    place.platform.cut(account(order, place))
    with pytest.raises(RefusedError, match="was ended here") as caught:
        place.platform.mint(order)
    assert caught.value.name == "ended"


def test_an_account_that_one_host_lacks_leaves_nothing_at_the_other(place: SshPlace) -> None:
    place.trouble("web-2", "no_account")
    with pytest.raises(RefusedError, match="no account 'deploy'") as caught:
        place.platform.mint(ssh_order(*TWO))
    assert caught.value.name == "scope_unknown"
    assert place.platform.handles() == []


@pytest.mark.parametrize(
    ("scope", "why"),
    [
        ({"hosts": ("web-1",)}, "expected hosts and accounts, got hosts"),
        ({"accounts": ("deploy",)}, "expected hosts and accounts, got accounts"),
        (
            {"hosts": ("web-1",), "accounts": ("deploy",), "databases": ("orders",)},
            "expected hosts and accounts",
        ),
        ({"hosts": ("web-1", "db-7"), "accounts": ("deploy",)}, "got 'db-7'"),
        ({"hosts": ("web-1",), "accounts": ("breakglass",)}, "our own"),
    ],
)
def test_a_scope_that_means_nothing_here_is_refused_before_any_host_hears_of_it(
    place: SshPlace, scope: dict[str, tuple[str, ...]], why: str
) -> None:
    with pytest.raises(RefusedError, match=why) as caught:
        place.platform.mint(ssh_order(scope=scope))
    assert caught.value.name == "scope_unknown"
    assert place.platform.handles() == []


def test_a_certificate_that_no_host_takes_is_not_handed_out(place: SshPlace) -> None:
    credential = place.platform.mint(ssh_order(*TWO))
    place.trouble("web-1", "shut")
    assert place.platform.probe(credential).endswith("; not told yet: web-1")
    place.trouble("web-2", "shut")
    with pytest.raises(UnavailableError, match="the token does not hold") as caught:
        place.platform.probe(credential)
    assert caught.value.name == "not_usable"


def test_what_works_is_not_cut_for_lying_idle(place: SshPlace) -> None:
    ended = account(ssh_order("web-1"), place)
    place.trouble("web-1", "busy")
    with pytest.raises(UnavailableError, match="works") as caught:
        place.platform.cut_idle(ended)
    assert caught.value.name == "busy"


def test_a_host_that_does_not_answer_may_be_where_somebody_works(place: SshPlace) -> None:
    ended = account(ssh_order(*TWO), place)
    assert not place.platform.used_within(ended, timedelta(minutes=1))
    place.trouble("web-2", "away")
    with pytest.raises(UnavailableError, match="'web-2' did not answer 'used'"):
        place.platform.used_within(ended, timedelta(minutes=1))


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        ("nonsense", "answered nonsense to 'list'"),
        ("older", "answered nonsense to 'list': answer.v: expected 1 to 1"),
        ("floods", "answered more than 64 KiB"),
    ],
)
def test_what_a_host_answers_is_read_strictly(place: SshPlace, trouble: str, why: str) -> None:
    for name in TWO:
        place.trouble(name, trouble)
    with pytest.raises(UnavailableError, match=why):
        place.platform.handles()


def test_a_host_that_hangs_is_given_up(tmp_path: Path) -> None:
    place = SshPlace(tmp_path, "web-1", within=timedelta(seconds=1))
    place.trouble("web-1", "hangs")
    with pytest.raises(UnavailableError, match=r"host 'web-1': 'list' did not end within 1 s"):
        place.platform.handles()


def test_many_hosts_are_all_kept_in_the_records_and_too_many_mint_nothing(tmp_path: Path) -> None:
    few = tuple(f"web-{number:02}" for number in range(40))
    place = SshPlace(tmp_path, *few)
    order = ssh_order(*few)
    ids = place.platform.mint(order).ids
    assert place.platform.cut(Account(order.handle, ids)) == 0
    assert all(len(each) <= 200 for each in ids.values())
    assert " ".join(each for name, each in ids.items() if name.startswith("hosts-")) == " ".join(
        few
    )
    long = SshHost("x" * 63, "127.0.0.1", place.settings.hosts[0].key)
    names = tuple(f"{number:02}{long.name[2:]}" for number in range(37))
    more = replace(place.settings, hosts=tuple(replace(long, name=name) for name in names))
    wide = Ssh(more, "web", place.folder)
    # Three fit a line. What stands nowhere is asked by nobody, once it is out of the settings.
    with pytest.raises(RefusedError, match=r"hosts whose names fit 12 lines .* got 37 of them"):
        wide.mint(ssh_order(*names))
    assert wide.handles() == []
    scope = {"hosts": names, "accounts": ("deploy",)}
    assert "37 hosts in one glass" in wide.examine([scope], datetime.now(UTC))[0].says


def test_hosts_are_looked_at_before_anybody_needs_them(place: SshPlace) -> None:
    scope = {"hosts": TWO, "accounts": ("deploy",)}
    now = datetime.now(UTC)
    assert place.platform.examine([scope], now) == ()
    place.trouble("web-1", "away")
    place.trouble("web-2", "no_account")
    away, lacks = place.platform.examine([scope], now)
    assert "web-1: host 'web-1' did not answer 'describe'" in away.says
    assert lacks.says == "web-2: there is no account 'deploy'"
    assert lacks.hint == "useradd deploy"
    other = Ssh(place.settings, "db", place.folder).examine([scope], now)
    assert any("of minter 'web'; here it is 'web-2' of 'db'" in each.says for each in other)
    (missing,) = place.platform.examine([{"hosts": ("db-7",), "accounts": ("x",)}], now)[1:2]
    assert missing.stops


def test_a_host_of_a_glass_that_the_settings_lack_is_a_finding(place: SshPlace) -> None:
    scope = {"hosts": ("db-7",), "accounts": ("deploy",)}
    (found,) = place.platform.examine([scope], datetime.now(UTC))
    assert "db-7" in found.says
    assert found.stops


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "web 1"},
        {"name": "Web"},
        {"address": "-oProxyCommand=id"},
        {"address": "a b"},
        {"key": "ssh-ed25519 AAAA\nweb-2 ssh-ed25519 BBBB"},
        {"port": 0},
    ],
)
def test_a_host_that_ssh_would_read_as_something_else_is_refused(
    changes: dict[str, object],
) -> None:
    key = "ssh-ed25519 " + "A" * 68
    with pytest.raises(ValueError, match=r"'ssh.hosts' has"):
        replace(SshHost("web-1", "10.77.0.9", key), **changes)


def test_a_host_is_typed_as_one_line() -> None:
    key = "ssh-ed25519 " + "A" * 68
    assert read_host(f"web-1 10.77.0.9 22 {key} root@web-1") == SshHost("web-1", "10.77.0.9", key)
    for line in ("web-1", f"web-1 10.77.0.9 {key}", f"web-1 10.77.0.9 x {key}"):
        with pytest.raises(MalformedError, match="a host is 'NAME ADDRESS PORT KEY'"):
            read_host(line)


def test_two_hosts_of_one_name_do_not_start(place: SshPlace) -> None:
    with pytest.raises(ValueError, match="names 'web-1' twice"):
        replace(place.settings, hosts=place.settings.hosts[:1] * 2)
    with pytest.raises(ValueError, match="wanted an account's name"):
        replace(place.settings, account="-oProxyCommand=id")


def test_the_control_key_must_be_the_minters_alone(place: SshPlace) -> None:
    place.settings.control_key.chmod(0o644)
    with pytest.raises(MisconfiguredError, match="can be read by others"):
        Ssh(place.settings, "web", place.folder)


def test_a_minter_may_be_started_by_a_relative_folder(
    place: SshPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place.folder)
    keys = {"ca_key": Path("ca"), "control_key": Path("control")}
    here = Ssh(replace(place.settings, **keys), "web", Path())
    assert here.handles() == []
