"""All cosigners together: asked in parallel, until the policy's quorum is met or time is up."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from breakglass.clock import Clock
from breakglass.errors import BreakglassError
from breakglass.ledger.cosigner import AheadError, Cosigner, CosignTarget, Lines
from breakglass.tlog.checkpoint import Checkpoint
from breakglass.tlog.note import Note, SignatureLine
from breakglass.tlog.policy import TlogPolicy

log = logging.getLogger("breakglass.ledger")


class WitnessPool:
    """Gathers cosignatures; each cosigner has a thread, so that none waits for another.

    Args:
        policy: the quorum, as it stands at each gathering.
        cosigners: makes those that a policy names.
        clock: to tell cosignatures of other times, which are not hurried for.
        skew: how far those are.
    """

    def __init__(
        self,
        policy: Callable[[], TlogPolicy],
        cosigners: Callable[[TlogPolicy], Mapping[str, Cosigner]],
        clock: Clock,
        skew: timedelta,
    ) -> None:
        self._policy = policy
        self._make = cosigners
        self._clock = clock
        self._skew = skew
        self._made_for: TlogPolicy | None = None
        self._threads: dict[str, _Thread] = {}
        self._round: _Round | None = None

    def confirm(self, ours: Callable[[Checkpoint], bool], within: timedelta) -> bool:
        """Ask those not asked yet for what they know of our log; say if a quorum knows no more.

        Raises:
            AheadError: one knows more, under our own signature: the journal was rolled back.
        """
        policy = self._current()
        ahead: list[AheadError] = []

        def ask(each: _Thread) -> None:
            name, trouble = each.cosigner.name, ""
            try:
                each.cosigner.confirm(ours, within)
            except AheadError as error:
                ahead.append(error)
            except BreakglassError as error:
                trouble = str(error)
                if not each.trouble:
                    log.warning("%r cannot say what it knows of our log: %s", name, trouble)
            each.trouble = trouble

        everybody = list(self._threads.values())
        asking = [
            threading.Thread(target=ask, args=(each,), daemon=True)
            for each in everybody
            if not each.cosigner.confirmed
        ]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
        if ahead:
            raise ahead[0]
        confirmed = [each.cosigner for each in everybody if each.cosigner.confirmed]
        return policy.quorum_met([name for each in confirmed for name in each.vkeys])

    def gather(self, target: CosignTarget, within: timedelta) -> bytes | None:
        """Return the target's head with a quorum of cosignatures, or ``None`` in time.

        Cosignatures of an earlier try for the same head are kept: an older time is as true.

        Raises:
            AheadError: as ``confirm``.
        """
        policy = self._current()
        if self._round is None or self._round.target.head.size != target.head.size:
            self._round = _Round(target)
        gathering = self._round
        for thread in self._threads.values():
            if not thread.cosigner.vkeys.keys() & gathering.found.keys():
                thread.ask(gathering, within)
        met = gathering.wait(lambda: self._met(policy, gathering), within)
        if gathering.ahead is not None:
            raise gathering.ahead
        if not met and not policy.quorum_met(gathering.found):
            return None
        lines = [
            gathering.found[witness.name][0]
            for witness in policy.witnesses
            if witness.name in gathering.found
        ]
        return Note.parse(target.head.signed).with_lines(*lines).encoded()

    def away(self) -> dict[str, str]:
        """Say who did not cosign when last asked, and why."""
        return {name: each.trouble for name, each in self._threads.items() if each.trouble}

    def lacking(self) -> dict[str, str]:
        """Say, when a quorum was missed, who is missing, and why: also who still hangs.

        Before the first head they were asked what they know of our log; after it, to cosign.
        """
        asked, threads = self._round, self._threads.items()
        there = (
            asked.found if asked else [name for name, each in threads if each.cosigner.confirmed]
        )
        late = {name: "did not answer in time" for name in self._threads if name not in there}
        return {**late, **self.away()}

    def close(self) -> None:
        """Let the threads go; calls under way end by their own bounds."""
        for thread in self._threads.values():
            thread.close()

    def _met(self, policy: TlogPolicy, gathering: _Round) -> bool:
        # A verifier counts cosignatures near the record's own time. One whose clock is off may
        # be in the quorum if need be, but is not what we stop waiting for.
        now = self._clock.now()
        return policy.quorum_met(
            [name for name, (_, at) in gathering.found.items() if abs(at - now) <= self._skew]
        ) or all(
            each.cosigner.vkeys.keys() & gathering.found.keys() for each in self._threads.values()
        )

    def _current(self) -> TlogPolicy:
        policy = self._policy()
        if policy is not self._made_for:
            self.close()
            made = self._make(policy)
            self._threads = {name: _Thread(cosigner) for name, cosigner in made.items()}
            self._made_for, self._round = policy, None
        return policy


class _Round:
    """What came in for one head."""

    def __init__(self, target: CosignTarget) -> None:
        self.target = target
        self.found: dict[str, tuple[SignatureLine, datetime]] = {}
        self.ahead: AheadError | None = None
        self._asked = 0
        self._changed = threading.Condition()

    def asked(self) -> None:
        with self._changed:
            self._asked += 1

    def answered(self, lines: Lines, ahead: AheadError | None) -> None:
        with self._changed:
            self._asked -= 1
            self.found = {**self.found, **lines}
            self.ahead = self.ahead or ahead
            self._changed.notify_all()

    def wait(self, met: Callable[[], bool], within: timedelta) -> bool:
        """Wait until enough came in, or nobody is left to wait for, or time is up."""
        with self._changed:
            self._changed.wait_for(
                lambda: self.ahead or not self._asked or met(), within.total_seconds()
            )
            return met()


class _Thread:
    """One cosigner's thread; asked again while busy it goes on with the newest question."""

    def __init__(self, cosigner: Cosigner) -> None:
        self.cosigner = cosigner
        self.trouble = ""
        self._changed = threading.Condition()
        self._next: tuple[_Round, float] | None = None
        self._closed = False
        threading.Thread(target=self._work, name=f"ask {cosigner.name}", daemon=True).start()

    def ask(self, gathering: _Round, within: timedelta) -> None:
        gathering.asked()
        with self._changed:
            dropped, self._next = self._next, (gathering, time.monotonic() + within.total_seconds())
            self._changed.notify()
        if dropped:
            dropped[0].answered({}, None)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._next or self._closed)
                if self._closed:
                    return
                assert self._next is not None
                (gathering, until), self._next = self._next, None
            self._ask(gathering, until)

    def _ask(self, gathering: _Round, until: float) -> None:
        name, ahead, trouble = self.cosigner.name, None, ""
        lines: Lines = {}
        try:
            # At least a little: asked while busy, the time may be up already.
            left = timedelta(seconds=max(0.05, until - time.monotonic()))
            lines = self.cosigner.bring(gathering.target, left)
        except AheadError as error:
            ahead, trouble = error, str(error)
        except BreakglassError as error:
            trouble = str(error)
        except Exception as error:  # the edge of a thread: no cosignature, said so
            trouble = f"an error inside: {type(error).__name__}"
            log.error("asking %r failed inside", name, exc_info=True)
        if trouble and not self.trouble and ahead is None:  # what is ahead, the sequencer tells
            log.warning("%r does not cosign: %s", name, trouble)
        elif self.trouble and not trouble:
            log.warning("%r cosigns again", name)
        self.trouble = trouble
        gathering.answered(lines, ahead)
