"""The policy in force says which class of news goes where; some news no policy routes."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from breakglass.errors import MisconfiguredError
from breakglass.monitor.alerts.alert import Alert
from breakglass.monitor.alerts.news_class import SUBJECTS, NewsClass, class_of, route_of
from breakglass.monitor.alerts.policy_channel import made_channel
from breakglass.monitor.alerts.secret_folder import SecretFolder
from breakglass.monitor.app import Monitor
from breakglass.policy.alert_routes import ALERT_CLASSES, AlertRoutes, Channel, ChannelType
from breakglass.policy.bundle import pack_bundle, unpack_bundle
from breakglass.records import all_kinds as kinds
from breakglass.records.statement import Target
from tests.kit.organisation import Organisation
from tests.monitor.stand_ins import (
    Shop,
    Sink,
    StandInLedger,
    eventually,
    hook,
    make_folder,
    moment,
)

SOURCE = Path(__file__).resolve().parents[2] / "src" / "breakglass"
Start = Callable[..., Monitor]


def routes(**alerts: tuple[str, ...]) -> AlertRoutes:
    names = sorted({name for each in alerts.values() for name in each})
    channels = {name: Channel(name, ChannelType.WEBHOOK, f"secret:{name}") for name in names}
    glasses = {"orders-repair": alerts.get("severe", alerts.get("glass", ()))}
    return AlertRoutes("b", channels, alerts, glasses)


def news(subject: str, **more: Any) -> Alert:
    return Alert(subject, "x", 7, "x", moment(), "x", **more)


# --- the table ------------------------------------------------------------------------------------


def subjects_in_source() -> set[str]:
    """Return every subject that the monitor's code makes an alert of."""
    found = set()
    for path in [*(SOURCE / "monitor").rglob("*.py"), SOURCE / "cli" / "channel.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", "") in ("Alert", "_news", "_asking", "_own")
                and node.args
            ):
                found |= {
                    each.value
                    for each in ast.walk(node.args[0])
                    if isinstance(each, ast.Constant) and isinstance(each.value, str)
                }
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "subject":
                found |= {
                    each.value
                    for branch in ([node.value.body, node.value.orelse]
                                   if isinstance(node.value, ast.IfExp) else [node.value])
                    for each in [branch]
                    if isinstance(each, ast.Constant)
                }  # fmt: skip
    return {each for each in found if each.isidentifier()}


def test_every_subject_has_its_class_and_every_class_a_subject() -> None:
    made = subjects_in_source() | {"usable", "ended", "dead", "bypassed"}  # by the record's kind
    assert made - SUBJECTS.keys() == set()
    assert SUBJECTS.keys() - made == set()
    assert {route_of(news(each)) for each in SUBJECTS} - {""} <= set(ALERT_CLASSES)


@pytest.mark.parametrize(
    "subject",
    ["policy_activated", "trust_activated", "key_rotated", "suspended", "forbidden",
     "unjustified", "archive_wrong", "of_another_release"],
)  # fmt: skip
@pytest.mark.parametrize("silenced", ["chat", "pulse"])
def test_no_policy_routes_news_of_the_rules(subject: str, silenced: str) -> None:
    standing = ("chat", "mail", "pager", "hook")
    alerts = {"glass": ("pager",), "policy": ("chat",), "jit": ("chat",)}
    if silenced == "pulse":  # the settings' own, called a dead-man's switch
        alerts["pulse"] = ("hook", "mail")
    heard = routes(**alerts).heard_on(route_of(news(subject)), "", standing, ("hook", "mail"))
    assert heard == {"chat", "mail", "pager", "hook"}


def test_what_rings_again_each_hour_is_of_the_class_of_the_first() -> None:
    assert class_of(news("door_unappended_17h")) is NewsClass.GLASS


def test_a_glass_rings_by_its_path_and_by_its_own_radius() -> None:
    said = routes(glass=("pager",), severe=("pager", "mail"), jit=("chat",), drill=("mail",))
    standing = ("chat", "mail", "pager")

    def heard(path: str, glass: str = "") -> set[str]:
        return set(said.heard_on(route_of(news("broke_glass", path=path)), glass, standing))

    assert heard("glass", "orders-repair") == {"pager", "mail"}
    assert heard("glass", "unknown") == {"pager"}
    assert heard("jit", "orders-repair") == {"chat"}
    assert heard("drill", "orders-repair") == {"mail"}
    assert heard("machine", "orders-repair") == standing_set(standing)


