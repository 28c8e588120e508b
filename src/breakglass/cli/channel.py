"""``breakglass channel test``: ring a channel of the monitor once, marked as a test."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from breakglass.cli import output
from breakglass.cli.client import find, takes_org
from breakglass.errors import BreakglassError, MisconfiguredError, UnavailableError

if TYPE_CHECKING:
    from breakglass.monitor.alerts.channel import Channel, Message
    from breakglass.monitor.settings import MonitorSettings
    from breakglass.policy.alert_routes import AlertRoutes

EXAMPLE = """\
\b
Example:
  breakglass channel test pager
"""


@click.group(epilog=EXAMPLE)
def channel() -> None:
    """Try the channels over which the monitor reaches people."""


@channel.command(epilog=EXAMPLE, short_help="Ring one once, marked TEST.")
@click.argument("name")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The monitor's folder.  [default: 'monitor' in the organisation's]",
)
@takes_org
@output.says_json
def test(name: str, folder: Path | None, org: str | None, as_json: bool) -> None:
    """Send one message marked TEST over the channel NAME, and say whether it was taken.

    NAME is a channel of the monitor's settings or of the policy that it follows.
    Typed where the monitor's settings are, by who may read them; as root it is sent as the
    monitor's own user. `heard` means that the receiver took it: ask the people whether it rang.
    """
    from breakglass.monitor.alerts.policy_channels import ROUTES, read_routes
    from breakglass.monitor.settings import MonitorSettings
    from breakglass.process.settings import read_settings

    place = folder or find(org).file.absolute().parent / "monitor"
    # (1) As the monitor: what its user may not read, write or reach fails here too.
    _become_owner(place)
    settings = read_settings(place, MonitorSettings)
    routes = read_routes(place / "data" / ROUTES)
    if name not in settings.channels and name not in routes.channels:
        there = ", ".join(sorted({*settings.channels, *routes.channels})) or "none"
        raise MisconfiguredError(
            f"the monitor has no channel {name!r}; there are: {there}",
            hint=f"add [channels.{name}] to {place / 'settings.toml'}, and restart the monitor; or"
            " to the policy",
        )
    # (2) Once; nothing is kept and nothing is tried again: this is no alert.
    why = _delivered(settings, routes, name, place)
    if as_json:
        output.tell_json({"channel": name, "heard": not why, "why": why})
    elif not why:
        output.tell_rows([("heard", f"'{name}' took the message; it is marked TEST")])
    if why:
        if not as_json:
            output.tell_rows([("not heard", f"'{name}': {why}")])
        sys.exit(UnavailableError.exit_code)


def _delivered(settings: MonitorSettings, routes: AlertRoutes, name: str, folder: Path) -> str:
    """Ring once; returns why it was not heard, or nothing."""
    from breakglass.monitor.alerts.policy_channel import made_channel
    from breakglass.monitor.alerts.secret_folder import SecretFolder

    secrets, within = SecretFolder(folder / "secrets"), settings.deliver_within
    try:
        if name in settings.channels:
            made: Channel = settings.channels[name].channel(within, secrets)
        else:
            made = made_channel(routes.channels[name], folder / "data", secrets, within)
        made.deliver(_message(settings.log))
    except BreakglassError as error:
        return error.message
    return ""


def _message(log: str) -> Message:
    import socket

    from breakglass.cli.sign_statement import now
    from breakglass.monitor.alerts.alert import Alert
    from breakglass.monitor.alerts.channel import Message

    asked = secrets.token_hex(6)
    text = (
        f"TEST of this channel, from {socket.gethostname()}, asked for with 'breakglass channel"
        " test'. Nothing has happened, and nobody has to do anything."
    )
    alert = Alert("test", asked, 0, f"test/{asked}", now(), text, stated=False)
    # A receiver leaves out what it has heard: each test has a key of its own.
    return Message(f"test/{asked}", alert.thread, alert.body(log))


def _become_owner(folder: Path) -> None:
    """Go on as the user whose folder it is, if we are root and it is another's."""
    try:
        owner = os.stat(folder)
    except OSError as error:
        raise MisconfiguredError(
            f"{str(folder)!r} cannot be read: {error.strerror}",
            hint="type this on the monitor's host, or name its folder: --folder DIR",
        ) from error
    if os.geteuid() == 0 and owner.st_uid:
        os.setgroups([])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)
