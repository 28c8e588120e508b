"""Waiting for people: each page and each answer as it comes, and what can be done when none does.

What is told is the broker's word. It opens nothing: a grant is proven when it is taken, and the
offer to break the glass after a silence goes by this machine's clock, monitor or none.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any

import click

from breakglass.cli import output
from breakglass.cli.ask_view import AskState, AskView, Paged, view_of
from breakglass.cli.ask_watch import AskWatch
from breakglass.cli.client import Client
from breakglass.clock import parse_time
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, RefusedError, UnavailableError, UnprovenError
from breakglass.shown_text import shown

if TYPE_CHECKING:
    from breakglass.cli.held_grants import Held

SAID_NO = 7  # exit code: an approver said no
NO_ANSWER = 8  # exit code: nobody has answered, or not enough of them in time
# The broker writes the silence into the ledger behind its own clock; the milder story is worth it.
_GRACE = timedelta(seconds=5)
_TICK_S = 0.2


class Next(Enum):
    """What follows: the grant is taken, begins later, the glass is broken, or nothing."""

    TAKE = "take"
    BEGINS = "begins"
    BREAK = "break"
    NOTHING = "nothing"


def wait_for_people(
    client: Client, held: Held, as_json: bool, *, wait: bool
) -> tuple[dict[str, Any], Next]:
    """Ask the people who may approve a kept statement, and wait for them.

    The same statement again is the same ask, at any broker. Ctrl-C ends the command only.

    Args:
        client: who signed it.
        held: the statement and its holder key.
        as_json: say nothing until the end, ask nothing, and print the last state as one object.
        wait: for answers.

    Returns:
        The ask as the broker showed it last, and what follows.

    Raises:
        BreakglassError: what the broker says; or the ask was taken back or overtaken.
        click.exceptions.Exit: 7, an approver said no; 8, nobody answered; 130, Ctrl-C.
    """
    from breakglass.cli.statement_copy import leave_copy

    view = _asked(client, held)
    waiting = _Waiting(client, held, as_json, view)
    waiting.tell(view)
    leave_copy(client, held.statement)
    if not _has_ended(view) and not wait:
        waiting.leave(view)
        return dict(view.value), Next.NOTHING
    try:
        if not _has_ended(view):
            waiting.talk("waiting; Ctrl-C ends this command, not the ask")
        return waiting.follow(view)
    except KeyboardInterrupt:
        click.echo("", err=True)
        output.talk("this command has ended; the ask goes on")
        output.talk(f"take it up again: {held.again}")
        output.talk(f"take it back: breakglass withdraw {held.grant}")
        raise click.exceptions.Exit(130) from None


def _asked(client: Client, held: Held) -> AskView:
    from breakglass.cli.statement_copy import leave_copy
    from breakglass.records.statement import parse_request

    client.announce()  # a statement that is sent again was signed by an earlier command
    minter = parse_request(held.statement["text"]).minter
    shown_to = held.present(client.log, f"minter:{minter}", held.grant) if minter else None
    body = {"statement": held.statement, "presentation": shown_to}
    try:
        answer = client.broker("POST", "/asks", body)
        return view_of(answer, held.grant, held.statement["text"])
    except UnprovenError:
        leave_copy(client, held.statement)
        raise
    except UnavailableError as error:
        if error.name != ErrorName.UNREACHABLE:
            leave_copy(client, held.statement)  # whoever had it may have dropped it
        if held.again not in error.hint:
            unknown = error.name in (ErrorName.UNANSWERED, ErrorName.NONSENSE)
            error.hint = f"{'result unknown; ' if unknown else ''}retry: {held.again}"
        raise
    except RefusedError as error:
        if error.name == ErrorName.ASKED_ALREADY:
            error.hint = _of_before(client, held)
        raise


def _of_before(client: Client, held: Held) -> str:
    """Say how to go on with the ask of the same glass that waits already."""
    from breakglass.cli import held_grants
    from breakglass.records.statement import Ask, parse_request

    glass = parse_request(held.statement["text"]).glass
    for each in held_grants.all_held(client.state):
        try:
            said = parse_request(each.statement["text"])
        except BreakglassError:
            continue  # what a crash left half written names no ask
        same = isinstance(said, Ask) and said.glass == glass and each.grant != held.grant
        if same and _now() < said.at + each.waited:
            return f"wait on for it: {each.again}; take it back: breakglass withdraw {each.grant}"
    return "see: breakglass requests"


class _Waiting:
    """One command's wait: tells each thing once, and offers the glass once."""

    def __init__(self, client: Client, held: Held, as_json: bool, first: AskView) -> None:
        from breakglass.records.statement import Do, parse_request

        said, asked = parse_request(held.statement["text"]), held.asked
        self._client, self._held, self._as_json = client, held, as_json
        self._silence = timedelta(seconds=asked["silence_s"])
        # A glass that takes people anyway is not one to break alone.
        self._alone = said.do is Do.ASK and not asked["need"] and not said.drill
        self._silent_at = said.at + self._silence
        self._begins = parse_time(said.starts) if said.starts else None
        self._told: set[object] = set()
        self._offered = False

    def talk(self, text: str) -> None:
        """Say something, unless a machine reads."""
        if not self._as_json:
            output.talk(text)

    def tell(self, view: AskView) -> None:
        """Print what has not been told yet: the ask itself, pages, answers."""
        rows: list[tuple[str, str]] = []
        if "asked" not in self._told:
            self._told.add("asked")
            rows.append(("asked", f"{view.grant}, {_waits_for(view)}"))
        pages = [each for each in view.pages if each not in self._told]
        rows += [("" if number else "paged", _page(each)) for number, each in enumerate(pages)]
        answers = [each for each in view.answers if each not in self._told]
        for each in answers:
            when = output.clock_time(each.at, _now())
            why = f': "{shown(each.why)}"' if not each.yes else ""
            rows.append(("approved" if each.yes else "refused", f"by {each.who} {when}{why}"))
        self._told |= {*pages, *answers}
        if rows and not self._as_json:
            output.tell_rows(rows)

    def leave(self, view: AskView) -> None:
        """Say how to go on from an ask that is not waited for."""
        if self._as_json:
            output.tell_json(view.value)
            return
        output.talk(f"not waiting. Take it up: {self._held.again}")
        output.talk(f"take it back: breakglass withdraw {view.grant}")

    def follow(self, view: AskView) -> tuple[dict[str, Any], Next]:
        """Follow the ask until something follows from it; see ``wait_for_people``."""
        if _has_ended(view):
            return self._ended(view)
        watch = AskWatch(self._client, self._held, view.version)
        trouble = False
        try:
            while True:
                if self._is_silent(view) and not self._offered:
                    self._offered = True
                    found = self._offer(view, watch)
                    if found is Next.BREAK:
                        return dict(view.value), found
                if _now() > view.until + _GRACE:
                    return self._over(view)  # the broker need not say so: nothing can follow now
                newer = watch.next(_TICK_S)
                if watch.trouble and not trouble:
                    self.talk("no broker answers now; the ask stands, trying again")
                trouble = watch.trouble
                if newer is not None:
                    view = newer
                    self.tell(view)
                    if _has_ended(view):
                        return self._ended(view)
        finally:
            watch.close()

    def _is_silent(self, view: AskView) -> bool:
        if view.answers:
            return False
        return view.silent or _now() > self._silent_at + _GRACE

    def _offer(self, view: AskView, watch: AskWatch) -> Next:
        """Say that nobody answered, and offer the glass where one person may break it."""
        if self._as_json:
            output.tell_json(view.value)
            raise click.exceptions.Exit(NO_ANSWER)
        nobody = f"nobody answered within {output.duration(self._silence.total_seconds())}"
        output.tell_rows([("…", nobody)])
        label, paged = _label(view)
        if paged:
            output.talk(paged)
        if not self._alone:
            left = output.time_left(view.until, _now())
            output.talk(f"this one takes {_people(view.need)}; nobody can do it alone: {left}")
        if not output.somebody_is_there():
            if self._alone:
                output.talk(f"break it alone: breakglass break --after {view.grant}")
            output.talk(f"wait on: {self._held.again}")
            raise click.exceptions.Exit(NO_ANSWER)
        if not self._alone:
            return Next.NOTHING
        answer = _answer(
            f"break the glass now? You alone, recorded as {label}, everybody is alerted", watch
        )
        if answer == "no":
            later = f"breakglass break --after {view.grant}"
            output.talk(f"waiting on; to break it alone later: {later}")
        return Next.BREAK if answer == "yes" else Next.NOTHING

    def _ended(self, view: AskView) -> tuple[dict[str, Any], Next]:
        if view.stopped:
            raise RefusedError(
                f"ask {view.grant!r} was stopped before it was granted: you, the glass or"
                " everything is suspended; nothing was granted by it",
                name=ErrorName.SUSPENDED,
                hint="see: breakglass status",
            )
        if view.state is AskState.GRANTED and self._begins is not None and _now() < self._begins:
            return dict(view.value), Next.BEGINS
        if view.state in (AskState.GRANTED, AskState.ENDED):
            return dict(view.value), Next.TAKE  # one that is over the broker speaks of itself
        if view.state is AskState.REFUSED:
            self._said(view)
            if self._alone:
                self.talk("you may still break it alone; it is recorded as refused:")
                self.talk(f"breakglass break --after {view.grant}")
            raise click.exceptions.Exit(SAID_NO)
        if view.state is AskState.EXPIRED:
            return self._over(view)
        overtaken = view.state is AskState.OVERTAKEN
        how = "was overtaken: you broke the glass instead" if overtaken else "was taken back"
        raise RefusedError(
            f"ask {view.grant!r} {how}; nothing was granted by it",
            name=ErrorName.OVERTAKEN if overtaken else ErrorName.WITHDRAWN,
            hint="see: breakglass status",
        )

    def _over(self, view: AskView) -> tuple[dict[str, Any], Next]:
        self._said(view)
        at = output.clock_time(view.until, _now())
        self.talk(f"the time of this ask is over since {at}: {_got(view)}; nothing was granted")
        self.talk(f"ask again: breakglass ask {view.glass}")
        raise click.exceptions.Exit(NO_ANSWER)

    def _said(self, view: AskView) -> None:
        if self._as_json:
            output.tell_json(view.value)


