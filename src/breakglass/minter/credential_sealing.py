"""Sealing a credential so that its holder alone can open it: age, to the holder's SSH key.

Source: age-encryption.org/v1, recipient type ``ssh-ed25519``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from pyrage import encrypt, ssh

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError
from breakglass.records.signing.key_types import ED25519


def seal(secret: Mapping[str, str | int], holder: str) -> bytes:
    """Encrypt a credential, as a JSON object, to the holder key of its grant.

    Args:
        secret: what the holder needs to connect.
        holder: ``ssh-ed25519 …``.

    Raises:
        MalformedError: ``holder_key``; age encrypts to no P-256 key, and a security key cannot
            decrypt.
    """
    kind = holder.partition(" ")[0]
    if kind != ED25519:
        # age would take RSA as well; no holder key is one.
        raise MalformedError(
            f"nothing can be sealed to a key of type {kind[:60]!r}; a holder key is {ED25519!r}",
            name=ErrorName.HOLDER_KEY,
        )
    try:
        recipient = ssh.Recipient.from_str(holder)
    except Exception as error:
        raise MalformedError(
            f"the holder key is no {ED25519!r} key, so nothing can be sealed to it",
            name=ErrorName.HOLDER_KEY,
        ) from error
    sealed: bytes = encrypt(json.dumps(dict(secret), sort_keys=True).encode(), [recipient])
    return sealed
