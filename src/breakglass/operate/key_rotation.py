"""The key of one party of an embedded organisation is replaced, without a moment of distrust.

``begin`` puts the new key beside the old one: whoever knows either believes what both say.
``finish`` lets the old one go. Each is a list of steps that see whether they were done; after a
crash the same command goes on. Where the parties are on several hosts, docs/how-to/keys.md gives
the same steps one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from breakglass.clock import SystemClock
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MisconfiguredError, RefusedError
from breakglass.http.client import Peer
from breakglass.node.key_rollover import turn_submitter
from breakglass.operate.maintainer_signing import sign_text
from breakglass.operate.new_gate import local_maintainers
from breakglass.operate.restart import restart
from breakglass.process.folder import write_whole
from breakglass.process.key_sealing import make_next
from breakglass.process.key_store import KEY, NEXT, KeyStore, keeping_of
from breakglass.records.key_rollover import LOG, WITNESS, Handover, keys_of
from breakglass.records.kinds.intent import Intent
from breakglass.records.kinds.key import KeyHandedOver
from breakglass.records.proven import prove
from breakglass.records.signing.signature import TRUST_NAMESPACE, people_who_signed
from breakglass.records.trust import Trust, accept_trust, parse_trust
from breakglass.records.trust_lines import next_text, with_both, with_one
from breakglass.tlog.checkpoint import check_log_signature, parse_checkpoint
from breakglass.tlog.note import Note, SignerKey, VerifierKey
from breakglass.token.token import parse_token

Ask = Callable[[str, str, dict[str, Any] | None], dict[str, Any]]
PROPOSED = "trust.next"
_FINISH_WITHIN = timedelta(seconds=10)
_LIVE = frozenset({"recorded", "minted", "usable"})


@dataclass
class Rotation:
    """One party's change of keys.

    Attributes:
        org: the organisation's folder.
        name: the party's folder in it: ``ledger``, ``witness-1``, ``broker``, ``gates/NAME``.
        who: whose client this is.
        mine: that person's key.
        ask: asks the broker.
        say: told when a security key has to be touched.
    """

    org: Path
    name: str
    who: str
    mine: Path
    ask: Ask
    say: Callable[[str], None]
    done: list[tuple[str, str]] = field(default_factory=list)

    @cached_property
    def folder(self) -> Path:
        """The party's folder."""
        found = self.org / self.name
        if not keeping_of(found).stands(KEY):
            raise MisconfiguredError(
                f"{str(found)!r} holds no key; nothing was changed",
                hint="name a folder of the organisation: ledger, witness-1, broker, gates/NAME",
            )
        return found

    @property
    def party(self) -> str:
        """How records and trust files name the party."""
        if self.name == "ledger":
            return LOG
        if self.name == "archiver" or self.name.startswith("witness-"):
            return f"{WITNESS}{self.name}"
        kind, _, name = self.name.replace("gates/", "gate-", 1).partition("-")
        return f"{kind}:{name}" if name else kind

    @property
    def keeping(self) -> KeyStore:
        """How its keys are kept."""
        return keeping_of(self.folder)

    def begin(self) -> int:
        """Put a new key beside the old one; returns the version of the trust file with both.

        Raises:
            RefusedError: ``too_few_maintainers``; the text to sign lies in ``trust.next``.
            BreakglassError: a process did not come back, or the broker refuses.
        """
        trust = self._trust()
        if len(self._keys(trust)) > 1 and not self.keeping.stands(NEXT):
            raise MisconfiguredError(
                f"two keys of {self.name!r} stand already; nothing was changed",
                name=ErrorName.ROTATION,
                hint=f"let the old one go: breakglass key rotate {self.name} --finish",
            )
        # (1) The new key. Nobody knows it yet; after a crash it is found again.
        old, following = self._made()
        new = following.verifier
        # (2) Whom it will speak to takes it from now on; the old key is taken as before.
        self._introduce(new)
        # (3) Maintainers put it beside the old one. From here either is believed.
        if new not in self._keys(trust):
            text = next_text(trust, lambda lines: with_both(lines, self.party, new))
            trust = self._activate(trust, text)
        # (4) Both keys say so in the ledger; a crash before leaves the maintainers' word alone.
        self._hand_over(trust, old, following)
        # (5) The ledger asks for either; until now it took the old line, which all believe.
        self._rewrite(lambda lines: with_both(lines, self.party, new), new, present=True)
        # (6) Who states records turns to the new key, with nothing left to say under the old one.
        if self.party != LOG and not self.party.startswith(WITNESS):
            self._turn()
        return trust.version

    def finish(self, *, anyway: bool = False) -> int:
        """Let the old key go; returns the version of the trust file without it.

        Args:
            anyway: also if a grant that lives would stop working.

        Raises:
            RefusedError: ``grants_live``, with until when; or as ``begin``.
            BreakglassError: as ``begin``.
        """
        trust, keeping = self._trust(), self.keeping
        cosigns = self.party == LOG or self.party.startswith(WITNESS)
        if keeping.stands(NEXT) and not cosigns:
            raise MisconfiguredError(
                f"{self.name!r} has not turned to its next key; nothing was changed",
                name=ErrorName.ROTATION,
                hint=f"go on with: breakglass key rotate {self.name}",
            )
        new = keeping.verifier(NEXT if keeping.stands(NEXT) else KEY)
        keys = self._keys(trust)
        if new not in keys or (len(keys) < 2 and not self._left_over(new)):
            raise MisconfiguredError(
                f"no two keys of {self.name!r} stand; nothing was changed",
                name=ErrorName.ROTATION,
                hint=f"begin with: breakglass key rotate {self.name}",
            )
        if len(keys) > 1:
            text = next_text(trust, lambda lines: with_one(lines, self.party, new))
            # (1) What was made before the new key was known would be refused from now on.
            if not anyway:
                self._check_grants(text)
            if self.party == LOG:
                self._check_signed_by(new)
            # (2) From here the old key alone convinces nobody who has this version.
            trust = self._activate(trust, text)
        # (3) The ledger no longer asks for it, takes it, or signs with it.
        self._rewrite(lambda lines: with_one(lines, self.party, new), new, present=False)
        if cosigns and keeping.stands(NEXT):
            restart(self.folder, keeping.promote)
            self.done.append(("turned", f"{self.name} signs with {new.label} alone"))
        # (4) And nobody serves heads that it signed.
        self._forget(new)
        return trust.version

    # --- steps ------------------------------------------------------------------------------

    def _made(self) -> tuple[SignerKey, SignerKey]:
        make_next(self.folder)
        old, new = self.keeping.read(KEY), self.keeping.read(NEXT)
        self.done.append(("next key", new.verifier.label))
        return old, new

    def _introduce(self, new: VerifierKey) -> None:
        if self.party == LOG:
            for folder in self._cosigners():
                if _with_line(folder / "logs", str(new)):
                    restart(folder)
            restart(self.folder)
            self.done.append(("told", "witnesses and archiver; heads are signed by both keys"))
        elif self.party.startswith(WITNESS):
            restart(self.folder)
            self.done.append(("told", f"{self.name} cosigns with both keys"))
        else:
            path = self.org / "ledger" / "submitters"
            now = self.keeping.verifier()
            line = next(each for each in path.read_text().splitlines() if str(now) in each)
            _with_line(path, line.replace(str(now), str(new)))
            self.done.append(("told", "the ledger takes records of either key"))

    def _hand_over(self, trust: Trust, old: SignerKey, new: SignerKey) -> None:
        log = trust.tlog.logs[0].vkey.name
        handover = Handover(log, self.party, old.verifier, new.verifier)
        answer = self.ask(
            "POST", "/keys", asdict(KeyHandedOver.of(handover, old, new, trust.version))
        )
        self.done.append(("recorded", f"entry {answer['index']}, signed by both keys"))

    def _rewrite(
        self, change: Callable[[Sequence[str]], list[str]], new: VerifierKey, *, present: bool
    ) -> None:
        """Change the ledger's own policy, which it reads again by itself, or its submitters."""
        policy = self.org / "ledger" / "policy"
        if self.party == LOG or self.party.startswith(WITNESS):
            lines = policy.read_text("utf-8").splitlines()
            stands = sum(new.name == _name(line) for line in lines)
            if (stands < 2) == present:
                write_whole(policy, "\n".join([*change(lines), ""]).encode())
        elif not present:
            path = self.org / "ledger" / "submitters"
            lines = path.read_text("utf-8").splitlines()
            kept = [line for line in lines if _name(line) != new.name or str(new) in line]
            write_whole(path, "\n".join([*kept, ""]).encode())

    def _turn(self) -> None:
        if not self.keeping.stands(NEXT):
            return
        new: list[VerifierKey] = []
        clock = SystemClock()
        restart(self.folder, lambda: new.append(turn_submitter(self.folder, clock, _FINISH_WITHIN)))
        self.done.append(("turned", f"{self.name} states records with {new[0].label}"))

    def _forget(self, new: VerifierKey) -> None:
        if self.party != LOG:
            return
        for folder in self._cosigners():
            path = folder / "logs"
            lines = path.read_text("utf-8").splitlines()
            kept = [line for line in lines if _name(line) != new.name or str(new) == line.strip()]
            if kept != lines:
                write_whole(path, "\n".join([*kept, ""]).encode())
                restart(folder)

    # --- trust ------------------------------------------------------------------------------

    def _trust(self) -> Trust:
        return accept_trust(Note.parse((self.org / "trust").read_bytes()), None)

    def _keys(self, trust: Trust) -> set[VerifierKey]:
        name = self.keeping.verifier().name
        return keys_of(trust, trust.tlog.logs[0].vkey.name, self.party, name)

    def _activate(self, before: Trust, text: str) -> Trust:
        note = self._signed(before, text)
        trust = accept_trust(note, before)
        answer = self.ask("POST", "/trust", {"note": note.encoded().decode()})
        # The copies of those who do not follow the ledger; a crash before leaves them the version
        # before, and the same command again brings them on.
        for path in (self.org / "trust", *sorted((self.org / "gates").glob("*/trust"))):
            write_whole(path, note.encoded())
        (self.org / PROPOSED).unlink(missing_ok=True)
        entry = "" if answer["index"] is None else f", entry {answer['index']}"
        self.done.append(("in force", f"trust file {trust.version}{entry}"))
        return trust

    def _signed(self, before: Trust, text: str) -> Note:
        proposed = self.org / PROPOSED
        if proposed.exists() and proposed.read_bytes().startswith(f"{text}\n".encode()):
            note = Note.parse(proposed.read_bytes())
            signed = people_who_signed(note, before.maintainers, TRUST_NAMESPACE)
            if len(signed) >= before.maintainers_needed:
                return note
        signers = local_maintainers(self.org, before, self.who, self.mine)
        if len(signers) >= before.maintainers_needed:
            return sign_text(text, TRUST_NAMESPACE, signers, self.say)
        if not proposed.exists() or not proposed.read_bytes().startswith(text.encode()):
            write_whole(proposed, text.encode())
        raise RefusedError(
            f"{len(signers)} of {before.maintainers_needed} maintainers' keys lie here; the next"
            f" trust file is in {str(proposed)!r} and not in force",
            name=ErrorName.TOO_FEW_MAINTAINERS,
            hint=f"each maintainer: breakglass trust sign {proposed}; then the same command again",
        )

    def _check_grants(self, text: str) -> None:
        """Refuse while a grant lives whose token the next trust file would no longer believe."""
        following = parse_trust(text)
        for grant in self.ask("GET", "/grants", None)["grants"]:
            if grant["state"] not in _LIVE:
                continue
            found = self.ask("GET", f"/grants/{grant['grant']}/token", None)
            token = parse_token(found["token"].encode())
            try:
                if token.proof is not None:
                    prove(Intent, token.intent, token.proof, following, "broker")
            except BreakglassError as error:
                raise RefusedError(
                    f"grant {grant['grant']!r} lives until {grant['not_after']} and would stop"
                    f" working ({error.name}); nothing was changed",
                    name=ErrorName.GRANTS_LIVE,
                    hint="wait until then; or, if the old key was stolen: --anyway",
                ) from error

    def _check_signed_by(self, new: VerifierKey) -> None:
        with Peer(self.folder, name="ledger") as ledger:
            head, note = parse_checkpoint(ledger.get("/checkpoint").body)
        check_log_signature(head, note, [new])

    def _left_over(self, new: VerifierKey) -> bool:
        """Say whether an earlier finish was cut off behind the trust file."""
        files = [self.org / "ledger" / "submitters", self.org / "ledger" / "policy"]
        files += [folder / "logs" for folder in self._cosigners()]
        named = [line for path in files for line in path.read_text("utf-8").splitlines()]
        return self.keeping.stands(NEXT) or any(
            _name(line) == new.name and str(new) not in line for line in named
        )

    def _cosigners(self) -> list[Path]:
        return [*sorted(self.org.glob("witness-*")), self.org / "archiver"]


def _name(line: str) -> str:
    """Return the name of the key in a line of a policy, a submitters file or a logs file."""
    key = next((word for word in line.split() if word.count("+") >= 2), "")
    return key.partition("+")[0]


def _with_line(path: Path, line: str) -> bool:
    """Add a line to a file unless it stands there; says if it was added."""
    lines = path.read_text("utf-8").splitlines()
    if line in lines:
        return False
    write_whole(path, "\n".join([*lines, line, ""]).encode())
    return True
