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

from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, RefusedError, UnavailableError
from breakglass.gate.check import COULD_NOT_RUN
from breakglass.gate.counters import Counters
from breakglass.process.alert_channel import RingSettings
from breakglass.process.folder import SETTINGS, write_whole
from breakglass.process.key_store import KEY, keeping_of
from breakglass.process.own_path import check_own
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
            MisconfiguredError: no such folder, unreadable settings, another gate's folder, or one
                that others can write.
        """
        _check_file(folder / SETTINGS)
        settings = read_settings(folder, GateSettings)
        if settings.gate != gate:
            raise MisconfiguredError(
                f"{str(folder)!r} is the folder of gate {settings.gate!r}, not of {gate!r}"
            )
        if 0 in settings.could_not_evaluate:
            raise MisconfiguredError(f"{str(folder)!r}: exit code 0 cannot mean 'not evaluated'")
        _check_file(folder / KEY)
        if (folder / "data").exists():
            _check(folder / "data")
        return cls(folder, settings, Counters(folder / "data" / "memory.sqlite"))

    @property
    def door(self) -> str:
        """Return how tokens name this gate."""
        return f"gate:{self.settings.gate}"

    def require_key(self, trust: Trust) -> None:
        """Check that what this gate states is believed: before it opens, not afterwards.

        Raises:
            MisconfiguredError: there is no key here, or it cannot be used.
            RefusedError: ``unknown_submitter``; the trust file does not name it as this gate's.
        """
        key = keeping_of(self.folder).verifier()
        found = trust.submitter(key.name, key.key_id)
        if found is None or str(found[1]) != self.door or found[0] != key:
            raise RefusedError(
                f"the key of gate {self.settings.gate!r} is not in trust file {trust.version}: its"
                " bypass would be on no record; the gate stays shut",
                name=ErrorName.UNKNOWN_SUBMITTER,
                hint=f"maintainers put this line into its next version: submitter {self.door}"
                f" {key}",
            )

    def trust(self) -> Trust:
        """Return the trust file, which can only go up, one signed version after the other.

        Raises:
            UnavailableError: it cannot be read; the gate stays shut to tokens.
            MisconfiguredError: others can write it, or it is no file.
            MalformedError, UnprovenError, RefusedError: see ``accept_trust`` and
                ``check_carried``; the older version is kept on disk, but a file that does not
                follow from it, or could not be read again, shuts the gate to tokens.
        """
        accepted_path = self.folder / "data" / "trust.accepted"
        before = None
        path = self.settings.trust or self.folder / "trust"
        _check_file(path)
        data = _read(path)
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


def _check_file(path: Path) -> None:
    """Check that this is a file, before an open that could wait for ever, and nobody else's."""
    if path.exists() and not path.is_file():
        raise MisconfiguredError(f"{str(path)!r} is no file; the gate stays shut")
    if path.exists():
        _check(path)


def _check(path: Path) -> None:
    # Whoever can write the trust file or the memory opens the gate.
    try:
        check_own(
            path,
            sticky=True,
            way_out="give it to root, or to the user that the gate runs as: chown",
        )
    except OSError as error:
        raise MisconfiguredError(f"{str(path)!r} cannot be looked at: {error}") from error
