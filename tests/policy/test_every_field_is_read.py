"""Every field of a bundle is read by something, or named as not built; none is kept in silence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import breakglass
from breakglass.policy.not_built import NOT_BUILT
from tests.policy.kit import tables_of_readers

SOURCE = Path(breakglass.__file__).parent
FOR_PEOPLE = (
    r"organisation|people\.[^.]+\.name|gates\.[^.]+\.(protects|owner|reason)"
    r"|groups\.[^.]+\.certified\.by"
)
"""Words for who reads the file: shown, compared by ``policy diff``, and decided by nothing."""
FIXED = r"factors\.phishing_resistant|channels|factors|groups\.[^.]+\.certified"
"""What has one value alone, or holds the fields below it."""
READ_BY = {
    r"version": ("operate/maintainer_signing.py", "bundle.version"),
    r"people|people\.[^.]+\.keys": ("policy/card_people.py", "directory.people[name].keys"),
    r"people\.[^.]+\.aliases": ("policy/decide.py", "directory.canonical("),
    r"people\.[^.]+\.from": ("policy/schema.py", "person.begins"),
    r"people\.[^.]+\.until": ("policy/schema.py", "person.ends"),
    r"groups|groups\.[^.]+\.members": ("policy/people.py", "self._expand(group.members"),
    r"groups\.[^.]+\.else": ("policy/people.py", "self._expand(group.fallback"),
    r"groups\.[^.]+\.certified\.on": ("policy/certification.py", "group.certified.on"),
    r"certify|certify\.(every|then)": ("policy/decide.py", "uncertified("),
    r"factors\.two": ("policy/conditions.py", "factors.fresh"),
    r"factors\.down|factors\.down\.(glasses|for)": ("policy/glass.py", "down.for_"),
    r"reasons": ("policy/decide.py", "takes_reason("),
    r"networks": ("broker/grants/authorization.py", "bundle.networks"),
    r"gates|gates\.[^.]+\.fail": ("policy/lint.py", "gate.fail"),
    r"gates\.[^.]+\.siblings": ("policy/lint.py", "gate.siblings"),
    r"glasses|glasses\.[^.]+\.who": ("policy/schema.py", "glass.who"),
    r"glasses\.[^.]+\.does": ("policy/cards.py", "glass.does"),
    r"glasses\.[^.]+\.blast_radius": ("policy/approvers.py", "glass.blast_radius"),
    r"glasses\.[^.]+\.opens_gates": ("policy/cards.py", "glass.opens_gates"),
    r"glasses\.[^.]+\.mint(\..*)?": ("policy/cards.py", "glass.mints"),
    r"glasses\.[^.]+\.for": ("policy/cards.py", "glass.for_"),
    r"glasses\.[^.]+\.when|glasses\.[^.]+\.when\.incident": ("policy/schema.py", "when.incident"),
    r"glasses\.[^.]+\.when\.mfa_age": ("policy/schema.py", "when.mfa_age"),
    r"glasses\.[^.]+\.when\.factor": ("policy/schema.py", "glass.least"),
    r"glasses\.[^.]+\.when\.ticket": ("policy/schema.py", "when.ticket"),
    r"glasses\.[^.]+\.when\.incident_source": ("policy/schema.py", "when.incident_source"),
    r"glasses\.[^.]+\.approvers(\.(from|need|ask_need))?": (
        "policy/approvers.py", "glass.second_signers",
    ),
    r"glasses\.[^.]+\.wait": ("policy/cards.py", "glass.wait"),
    r"glasses\.[^.]+\.silence": ("policy/cards.py", "glass.silence"),
    r"glasses\.[^.]+\.ahead": ("policy/cards.py", "glass.ahead"),
    r"glasses\.[^.]+\.passkeys": ("policy/card_people.py", "glass.passkeys"),
    r"glasses\.[^.]+\.review(\.by)?": ("policy/card_people.py", "glass.review.by"),
    r"glasses\.[^.]+\.review\.due": ("policy/review_deadline.py", "glass.review.due"),
    r"channels\.[^.]+\.(webhook|log_file|slack|pagerduty|smtp|to)": (
        "operate/installation_check.py", "bundle.channels",
    ),
    r"alerts(\.[a-z]+)?": ("monitor/alerts/policy_channels.py", "alerts"),
    r"groups\.[^.]+\.(roster|at_most_old)": ("policy/rosters.py", "group.at_most_old"),
    r"factors\.down\.approved_by": ("policy/glass.py", "down.approved_by"),
    r"glasses\.[^.]+\.ends_with_incident": ("policy/early_ends.py", "life.with_incident"),
    r"glasses\.[^.]+\.idle": ("minter/policy_lives.py", "each.idle"),
    r"glasses\.[^.]+\.extend(\.at_most)?": ("policy/decide.py", "life.together"),
    r"kill": ("policy/cards.py", "bundle.kill"),
    r"readers": ("broker/policies.py", "bundle.reads_all("),
    r"maintainers|maintainers\.(need|of)": ("policy/lint.py", "bundle.maintainers.need"),
    r"reviews|reviews\.default": ("policy/review_deadline.py", "reviews.default"),
    r"reviews\.holidays": ("policy/review_deadline.py", "reviews.holidays"),
}  # fmt: skip
PART_OF = {
    "custodians of the policy": r"custodians(\.need)?",
    "sealed glasses": r"glasses\.[^.]+\.seal\..*",
    "sanctioned ways": r"gates\.[^.]+\.sanctioned.*",
    "incident sources": r"incident_sources.*",
    "machines": r"machines.*",
}
"""Fields that stand and fall with a part that is not built: what the table names is beside them."""


def test_every_field_is_read_or_said_to_be_for_people_or_not_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    standing = {each.what: each.pattern for each in NOT_BUILT}
    patterns = [FOR_PEOPLE, FIXED, *READ_BY, *standing.values()]
    patterns += [pattern for what, pattern in PART_OF.items() if what in standing]
    found = {
        re.sub(r"\[\d+\]", "", f"{path}.{name}".lstrip("."))
        for path, (need, may) in tables_of_readers(monkeypatch).items()
        for name in need | may
    }
    assert len(found) > 300
    silent = {path for path in found if not any(re.fullmatch(each, path) for each in patterns)}
    assert silent == set()


@pytest.mark.parametrize("pattern", READ_BY)
def test_who_reads_a_field_still_does(pattern: str) -> None:
    file, words = READ_BY[pattern]
    assert words in " ".join((SOURCE / file).read_text("utf-8").split())
