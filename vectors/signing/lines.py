"""The cases of people's keys as lines of text, and of people's lines under notes."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace

from breakglass.demo.software_keys import SoftKey, SoftP256Key, SoftP256SecurityKey, SoftPerson
from breakglass.records.signing.key_types import P256
from breakglass.records.signing.p256_signature import ORDER, P256Signature
from breakglass.records.signing.signature import (
    CARD_NAMESPACE,
    STATEMENT_NAMESPACE,
    person_line,
)
from breakglass.records.signing.ssh_wire import mpint, string, strings
from breakglass.records.signing.sshsig import SshPublicKey
from breakglass.records.signing.sshsig_form import SshsigParts
from breakglass.tlog.note import Note, SignatureLine

from .cases import HARD, P256_HARD, P256_SOFT, PASS, SOFT, bad_key_blobs

NOTE_TEXT = "breakglass.dev/card/v1\n{}\n"
People = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class KeyCase:
    """A directory of people; ``expect`` is a failure's name, or empty."""

    about: str
    people: People
    expect: str = ""


@dataclass(frozen=True)
class NoteCase:
    """A note in the card's namespace; ``expect`` is a failure's name or who signed how."""

    about: str
    people: People
    note: bytes
    expect: str | Mapping[str, str]


def key_cases() -> dict[str, KeyCase]:
    """Return every case by its name."""
    one_each = {
        "mira": (SOFT.public, P256_SOFT.public),
        "sam": (HARD.public,),
        "noor": (P256_HARD.public, PASS.public),
    }
    found = {"good": KeyCase("A key of each type, each one person's.", one_each)}
    point = PASS.key.point
    wrapped = {
        "ssh": _key(strings(P256.encode(), b"nistp256", point)),
        "security-key": _key(
            strings(b"sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", point, b"ssh:two")
        ),
        "passkey": replace(PASS, relying_party="other.example").public,
        "passkey-port": replace(PASS, port=8443).public,
    }
    for name, key in wrapped.items():
        people = {"mira": (PASS.public,), "sam": (key,)}
        found[f"shared-p256-{name}"] = KeyCase("One point, two wrappers.", people, "shared_key")
    found["shared-by-one-name"] = KeyCase(
        "One point twice under one name.", {"mira": (PASS.public, wrapped["ssh"])}, "shared_key"
    )
    twin = _key(strings(b"ssh-ed25519", SshPublicKey.parse(HARD.public).point))
    people = {"mira": (HARD.public,), "sam": (twin,)}
    found["shared-ed25519"] = KeyCase("One point, two types.", people, "shared_key")
    for name, (about, blob) in bad_key_blobs().items():
        kind = blob[4 : 4 + int.from_bytes(blob[:4], "big")].decode()
        line = f"{kind} {base64.b64encode(blob).decode()}"
        found[f"ssh-{name}"] = KeyCase(about, {"mira": (line,)}, "bad_ssh_key")
    spelt = P256_SOFT.public.rstrip("=")
    found |= {
        "ssh-type-before-is-another": KeyCase(
            "The type before the base64 is not the one inside.",
            {"mira": (P256_HARD.public.replace("sk-", "").replace("@openssh.com", ""),)},
            "bad_ssh_key",
        ),
        "ssh-no-padding": KeyCase("Base64 without padding.", {"mira": (spelt,)}, "bad_ssh_key"),
        "ssh-second-base64": KeyCase(
            "A low bit that the padding leaves unused.",
            {"mira": (f"{spelt[:-1]}{chr(ord(spelt[-1]) + 1)}=",)},
            "bad_ssh_key",
        ),
    }
    der = PASS.public.split(" ")[2]
    for name, host in {
        "upper-case": "Sign.shop.example",
        "trailing-dot": "sign.shop.example.",
        "empty-label": "sign..example",
        "hyphen-first": "-sign.example",
        "hyphen-last": "sign-.example",
        "underscore": "sign_in.example",
        "long-label": "a" * 64 + ".example",
        "254-characters": ".".join(["abc"] * 63) + ".de",
        "address": "127.0.0.1",
        "origin": "https://sign.example",
        "port-443": "sign.example:443",
        "port-0": "sign.example:0",
        "port-65536": "sign.example:65536",
        "port-with-zero": "sign.example:08443",
        "port-empty": "sign.example:",
    }.items():
        line = f"passkey {host} {der}"
        found[f"passkey-{name}"] = KeyCase(
            f"The host is {host[:30]!r}.", {"mira": (line,)}, "bad_passkey"
        )
    raw = base64.b64decode(der)
    p384 = raw[:4] + bytes.fromhex("1006072a8648ce3d020106052b81040022") + raw[23:]
    for name, bytes_ in {
        "compressed": raw[:-65] + bytes([2 + raw[-1] % 2]) + raw[-64:-32],
        "off-the-curve": raw[:-1] + bytes([raw[-1] ^ 1]),
        "bytes-behind": raw + b"\0",
        "point-alone": raw[-65:],
        "p384": p384,
    }.items():
        line = f"passkey sign.example {base64.b64encode(bytes_).decode()}"
        found[f"passkey-{name}"] = KeyCase(f"The key is {name}.", {"mira": (line,)}, "bad_passkey")
    longest = ".".join(["abc"] * 62) + ".abcde"
    for name, host in {
        "one-label": "localhost",
        "253-characters": longest,
        "port": "a.b:65535",
    }.items():
        people = {"mira": (f"passkey {host} {der}",)}
        found[f"good-passkey-{name}"] = KeyCase("A host that is one.", people)
    return found


