"""The drills of one glass: everything that people do with it, typed as they type it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from breakglass.clock import Deadline, SystemClock, parse_time
from breakglass.demo.terminal import Said, Terminal
from breakglass.minter.platforms.simulated import Simulated
from breakglass.policy.glass import Glass
from breakglass.policy.people import Rosters
from breakglass.records.grant import handle_of
from breakglass.rehearsal.cells import NOTHING, Cell, Works
from breakglass.rehearsal.twin import Twin

INCIDENT, TICKET, RUN = "INC-1", "T-1", "1"
_WHY = ("--why", "rehearsal")
_HEARD_WITHIN = timedelta(seconds=15)
_SETTLED_WITHIN = timedelta(seconds=60)
_OVER_WITHIN = timedelta(seconds=20)  # behind its end
_NOBODY: Rosters = {}


@dataclass
class GlassDrill:
    """One glass in a twin: ``prepare`` while all is there, ``without`` when something is not.

    ``life`` is that of the grant whose end is waited for.
    """

    twin: Twin
    glass: Glass
    life: timedelta = timedelta(seconds=60)
    used: str = ""
    ending: str = ""
    ends: datetime | None = None
    heard: dict[Path, int] = field(default_factory=dict)
    opened: str = ""
    terminal: Terminal = field(init=False)

    def prepare(self) -> str:
        """Break the glass twice and sign a token, with everything there; returns what failed."""
        try:
            self.terminal = self.twin.terminal(self._first(self.glass.who))
        except StopIteration:
            return "nobody may break it who has a key other than a passkey"
        for severity in self.glass.when.incident[:1]:
            name = self._incident(severity)
            title = ("--severity", severity, "--title", "rehearsal")
            said = self.terminal.types("incident", "declare", name, *title, show=False)
            if said.code and "already" not in said.err:
                return _last(said)
        for short in (False, True):
            said = self._break(*(("--for", f"{self.life.total_seconds():g}s") if short else ()))
            if said.code:
                return _last(said)
            if short:
                self.ending, self.ends = said.json()["grant"], parse_time(said.json()["not_after"])
            else:
                self.used = said.json()["grant"]
            failed = self._sign_tokens(said.json()["grant"])
            if failed:
                return failed
        self.heard = {path: path.stat().st_size for path in self._alarms()}
        return ""

    def _sign_tokens(self, grant: str) -> str:
        for gate in self.glass.opens_gates:
            words = ("gate", "token", grant, "--gate", gate, "--for", RUN)
            said = self.terminal.types(*words, "--out", str(self._token(grant, gate)), show=False)
            if said.code:
                return _last(said)
        return ""

    def without(self) -> dict[str, Cell]:
        """Try everything but what needs the lost party to come back; see ``late``."""
        gate = self._gates()
        # While the grant that is to end still lives: what is over already would prove nothing.
        done = self._done()
        kill = self._kill()
        broken = self._break()
        if broken.code == 0:
            self.opened = broken.json()["grant"]
            cell = Cell(Works.YES)
        else:
            cell = self._by_door(_last(broken))
        return {
            "break": cell,
            "mint": self._minted(cell) if self.glass.mints else NOTHING,
            "gate": gate,
            "kill": kill,
            "alert": self._alert(_HEARD_WITHIN),
            "end": done if done.works is Works.YES else self._at_end(done),
        }

    def late(self, cells: dict[str, Cell]) -> dict[str, Cell]:
        """Say what was made up for, now that the lost party is back."""
        found = dict(cells)
        if cells["alert"].works is Works.NO:
            late = self._alert(_SETTLED_WITHIN)
            if late.works is Works.YES:
                found["alert"] = Cell(Works.LATE, f"{late.says}, once it was back")
        if cells["break"].works is Works.DOOR:
            found["break"] = self._recorded(cells["break"])
        return found

    def _break(self, *more: str) -> Said:
        incident = [self._incident(each) for each in self.glass.when.incident[:1]]
        words = ["break", self.glass.name, *_WHY, "--ticket", TICKET, *more]
        for each in incident:
            words += ["--incident", each]
        for mint in self.glass.mints[:1]:
            words += ["--minter", mint.minter]
        return self.terminal.types(*words, "--json", show=False)

    def _by_door(self, refusal: str) -> Cell:
        if not self.twin.custodians:
            return Cell(Works.NO, refusal)
        request = f"{self.glass.name}.door"
        words = ["door", "ask", self.glass.name, *_WHY, "--out", request]
        for each in self.glass.when.incident[:1]:
            words += ["--incident", self._incident(each)]
        for mint in self.glass.mints[:1]:
            words += ["--minter", mint.minter]
        asked = self.terminal.types(*words, "--json", show=False)
        if asked.code:
            return Cell(Works.NO, f"{refusal}; by the custodians' door: {_last(asked)}")
        for folder in self.twin.custodians:
            custodian = self.twin.terminal(str(folder))
            signed = custodian.types("door", "sign", request, "--yes", show=False)
            if signed.code:
                return Cell(Works.NO, f"{refusal}; a custodian: {_last(signed)}")
        token = self.twin.org / f"{self.glass.name}-door"
        gates = self.glass.opens_gates[:1]
        for_gate = [f"--gate={gate}" for gate in gates if not self.glass.mints]
        for_gate += ["--for", RUN, "--out", str(token)] if for_gate else []
        used = self.terminal.types("door", "use", request, *for_gate, show=False)
        if used.code:
            return Cell(Works.NO, f"{refusal}; by the custodians' door: {_last(used)}")
        if for_gate:
            run = self._run(gates[0], token)
            if run.code:
                return Cell(Works.NO, f"{refusal}; by the custodians' door: {_last(run)}")
        self.opened = str(json.loads(_text(self.twin.org / request))["grant"])
        return Cell(Works.DOOR, f"the custodians' door; as always: {refusal}")

    def _recorded(self, cell: Cell) -> Cell:
        def settled() -> bool:
            for gate in self.glass.opens_gates:
                self._gate("flush", gate)
            said = self.terminal.types("door", "list", "--json", show=False)
            doors = said.json()["doors"] if said.code == 0 else []
            return any(each["grant"] == self.opened and each["index"] for each in doors)

        if _until(settled, _SETTLED_WITHIN):
            return Cell(Works.DOOR, f"{cell.says}; recorded once it was back")
        return Cell(Works.NO, f"{cell.says}; and not recorded once it was back")

    def _minted(self, broken: Cell) -> Cell:
        if not broken.works.proven:
            return Cell(Works.NO, "nothing was broken")
        if self._lives(self.opened):
            return Cell(broken.works)
        return Cell(Works.NO, "the target knows no such credential")

    def _gates(self) -> Cell:
        for gate in self.glass.opens_gates:
            said = self._run(gate, self._token(self.used, gate))
            if said.code:
                return Cell(Works.NO, _last(said))
        return Cell(Works.YES, "with a token from before") if self.glass.opens_gates else NOTHING

    def _kill(self) -> Cell:
        try:
            terminal = self.twin.terminal(self._first(self.twin.bundle.kill))
        except StopIteration:
            return Cell(Works.NOT_TRIED, "nobody may kill who has a key other than a passkey")
        said = terminal.types("kill", self.used, *_WHY, show=False)
        if said.code:
            return Cell(Works.NO, _last(said))
        return self._stopped(self.used)

    def _done(self) -> Cell:
        said = self.terminal.types("done", self.ending, show=False)
        stopped = self._stopped(self.ending) if said.code == 0 else Cell(Works.NO, _last(said))
        assert self.ends is not None
        if SystemClock().now() >= self.ends:
            return Cell(Works.NOT_TRIED, "its time was over before this machine could show it")
        return stopped

    def _at_end(self, done: Cell) -> Cell:
        assert self.ends is not None
        left = self.ends - SystemClock().now()
        by_hand = f"done: {done.works}: {done.says}"
        if _until(self._over, max(left, timedelta(0)) + _OVER_WITHIN):
            return Cell(Works.AT_END, f"by itself, when its time was over; {by_hand}")
        return Cell(Works.NO, f"it outlived its end; {by_hand}")

    def _stopped(self, grant: str) -> Cell:
        """Say what a recorded stop does: a target cuts at once, a gate asks nobody."""
        if self.glass.mints:
            if _until(lambda: not self._lives(grant), _OVER_WITHIN):
                return Cell(Works.YES)
            return Cell(Works.NO, "it was recorded, and the credential lives on")
        opens = "; a token signed before opens its gate until its end" if self._lives(grant) else ""
        return Cell(Works.YES, f"recorded{opens}")

    def _over(self) -> bool:
        assert self.ends is not None
        return SystemClock().now() >= self.ends and not self._lives(self.ending)

    def _alert(self, within: timedelta) -> Cell:
        if not self.opened:
            return NOTHING
        heard: list[str] = []

        def rang() -> bool:
            heard[:] = [
                path.relative_to(self.twin.org).parts[-3 if "gates" in path.parts else 0]
                for path in self._alarms()
                if self.opened in _text(path, self.heard.get(path, 0))
            ]
            return bool(heard)

        if _until(rang, within):
            return Cell(Works.YES, f"by {', '.join(sorted(set(heard)))}")
        return Cell(Works.NO, f"nobody within {within.total_seconds():g} s")

    def _alarms(self) -> list[Path]:
        org = self.twin.org
        return [
            *org.glob("monitor/data/*.log"),
            *org.glob("*/data/rings.log"),
            *org.glob("gates/*/data/rings.log"),
        ]

    def _lives(self, grant: str) -> bool:
        """Say whether the target has a grant's credential, or a gate opens to its token."""
        if not self.glass.mints:
            gates = self.glass.opens_gates
            return any(self._run(gate, self._token(grant, gate)).code == 0 for gate in gates)
        for mint in self.glass.mints[:1]:
            file = self.twin.org / f"minter-{mint.minter}" / "data" / "simulated.sqlite"
            target = Simulated(file, mint.minter, SystemClock())
            try:
                return handle_of(grant) in target.handles()
            finally:
                target.close()
        return False

    def _run(self, gate: str, token: Path) -> Said:
        return self._gate("run", gate, "--token", str(token), "--for", RUN, "--", "false")

    def _gate(self, act: str, gate: str, *more: str) -> Said:
        folder = ("--folder", str(self.twin.org / "gates" / gate))
        return self.terminal.gate(act, gate, *folder, *more)

    def _token(self, grant: str, gate: str) -> Path:
        return self.twin.org / f"{grant}-{gate}"

    def _incident(self, severity: str) -> str:
        return f"{INCIDENT}-{severity}"

    def _first(self, refs: tuple[str, ...]) -> str:
        meant = self.twin.bundle.directory.present(refs, _NOBODY)
        now = SystemClock().now()
        people = self.twin.bundle.directory.people
        return next(
            each for each in meant if each in self.twin.people and people[each].counts_at(now)
        )


def _until(holds: Callable[[], bool], within: timedelta) -> bool:
    return any(holds() for _ in Deadline(within).tries(0.2))


def _text(path: Path, start: int = 0) -> str:
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(start)
        return file.read().decode("utf-8", "replace")


def _last(said: Said) -> str:
    """Return the words in which a command said what is wrong: its error, of either form."""
    for line in reversed(said.err.splitlines()):
        if line.startswith("{"):
            return str(json.loads(line)["message"])
        if ": error: " in line:
            return line.partition(": error: ")[2]
        if "token refused" in line:
            return line
    return said.last
