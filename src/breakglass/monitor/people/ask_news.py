"""What became of an ask, for those who wait for it; and a glass broken after a no. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from breakglass.error_names import ErrorName
from breakglass.monitor.alerts.alert import Alert
from breakglass.records import all_kinds as kinds
from breakglass.records.fold.fold import Judged
from breakglass.records.fold.forgetting import ended_ask, waiting_ask
from breakglass.records.fold.slices.grants import AskedState
from breakglass.records.fold.state import State
from breakglass.records.kinds.answered import Reply
from breakglass.records.people_list import May
from breakglass.records.statement import AccessRequest, Do, grant_of_digest, parse_request

_REFUSED = "refused_by:"


def ask_news(judged: Judged, state: State) -> Iterator[Alert]:
    """Yield what a record that holds tells those who wait for an ask, or said no to it.

    Of an answer, one is for everybody whom the class reaches and one for the asker; whoever was
    paged hears it too, which is for ``Paging`` to find.
    """
    if not judged.holds or judged.record is None:
        return
    body, index, at = judged.record.body, judged.index, judged.record.envelope.at
    match body:
        case kinds.Answered() if body.reply is Reply.NOBODY:
            waiting = waiting_ask(state, body.grant)
            if waiting is not None:
                text = "nobody answered in time. The asker may break the glass, or ask again"
                yield from _ended(body.grant, waiting.said, text, index, at)
        case kinds.Answered() if body.reply is Reply.NO:
            ended = ended_ask(state, body.grant)
            if ended is not None:
                yield from _ended(body.grant, ended.ask.said, f"refused by {ended.by}", index, at)
        case kinds.Withdrawn():
            ended = ended_ask(state, body.grant)
            if ended is not None:
                yield from _ended(
                    body.grant, ended.ask.said, f"taken back by {ended.by}", index, at
                )
        case kinds.Intent():
            yield from _granted(body, index, at, state)
        case _:
            return


def _granted(body: kinds.Intent, index: int, at: datetime, state: State) -> Iterator[Alert]:
    said = parse_request(body.statements[0].text)
    if len(body.statements) > 1 and said.do in (Do.ASK, Do.BREAK):
        # What it grants rings for everybody as a glass that was broken.
        _, own = _ended(body.grant, said, "approved", index, at)
        yield own
    before = _overtaken(said, index, state)
    if before is not None:
        grant = grant_of_digest(before.digest)
        yield from _ended(grant, before.said, "overtaken: the asker broke the glass", index, at)
    yield from _after_no(body, index, at, state)


def _overtaken(said: AccessRequest, index: int, state: State) -> AskedState | None:
    grant = state.grants.last_ask.get((said.who, said.glass), "")
    ended = ended_ask(state, grant)
    if ended is None or ended.index != index or ended.name != ErrorName.OVERTAKEN:
        return None
    return ended.ask


def _ended(grant: str, said: AccessRequest, how: str, index: int, at: datetime) -> Iterator[Alert]:
    text = f"ANSWER to {grant}: {said.who} asked for {said.glass!r}: {how}."
    fields = {"who": said.who, "glass": said.glass, "incident": said.incident}
    news = Alert("ask_answered", grant, index, grant, at, text, fields)
    yield news
    yield replace(news, person=said.who, stated=False)


def _after_no(body: kinds.Intent, index: int, at: datetime, state: State) -> Iterator[Alert]:
    """Tell who said no, and who reviews the glass, that it was broken all the same."""
    grant = state.grants.by_id.get(body.grant)
    active = state.governance.cards.get(body.glass)
    refusers = [
        label.removeprefix(_REFUSED)
        for label in (grant.labels if grant else ())
        if label.startswith(_REFUSED)
    ]
    if not refusers or active is None:
        return
    reviewers = {name for name, each in active.people.by_name.items() if May.REVIEW in each.may}
    text = (
        f"BROKEN AFTER A NO: {refusers[0]} refused it, and {body.who} broke {body.glass!r} within"
        f" the hour, as {body.grant}. Stop it: breakglass kill {body.grant}"
    )
    fields = {"who": body.who, "glass": body.glass, "kill": f"breakglass kill {body.grant}"}
    for person in sorted({*refusers, *reviewers} - {body.who}):
        yield Alert(
            "broke_after_no",
            body.grant,
            index,
            body.grant,
            at,
            text,
            fields,
            path=body.path,
            person=person,
        )
