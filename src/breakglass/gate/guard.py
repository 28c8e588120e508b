"""The gate's one story: check first, glass only when shut, and never open by accident."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from breakglass.clock import Clock, SystemClock
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, RefusedError, UnavailableError
from breakglass.gate.check import Check, Checked, run_callable
from breakglass.gate.gate_config import GateConfig
from breakglass.gate.record_spool import spool_bypass, spool_passages
from breakglass.records.kinds.bypassed import GateState
from breakglass.token.answer import Answer, Opens
from breakglass.token.token import Token, parse_token
from breakglass.token.verify import VerifiedToken, Verifier, verify_token

_SHUT = {
    Checked.FAILED: Opens.SHUT_FAILED,
    Checked.COULD_NOT_EVALUATE: Opens.SHUT_COULD_NOT_EVALUATE,
}


def answer_check(place: GateConfig, check: Check, clock: Clock, given: str = "") -> Answer:
    """Answer from the check alone, and count the passage.

    Args:
        place: the gate.
        check: what the check said.
        clock: the gate's.
        given: digest of what was checked, to notice flaky checks; may be empty.

    Raises:
        UnavailableError: a passage that cannot be counted; the gate stays shut.
    """
    place.memory.count(check.outcome.value, check.took, given, clock.now())
    gate = place.settings.gate
    if check.outcome is Checked.PASSED:
        return Answer(gate, Opens.OPEN, check.detail)
    return Answer(gate, _SHUT[check.outcome], check.detail, _way_out(place))


def answer_with_token(
    place: GateConfig, shut: Answer, data: bytes, run: str, clock: Clock
) -> Answer:
    """Let glass open a shut gate for one run, if the token holds.

    Args:
        place: the gate.
        shut: what the check made of it; an open gate is returned as it is, the token unused.
        data: the token.
        run: which run asks.
        clock: the gate's.

    Raises:
        BreakglassError: by the name of the first rule that the token breaks; the gate stays shut.
    """
    if shut.open:
        return shut
    # (1) The token, in the specification's order. Nothing was written; nothing has happened.
    token, shown = show(place, data, run, clock.now())
    assert token.presentation is not None
    # (1a) Our own key, and that the trust file names it: what could not be stated does not open.
    place.require_key(place.trust())
    if token.proof is None:
        # Imported here: HTTP would double a gate's cold start.
        from breakglass.gate.door import take_door

        # (1b) By the custodians' door: tried, remembered, rung and written down, or refused.
        take_door(place, token, shown, clock)
    # (2) Remember the newest time and this use. A crash from here counts a use that opened nothing.
    place.memory.used(shown.intent.grant, run, max(shown.cosigned.values(), default=None))
    # (3) The record, fsynced, before the gate opens: a crash leaves a bypass on record that was
    #     not used, never a bypass that is on no record.
    state = GateState.FAILED if shut.opens is Opens.SHUT_FAILED else GateState.COULD_NOT_EVALUATE
    spool_bypass(place, shown, token.presentation, state, shut.reason, clock)
    # (4) Count it. The bypass itself is safe; a crash here loses one in the tally.
    place.memory.count("bypassed", timedelta(0), "", clock.now())
    # (5) Open.
    return Answer(place.settings.gate, Opens.OPEN_BY_GLASS, shut.reason, shown=shown)


def show(place: GateConfig, data: bytes, run: str, now: datetime) -> tuple[Token, VerifiedToken]:
    """Verify a token for this gate and run; writes nothing.

    Raises:
        BreakglassError: by the name of the first rule that the token breaks.
    """
    token = parse_token(data)
    verifier = Verifier(place.trust(), place.door, place.memory.newest_seen())
    return token, verify_token(token, verifier, run, now)


def tell(place: GateConfig, clock: Clock) -> BreakglassError | None:
    """Hand over what happened, within the place's bound; what is left waits for the next run.

    Called after the answer is known. Trouble here changes no answer; returns it for whom it helps.
    """
    # Imported here, behind the answer: HTTP would double a gate's cold start.
    from breakglass.gate.clock_check import set_right
    from breakglass.gate.spool_flush import send

    try:
        # (a) Before a tally gets its time. A crash behind it leaves the counts where they are.
        set_right(place, clock, place.settings.send_within)
        spool_passages(place, clock)
        send(place, clock, place.settings.send_within)
    except BreakglassError as error:
        # The spool keeps it; `breakglass-gate flush` and `breakglass doctor` say so.
        return error
    return None


@contextmanager
def guard(
    gate: str,
    check: Callable[[], bool],
    *,
    folder: Path,
    run: str = "",
    token: bytes | None = None,
    clock: Clock | None = None,
) -> Iterator[Answer]:
    """Run the body only if the gate is open: its check passes, or glass opens it.

    It is as isolated as the process that it runs in, and no more: whoever puts a module, a variable
    or a file into that process opens the gate. ``breakglass-gate`` begins in a process of its own.

    Args:
        gate: the gate's name.
        check: ``True`` opens; ``False``, an exception or no answer in time do not.
        folder: the gate's folder.
        run: which run asks; a token is bound to one.
        token: consulted only when the gate is shut.
        clock: the machine's, unless a test says otherwise.

    Raises:
        RefusedError: shut, the check failed (``shut``); or the token is refused, by name, one for
            an empty run before anything is checked.
        UnavailableError: shut, the check could not be evaluated (``shut``).
        BreakglassError: the token or the folder is not in order.

    >>> from pathlib import Path
    >>> with guard("deploy", lambda: True, folder=Path("/nowhere")):  # doctest: +SKIP
    ...     deploy()
    """
    if token is not None:
        require_run(run)
    now = clock or SystemClock()
    place = GateConfig.open(folder, gate)
    found = run_callable(check, place.settings.check_within)
    answer = answer_check(place, found, now)
    try:
        if not answer.open and token is not None:
            answer = answer_with_token(place, answer, token, run, now)
        if not answer.open:
            kind = RefusedError if answer.opens is Opens.SHUT_FAILED else UnavailableError
            raise kind(
                f"gate {gate!r} is {answer.opens.value}: {answer.reason}",
                name=ErrorName.SHUT,
                hint=answer.hint,
            )
        yield answer
    finally:
        # However it ends, also by a token that is refused: what was blocked is heard of.
        tell(place, now)


def require_run(run: str) -> None:
    """Refuse an empty run: it is what a variable holds that a job forgot to set.

    Raises:
        RefusedError: ``wrong_run``.
    """
    if not run:
        raise RefusedError(
            "the run is empty, and a token opens one run by its name; the gate stays shut",
            name=ErrorName.WRONG_RUN,
            hint="is the variable set that names this run",
        )


def _way_out(place: GateConfig) -> str:
    gate, glasses = place.settings.gate, place.settings.glasses
    glass = glasses[0] if glasses else "GLASS"
    return (
        f"to open it: breakglass break {glass} --incident INCIDENT --why REASON; then"
        f" breakglass gate token GRANT --gate {gate} --for RUN > token; then run this again with"
        " --token token --for RUN"
    )
