"""What a person's laptop needs to begin with: where ledger and monitor are. All of it is public."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import UnavailableError
from breakglass.http.addresses import read_address, read_places
from breakglass.process.settings import neighbour_at


@dataclass(frozen=True)
class JoinView:
    """The log's origin, and the addresses; several of one are separated by commas.

    Nothing here is to be believed by itself: who joins checks the log by a fingerprint that a
    person gave them, and everything else by the log's own trust files.
    """

    log: str
    ledger: str
    monitor: str


@dataclass(frozen=True)
class Organisation:
    """Where the neighbours of the broker of ``folder`` are, as its settings name them."""

    folder: Path
    log: str
    ledger: str
    monitor: str

    def join_view(self) -> JoinView:
        """Read the addresses; each time, since a neighbour may have moved.

        Raises:
            UnavailableError: one has not told its address yet.
        """
        return JoinView(self.log, self._addresses(self.ledger), self._addresses(self.monitor))

    def _addresses(self, where: str) -> str:
        try:
            places = read_places(neighbour_at(self.folder, where))
            return ", ".join(read_address(each) for each in places)
        except OSError as error:
            raise UnavailableError(
                "a neighbour of the broker has not told its address yet",
                name=ErrorName.UNREACHABLE,
                hint="is it running: breakglass doctor",
            ) from error
