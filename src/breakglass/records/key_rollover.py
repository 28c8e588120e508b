"""One key takes the place of another: what both of them sign, and who may stand for a party.

```
breakglass.dev/key/v1
log ledger.example/one
party witness:witness-2
old <vkey>
new <vkey>
```

Both keys sign these bytes as they are (Ed25519, whatever kind of note they sign otherwise); no text
that a log, a cosigner or a submitter signs begins so. The word of the keys alone puts nothing in
force: the maintainers' trust file does. Source: LEDGER.md section 3.9; docs/spec/record.md.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, UnprovenError
from breakglass.records.trust import Trust
from breakglass.tlog.key import check_signature
from breakglass.tlog.note import VerifierKey

if TYPE_CHECKING:
    from breakglass.records.kinds.key import KeyHandedOver

HEADER = "breakglass.dev/key/v1"
LOG = "log"
WITNESS = "witness:"


@dataclass(frozen=True)
class Handover:
    """Which party's key follows which."""

    log: str
    party: str
    old: VerifierKey
    new: VerifierKey

    def __post_init__(self) -> None:
        if (self.old.name, self.old.kind) != (self.new.name, self.new.kind):
            raise MalformedError(
                f"key {self.new.label!r} cannot follow {self.old.label!r}: name and kind stay",
                name=ErrorName.BAD_KEY,
            )
        if self.old.public == self.new.public:
            raise MalformedError(
                f"key {self.old.label!r} cannot follow itself", name=ErrorName.BAD_KEY
            )

    @property
    def text(self) -> str:
        """What both keys sign."""
        lines = [HEADER, f"log {self.log}", f"party {self.party}"]
        return "\n".join([*lines, f"old {self.old}", f"new {self.new}", ""])


def read_handover(log: str, body: KeyHandedOver) -> Handover:
    """Read a ``key`` record and check that both keys signed it.

    Raises:
        MalformedError: ``bad_key``; a key that is none, or another name or kind.
        UnprovenError: ``signature``.
    """
    found = Handover(log, body.party, VerifierKey.parse(body.old), VerifierKey.parse(body.new))
    for key, signature in ((found.old, body.old_signature), (found.new, body.new_signature)):
        check_signature(key, found.text.encode(), base64.b64decode(signature))
    return found


def check_named(handover: Handover, trust: Trust) -> None:
    """Check that ``trust`` names both keys, as keys of that party.

    Raises:
        UnprovenError: ``mismatch``.
    """
    standing = keys_of(trust, handover.log, handover.party, handover.old.name)
    for key in (handover.old, handover.new):
        if key not in standing:
            raise UnprovenError(
                f"trust file {trust.version} names no key {key.label!r} of {handover.party!r}",
                name=ErrorName.MISMATCH,
            )


def keys_of(trust: Trust, log: str, party: str, name: str) -> set[VerifierKey]:
    """Return the keys of this name that a trust file gives to a party.

    ``party`` is ``log``, ``witness:NAME`` (the archiver too), or a submitter's role.
    """
    if party == LOG:
        keys = {each.vkey for each in trust.tlog.logs if each.vkey.name == log}
    elif party.startswith(WITNESS):
        named = {w.vkey.name for w in trust.tlog.witnesses if w.name == party[len(WITNESS) :]}
        keys = {w.vkey for w in trust.tlog.witnesses if w.vkey.name in named}
    else:
        keys = {key for key, role in trust.submitters.items() if str(role) == party}
    return {key for key in keys if key.name == name}
