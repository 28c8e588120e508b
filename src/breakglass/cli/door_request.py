"""The file that goes from a responder to custodians and back: a door statement and their words.

Read and shown without any library: custodians see what the very bytes say that they let through.
Whether signatures hold, broker, gates and minters check.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from breakglass.canonical import Json, parse_lines
from breakglass.clock import parse_time
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MalformedError, MisconfiguredError, UnprovenError
from breakglass.records.statement import Countersign, Door, digest_of, grant_id, parse_as

_BYTES_AT_MOST = 256 * 1024
_CARD_HEADER = "breakglass.dev/card/v1"
_WAIT = timedelta(hours=1)  # between a door statement and its intent: docs/spec/token.md (T-22)
_LONGEST = timedelta(hours=1)
_FIELDS = ("grant", "statement", "countersigned", "card", "needed", "minter_at")


@dataclass(frozen=True)
class DoorRequest:
    """What is asked of custodians: ``statement`` and ``card``; ``countersigned`` are their words.

    ``needed`` and ``minter_at`` are the broker's word, for the responder's use; nobody believes
    them. ``said`` and ``digest`` are of the statement, ``card_digest`` of the card's text.
    """

    grant: str
    statement: Mapping[str, Any]
    countersigned: tuple[Mapping[str, Any], ...]
    card: str
    needed: int
    minter_at: str
    said: Door
    digest: str
    card_digest: str
    gates: tuple[str, ...]
    life: timedelta

    @property
    def until(self) -> datetime:
        """Return until when the broker may still write an intent of this."""
        return self.said.at + _WAIT

    @property
    def signed(self) -> list[str]:
        """Return whose words stand here."""
        return [_word(each).who for each in self.countersigned]

    def with_words(self, words: Iterable[Mapping[str, Any]]) -> DoorRequest:
        """Return the request with more words: one for each name, in one order for everybody."""
        found: dict[str, Mapping[str, Any]] = {}
        for word in (*self.countersigned, *words):
            found.setdefault(_word(word).who, word)
        return replace(self, countersigned=tuple(found[name] for name in sorted(found)))

    def encoded(self) -> str:
        """Write the file."""
        value = {
            "grant": self.grant,
            "statement": self.statement,
            "countersigned": list(self.countersigned),
            "card": self.card,
            "needed": self.needed,
            "minter_at": self.minter_at,
        }
        return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


@dataclass(frozen=True)
class OpenedDoor:
    """What the broker made of it: an intent's note, and the lines of its signers."""

    note: str
    card: str
    people: tuple[str, ...]
    not_after: datetime
    gates: tuple[str, ...]
    minter_at: str

    def token(self, presentation: dict[str, str]) -> str:
        """Return the door's token, shown by its holder's ``presentation``."""
        lines = [
            "breakglass.dev/token/v1",
            f"card {_base64(self.card)}",
            f"intent {_base64(self.note)}",
            *self.people,
            "door",
            f"presentation {_base64(presentation['text'])} {presentation['sshsig']}",
        ]
        return "\n".join(lines) + "\n"


def read_request(path: Path) -> DoorRequest:
    """Read a request file.

    Raises:
        MisconfiguredError: it cannot be read.
        MalformedError, UnprovenError: see ``request_of``.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_BYTES_AT_MOST)
        value = json.loads(data.decode("utf-8"))
    except OSError as error:
        raise MisconfiguredError(f"{str(path)!r} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise MalformedError(
            f"{str(path)!r} is no door request",
            hint="take the file that 'breakglass door ask' wrote, whole",
        ) from error
    return request_of(value)


def request_of(value: Any) -> DoorRequest:
    """Read a request, and be sure that card and words are of the statement that it carries.

    Raises:
        MalformedError: not of that form.
        UnprovenError: ``statement_mismatch``: card, grant or a custodian's word is of another one.
    """
    if not isinstance(value, dict) or any(field not in value for field in _FIELDS):
        raise MalformedError("this is no door request", hint="'breakglass door ask' writes one")
    try:
        text = str(value["statement"]["text"])
        said = parse_as(Door, text)
        card_text = str(value["card"]).partition("\n\n")[0] + "\n"
        card: Any = parse_lines(card_text, _CARD_HEADER, "card")
        words = tuple(value["countersigned"])
        spoken = [_word(each) for each in words]
        life = min(timedelta(seconds=min(said.for_s, int(card["for_s"]))), _LONGEST)
        gates = tuple(map(str, card["gates"]))
    except (BreakglassError, KeyError, IndexError, TypeError, ValueError) as error:
        raise MalformedError(f"the door request holds no door statement: {error}") from error
    digest, card_digest = digest_of(text), digest_of(card_text)
    same = str(value["grant"]) == grant_id(text) and _of_one(said, card)
    same = same and all((each.answers, each.card) == (digest, card_digest) for each in spoken)
    if not same:
        raise UnprovenError(
            "card, grant and custodians of this request are not of its own statement; nothing was"
            " signed",
            name=ErrorName.STATEMENT_MISMATCH,
            hint="tell whoever sent it, by another way, and sign nothing",
        )
    needed = value["needed"] if isinstance(value["needed"], int) else 2
    return DoorRequest(
        grant_id(text),
        dict(value["statement"]),
        words,
        str(value["card"]),
        needed,
        str(value["minter_at"]),
        said,
        digest,
        card_digest,
        gates,
        life,
    ).with_words(())


def door_of(told: Mapping[str, Any], request: DoorRequest) -> OpenedDoor:
    """Read what the broker answers when enough custodians have signed.

    Raises:
        UnprovenError: ``intent_mismatch``: its intent is of another statement or card.
    """
    try:
        text = str(told["note"]).rpartition("\n\n")[0]
        intent = json.loads(text.rpartition("\n")[2])
        carried = intent["statements"][0]["text"]
        people = tuple(map(str, told["people"]))
        not_after, gates = parse_time(intent["not_after"]), tuple(map(str, intent["gates"]))
        named = (digest_of(str(carried)), intent["card"])
    except (BreakglassError, KeyError, IndexError, TypeError, ValueError) as error:
        raise MalformedError(f"the broker's answer holds no door intent: {error}") from error
    if named != (request.digest, request.card_digest):
        raise UnprovenError(
            "the broker's intent is not of what you signed; nothing was shown to anybody",
            name=ErrorName.INTENT_MISMATCH,
        )
    return OpenedDoor(
        str(told["note"]), request.card, people, not_after, gates, str(told.get("minter_at", ""))
    )


def _of_one(said: Door, card: Mapping[str, Json]) -> bool:
    return (card["glass"], card["policy"], card["log"]) == (said.glass, said.policy, said.log)


def _word(signed: Mapping[str, Any]) -> Countersign:
    return parse_as(Countersign, str(signed["text"]))


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
