"""Sealing a credential so that its holder alone can open it: age, to the holder's SSH key.

Source: age-encryption.org/v1, recipient type ``ssh-ed25519``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from pyrage import encrypt, ssh

from breakglass.errors import MalformedError


def seal(secret: Mapping[str, str | int], holder: str) -> bytes:
    """Encrypt a credential, as a JSON object, to the holder key of its grant.

    Args:
        secret: what the holder needs to connect.
        holder: ``ssh-ed25519 …``.

    Raises:
        MalformedError: the key is not one that age can encrypt to; a security key cannot decrypt.
    """
    try:
        recipient = ssh.Recipient.from_str(holder)
    except Exception as error:
        raise MalformedError(
            "the holder key is not an 'ssh-ed25519' key, so nothing can be sealed to it",
            name="holder_key",
        ) from error
    sealed: bytes = encrypt(json.dumps(dict(secret), sort_keys=True).encode(), [recipient])
    return sealed
