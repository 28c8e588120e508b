"""What PostgreSQL stores of a password: enough to know who has it, and no way back to it.

libpq takes more than twice as long for the same, while a person waits for a role. Source: RFC 5802,
section 3; RFC 7677; the form of the text: PostgreSQL's documentation of ``pg_authid.rolpassword``.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import b64encode

# RFC 7677, section 4: 4096 at least. Passwords made by us need none, but JDBC refuses fewer.
_ITERATIONS = 4096
_SALT_BYTES = 16


def scram_verifier(password: str, salt: bytes = b"") -> str:
    """Return the SCRAM-SHA-256 verifier of a password; with a fresh salt if none is given.

    Args:
        password: printable ASCII, which SASLprep leaves as it is.
        salt: 16 bytes.

    Raises:
        ValueError: another character: prepared otherwise, it would never log in.
    """
    if not password.isascii() or not password.isprintable():
        raise ValueError("a password of ours is printable ASCII")
    salt = salt or secrets.token_bytes(_SALT_BYTES)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS)
    client = hmac.digest(salted, b"Client Key", "sha256")
    stored = hashlib.sha256(client).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    return f"SCRAM-SHA-256${_ITERATIONS}:{_text(salt)}${_text(stored)}:{_text(server)}"


def _text(data: bytes) -> str:
    return b64encode(data).decode("ascii")
