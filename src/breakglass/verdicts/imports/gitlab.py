"""GitLab's own exports read as a history: merges that nobody else had approved.

Merge requests as JSON (``glab api``), each with its ``approved_by``, or the Chain of Custody report
as CSV. Both are read offline; we ask for no token.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from breakglass.errors import MalformedError
from breakglass.verdicts.imports.imported import Imported
from breakglass.verdicts.imports.json_export import Row, is_robot, login, moment, objects
from breakglass.verdicts.imports.masks import masked
from breakglass.verdicts.imports.merges import Merges, one_branch

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
    found = Imported()
    counted = Merges(found, GATE, who)
    is_report = merges.suffix.lower() == ".csv"
    read = objects(merges, "Merged By" if is_report else "merged_at")
    rows = [(where, _row(row) if is_report else row) for where, row in read]
    rows = [(where, row) for where, row in rows if row.get("merged_at")]
    for where, row in one_branch(rows, "target_branch", base, found):
        approvers = row.get("approved_by")
        if not isinstance(approvers, list):
            raise MalformedError(
                f"{where}: no 'approved_by', so every merge would seem unapproved; "
                "nothing was written",
                hint="ask for each: glab api projects/:id/merge_requests/IID/approvals",
            )
        counted.take(
            f"merge-{row.get('iid', where)}",
            moment(row["merged_at"], where),
            (row.get("author"), row.get("merge_user") or row.get("merged_by")),
            row.get("title"),
            partial(_approved, approvers),
        )
    counted.traffic.write(found, GATE)
    if hidden:
        found.events = masked(found.events, found.names)
    return found


def _approved(approvers: list[Any], author: str) -> bool:
    return any(_is_other(each, author) for each in approvers)


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
