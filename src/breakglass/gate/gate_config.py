"""A gate's folder: its settings, its trust file, its memory.

```
settings.toml   gate, ledger, trust, check_within_s, …
trust           the trust file; a newer version may be put here at any time
key             the place's own key, to sign what passed (0600)
data/           accepted trust, memory, spool
```

The folder lies outside the repository that the gate guards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from breakglass.errors import MisconfiguredError, UnavailableError
from breakglass.gate.check import COULD_NOT_RUN
from breakglass.gate.counters import Counters
from breakglass.process.alert_channel import RingSettings
from breakglass.process.folder import write_whole
from breakglass.process.settings import read_settings
from breakglass.records.trust import Trust, accept_trust
from breakglass.records.trust_handover import check_carried
from breakglass.tlog.note import Note

TRUST_BYTES_AT_MOST = 64 * 1024


@dataclass(frozen=True)
class GateSettings:
    """Read once at start; an unknown key is an error."""

    gate: str
    log: str
    ledger: str  # an address, or the path of an address file
    trust: Path | None = None  # the file ``trust`` of the folder, unless it says otherwise
    check_within: timedelta = timedelta(seconds=20)
    could_not_evaluate: tuple[int, ...] = tuple(sorted(COULD_NOT_RUN))  # exit codes of the check
    send_within: timedelta = timedelta(seconds=2)  # how long a run may wait to hand its spool over
    spool_notes: int = 10_000  # bypasses that may wait for the ledger; beyond it the gate is shut
    glasses: tuple[str, ...] = ()  # what would open this gate; for hints only
    ring: RingSettings = field(default_factory=RingSettings)
    door_within: timedelta = timedelta(minutes=5)  # the ledger is back, and a door is not in it


@dataclass(frozen=True)
class GateConfig:
    """A gate as found on disk, believed so far as its trust file goes."""

    folder: Path
    settings: GateSettings
    memory: Counters

    @classmethod
    def open(cls, folder: Path, gate: str) -> GateConfig:
        """Open the folder of ``gate``.

        Raises:
            MisconfiguredError: no such folder, unreadable settings, or another gate's folder.
        """
        settings = read_settings(folder, GateSettings)
        if settings.gate != gate:
            raise MisconfiguredError(
                f"{str(folder)!r} is the folder of gate {settings.gate!r}, not of {gate!r}"
            )
        if 0 in settings.could_not_evaluate:
            raise MisconfiguredError(f"{str(folder)!r}: exit code 0 cannot mean 'not evaluated'")
        return cls(folder, settings, Counters(folder / "data" / "memory.sqlite"))

    @property
    def door(self) -> str:
        """Return how tokens name this gate."""
        return f"gate:{self.settings.gate}"

    def trust(self) -> Trust:
        """Return the trust file, which can only go up, one signed version after the other.

        Raises:
            UnavailableError: it cannot be read; the gate stays shut to tokens.
            MalformedError, UnprovenError, RefusedError: see ``accept_trust`` and
                ``check_carried``; the older version is kept on disk, but a file that does not
                follow from it, or could not be read again, shuts the gate to tokens.
        """
        accepted_path = self.folder / "data" / "trust.accepted"
        before = None
        data = _read(self.settings.trust or self.folder / "trust")
        if accepted_path.exists():
            before = accept_trust(Note.parse(_read(accepted_path)), None)
        trust = accept_trust(Note.parse(data), before)
        if before is None or trust.text != before.text:
            check_carried(Note.parse(data), trust)
            # A crash before this reads the same file again and accepts it again.
            try:
                accepted_path.parent.mkdir(mode=0o700, exist_ok=True)
                write_whole(accepted_path, data)
            except OSError as error:
                raise UnavailableError(f"trust file cannot be kept: {error}") from error
        return trust


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(TRUST_BYTES_AT_MOST + 1)
    except OSError as error:
        raise UnavailableError(f"trust file {str(path)!r} cannot be read: {error}") from error
