"""What a survey tells that people must hear: growth, what a grant left, what is unknown. Pure.

A name stands in none of it: names are on the surveyor's host, for who may read them there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from breakglass.monitor.alerts.alert import Alert
from breakglass.records.fold.state import State
from breakglass.records.kinds.standing import Occasion, Standing, Tally

_NOTHING = Tally(0, 0, 0, 0, 0)


def of_survey(
    surveys: Sequence[Standing], index: int, at: datetime, ident: str, state: State
) -> Iterator[Alert]:
    """Say what the newest survey of a target tells.

    Args:
        surveys: the newest, and the one before it if there is one.
        index, at, ident: of its record.
        state: the fold with it.
    """
    body, before = surveys[0], (surveys[1] if len(surveys) > 1 else None)
    thread = f"standing/{body.target}"
    left = left_by(body, before)
    for grant in body.grant:
        if left:
            found = state.grants.by_id[grant]
            text = (
                f"LEFT BEHIND at {body.target!r}, remove by hand: {counted(left)} appeared while"
                f" {found.glass!r} of {found.who} ran, and stand there after its end."
                f" {_names(body)}"
            )
            fields = {"who": found.who, "glass": found.glass, "incident": found.incident}
            yield Alert("left_standing", grant, index, grant, at, text, fields, path=found.path)
    new = {name: each.new for name, each in body.counts.items() if each.new}
    if new and not left:
        while_ = f" while grant {body.grant[0]} runs" if body.grant else ""
        text = (
            f"STANDING ACCESS GREW at {body.target!r}: {counted(new)} came{while_} that no grant"
            f" explains; {body.total('standing')} stand now. {_names(body)}"
        )
        yield Alert("standing_grew", ident, index, thread, at, text)
    if body.begins_anew and before is not None:
        text = (
            f"The surveyor of {body.target!r} has lost what it knew and begins anew:"
            f" {before.total('standing')} stood before, {body.total('standing')} stand now; what"
            f" came in between was counted by nobody. {_names(body)}"
        )
        yield Alert("standing_anew", ident, index, thread, at, text)
    unknown = sorted(set(body.unknown) - set(before.unknown if before else ()))
    if unknown:
        text = (
            f"The surveyor of {body.target!r} cannot read {', '.join(unknown)}: what stands there"
            f" is unknown, not nothing. Why, on the surveyor's host:"
            f" breakglass standing show {body.target}"
        )
        yield Alert("standing_unknown", ident, index, thread, at, text)


def left_by(body: Standing, before: Standing | None) -> dict[str, int]:
    """Return what the grant of a survey at its end left, by category; empty for other occasions.

    A thing of an earlier grant that went meanwhile hides none of this one's: what is new counts.
    """
    if body.occasion is not Occasion.ENDED:
        return {}
    stood = before.counts if before is not None else {}
    found = {
        name: max(each.left - stood.get(name, _NOTHING).left, min(each.new, each.left))
        for name, each in body.counts.items()
    }
    return {name: count for name, count in found.items() if count > 0}


def counted(counts: dict[str, int]) -> str:
    """Write counts on one line.

    >>> counted({"superuser": 1, "table-write": 2})
    '1 superuser, 2 table-write'
    """
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


def _names(body: Standing) -> str:
    return f"Names, on the surveyor's host: breakglass standing show {body.target}"
