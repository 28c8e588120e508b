"""Whose word ends a grant before its time: its holder's, or that of somebody who may kill.

The same rules as the fold's, so that what we end on a word is never void in the ledger.
"""

from __future__ import annotations

from breakglass.errors import RefusedError, UnprovenError
from breakglass.records.kinds.grants import Ended, EndedWhy
from breakglass.records.signing import STATEMENT_NAMESPACE, Signature, verify_signature
from breakglass.records.state import GrantState, State
from breakglass.records.statement import (
    Answer,
    Do,
    Kill,
    Target,
    digest_of,
    parse_statement,
)


def ended_by_word(state: State, grant: GrantState, signed: Signature) -> Ended:
    """Check a signed statement and say how it ends ``grant``.

    Raises:
        MalformedError: no statement.
        UnprovenError: not signed by the person it names, or of another log or grant.
        RefusedError: that person may not end this grant.
    """
    said = parse_statement(signed.text)
    if said.log != state.log:
        raise UnprovenError(f"the statement is of log {said.log!r}", name="wrong_log")
    keys = state.keys_of(said.who)
    if not keys:
        raise RefusedError(f"{said.who!r} is nobody of this policy", name="unknown_person")
    verify_signature(signed, keys, STATEMENT_NAMESPACE)
    if isinstance(said, Answer) and said.do is Do.DONE:
        _check_holder(grant, said)
        return Ended(grant.intent.grant, EndedWhy.DONE, said.reason.text, signed)
    if isinstance(said, Kill):
        _check_killer(state, grant, said)
        return Ended(grant.intent.grant, EndedWhy.KILLED, said.reason.text, signed)
    raise RefusedError(f"a statement that says {said.do.value!r} ends nothing", name="wrong_do")


def _check_holder(grant: GrantState, said: Answer) -> None:
    if said.answers != digest_of(grant.intent.statements[0].text):
        raise UnprovenError("the statement is of another grant", name="wrong_answer")
    if said.who != grant.intent.who:
        raise RefusedError(
            f"grant {grant.intent.grant!r} is {grant.intent.who!r}'s, not {said.who!r}'s",
            name="unknown_person",
            hint="security ends another's grant with: breakglass kill --grant GRANT",
        )


def _check_killer(state: State, grant: GrantState, said: Kill) -> None:
    if (said.target, said.name) != (Target.GRANT, grant.intent.grant):
        raise UnprovenError("the statement stops something else", name="wrong_answer")
    if state.policy is None or said.who not in state.policy.kill:
        raise RefusedError(f"{said.who!r} may not kill", name="unknown_person")
