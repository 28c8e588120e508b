"""The trust file that this client believes, as its own folder holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breakglass.cli.client import Client
from breakglass.errors import MisconfiguredError

if TYPE_CHECKING:
    from breakglass.records.trust import Trust


def own_trust(client: Client) -> Trust:
    """Return what this client believes.

    Who signed the file was asked when it was accepted. A file that was handed over carries the
    names of the maintainers before it, so it is not asked again here.

    Raises:
        MisconfiguredError: it cannot be read.
        MalformedError: it is not in its form.
    """
    from breakglass.records.trust import parse_trust
    from breakglass.tlog.note import Note

    try:
        data = client.trust.read_bytes()
    except OSError as error:
        raise MisconfiguredError(
            f"trust file {str(client.trust)!r} cannot be read: {error.strerror}",
            hint="name it in client.toml: trust = PATH",
        ) from error
    return parse_trust(Note.parse(data).text)
