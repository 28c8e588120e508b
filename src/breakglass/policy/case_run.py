"""Runs a bundle's cases: each goes through the very function that decides at night."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from breakglass.error_names import ErrorName
from breakglass.errors import MalformedError
from breakglass.policy.bundle import CASES_FILE
from breakglass.policy.cases import Case, CaseDo, Source
from breakglass.policy.compile import CompiledPolicy
from breakglass.policy.decide import (
    Allowed,
    Decision,
    NeedsApproval,
    NeedsCustodians,
    Refused,
    decide,
)
from breakglass.policy.facts import Facts, IncidentFacts
from breakglass.policy.lint_finding import Level, LintFinding


@dataclass(frozen=True)
class CaseResult:
    """One case as it came out: ``got`` in the words of ``wanted``, and why where it is a no."""

    case: Case
    got: str
    why: str = ""

    @property
    def holds(self) -> bool:
        """Whether the answer is the one that is wanted; ``refused`` alone takes any refusal."""
        return self.got == self.case.wanted or (
            self.case.wanted == "refused" and self.got.startswith("refused ")
        )

    def finding(self) -> LintFinding:
        """Say what was wanted and what came, with its place."""
        why = f": {self.why}" if self.why else ""
        return LintFinding(
            Level.ERROR,
            self.case.place,
            f"cases.{self.case.name}.wanted",
            f"wanted '{self.case.wanted}', and the policy says '{self.got}'{why}",
            "change the rules, or what is wanted of them",
        )


def run_cases(policy: CompiledPolicy, now: datetime) -> list[CaseResult]:
    """Run every case of a bundle, in the order of the file.

    Args:
        policy: compiled.
        now: the moment of cases that name none, aware.
    """
    return [
        _result(case, decide(policy, facts_of(case, policy, now)))
        for case in policy.bundle.cases.values()
    ]


def check_cases(policy: CompiledPolicy, now: datetime) -> None:
    """Refuse a bundle that does not answer its own cases as they want it.

    Raises:
        MalformedError: ``case_failed``, with each of them.
    """
    failed = [each.finding() for each in run_cases(policy, now) if not each.holds]
    if failed:
        raise MalformedError(
            "\n".join(map(str, failed)),
            name=ErrorName.CASE_FAILED,
            hint=f"{failed[0].hint}; see all: breakglass policy test ({CASES_FILE})",
        )


def facts_of(case: Case, policy: CompiledPolicy, now: datetime) -> Facts:
    """Make the facts of a case, as broker and monitor make them of a request."""
    glass, at = policy.bundle.glasses[case.glass], case.at or now
    mint = glass.mint(case.minter)
    machine = case.do is CaseDo.MACHINE
    said = case.incident
    incident = None
    if said is not None:
        incident = IncidentFacts("INC-1", said.severity, said.source is Source.OWN, said.open)
    return Facts(
        who=case.who,
        glass=case.glass,
        incident=incident,
        factor=case.factor or glass.least,
        age=case.signed_ago,
        path=case.do.path,
        for_=glass.for_ if case.for_ is None else case.for_,
        minter=case.minter,
        scope=dict(mint.scope) if mint is not None and not machine else {},
        act=case.act,
        reason=case.reason,
        ticket=case.ticket,
        starts=None if case.ahead is None else at - case.signed_ago + case.ahead,
        network=case.network,
        approvals=case.approvals,
        suspended=frozenset(case.suspended),
        now=at,
        mfa_down=case.mfa_down,
    )


def _result(case: Case, decision: Decision) -> CaseResult:
    match decision:
        case Allowed():
            return CaseResult(case, "allowed")
        case NeedsApproval(need=need) | NeedsCustodians(need=need):
            return CaseResult(case, f"needs {need}")
        case Refused(name=name, why=why):
            return CaseResult(case, f"refused {name}", why[0])
        case _:
            assert_never(decision)
