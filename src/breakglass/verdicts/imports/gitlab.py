"""GitLab's own exports read as a history: merges that nobody else had approved.

Merge requests as JSON (``glab api``), each with its ``approved_by``, or the Chain of Custody report
as CSV. Both are read offline; we ask for no token.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from breakglass.errors import MalformedError
from breakglass.verdicts.history import Bypass
from breakglass.verdicts.imports.imported import LONGEST_REASON, Imported
from breakglass.verdicts.imports.json_export import Row, Traffic, is_robot, login, moment, objects
from breakglass.verdicts.imports.masks import masked

GATE = "approval"

# The Chain of Custody report's columns, by the keys of the API.
COLUMNS = {
    "merged_at": ("Date Merged", "Merged At"),
    "author": ("Author", "Merge Request Author", "Commit Author"),
    "merged_by": ("Merged By",),
    "approved_by": ("Approver(s)", "Approvers"),
    "iid": ("Merge Request", "Merge Request ID"),
}


def from_gitlab(
    merges: Path, who: Callable[[str], str], *, hidden: bool, base: str = ""
) -> Imported:
    """Return the gate ``approval``: a merge that nobody but its author approved is a bypass.

    Args:
        merges: merge requests as JSON, or the report as CSV.
        who: from a username to the name to be written.
        hidden: people are taken out of reasons, too.
        base: the target branch that is meant; else the one with most merges.

    Raises:
        MisconfiguredError: the file is not there.
        MalformedError: another export, or one without approvals: all would seem unapproved.
    """
    found, traffic = Imported(), Traffic()
    is_report = merges.suffix.lower() == ".csv"
    read = objects(merges, "Merged By" if is_report else "merged_at")
    rows = [(where, _row(row) if is_report else row) for where, row in read]
    rows = [(where, row) for where, row in rows if row.get("merged_at")]
    bases = Counter(str(row.get("target_branch") or "") for _, row in rows)
    meant = base or (bases.most_common(1)[0][0] if bases else "")
    for where, row in rows:
        if str(row.get("target_branch") or "") not in ("", meant):
            continue
        if not isinstance(row.get("approved_by"), list):
            raise MalformedError(
                f"{where}: no 'approved_by', so every merge would seem unapproved; "
                "nothing was written",
                hint="ask for each: glab api projects/:id/merge_requests/IID/approvals",
            )
        at, author = moment(row["merged_at"], where), row.get("author")
        found.as_of = max(found.as_of or at, at)
        if is_robot(author):
            found.left_out += 1
            continue
        name = login(author)
        found.names.add(name)
        traffic.count(at, name, who)
        if any(_is_other(approver, name) for approver in row["approved_by"]):
            continue
        merger = row.get("merge_user") or row.get("merged_by")
        person = name if is_robot(merger) else login(merger) or name
        found.names.add(person)
        found.events.append(
            Bypass(
                id=f"merge-{row.get('iid', where)}",
                time=at,
                gate=GATE,
                person=who(person),
                reason=" ".join(str(row.get("title") or "").split())[:LONGEST_REASON],
            )
        )
    others = [f"{name} ({n})" for name, n in sorted(bases.items()) if name not in ("", meant)]
    found.tell(f"left out, merged elsewhere than into '{meant}' (another: --base)", others)
    traffic.write(found, GATE)
    if hidden:
        found.events = masked(found.events, found.names)
    return found


def _is_other(approver: object, author: str) -> bool:
    who: Any = approver.get("user", approver) if isinstance(approver, dict) else approver
    return login(who) not in {"", author} and not is_robot(who)


def _row(row: Row) -> Row:
    """Return a row of the report in the API's keys; a column that is not there is not invented."""
    found: Row = {}
    for key, names in COLUMNS.items():
        name = next((name for name in names if name in row), None)
        if name is not None:
            found[key] = str(row[name] or "").strip()
    if "approved_by" in found:
        found["approved_by"] = [n.strip() for n in found["approved_by"].split(",") if n.strip()]
    return found
