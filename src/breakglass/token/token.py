"""The token: card, intent, its signers' lines, proof and the holder's presentation, as one text.

```
breakglass.dev/token/v1
card <base64 of the card note>
intent <base64 of the intent note>
person <index> <base64 of the line> <base64 of the path's hashes, or ->    (each signer of the card)
proof <base64 of the tlog-proof>          (or: door)
justified <base64 note> <base64 proof>    (optional)
presentation <base64 text> <base64 SSHSIG>   (absent in a token not yet bound to a door and run)
```

The form is frozen: docs/spec/token.md.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, replace

from breakglass.errors import MalformedError
from breakglass.records.people_list import PATH_AT_MOST, SIGNERS_AT_MOST, CarriedLine
from breakglass.records.signing.signature import Signed
from breakglass.tlog.merkle import HASH_BYTES

HEADER = "breakglass.dev/token/v1"
BYTES_AT_MOST = 512 * 1024
_WORDS = {
    "card": 1,
    "intent": 1,
    "person": 3,
    "proof": 1,
    "door": 0,
    "justified": 2,
    "presentation": 2,
}
_ORDER = list(_WORDS)
_INDEX = re.compile(r"0|[1-9][0-9]{0,5}", re.ASCII)


@dataclass(frozen=True)
class Token:
    """The parts, as bytes that are still to be believed.

    ``people`` are the lines of those of the card's people who signed. ``proof`` is ``None`` in a
    token of the custodians' door, whose statements stand in the intent. ``justified`` is a note
    and its own proof.
    """

    card: bytes
    intent: bytes
    people: tuple[CarriedLine, ...]
    proof: bytes | None
    justified: tuple[bytes, bytes] | None = None
    presentation: Signed | None = None

    def presented(self, presentation: Signed) -> Token:
        """Bind the token to the door and run that ``presentation`` names."""
        return replace(self, presentation=presentation)

    def encoded(self) -> str:
        """Write the token as text."""
        lines = [HEADER, f"card {_base64(self.card)}", f"intent {_base64(self.intent)}"]
        lines += [person_line(each) for each in self.people]
        lines.append("door" if self.proof is None else f"proof {_base64(self.proof)}")
        if self.justified is not None:
            note, proof = self.justified
            lines.append(f"justified {_base64(note)} {_base64(proof)}")
        if self.presentation is not None:
            text = _base64(self.presentation.text.encode())
            lines.append(f"presentation {text} {self.presentation.sshsig}")
        return "\n".join(lines) + "\n"


def parse_token(data: bytes) -> Token:
    """Read a token.

    Args:
        data: the text's bytes, 512 KiB at most.

    Raises:
        MalformedError: not the form of docs/spec/token.md, with the line.
    """
    if len(data) > BYTES_AT_MOST:
        raise MalformedError(f"token: {len(data)} bytes, {BYTES_AT_MOST} at most")
    try:
        lines = data.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise MalformedError(f"token: byte {error.start} is not ASCII") from error
    if lines[0] != HEADER or lines[-1]:
        raise MalformedError(
            f"token: expected the first line {HEADER!r} and a line end",
            hint="get one with: breakglass gate token GRANT --gate GATE --for RUN",
        )
    parts: dict[str, list[bytes]] = {}
    people: list[CarriedLine] = []
    last = ""
    for number, line in enumerate(lines[1:-1], start=2):
        word, *values = line.split(" ")
        if _WORDS.get(word) != len(values) or not _follows(word, last):
            raise MalformedError(f"token line {number}: {word[:40]!r} is unknown or out of place")
        if word == "person":
            people.append(_person(values, number))
        else:
            parts[word] = [_bytes(value, f"line {number}") for value in values]
        last = word
    missing = [word for word in ("card", "intent") if word not in parts]
    if missing or ("proof" in parts) == ("door" in parts):
        raise MalformedError(f"token: {(missing or ['proof or door'])[0]} is missing or too much")
    _check_places([each.index for each in people])
    return _token(parts, people)


def _follows(word: str, last: str) -> bool:
    if not last or word == last == "person":
        return True
    return _ORDER.index(word) > _ORDER.index(last)


def _person(values: list[str], number: int) -> CarriedLine:
    index, line, path = values
    hashes = b"" if path == "-" else _bytes(path, f"line {number}")
    whole = len(hashes) % HASH_BYTES == 0 and len(hashes) <= PATH_AT_MOST * HASH_BYTES
    if not _INDEX.fullmatch(index) or not whole or (path != "-") != bool(hashes):
        raise MalformedError(f"token line {number}: expected an index, a line and a path of hashes")
    steps = range(0, len(hashes), HASH_BYTES)
    return CarriedLine(
        int(index),
        _bytes(line, f"line {number}"),
        tuple(hashes[at : at + HASH_BYTES] for at in steps),
    )


def _check_places(places: list[int]) -> None:
    if places != sorted(set(places)) or len(places) > SIGNERS_AT_MOST:
        raise MalformedError(
            f"token: people stand by their index, each once, {SIGNERS_AT_MOST} at most"
        )


def parse_person_line(line: str) -> CarriedLine:
    """Read the line of one person as it stands in a token.

    Raises:
        MalformedError: it is none.
    """
    word, *values = line.split(" ")
    if word != "person" or len(values) != _WORDS[word]:
        raise MalformedError("expected a person's line: person INDEX LINE PATH")
    return _person(values, 1)


def person_line(person: CarriedLine) -> str:
    """Write the line of one signer as it stands in a token."""
    path = _base64(b"".join(person.path)) or "-"
    return f"person {person.index} {_base64(person.line)} {path}"


def _token(parts: dict[str, list[bytes]], people: list[CarriedLine]) -> Token:
    justified = parts.get("justified")
    shown = parts.get("presentation")
    presentation = None
    if shown:
        try:
            text = shown[0].decode()
        except UnicodeDecodeError as error:
            raise MalformedError("token: the presentation is not UTF-8") from error
        presentation = Signed(text, _base64(shown[1]))
    return Token(
        card=parts["card"][0],
        intent=parts["intent"][0],
        people=tuple(people),
        proof=parts["proof"][0] if "proof" in parts else None,
        justified=(justified[0], justified[1]) if justified else None,
        presentation=presentation,
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str, where: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedError(f"token {where}: base64 is broken") from error
    if _base64(data) != text:
        raise MalformedError(f"token {where}: base64 is not canonical")
    return data
