"""What a person tells the monitor of themselves: on which channels, and whose asks to leave out.

It stands in no record and in no bundle: a private number is nobody's business. It changes nothing
but who is called, and where. Source: docs/spec/me.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

from breakglass.canonical import canonical, parse_lines, utf8
from breakglass.clock import format_time
from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, RefusedError
from breakglass.records.encoding.text_types import Handle, LogName, Nonce, Pattern, Prose
from breakglass.records.signing.signature import ME_NAMESPACE, Signature, verify_signature
from breakglass.strict_json import Many, read, written

HEADER = "breakglass.dev/me/v1"
MUTE_AT_MOST = timedelta(hours=12)
_BYTES_AT_MOST = 4096
_PLACE_AT_MOST = 63

OwnName = Annotated[str, Pattern("a name of a-z, 0-9, '-'", r"[a-z0-9][a-z0-9-]{0,15}")]
Address = Annotated[str, Prose(500)]
ProcessKey = Annotated[
    str, Pattern("a key NAME+ID+BASE64", r"[^\s+]{1,255}\+[0-9a-f]{8}\+[A-Za-z0-9+/=]{44,48}")
]


class MeDo(StrEnum):
    """What a person does by such a text."""

    CHANNELS = "channels"
    MUTE = "mute"
    TEST = "test"


class OwnType(StrEnum):
    """Of which type a person's own channel is."""

    WEBHOOK = "webhook"
    MAIL = "mail"
    SLACK = "slack"


@dataclass(frozen=True)
class OwnChannel:
    """One channel of a person's own; an empty ``target`` keeps the one of this name."""

    name: OwnName
    type: OwnType
    target: Address


@dataclass(frozen=True)
class MyChannels:
    """All channels of a person's own, from now on; none is called that is not here."""

    do: MeDo
    log: LogName
    to: ProcessKey
    who: Handle
    channels: Annotated[tuple[OwnChannel, ...], Many(4)]
    at: datetime
    nonce: Nonce


@dataclass(frozen=True)
class MyMute:
    """No page of what ``person`` asks, until then."""

    do: MeDo
    log: LogName
    to: ProcessKey
    who: Handle
    person: Handle
    until: datetime
    at: datetime
    nonce: Nonce


@dataclass(frozen=True)
class MyTest:
    """Rings one own channel once, marked TEST."""

    do: MeDo
    log: LogName
    to: ProcessKey
    who: Handle
    name: OwnName
    at: datetime
    nonce: Nonce


Mine = MyChannels | MyMute | MyTest
_FORMS: Mapping[MeDo, type[Mine]] = {
    MeDo.CHANNELS: MyChannels,
    MeDo.MUTE: MyMute,
    MeDo.TEST: MyTest,
}


def me_text(mine: Mine) -> str:
    """Write it as the exact text that a person signs.

    Raises:
        MalformedError: nobody would read it.
    """
    return f"{HEADER}\n{canonical(written(mine, 'me'))}\n"


def parse_me(text: str) -> Mine:
    """Read what a person signed of themselves.

    Raises:
        MalformedError: not the form of docs/spec/me.md, with the place.
    """
    if len(utf8(text)) > _BYTES_AT_MOST:
        raise MalformedError(f"me: more than {_BYTES_AT_MOST} bytes", name=ErrorName.TOO_LARGE)
    value = parse_lines(text, HEADER, "me")
    found = value.get("do") if isinstance(value, Mapping) else None
    form = next((form for do, form in _FORMS.items() if do.value == found), None)
    if form is None:
        raise MalformedError(f"me.do: expected one of {', '.join(MeDo)}, got {str(found)[:40]!r}")
    mine = read(form, value, "me")
    if isinstance(mine, MyChannels):
        names = [each.name for each in mine.channels]
        if len(set(names)) != len(names):
            raise MalformedError("me.channels: a name stands twice", name=ErrorName.DUPLICATE_ID)
        longest = max((len(f"{mine.who}.{each}") for each in names), default=0)
        if longest > _PLACE_AT_MOST:
            # Deliveries are recorded under PERSON.NAME, which is a ``Handle`` there.
            raise MalformedError(
                f"me.channels: {mine.who!r} and a channel's name have {longest} characters together"
                f" (limit {_PLACE_AT_MOST})",
                name=ErrorName.TOO_LARGE,
            )
    if isinstance(mine, MyMute) and not mine.at < mine.until <= mine.at + MUTE_AT_MOST:
        raise MalformedError("me.until: a mute lasts 12 h at most")
    return mine


def check_me(
    signed: Signature,
    keys: Sequence[str],
    log: str,
    to: Sequence[str],
    now: datetime,
    skew: timedelta,
) -> Mine:
    """Believe that a person said this, to this monitor, now.

    Whether they are suspended, and whether it was said before, is for the caller to say.

    Args:
        signed: the text with its signature.
        keys: the keys in force of the person whom it names.
        log: the monitor's log.
        to: the monitor's own keys.
        now: the monitor's clock.
        skew: how far two clocks may lie apart.

    Raises:
        MalformedError: not in its form.
        RefusedError: ``wrong_log``, ``wrong_process`` or ``stale_request``.
        UnprovenError: ``foreign_key``, ``namespace``, ``presence`` or ``signature``.
    """
    mine = parse_me(signed.text)
    if mine.log != log:
        raise RefusedError(f"this is of log {mine.log!r}, not {log!r}", name=ErrorName.WRONG_LOG)
    if mine.to not in to:
        raise RefusedError(
            f"this is for {mine.to.partition('+')[0]!r}, another process",
            name=ErrorName.WRONG_PROCESS,
        )
    if abs(now - mine.at) > skew:
        raise RefusedError(
            f"signed at {format_time(mine.at)}, now is {format_time(now)}"
            f" (limit {skew.total_seconds():g} s)",
            name=ErrorName.STALE_REQUEST,
        )
    verify_signature(signed, keys, ME_NAMESPACE)
    return mine
