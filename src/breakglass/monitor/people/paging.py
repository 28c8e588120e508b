"""Approvers are called: who is present, on which channels, with the exact command to type."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from breakglass.clock import Clock
from breakglass.errors import BreakglassError
from breakglass.monitor.alert_texts import clock_time, incident, scope, span
from breakglass.monitor.alerts.alert import Alert
from breakglass.monitor.alerts.dispatch import Dispatch
from breakglass.monitor.decision_replay import compiled
from breakglass.monitor.history_projection import incident_then
from breakglass.monitor.people.concerned import with_concerned
from breakglass.monitor.people.store import PeopleStore
from breakglass.node.replica import Replica
from breakglass.policy.early_ends import lives_of
from breakglass.policy.parse import Bundle
from breakglass.policy.people import Rosters
from breakglass.policy.rosters import fresh_rosters
from breakglass.records.fold.ask_rules import may_approve
from breakglass.records.fold.forgetting import waiting_ask
from breakglass.records.fold.slices.grants import AskedState
from breakglass.records.fold.state import State
from breakglass.records.kinds.alert import PAGE
from breakglass.records.permit import Permit, make_permit
from breakglass.shown_text import shown
from breakglass.tlog.note import Signer

log = logging.getLogger("breakglass.alarms")
_NAMED_AT_MOST = 64  # as many as a record of the delivery may name


def present_approvers(policy: Bundle, glass: str, rosters: Rosters, now: datetime) -> list[str]:
    """Return who may sign beside another for this glass and is there now, sorted.

    Args:
        policy: the bundle in force.
        glass: by its name; one that the bundle does not know has nobody.
        rosters: those that are fresh enough; see ``Directory.present``.
        now: for the days on which people count.
    """
    found = policy.glasses.get(glass)
    if found is None:
        return []
    directory = policy.directory
    nobody = policy.counting_for_nobody(now)
    present = directory.present(found.second_signers, rosters, nobody=nobody)
    return [name for name in present if directory.people[name].counts_at(now)]


class Paging:
    """Says whom news is for, where it asks something of people; ``look`` belongs to one thread.

    ``addressed`` is called under the view's lock, where no bundle may be compiled: nobody could
    read the view meanwhile. A page under a policy that is not compiled yet waits for ``look``.

    Args:
        view: for the policy in force.
        ringing: who has channels of their own, and who was paged.
        store: whose asks are muted.
        key: the monitor's record key, for permits.
        log_name: the log's origin.
        clock: for who is present and what is muted.
    """

    def __init__(
        self,
        view: Replica,
        ringing: Dispatch,
        store: PeopleStore,
        key: Signer,
        log_name: str,
        clock: Clock,
    ) -> None:
        self._view = view
        self._ringing = ringing
        self._store = store
        self._key = key
        self._log = log_name
        self._clock = clock
        self._policy: tuple[str, Bundle | None] = ("", None)  # by the bundle's digest
        self._waiting: list[Alert] = []  # under the view's lock

    def look(self) -> None:
        """Compile the policy in force, and page whom that kept waiting.

        A crash before this pages at the next start, as the ledger shows nobody as called.
        """
        with self._view.reading() as state:
            digest, bundle = _digest(state), state.governance.bundle
        if digest not in ("", self._policy[0]):
            try:
                found = compiled(bundle).bundle
                lives_of(bundle)  # what an incident's close ends is read off it under the lock
            except BreakglassError as error:
                log.error("nobody can be paged by the policy in force: %s", error)
                found = None
            self._policy = (digest, found)
        with self._view.reading() as state:
            waiting, self._waiting = self._waiting, []
            news = self.addressed(waiting, state)
        self._ringing.ring(news)

    def addressed(self, news: Sequence[Alert], state: State) -> list[Alert]:
        """Return news with pages beside what approvers must hear, and answers for who was paged.

        Never raises: what cannot be addressed rings for everybody, as it came.
        """
        found: list[Alert] = []
        for each in news:
            try:
                found += self._addressed(each, state)
            except Exception:
                log.exception("%s: nobody could be paged: an error inside", each.key)
                found.append(each)
        return found

    def _addressed(self, news: Alert, state: State) -> list[Alert]:
        if news.subject == PAGE and not news.person:
            waiting = waiting_ask(state, news.about)
            if waiting is not None and waiting.until > self._clock.now():
                digest, policy = self._policy
                if digest != _digest(state):
                    self._waiting.append(news)
                    return []
                if policy is not None:
                    return self._pages(news, waiting, state, policy)
        if news.subject == "ask_answered" and news.person:
            paged = self._ringing.told_of(PAGE, news.about)
            return [replace(news, person=who) for who in sorted({news.person, *paged})]
        return list(with_concerned(news))

    def _pages(self, news: Alert, waiting: AskedState, state: State, policy: Bundle) -> list[Alert]:
        now = self._clock.now()
        rosters = fresh_rosters(state, policy, now)
        present = present_approvers(policy, waiting.glass, rosters, now)
        called = [name for name in present if self._may(name, waiting, state)]
        muted = self._store.muted(waiting.who, now)
        awake = [name for name in called if name not in muted]
        own = [name for name in awake if self._ringing.own(name)]
        # Muting is one person's, and must not silence an ask: if all did, nobody has.
        here = [name for name in awake if name not in own] if awake else called
        what = _what(news, waiting, state)
        return [
            self._for_all(news, what, own, here),
            *(self._for_one(news, what, waiting, name) for name in own),
        ]

    def _may(self, name: str, waiting: AskedState, state: State) -> bool:
        stopped = ("person", name) in state.governance.suspended
        return name != waiting.who and not stopped and may_approve(state, waiting.glass, name)

    def _for_all(self, news: Alert, what: str, own: list[str], here: list[str]) -> Alert:
        """Return the page for those who have no channel of their own; no permit: many read it."""
        called = [f"called here: {', '.join(here)}"] if here else []
        called += [f"called on their own channels: {', '.join(own)}"] if own else []
        who = "; ".join(called) or "NOBODY who may approve is present"
        commands = _commands(news.about, "")
        text = f"APPROVAL WANTED: {what} {who}. Approve: {commands[0]}  Refuse: {commands[1]}"
        fields = {**news.fields, "approve": commands[0], "refuse": commands[1]}
        return replace(news, text=_late(news, text), fields=fields, to=tuple(here[:_NAMED_AT_MOST]))

    def _for_one(self, news: Alert, what: str, waiting: AskedState, name: str) -> Alert:
        permit = Permit(self._log, news.about, name, waiting.until)
        # A bearer of one reading: it stands in this page alone, until that was heard.
        approve, refuse = _commands(news.about, make_permit(permit, self._key))
        text = f"APPROVAL WANTED from you, {name}: {what} Refuse: {refuse}  Approve: {approve}"
        fields = {**news.fields, "approve": approve, "refuse": refuse}
        return replace(news, text=_late(news, text), fields=fields, person=name, to=(name,))


def _digest(state: State) -> str:
    return state.governance.policy.bundle if state.governance.policy else ""


def _commands(grant: str, permit: str) -> tuple[str, str]:
    shown_permit = f" --permit {permit}" if permit else ""
    return (
        f"breakglass approve {grant}{shown_permit}",
        f"breakglass refuse {grant}{shown_permit} --why TEXT",
    )


def _what(news: Alert, waiting: AskedState, state: State) -> str:
    """Say who asks for what, where, for how long, why, and until when it can be answered."""
    said = waiting.said
    active = state.governance.cards.get(said.glass)
    does = f" ({active.card.does})" if active else ""
    where = f" on {said.minter!r}: {scope(said.scope)}," if said.minter else ""
    act = f" act {said.act!r}," if said.act else ""
    drill = "DRILL, " if said.drill else ""
    starts = f" from {said.starts}" if said.starts else ""
    then = incident(incident_then(state, said.incident), said.incident)
    length = span(timedelta(seconds=said.for_s))
    need = news.fields.get("need", "1")
    return (
        f"{drill}{said.who} asks for {said.glass!r}{does},{where}{act} {length}{starts},"
        f' for {then}. {said.who} says: "{shown(said.reason.text)}" [{said.reason.code}].'
        f" {need} needed, until {clock_time(waiting.until)}."
    )


def _late(news: Alert, text: str) -> str:
    """Keep what the news says of being late."""
    if not news.text.startswith("(late:"):
        return text
    return f"{news.text.partition(')')[0]}) {text}"
