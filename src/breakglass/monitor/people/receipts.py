"""Whoever signed what stands in the log is told so at once, on their own channels. Pure.

It comes from another room than the page that they signed on, and says what was signed, not what a
page showed: that is what makes a stolen key, or a lying page, known within a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import datetime

from breakglass.errors import BreakglassError
from breakglass.monitor.alerts.alert import Alert
from breakglass.records.fold.fold import Judged
from breakglass.records.fold.state import State
from breakglass.records.signing.signature import Signature, Signed, SignedByPasskey
from breakglass.records.statement import (
    AccessRequest,
    Answer,
    Countersign,
    Declare,
    Do,
    Kill,
    KillAll,
    Machine,
    ReviewGate,
    Statement,
    digest_of,
    grant_of_digest,
    parse_statement,
)

_WORDS = {
    Do.ASK: "asked for",
    Do.BREAK: "broke",
    Do.DOOR: "broke with the custodians' door",
    Do.APPROVE: "approved",
    Do.REFUSE: "refused",
    Do.WITHDRAW: "took back",
    Do.DONE: "handed back",
    Do.COUNTERSIGN: "countersigned",
    Do.KILL: "stopped",
    Do.LIFT: "let go again",
    Do.KILL_ALL: "said to stop",
    Do.LIFT_ALL: "said to let go",
    Do.DECLARE: "declared",
    Do.CLOSE: "closed",
}


def receipts(judged: Judged, state: State) -> Iterator[Alert]:
    """Yield one receipt for each person's word in a record that holds.

    A word that stands in several records gives the same receipt, so it is told once.
    """
    if not judged.holds or judged.record is None:
        return
    at = judged.record.envelope.at
    for signed in _signed(judged.record.body):
        try:
            said = parse_statement(signed.text)
        except BreakglassError:
            continue  # a text of another kind: a card, a trust file
        if not isinstance(said, Machine):
            yield _receipt(said, digest_of(signed.text), judged.index, at, state)


def _signed(value: object) -> Iterator[Signature]:
    """Yield every signed word in a record, wherever it stands."""
    if isinstance(value, Signed | SignedByPasskey):
        yield value
    elif is_dataclass(value):
        for each in fields(value):
            yield from _signed(getattr(value, each.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from _signed(item)


def _receipt(said: Statement, digest: str, index: int, at: datetime, state: State) -> Alert:
    what = _what(said, digest, state)
    text = (
        f"RECEIPT: you {what} (entry {index}, {at:%H:%M:%S} UTC), signed with your key. Not you?"
        f" Call somebody who may stop it: breakglass kill person:{said.who}"
    )
    fields_ = {"who": said.who, "kill": f"breakglass kill person:{said.who}"}
    thread = _grant_of(said, digest) or f"me/{said.who}"
    return Alert(
        "receipt",
        said.who,
        index,
        thread,
        at,
        text,
        fields_,
        stated=False,
        person=said.who,
        once=digest,
    )


def _what(said: Statement, digest: str, state: State) -> str:
    match said:
        case Answer() | Countersign():
            return f"{_WORDS[said.do]} {_of(grant_of_digest(said.answers), state)}"
        case Kill():
            return f"{_WORDS[said.do]} {said.target.value} {said.name!r}"
        case Declare():
            return f"{_WORDS[said.do]} incident {said.incident} ({said.severity})"
        case KillAll():
            return f"{_WORDS[said.do]} everything, together with somebody else"
        case ReviewGate():
            return f"reviewed gate {said.gate!r}: {said.verdict.value}"
        case _:
            drill = " as a drill" if said.drill else ""
            return (
                f"{_WORDS[said.do]} {said.glass!r}{drill} as {grant_of_digest(digest)}, for"
                f" {said.for_s // 60} min, incident {said.incident or 'none'}"
            )


def _of(grant: str, state: State) -> str:
    """Say of what an answer is: who, which glass, from what was signed."""
    waiting = state.grants.asked.get(grant)
    ended = state.grants.ended_asks.get(grant)
    said: AccessRequest | None = waiting.said if waiting else ended.ask.said if ended else None
    if said is not None:
        return f"{grant}: {said.who}, {said.glass!r}, {said.for_s // 60} min"
    standing = state.grants.by_id.get(grant)
    return f"{grant}: {standing.who}, {standing.glass!r}" if standing else grant


def _grant_of(said: Statement, digest: str) -> str:
    if isinstance(said, Answer | Countersign):
        return grant_of_digest(said.answers)
    if isinstance(said, Kill | Declare | ReviewGate):
        return ""
    return grant_of_digest(digest)
