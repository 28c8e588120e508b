"""The cases of signatures: each forges one thing, or nothing."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, replace

from breakglass.demo.software_keys import (
    PRESENT,
    VERIFIED,
    SoftKey,
    SoftP256Key,
    SoftP256SecurityKey,
    SoftPerson,
    SoftSecurityKey,
)
from breakglass.demo.software_passkey import BACKUP_ELIGIBLE, SoftPasskey
from breakglass.records.signing.key_types import ED25519, P256, SK_ED25519, SK_P256
from breakglass.records.signing.p256_signature import ORDER, P256Signature
from breakglass.records.signing.passkey import Assertion
from breakglass.records.signing.signature import (
    CARD_NAMESPACE,
    STATEMENT_NAMESPACE,
    Signature,
    Signed,
    SignedByPasskey,
)
from breakglass.records.signing.ssh_wire import Reader, mpint, string, strings
from breakglass.records.signing.sshsig_form import SshsigParts

TEXT = 'breakglass.dev/statement/v1\n{"a":"text, as people sign it"}\n'
BOTH = PRESENT | VERIFIED
BACKED_UP = 0x10
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493  # of Ed25519; RFC 8032 section 5.1

SOFT, HARD = SoftKey.of("mira"), SoftSecurityKey.of("mira")
P256_SOFT, P256_HARD = SoftP256Key.of("mira"), SoftP256SecurityKey.of("mira")
PASS = SoftPasskey.of("mira", "sign.shop.example")
ELLIPTIC: dict[str, SoftPerson] = {"p256": P256_SOFT, "sk-p256": P256_HARD}
EDWARDS: dict[str, SoftPerson] = {"ed25519": SOFT, "sk-ed25519": HARD}


@dataclass(frozen=True)
class Case:
    """What a verifier is given, and the factor or the failure's name that it must give."""

    about: str
    keys: tuple[str, ...]
    signed: Signature
    expect: str
    namespace: str = STATEMENT_NAMESPACE


def signature_cases() -> dict[str, Case]:
    """Return every case by its name."""
    parts = (_good, _forms, _p256_numbers, _keys, _purposes, _passkeys, _client_data)
    found: dict[str, Case] = {}
    for part in parts:
        made = part()
        assert not found.keys() & made.keys()
        found |= made
    return found


def ssh(blob: bytes, text: str = TEXT) -> Signed:
    return Signed(text, base64.b64encode(blob).decode())


def wire_of(key: SoftPerson, message: str = TEXT) -> tuple[bytes, bytes]:
    """Return the key's own part of its signature, and what a security key says behind it."""
    parts = SshsigParts.parse(key.sshsig(message, STATEMENT_NAMESPACE))
    reader = Reader(parts.signature, "made", "made")
    front = strings(reader.string(), reader.string())
    return Reader(front[4 + len(key.kind) :], "made", "made").string(), parts.signature[
        len(front) :
    ]


def put_together(
    key: SoftPerson, value: bytes, *, kind: str = "", blob: bytes | None = None, more: bytes = b""
) -> Signed:
    """Make an SSHSIG around any value, with any key and type."""
    signature = strings((kind or key.kind).encode(), value) + wire_of(key)[1] + more
    parts = SshsigParts(blob or key.blob, STATEMENT_NAMESPACE.encode(), "sha512", signature)
    return ssh(parts.encoded())


def by(key: SoftPerson, about: str, expect: str, signed: Signed | None = None) -> Case:
    return Case(about, (key.public,), signed or key.sign(TEXT, STATEMENT_NAMESPACE), expect)