def standing_set(names: tuple[str, ...]) -> set[str]:
    return set(names)


def test_a_class_that_is_routed_to_nothing_that_can_be_called_goes_to_all() -> None:
    said = routes(glass=("pager",), jit=("gone",))
    assert said.heard_on("jit", "", ("pager", "mail")) == {"pager", "mail"}
    assert said.heard_on("gate", "", ("pager", "mail")) == {"pager", "mail"}


def test_a_channel_of_the_settings_alone_hears_everything() -> None:
    said = routes(glass=("pager",), jit=("chat",))
    assert said.heard_on("jit", "", ("pager", "chat", "ours")) == {"chat", "ours"}


def test_a_channel_of_the_pulse_hears_no_news_but_where_there_is_no_other() -> None:
    said = routes(glass=("pager",), pulse=("switch",))
    assert said.heard_on("", "", ("pager", "switch")) == {"pager"}
    assert said.heard_on("glass", "", ("switch",)) == {"switch"}


# --- a monitor ------------------------------------------------------------------------------------


class Sinks:
    """A receiver for each channel of a policy, and the policy that names them."""

    def __init__(self, folder: Path) -> None:
        self.by_name: dict[str, Sink] = {}
        self.secrets = folder / "secrets"
        self.secrets.mkdir(parents=True, exist_ok=True)

    def add(self, name: str, kept: bool = True) -> Sink:
        sink = self.by_name[name] = Sink()
        if kept:
            self.keep(name)
        return sink

    def keep(self, name: str) -> None:
        path = self.secrets / name
        path.write_text(f"{self.by_name[name].address} a shared secret\n")
        path.chmod(0o600)

    def close(self) -> None:
        for each in self.by_name.values():
            each.close()


@pytest.fixture
def place(tmp_path: Path, shop: Shop, ledger: StandInLedger, sink: Sink) -> Path:
    """A monitor's folder whose settings have one channel that no policy names."""
    return make_folder(tmp_path / "monitor", shop, ledger, {"ours": hook(sink)})


@pytest.fixture
def sinks(place: Path) -> Any:
    made = Sinks(place)
    made.add("spare")
    yield made
    made.close()


def policy(org: Organisation, channels: str, alerts: str) -> None:
    """Give the organisation a policy with other channels; it is not activated yet."""
    files = dict(unpack_bundle(org.bundle))
    text = files["breakglass.yaml"].decode()
    head, _, rest = text.partition("channels:\n")
    tail = rest.partition("kill:")[2]
    written = f"{head}channels:\n{channels}\nalerts: {alerts}\nkill:{tail}"
    number = int(text.split("version: ")[1].split()[0]) + 1
    written = written.replace(f"version: {number - 1}", f"version: {number}")
    org.policy_version = number
    org.bundle = pack_bundle({**files, "breakglass.yaml": written.encode()})


def activate(shop: Shop, channels: str, alerts: str) -> None:
    with shop.lock:
        shop.org.now = moment()
        policy(shop.org, channels, alerts)
        shop.org.activate_policy()


CHANNELS = "\n".join(
    f'  {name}: {{webhook: "secret:{name}"}}' for name in ("pager", "chat", "spare")
)
BY_CLASS = "{glass: [pager, spare], jit: [chat]}"


def live(monitor: Monitor) -> Monitor:
    eventually(lambda: monitor.following.live)
    return monitor


def follows(monitor: Monitor, shop: Shop) -> None:
    assert shop.org.state.governance.policy is not None
    digest = shop.org.state.governance.policy.bundle
    eventually(lambda: monitor.policy_channels.kept.bundle == digest)


