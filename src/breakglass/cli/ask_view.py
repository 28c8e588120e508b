"""An ask as a broker shows it, read once: who is waited for, who was paged, who answered.

It is the broker's word. Whoever asks follows it, and is granted nothing by it; whoever approves
believes of it what ``ask_proof`` has checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from breakglass.clock import parse_time
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, UnavailableError, UnprovenError


class AskState(StrEnum):
    """How an ask stands."""

    WAITING = "waiting"
    GRANTED = "granted"
    REFUSED = "refused"  # an approver said no
    WITHDRAWN = "withdrawn"  # its asker took it back
    OVERTAKEN = "overtaken"  # its asker broke the glass instead
    EXPIRED = "expired"  # nobody can grant it any more
    ENDED = "ended"  # its grant is over; or somebody stopped the asker, the glass or everything


@dataclass(frozen=True)
class Answered:
    """What one approver said, and when it was recorded."""

    who: str
    yes: bool
    at: datetime
    why: str


@dataclass(frozen=True)
class Paged:
    """Who was called on which channel; ``delivered`` by the channel's own word."""

    to: tuple[str, ...]
    channel: str
    at: datetime
    delivered: bool


@dataclass(frozen=True)
class AskView:
    """See the module. ``need`` is how many approvers it takes, ``version`` rises with each change.

    ``people`` are the card's lines of its asker and of who answered, as a token carries them;
    ``value`` is the whole answer, for machines.
    """

    grant: str
    version: int
    state: AskState
    who: str
    glass: str
    incident: str
    need: int
    silent: bool
    until: datetime
    approvers: tuple[str, ...]
    groups: tuple[str, ...]
    answers: tuple[Answered, ...]
    pages: tuple[Paged, ...]
    people: tuple[str, ...]
    text: str
    value: Mapping[str, Any]

    @property
    def yes(self) -> tuple[str, ...]:
        """Return who has approved."""
        return tuple(each.who for each in self.answers if each.yes)

    @property
    def reached(self) -> bool:
        """Say whether a page was delivered to anybody."""
        return any(each.delivered for each in self.pages)

    @property
    def stopped(self) -> bool:
        """Say whether it ended before anybody granted it: no grant of it was ever recorded."""
        return self.state is AskState.ENDED and self.value.get("granted_index", 0) is None


def ask_view(value: Mapping[str, Any]) -> AskView:
    """Read what a broker answered.

    Raises:
        UnavailableError: ``nonsense``; it is not in the form that brokers of ours give.
    """
    try:
        return AskView(
            grant=str(value["grant"]),
            version=int(value["version"]),
            state=AskState(value["state"]),
            who=str(value["who"]),
            glass=str(value["glass"]),
            incident=str(value["incident"]),
            need=int(value["need"]),
            silent=value["silent"] is True,
            until=parse_time(value["until"]),
            approvers=tuple(map(str, value["approvers"])),
            groups=tuple(map(str, value.get("groups", ()))),  # an older broker names none
            answers=tuple(map(_answered, value["answers"])),
            pages=tuple(map(_paged, value["pages"])),
            people=tuple(map(str, value["people"])),
            text=str(value["statement"]["text"]),
            value=value,
        )
    except (BreakglassError, KeyError, TypeError, ValueError) as error:
        raise UnavailableError(
            f"the broker's answer on an ask makes no sense: {type(error).__name__}",
            name=ErrorName.NONSENSE,
        ) from error


def view_of(value: Mapping[str, Any], grant: str, text: str) -> AskView:
    """Read what a broker answered of an ask that was signed here.

    Raises:
        UnavailableError: see ``ask_view``.
        UnprovenError: ``wrong_grant``; it is another ask.
    """
    found = ask_view(value)
    if (found.grant, found.text) != (grant, text):
        raise UnprovenError(
            f"the broker shows another ask than {grant!r}, which was signed here",
            name=ErrorName.WRONG_GRANT,
        )
    return found


def _answered(value: Mapping[str, Any]) -> Answered:
    why = value["why"]
    text = str(why["text"]) if isinstance(why, Mapping) else str(why)
    return Answered(str(value["who"]), value["reply"] == "yes", parse_time(value["at"]), text)


def _paged(value: Mapping[str, Any]) -> Paged:
    to = tuple(map(str, value["to"]))
    delivered = value["delivery"] in ("delivered", "acknowledged")
    return Paged(to, str(value["channel"]), parse_time(value["at"]), delivered)
