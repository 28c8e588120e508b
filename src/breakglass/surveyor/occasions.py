"""Which grants of the target are still to be looked at: when usable, and when over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from breakglass.node.memory_projection import MemoryProjection
from breakglass.records.fold.context import Entry
from breakglass.records.fold.fold import Judged
from breakglass.records.fold.state import State
from breakglass.records.kinds.dead import Dead
from breakglass.records.kinds.standing import Occasion, Standing
from breakglass.records.kinds.usable import Usable

_WATCHED = "watched"


@dataclass
class Watched:
    """``grants`` gives what is to be done next for each: ``usable``, ``watched``, ``ended``."""

    grants: dict[str, str] = field(default_factory=dict)


class Occasions(MemoryProjection[Watched]):
    """Follows the grants of one target that became usable behind its first survey.

    Before there is one nothing could be compared, and no grant is blamed for what stood before it.
    """

    def __init__(self, target: str) -> None:
        super().__init__("occasions", Watched)
        self._target = target

    def take(self, judged: Judged, entry: Entry, state: State) -> None:
        """Take the next entry."""
        if judged.record is None or not judged.holds:
            return
        with self._lock:
            self._take(judged.record.body, state)

    def due(self) -> tuple[Occasion, str] | None:
        """Return what is to be looked at first: what is over, then what began; ``None``: nothing.

        A grant that is over is looked at once, also where nobody looked when it began.
        """
        with self._lock:
            for what in (Occasion.ENDED, Occasion.USABLE):
                for grant, wanted in self.kept.grants.items():
                    if wanted == what.value:
                        return what, grant
        return None

    def drop(self, grant: str) -> None:
        """Look no more at a grant that was forgotten."""
        with self._lock:
            self.kept.grants.pop(grant, None)

    def _take(self, body: Any, state: State) -> None:
        grants = self.kept.grants
        match body:
            case Usable() if state.grants.by_id[body.grant].minter == self._target:
                if self._target in state.surveys.newest:
                    grants[body.grant] = Occasion.USABLE.value
            case Dead() if body.grant in grants:
                grants[body.grant] = Occasion.ENDED.value
            case Standing() if body.target == self._target:
                for grant in body.grant:
                    if body.occasion is Occasion.ENDED:
                        grants.pop(grant, None)
                    elif grants.get(grant) == Occasion.USABLE.value:
                        grants[grant] = _WATCHED
                # Over for a month: no record may name it any more.
                for grant in [each for each in grants if each not in state.grants.by_id]:
                    del grants[grant]
            case _:
                pass
