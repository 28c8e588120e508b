"""The file that goes from a responder to custodians and back: a door intent and its lines.

Read and shown without any library: custodians see what the very bytes say that they sign. Whether
the broker's and the breaker's signatures hold, gates and minters check.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from breakglass.canonical import parse_canonical
from breakglass.clock import parse_time
from breakglass.errors import BreakglassError, MalformedError, MisconfiguredError, UnprovenError
from breakglass.records.statement import Break, Do, grant_id, parse_as

NAMESPACE = "breakglass-door@v1"
_BYTES_AT_MOST = 256 * 1024
_HEADER = "breakglass.dev/record/v1"
_DASH = "\u2014 "
_LONGEST = timedelta(hours=1)
_FIELDS = ("grant", "note", "card", "needed", "minter_at")


@dataclass(frozen=True)
class DoorRequest:
    """What is asked of custodians. ``text`` is what they sign; ``lines`` stand under it.

    ``card``, ``needed`` and ``minter_at`` are the broker's word, for the responder's use; nobody
    believes them.
    """

    grant: str
    text: str
    lines: tuple[str, ...]
    card: str
    needed: int
    minter_at: str
    said: Break
    gates: tuple[str, ...]
    at: datetime
    not_after: datetime

    @property
    def note(self) -> str:
        """Return the intent's note: the broker's line, then the custodians' by their names."""
        return f"{self.text}\n" + "".join(self.lines)

    @property
    def signed(self) -> list[str]:
        """Return whose lines stand under it, the broker's not counted."""
        return [_name(line) for line in self.lines[1:]]

    def with_lines(self, lines: Iterable[str]) -> DoorRequest:
        """Return the request with more lines: one for each name, in one order for everybody."""
        found: dict[str, str] = {}
        for line in (*self.lines[1:], *lines):
            if line != self.lines[0]:
                found.setdefault(_name(line), line)
        return replace(self, lines=(self.lines[0], *(found[name] for name in sorted(found))))

    def encoded(self) -> str:
        """Write the file."""
        value = {
            "grant": self.grant,
            "note": self.note,
            "card": self.card,
            "needed": self.needed,
            "minter_at": self.minter_at,
        }
        return json.dumps(value, ensure_ascii=False, indent=1) + "\n"

    def token(self, presentation: dict[str, str]) -> str:
        """Return the door's token, shown by its holder's ``presentation``."""
        return (
            f"breakglass.dev/token/v1\ncard {_base64(self.card)}\nintent {_base64(self.note)}\n"
            f"door\npresentation {_base64(presentation['text'])} {presentation['sshsig']}\n"
        )


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
    """Read a request, and be sure that the intent says what the person's statement says.

    Raises:
        MalformedError: not of that form.
        UnprovenError: ``intent_mismatch``: the intent says something else than its statement.
    """
    if not isinstance(value, dict) or any(field not in value for field in _FIELDS):
        raise MalformedError("this is no door request", hint="'breakglass door ask' writes one")
    text, gap, lines = str(value["note"]).rpartition("\n\n")
    first, _, line = text.partition("\n")
    try:
        intent: Any = parse_canonical(line, "intent")
        said = parse_as(Break, intent["statements"][0]["text"])
        at, not_after = parse_time(intent["at"]), parse_time(intent["not_after"])
        gates = tuple(map(str, intent["gates"]))
        grant = grant_id(intent["statements"][0]["text"])
        pairs = [(intent[name], getattr(said, name)) for name in _SAME]
        pairs += [(intent["grant"], grant), (str(value["grant"]), grant)]
        pairs += [(_plain(intent["scope"]), _plain(said.scope)), (intent["kind"], "intent")]
    except (BreakglassError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise MalformedError(f"the door request holds no intent: {error}") from error
    same = all(got == wanted for got, wanted in pairs) and said.do is Do.DOOR
    if first != _HEADER or not gap or not same or not at < not_after <= at + _LONGEST:
        raise UnprovenError(
            "the intent in this request is not what its own statement asks for; nothing was signed",
            name="intent_mismatch",
            hint="tell whoever sent it, by another way, and sign nothing",
        )
    signatures = tuple(f"{each}\n" for each in lines.split("\n") if each)
    if not signatures or not all(each.startswith(_DASH) for each in signatures):
        raise MalformedError("the door request's note carries no signature lines")
    needed = value["needed"] if isinstance(value["needed"], int) else 2
    return DoorRequest(
        grant,
        text + "\n",
        signatures,
        str(value["card"]),
        needed,
        str(value["minter_at"]),
        said,
        gates,
        at,
        not_after,
    ).with_lines(())


_SAME = ("glass", "who", "incident", "minter", "holder", "policy", "log")


def custodian_line(name: str, public: str, sshsig: str) -> str:
    """Make a custodian's signature line (type 0xff) from their key and their SSHSIG.

    Args:
        name: as the trust file gives it.
        public: the key's public line.
        sshsig: base64 of the SSHSIG over the intent's text.

    Source: C2SP signed-note, «key ID»; docs/spec/trust.md, «People's lines».
    """
    blob = base64.b64decode(public.split()[1])
    start = f"{name}\n".encode() + b"\xffsshsig@breakglass.dev\n"
    key_id = hashlib.sha256(start + blob).digest()[:4]
    signature = base64.b64encode(key_id + base64.b64decode(sshsig)).decode()
    return f"{_DASH}{name} {signature}\n"


def _name(line: str) -> str:
    return line.removeprefix(_DASH).partition(" ")[0]


def _plain(scope: Any) -> dict[str, list[str]]:
    return {name: list(values) for name, values in scope.items()}


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
