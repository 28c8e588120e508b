"""What is stopped now, by whose word, and whose word to stop or let go of everything waits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from breakglass.clock import format_time
from breakglass.node.readers import KnownReader, PersonReading, reads_all
from breakglass.records.fold.slices.governance import ALL
from breakglass.records.fold.state import State
from breakglass.records.kinds.all_suspended import SECOND_WITHIN, waiting_word
from breakglass.records.statement import Kill, KillAll, parse_statement


@dataclass(frozen=True)
class SuspensionView:
    """One target that is stopped: ``person``, ``glass`` or ``all``, who said so, why and when.

    Of everything, who said it second.
    """

    target: str
    name: str
    who: str
    why: str
    at: str


@dataclass(frozen=True)
class FirstWordView:
    """One person's word that waits for a second one's until ``until``.

    ``active`` true is to stop everything, false to let it go again.
    """

    active: bool
    who: str
    why: str
    until: str


@dataclass(frozen=True)
class Suspensions:
    """Everything that is stopped; ``first_word`` is empty or has one entry."""

    suspended: tuple[SuspensionView, ...]
    first_word: tuple[FirstWordView, ...]


def suspensions_of(state: State, reader: KnownReader, now: datetime) -> Suspensions:
    """Return what is stopped, as far as this reader may see it.

    Glasses and everything stop whoever would use them, so everybody known sees these. That a person
    is stopped is seen by who reads all and by who may kill; that person reads nothing any more.
    """
    governance = state.governance
    may_kill = isinstance(reader, PersonReading) and governance.may_kill(reader.who)
    seen = {"glass", ALL[0], *(("person",) if may_kill or reads_all(reader) else ())}
    found = []
    for (target, name), stop in sorted(governance.suspended.items()):
        said = parse_statement(stop.statement.text)
        assert isinstance(said, Kill | KillAll)
        if target in seen:
            found.append(
                SuspensionView(target, name, said.who, said.reason.text, format_time(said.at))
            )
    waiting = waiting_word(state, now)
    if waiting is None:
        return Suspensions(tuple(found), ())
    said = parse_statement(waiting.statement.text)
    assert isinstance(said, KillAll)
    until = format_time(waiting.seen + SECOND_WITHIN)
    word = FirstWordView(waiting.active, waiting.who, said.reason.text, until)
    return Suspensions(tuple(found), (word,))
