"""Maintainers sign the trust file's next version, one after the other, each at home."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from breakglass.operate.maintainer_signing import Maintainer, joined, sign_text
from breakglass.person.ssh_keygen import Say
from breakglass.records.signing.signature import TRUST_NAMESPACE, people_who_signed
from breakglass.records.trust import Trust, parse_trust
from breakglass.tlog.note import Note


def sign_trust(
    text: str, standing: Note | None, signers: Iterable[Maintainer], say: Say | None
) -> Note:
    """Sign ``text`` beside the lines that stand there already.

    Raises:
        MalformedError: it is no trust file.
        UnavailableError: a key did not sign.
    """
    parse_trust(text)
    note = sign_text(text, TRUST_NAMESPACE, signers, say)
    return note if standing is None else joined(standing, note)


def signers_of(note: Note, trust: Trust) -> list[str]:
    """Return which maintainers of ``trust`` have signed."""
    return sorted(people_who_signed(note, trust.maintainers, TRUST_NAMESPACE))


def changes(before: str, after: str) -> list[str]:
    """Return the removed lines (``- …``) and the added (``+ …``), for who is about to sign."""
    found = difflib.ndiff(before.splitlines(), after.splitlines())
    return [each for each in found if each[0] in "-+"]
