"""What a forge exports: approvals that count, machines that do not, and files that are others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from breakglass.errors import MalformedError
from breakglass.verdicts.imports.github import from_github
from breakglass.verdicts.imports.gitlab import from_gitlab
from breakglass.verdicts.imports.imported import Imported

AT = "2026-06-01T10:00:00Z"
LATER = "2026-06-02T10:00:00Z"


def pull(number: int, *reviews: dict[str, Any], **more: Any) -> dict[str, Any]:
    author = {"login": "mira"}
    return {
        "number": number, "title": f"Change {number}", "mergedAt": AT, "author": author,
        "mergedBy": author, "reviews": list(reviews), "baseRefName": "main", **more,
    }  # fmt: skip


def approval(login: str, at: str = AT, **more: Any) -> dict[str, Any]:
    return {"state": "APPROVED", "submittedAt": at, "author": {"login": login, **more}}


def written(path: Path, rows: object) -> Path:
    path.write_text(json.dumps(rows))
    return path


def github(tmp_path: Path, *pulls: dict[str, Any], audit: object = None, **more: str) -> Imported:
    log = written(tmp_path / "audit.json", audit) if audit is not None else None
    files = written(tmp_path / "pulls.json", list(pulls)), log
    return from_github(*files, str.strip, hidden=False, **more)


def test_only_another_person_before_the_merge_approves(tmp_path: Path) -> None:
    got = github(
        tmp_path,
        pull(1, approval("sam")),
        pull(2, approval("sam", LATER)),
        pull(3, approval("checker", is_bot=True)),
        pull(4, approval("mira")),
    )
    assert [event.id for event in got.events] == ["pull-2", "pull-3", "pull-4"]


def test_without_reviews_nothing_is_guessed(tmp_path: Path) -> None:
    bare = pull(1)
    del bare["reviews"]
    with pytest.raises(MalformedError, match="no 'reviews', so every merge would seem unreviewed"):
        github(tmp_path, bare)


def test_machines_are_no_people_and_a_merge_machine_presses_a_button(tmp_path: Path) -> None:
    robot = {"login": "updates", "is_bot": True}
    got = github(tmp_path, pull(1, author=robot), pull(2, mergedBy={"login": "merge-bot"}))
    assert [(event.id, event.person) for event in got.events] == [("pull-2", "mira")]
    assert got.left_out == 1


def test_other_branches_are_told_and_left_out(tmp_path: Path) -> None:
    pulls = [pull(1), pull(2), pull(3, baseRefName="release-1")]
    got = github(tmp_path, *pulls)
    assert len(got.events) == 2
    assert got.notes == [
        "left out, merged elsewhere than into 'main' (another: --base): release-1 (1)"
    ]
    assert len(github(tmp_path, *pulls, base="release-1").events) == 1


OVERRIDE = {
    "action": "protected_branch.policy_override",
    "actor": "mira",
    "created_at": AT,
    "repo": "org/shop",
    "branch": "main",
    "overridden_codes": "review_policy_not_satisfied",
}


def test_an_audit_log_of_many_repositories_needs_the_one_that_is_meant(tmp_path: Path) -> None:
    audit = [OVERRIDE, OVERRIDE | {"repo": "org/other"}]
    with pytest.raises(MalformedError, match="is of 2 repositories: org/other, org/shop"):
        github(tmp_path, pull(1, approval("sam")), audit=audit)
    got = github(tmp_path, pull(1, approval("sam")), audit=audit, repository="org/shop")
    assert [(event.gate, event.reason) for event in got.events] == [
        (
            "branch-protection",
            "protected_branch.policy_override main review_policy_not_satisfied",
        )
    ]


def test_a_pushed_secret_is_a_gate_of_its_own_and_a_rule_switched_off_is_told(
    tmp_path: Path,
) -> None:
    pushed = OVERRIDE | {"action": "secret_scanning_push_protection.bypass", "reason": "a test key"}
    off = OVERRIDE | {"action": "protected_branch.destroy"}
    got = github(tmp_path, pull(1, approval("sam")), audit=[pushed, off])
    assert [(event.gate, event.reason) for event in got.events] == [
        ("push-protection", "a test key")
    ]
    assert got.notes == [
        "the rule itself was changed or switched off: protected_branch.destroy on 2026-06-01"
    ]


def test_another_export_is_refused_with_its_keys(tmp_path: Path) -> None:
    suites = [{"id": 1, "actor_name": "a", "ref": "refs/heads/main", "pushed_at": AT,
               "result": "bypass"}]  # fmt: skip
    with pytest.raises(MalformedError, match="has no 'action' in any of 1 entries; its keys are a"):
        github(tmp_path, pull(1, approval("sam")), audit=suites)
    with pytest.raises(MalformedError, match="none of the actions that are read"):
        github(tmp_path, pull(1, approval("sam")), audit=[{"action": "team.add_member"}])
    with pytest.raises(MalformedError, match="has no 'mergedAt' in any of 1 entries; its keys are"):
        github(tmp_path, {"data": {"repository": {}}})


def test_rule_suites_have_their_own_denominator(tmp_path: Path) -> None:
    suites = [
        {"id": n, "actor_name": who, "ref": ref, "pushed_at": AT, "result": result}
        for n, (who, ref, result) in enumerate(
            [("mira", "refs/heads/main", "pass"), ("mira", "refs/heads/main", "bypass"),
             ("sam", "refs/heads/main", "fail"), ("up[bot]", "refs/heads/main", "bypass"),
             ("sam", "refs/heads/try", "bypass")]
        )
    ]  # fmt: skip
    path = written(tmp_path / "suites.json", suites)
    got = from_github(None, None, str.strip, hidden=False, suites=path)
    assert [event.id for event in got.events] == ["suite-1"]
    assert sum(got.passages["rules"].values()) == 3
    with pytest.raises(MalformedError, match="neither pull requests nor rule suites"):
        from_github(None, None, str.strip, hidden=False)


def test_gitlab_approvals_as_json_and_as_the_report(tmp_path: Path) -> None:
    def merge(iid: int, *by: str) -> dict[str, Any]:
        users = [{"user": {"username": name}} for name in by]
        return {"iid": iid, "title": "x", "merged_at": AT, "author": {"username": "mira"},
                "merge_user": {"username": "mira"}, "target_branch": "main",
                "approved_by": users}  # fmt: skip

    path = written(tmp_path / "m.json", [merge(1, "sam"), merge(2, "mira"), merge(3)])
    got = from_gitlab(path, str.strip, hidden=False)
    assert [event.id for event in got.events] == ["merge-2", "merge-3"]
    assert sum(got.passages["approval"].values()) == 3
    report = tmp_path / "report.csv"
    report.write_text(
        "Merge Commit,Author,Merge Request,Merged By,Date Merged,Approver(s)\n"
        'c1,Mira,1,Mira,2026-06-01 10:00:00 UTC,"Sam, Lou"\n'
        "c2,Mira,2,Mira,2026-06-02 10:00:00 UTC,\n"
    )
    got = from_gitlab(report, str.strip, hidden=False)
    assert [event.id for event in got.events] == ["merge-2"]
    report.write_text("Author,Merged By,Date Merged\nMira,Mira,2026-06-02 10:00:00 UTC\n")
    with pytest.raises(MalformedError, match="no 'approved_by', so every merge would seem"):
        from_gitlab(report, str.strip, hidden=False)