def test_a_policy_is_followed_when_it_is_activated_and_rings_on_old_and_new_channels(
    shop: Shop, sink: Sink, sinks: Sinks, place: Path, monitor_of: Start
) -> None:
    pager, chat = sinks.add("pager"), sinks.add("chat")
    monitor = live(monitor_of(place))
    activate(shop, CHANNELS, BY_CLASS)
    follows(monitor, shop)
    eventually(lambda: "policy_activated" in sink.subjects())
    for each in (sink, pager, chat):
        eventually(lambda each=each: "channels_changed" in each.subjects())
    shop.breaks()
    eventually(lambda: "broke_glass" in pager.subjects())
    eventually(lambda: "broke_glass" in sink.subjects())
    with shop.lock:  # of the rules: everybody hears it, the chat too
        shop.org.now = moment()
        word = shop.org.sign(shop.org.kill(Target.PERSON, "teo"))
        shop.org.state_that("broker", kinds.Suspended(Target.PERSON, "teo", True, word))
    eventually(lambda: "suspended" in chat.subjects())
    assert "broke_glass" not in chat.subjects()


def waits_for(monitor: Monitor, channel: str, subject: str) -> bool:
    queued = [each for each in monitor.ringing.listing() if each.channel == channel]
    return any(each.subject == subject for each in queued)


def test_the_routes_hold_over_a_restart_without_a_ledger(
    shop: Shop, ledger: StandInLedger, sinks: Sinks, place: Path, monitor_of: Start
) -> None:
    pager = sinks.add("pager")
    sinks.add("chat")
    first = live(monitor_of(place))
    activate(shop, CHANNELS, BY_CLASS)
    follows(first, shop)
    pager.status = 503
    index = shop.breaks().index
    # Other news may wait there already: this one must, before the ledger goes away.
    eventually(lambda: waits_for(first, "pager", "broke_glass"))
    first.process.close()
    ledger.kill()
    pager.status = 200
    second = monitor_of(place)
    eventually(lambda: f"broke_glass/{index}" in pager.heard())
    assert second.policy_channels.kept.alerts["jit"] == ("chat",)
    kept = (place / "data" / "channels" / "policy.json").read_text()
    assert "shared secret" not in kept
    assert json.loads(kept)["channels"]["pager"] == ["webhook", "secret:pager", []]


@pytest.mark.parametrize(
    ("step", "told"), [("made", "channels_changed"), ("kept", "policy_activated")]
)
def test_a_crash_while_the_channels_change_leaves_the_new_ones_to_the_next_start(
    shop: Shop, sinks: Sinks, place: Path, monitor_of: Start, step: str, told: str
) -> None:
    pager = sinks.add("pager")
    sinks.add("chat")
    first = live(monitor_of(place))

    def cut(here: str) -> None:
        if here == step:
            raise RuntimeError("cut off")

    first.policy_channels._at = cut
    activate(shop, CHANNELS, BY_CLASS)
    eventually(lambda: first.ringing.channel("pager"))
    first.process.close()
    path = place / "data" / "channels" / "policy.json"
    kept = json.loads(path.read_text()) if path.exists() else {"channels": {}}
    assert ("pager" in kept["channels"]) is (step == "kept")
    second = live(monitor_of(place))
    follows(second, shop)
    eventually(lambda: told in pager.subjects())
    shop.breaks()
    eventually(lambda: "broke_glass" in pager.subjects())


def test_a_channel_that_lacks_its_secret_is_told_and_found_when_it_comes(
    shop: Shop, sink: Sink, sinks: Sinks, place: Path, monitor_of: Start
) -> None:
    pager = sinks.add("pager", kept=False)
    chat = sinks.add("chat")
    monitor = live(monitor_of(place))
    activate(shop, CHANNELS, BY_CLASS)
    follows(monitor, shop)
    eventually(lambda: "channels_missing" in chat.subjects())
    assert "'pager': secret 'pager' cannot be read" in chat.message("channels_missing")["text"]
    shop.breaks()
    spare = sinks.by_name["spare"]
    eventually(lambda: "broke_glass" in spare.subjects())
    sinks.keep("pager")
    eventually(lambda: not monitor.policy_channels.missing)
    before = len(chat.taken)
    shop.breaks()
    eventually(lambda: "broke_glass" in pager.subjects())
    assert len(chat.taken) == before


