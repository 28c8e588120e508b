"""A request that says who makes it: a text signed with an Ed25519 key, in one header beside it.

```
breakglass.dev/request/v1
{"at":…,"body":…,"by":…,"log":…,"method":…,"nonce":…,"target":…,"to":…}
```

Nobody carries a secret that another could show on: each request is signed for one process, one
target and one body, and counts once (``request_check.py``). Source: docs/spec/request.md.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from breakglass.canonical import canonical, parse_lines
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MalformedError
from breakglass.strict_json import read, written
from breakglass.tlog.key import ED25519, VerifierKey, check_signature
from breakglass.tlog.signer import Signer

HEADER = "breakglass.dev/request/v1"
REQUEST = "Breakglass-Request"  # the header that carries the text and its signature
SESSION = "Breakglass-Session"  # the header that carries the session whose key signed it
CHARACTERS_AT_MOST = 8 * 1024  # of either header's value
_SIGNATURE_BYTES = 64


@dataclass(frozen=True)
class Shape:
    """A rule of ``strict_json`` for one text."""

    says: str
    expression: str

    def check(self, value: str, where: str) -> None:
        """Refuse another text, with the place."""
        if not re.fullmatch(self.expression, value, re.ASCII):
            raise MalformedError(f"{where}: expected {self.says}, got {value[:60]!r}")


PublicKey = Annotated[str, Shape("a raw Ed25519 key, 64 hex digits", "[0-9a-f]{64}")]
BodyDigest = Annotated[str, Shape("SHA-256 in hex", "[0-9a-f]{64}")]
RequestNonce = Annotated[str, Shape("16 bytes, 32 hex digits", "[0-9a-f]{32}")]
Origin = Annotated[str, Shape("the log's origin", r"[^\s+]{1,255}")]
Method = Annotated[str, Shape("GET or POST", "GET|POST")]
Target = Annotated[str, Shape("a path with its query", r"/[!-~]{0,2047}")]
ProcessKey = Annotated[
    str, Shape("a key NAME+ID+BASE64", r"[^\s+]{1,255}\+[0-9a-f]{8}\+[A-Za-z0-9+/=]{44,48}")
]


@dataclass(frozen=True)
class RequestText:
    """What a request's key signs.

    Attributes:
        log: the log's origin.
        to: the receiving process's key, as its verifier key is written.
        method: ``GET`` or ``POST``.
        target: path and query, byte for byte as they are sent.
        body: SHA-256 of the body, of no bytes where there is none.
        by: the raw public key that signs this.
        at: the asker's clock.
        nonce: 16 random bytes, in hex.
    """

    log: Origin
    to: ProcessKey
    method: Method
    target: Target
    body: BodyDigest
    by: PublicKey
    at: datetime
    nonce: RequestNonce


@dataclass(frozen=True)
class SignedRequest:
    """A request's text with a signature that holds under the key that it names."""

    text: RequestText

    @property
    def key(self) -> bytes:
        """The raw Ed25519 key that signed; whose it is, is for the process to say."""
        return bytes.fromhex(self.text.by)


def request_text(request: RequestText) -> str:
    """Write the exact text that is signed.

    Raises:
        MalformedError: nobody would read it.
    """
    return f"{HEADER}\n{canonical(written(request, 'request'))}\n"


def sign_request(
    key: Signer, log: str, to: str, method: str, target: str, body: bytes, at: datetime
) -> str:
    """Return the value of the header ``Breakglass-Request``, with a nonce of its own.

    Args:
        key: the asker's; an Ed25519 key, or a cosigner's.
        log: the log's origin.
        to: the key of the process that is asked.
        method: of the request.
        target: its path with its query.
        body: all of it.
        at: now, in milliseconds.

    Raises:
        MalformedError: nobody would read it.
    """
    text = request_text(
        RequestText(
            log,
            to,
            method,
            target,
            body_digest(body),
            key.verifier.public.hex(),
            at,
            secrets.token_hex(16),
        )
    ).encode()
    parts = (text, key.sign_bytes(text))
    return " ".join(base64.b64encode(each).decode() for each in parts)


def read_request(value: str) -> SignedRequest:
    """Read the header's value and check the signature under the key that its text names.

    Raises:
        MalformedError: ``bad_request``; another form.
        UnprovenError: ``signature``.
    """
    if len(value) > CHARACTERS_AT_MOST:
        raise _bad(f"more than {CHARACTERS_AT_MOST} characters")
    try:
        said, _, signature = value.partition(" ")
        data, raw = (base64.b64decode(each, validate=True) for each in (said, signature))
        text = read(RequestText, parse_lines(data.decode(), HEADER, "request"), "request")
    except (binascii.Error, ValueError, BreakglassError) as error:
        raise _bad(str(error)) from error
    if len(raw) != _SIGNATURE_BYTES:
        raise _bad(f"a signature has {_SIGNATURE_BYTES} bytes")
    check_signature(VerifierKey.of("request", ED25519, bytes.fromhex(text.by)), data, raw)
    return SignedRequest(text)


def body_digest(body: bytes) -> str:
    """Return what a request says of its body."""
    return hashlib.sha256(body).hexdigest()


def _bad(why: str) -> MalformedError:
    return MalformedError(
        f"header '{REQUEST}' holds no signed request: {why[:300]}", name=ErrorName.BAD_REQUEST
    )
