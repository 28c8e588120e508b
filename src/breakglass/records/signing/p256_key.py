"""Public keys on P-256: one point, whatever wraps it.

Source: SEC 1 section 2.3.3 (the uncompressed form), 3.2.2 (which points are keys), 4.1.4 (ECDSA).
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, UnprovenError
from breakglass.records.signing.p256_signature import P256Signature

POINT_BYTES = 65


def check_point(point: bytes, name: ErrorName) -> None:
    """Refuse what is no point of the curve in its uncompressed form.

    Raises:
        MalformedError: ``name``; compressed, of another length, off the curve, or at infinity.
    """
    _load(point, name)


def verify(signature: P256Signature, message: bytes, point: bytes) -> None:
    """Check an ECDSA signature with SHA-256.

    Args:
        signature: as read.
        message: the exact bytes that were signed.
        point: the key's 65 bytes, as ``check_point`` let them pass.

    Raises:
        UnprovenError: ``signature``.
    """
    try:
        _load(point, ErrorName.BAD_KEY).verify(
            encode_dss_signature(signature.r, signature.s), message, ECDSA(SHA256())
        )
    except InvalidSignature as error:
        raise UnprovenError("a P-256 signature does not hold", name=ErrorName.SIGNATURE) from error


def _load(point: bytes, name: ErrorName) -> EllipticCurvePublicKey:
    if len(point) != POINT_BYTES or point[0] != 0x04:
        # Infinity is the single byte 0x00, a compressed point has 33.
        raise MalformedError("a P-256 key is a point of 65 bytes, uncompressed", name=name)
    try:
        return EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point)
    except ValueError as error:
        raise MalformedError("a P-256 key is not on its curve", name=name) from error