def _good() -> dict[str, Case]:
    found: dict[str, Case] = {}
    for name, key in {**EDWARDS, **ELLIPTIC}.items():
        if isinstance(key, SoftKey):
            found[f"good-{name}"] = by(key, "A software key: one factor.", "one")
        else:
            touched = key.with_flags(PRESENT)
            late, long = replace(key, counter=2**32 - 1), b"ssh:" + b"!~" * 50
            found[f"good-{name}"] = by(key, "Touched, and its user verified.", "phishing_resistant")
            found[f"good-{name}-touched"] = by(touched, "Touched alone.", "two")
            found[f"good-{name}-counter"] = by(
                late, "The counter is not judged.", "phishing_resistant"
            )
            found[f"good-{name}-application"] = by(
                replace(key, application=long), "The longest application.", "phishing_resistant"
            )
        sha256 = ssh(key.sshsig(TEXT, STATEMENT_NAMESPACE, "sha256"))
        factor = "one" if isinstance(key, SoftKey) else "phishing_resistant"
        found[f"good-{name}-sha256"] = by(key, "The text hashed by SHA-256.", factor, sha256)
    found["good-second-key"] = Case(
        "By the second of the person's keys.",
        (SOFT.public, PASS.public, P256_SOFT.public),
        P256_SOFT.sign(TEXT, STATEMENT_NAMESPACE),
        "one",
    )
    return found


def _forms() -> dict[str, Case]:
    blob = P256_SOFT.sshsig(TEXT, STATEMENT_NAMESPACE)
    parts = SshsigParts.parse(blob)
    reserved = blob.replace(string(b"") + string(b"sha512"), string(b"r") + string(b"sha512"))
    text = P256_SOFT.sign(TEXT, STATEMENT_NAMESPACE).sshsig
    made = {
        "sshsig-other-magic": ("Other letters in front.", ssh(b"SSHSIH" + blob[6:])),
        "sshsig-version-2": ("Another version.", ssh(blob[:9] + b"\2" + blob[10:])),
        "sshsig-reserved": ("The reserved field holds something.", ssh(reserved)),
        "sshsig-sha1": ("Another hash.", ssh(replace(parts, hash_name="sha1").encoded())),
        "sshsig-cut-short": ("The last byte is missing.", ssh(blob[:-1])),
        "sshsig-bytes-behind": ("A byte behind the blob.", ssh(blob + b"\0")),
        "sshsig-too-long": ("More than 1,024 bytes.", ssh(blob + bytes(1024))),
        "sshsig-empty": ("Nothing.", ssh(b"")),
        "sshsig-no-padding": ("Base64 without its padding.", Signed(TEXT, text.rstrip("="))),
        "sshsig-other-type": (
            "The signature says sk-, its key does not.",
            put_together(P256_SOFT, wire_of(P256_SOFT)[0], kind=SK_P256),
        ),
        "sshsig-webauthn-type": (
            "A page's signature in SSH form, under the security key's own type.",
            put_together(
                P256_HARD,
                wire_of(P256_HARD)[0],
                kind="webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
            ),
        ),
        "ed25519-63-bytes": ("A byte too few.", put_together(SOFT, wire_of(SOFT)[0][:-1])),
        "ed25519-65-bytes": ("A byte too many.", put_together(SOFT, wire_of(SOFT)[0] + b"\0")),
        "software-key-with-flags": (
            "A software key says flags and counter.",
            put_together(P256_SOFT, wire_of(P256_SOFT)[0], more=b"\5\0\0\0\1"),
        ),
    }
    owners = (P256_SOFT.public, P256_HARD.public, SOFT.public)
    found = {
        name: Case(about, owners, signed, "bad_sshsig") for name, (about, signed) in made.items()
    }
    if text.endswith("="):
        last = _next_letter(text)
        found["sshsig-second-base64"] = Case(
            "A low bit that the padding leaves unused.", owners, Signed(TEXT, last), "bad_sshsig"
        )
    return found


def _next_letter(text: str) -> str:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    bare = text.rstrip("=")
    return bare[:-1] + letters[letters.index(bare[-1]) + 1] + text[len(bare) :]


