"""What comes of a statement that is handed in to be granted: proven here, told, and kept."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from breakglass.cli import output
from breakglass.cli.client import Client
from breakglass.cli.grant_output import tell_grant
from breakglass.clock import Deadline
from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, UnavailableError, UnprovenError

if TYPE_CHECKING:
    from breakglass.cli.held_grants import Held

_PENDING_AT_MOST = timedelta(minutes=10)
_PENDING_EVERY_S = 2.0


def take(client: Client, held: Held, as_json: bool, beside: dict[str, Any] | None = None) -> None:
    """Hand in a kept statement and tell what is granted, once the answer proves it.

    The same statement again is the same grant, so this may be repeated.

    Args:
        client: who holds it.
        held: the statement and its holder key.
        as_json: print one object.
        beside: more of that object.

    Raises:
        BreakglassError: what the broker says; or its answer proves nothing, and nothing was used.
    """
    from breakglass.cli.credential import check_minted
    from breakglass.cli.grant_proof import proven_grant
    from breakglass.cli.statement_copy import leave_copy
    from breakglass.records.statement import parse_request

    client.announce()  # a statement that is sent again was signed by an earlier command
    said = parse_request(held.statement["text"])
    minter = said.minter
    try:
        answer = _handed_in(client, held, minter)
        # (4) The broker is believed in nothing: what is told is what its answer proves to us.
        grant, trust = proven_grant(client, held, answer, _now())
    except (UnavailableError, UnprovenError) as error:
        if isinstance(error, UnavailableError):
            _hint(error, held)
        if error.name != ErrorName.UNREACHABLE:
            leave_copy(client, held.statement)  # whoever had it may have dropped it
        raise
    if minter and not said.drill:
        check_minted(client, held, answer.get("minted") or {}, _now())
    # (5) Told first and kept second: somebody who needs it now can do without the file.
    try:
        tell_grant(grant, trust, {**answer, **(beside or {})}, as_json)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UnavailableError(
            f"standard output cannot be written: {error.strerror or error}; grant {held.grant!r}"
            " stands",
            hint=f"see: breakglass status {held.grant}",
        ) from error
    finally:
        _keep(held, answer)


def _handed_in(client: Client, held: Held, minter: str) -> dict[str, Any]:
    """Hand in; where the target has only begun, ask again until it is done, for ten minutes.

    The grant stands meanwhile, and Ctrl-C costs nothing: the same statement asks again later.
    """
    deadline, told = Deadline(_PENDING_AT_MOST), False
    for _ in deadline.tries(_PENDING_EVERY_S):
        shown = held.present(client.log, f"minter:{minter}", held.grant) if minter else None
        body = {"statement": held.statement, "presentation": shown}
        try:
            answer: dict[str, Any] = client.broker("POST", "/break", body)
        except UnavailableError as error:
            if error.name != ErrorName.PENDING or deadline.over:
                raise
            if not told:
                output.talk(error.message)
                output.talk(f"asked again until it is done; or stop, and later: {held.again}")
            told = True
        else:
            return answer
    raise AssertionError("the last try answers or raises")


def _hint(error: UnavailableError, held: Held) -> None:
    again = f"retry: {held.again}"
    if again in error.hint:
        return  # the broker's own word, which knows of a way round too
    if error.name in (ErrorName.UNANSWERED, ErrorName.NONSENSE):
        error.hint = f"result unknown; {again}"
    elif error.name == ErrorName.UNREACHABLE or not error.hint:
        error.hint = again


def _keep(held: Held, answer: dict[str, Any]) -> None:
    try:
        held.keep_answer(answer)
    except MisconfiguredError as error:
        # The broker gives token and credential again for as long as the grant lives.
        output.talk(f"{error}; the grant stands: breakglass status {held.grant}")


def _now() -> datetime:
    from breakglass.cli.sign_statement import now

    return now()
