"""Asks as people are shown them: what is asked for, who said what, who was called, the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from breakglass.broker.grants import authorization
from breakglass.broker.grants.ask_history import AskHistory, AskStory
from breakglass.broker.grants.request import BreakRequest
from breakglass.broker.policies import Policies
from breakglass.clock import Clock
from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError
from breakglass.node.readers import AskReader, reads_ask
from breakglass.node.replica import Replica
from breakglass.policy.approvers import could_sign
from breakglass.policy.people import GROUP
from breakglass.records.fold.forgetting import ended_ask, refusal
from breakglass.records.fold.slices.grants import AnswerState
from breakglass.records.fold.state import State
from breakglass.records.kinds.answered import Reply
from breakglass.records.signing.signature import Signed, SignedByPasskey
from breakglass.records.statement import Answer, parse_as
from breakglass.strict_json import view
from breakglass.token.token import person_line

_MINE_SHOWN = 50
_REMEMBERED = timedelta(hours=24)  # a refusal is shown to whoever is asked the same again
_ENDED_BY = {
    ErrorName.REFUSED_BY_APPROVER: "refused",
    ErrorName.WITHDRAWN: "withdrawn",
    ErrorName.OVERTAKEN: "overtaken",
    ErrorName.SUSPENDED: "ended",  # a person stopped the asker, the glass or everything
}


@dataclass(frozen=True)
class ApprovalView:
    """What one approver said, when, and which entry of the log holds it."""

    who: str
    reply: str
    at: datetime
    index: int
    why: str


@dataclass(frozen=True)
class PageView:
    """One call for approvers: to whom, by which channel, and what became of it."""

    to: tuple[str, ...]
    channel: str
    at: datetime
    delivery: str


@dataclass(frozen=True)
class AskView:
    """One ask.

    Attributes:
        version: rises with each change, the same at every broker; ``after`` of a request that
            waits.
        state: ``waiting``, ``granted``, ``refused``, ``withdrawn``, ``overtaken``, ``expired`` or
            ``ended`` (its grant is over).
        at: when it was recorded; ``until``: after this no intent can follow.
        index: which entry of the log holds it.
        need: how many approvers it takes.
        silent: whether it is recorded that nobody answered.
        approvers: who may answer it now; nobody, once it waits no more.
        groups: the groups of the policy that these stand for.
        people: the card's lines of its asker and of who answered, as a token carries them: with
            them an approver checks for themselves whose signature it is.
        self_declared: whether no source outside vouches for its incident.
        refused_before: who refused the same person the same glass in the last 24 h.
        statement: what the asker signed, for whoever checks it.
        granted_index: the entry of its intent.
    """

    grant: str
    version: int
    state: str
    do: str
    who: str
    glass: str
    incident: str
    ticket: str
    minter: str
    scope: Mapping[str, tuple[str, ...]]
    act: str
    drill: bool
    starts: str
    code: str
    why: str
    for_s: int
    at: datetime
    until: datetime
    index: int
    need: int
    silent: bool
    approvers: tuple[str, ...]
    groups: tuple[str, ...]
    answers: tuple[ApprovalView, ...]
    pages: tuple[PageView, ...]
    people: tuple[str, ...]
    self_declared: bool
    refused_before: tuple[ApprovalView, ...]
    statement: Signed | SignedByPasskey
    granted_index: int | None


@dataclass(frozen=True)
class RequestsView:
    """``mine``: what the reader asked for, the newest first; ``waiting``: what they may answer."""

    mine: tuple[AskView, ...]
    waiting: tuple[AskView, ...]


@dataclass(frozen=True)
class AnswerView:
    """The answer of ``POST /answers``: which entry holds it, and how the ask stands behind it."""

    grant: str
    index: int
    ask: AskView


@dataclass(frozen=True)
class AskViews:
    """Shows asks; safe under threads."""

    replica: Replica
    history: AskHistory
    policies: Policies
    clock: Clock

    def show(self, grant: str) -> AskView:
        """Show one ask as it stands.

        Raises:
            RefusedError: ``no_grant``.
        """
        with self.replica.reading() as state:
            return self._view(grant, self._story(grant), state, self.history.all())

    def may_read(self, reader: AskReader, grant: str) -> bool:
        """Say whether an ask may be shown to this reader.

        Raises:
            RefusedError: ``no_grant``.
        """
        with self.replica.reading() as state:
            return reads_ask(state, reader, grant, self._story(grant).ask)

    def until_time_tells(self, shown: AskView) -> float:
        """Return in how many seconds time alone changes an ask; none known: a minute."""
        if shown.state != "waiting":
            return 60.0
        return max(0.0, (shown.until - self.clock.now()).total_seconds())

    def of_person(self, who: str) -> RequestsView:
        """Show what somebody asked for, and what waits for their answer."""
        mine: list[AskView] = []
        waiting: list[AskView] = []
        with self.replica.reading() as state:
            stories = self.history.all()
            for grant, story in reversed(stories.items()):
                if story.ask.who == who:
                    if len(mine) < _MINE_SHOWN:
                        mine.append(self._view(grant, story, state, stories))
                    continue
                if any(each.who == who for each in story.ask.answers):
                    continue
                if state_of(grant, story, state, self.clock.now())[0] != "waiting":
                    continue
                if who in self._approvers(grant, story, state):
                    waiting.append(self._view(grant, story, state, stories))
        return RequestsView(tuple(mine), tuple(waiting))

    def _story(self, grant: str) -> AskStory:
        story = self.history.find(grant)
        if story is None:
            raise no_request(grant)
        return story

    def _view(
        self, grant: str, story: AskStory, state: State, stories: Mapping[str, AskStory]
    ) -> AskView:
        ask, said = story.ask, story.ask.said
        word, by_time = state_of(grant, story, state, self.clock.now())
        approvers = self._approvers(grant, story, state) if word == "waiting" else ()
        return view(
            AskView,
            ask,
            said,
            grant=grant,
            # Twice the entry: what time alone changes lies between two entries.
            version=2 * story.changed + by_time,
            state=word,
            do=said.do.value,
            code=said.reason.code,
            why=said.reason.text,
            at=ask.at,
            need=story.need,
            approvers=approvers,
            groups=self._groups(said.glass, state) if approvers else (),
            answers=tuple(map(_answer, ask.answers)),
            pages=tuple(view(PageView, each, delivery=each.delivery.value) for each in story.pages),
            people=_people(story, state),
            self_declared=_self_declared(story, state),
            refused_before=_refused_before(grant, story, stories),
            granted_index=story.granted,
        )

    def _groups(self, glass: str, state: State) -> tuple[str, ...]:
        found = self.policies.in_force(state).bundle.glasses[glass]
        refs = [each for each in found.second_signers if each.startswith(GROUP)]
        return tuple(each.removeprefix(GROUP) for each in refs)

    def _approvers(self, grant: str, story: AskStory, state: State) -> tuple[str, ...]:
        """Return who may answer by the policy in force, its rosters and what is suspended."""
        said, now = story.ask.said, self.clock.now()
        policy = self.policies.in_force(state)
        glass = policy.bundle.glasses.get(said.glass)
        moment = authorization.moment_of(said, grant, state, now)
        if glass is None or moment.card is None:
            return ()
        request = BreakRequest(story.ask.statement, said, grant, None)
        facts = authorization.facts(request, authorization.UNSEEN, moment, policy.bundle, now)
        return could_sign(policy.bundle, glass, facts)


def _refused_before(
    grant: str, story: AskStory, stories: Mapping[str, AskStory]
) -> tuple[ApprovalView, ...]:
    ask, since = story.ask, story.ask.at - _REMEMBERED
    return tuple(
        _answer(each)
        for name, other in stories.items()
        if name != grant and (other.ask.who, other.ask.glass) == (ask.who, ask.glass)
        for each in other.ask.answers
        if not each.yes and since <= each.seen <= ask.at
    )


def _people(story: AskStory, state: State) -> tuple[str, ...]:
    active = state.governance.cards.get(story.ask.glass)
    names = {story.ask.who, *(each.who for each in story.ask.answers)}
    return tuple(person_line(each) for each in active.people.carried(names)) if active else ()


def _self_declared(story: AskStory, state: State) -> bool:
    incident = state.incidents.by_id.get(story.ask.said.incident)
    return incident is not None and incident.self_declared


def _answer(answer: AnswerState) -> ApprovalView:
    said = parse_as(Answer, answer.statement.text)
    reply = Reply.YES if answer.yes else Reply.NO
    return ApprovalView(answer.who, reply.value, said.at, answer.index, said.reason.text)


def state_of(grant: str, story: AskStory, state: State, now: datetime) -> tuple[str, bool]:
    """Return one word for how an ask stands, and whether time alone made it so."""
    found = state.grants.by_id.get(grant)
    if found is not None:
        if found.ended is None and found.stopped_at is None:
            return ("granted", False) if now <= found.not_after else ("ended", True)
        return "ended", False
    if story.granted is not None:
        return "ended", False  # a month ago, and longer
    ended = ended_ask(state, grant)
    if ended is not None:
        return _ENDED_BY.get(ended.name, "refused"), False
    if refusal(state, grant) is not None:
        return "refused", False
    return ("waiting", False) if now <= story.ask.until else ("expired", True)


def no_request(grant: str) -> RefusedError:
    """Say that nothing was asked for under this id."""
    return RefusedError(
        f"there is no request {grant[:40]!r}",
        name=ErrorName.NO_GRANT,
        hint="see: breakglass requests",
    )