def test_a_way_under_an_old_name_does_not_swallow_what_waits_there(
    shop: Shop, sinks: Sinks, place: Path, monitor_of: Start
) -> None:
    """Else whoever changes the policy takes the news of it off the old people's pager."""
    pager = sinks.add("pager")
    sinks.add("chat")
    other = sinks.add("other")
    monitor = live(monitor_of(place))
    activate(shop, CHANNELS, BY_CLASS)
    follows(monitor, shop)
    pager.status = 503
    activate(shop, CHANNELS.replace("secret:pager", "secret:other"), BY_CLASS)
    eventually(lambda: monitor.policy_channels._held is not None)
    pager.status = 200
    eventually(lambda: pager.subjects().count("policy_activated") == 1)
    follows(monitor, shop)
    eventually(lambda: "channels_changed" in other.subjects())


def test_a_file_of_a_policy_stays_in_the_monitors_folder(
    shop: Shop, sink: Sink, sinks: Sinks, place: Path, monitor_of: Start
) -> None:
    monitor = live(monitor_of(place))
    activate(shop, "  logs: {log_file: news.jsonl}\n" + CHANNELS, "{glass: [logs, spare]}")
    follows(monitor, shop)
    eventually(lambda: (place / "data" / "news.jsonl").exists())


@pytest.mark.parametrize(
    "file", ["../settings.toml", "channels/pager.sqlite", "policy.json", "/etc/x.log", ".log"]
)
def test_no_policy_has_a_line_written_into_a_file_of_the_monitor(tmp_path: Path, file: str) -> None:
    """Kept routes of a release before may name one too."""
    (tmp_path / "data").mkdir()
    channel = Channel("evil", ChannelType.LOG_FILE, file)
    with pytest.raises(MisconfiguredError, match="directly in the monitor's data folder"):
        made_channel(channel, tmp_path / "data", SecretFolder(tmp_path), timedelta(seconds=1))


def test_a_settings_channel_is_no_switch_of_a_policy(
    shop: Shop, sink: Sink, sinks: Sinks, place: Path, monitor_of: Start
) -> None:
    """Whoever changes the policy would have the monitor's own pager hear nothing but pulses."""
    pager = sinks.add("pager")
    monitor = live(monitor_of(place))
    mine = '  ours: {webhook: "secret:pager"}\n' + CHANNELS
    activate(shop, mine, "{glass: [pager, spare], jit: [chat], pulse: [ours]}")
    follows(monitor, shop)
    assert monitor.policy_channels.pulses() == []
    with shop.lock:
        shop.org.now = moment()
        word = shop.org.sign(shop.org.kill(Target.PERSON, "teo"))
        shop.org.state_that("broker", kinds.Suspended(Target.PERSON, "teo", True, word))
    eventually(lambda: "suspended" in sink.subjects())
    eventually(lambda: "suspended" in pager.subjects())


def test_a_channel_that_a_policy_takes_away_hears_nothing_of_later(
    shop: Shop, sink: Sink, sinks: Sinks, place: Path, monitor_of: Start
) -> None:
    """One that is down stays until it is back, and must not gather what is not for it."""
    pager, chat = sinks.add("pager"), sinks.add("chat")
    monitor = live(monitor_of(place))
    activate(shop, CHANNELS, BY_CLASS)
    follows(monitor, shop)
    eventually(lambda: "channels_changed" in pager.subjects())
    pager.status = 503
    two = CHANNELS.partition("\n")[2]
    activate(shop, two, "{glass: [chat, spare], jit: [chat]}")
    follows(monitor, shop)
    assert "pager" not in monitor.ringing.channels
    shop.breaks()
    eventually(lambda: "broke_glass" in chat.subjects())
    pager.status = 200
    eventually(lambda: pager.subjects().count("policy_activated") == 1)
    eventually(lambda: monitor.ringing.channel("pager") is None)
    assert "broke_glass" not in pager.subjects()
    activate(shop, CHANNELS, BY_CLASS)  # and it may come back
    follows(monitor, shop)
    shop.breaks()
    eventually(lambda: "broke_glass" in pager.subjects())


def test_a_channel_that_comes_back_before_it_is_gone_hears_again(
    shop: Shop, sinks: Sinks, place: Path, monitor_of: Start
) -> None:
    pager = sinks.add("pager")
    sinks.add("chat")
    monitor = live(monitor_of(place))
    activate(shop, CHANNELS, BY_CLASS)
    follows(monitor, shop)
    pager.status = 503
    activate(shop, CHANNELS.partition("\n")[2], "{glass: [chat, spare], jit: [chat]}")
    follows(monitor, shop)
    activate(shop, CHANNELS, BY_CLASS)
    follows(monitor, shop)
    shop.breaks()
    pager.status = 200
    eventually(lambda: "broke_glass" in pager.subjects())