def _p256_numbers() -> dict[str, Case]:
    found: dict[str, Case] = {}
    for name, key in ELLIPTIC.items():
        right = P256Signature.from_mpints(wire_of(key)[0])
        r, s = mpint(right.r), mpint(right.s)
        made = {
            "high-s": ("The other half.", r + mpint(ORDER - right.s)),
            "s-just-above-half": ("s is (n + 1) / 2.", r + mpint(ORDER // 2 + 1)),
            "r-is-n": ("r is n.", mpint(ORDER) + s),
            "r-beyond-n": ("r is one more than n.", mpint(ORDER + 1) + s),
            "s-is-n": ("s is n.", r + mpint(ORDER)),
            "r-zero": ("r is 0.", mpint(0) + s),
            "s-zero": ("s is 0.", r + mpint(0)),
            "r-zero-in-one-byte": ("r is 0, written as a byte.", string(b"\0") + s),
            "padded-r": (
                "r with a zero byte that no sign needs.",
                string((b"\0\0" if right.r >> 255 else b"\0") + right.r.to_bytes(32, "big")) + s,
            ),
            "padded-s": ("s with a zero byte.", r + string(b"\0" + right.s.to_bytes(32, "big"))),
            "negative-r": ("r is -1.", string(b"\xff") + s),
            "negative-s": ("s is -n + s.", r + string(_negative(right.s - ORDER))),
            "no-s": ("s is missing.", r),
            "bytes-behind-s": ("A byte behind s.", r + s + b"\0"),
            "raw": ("r and s in 64 bytes, as passkeys have them.", right.raw()),
        }
        for what, (about, value) in made.items():
            found[f"{name}-{what}"] = by(key, about, "bad_sshsig", put_together(key, value))
        half = put_together(key, r + mpint(ORDER // 2))
        found[f"{name}-s-is-half"] = by(
            key, "s is (n - 1) / 2: in range, and not this text's.", "signature", half
        )
        one = put_together(key, mpint(1) + mpint(1))
        found[f"{name}-ones"] = by(key, "r and s are 1: in range.", "signature", one)
    return found


def _negative(number: int) -> bytes:
    bare = number.to_bytes(33, "big", signed=True).lstrip(b"\xff")
    return bare if bare[:1] >= b"\x80" else b"\xff" + bare


def _keys() -> dict[str, Case]:
    """Signatures whose key inside is none; the person's own key is a good one."""
    found = {}
    for name, (about, blob) in bad_key_blobs().items():
        signed = put_together(SOFT, wire_of(SOFT)[0], blob=blob)
        found[f"key-inside-{name}"] = by(SOFT, about, "bad_ssh_key", signed)
    return found


def bad_key_blobs() -> dict[str, tuple[str, bytes]]:
    """Return keys on the wire that are none, by name."""
    point = P256_SOFT.blob[-65:]
    curve = b"nistp256"
    off = point[:-1] + bytes([point[-1] ^ 1])
    compressed = bytes([2 + point[-1] % 2]) + point[1:33]
    hybrid = bytes([6 + point[-1] % 2]) + point[1:]
    edwards = SOFT.blob[-32:]
    kinds = {
        "rsa": "ssh-rsa",
        "dsa": "ssh-dss",
        "p384": "ecdsa-sha2-nistp384",
        "p521": "ecdsa-sha2-nistp521",
        "p256-certificate": f"{P256}-cert-v01@openssh.com",
        "sk-p256-certificate": "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
        "ed25519-certificate": f"{ED25519}-cert-v01@openssh.com",
        "webauthn": "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
    }
    found = {
        name: (f"A key of type {kind}.", strings(kind.encode(), curve, point))
        for name, kind in kinds.items()
    }
    for name, kind, behind in (("p256", P256, b""), ("sk-p256", SK_P256, string(b"ssh:"))):

        def key(curve: bytes, point: bytes, kind: str = kind, behind: bytes = behind) -> bytes:
            return strings(kind.encode(), curve, point) + behind

        found |= {
            f"{name}-infinity": ("The point at infinity.", key(curve, b"\0")),
            f"{name}-zeros": ("64 zero bytes.", key(curve, b"\4" + bytes(64))),
            f"{name}-compressed": ("The point compressed.", key(curve, compressed)),
            f"{name}-hybrid": ("The point in hybrid form.", key(curve, hybrid)),
            f"{name}-off-the-curve": ("A point beside the curve.", key(curve, off)),
            f"{name}-coordinate-beyond-the-field": (
                "x is the field's order.",
                key(curve, b"\4" + _P256_FIELD.to_bytes(32, "big") + point[33:]),
            ),
            f"{name}-other-curve-name": ("The curve is called nistp384.", key(b"nistp384", point)),
            f"{name}-no-curve-name": ("The curve has no name.", key(b"", point)),
            f"{name}-bytes-behind": ("A byte behind the key.", key(curve, point) + b"\0"),
        }
    for name, kind, before in (
        ("sk-p256", SK_P256, strings(curve, point)),
        ("sk-ed25519", SK_ED25519, string(edwards)),
    ):
        for what, application in {
            "no-application": b"",
            "application-of-a-page": b"https://login.example",
            "application-in-upper-case": b"SSH:",
            "application-with-a-space": b"ssh:a b",
            "application-with-a-line-feed": b"ssh:\n",
            "application-beyond-ascii": b"ssh:\xc3\xa9",
            "application-too-long": b"ssh:" + b"a" * 101,
        }.items():
            blob = string(kind.encode()) + before + string(application)
            found[f"{name}-{what}"] = (f"The application is {application[:24]!r}.", blob)
    for what, bad in {
        "small-order": bytes(32),
        "order-2": bytes.fromhex("ec" + "ff" * 30 + "7f"),
        "y-beyond-the-field": bytes.fromhex("ee" + "ff" * 30 + "7f"),
        "31-bytes": edwards[:-1],
    }.items():
        found[f"ed25519-{what}"] = (f"Ed25519: {what}.", strings(ED25519.encode(), bad))
    return found


_P256_FIELD = 2**256 - 2**224 + 2**192 + 2**96 - 1


def _purposes() -> dict[str, Case]:
    found: dict[str, Case] = {}
    for name, key in {**EDWARDS, **ELLIPTIC}.items():
        signed = key.sign(TEXT, STATEMENT_NAMESPACE)
        stranger = type(key).of("sam").sign(TEXT, STATEMENT_NAMESPACE)
        found[f"{name}-of-another-text"] = by(
            key, "The text was altered.", "signature", replace(signed, text=f"{TEXT[:-2]} \n")
        )
        found[f"{name}-for-a-card"] = by(
            key, "Signed in another namespace.", "namespace", key.sign(TEXT, CARD_NAMESPACE)
        )
        found[f"{name}-of-a-stranger"] = by(key, "By another key.", "foreign_key", stranger)
        card = key.sign("breakglass.dev/card/v1\n{}\n", STATEMENT_NAMESPACE)
        found[f"{name}-under-another-first-line"] = by(
            key, "The text begins as a card does.", "namespace", card
        )
        if isinstance(key, SoftSecurityKey):
            for what, flags in {"untouched": 0, "verified-untouched": VERIFIED}.items():
                found[f"{name}-{what}"] = by(key.with_flags(flags), "No touch.", "presence")
    value = wire_of(SOFT)[0]
    s = int.from_bytes(value[32:], "little") + GROUP_ORDER
    spelt = put_together(SOFT, value[:32] + s.to_bytes(32, "little"))
    found["ed25519-s-beyond-the-order"] = by(SOFT, "S and the order.", "signature", spelt)
    untouched = P256_HARD.with_flags(0)
    found["order-signature-before-presence"] = by(
        P256_HARD,
        "Untouched, and of another text.",
        "signature",
        replace(untouched.sign(TEXT, STATEMENT_NAMESPACE), text=f"{TEXT[:-2]} \n"),
    )
    found["order-form-before-key"] = by(
        SOFT, "Of a stranger, with s 0.", "bad_sshsig", put_together(P256_SOFT, mpint(1) + mpint(0))
    )
    found["order-key-before-namespace"] = by(
        SOFT, "Of a stranger, for a card.", "foreign_key", P256_SOFT.sign(TEXT, CARD_NAMESPACE)
    )
    return found


def passkey(about: str, expect: str, signed: SignedByPasskey | None = None, key: str = "") -> Case:
    return Case(about, (key or PASS.public,), signed or PASS.sign(TEXT), expect)


def _passkeys() -> dict[str, Case]:
    good = PASS.sign(TEXT).passkey
    right = P256Signature.from_raw(base64.b64decode(good.signature))
    port = replace(PASS, port=8443)
    cloud = PASS.with_flags(BOTH | BACKUP_ELIGIBLE)
    found = {
        "good-passkey": passkey("On its page, its user verified.", "phishing_resistant"),
        "good-passkey-with-a-port": passkey(
            "On a page at another port.", "phishing_resistant", port.sign(TEXT), port.public
        ),
        "good-passkey-backup-eligible": passkey(
            "It may leave its device.", "two", cloud.sign(TEXT)
        ),
        "good-passkey-backed-up": passkey(
            "It has left its device.", "two", cloud.with_flags(cloud.flags | BACKED_UP).sign(TEXT)
        ),
        "good-passkey-among-several": Case(
            "By the second of two passkeys, an SSH key before them.",
            (SOFT.public, SoftPasskey.of("sam").public, PASS.public),
            PASS.sign(TEXT),
            "phishing_resistant",
        ),
        "passkey-backed-up-and-cannot-be": passkey(
            "Flag 0x10 without 0x08.", "bad_passkey", PASS.with_flags(BOTH | BACKED_UP).sign(TEXT)
        ),
        "passkey-unverified": passkey(
            "Touched alone.", "presence", PASS.with_flags(PRESENT).sign(TEXT)
        ),
        "passkey-untouched": passkey(
            "Verified without a touch.", "presence", PASS.with_flags(VERIFIED).sign(TEXT)
        ),
        "passkey-of-a-stranger": passkey(
            "Another passkey of that host.",
            "signature",
            SoftPasskey.of("sam", PASS.relying_party).sign(TEXT),
        ),
        "passkey-of-nobody": Case(
            "The person has SSH keys alone.", (SOFT.public,), PASS.sign(TEXT), "foreign_key"
        ),
        "passkey-order-form-before-key": Case(
            "The person has SSH keys alone; 63 bytes.",
            (SOFT.public,),
            SignedByPasskey(TEXT, replace(good, signature=_b64(right.raw()[:-1]))),
            "bad_passkey",
        ),
        "passkey-under-another-first-line": passkey(
            "The text begins as a card does.",
            "namespace",
            PASS.sign("breakglass.dev/card/v1\n{}\n"),
        ),
        "passkey-short-data": passkey(
            "Authenticator data of 36 bytes.",
            "bad_passkey",
            SignedByPasskey(TEXT, replace(good, authenticator_data=_b64(bytes(36)))),
        ),
        "passkey-of-the-whole-domain": passkey(
            "The authenticator signed for the domain, the page is the right one.",
            "namespace",
            SignedByPasskey(TEXT, _on_page(replace(PASS, relying_party="shop.example"))),
        ),
    }
    der = bytes.fromhex("3006020101020101")
    for what, (about, value) in {
        "high-s": ("The other half.", _raw(right.r, ORDER - right.s)),
        "r-is-n": ("r is n.", _raw(ORDER, right.s)),
        "s-is-n": ("s is n.", _raw(right.r, ORDER)),
        "r-zero": ("r is 0.", _raw(0, right.s)),
        "s-zero": ("s is 0.", _raw(right.r, 0)),
        "63-bytes": ("A byte too few.", right.raw()[:-1]),
        "65-bytes": ("A byte too many.", right.raw() + b"\0"),
        "der": ("As browsers write it.", der),
        "mpints": ("As SSH writes it.", right.mpints()),
    }.items():
        changed = SignedByPasskey(TEXT, replace(good, signature=_b64(value)))
        found[f"passkey-{what}"] = passkey(about, "bad_passkey", changed)
    return found


def _on_page(other: SoftPasskey) -> Assertion:
    return other.assertion_of(PASS.client_data(hashlib.sha256(TEXT.encode()).digest()))


def _client_data() -> dict[str, Case]:
    right = PASS.client_data(hashlib.sha256(TEXT.encode()).digest()).decode()
    challenge = right.split('"')[7]
    other = "A" * 43
    host = PASS.relying_party
    begin = f'{{"type":"webauthn.get","challenge":"{challenge}"'
    end = f',"origin":"https://{host}","crossOrigin":false'
    padded = right.replace(challenge, f"{challenge}=")
    standard = challenge.replace("-", "+").replace("_", "/")
    assert begin + end + "}" == right
    assert standard != challenge
    said: dict[str, tuple[str, str, str]] = {
        "more-behind": (
            "More members behind.", "phishing_resistant", right[:-1] + ',"topOrigin":"x"}'),
        "challenge-behind": (
            "Another challenge behind, which is not read.", "phishing_resistant",
            f'{right[:-1]},"challenge":"{other}"}}'),
        "1024-bytes": (
            "The longest that is read.", "phishing_resistant",
            right[:-1] + ',"x":"' + "x" * (1024 - len(right) - 7) + '"}'),
        "1025-bytes": (
            "A byte longer.", "bad_passkey",
            right[:-1] + ',"x":"' + "x" * (1025 - len(right) - 7) + '"}'),
        "empty": ("Nothing.", "signature", ""),
        "of-another-text": ("Another challenge.", "signature", right.replace(challenge, other)),
        "challenge-padded": ("The challenge with its padding.", "signature", padded),
        "challenge-in-base64": (
            "The challenge in plain base64.", "signature", right.replace(challenge, standard)),
        "challenge-twice": (
            "Another challenge in front.", "signature",
            right.replace('"challenge"', f'"challenge":"{other}","challenge"')),
        "challenge-twice-right-first": (
            "Another challenge behind the right one.", "namespace",
            f'{begin},"challenge":"{other}"{end}}}'),
        "key-before-type": (
            "A member before type.", "signature", '{"a":"b",' + right[1:]),
        "space": ("A space, as another writer might put it.", "signature",
                  right.replace(":", ": ", 1)),
        "byte-order-mark": ("U+FEFF in front.", "signature", "\ufeff" + right),
        "other-type": ("A registration.", "signature", right.replace(".get", ".create")),
        "payment-type": ("A payment.", "signature", right.replace("webauthn.get", "payment.get")),
        "other-host": (
            "Another host of the domain.", "namespace",
            right.replace("//sign.", "//old-blog.")),
        "host-above": ("The domain itself.", "namespace", right.replace("//sign.", "//")),
        "host-below": ("A host below.", "namespace", right.replace("//sign.", "//x.sign.")),
        "host-that-begins-so": ("A longer host.", "namespace", right.replace(host, f"{host}.evil")),
        "other-port": ("Another port.", "namespace", right.replace(host, f"{host}:8443")),
        "port-443": ("The port that is never written.", "namespace",
                     right.replace(host, f"{host}:443")),
        "http": ("Without TLS.", "namespace", right.replace("https:", "http:")),
        "upper-case": ("The host in upper case.", "namespace", right.replace(host, host.upper())),
        "slash": ("A slash behind the origin.", "namespace", right.replace(host, f"{host}/")),
        "cross-origin": ("In a frame of another page.", "namespace",
                         right.replace("false", "true")),
        "no-cross-origin": ("Not said whether in a frame.", "namespace",
                            f'{begin},"origin":"https://{host}"}}'),
        "cross-origin-before-origin": (
            "The members in another order.", "namespace",
            f'{begin},"crossOrigin":false,"origin":"https://{host}"}}'),
        "cut-short": ("The last brace is missing.", "namespace", begin + end),
        "space-at-the-end": ("A space before the brace.", "namespace", begin + end + " }"),
    }  # fmt: skip
    found: dict[str, Case] = {}
    for name, (about, expect, data) in said.items():
        signed = SignedByPasskey(TEXT, PASS.assertion_of(data.encode()))
        found[f"client-data-{name}"] = passkey(about, expect, signed)
    port = replace(PASS, port=8443)
    for name, (about, where) in {
        "no-port": ("The port is missing.", PASS),
        "other-port-than-registered": ("Another port.", replace(PASS, port=8444)),
    }.items():
        found[f"client-data-{name}"] = passkey(about, "namespace", where.sign(TEXT), port.public)
    return found


def _raw(r: int, s: int) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
