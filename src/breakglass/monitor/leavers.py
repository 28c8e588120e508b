"""Who left, and still holds a live grant: told when a policy, and when its cards, take force.

A credential that was minted lives until its end: its minter reads no policy, and ends what a person
said must end. So people are told, with the word to type; who must stop at once is stopped by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from breakglass.monitor.alerts.alert import Alert
from breakglass.records import all_kinds as kinds
from breakglass.records.fold.slices.grants import GrantState
from breakglass.records.fold.state import State
from breakglass.records.people_list import May

_SHOWN = 20


def leavers(
    body: kinds.Policy | kinds.Cards, index: int, at: datetime, ident: str, state: State
) -> Alert | None:
    """Return the news that people who left hold live grants; ``None`` if nobody does.

    Args:
        body: what took force: a policy, which says who is nobody any more; or cards, which say
            who may not break their glass any more.
        index: its entry.
        at: its time.
        ident: its record's id.
        state: the fold with the record in it.
    """
    found = list(_gone(state) if isinstance(body, kinds.Policy) else _off_card(state, body))
    live = [each for each in found if each.live(at)]
    if not live:
        return None
    told = "; ".join(
        f"{each.who}: {each.glass!r} until {each.not_after:%H:%M} UTC, stop it: breakglass kill"
        f" {each.grant}"
        for each in live[:_SHOWN]
    )
    more = f"; and {len(live) - _SHOWN} more: breakglass status" if len(live) > _SHOWN else ""
    text = (
        f"LEFT WITH A LIVE GRANT, by the policy that is in force now: {told}{more}. A grant goes on"
        " to its end unless somebody stops it. Requests of before ended with the old policy."
    )
    fields = {"who": live[0].who, "kill": f"breakglass kill {live[0].grant}"}
    return Alert("left_with_grant", ident, index, "policy", at, text, fields)


def _gone(state: State) -> Iterator[GrantState]:
    people = state.governance.people.by_name
    machines = {name for each in state.governance.cards.values() for name in each.card.machines}
    for grant in state.grants.by_id.running.values():
        if grant.who not in people and grant.who not in machines and grant.holder:
            yield grant


def _off_card(state: State, body: kinds.Cards) -> Iterator[GrantState]:
    """Yield the grants of people who are there, and on whose glass's card they are not."""
    people = state.governance.people.by_name
    for grant in state.grants.by_id.running.values():
        active = state.governance.cards.get(grant.glass)
        line = active.people.by_name.get(grant.who) if active is not None else None
        may = line is not None and May.BREAK in line.may
        if grant.who in people and not may and grant.holder:
            yield grant