def test_what_is_missing_is_told_at_a_start_and_when_it_changes(
    shop: Shop, sink: Sink, sinks: Sinks, place: Path, monitor_of: Start
) -> None:
    sinks.add("pager")
    sinks.add("chat")
    first = live(monitor_of(place))
    activate(shop, CHANNELS, BY_CLASS)
    follows(first, shop)
    first.process.close()
    before = sink.subjects().count("channels_missing")
    (sinks.secrets / "pager").write_text("no address\n")
    second = live(monitor_of(place))
    eventually(lambda: sink.subjects().count("channels_missing") == before + 1)
    text = [each["text"] for each, _, _ in sink.taken if each["subject"] == "channels_missing"][-1]
    assert "'pager': a webhook's address is not one that can be called" in text
    assert "Put the secret" not in text  # it is there, and wrong
    (sinks.secrets / "pager").unlink()
    eventually(lambda: sink.subjects().count("channels_missing") == before + 2)
    text = [each["text"] for each, _, _ in sink.taken if each["subject"] == "channels_missing"][-1]
    assert "Put the secret of pager into the monitor's folder 'secrets'" in text
    second.process.close()
    third = live(monitor_of(place))
    eventually(lambda: third.policy_channels._told)
    shop.breaks()
    eventually(lambda: sink.subjects().count("broke_glass") == 1)
    assert sink.subjects().count("channels_missing") == before + 2


def test_each_change_is_held_for_what_waits_on_the_old_ways(
    shop: Shop, sinks: Sinks, place: Path, monitor_of: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    pager = sinks.add("pager")
    sinks.add("chat")
    sinks.add("other")
    monitor = live(monitor_of(place))
    activate(shop, CHANNELS, BY_CLASS)
    follows(monitor, shop)
    monkeypatch.setattr("breakglass.monitor.alerts.policy_channels._HELD_AT_MOST_S", 0.2)
    pager.status = sinks.by_name["other"].status = 503
    activate(shop, CHANNELS.replace("secret:pager", "secret:other"), BY_CLASS)
    follows(monitor, shop)  # its time is over
    assert monitor.policy_channels._held is None  # the next one has its own
    monkeypatch.setattr("breakglass.monitor.alerts.policy_channels._HELD_AT_MOST_S", 60.0)
    activate(shop, CHANNELS, BY_CLASS)
    eventually(lambda: monitor.policy_channels._held is not None)
    sinks.by_name["other"].status = 200
    follows(monitor, shop)
    assert monitor.policy_channels._held is None


def test_the_sign_of_life_goes_to_the_channels_of_its_class(
    shop: Shop, sinks: Sinks, place: Path, monitor_of: Start
) -> None:
    sinks.add("pager")
    switch = sinks.add("chat")
    monitor = live(monitor_of(place))
    activate(shop, CHANNELS, "{glass: [pager, spare], pulse: [chat]}")
    follows(monitor, shop)
    monitor.pulsing.beat()
    eventually(lambda: [each for each in switch.heard() if each.startswith("pulse/")])
    shop.breaks()
    eventually(lambda: "broke_glass" in sinks.by_name["pager"].subjects())
    assert not [each for each in switch.heard() if each.startswith("broke_glass")]


def test_a_switch_that_is_down_keeps_no_other_from_its_sign_of_life(
    shop: Shop, sinks: Sinks, place: Path, monitor_of: Start
) -> None:
    down, switch = sinks.add("chat"), sinks.add("pager")
    down.status = 503
    sinks.add("more")
    monitor = live(monitor_of(place))
    four = CHANNELS + '\n  more: {webhook: "secret:more"}'
    activate(shop, four, "{glass: [spare, more], pulse: [chat, pager]}")
    follows(monitor, shop)
    monitor.pulsing.beat()
    eventually(lambda: [each for each in switch.heard() if each.startswith("pulse/")])
    assert down.tried
    assert "503" in monitor.pulsing.trouble