def _answer(question: str, watch: AskWatch) -> str:
    """Ask at the terminal; returns ``yes``, ``no``, or nothing when news of the ask came first.

    What was typed before the question stands is thrown away: it was no answer to it.
    """
    import select
    import termios

    termios.tcflush(sys.stdin, termios.TCIFLUSH)
    click.echo(f"breakglass: {question} [y/N] ", err=True, nl=False)
    while True:
        ready, _, _ = select.select([sys.stdin], [], [], _TICK_S)
        if ready:
            return "yes" if sys.stdin.readline().strip().lower() in ("y", "yes") else "no"
        if watch.waiting:
            click.echo("", err=True)
            return ""


def _has_ended(view: AskView) -> bool:
    """Say whether an ask has ended; that its time is over is believed of our own clock alone."""
    if view.state is AskState.EXPIRED:
        return _now() > view.until
    return view.state is not AskState.WAITING


def _waits_for(view: AskView) -> str:
    if view.stopped:
        return "stopped"
    if view.state is not AskState.WAITING:
        return view.state.value
    names = ", ".join(map(shown, view.approvers))
    if not names:
        return f"needs {_people(view.need)}; none is present now"
    groups = f" ({', '.join(map(shown, view.groups))})" if view.groups else ""
    return f"waits for {view.need} of: {names}{groups}"


def _page(page: Paged) -> str:
    when = output.clock_time(page.at, _now())
    how = "delivered" if page.delivered else "not delivered"
    return f"{', '.join(map(shown, page.to))} by {shown(page.channel)} {when} ({how})"


def _label(view: AskView) -> tuple[str, str]:
    """Return as what a break would be recorded now, and what to know of the pages."""
    if view.silent:
        return '"approvers silent"', ""
    if view.reached:
        unrecorded = "you waited, and the broker has not recorded it yet; wait on, and it becomes"
        return '"did not wait"', f'{unrecorded} "approvers silent"'
    return '"not paged"', "no page was delivered to anybody: nobody may know that you asked"


def _got(view: AskView) -> str:
    return f"{len(view.yes)} of {view.need} approved" if view.answers else "nobody answered"


def _people(need: int) -> str:
    return "1 approver" if need == 1 else f"{need} approvers"


def _now() -> datetime:
    from breakglass.cli.sign_statement import now

    return now()
