"""Where the witnesses and the archiver are: by the trust file in force, else by the settings.

A cosigner that moves to another host is named with its address in the next trust file, so the
monitor looks there from that record on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from breakglass.http.client import Peer
from breakglass.monitor.settings import MonitorSettings
from breakglass.monitor.split_view import witness_path
from breakglass.node.replica import Replica
from breakglass.process.settings import neighbour_at


class CosignerDirectory:
    """Knows every party that cosigns, with a caller for each. Used by two threads, each alone.

    Args:
        folder: the monitor's, from where paths in the settings are.
        settings: its settings.
        view: the followed log.
        ledger: the ledger itself, which shows a head too.
    """

    def __init__(
        self, folder: Path, settings: MonitorSettings, view: Replica, ledger: Peer
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._view = view
        self._ledger = ledger
        self._path = witness_path(settings.log)
        self._made: dict[tuple[str, str], Peer] = {}

    def __call__(self) -> Mapping[str, tuple[Peer, str]]:
        """Return each party by name, with the path of its head."""
        given = dict(self._settings.witnesses)
        for witness in self._view.trust().tlog.witnesses:
            if witness.url:
                given[witness.name] = witness.url
        found = {"ledger": (self._ledger, "/checkpoint")}
        found |= {name: (self._caller(name, where), self._path) for name, where in given.items()}
        return found

    def one(self, name: str) -> Peer | None:
        """Return the caller of one party, or ``None`` if nobody says where it is."""
        found = self().get(name)
        return found[0] if found else None

    def _caller(self, name: str, where: str) -> Peer:
        key = (name, where)
        if key not in self._made:
            place = neighbour_at(self._folder, where)
            self._made[key] = Peer(place, name=name)
        return self._made[key]
