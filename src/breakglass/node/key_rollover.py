"""A submitter turns to its next key: only when all that it has to say is said under the old one.

A note that was sent and not answered may stand in the ledger. Under another key it would be another
submitter's note, and a tally of a gate would count twice. So the spool is empty first.
"""

from __future__ import annotations

import tomllib
from datetime import timedelta
from pathlib import Path

from breakglass.clock import Clock
from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError, UnavailableError
from breakglass.http.client import Peer
from breakglass.node.door_store import DoorStore
from breakglass.node.submitter import gap_draft
from breakglass.process.folder import SETTINGS, held
from breakglass.process.key_store import NEXT, keeping_of, read_next_key
from breakglass.process.settings import neighbour_at
from breakglass.submit.outbox import Outbox
from breakglass.tlog.note import VerifierKey

SPOOL = "spool.sqlite"


def turn_submitter(folder: Path, clock: Clock, within: timedelta) -> VerifierKey:
    """Make the next key of a stopped submitter its key; returns it.

    Args:
        folder: of a broker, minter, monitor or gate.
        clock: for the age of what waits.
        within: how long the ledger may take to get what waits.

    Raises:
        MisconfiguredError: the process runs, or there is no next key; nothing was changed.
        UnavailableError: ``not_finished``; the ledger did not take all. The old key stays.
    """
    keeping = keeping_of(folder)
    following = read_next_key(folder)
    if following is None:
        raise MisconfiguredError(
            f"{str(keeping.path(NEXT))!r} is missing; nothing was changed",
            name=ErrorName.NO_NEXT_KEY,
            hint=f"make one: breakglass key next {folder} --party PARTY --log ORIGIN",
        )
    log, ledger = _settings(folder)
    # (1) Nobody else writes from here on. A gate is no process: its data folder is the lock.
    spools = [folder / each for each in ("kept", "data") if (folder / each / SPOOL).is_file()]
    with held(folder):
        for place in spools:
            with held(place):
                # (2) Say what waits. A crash leaves it waiting, under the old key.
                _finish(place, folder, log, ledger, clock, within)
        # (3) Turn. Before it the old key is the key, after it the next one; nothing waits.
        keeping.promote()
    return following.verifier


def _finish(
    place: Path, folder: Path, log: str, ledger: str, clock: Clock, within: timedelta
) -> None:
    neighbour = Peer(neighbour_at(folder, ledger), name="ledger", within=within)
    doors = DoorStore(folder / "data" / "doors.sqlite")

    def before_sending(to: Peer) -> None:
        # Its own process brings them in, and knows the trust file that they are proven by.
        for door in doors.standing():
            raise UnavailableError(
                f"the door intent of {door.grant!r} is not in the log", name=ErrorName.UNREACHABLE
            )

    key = keeping_of(folder).read()
    outbox = Outbox(neighbour, key, place, clock, gap=gap_draft(log), before_sending=before_sending)
    try:
        if not outbox.flush(within):
            raise UnavailableError(
                f"{outbox.waiting} records wait and the ledger did not take them within"
                f" {within.total_seconds():g} s; the old key stays",
                name=ErrorName.NOT_FINISHED,
                hint="the ledger must be up and still know the old key; then the same again. After"
                " a door: start it once more before, or breakglass-gate flush GATE",
            )
    finally:
        outbox.close()


def _settings(folder: Path) -> tuple[str, str]:
    path = folder / SETTINGS
    try:
        table = tomllib.loads(path.read_text("utf-8"))
        return str(table["log"]), str(table["ledger"])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError) as error:
        raise MisconfiguredError(
            f"{str(path)!r} is not of a process that states records; nothing was changed"
        ) from error
