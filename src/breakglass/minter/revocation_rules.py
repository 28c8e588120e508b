"""Whose word ends a grant before its time: its holder's, or that of somebody who may kill.

The same rules as the fold's, so that what we end on a word is never void in the ledger.
"""

from __future__ import annotations

from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError
from breakglass.records.fold.context import Void, word_of
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.fold.state import State
from breakglass.records.kinds.ended import Ended, EndedWhy
from breakglass.records.signing.signature import Signature
from breakglass.records.statement import (
    Answer,
    Do,
    Kill,
    Target,
    parse_statement,
)


def ended_by_word(state: State, grant: GrantState, signed: Signature) -> Ended:
    """Check a signed statement and say how it ends ``grant``.

    Raises:
        MalformedError: no statement.
        UnprovenError: not signed by the person it names.
        RefusedError: that person may not end this grant, or the word is of another.
    """
    form = type(parse_statement(signed.text))
    try:
        if form is Answer:
            return _done(state, grant, signed)
        if form is Kill:
            return _killed(state, grant, signed)
    except Void as void:
        raise RefusedError(void.why, name=void.name) from void
    raise RefusedError("this statement ends nothing", name=ErrorName.WRONG_DO)


def _done(state: State, grant: GrantState, signed: Signature) -> Ended:
    # A suspended person may still hand back what they hold.
    said = word_of(state, signed, Answer, None, suspended_too=True).statement
    if said.do not in (Do.DONE, Do.WITHDRAW):
        raise RefusedError(
            f"a statement that says {said.do.value!r} ends nothing", name=ErrorName.WRONG_DO
        )
    if said.answers != grant.statement:
        raise RefusedError("the statement is of another grant", name=ErrorName.WRONG_ANSWER)
    if said.who != grant.who:
        raise RefusedError(
            f"grant {grant.grant!r} is {grant.who!r}'s, not {said.who!r}'s",
            name=ErrorName.UNKNOWN_PERSON,
            hint="security ends another's grant with: breakglass kill GRANT --why TEXT",
        )
    # What was granted is taken back as it is handed back, whether it has begun or not.
    why = EndedWhy.DONE if said.do is Do.DONE else EndedWhy.WITHDRAWN
    return Ended(grant.grant, why, said.reason.text, signed)


def _killed(state: State, grant: GrantState, signed: Signature) -> Ended:
    said = word_of(state, signed, Kill, None).statement
    if not state.governance.may_kill(said.who):
        raise RefusedError(f"{said.who!r} is not allowed to kill", name=ErrorName.UNKNOWN_PERSON)
    name = grant.grant
    if (said.do, said.target, said.name) != (Do.KILL, Target.GRANT, name):
        raise RefusedError("the statement names another grant", name=ErrorName.WRONG_ANSWER)
    return Ended(name, EndedWhy.KILLED, said.reason.text, signed)
