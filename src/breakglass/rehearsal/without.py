"""What still works without a party: every glass is tried in a twin that has lost it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from breakglass.embedded.readiness import Readiness
from breakglass.errors import MalformedError, UnavailableError
from breakglass.rehearsal.cells import WHAT, Cell, Works
from breakglass.rehearsal.drills import GlassDrill
from breakglass.rehearsal.twin import Twin, differences, running_twin

_CALLED_WITHIN_S = 2.0


class Lost(StrEnum):
    """What may be lost."""

    LEDGER = "ledger"
    MONITOR = "monitor"
    ARCHIVER = "archiver"
    BROKER = "broker"


@dataclass(frozen=True)
class Rehearsed:
    """What was found: for each glass each of ``WHAT``; and in what the twin differs."""

    lost: Lost
    glasses: dict[str, dict[str, Cell]]
    differences: tuple[str, ...]

    @property
    def all_proven(self) -> bool:
        """Whether everything was seen to work, in whatever way."""
        cells = (cell for found in self.glasses.values() for cell in found.values())
        return all(cell.works.proven for cell in cells)


def rehearse(
    org: Path,
    lost: Lost,
    glass: str,
    told: Callable[[str], None],
    life: timedelta = timedelta(seconds=60),
) -> Rehearsed:
    """Try every glass of an organisation, or one, in its twin, while ``lost`` is not there.

    Args:
        org: the organisation's folder, with ``bundle`` and ``trust``; neither called nor changed.
        lost: what is ended, as a power cut would.
        glass: the one to try; empty: all.
        told: told what is being done.
        life: of the grants whose end is waited for.

    Raises:
        MalformedError: no such glass.
        UnavailableError: the twin did not start, or something still answers in place of ``lost``.
    """
    told("a twin of this organisation is started; nothing of yours is called or cut")
    with running_twin(org) as twin:
        names = list(twin.bundle.glasses)
        if glass and glass not in names:
            raise MalformedError(f"unknown glass {glass!r}; there are: {', '.join(names)}")
        found = {}
        for name in [glass] if glass else names:
            told(f"{name}: tried with everything there, then without the {lost}")
            drill = GlassDrill(twin, twin.bundle.glasses[name], life)
            found[name] = _tried(twin, drill, lost)
        return Rehearsed(lost, found, differences(twin.trust))


def _tried(twin: Twin, drill: GlassDrill, lost: Lost) -> dict[str, Cell]:
    # (1) With everything there. What does not work then says nothing of the loss.
    failed = drill.prepare()
    if failed:
        return dict.fromkeys(
            WHAT, Cell(Works.NOT_TRIED, f"refused with everything there: {failed}")
        )
    # (2) End it; its address stays, and refuses.
    address = (twin.org / lost / "address").read_text("ascii").strip()
    twin.running.kill(lost)
    _check_refused(address, lost)
    # (3) Everything that people do. Checked again: nobody has started it meanwhile.
    cells = drill.without()
    _check_refused(address, lost)
    # (4) Back, for what is made up for then, and for the next glass.
    readiness = Readiness(lambda started: None, lambda readings: None)
    readiness.add(twin.running.start(twin.running.processes[lost]))
    readiness.wait_answering()
    readiness.wait_ready()
    return drill.late(cells)


def _check_refused(address: str, lost: Lost) -> None:
    parts = urlsplit(address)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 0), _CALLED_WITHIN_S).close()
    except ConnectionRefusedError:
        return
    raise UnavailableError(
        f"something answers at the address of the {lost} that was ended; nothing was proven"
    )
