"""``breakglass me``: on which channels of your own you are called, and whose asks you muted.

Both are signed and sent straight to the monitor; no broker learns a number or an address.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from breakglass.cli import output
from breakglass.cli.client import Client, find, takes_org
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, RefusedError, UnavailableError

if TYPE_CHECKING:
    from breakglass.records.me import Mine, OwnChannel

EXAMPLE = """\
\b
Example:
  breakglass me channel add phone --webhook -
"""
ADD_EXAMPLE = """\
\b
Example:
  breakglass me channel add post --mail sam@shop.example
"""
REMOVE_EXAMPLE = """\
\b
Example:
  breakglass me channel remove post
"""
TEST_EXAMPLE = """\
\b
Example:
  breakglass me channel test post
"""


@click.group(
    epilog=EXAMPLE, invoke_without_command=True, short_help="Show and set where you are called."
)
@takes_org
@output.says_json
@click.pass_context
def me(context: click.Context, org: str | None, as_json: bool) -> None:
    """Show your own channels and whose asks you muted; alone it changes nothing."""
    if context.invoked_subcommand is not None:
        return
    _tell(find(org).ask_monitor("/me"), as_json)


@me.group(epilog=ADD_EXAMPLE)
def channel() -> None:
    """Add, remove and test channels of your own."""


@channel.command(epilog=ADD_EXAMPLE, short_help="Have the monitor call you on one more.")
@click.argument("name")
@click.option(
    "--webhook", metavar="URL", help="An https address; '-' reads it from standard input."
)
@click.option("--slack", metavar="URL", help="An incoming webhook of Slack's form; '-' likewise.")
@click.option("--mail", metavar="ADDRESS", help="A mail address.")
@takes_org
@output.says_json
def add(
    name: str,
    webhook: str | None,
    slack: str | None,
    mail: str | None,
    org: str | None,
    as_json: bool,
) -> None:
    """Have the monitor call you on one more channel, NAME, from now on.

    It is told on the channels that you have. An address is a secret: with '-' it stands neither in
    the shell's history nor in the list of processes.
    """
    from breakglass.records.me import OwnChannel, OwnType

    given = {OwnType.WEBHOOK: webhook, OwnType.SLACK: slack, OwnType.MAIL: mail}
    chosen = [(kind, target) for kind, target in given.items() if target]
    if len(chosen) != 1:
        raise MalformedError("name exactly one of --webhook, --slack and --mail")
    kind, target = chosen[0]
    if target == "-":
        target = sys.stdin.readline().strip()
        if not target:
            # An empty target says «as it is» of a channel that stands, and makes none.
            raise MalformedError("no address came on standard input; nothing was changed")
    client = find(org)
    kept = [each for each in _kept(client) if each.name != name]
    _tell(_set(client, [*kept, OwnChannel(name, kind, target)]), as_json)


@channel.command(epilog=REMOVE_EXAMPLE)
@click.argument("name")
@takes_org
@output.says_json
def remove(name: str, org: str | None, as_json: bool) -> None:
    """Have the monitor call you on NAME no more; it is told there, and on the others."""
    client = find(org)
    known = _kept(client)
    if name not in [each.name for each in known]:
        there = ", ".join(each.name for each in known) or "none"
        raise RefusedError(
            f"you have no channel {name!r}; there are: {there}", name=ErrorName.NO_OWN_CHANNEL
        )
    _tell(_set(client, [each for each in known if each.name != name]), as_json)


@channel.command(epilog=TEST_EXAMPLE)
@click.argument("name")
@takes_org
@output.says_json
def test(name: str, org: str | None, as_json: bool) -> None:
    """Have the monitor send one message marked TEST to your channel NAME."""
    from breakglass.records.me import MeDo, MyTest

    client = find(org)
    answer = _said(client, MyTest(do=MeDo.TEST, name=name, **_common(client)))
    heard = answer["heard"]
    if as_json:
        output.tell_json({"channel": name, "heard": heard == "heard", "why": heard})
    elif heard == "heard":
        output.tell_rows([("heard", f"'{name}' took the message; it is marked TEST")])
    else:
        output.tell_rows([("not heard", f"'{name}': {heard}")])
    if heard != "heard":
        raise SystemExit(UnavailableError.exit_code)


def mute(client: Client, who: str, for_: timedelta) -> datetime:
    """Have the monitor page this person no more for what ``who`` asks; returns until when.

    Others who may approve are still paged; if all have muted ``who``, all are called on the
    policy's channels.

    Args:
        client: of the person who wants rest.
        who: the asker.
        for_: 12 h at most.

    Raises:
        MalformedError: longer, or not at all.
        BreakglassError: the monitor refused it, or does not answer; nothing is muted.
    """
    from breakglass.records.me import MeDo, MyMute

    _check_mute(for_)
    common = _common(client)
    until: datetime = common["at"] + for_
    _said(client, MyMute(do=MeDo.MUTE, person=who, until=until, **common))
    return until


def mute_length(option: str, text: str) -> timedelta:
    """Read how long a mute is to last.

    Raises:
        MalformedError: no length of time, or more than 12 h.
    """
    from breakglass.cli.signed_glass import span_of

    found = span_of(option, text)
    _check_mute(found)
    return found


def _check_mute(for_: timedelta) -> None:
    from breakglass.records.me import MUTE_AT_MOST

    if not timedelta(0) < for_ <= MUTE_AT_MOST:
        raise MalformedError(
            f"a mute lasts 12 h at most, not {output.duration(for_.total_seconds())}"
        )


def _kept(client: Client) -> list[OwnChannel]:
    """Return the channels that stand, each as one that is to be kept."""
    from breakglass.records.me import OwnChannel, OwnType

    answer = client.ask_monitor("/me")
    return [OwnChannel(each["name"], OwnType(each["type"]), "") for each in answer["channels"]]


def _set(client: Client, channels: list[OwnChannel]) -> dict[str, Any]:
    from breakglass.records.me import MeDo, MyChannels

    return _said(client, MyChannels(do=MeDo.CHANNELS, channels=tuple(channels), **_common(client)))


def _common(client: Client) -> dict[str, Any]:
    """Return the fields that each such text has; ``to`` is a key that our trust file knows."""
    from breakglass.cli import sign_statement

    return {
        "log": client.log,
        "to": client.monitor_key(),
        "who": client.who,
        "at": sign_statement.now(),
        "nonce": sign_statement.nonce(),
    }


def _said(client: Client, mine: Mine) -> dict[str, Any]:
    """Sign it and send it; a text that nobody would read is refused before anybody touches."""
    from breakglass.person import ssh_keygen
    from breakglass.records.me import me_text, parse_me
    from breakglass.records.signing.signature import ME_NAMESPACE

    text = me_text(mine)
    parse_me(text)
    client.announce()
    key = ssh_keygen.read_key(client.key)
    sshsig = ssh_keygen.sign(text, ME_NAMESPACE, key, output.talk)
    return client.tell_monitor("/me", {"text": {"text": text, "sshsig": sshsig}})


def _tell(answer: dict[str, Any], as_json: bool) -> None:
    from breakglass.cli.sign_statement import now
    from breakglass.clock import parse_time

    if as_json:
        output.tell_json(answer)
        return
    rows = [
        (
            each["name"],
            f"{each['type']}  {each['target']}"
            + (f"  not heard: {each['failure']}" if each["failure"] else ""),
        )
        for each in answer["channels"]
    ]
    rows += [
        ("muted", f"what {person} asks, until {output.clock_time(parse_time(until), now())}")
        for person, until in answer["mutes"].items()
    ]
    if rows:
        output.tell_rows(rows)
    else:
        output.talk("no channel of your own: you are called on the policy's channels alone")
