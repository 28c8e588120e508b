"""The one way from a wish to a trust file in force: text, signatures, activation, copies.

Every command that changes trust comes here: `trust next | sign | activate`, `trust maintainer`,
`gate add`, `key rotate`. What waits for another maintainer's signature lies in ``trust.next``.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from breakglass.error_names import ErrorName
from breakglass.errors import RefusedError
from breakglass.http.client import Peer
from breakglass.operate.maintainer_signing import Maintainer, joined, sign_text
from breakglass.operate.new_gate import local_maintainers
from breakglass.operate.signed_file import read_note, read_proposed
from breakglass.operate.trust_activation import InForce, activate_trust
from breakglass.person import ssh_keygen
from breakglass.person.ssh_keygen import Say
from breakglass.process.folder import write_whole
from breakglass.records.signing.signature import TRUST_NAMESPACE, people_who_signed
from breakglass.records.trust import Trust, accept_trust, parse_trust
from breakglass.records.trust_handover import check_cards_live
from breakglass.tlog.note import Note

Ask = Callable[[str, str, dict[str, Any] | None], dict[str, Any]]
"""Asks a broker: method, path, body."""
PROPOSED = "trust.next"


@dataclass(frozen=True)
class TrustChange:
    """Who changes trust, from where, and with which keys.

    Attributes:
        org: the organisation's folder, with the gates and the ledger that are here.
        trust_file: this client's copy of the version in force.
        who: whose client this is.
        mine: that person's key.
        ask: asks the broker.
        say: told when a security key has to be touched, and of what takes time.
        sign_here: sign also with the maintainers' keys that lie in ``org``.
    """

    org: Path
    trust_file: Path
    who: str
    mine: Path
    ask: Ask
    say: Say
    sign_here: bool = False

    @property
    def proposed(self) -> Path:
        """Where a next version waits for signatures."""
        return self.trust_file.with_name(PROPOSED)

    def standing(self) -> Trust:
        """Return the version in force, as this client knows it.

        Raises:
            MisconfiguredError: it cannot be read.
            MalformedError, UnprovenError: see ``accept_trust``.
        """
        return accept_trust(read_note(self.trust_file), None)

    def cards(self) -> dict[str, Note]:
        """Return the signed cards in force, by glass."""
        cards = self.ask("GET", "/cards", None)["cards"]
        return {glass: Note.parse(text.encode()) for glass, text in cards.items()}

    def check(self, text: str) -> None:
        """Refuse a next version that would end cards in force; before anybody signs it.

        Raises:
            MalformedError: it is no trust file.
            RefusedError: ``cards_die``.
        """
        before, after = self.standing(), parse_trust(text)
        if (before.maintainers, before.maintainers_needed, before.policy_at_least) != (
            after.maintainers,
            after.maintainers_needed,
            after.policy_at_least,
        ):
            check_cards_live(self.cards(), before, after)

    def sign(self, text: str, standing: Note | None, file: Path) -> Note | None:
        """Sign ``text`` with the keys at hand, beside ``standing``, and write ``file``.

        Returns:
            The note; ``None`` if nobody has signed, and ``file`` holds the text alone.

        Raises:
            MalformedError: it is no trust file.
            UnavailableError: a key did not sign; nothing was written.
        """
        after = parse_trust(text)
        given = [each for each in self.signers(after) if not _has_signed(standing, each)]
        note = sign_text(text, TRUST_NAMESPACE, given, self.say) if given else None
        if note is not None and standing is not None:
            note = joined(standing, note)
        note = note or standing
        write_whole(file, text.encode() if note is None else note.encoded(), 0o600)
        return note

    def signed(self, text: str) -> Note:
        """Return ``text`` with all the signatures that it needs.

        Raises:
            RefusedError: ``too_few_maintainers``: what is there lies in ``proposed``, and the same
                call goes on when the others have signed it.
        """
        before, after = self.standing(), parse_trust(text)
        waiting = read_proposed(self.proposed)[1] if self.proposed.exists() else None
        same = waiting is not None and waiting.text == text
        note = self.sign(text, waiting if same else None, self.proposed)
        need = missing(note, before, after)
        if note is None or need:
            raise RefusedError(
                f"trust file {after.version} is not signed by enough maintainers: {need}; it waits"
                f" in {str(self.proposed)!r} and is not in force",
                name=ErrorName.TOO_FEW_MAINTAINERS,
                hint=f"each of them, with that file: breakglass trust sign {PROPOSED}; then, with"
                f" the file back here, the same again, or: breakglass trust activate {PROPOSED}",
            )
        return note

    def activate(self, note: Note, ledger: Peer | None, *, policy_stands: bool = False) -> InForce:
        """Put a signed next version in force; see ``activate_trust``."""
        done = activate_trust(
            self.org,
            self.trust_file,
            note,
            ledger,
            lambda text: self.ask("POST", "/trust", {"note": text}),
            self.say,
            policy_stands=policy_stands,
        )
        if self.proposed.exists() and read_proposed(self.proposed)[0] == note.text:
            self.proposed.unlink()
        return done

    def enact(self, text: str) -> InForce:
        """Sign ``text`` with the keys at hand and put it in force; cosigners stay who they are.

        Raises:
            RefusedError: ``too_few_maintainers``, ``cards_die``; nothing was changed.
        """
        self.check(text)
        return self.activate(self.signed(text), None)

    def signers(self, after: Trust) -> list[Maintainer]:
        """Return the maintainers of the version in force, or of ``after``, who can sign here."""
        before, found = self.standing(), list[Maintainer]()
        if self.sign_here:
            for trust in (before, after):
                found += local_maintainers(self.org, trust, self.who, self.mine)
        elif self.who in {*before.maintainers, *after.maintainers}:
            key = ssh_keygen.read_key(self.mine)
            if any(key.public in each.maintainers.get(self.who, ()) for each in (before, after)):
                found.append(Maintainer(self.who, key))
        return list({(each.name, each.key.public): each for each in found}.values())


def signers_of(note: Note | None, *trusts: Trust) -> list[str]:
    """Return which maintainers of any of ``trusts`` have signed."""
    if note is None:
        return []
    found = [people_who_signed(note, each.maintainers, TRUST_NAMESPACE) for each in trusts]
    return sorted(set().union(*found))


def missing(note: Note | None, before: Trust, after: Trust) -> str:
    """Say in words whose signatures are missing: of the version before, and of its own.

    Returns:
        Nothing where the note can be put in force.
    """
    said = []
    for trust, which in ((before, "in force"), (after, "to come")):
        signed = signers_of(note, trust)
        if len(signed) < trust.maintainers_needed:
            others = ", ".join(sorted(set(trust.maintainers) - set(signed)))
            said.append(
                f"{len(signed)} of {trust.maintainers_needed} by the file {which}"
                f" (still to sign: {others})"
            )
    return "; ".join(dict.fromkeys(said))


def changes(before: str, after: str) -> list[str]:
    """Return the removed lines (``- …``) and the added (``+ …``), for who is about to sign."""
    found = difflib.ndiff(before.splitlines(), after.splitlines())
    return [each for each in found if each[0] in "-+"]


def _has_signed(note: Note | None, who: Maintainer) -> bool:
    if note is None:
        return False
    return who.name in people_who_signed(note, {who.name: (who.key.public,)}, TRUST_NAMESPACE)
