"""GitHub's own exports read as a history: merges without review, overrides of its rules.

Files that an owner can make without us, read offline; we ask for no token: pull requests (``gh pr
list --json …``), the audit log, and rule suites, which alone count every evaluation and so have an
exact denominator.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from breakglass.errors import MalformedError
from breakglass.verdicts.history import Bypass
from breakglass.verdicts.imports.imported import LONGEST_REASON, Imported
from breakglass.verdicts.imports.json_export import Row, Traffic, is_robot, login, moment, objects
from breakglass.verdicts.imports.masks import masked
from breakglass.verdicts.imports.merges import Merges, one_branch

REVIEW, PROTECTION, RULES, PUSHES = "review", "branch-protection", "rules", "push-protection"
# Somebody merged or pushed in spite of an unmet requirement, or a secret that was found.
OVERRIDES = {
    "protected_branch.policy_override": PROTECTION,
    "secret_scanning_push_protection.bypass": PUSHES,
}
# The rule itself was taken away: no bypass, but nobody should read the rate without knowing.
SWITCHED = (
    "protected_branch.destroy",
    "repository_ruleset.destroy",
    "repository_ruleset.update",
    "repository_secret_scanning_push_protection.disable",
)


def from_github(
    pulls: Path | None,
    audit: Path | None,
    who: Callable[[str], str],
    *,
    hidden: bool,
    suites: Path | None = None,
    repository: str = "",
    base: str = "",
) -> Imported:
    """Return the gates that the given exports tell of.

    ``review``: a merge that no other person had approved when it was merged. ``branch-protection``
    and ``push-protection``: overrides in the audit log, against the merges of the same repository.
    ``rules``: rule suites; a passage is an evaluation.

    Args:
        pulls: pull requests; needed for all but rule suites.
        audit: the audit log, JSON or CSV.
        who: from a login to the name to be written.
        hidden: people are taken out of reasons, too.
        suites: rule suites.
        repository: the one of the audit log that is meant, ``org/name``.
        base: the branch that is meant; else the one with most merges.

    Raises:
        MisconfiguredError: a file is not there.
        MalformedError: a file is another export, or lacks a field without which all is wrong.
    """
    found = Imported()
    if pulls is None and suites is None:
        raise MalformedError(
            "neither pull requests nor rule suites were given; nothing was read",
            hint="give --pulls pulls.json, or --rule-suites suites.json",
        )
    if pulls is not None:
        traffic = _pulls(pulls, who, found, base)
        traffic.write(found, REVIEW)
        if audit is not None:
            for gate in _overrides(audit, who, found, repository):
                traffic.write(found, gate)
    if suites is not None:
        _suites(suites, who, found, base)
    if hidden:
        found.events = masked(found.events, found.names)
    return found


def _pulls(path: Path, who: Callable[[str], str], found: Imported, base: str) -> Traffic:
    counted = Merges(found, REVIEW, who)
    rows = [(where, row) for where, row in objects(path, "mergedAt") if row.get("mergedAt")]
    for where, pull in one_branch(rows, "baseRefName", base, found):
        if not isinstance(pull.get("reviews"), list):
            raise MalformedError(
                f"{where}: no 'reviews', so every merge would seem unreviewed; nothing was written",
                hint="export them: gh pr list --json …,reviews,author,mergedBy,baseRefName",
            )
        counted.take(
            f"pull-{pull.get('number', '')}",
            moment(pull["mergedAt"], where),
            (pull.get("author"), pull.get("mergedBy")),
            pull.get("title"),
            partial(_approved, pull, where),
        )
    return counted.traffic


def _approved(pull: Row, where: str, author: str) -> bool:
    """Return whether another person had approved before the merge."""
    merged = moment(pull["mergedAt"], where)
    for review in pull["reviews"]:
        if not isinstance(review, dict) or review.get("state") != "APPROVED":
            continue
        by, at = review.get("author"), review.get("submittedAt")
        if login(by) in {"", author} or is_robot(by):
            continue
        if at is None or moment(at, where) <= merged:
            return True
    return False


def _overrides(
    path: Path, who: Callable[[str], str], found: Imported, repository: str
) -> tuple[str, ...]:
    rows = [
        (where, row)
        for where, row in objects(path, "action")
        if row.get("action") in OVERRIDES or row.get("action") in SWITCHED
    ]
    if not rows:
        raise MalformedError(
            f"'{path}' has none of the actions that are read: {', '.join(OVERRIDES)}; "
            "nothing was written",
            hint="filter the audit log by these actions, or leave --audit-log out",
        )
    places = sorted({str(row.get("repo") or "") for _, row in rows} - {""})
    if len(places) > 1 and not repository:
        raise MalformedError(
            f"'{path}' is of {len(places)} repositories: {', '.join(places[:6])}; "
            "their overrides are no share of one repository's merges",
            hint=f"name the one that the pull requests are of: --repo {places[0]}",
        )
    gates, switched = set[str](), list[str]()
    for where, entry in rows:
        if repository and str(entry.get("repo") or "") != repository:
            continue
        at = moment(entry.get("@timestamp", entry.get("created_at")), where)
        action = str(entry["action"])
        if action in SWITCHED:
            switched.append(f"{action} on {at.date()}")
            continue
        actor = str(entry.get("actor") or entry.get("user") or "")
        if not actor:
            continue
        gates.add(OVERRIDES[action])
        found.names.add(actor)
        found.as_of = max(found.as_of or at, at)
        found.events.append(
            Bypass(
                id=str(entry.get("_document_id") or where),
                time=at,
                gate=OVERRIDES[action],
                person=who(actor),
                reason=_short(_why(entry)),
                kind="machine" if is_robot(actor) else "bypass",
            )
        )
    found.tell("the rule itself was changed or switched off", switched)
    return tuple(sorted(gates or {PROTECTION}))


def _why(entry: Row) -> str:
    """Return the stated reason, else what was overridden and where."""
    told = entry.get("reason") or entry.get("message") or entry.get("comment")
    codes = entry.get("overridden_codes") or ""
    where = (entry.get("branch") or "", codes if isinstance(codes, str) else ", ".join(codes))
    return str(told) if told else " ".join(str(part) for part in (entry["action"], *where) if part)


def _suites(path: Path, who: Callable[[str], str], found: Imported, base: str) -> None:
    traffic = Traffic()
    rows = objects(path, "result")
    refs = Counter(str(row.get("ref") or "") for _, row in rows)
    meant = f"refs/heads/{base}" if base else refs.most_common(1)[0][0] if refs else ""
    for where, row in rows:
        if row.get("result") not in ("pass", "fail", "bypass") or row.get("ref") != meant:
            continue
        at, actor = moment(row.get("pushed_at"), where), str(row.get("actor_name") or "")
        found.as_of = max(found.as_of or at, at)
        if is_robot(actor):
            found.left_out += 1
            continue
        found.names.add(actor)
        traffic.count(at, actor, who)
        if row["result"] == "bypass":
            found.events.append(
                Bypass(id=f"suite-{row.get('id', where)}", time=at, gate=RULES, person=who(actor))
            )
    others = [f"{name} ({n})" for name, n in sorted(refs.items()) if name != meant]
    found.tell(f"left out, of another ref than '{meant}' (another: --base)", others)
    traffic.write(found, RULES)


def _short(text: str) -> str:
    return " ".join(text.split())[:LONGEST_REASON]
