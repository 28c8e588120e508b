"""Names of people replaced by a keyed hash, so that a history can be shared without naming them."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable

SHORTEST_SALT = 16  # bytes

_MAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")


def pseudonyms(salt: bytes | None = None) -> Callable[[str], str]:
    """Return a function from a name to its pseudonym, the same for the same salt and name.

    Without a salt a random one is used and thrown away: nobody, we included, can go back from a
    pseudonym to a name, and two imports cannot be linked. Case and outer spaces do not matter.

    >>> hide = pseudonyms(b"sixteen bytes ok")
    >>> hide("Mira@Example.org") == hide(" mira@example.org"), hide("mira@example.org")[0]
    (True, 'p')
    """
    key = salt or secrets.token_bytes(32)

    def hide(name: str) -> str:
        told = " ".join(name.lower().split())
        return "p" + hmac.new(key, told.encode(), hashlib.sha256).hexdigest()[:12] if told else ""

    return hide


def without_addresses(text: str) -> str:
    """Return ``text`` with mail addresses taken out; ``masks`` takes out names."""
    return _MAIL.sub("<email>", text)
