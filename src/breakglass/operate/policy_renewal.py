"""The policy's next version, from one command: changed, committed, signed and put in force.

Each step looks whether it was done, so that a run that was cut off, or that waits for another
maintainer's signature, goes on when the same is called again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError, MisconfiguredError, RefusedError, UnprovenError
from breakglass.operate import repository, steps
from breakglass.operate.maintainer_signing import (
    Maintainer,
    SignedPolicy,
    read_signed,
    sign_policy,
)
from breakglass.operate.policy_in_force import rules_stay, what_changes
from breakglass.operate.steps import Step
from breakglass.operate.trust_change import TrustChange
from breakglass.policy.bundle import MAIN_FILE
from breakglass.policy.bundle_edit import with_version
from breakglass.policy.case_run import check_cases
from breakglass.policy.compile import CompiledPolicy, compile_policy
from breakglass.policy.folder import read_bundle
from breakglass.policy.parse import Bundle, parse_bundle
from breakglass.process.folder import write_whole
from breakglass.records.trust import Trust

Edit = Callable[[str], str]
"""Changes the text of ``breakglass.yaml``; of a text that it has changed it changes nothing."""


@dataclass(frozen=True)
class Renewal:
    """One renewal of the policy.

    Attributes:
        change: whose keys sign, and which broker is asked.
        bundle: the folder of the policy.
        log: the ledger's origin.
        now: the time that cards are made of; they live 92 days from it.
        why: the commit's message.
        edit: what changes beside the version; nothing, to renew cards alone.
        check: raises what must not take force here; nothing where the rules stay what they are.
        anyway: also where ``edit`` finds nothing to change.
        carried_by: trust files whose maintainers have to carry it; the one in force if empty.
    """

    change: TrustChange
    bundle: Path
    log: str
    now: datetime
    why: str
    edit: Edit | None = None
    check: Callable[[Bundle], None] | None = None
    anyway: bool = True
    carried_by: tuple[Trust, ...] = ()

    def run(self) -> list[tuple[str, str]]:
        """Do what is still to do; returns what was done now, in words; nothing if it is so already.

        Raises:
            RefusedError: ``too_few_maintainers``: it waits in ``signed/`` for the others; or
                ``by_hand``, or what the broker refuses.
            MisconfiguredError: ``uncommitted``: somebody is at work in the bundle.
            MalformedError: the changed policy has an error, or does not answer its own cases;
                nothing was written.
            UnavailableError: a key did not sign, or the broker did not answer.
        """
        if not self.anyway and self._is_in_force():
            return []
        return steps.run(
            [
                # A crash behind this leaves a version that nobody has signed; it is found again.
                Step("changed", self._write),
                # Half the signatures help nobody, and hurt nobody; they stand beside the bundle.
                Step("signed", self._sign),
                # The answer may be lost: the same policy again is the same version.
                Step("in force", self._activate),
            ]
        )

    def _write(self) -> str:
        files = read_bundle(self.bundle)
        in_force = int(self.change.ask("GET", "/cards", None)["version"])
        before = files[MAIN_FILE].decode()
        text = self._next(before, in_force)
        changed = repository.uncommitted(self.bundle)
        if changed and not self._is_ours(before, in_force):
            raise MisconfiguredError(
                f"{changed[0]!r} in {str(self.bundle)!r} is not committed; nothing was changed",
                name=ErrorName.UNCOMMITTED,
                hint=f"git -C {self.bundle} commit {changed[0]}",
            )
        if text == before and not changed:
            return ""
        # Looked at before it is written: what cannot take force must not be what is committed.
        policy = compile_policy({**files, MAIN_FILE: text.encode()}, now=self.now)
        self._failed_cases(policy)
        if self.check is not None:
            self.check(policy.bundle)
        write_whole(self.bundle / MAIN_FILE, text.encode())
        # A crash before this leaves the file changed and not committed, which is known as ours.
        self._commit(f"policy: {self.why}")
        return f"policy {policy.bundle.version}, in {self.bundle / MAIN_FILE}"

    def _failed_cases(self, policy: CompiledPolicy) -> str:
        """Return which cases the policy answers otherwise, under the rules in force; else refuse.

        A case that only time made false must not keep cards from being renewed: gates would shut.
        """
        try:
            check_cases(policy, self.now)
        except MalformedError as error:
            if not rules_stay(self.change.ask, policy.bundle):
                raise
            return error.message
        return ""

    def _tell_cases(self, policy: CompiledPolicy, now: datetime) -> None:
        if failed := self._failed_cases(policy):
            self.change.say(
                f"the rules stay as they are, so this is renewed all the same: {failed}"
            )

    def _is_in_force(self) -> bool:
        text = read_bundle(self.bundle)[MAIN_FILE].decode()
        version = parse_bundle({MAIN_FILE: text.encode()}).version
        in_force = int(self.change.ask("GET", "/cards", None)["version"])
        return version <= in_force and (self.edit is None or self.edit(text) == text)

    def _next(self, text: str, in_force: int) -> str:
        version = parse_bundle({MAIN_FILE: text.encode()}).version
        edited = text if self.edit is None else self.edit(text)
        return with_version(edited, max(version, in_force + 1))

    def _is_ours(self, text: str, in_force: int) -> bool:
        """Say whether what is not committed is what an earlier run of this wrote."""
        committed = repository.committed(self.bundle, MAIN_FILE)
        return committed is not None and self._next(committed.decode(), in_force) == text

    def _sign(self) -> str:
        trusts = self.carried_by or (self.change.standing(),)
        standing = self._standing()
        signed = _carriers(standing, trusts)
        given = [each for each in self._signers(trusts) if each.name not in signed]
        if given:
            # Compared with what is in force: the folder may hold what somebody else wrote before.
            for line in what_changes(self.change.ask, read_bundle(self.bundle)):
                self.change.say(line)
            commit = repository.head(self.bundle)
            standing = sign_policy(
                self.bundle, self.log, commit, given, self.now, self.change.say, self._tell_cases
            )
            self._commit("policy: sign it")
            signed = _carriers(standing, trusts)
        for trust in trusts:
            people = standing.signers(trust) if standing else set()
            if len(people) < trust.maintainers_needed:
                others = ", ".join(sorted(set(trust.maintainers) - people))
                raise RefusedError(
                    f"the policy is signed by {len(people)} of {trust.maintainers_needed}"
                    f" maintainers; it is committed in {str(self.bundle)!r} and not in force",
                    name=ErrorName.TOO_FEW_MAINTAINERS,
                    hint=f"still to sign, each on their own machine ({others}): git pull;"
                    " breakglass policy sign; git push; then the same command again here",
                )
        return ", ".join(sorted(signed)) if given else ""

    def _activate(self) -> str:
        signed = read_signed(self.bundle)
        answer = self.change.ask("POST", "/policy", signed.activation())
        return f"policy {answer['version']}, entry {answer['index']}"

    def _standing(self) -> SignedPolicy | None:
        try:
            return read_signed(self.bundle)
        except UnprovenError as error:
            if error.name != ErrorName.NOT_SIGNED:
                raise
            return None

    def _signers(self, trusts: Iterable[Trust]) -> list[Maintainer]:
        found = {each.name: each for trust in trusts for each in self.change.signers(trust)}
        return list(found.values())

    def _commit(self, message: str) -> None:
        if repository.head(self.bundle) != "-":
            repository.commit_all(self.bundle, message, self.change.who)


def _carriers(signed: SignedPolicy | None, trusts: Iterable[Trust]) -> set[str]:
    """Return who has signed so that every one of ``trusts`` that names them counts it."""
    if signed is None:
        return set()
    names = {name for trust in trusts for name in trust.maintainers}
    return {
        name
        for name in names
        if all(name in signed.signers(each) for each in trusts if name in each.maintainers)
    }
