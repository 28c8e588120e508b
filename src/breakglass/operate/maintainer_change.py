"""Maintainers come and go: the next undone step of the plan, until none is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError
from breakglass.operate.maintainer_plan import Planned, Wanted, plan
from breakglass.operate.policy_renewal import Renewal
from breakglass.operate.steps import Step, run
from breakglass.operate.trust_change import TrustChange
from breakglass.policy.bundle_edit import with_need, with_people, with_person
from breakglass.records.trust import Trust

Wish = Callable[[Trust], Wanted]
"""Who shall maintain, from the trust file in force."""


@dataclass(frozen=True)
class Progress:
    """How far it came: the plan as it stands, what was done now, and what it waits for."""

    plan: tuple[Planned, ...]
    done: list[tuple[str, str]]
    waits: RefusedError | None

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return all(each.done for each in self.plan)


@dataclass(frozen=True)
class MaintainerChange:
    """One change of maintainers.

    Attributes:
        change: how this organisation's trust file is changed.
        bundle: the folder of the policy.
        log: the ledger's origin.
        now: for cards.
    """

    change: TrustChange
    bundle: Path
    log: str
    now: datetime

    def plan(self, wish: Wish) -> tuple[Planned, ...]:
        """Return the steps from what is in force to ``wish``; see ``plan``."""
        trust = self.change.standing()
        return plan(trust, self.change.cards(), wish(trust))

    def run(self, wish: Wish) -> Progress:
        """Take every step that the keys at hand can sign; the same call goes on later.

        Raises:
            BreakglassError: see ``TrustChange.enact`` and ``Renewal.run``; what is in force works.
        """
        done: list[tuple[str, str]] = []
        while True:
            wanted, planned = wish(self.change.standing()), self.plan(wish)
            step = next((each for each in planned if not each.done), None)
            if step is None:
                return Progress(planned, done, None)
            try:
                done += run([self._step(step, wanted)])
            except RefusedError as error:
                if error.name != ErrorName.TOO_FEW_MAINTAINERS:
                    raise
                return Progress(planned, done, error)

    def _step(self, step: Planned, wanted: Wanted) -> Step:
        return Step(
            step.name, lambda: self._enact(step) if step.text else self._policy(step, wanted)
        )

    def _enact(self, step: Planned) -> str:
        done = self.change.enact(step.text)
        return f"trust file {done.version}, entry {done.index}"

    def _policy(self, step: Planned, wanted: Wanted) -> str:
        def edit(text: str) -> str:
            for name, keys in wanted.people.items():
                text = with_person(text, name, keys)
            text = with_people(text, "maintainers.of", list(wanted.people))
            return with_need(text, wanted.needed)

        why = f"{', '.join(wanted.people)} maintain"
        renewal = Renewal(
            self.change, self.bundle, self.log, self.now, why, edit, carried_by=step.carried_by
        )
        return "; ".join(said for _, said in renewal.run())
