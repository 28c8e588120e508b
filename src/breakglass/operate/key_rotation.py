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

from breakglass.clock import SystemClock
from breakglass.error_names import ErrorName
from breakglass.errors import BreakglassError, MisconfiguredError, RefusedError
from breakglass.http.client import Peer
from breakglass.node.key_rollover import turn_submitter
from breakglass.operate import steps
from breakglass.operate.restart import restart
from breakglass.operate.steps import Step
from breakglass.operate.trust_change import TrustChange
from breakglass.process.folder import write_whole
from breakglass.process.key_sealing import make_next
from breakglass.process.key_store import KEY, NEXT, KeyStore, keeping_of
from breakglass.records.key_rollover import LOG, WITNESS, Handover, keys_of
from breakglass.records.kinds.intent import Intent
from breakglass.records.kinds.key import KeyHandedOver
from breakglass.records.proven import prove
from breakglass.records.trust import parse_trust
from breakglass.records.trust_lines import next_text, with_both, with_one
from breakglass.tlog.checkpoint import check_log_signature, parse_checkpoint
from breakglass.tlog.note import VerifierKey
from breakglass.token.token import parse_token

_FINISH_WITHIN = timedelta(seconds=10)
_LIVE = frozenset({"recorded", "minted", "usable"})


@dataclass
class Rotation:
    """One party's change of keys.

    Attributes:
        change: how this organisation's trust file is changed; its folder and keys are here.
        name: the party's folder in it: ``ledger``, ``witness-1``, ``broker``, ``gates/NAME``.
        done: what was done, in words.
    """

    change: TrustChange
    name: str
    done: list[tuple[str, str]] = field(default_factory=list)

    @property
    def org(self) -> Path:
        """The organisation's folder."""
        return self.change.org

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
        if len(self._keys()) > 1 and not self.keeping.stands(NEXT):
            raise MisconfiguredError(
                f"two keys of {self.name!r} stand already; nothing was changed",
                name=ErrorName.ROTATION,
                hint=f"let the old one go: breakglass key rotate {self.name} --finish",
            )
        walk = [
            # The new key. Nobody knows it yet; after a crash it is found again.
            Step("next key", self._make),
            # Whom it will speak to takes it from now on; the old key is taken as before.
            Step("told", self._introduce),
            # Maintainers put it beside the old one. From here either is believed.
            Step("in force", self._add),
            # Both keys say so in the ledger; a crash before leaves the maintainers' word alone.
            Step("recorded", self._hand_over),
            # The ledger asks for either; until now it took the old line, which all believe.
            Step("ledger", lambda: self._rewrite(self._with_new, self._new, present=True)),
            # Who states records turns to the new key, with nothing left to say under the old one.
            Step("turned", self._turn),
        ]
        self.done += steps.run(walk)
        return self.change.standing().version

    def finish(self, *, anyway: bool = False) -> int:
        """Let the old key go; returns the version of the trust file without it.

        Args:
            anyway: also if a grant that lives would stop working.

        Raises:
            RefusedError: ``grants_live``, with until when; or as ``begin``.
            BreakglassError: as ``begin``.
        """
        keeping = self.keeping
        if keeping.stands(NEXT) and not self._cosigns:
            raise MisconfiguredError(
                f"{self.name!r} has not turned to its next key; nothing was changed",
                name=ErrorName.ROTATION,
                hint=f"go on with: breakglass key rotate {self.name}",
            )
        new = keeping.verifier(NEXT if keeping.stands(NEXT) else KEY)
        keys = self._keys()
        if new not in keys or (len(keys) < 2 and not self._left_over(new)):
            raise MisconfiguredError(
                f"no two keys of {self.name!r} stand; nothing was changed",
                name=ErrorName.ROTATION,
                hint=f"begin with: breakglass key rotate {self.name}",
            )
        walk = [
            # What was made before the new key was known would be refused from now on; and from
            # here the old key alone convinces nobody who has this version.
            Step("in force", lambda: self._drop(new, anyway=anyway)),
            # The ledger no longer asks for it, takes it, or signs with it.
            Step(
                "ledger",
                lambda: self._rewrite(
                    lambda lines: with_one(lines, self.party, new), new, present=False
                ),
            ),
            Step("turned", lambda: self._promote(new)),
            # And nobody serves heads that it signed.
            Step("forgotten", lambda: self._forget(new)),
        ]
        self.done += steps.run(walk)
        return self.change.standing().version

    # --- steps ------------------------------------------------------------------------------

    @property
    def _new(self) -> VerifierKey:
        """The new key, also when it has become the key."""
        return self.keeping.verifier(NEXT if self.keeping.stands(NEXT) else KEY)

    @property
    def _cosigns(self) -> bool:
        return self.party == LOG or self.party.startswith(WITNESS)

    def _with_new(self, lines: Sequence[str]) -> list[str]:
        return with_both(lines, self.party, self._new)

    def _make(self) -> str:
        make_next(self.folder)
        return self._new.label

    def _introduce(self) -> str:
        new = self._new
        if self.party == LOG:
            for folder in self._cosigners():
                if _with_line(folder / "logs", str(new)):
                    restart(folder)
            restart(self.folder)
            return "witnesses and archiver; heads are signed by both keys"
        if self._cosigns:
            restart(self.folder)
            return f"{self.name} cosigns with both keys"
        path = self.org / "ledger" / "submitters"
        now = self.keeping.verifier()
        line = next(each for each in path.read_text().splitlines() if str(now) in each)
        _with_line(path, line.replace(str(now), str(new)))
        return "the ledger takes records of either key"

    def _add(self) -> str:
        if self._new in self._keys():
            return ""
        return self._enact(self._with_new)

    def _drop(self, new: VerifierKey, *, anyway: bool) -> str:
        if len(self._keys()) < 2:
            return ""

        def alone(lines: Sequence[str]) -> list[str]:
            return with_one(lines, self.party, new)

        if not anyway:
            self._check_grants(next_text(self.change.standing(), alone))
        if self.party == LOG:
            self._check_signed_by(new)
        return self._enact(alone)

    def _enact(self, change: Callable[[Sequence[str]], list[str]]) -> str:
        done = self.change.enact(next_text(self.change.standing(), change))
        entry = "" if done.index is None else f", entry {done.index}"
        return f"trust file {done.version}{entry}"

    def _hand_over(self) -> str:
        if not self.keeping.stands(NEXT):
            return ""  # turned already, and so handed over before
        old, new = self.keeping.read(KEY), self.keeping.read(NEXT)
        trust = self.change.standing()
        log = trust.tlog.logs[0].vkey.name
        handover = Handover(log, self.party, old.verifier, new.verifier)
        said = asdict(KeyHandedOver.of(handover, old, new, trust.version))
        answer = self.change.ask("POST", "/keys", said)
        return f"entry {answer['index']}, signed by both keys"

    def _rewrite(
        self, change: Callable[[Sequence[str]], list[str]], new: VerifierKey, *, present: bool
    ) -> str:
        """Change the ledger's own policy, which it reads again by itself, or its submitters."""
        policy = self.org / "ledger" / "policy"
        if self._cosigns:
            lines = policy.read_text("utf-8").splitlines()
            stands = sum(new.name == _name(line) for line in lines)
            if (stands < 2) == present:
                write_whole(policy, "\n".join([*change(lines), ""]).encode())
        elif not present:
            path = self.org / "ledger" / "submitters"
            lines = path.read_text("utf-8").splitlines()
            kept = [line for line in lines if _name(line) != new.name or str(new) in line]
            write_whole(path, "\n".join([*kept, ""]).encode())
        return ""

    def _turn(self) -> str:
        if self._cosigns or not self.keeping.stands(NEXT):
            return ""
        new: list[VerifierKey] = []
        clock = SystemClock()
        restart(self.folder, lambda: new.append(turn_submitter(self.folder, clock, _FINISH_WITHIN)))
        return f"{self.name} states records with {new[0].label}"

    def _promote(self, new: VerifierKey) -> str:
        if not (self._cosigns and self.keeping.stands(NEXT)):
            return ""
        restart(self.folder, self.keeping.promote)
        return f"{self.name} signs with {new.label} alone"

    def _forget(self, new: VerifierKey) -> str:
        if self.party != LOG:
            return ""
        for folder in self._cosigners():
            path = folder / "logs"
            lines = path.read_text("utf-8").splitlines()
            kept = [line for line in lines if _name(line) != new.name or str(new) == line.strip()]
            if kept != lines:
                write_whole(path, "\n".join([*kept, ""]).encode())
                restart(folder)
        return ""

    def _keys(self) -> set[VerifierKey]:
        trust, name = self.change.standing(), self.keeping.verifier().name
        return keys_of(trust, trust.tlog.logs[0].vkey.name, self.party, name)

    # --- what must hold before the old key goes ---------------------------------------------

    def _check_grants(self, text: str) -> None:
        """Refuse while a grant lives whose token the next trust file would no longer believe."""
        following = parse_trust(text)
        for grant in self.change.ask("GET", "/grants", None)["grants"]:
            if grant["state"] not in _LIVE:
                continue
            found = self.change.ask("GET", f"/grants/{grant['grant']}/token", None)
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
