"""The grants of a glass out of a copy of the ledger that was checked: what is proven, not told."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from breakglass.cli.verify_copy import audit
from breakglass.policy.factors import MFA_DOWN
from breakglass.policy.used.lived_grant import LivedGrant
from breakglass.records.fold.fold import Judged
from breakglass.records.fold.slices.grant_state import GrantState
from breakglass.records.fold.state import State
from breakglass.records.grant import Path as GrantPath


def lived_grants(
    copy: Path, trust: bytes, glass: str, since: datetime | None
) -> tuple[list[LivedGrant], list[LivedGrant]]:
    """Return the grants of a glass that had a credential, oldest first, and those still open.

    Of an open one ``ends`` is when it ends by itself.

    The glass's stand-in for the day on which MFA is down gives the same, and counts as it.

    Args:
        copy: the folder of the copy.
        trust: a trust file that came on another way than the copy.
        glass: its name.
        since: grants that began before are left out; else none.

    Raises:
        UnprovenError: see ``audit``.
        MalformedError: see ``audit``.
    """
    found: dict[str, GrantState] = {}

    def watch(state: State, judged: Judged) -> None:
        # The fold forgets grants long after their end, so each is looked at while it is there.
        grant = getattr(judged.record.body, "grant", "") if judged.record else ""
        held = state.grants.by_id.get(grant) if judged.holds and grant else None
        if held is not None and held.glass in (glass, glass + MFA_DOWN):
            found[grant] = replace(held, intent=None, note=b"", card=None)

    audit(copy, trust, lambda step, done, of: None, watch)
    lived: list[LivedGrant] = []
    living: list[LivedGrant] = []
    for each in sorted(found.values(), key=lambda one: one.at):
        if each.minted_at is None or each.path is GrantPath.DRILL:
            continue
        begins = max(each.usable_at or each.minted_at, each.not_before)
        ends = each.dead_at or each.ended_at or each.not_after
        if since is not None and begins < since:
            continue
        over = each.ended_at or each.dead_at
        (lived if over else living).append(
            LivedGrant(
                each.grant, each.glass, each.who, each.incident, each.minter, each.platform,
                each.scope, begins, max(begins, ends),
            )
        )  # fmt: skip
    return lived, living
