"""The trust file that this client believes, as its own folder holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breakglass.cli.client import Client
from breakglass.errors import MisconfiguredError

if TYPE_CHECKING:
    from breakglass.records.trust import Trust


def own_trust(client: Client) -> Trust:
    """Return what this client believes: a file that its own maintainers signed.

    A client keeps no other: one that they do not carry is walked over, see ``trust_copies``.

    Raises:
        MisconfiguredError: it cannot be read.
        MalformedError, UnprovenError: see ``accept_trust``.
    """
    from breakglass.records.trust import accept_trust
    from breakglass.tlog.note import Note

    try:
        data = client.trust.read_bytes()
    except OSError as error:
        raise MisconfiguredError(
            f"trust file {str(client.trust)!r} cannot be read: {error.strerror}",
            hint="name it in client.toml: trust = PATH",
        ) from error
    return accept_trust(Note.parse(data), None)
