"""Give an embedded ledger an address off its host, with TLS and a certificate of its own."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import MisconfiguredError
from breakglass.ledger.settings import LedgerSettings
from breakglass.operate.fixed_address import listen_at
from breakglass.process.folder import SETTINGS
from breakglass.process.settings import read_settings


def open_ledger(folder: Path, host: str, port: int, now: datetime) -> str:
    """Write ``[serving]`` into the settings of the ledger in ``folder``; returns its address.

    The same again changes nothing and returns the same.

    Raises:
        MisconfiguredError: no ledger is there, or it listens elsewhere already.
    """
    settings = read_settings(folder, LedgerSettings)
    path = folder / SETTINGS
    standing = (settings.serving.host, settings.serving.port)
    if settings.serving.certificate is not None and standing != (host, port):
        raise MisconfiguredError(
            f"{str(path)!r} says that the ledger listens on {standing[0]}:{standing[1]}; nothing"
            " was changed",
            name=ErrorName.LISTENS,
            hint="change [serving] there by hand, and the ledger's address wherever it is named",
        )
    return listen_at(folder, host, port, now)
