"""The types of SSH keys that people sign with, and what is said of all others.

Nothing heavy is imported here; the responder's client uses this file too.

Source: RFC 8709 (Ed25519), RFC 5656 section 3.1 (P-256), OpenSSH PROTOCOL.u2f (security keys).
"""

from __future__ import annotations

ED25519 = "ssh-ed25519"
SK_ED25519 = "sk-ssh-ed25519@openssh.com"
P256 = "ecdsa-sha2-nistp256"
SK_P256 = "sk-ecdsa-sha2-nistp256@openssh.com"

SOFTWARE_TYPES = (ED25519, P256)
"""One factor, whatever keeps the secret: an enclave's signature says nothing of a touch."""
SECURITY_KEY_TYPES = (SK_ED25519, SK_P256)
SSH_KEY_TYPES = (*SOFTWARE_TYPES, *SECURITY_KEY_TYPES)

HOW_TO_MAKE_ONE = "ssh-keygen -t ed25519-sk  (or -t ed25519, -t ecdsa)"

_REFUSED = {
    "ssh-rsa": "an RSA key",
    "rsa-sha2-256": "an RSA key",
    "rsa-sha2-512": "an RSA key",
    "ssh-dss": "a DSA key",
    "ecdsa-sha2-nistp384": "a P-384 key",
    "ecdsa-sha2-nistp521": "a P-521 key",
    "webauthn-sk-ecdsa-sha2-nistp256@openssh.com": "a web page's signature in SSH form",
}


def refusal(kind: str) -> str:
    """Say in one line what a key type that we do not read is, and what to generate.

    >>> refusal("ssh-rsa")
    "'ssh-rsa' is an RSA key, not accepted; generate: ssh-keygen -t ed25519-sk  (or -t ed25519, -t \
ecdsa)"
    """
    if "-cert-v01@" in kind:
        what = "a certificate"
    else:
        what = _REFUSED.get(kind, "a key of an unknown type")
    return f"{kind[:60]!r} is {what}, not accepted; generate: {HOW_TO_MAKE_ONE}"