def note_cases() -> dict[str, NoteCase]:
    """Return every case by its name."""
    ana, ben = SoftP256Key.of("ana"), SoftP256SecurityKey.of("ben")
    second = SoftKey.of("ana")
    people = {"ana": (ana.public, second.public), "ben": (ben.public,)}
    both = {"ana": "one", "ben": "phishing_resistant"}

    def line(name: str, key: SoftPerson, namespace: str = CARD_NAMESPACE) -> SignatureLine:
        return person_line(name, key.sshsig(NOTE_TEXT, namespace))

    first, other = line("ana", ana), line("ben", ben)
    made: dict[str, tuple[str, tuple[SignatureLine, ...], str | Mapping[str, str]]] = {
        "good": ("Both signed.", (first, other), both),
        "line-twice": ("A line stands twice.", (first, first, other), both),
        "second-key": ("By both keys of one name.", (first, line("ana", second), other), both),
        "second-key-alone": ("By the second key.", (line("ana", second),), {"ana": "one"}),
        "stranger": ("An unknown name.", (line("zoe", ana), other), {"ben": both["ben"]}),
        "unknown-key": (
            "A known name, an unknown key.", (line("ana", SoftKey.of("zoe")), other),
            {"ben": both["ben"]}),
        "other-namespace": (
            "Signed for a statement.", (first, line("ben", ben, STATEMENT_NAMESPACE)), "namespace"),
        "untouched": ("No touch.", (first, line("ben", ben.with_flags(0))), "presence"),
        "of-another-text": (
            "Of another text.",
            (first, person_line("ben", ben.sshsig(NOTE_TEXT + "\n", CARD_NAMESPACE))), "signature"),
        "high-s": ("The other half.", (SignatureLine("ana", first.key_id, _high(ana)), other),
                   "bad_sshsig"),
        "key-inside-is-another": (
            "The id of one key, the signature of another.",
            (SignatureLine("ana", first.key_id, line("ana", second).signature),), "signature"),
        "no-sshsig": ("64 bytes.", (SignatureLine("ana", first.key_id, bytes(64)),), "bad_sshsig"),
    }  # fmt: skip
    found = {
        name: NoteCase(about, people, Note(NOTE_TEXT, lines).encoded(), expect)
        for name, (about, lines, expect) in made.items()
    }
    found["two-names-one-key"] = NoteCase(
        "Two names hold one key: the first in the note counts.",
        {"ana": (ana.public,), "cal": (ana.public,)},
        Note(NOTE_TEXT, (line("cal", ana), first)).encoded(),
        {"cal": "one"},
    )
    for name, key in {"known": ben, "unknown": SoftP256SecurityKey.of("zoe")}.items():
        found[f"second-base64-of-a-{name}-key"] = NoteCase(
            "A low bit that the padding leaves unused.",
            people,
            _respelt(Note(NOTE_TEXT, (first, line("ben", key)))),
            "bad_note",
        )
    return found


def _high(key: SoftPerson) -> bytes:
    parts = SshsigParts.parse(key.sshsig(NOTE_TEXT, CARD_NAMESPACE))
    front = string(key.kind.encode())
    numbers = parts.signature[len(front) + 4 :]
    low = P256Signature.from_mpints(numbers)
    high = mpint(low.r) + mpint(ORDER - low.s)
    return replace(parts, signature=front + string(high)).encoded()


def _respelt(note: Note) -> bytes:
    text = note.encoded().decode()
    bare = text.rstrip("=\n")
    assert len(bare) + 1 < len(text), "no padding, no unused bits"
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = letters[letters.index(bare[-1]) + 1]
    return (bare[:-1] + last + text[len(bare) :]).encode()


def _key(blob: bytes) -> str:
    return str(SshPublicKey.from_blob(blob))
